"""Short trainings that one process and several take alike; run as a script, one of several."""

import json
import os
import sys
import types

import numpy as np

from gan.config import TrainConfig
from gan.data.conditioning import condition_dataset
from gan.data.datasets import load_dataset
from gan.distributed.replica import SINGLE
from tests.conftest import TINY

STEPS = 4  # after more, a value at the edge of a ReLU makes any two roundings differ
CASES = {  # name → (policy, whether the samples are streamed, options)
    "conv": ("float32", True, ["--mirror", "--dropout", "0.3", "--gp-interval", "2"]),
    "dcgan": ("float32", False, ["--arch", "dcgan", "--loss", "wgan", "--n-critic", "2",
                                 "--gradient-penalty", "wgan-gp"]),
    "resnet": ("float32", False, ["--arch", "resnet", "--burn-in", "0.1"]),
    "mlp": ("float32", False, ["--arch", "mlp", "--loss", "hinge", "--spectral-norm"]),
    "points": ("float32", False, ["--dataset", "ring", "--loss", "relativistic"]),
    "bfloat16": ("mixed_bfloat16", False, ["--loss", "lsgan"]),
    "float16": ("mixed_float16", False, ["--loss", "minimax", "--gradient-penalty", "r1"]),
    "overflow": ("mixed_float16", False, ["--dataset", "ring", "--gradient-penalty", "none"]),
    "reduced": ("float32", False, ["--dataset", "ring", "--reduce-precision", "bfloat16"]),
}


def train(replicas, dataset, name):
    """Take some steps; returns dict of name → array: every variable and the measures."""
    from gan.training import build_trainer

    policy, streamed, options = CASES[name]
    data = [] if "--dataset" in options else ["--dataset", str(dataset), "--clusters", "2"]
    config, _ = TrainConfig.from_args([*data, *TINY, *options])
    dataset = load_dataset(config.dataset)
    config = config.for_data(dataset)
    conditioning = condition_dataset(dataset, config.condition, config.clusters, config.seed,
                                     config.components)
    trainer, _ = build_trainer(config, dataset, conditioning, policy, streamed, replicas)
    batches = trainer.feed.epoch_batches(1)[:STEPS]
    if name == "overflow":  # in the row of the second process alone
        samples = dataset.samples.copy()
        samples[batches[1, 1]] = 1e30
        dataset = types.SimpleNamespace(samples=samples, sample_shape=dataset.sample_shape,
                                        extent=dataset.extent, background=None)
        trainer, _ = build_trainer(config, dataset, conditioning, policy, streamed, replicas)
    if trainer.state.augmentation is not None:  # few images, but it begins with nothing
        trainer.state.augmentation.assign(0.5)
    measures = np.array(trainer.train(batches))
    return {"measures": measures, **{
        name: variable.numpy() for name, variable in trainer.state.variables().items()}}


def main():
    """Run the cases as one of several processes and save what came out."""
    index, addresses, dataset, target, names = json.loads(sys.argv[1])
    from gan.distributed.joining import join

    replicas = join(addresses, index)
    assert replicas.hand_out(lambda: b"configuration") == b"configuration"
    assert [m["i"] for m in replicas.exchange({"i": index})] == list(range(len(addresses)))
    arrays = {f"{name}:{key}": value for name in names
              for key, value in train(replicas, dataset, name).items()}
    np.savez(target, **arrays)
    os._exit(0)


def alone(dataset, names):
    """What one process makes of the cases, named as `main` saves it."""
    return {f"{name}:{key}": value for name in names
            for key, value in train(SINGLE, dataset, name).items()}


if __name__ == "__main__":
    main()
