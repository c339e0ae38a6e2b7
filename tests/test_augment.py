import math

import numpy as np
import pytest
import tensorflow as tf

from gan import training
from gan.augment import DRAWS, MAX_P, PASSES, TARGET, adapted, augment, mirrored
from tests.conftest import build

# The draw that decides whether a change is made, and those that say how strong it is.
DRAWN = {"mirror": [0], "scale": [1, 9], "stretch": [2, 10], "shift": [3, 11, 12],
         "brightness": [4, 13], "contrast": [5, 14], "saturation": [6, 15], "hue": [7, 16],
         "blank": [8, 17, 18]}
IMAGES = np.random.default_rng(0).uniform(-1, 1, (3, 16, 32, 3)).astype(np.float32)


def changed(images, **made):
    """Make the named changes to images, as strong as given, and no others."""
    images = np.asarray(images, np.float32)
    draws = np.full((len(images), DRAWS), 0.999, np.float32)
    for name, amount in made.items():
        decides, *strengths = DRAWN[name]
        draws[:, decides] = 0
        draws[:, strengths] = amount
    return augment(tf.constant(images), tf.constant(draws), tf.constant(0.9)).numpy()


# The draw at which a normal distribution is one deviation above its mean.
ONE_DEVIATION = (1 + math.erf(1 / math.sqrt(2))) / 2


@pytest.mark.parametrize(("made", "expected"), [
    ({"mirror": None}, lambda images: images[:, :, ::-1]),
    ({"brightness": ONE_DEVIATION}, lambda images: images + 0.2),
    ({"contrast": ONE_DEVIATION}, lambda images: images * 2**0.5),
    ({"hue": 1 / 3}, lambda images: images[..., [2, 0, 1]]),  # red to green to blue
    ({"saturation": ONE_DEVIATION}, lambda images: 2 * images - images.mean(axis=3, keepdims=True)),
])
def test_what_is_changed(made, expected):
    np.testing.assert_allclose(changed(IMAGES, **made), expected(IMAGES), atol=1e-5)


def test_grays_stay():
    gray = IMAGES[..., :1].repeat(3, axis=3)
    np.testing.assert_allclose(changed(gray, hue=0.4, saturation=0.9), gray, atol=1e-5)


def test_a_shift_is_by_an_eighth_of_the_side_at_one_deviation():
    found = changed(IMAGES, shift=[0.5, ONE_DEVIATION])  # 0.5: not up or down
    np.testing.assert_allclose(found[:, :, :28], IMAGES[:, :, 4:], atol=1e-4)
    # What is moved in is the reflection: 31 is followed by 30 and 29.
    np.testing.assert_allclose(found[:, :, 28:], IMAGES[:, :, [30, 29, 28, 27]], atol=1e-4)


def test_scaling_keeps_the_middle_and_a_linear_picture_linear():
    ramp = np.broadcast_to(np.linspace(-1, 1, 17)[:, None], (1, 17, 17))[..., None]
    found = changed(ramp, scale=ONE_DEVIATION)  # larger by 2 ** 0.2
    expected = np.broadcast_to(ramp / 2**0.2, found.shape)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    flat = changed(ramp, stretch=ONE_DEVIATION)  # higher, and narrower
    np.testing.assert_allclose(flat, expected, atol=1e-5)


def test_a_rectangle_of_half_the_sides_is_blanked():
    found = changed(IMAGES, blank=[0.25, 0.5])
    assert (found[:, :8, 8:24] == 0).all()
    found[:, :8, 8:24] = IMAGES[:, :8, 8:24]
    np.testing.assert_allclose(found, IMAGES, atol=1e-6)


def test_p_is_the_fraction_of_images_that_each_change_is_made_to():
    images = tf.random.stateless_uniform([4000, 8, 8, 1], [5, 6])
    draws = tf.random.stateless_uniform([4000, DRAWS], [3, 4])
    found = augment(images, draws, tf.constant(0.1)).numpy()
    same = np.isclose(found, images, atol=1e-6).all(axis=(1, 2, 3)).mean()
    # Six changes of gray images at 0.1 and mirroring at 0.05 miss this many.
    assert same == pytest.approx(0.95 * 0.9**6, abs=0.03)
    np.testing.assert_array_equal(augment(images, draws, tf.constant(0.0)), images)


def test_the_gradient_is_that_of_the_changes():
    draws = tf.random.stateless_uniform([3, DRAWS], [9, 9])
    p, weights = tf.constant(0.7), np.random.default_rng(1).normal(size=IMAGES.shape)
    weights = tf.constant(weights, tf.float32)
    with tf.GradientTape() as tape:
        inputs = tf.constant(IMAGES)
        tape.watch(inputs)
        total = tf.reduce_sum(weights * augment(inputs, draws, p))
    gradient = tape.gradient(total, inputs)
    # All changes are affine: a difference along any direction is exact.
    step = tf.random.stateless_normal(IMAGES.shape, [2, 2])
    moved = tf.reduce_sum(weights * augment(inputs + step, draws, p))
    expected = tf.reduce_sum(gradient * step)
    np.testing.assert_allclose(moved - total, expected, rtol=1e-3, atol=1e-2)


@pytest.mark.parametrize(("p", "accuracy", "expected"), [
    (0.1, 1.0, 0.1 + (1 - TARGET) / (PASSES * 100)),
    (0.1, 0.5, 0.1 - (TARGET - 0.5) / (PASSES * 100)), (0.3, TARGET, 0.3),
    (0.0, 0.5, 0.0), (MAX_P, 1.0, MAX_P)])
def test_p_follows_the_accuracy_of_the_discriminator(p, accuracy, expected):
    found = adapted(tf.constant(p), tf.constant(accuracy), 100)
    assert float(found) == pytest.approx(expected)


@pytest.mark.parametrize("loss", ["nonsaturating", "relativistic", "wgan"])
def test_p_rises_while_real_images_rank_above_generated_ones(tiny_npz, monkeypatch, loss):
    """What a condition adds to all of its logits makes no difference."""
    logits_under = training.logits_under

    def ranked(discriminator, condition):
        def logits(samples):
            offsets = tf.where(condition[:, 0] > 0, 50.0, -50.0)
            calls.append(0)
            rank = 1.0 if len(calls) % 2 else -1.0  # real ones come first
            return 0 * logits_under(discriminator, condition)(samples) + offsets + rank

        return logits

    calls = []
    monkeypatch.setattr(training, "logits_under", ranked)
    trainer = build(tiny_npz, "--loss", loss, "--gradient-penalty", "none", "--spectral-norm",
                    "--arch", "dcgan", augment="adaptive")
    trainer.train(trainer.feed.epoch_batches(1)[:2])
    assert float(trainer.state.augmentation) == pytest.approx(2 * (1 - TARGET) / (PASSES * 20))


def test_mirror_shows_about_half_of_the_images_mirrored():
    images = np.random.default_rng(0).normal(size=(400, 4, 4, 3)).astype(np.float32)
    found = mirrored(images, tf.random.stateless_uniform([400, 1], [0, 1])).numpy()
    turned = (found == images[:, :, ::-1]).all(axis=(1, 2, 3))
    assert (turned | (found == images).all(axis=(1, 2, 3))).all()
    assert 150 < turned.sum() < 250
