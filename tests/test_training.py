import dataclasses
import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

from gan import training
from gan.config import TrainConfig
from gan.distributed.replica import SINGLE
from gan.losses import LOSSES
from gan.models import build_discriminator, samples_are_independent
from gan.training import FusedAdam, LinearDecay, add_penalty, parts_of, train_step
from tests.conftest import build


def values(trainer):
    return {name: variable.numpy() for name, variable in trainer.state.variables().items()}


def restore(trainer, saved):
    for name, variable in trainer.state.variables().items():
        variable.assign(saved[name])


def test_an_epoch_shows_every_image_once_and_streamed_the_same_bits(tiny_npz):
    held, streamed = (build(tiny_npz, "--arch", "mlp", streamed=streamed)
                      for streamed in (False, True))
    first, second = held.feed.epoch_batches(1), held.feed.epoch_batches(2)
    assert first.shape == (20, 16)
    assert sorted(first.ravel()) == list(range(320)) == sorted(second.ravel())
    assert (first != second).any()
    np.testing.assert_array_equal(first, held.feed.epoch_batches(1))
    other = build(tiny_npz, "--arch", "mlp", "--seed", 1)
    assert (first != other.feed.epoch_batches(1)).any()
    for name in ("generator/00", "discriminator/00"):
        assert (values(held)[name] != values(other)[name]).any()
    np.testing.assert_array_equal(held.train(first), streamed.train(streamed.feed.epoch_batches(1)))
    np.testing.assert_equal(values(held), values(streamed))


@pytest.mark.parametrize("options", [
    "--arch mlp --loss minimax --label-smoothing 0.1 --dropout 0.5 --augment adaptive --n-critic 2",
    "--loss hinge --spectral-norm --gradient-penalty none",
    pytest.param("--condition none --loss lsgan --mirror", marks=pytest.mark.slow),
    pytest.param("--arch resnet --augment adaptive --epochs 5", marks=pytest.mark.slow)])
def test_grouping_of_steps_and_a_restored_state_leave_no_trace(tiny_npz, options):
    whole, first = (build(tiny_npz, *options.split()) for _ in range(2))
    batches = whole.feed.epoch_batches(1)
    measures = whole.train(batches).numpy()
    assert np.isfinite(measures).all()
    end, parts = values(whole), [first.train(batches[:1]), first.train(batches[1:8])]
    restore(whole, values(first))
    parts.append(whole.train(batches[8:]))
    np.testing.assert_array_equal(np.concatenate(parts), measures)
    np.testing.assert_equal(values(whole), end)


def test_first_step_measures_an_undecided_discriminator(tiny_npz):
    trainer = build(tiny_npz)
    measures = train_step(trainer.config, trainer.state, SINGLE,
                          *trainer.feed.batch(trainer.feed.epoch_batches(1)[0])).numpy()
    # Weights of 0.02 give logits near 0: both losses are those of a coin.
    assert measures[:4] == pytest.approx([2 * np.log(2), np.log(2), 0.5, 0.5], abs=0.02)
    assert (measures[5:] > 0).all()  # the lengths of the gradients


@pytest.mark.parametrize(("fraction", "critic"), [(0, 1), (0.5, 1), (0.5, 2)])
def test_ema_spans_a_fraction_of_the_steps_so_far(tiny_npz, fraction, critic):
    trainer = build(tiny_npz, "--ema", fraction, "--n-critic", critic, "--arch", "mlp")
    batches = trainer.feed.epoch_batches(1)
    mean = [variable.numpy() for variable in trainer.state.ema.variables]
    for step in range(4):
        trainer.train(batches[step : step + 1])
        if (step + 1) % critic:  # the generator rests
            continue
        decay = 1 - 1 / (1 + fraction * (step + 1))
        for index, variable in enumerate(trainer.state.generator.variables):
            mean[index] = decay * mean[index] + (1 - decay) * variable.numpy()
    for expected, variable in zip(mean, trainer.state.ema.variables, strict=True):
        np.testing.assert_allclose(variable.numpy(), expected, atol=1e-5, err_msg=variable.path)


