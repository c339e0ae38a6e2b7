import keras
import numpy as np
import pytest
import tensorflow as tf

from gan import models
from gan.config import TrainConfig
from gan.layers import Residual
from gan.run.options import EXAMPLES, parse_options


def options(**values):
    return TrainConfig(latent_dim=5, **{"base_channels": 2, "blocks": 2} | values)


@pytest.mark.parametrize("arch", ["conv", "dcgan", "resnet", "mlp"])
@pytest.mark.parametrize("shape", [(16, 16, 1), (17, 17, 1), (250, 250, 1), (28, 64, 1),
                                   (50, 33, 4)])
def test_networks_fit_every_image_shape(arch, shape):
    generator = models.build_generator(options(arch=arch), shape, 3)
    discriminator = models.build_discriminator(options(arch=arch), shape, 3)
    assert generator.input_shape == (None, 8)
    assert generator.output_shape == discriminator.input_shape == (None, *shape)
    assert discriminator.output_shape == (None, 3)


@pytest.mark.parametrize(("size", "padded", "doublings"), [
    (16, 16, 1), (17, 18, 1), (20, 20, 2), (28, 28, 2), (32, 32, 2), (36, 36, 2), (48, 48, 3),
    (60, 64, 3), (64, 64, 3), (96, 96, 4), (100, 112, 4), (128, 128, 4), (150, 160, 5),
    (256, 256, 5)])
def test_sizes_that_do_not_halve_well_are_padded(size, padded, doublings):
    height, width, found = models.coarsest((size, size, 3))
    assert height << found == width << found == padded
    assert found == doublings


@pytest.mark.parametrize(("most", "expected"), [
    (0, [2, 4, 8, 16, 16]), (3, [2, 3, 3, 3, 3]), (1, [1, 1, 1, 1, 1])])
def test_channels_double_from_the_image_inward_up_to_the_most(most, expected):
    assert models.channels(options(max_channels=most), (256, 256, 3)) == expected
    network = models.build_generator(options(arch="dcgan", max_channels=most), (64, 64, 3), 1)
    found = [layer.filters for layer in network.layers if hasattr(layer, "filters")]
    assert found == [*reversed(expected[:2]), 3]


@pytest.mark.parametrize(("output", "layer"), [
    ("smooth", "SmoothClip"), ("clip", "Clip"), ("bright", "BrightTanh"), ("tanh", "Activation")])
def test_images_end_in_the_output_that_is_asked_for(output, layer):
    last = models.build_generator(options(arch="conv", output=output), (16, 16, 1), 1).layers[-1]
    assert (type(last).__name__, last.dtype) == (layer, "float32")


def test_an_output_of_ones_own_is_one_entry(monkeypatch):
    monkeypatch.setitem(models.OUTPUTS, "own", keras.layers.Softmax)
    config, _ = parse_options(["--output", "own", "--arch", "conv", "--latent-dim", "5"])
    last = models.build_generator(config.completed(EXAMPLES["mnist"]), (28, 28, 1), 1).layers[-1]
    assert isinstance(last, keras.layers.Softmax)


@pytest.mark.parametrize("arch", ["conv", "dcgan"])
@pytest.mark.parametrize(("upsampling", "blurs"), [("filtered", 3), ("plain", 0)])
def test_each_doubling_is_filtered_if_asked_for(arch, upsampling, blurs):
    network = models.build_generator(options(arch=arch, upsampling=upsampling), (64, 64, 3), 1)
    names = [type(layer).__name__ for layer in network.layers]
    after = [names[place + 1] for place, name in enumerate(names) if name == "Conv2DTranspose"]
    assert after.count("Blur") == names.count("Blur") == blurs and len(after) == 3


