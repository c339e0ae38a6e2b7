"""How many epochs fit into some minutes, what that costs, and how much memory a run needs."""

import json

import numpy as np
import pytest
import tensorflow as tf

from gan.common.errors import duration
from gan.common.files import read_archive
from gan.config import TrainConfig
from gan.run import plan
from gan.run.checkpoint import list_checkpoints
from tests.conftest import TINY, assert_error, build, complete
from tests.test_training import values


def config_of(epochs, **options):
    return complete(TrainConfig(epochs=epochs, **options), (60_000, 28, 28, 1))


@pytest.mark.parametrize(("epochs", "options", "seconds"), [
    (10, {}, 5 + 1.06 * (100 * 0.1 + 10 * 0.05 + 10 * 100 * 0.01 + 3)),
    (80, {}, 5 + 1.06 * (800 * 0.1 + 80 * 0.05 + 40 * 100 * 0.01 + 3)),  # a grid every other epoch
    (10, {"sample_interval": 5, "metrics_interval": 3},
     5 + 1.06 * (10 + 10 * 0.05 + 2 * 100 * 0.01 + 4 * 3))])
def test_the_seconds_of_a_run_are_those_of_its_parts(epochs, options, seconds):
    costs = plan.Costs(begun=5, step=0.1, draw=0.01, measurement=3)
    assert costs.total(config_of(epochs, **options), 10 * epochs) == pytest.approx(seconds)


def test_as_many_epochs_as_fit(monkeypatch):
    monkeypatch.setattr(plan, "RESERVE", 0)
    monkeypatch.setattr(plan, "EPOCH_SECONDS", 0)
    costs = plan.Costs(begun=10, step=0.1, draw=0, measurement=20)
    for minutes, epochs in ((1.1, 3), (1.166, 3), (1.168, 4), (10, 57)):
        assert plan.epochs_within(costs, TrainConfig(minutes=minutes), 100, config_of) == epochs
    assert_error("--minutes: a single epoch takes about 0.667 minutes with",
                 plan.epochs_within, costs, TrainConfig(minutes=0.5), 100, config_of)


@pytest.mark.parametrize(("seconds", "text"), [
    (4.44, "4.4 s"), (60, "1 min 0 s"), (125.4, "2 min 5 s"), (11_530, "3 h 12 min")])
def test_durations(seconds, text):
    assert duration(seconds) == text


def test_steps_that_are_timed_are_taken_back(tiny_npz):
    trainer = build(tiny_npz, "--arch", "mlp", "--dropout", 0.1, "--augment", "adaptive")
    trainer.train(trainer.feed.epoch_batches(1)[:3])
    before = values(trainer)
    for seconds in (1e-6, 0.1):  # fewer steps than 8, or more
        assert 0 < plan.time_step(trainer, seconds) < 10
        np.testing.assert_equal(values(trainer), before)


def test_a_planned_run_is_that_of_as_many_epochs(trained, tiny_npz, tmp_path, monkeypatch):
    measured = plan.time_parts

    def three_epochs(*arguments):
        assert min(measured(*arguments)) > 0
        return plan.Costs(begun=1, step=1, draw=0, measurement=0)

    monkeypatch.setattr(plan, "time_parts", three_epochs)
    tiny = ["--dataset", tiny_npz, *TINY, "--clusters", 2, "--arch", "mlp",
            "--gradient-penalty", "none"]
    output = trained(*tiny, "--minutes", 1.1, "--outdir", "planned")
    assert "plan        3 epochs, 60 steps of 16 images; about 1 min 5 s" in output
    config = json.loads((tmp_path / "planned/config.json").read_text())
    assert (config["epochs"], config["log_interval"], config["minutes"]) == (3, 1, 1.1)
    trained(*tiny, "--epochs", 3, "--outdir", "given")
    newest = [list_checkpoints(tmp_path / name / "checkpoints")[0] for name in ("planned", "given")]
    np.testing.assert_equal(*(read_archive(path, "a checkpoint")[0] for path in newest))

    monkeypatch.setattr(plan, "epochs_within", None)
    assert "3 epochs, 60 steps of 16 images, 60 of them done" in trained(
        "--outdir", "planned", "--resume", "--minutes", 1.1)


def test_what_does_not_fit_into_memory_is_refused(refused, tiny_npz, tmp_path, monkeypatch):
    arguments = ["--dataset", tiny_npz, *TINY, "--outdir", "run"]
    monkeypatch.setattr(plan, "memory_bytes", lambda: 2**20)
    assert "GiB of memory, of which there are 0.0; expected a smaller --batch-size" in refused(
        "train_gan.py", *arguments)
    monkeypatch.setattr("gan.training.build_trainer", None)  # too wide, they are not even built
    monkeypatch.setattr(plan, "memory_bytes", lambda: 2**26)
    assert "about 0.1 GiB of memory" in refused("train_gan.py", *arguments, "--base-channels", 1000)
    assert not list((tmp_path / "run").rglob("*.*"))


def test_memory_is_that_of_the_tensors_that_are_alive_at_once():
    def alive(function):
        graph = tf.function(function, autograph=False, input_signature=[
            tf.TensorSpec([1000], tf.float32)]).get_concrete_function().graph
        return plan.most_alive(graph, graph._functions) // 4000

    assert alive(lambda x: tf.exp(tf.exp(tf.exp(x)))) == 2
    assert alive(lambda x: tf.exp(tf.reshape(tf.exp(x), [10, 100]))) == 2

    def keeps_the_first(x):
        first = tf.exp(x)
        return first + tf.exp(tf.exp(tf.exp(first)))

    assert alive(keeps_the_first) == 3
    assert alive(lambda x: tf.cond(
        tf.reduce_sum(x) > 0, lambda: keeps_the_first(x), lambda: x)) == 4
    assert alive(lambda x: tf.while_loop(
        lambda i, _: i < 3, lambda i, y: (i + 1, keeps_the_first(y)), [0, tf.exp(x)])[1]) == 5