@pytest.fixture(scope="module")
def untrained(tiny_npz):
    return functools.cache(lambda loss: build(
        tiny_npz, "--loss", loss, "--gradient-penalty", "r1", "--arch", "mlp"))


def first_gradient(trainer):
    """The generator's gradient in a first step, which leaves no trace."""
    before = values(trainer)
    train_step(trainer.config, trainer.state, SINGLE,
               *trainer.feed.batch(trainer.feed.epoch_batches(1)[0]))
    # Adam's mean gradient, as beta1 is 0.
    found = [value.numpy() for value in trainer.state.generator_optimizer._momentums]
    restore(trainer, before)
    return found


@pytest.mark.parametrize("loss", LOSSES)
def test_an_edited_loss_trains_as_edited(untrained, monkeypatch, loss):
    trainer = untrained(loss)
    written = trainer.state.loss
    before = first_gradient(trainer)
    for factor in (0.0, -2.0):
        edited = written._replace(
            generator=lambda real, fake, factor=factor: factor * written.generator(real, fake))
        monkeypatch.setattr(trainer.state, "loss", edited)
        for first, second in zip(before, first_gradient(trainer), strict=True):
            np.testing.assert_allclose(second, factor * first, rtol=1e-4, atol=1e-9)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("bias", [0.0, -20.0, -88.0, -200.0])  # how sure D is of all samples
def test_one_backward_pass_gives_the_gradients_of_two(untrained, monkeypatch, loss, bias):
    trainer, gradients = untrained(loss), []
    state, last = trainer.state, trainer.state.discriminator.trainable_variables[-1]
    assert state.one_backward_pass
    # A logit is the sum of two outputs, of its label and of its cluster; others stay 0.
    components = trainer.feed.batch([0])[2].shape[1]
    last.assign(np.where(np.arange(last.shape[0]) < last.shape[0] - components, bias / 2, 0))
    for one_pass in (True, False):
        monkeypatch.setattr(state, "one_backward_pass", one_pass)
        gradients.append(first_gradient(trainer))
    last.assign(tf.zeros(last.shape))
    for first, second in zip(*gradients, strict=True):
        np.testing.assert_allclose(first, second, rtol=1e-3, atol=1e-6 * np.abs(second).max())


def test_samples_that_see_each_other_are_noticed():
    config = TrainConfig(arch="conv", base_channels=4, dropout=0.3)
    network = build_discriminator(config, (16, 16, 1), 3)
    before = [variable.numpy() for variable in network.variables]
    assert samples_are_independent(network)
    np.testing.assert_equal([variable.numpy() for variable in network.variables], before)
    normed = keras.Sequential([
        keras.Input((4, 4, 1)), keras.layers.BatchNormalization(), keras.layers.Flatten(),
        keras.layers.Dense(1, kernel_initializer="zeros")])
    assert not samples_are_independent(normed)


@pytest.mark.parametrize(("kind", "uses_real", "uses_fake"), [
    ("r1", True, False), ("r2", False, True), ("r1r2", True, True), ("wgan-gp", True, True)])
def test_penalties_look_where_their_names_say(untrained, kind, uses_real, uses_fake):
    trainer = untrained("hinge")
    state, config = trainer.state, dataclasses.replace(trainer.config, gradient_penalty=kind)
    images = [tf.random.stateless_uniform([16, 16, 16, 1], [0, seed], -1, 1) for seed in range(3)]
    zeros = [tf.zeros_like(variable) for variable in state.discriminator.trainable_variables]
    condition = tf.ones([16, *state.discriminator.output_shape[1:]])

    def added(real, fake):
        found = add_penalty(config, state, lambda *_: tf.fill([16, 1, 1, 1], 0.5), zeros, real,
                            fake, condition)
        return np.concatenate([gradient.numpy().ravel() for gradient in found])

    both = added(images[0], images[1])
    assert (added(images[2], images[1]) != both).any() == uses_real
    assert (added(images[0], images[2]) != both).any() == uses_fake