def test_residual_networks_begin_as_the_identity_and_draw_no_checkerboard():
    generator = models.build_generator(options(arch="resnet"), (32, 32, 3), 1)
    latents = np.random.default_rng(0).normal(size=(4, 5)).astype(np.float32)
    images, opposite = generator(latents).numpy(), generator(-latents).numpy()
    assert np.abs(images).max() > 0
    np.testing.assert_allclose(images, -opposite, atol=1e-6)  # linear, with biases of 0
    generator = models.build_generator(options(arch="resnet", base_channels=8, output="clip"),
                                       (64, 64, 3), 1)
    image = generator(np.ones((1, 5), np.float32)).numpy()[0, 8:-8, 8:-8]
    alternating = (-1.0) ** np.indices(image.shape[:2]).sum(axis=0)[..., None]
    assert abs((image * alternating).mean()) < 1e-3 * image.std()


@pytest.mark.parametrize(("blocks", "expected"), [(1, [1, 1, 1, 1]), (6, [6, 3, 1, 1])])
def test_generators_have_half_as_many_residual_blocks_at_each_larger_size(blocks, expected):
    config = options(arch="resnet", base_channels=4, blocks=blocks)
    network = models.build_generator(config, (64, 64, 3), 1)
    sides = [layer.output.shape[1] for layer in network.layers if isinstance(layer, Residual)]
    assert [sides.count(side) for side in (8, 16, 32, 64)] == expected


def test_condition_vectors_stand_beside_the_latents_unless_there_is_one():
    latents = tf.constant([[7.0, 8.0]])
    found = models.generator_inputs(latents, tf.constant([[0.0, 0.0, 1.0]]))
    assert found.numpy().tolist() == [[7, 8, 0, 0, 1]]
    assert models.generator_inputs(latents, tf.ones([1, 1])) is latents
    textbook = models.build_generator(options(arch="dcgan"), (16, 16, 1), 1)
    assert textbook.input_shape == (None, 5)


@pytest.mark.parametrize("policy, tolerance", [("float32", 1e-5), ("mixed_bfloat16", 0.02)])
def test_a_logit_is_the_sum_of_the_outputs_weighted_by_the_condition(policy, tolerance):
    random, found = np.random.default_rng(0), []
    images = tf.constant(random.normal(size=(2, 16, 16, 1)), tf.float32)
    condition = tf.constant([[1.0, 0.0, 1.0, 0.3], [0.0, 1.0, 1.0, -2.0]])
    network = models.build_discriminator(options(arch="conv"), (16, 16, 1), 4, policy=policy)
    network.set_weights([random.normal(size=weight.shape) for weight in network.get_weights()])
    for projected in (True, False):
        with tf.GradientTape() as tape:
            tape.watch(images)
            values = (models.logits_under(network, condition)(images) if projected else
                      tf.reduce_sum(network(images) * condition, axis=1))
        assert values.shape == [2] and values.dtype == "float32"
        found.append([values, *tape.gradient(values, [images, *network.trainable_variables])])
    for value, expected in zip(*found, strict=True):
        assert np.abs(value - expected).max() <= tolerance * np.abs(expected).max()


@pytest.mark.parametrize("outputs, expected", [
    ([[1.0, 2.0, 30.0], [4.0, 5.0, 60.0]], [31, 65]),  # each has the logit of its own condition
    ([[5.0], [7.0]], [5, 7])])  # a single output is the logit under every condition
def test_logits_of_a_network_with_another_last_layer(outputs, expected):
    network = keras.Sequential([keras.Input((len(outputs[0]),)), keras.layers.Activation("linear")])
    logits = models.logits_under(network, tf.constant([[1.0, 0.0, 1.0], [0.0, 1.0, 1.0]]))
    assert logits(tf.constant(outputs)).numpy().tolist() == expected


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision_ends_in_float32(policy):
    generator = models.build_generator(options(arch="conv"), (16, 16, 1), 1, policy=policy)
    discriminator = models.build_discriminator(options(arch="conv"), (16, 16, 1), 1, policy=policy)
    images = generator(np.ones((2, 5), np.float32))
    assert images.dtype == "float32" and discriminator(images).dtype == "float32"
    assert {variable.dtype for variable in generator.variables} == {"float32"}
    assert generator.layers[0].compute_dtype == policy.removeprefix("mixed_")
