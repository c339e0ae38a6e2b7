import keras
import numpy as np
import pytest
import tensorflow as tf

from gan import layers


@pytest.fixture(autouse=True)
def initial_weights():
    keras.utils.set_random_seed(0)


def test_fused_batch_norm_is_batch_norm():
    inputs = np.random.default_rng(0).normal(2, 3, (8, 5, 5, 4)).astype(np.float32)
    layer = layers.FusedBatchNorm()
    reference = keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-3)
    for training in (True, False):
        np.testing.assert_allclose(layer(inputs, training=training),
                                   reference(inputs, training=training), atol=1e-4)
        *others, variance = layer.get_weights()
        for found, expected in zip(others, reference.get_weights()[:-1], strict=True):
            np.testing.assert_allclose(found, expected, rtol=1e-4)
        # The moving variance estimates the population's: n / (n - 1).
        np.testing.assert_allclose(variance, 0.9 + 0.1 * inputs.var((0, 1, 2), ddof=1), rtol=1e-4)
        reference.set_weights(layer.get_weights())


def test_leaky_relu_has_the_slopes_of_keras():
    inputs = tf.constant(np.random.default_rng(0).normal(size=(4, 5)).astype(np.float32))

    def values(layer):
        with tf.GradientTape() as outer:
            outer.watch(inputs)
            with tf.GradientTape() as inner:
                inner.watch(inputs)
                outputs = layer(inputs, training=True)
                loss = tf.reduce_sum(outputs**3)
            slopes = inner.gradient(loss, inputs)
            penalty = tf.reduce_sum(slopes**2)
        return layer(inputs), outputs, slopes, outer.gradient(penalty, inputs)

    pairs = zip(values(layers.LeakyReLU()), values(keras.layers.LeakyReLU(0.2)), strict=True)
    for found, expected in pairs:
        np.testing.assert_array_equal(found, expected)


def spectral_dense(matrix, policy="float32"):
    layer = layers.SpectralDense(matrix.shape[1], dtype=policy)
    layer.build((None, matrix.shape[0]))
    layer.kernel.assign(matrix)
    for _ in range(50):
        layer.iterate()
    return layer


@pytest.mark.parametrize(("policy", "tolerance"), [
    ("float32", 1e-5), ("mixed_bfloat16", 1e-2), ("mixed_float16", 2e-3)])
def test_spectral_norm_of_known_matrices(policy, tolerance):
    for matrix, norm in ((np.ones((3, 12)), 6.0), (np.diag([5.0, -7.0, 1.0]), 7.0)):
        layer = spectral_dense(matrix.astype(np.float32), policy)
        found = layer(np.eye(len(matrix), dtype=np.float32))
        assert found.dtype == layer.compute_dtype
        np.testing.assert_allclose(tf.cast(found, "float32"), matrix / norm,
                                   rtol=tolerance, atol=tolerance)
        np.testing.assert_array_equal(layer.kernel.numpy(), matrix)  # untouched
        assert {variable.dtype for variable in layer.variables} == {"float32"}


def test_gradient_flows_through_the_singular_value():
    random = np.random.default_rng(0)
    matrix = random.normal(size=(4, 3)).astype(np.float32)
    weights = random.normal(size=(4, 3)).astype(np.float32)
    layer = spectral_dense(matrix)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(weights * layer.normalized_kernel())
    found = tape.gradient(loss, layer.kernel.value).numpy()
    # d(W / s) with ds = u' dW v, from NumPy's decomposition.
    left, values, right = np.linalg.svd(matrix)
    slope = (weights * matrix).sum() / values[0] ** 2
    expected = weights / values[0] - slope * np.outer(left[:, 0], right[0])
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)
    # W / s does not change with the length of W, so neither does the loss.
    assert (found * matrix).sum() == pytest.approx(0, abs=1e-4)


def test_spectral_convolution_is_a_convolution_divided():
    layer = layers.SpectralConv2D(5)
    images = np.random.default_rng(0).normal(size=(2, 8, 8, 3)).astype(np.float32)
    layer.build(images.shape)
    for _ in range(100):
        layer.iterate()
    found, kernel = layer(images), layer.kernel.numpy()
    norm = np.linalg.norm(kernel.reshape(-1, 5), ord=2)
    expected = tf.nn.conv2d(images, kernel / norm, 2, "SAME")
    assert found.shape == (2, 4, 4, 5)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)


def test_spectral_layers_within_layers_are_found():
    inner = layers.SpectralDense(3)
    block = keras.Sequential([keras.layers.Dense(4), inner])
    network = keras.Sequential([keras.Input((5,)), keras.Sequential([block])])
    before, matrix = inner.v.numpy(), inner.kernel.numpy()
    layers.iterate_spectral(network)
    u = matrix @ before / np.linalg.norm(matrix @ before)
    np.testing.assert_allclose(inner.u.numpy(), u, rtol=1e-4, atol=1e-6)