@pytest.mark.parametrize("contrast", [0.5, 2.0])
def test_fine_detail_is_pulled_to_the_strength_of_real_images(tiny_npz, contrast):
    trainer = build(tiny_npz, "--arch", "mlp", "--detail-weight", 8)
    real = tf.random.stateless_uniform([16, 16, 16, 1], [0, 0], -1, 1)
    fake, flat = contrast * tf.reverse(real, [0]), tf.ones_like(real)
    relative = contrast**2 / (1 + contrast**2)  # of the generated images, of both
    gap = 2 * relative - 1
    gradient = functools.partial(
        training.detail_gradient, trainer.config, trainer.state, SINGLE)
    assert not np.any(gradient(flat, flat))
    first = gradient(real, fake)
    assert float(trainer.state.detail_gap) == pytest.approx(gap / 50, rel=1e-3)
    # In the mean over many steps, the slope of the logarithm is 8 times the gap.
    trainer.state.detail_gap.assign(gap)
    settled = gradient(real, fake)
    np.testing.assert_allclose(settled, 50 * first, rtol=1e-3, atol=1e-8)
    assert float(tf.reduce_sum(settled * fake)) == pytest.approx(8 * gap * 2 * relative, rel=1e-3)


def test_lazy_penalty_acts_in_its_steps_only(tiny_npz):
    plain = build(tiny_npz, "--arch", "mlp", "--gradient-penalty", "none")
    lazy = build(tiny_npz, "--arch", "mlp", "--gp-weight", 10, "--gp-interval", 3)
    batches = plain.feed.epoch_batches(1)

    def discriminators_equal(steps):
        for trainer in (plain, lazy):
            trainer.train(batches[:steps])
        weights = [trainer.state.discriminator.get_weights() for trainer in (plain, lazy)]
        return all((a == b).all() for a, b in zip(*weights, strict=True))

    assert not discriminators_equal(1)  # step 0 is penalized
    restore(lazy, values(plain))
    assert discriminators_equal(2)  # steps 1 and 2 are not
    assert not discriminators_equal(1)  # step 3 is


def test_float16_loss_scale_skips_an_overflow_and_halves(tiny_npz):
    trainer = build(tiny_npz, "--arch", "mlp", mixed_precision="float16")
    state, batches = trainer.state, trainer.feed.epoch_batches(1)
    assert not state.one_backward_pass  # small slopes are lost, and so their ratio
    # Adam's mean gradient is the same whatever the scale, but for float16's rounding.
    start, means = values(trainer), []
    for scale in (2.0**4, 2.0**12):
        restore(trainer, start)
        state.discriminator_optimizer.dynamic_scale.assign(scale)
        trainer.train(batches[:1])
        means.append(state.discriminator_optimizer.inner_optimizer.variables[2].numpy())
    np.testing.assert_allclose(*means, rtol=0.05, atol=1e-5)
    # No float16 gradient survives this scale.
    before = [variable.numpy() for variable in state.generator.trainable_variables]
    state.generator_optimizer.dynamic_scale.assign(2.0**100)
    trainer.train(batches[1:2])
    assert float(state.generator_optimizer.dynamic_scale) == 2.0**99
    after = [variable.numpy() for variable in state.generator.trainable_variables]
    np.testing.assert_equal(after, before)


def test_the_generator_waits_for_its_critic(tiny_npz):
    trainer = build(tiny_npz, "--arch", "mlp", "--n-critic", 3)
    batches, moved = trainer.feed.epoch_batches(1), []
    for step in range(6):
        before = trainer.state.generator.trainable_variables[0].numpy()
        measures = trainer.train(batches[step : step + 1]).numpy()
        moved.append(bool((trainer.state.generator.trainable_variables[0].numpy() != before).any()))
        assert (measures[0, 6] > 0) == moved[-1]  # no gradient is taken where none is used
    assert moved == [False, False, True, False, False, True]
    assert int(trainer.state.generator_optimizer.iterations) == 2


