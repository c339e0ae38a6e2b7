"""Training from shards: the same bits held, streamed, and resumed in the middle of an epoch."""

import json
import os
import shutil
import signal

import numpy as np
import pytest

from gan.common.errors import UserError
from gan.config import TrainConfig
from gan.data.conditions import condition_dataset
from gan.data.datasets import load_dataset
from gan.data.shards import write_shards
from tests.conftest import TINY, run_module, run_script
from tests.test_resume import LONG, assert_same_run, start_training, wait_for
from tests.test_training import assert_same, values


@pytest.fixture(scope="module")
def sharded(tiny_npz, tmp_path_factory):
    target = tmp_path_factory.mktemp("shards") / "shapes"
    write_shards(load_dataset(str(tiny_npz)), target, 20_000, 0, "labels", 2, 8)
    return target


def build(folder, streamed=True):
    from gan.training import build_trainer

    config, _ = TrainConfig.from_args(["--dataset", str(folder), *TINY, "--clusters", "2"])
    dataset = load_dataset(config.dataset)
    config = config.for_data(dataset)
    conditioning = condition_dataset(dataset, config.condition, config.clusters, config.seed,
                                     config.components)
    return build_trainer(config, dataset, conditioning, streamed)[0]


def test_held_streamed_and_resumed_in_an_epoch_are_one_run(sharded, tensorflow):
    held, first, second = build(sharded, streamed=False), build(sharded), build(sharded)
    expected = [held.train(held.feed.epoch_batches(epoch)) for epoch in (1, 2)]
    found = [first.train(first.feed.epoch_batches(1)),
             first.train(first.feed.epoch_batches(2)[:7])]
    for name, variable in second.state.variables().items():
        variable.assign(values(first)[name])
    found.append(second.train(second.feed.epoch_batches(2)[7:]))
    np.testing.assert_array_equal(np.concatenate(found), np.concatenate(expected))
    assert_same(values(second), values(held))


def test_a_shard_that_goes_while_training_is_a_line(sharded, tensorflow, tmp_path):
    copy = shutil.copytree(sharded, tmp_path / "copy")
    trainer = build(copy)
    os.truncate(copy / "images-00002.npy", 100)  # it is open: unlinked, it would be there still
    with pytest.raises(UserError, match="images-00002.npy: expected more images, .* was cut off"):
        trainer.train(trainer.feed.epoch_batches(1))


@pytest.mark.slow
def test_a_run_on_shards_is_stopped_resumed_drawn_from_and_evaluated(sharded, tmp_path):
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    settings = ["--dataset", sharded, "--clusters", 2, *LONG]
    done = run_script("train_gan.py", *settings, "--outdir", whole, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "read from the disk while training" in done.stdout
    assert "4 clusters within the labels" in done.stdout
    process = start_training(tmp_path, *settings, "--outdir", stopped)
    wait_for(stopped / "generated_images/epoch_0004.png", process)
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 128 + signal.SIGTERM
    done = run_script("train_gan.py", "--resume", "--outdir", stopped, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert_same_run(whole, stopped)
    drawn = run_script("generate.py", "--model", whole, "--num-images", 4, cwd=tmp_path)
    assert drawn.returncode == 0, drawn.stderr
    report = tmp_path / "metrics.json"
    done = run_module("gan.evaluate", "--model", whole, "--num-images", 100, "--json", report)
    assert done.returncode == 0, done.stderr
    metrics = json.loads(report.read_text())
    assert metrics["trained_on_this_data"] is True
    assert metrics["generated"]["frechet"] > 0 and metrics["test_images"]["frechet"] > 0
