import math

import numpy as np
import pytest

from gan.augment import DRAWS, MAX_P, PASSES, TARGET, adapted, augment, mirrored
from tests.conftest import build

MIDDLE = 0.5  # of a draw: nothing added, nothing turned but mirrored colors


def draws_for(count=1, **made):
    """Draws that make the named changes, as strong as given, and no others."""
    switches = ("mirror", "scale", "stretch", "shift", "brightness", "contrast", "saturation",
                "hue", "blank")
    places = {"scale": [9], "stretch": [10], "shift": [11, 12], "brightness": [13],
              "contrast": [14], "saturation": [15], "hue": [16], "blank": [17, 18]}
    draws = np.full((count, DRAWS), 0.999, np.float32)
    for name, amount in made.items():
        draws[:, switches.index(name)] = 0
        if name in places:
            draws[:, places[name]] = amount
    return draws


def changed(images, p=0.9, **made):
    import tensorflow as tf

    images = np.asarray(images, np.float32)
    return augment(tf.constant(images), tf.constant(draws_for(len(images), **made)),
                   tf.constant(p)).numpy()


@pytest.fixture
def images(tensorflow):
    return np.random.default_rng(0).uniform(-1, 1, (3, 16, 32, 3)).astype(np.float32)


# The draw at which a normal distribution is one deviation above its mean.
ONE_DEVIATION = (1 + math.erf(1 / math.sqrt(2))) / 2


@pytest.mark.parametrize(("made", "expected"), [
    ({"mirror": None}, lambda images: images[:, :, ::-1]),
    ({"brightness": ONE_DEVIATION}, lambda images: images + 0.2),
    ({"contrast": ONE_DEVIATION}, lambda images: images * 2**0.5),
    ({"hue": 1 / 3}, lambda images: images[..., [2, 0, 1]]),  # red to green to blue
    ({"saturation": ONE_DEVIATION}, lambda images: 2 * images - images.mean(axis=3, keepdims=True)),
])
def test_what_is_changed(images, made, expected):
    np.testing.assert_allclose(changed(images, **made), expected(images), atol=1e-5)


@pytest.mark.parametrize("made", [{"hue": 0.4}, {"saturation": 0.9}])
def test_grays_stay(images, made):
    gray = images[..., :1].repeat(3, axis=3)
    np.testing.assert_allclose(changed(gray, **made), gray, atol=1e-5)


def test_a_shift_is_by_an_eighth_of_the_side_at_one_deviation(images):
    found = changed(images, shift=[MIDDLE, ONE_DEVIATION])
    np.testing.assert_allclose(found[:, :, :28], images[:, :, 4:], atol=1e-4)
    # What is moved in is the reflection: 31 is followed by 30 and 29.
    np.testing.assert_allclose(found[:, :, 28:], images[:, :, [30, 29, 28, 27]], atol=1e-4)


def test_scaling_keeps_the_middle_and_a_linear_picture_linear(tensorflow):
    ramp = np.broadcast_to(np.linspace(-1, 1, 17)[:, None], (1, 17, 17))[..., None]
    found = changed(ramp, scale=ONE_DEVIATION)  # larger by 2 ** 0.2
    expected = np.broadcast_to(ramp / 2**0.2, found.shape)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    flat = changed(ramp, stretch=ONE_DEVIATION)  # higher, and narrower
    np.testing.assert_allclose(flat, expected, atol=1e-5)


def test_a_rectangle_of_half_the_sides_is_blanked(images):
    found = changed(images, blank=[0.25, 0.5])
    assert (found[:, :8, 8:24] == 0).all()
    found[:, :8, 8:24] = images[:, :8, 8:24]
    np.testing.assert_allclose(found, images, atol=1e-6)


def test_p_is_the_fraction_of_images_that_each_change_is_made_to(tensorflow):
    images = tensorflow.random.stateless_uniform([4000, 8, 8, 1], [5, 6])
    draws = tensorflow.random.stateless_uniform([4000, DRAWS], [3, 4])
    found = augment(images, draws, tensorflow.constant(0.1)).numpy()
    same = np.isclose(found, images, atol=1e-6).all(axis=(1, 2, 3)).mean()
    # Six changes of gray images at 0.1 and mirroring at 0.05 miss this many.
    assert same == pytest.approx(0.95 * 0.9**6, abs=0.03)
    np.testing.assert_array_equal(augment(images, draws, tensorflow.constant(0.0)), images)


def test_the_gradient_is_that_of_the_changes(images, tensorflow):
    draws = tensorflow.random.stateless_uniform([3, DRAWS], [9, 9])
    p, weights = tensorflow.constant(0.7), np.random.default_rng(1).normal(size=images.shape)
    weights = tensorflow.constant(weights, tensorflow.float32)
    with tensorflow.GradientTape() as tape:
        inputs = tensorflow.constant(images)
        tape.watch(inputs)
        total = tensorflow.reduce_sum(weights * augment(inputs, draws, p))
    gradient = tape.gradient(total, inputs)
    # All changes are affine: a difference along any direction is exact.
    step = tensorflow.random.stateless_normal(images.shape, [2, 2])
    moved = tensorflow.reduce_sum(weights * augment(inputs + step, draws, p))
    expected = tensorflow.reduce_sum(gradient * step)
    np.testing.assert_allclose(moved - total, expected, rtol=1e-3, atol=1e-2)


@pytest.mark.parametrize(("p", "accuracy", "expected"), [
    (0.1, 1.0, 0.1 + (1 - TARGET) / (PASSES * 100)),
    (0.1, 0.5, 0.1 - (TARGET - 0.5) / (PASSES * 100)), (0.3, TARGET, 0.3),
    (0.0, 0.5, 0.0), (MAX_P, 1.0, MAX_P)])
def test_p_follows_the_accuracy_of_the_discriminator(tensorflow, p, accuracy, expected):
    found = adapted(tensorflow.constant(p), tensorflow.constant(accuracy), 100)
    assert float(found) == pytest.approx(expected)


@pytest.mark.parametrize("loss", ["nonsaturating", "relativistic", "wgan"])
def test_p_rises_while_real_images_rank_above_generated_ones_of_their_condition(
        tensorflow, tiny_npz, monkeypatch, loss):
    """What a condition adds to all of its logits makes no difference."""
    from gan import training

    select = training.select_logits

    def ranked(outputs, condition):
        logits = select(outputs, condition)
        offsets = tensorflow.where(condition[:, 0] > 0, 50.0, -50.0)
        calls.append(0)
        return 0 * logits + offsets + (1.0 if len(calls) % 2 else -1.0)  # real ones come first

    calls = []
    monkeypatch.setattr(training, "select_logits", ranked)
    trainer = build(tiny_npz, "--loss", loss, "--gradient-penalty", "none", "--spectral-norm",
                    "--arch", "dcgan", augment="adaptive")
    trainer.train(trainer.feed.epoch_batches(1)[:2])
    assert float(trainer.state.augmentation) == pytest.approx(2 * (1 - TARGET) / (PASSES * 20))


def test_mirror_shows_about_half_of_the_images_mirrored(tensorflow):
    images = np.random.default_rng(0).normal(size=(400, 4, 4, 3)).astype(np.float32)
    found = mirrored(images, tensorflow.random.stateless_uniform([400, 1], [0, 1])).numpy()
    turned = (found == images[:, :, ::-1]).all(axis=(1, 2, 3))
    assert (turned | (found == images).all(axis=(1, 2, 3))).all()
    assert 150 < turned.sum() < 250