def test_spectral_vectors_move_once_a_step(tiny_npz):
    trainer = build(tiny_npz, "--spectral-norm", "--arch", "mlp", "--gradient-penalty", "none")
    layer = next(layer for layer in trainer.state.discriminator.layers if hasattr(layer, "u"))
    matrix, v = layer.kernel.numpy().reshape(-1, layer.units), layer.v.numpy()
    trainer.train(trainer.feed.epoch_batches(1)[:1])
    np.testing.assert_allclose(layer.u.numpy(), matrix @ v / np.linalg.norm(matrix @ v),
                               rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("precision", ["bfloat16", pytest.param("float16", marks=pytest.mark.slow)])
def test_residual_networks_learn_in_half_precision(tiny_npz, precision):
    trainer = build(tiny_npz, "--arch", "resnet", mixed_precision=precision)
    before = values(trainer)
    measures = trainer.train(trainer.feed.epoch_batches(1)).numpy()
    assert np.isfinite(measures[:, :5]).all()
    *moved, bias = [np.abs(value - before[name]).max() for name, value in values(trainer).items()
                    if name.startswith(("generator/", "discriminator/"))]
    # The relativistic loss leaves the last bias alone: no difference of logits depends on it.
    assert min(moved) > 0 and all(np.isfinite([*moved, bias]))
    assert {variable.dtype.name for name, variable in trainer.state.variables().items()
            if "optimizer" not in name and name != "step"} == {"float32"}


def test_fused_adam_takes_the_steps_of_keras_adam():
    start, ends = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32), []
    for kind in (keras.optimizers.Adam, FusedAdam):
        variable, random = keras.Variable(start), np.random.default_rng(1)
        optimizer = kind(0.01, beta_1=0.5, beta_2=0.99)
        optimizer.build([variable])
        for _ in range(20):
            gradient = tf.constant(random.normal(size=(4, 3)), "float32")
            optimizer.apply([gradient], [variable])
        ends.append(variable.numpy())
    np.testing.assert_allclose(*ends, rtol=2e-5)


def test_rate_is_constant_then_falls_to_a_tenth_by_the_last_epoch(tiny_npz):
    rate = LinearDecay(1.0, steps=100, decay=0.5)
    found = [float(rate(step)) for step in (0, 50, 75, 90, 99, 100, 500)]
    assert found == pytest.approx([1, 1, 0.5, 0.2, 0.1, 0.1, 0.1])
    assert float(LinearDecay(0.3, decay=0, steps=100)(99)) == pytest.approx(0.3)
    # It follows another number of epochs.
    trainer = build(tiny_npz, "--epochs", 2, "--n-critic", 2)
    assert trainer.state.learning_rates(39) == [0.00015, 0.00015]
    trainer.plan(dataclasses.replace(trainer.config, epochs=4))
    assert trainer.config.epochs == 4
    assert trainer.state.learning_rates(40) == [0.0015, 0.0015]
    assert trainer.state.learning_rates(60) == pytest.approx([0.00075, 0.00075])


@pytest.mark.parametrize("penalty", ["r1r2", "wgan-gp"])
def test_a_penalty_in_parts_is_the_whole_one(tiny_npz, monkeypatch, penalty):
    ends = []
    for pixels, parts in ((2**20, 1), (16 * 16 * 8, 4 if penalty == "r1r2" else 2)):
        monkeypatch.setattr(training, "PENALIZED", pixels)
        trainer = build(tiny_npz, "--gradient-penalty", penalty, "--arch", "mlp")
        ends.append(trainer.train(trainer.feed.epoch_batches(1)[:9]).numpy())
        assert parts_of((32 if penalty == "r1r2" else 16, 16, 16, 1)) == parts
    assert (ends[0] != ends[1]).any()
    np.testing.assert_allclose(*ends, rtol=1e-3)


@pytest.mark.parametrize(("shape", "parts"), [
    ((64, 28, 28, 1), 1), ((32, 128, 128, 3), 1), ((64, 256, 256, 3), 8), ((16, 512, 512, 3), 8),
    ((14, 512, 512, 3), 7), ((2, 2048, 2048, 1), 2), ((512, 2), 1)])
def test_large_images_are_penalized_in_equal_parts(shape, parts):
    assert parts_of(shape) == parts