TANH = np.tanh([-9.0, -1.0, 0.0, 0.5, 2.0, 2.0])
TANH_SLOPE = 1 - TANH**2


@pytest.mark.parametrize(("name", "values", "upstream", "outputs", "slopes"), [
    # Descent moves against the gradient: -3 may rise but not fall, 3 may fall but not rise, and
    # what is only just outside may do both.
    ("Clip", [-3, -3, -1.02, -0.5, 0.5, 1.02, 3, 3], [-1, 1, 1, 1, -1, -1, -1, 1],
     [-1, -1, -1, -0.5, 0.5, 1, 1, 1], [-1, 0, 1, 1, -1, -1, 0, 1]),
    # (3 v - v^3) / 2, with its slope 3 (1 - v^2) / 2 or 0.3.
    ("SmoothClip", [-3, -3, -1.1, -0.9, 0, 0.5, 1.1, 3], [-1, 1, 1, 1, 1, -1, -1, -1],
     [-1, -1, -1, -0.9855, 0, 0.6875, 1, 1], [-0.3, 0, 0.3, 0.3, 1.5, -1.125, -0.3, 0]),
    # tanh below the middle and 1.2 times that above; beyond white only what leads back.
    ("BrightTanh", [-9, -1, 0, 0.5, 2, 2], [1, 1, -1, 1, -1, 1],
     [*TANH[:3], 1.2 * TANH[3], 1, 1],
     [*TANH_SLOPE[:2], -1, 1.2 * TANH_SLOPE[3], 0, 1.2 * TANH_SLOPE[5]])])
def test_output_layers_reach_their_ends_and_lead_back(name, values, upstream, outputs, slopes):
    layer, inputs = getattr(layers, name)(), tf.constant(values, "float32")
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        trained = layer(inputs, training=True)
    np.testing.assert_allclose(trained, outputs, atol=1e-6)
    np.testing.assert_allclose(layer(inputs), outputs, atol=1e-6)
    gradient = tape.gradient(trained, inputs, tf.constant(upstream, "float32"))
    np.testing.assert_allclose(gradient, slopes, atol=1e-6)


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16", "mixed_float16"])
def test_blur_leaves_what_is_even_and_nothing_of_a_checkerboard(policy):
    rows, columns = np.indices((8, 8))
    patterns = np.stack([np.ones((8, 8)), rows % 2, (rows + columns) % 2], axis=-1)
    found = layers.Blur(dtype=policy)(patterns[None].astype(np.float32))
    assert found.dtype == policy.removeprefix("mixed_")
    inside = tf.cast(found, "float32").numpy()[0, 1:-1, 1:-1]
    np.testing.assert_array_equal(inside, np.broadcast_to([1, 0.5, 0.5], (6, 6, 3)))


def test_residual_adds_its_branch_to_what_comes_in():
    layer = layers.Residual([
        keras.layers.Conv2D(3, 1, kernel_initializer="ones"), keras.layers.ReLU()])
    inputs = np.random.default_rng(0).normal(size=(2, 4, 4, 3)).astype(np.float32)
    sums = np.maximum(inputs.sum(axis=-1, keepdims=True), 0)
    np.testing.assert_allclose(layer(inputs), inputs + sums, rtol=1e-5)


@pytest.mark.parametrize("policy, tolerance", [("float32", 1e-5), ("mixed_bfloat16", 0.02)])
@pytest.mark.parametrize("layer, size, stride, filters", [
    (layers.Pointwise, 1, 1, 5), (layers.Downsample, 4, 2, 5), (layers.ToImage, 3, 1, 1),
    (layers.ToImage, 3, 1, 3)])
def test_convolutions_in_other_terms_have_the_same_derivatives(
        layer, size, stride, filters, policy, tolerance):
    random, found = np.random.default_rng(0), []
    inputs = tf.constant(random.normal(size=(2, 4, 6, 3)), tf.float32)
    weights = [random.normal(size=(size, size, 3, filters)), random.normal(size=filters)]
    for one in (layer(filters, dtype=policy),
                keras.layers.Conv2D(filters, size, stride, padding="same", dtype=policy)):
        one.build(inputs.shape)
        assert one.compute_output_shape((None, 8, 8, 3)) == (None, *2 * [8 // stride], filters)
        one.set_weights(weights)
        with tf.GradientTape() as outer:
            with tf.GradientTape() as inner:
                inner.watch(inputs)
                outputs = one(inputs, training=True)
                cubes = tf.reduce_sum(tf.cast(outputs, tf.float32) ** 3)
            slope = inner.gradient(cubes, inputs)
            length = tf.reduce_sum(slope**2)
        found.append([outputs, one(inputs), slope, *outer.gradient(length, one.trainable_weights)])
    for values in zip(*found, strict=True):
        of_layer, expected = (tf.cast(value, tf.float32).numpy() for value in values)
        assert np.abs(of_layer - expected).max() <= tolerance * np.abs(expected).max()
