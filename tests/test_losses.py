import numpy as np
import pytest
import tensorflow as tf

from gan import losses


def sigmoid(values):
    return 1 / (1 + np.exp(-np.asarray(values, np.float64)))


def test_the_losses_are_those_of_the_papers():
    random = np.random.default_rng(0)
    real, fake = (random.normal(0, 3, 50).astype(np.float32) for _ in range(2))
    d_real, d_fake = sigmoid(real), sigmoid(fake)
    cross_entropy = -np.log(d_real).mean() - np.log(1 - d_fake).mean()
    expected = {
        "nonsaturating": (cross_entropy, -np.log(d_fake).mean()),
        "minimax": (cross_entropy, np.log(1 - d_fake).mean()),
        "lsgan": (np.square(real - 1).mean() / 2 + np.square(fake).mean() / 2,
                  np.square(fake - 1).mean() / 2),
        "hinge": (np.maximum(0, 1 - real).mean() + np.maximum(0, 1 + fake).mean(), -fake.mean()),
        "wgan": (fake.mean() - real.mean(), -fake.mean()),
        "relativistic": (-np.log(sigmoid(real - fake)).mean(),
                         -np.log(sigmoid(fake - real)).mean()),
    }
    assert losses.LOSSES.keys() == expected.keys()
    for name, loss in losses.LOSSES.items():
        found = loss.discriminator(real, fake), loss.generator(real, fake)
        np.testing.assert_allclose(found, expected[name], rtol=1e-5, err_msg=name)


def test_smoothing_moves_the_target_of_real_images_only():
    expected = (-0.9 * np.log(sigmoid(2)) - 0.1 * np.log(1 - sigmoid(2)) - np.log(1 - sigmoid(-1)))
    found = losses.cross_entropy_discriminator(tf.constant([2.0]), tf.constant([-1.0]), 0.1)
    assert float(found) == pytest.approx(expected)
    huge = tf.constant([1e4, -1e4])  # which stay finite
    assert float(losses.cross_entropy_discriminator(huge, huge)) == pytest.approx(1e4)


@pytest.mark.parametrize(("weights", "zero_centered", "one_centered"), [
    ([3.0, 4.0], 25 / 2, (5 - 1) ** 2), ([0.6, 0.8], 1 / 2, 0), ([0.0, 0.0], 0, 1)])
def test_penalties_of_a_linear_critic(weights, zero_centered, one_centered):
    gradient = tf.tile(tf.constant([weights]), [7, 1])  # the same at each point
    with tf.GradientTape() as tape:
        tape.watch(gradient)
        penalty = losses.one_centered_penalty(gradient)
    assert float(losses.zero_centered_penalty(gradient)) == pytest.approx(zero_centered)
    assert float(penalty) == pytest.approx(one_centered, abs=1e-5)
    assert np.isfinite(tape.gradient(penalty, gradient).numpy()).all()  # at zero as well


def test_fine_detail_is_what_a_blur_takes_away():
    stripes = tf.tile(tf.constant([1.0, -1.0]), [8])[:, None] * tf.ones([2, 16, 16, 3])
    for images, expected in ((stripes, 1), (0.7 + 0.5 * stripes, 0.25), (0.7 + 0 * stripes, 0)):
        assert float(losses.fine_detail(images)) == pytest.approx(expected, abs=1e-6)


def entropy_at(real):
    return -2 * (real * np.log(real) + (1 - real) * np.log(1 - real))


# With label smoothing of 0.2, D(x) of all samples is 0.4.
@pytest.mark.parametrize(("name", "smoothing", "discriminator_loss", "generator_loss"), [
    ("nonsaturating", 0, entropy_at(0.5), np.log(2)),
    ("nonsaturating", 0.2, entropy_at(0.4), -np.log(0.4)),
    ("minimax", 0, entropy_at(0.5), -np.log(2)), ("minimax", 0.2, entropy_at(0.4), np.log(0.6)),
    ("lsgan", 0, 1 / 4, 1 / 8), ("hinge", 0, 2, None), ("wgan", 0, 0, None),
    ("relativistic", 0, np.log(2), np.log(2))])
def test_equilibria_follow_from_the_formulas(name, smoothing, discriminator_loss, generator_loss):
    found = losses.equilibrium(losses.LOSSES[name], smoothing)
    assert found["discriminator_loss"] == pytest.approx(discriminator_loss, abs=1e-7)
    assert found.get("generator_loss") == (generator_loss
                                           and pytest.approx(generator_loss, abs=1e-4))


def test_losses_without_a_minimum_or_log_odds():
    falling = losses.Loss(lambda real, fake: tf.reduce_mean(fake), None)
    assert losses.equilibrium(falling) == {}
    assert [name for name, loss in losses.LOSSES.items() if losses.is_log_odds(loss)] == [
        "nonsaturating", "minimax"]


def test_accuracy_counts_pairs_in_the_right_order():
    real, fake = tf.constant([1.0, 2.0, 3.0, 0.0]), tf.constant([0.0, 5.0, 3.0, -1])
    assert float(losses.discriminator_accuracy(real, fake)) == 5 / 8  # two right, one draw
