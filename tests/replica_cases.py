"""Short trainings that one device and several take alike; run as a script, on several."""

import dataclasses
import json
import sys
import types

import numpy as np

from gan.common.device import find_device
from gan.config import TrainConfig
from gan.data.conditions import condition_dataset
from gan.data.datasets import load_dataset
from gan.distributed.cluster import joined
from gan.distributed.replica import replicas_on
from tests.conftest import TINY

STEPS = 4  # after more, a value at the edge of a ReLU makes any two roundings differ
CASES = {  # name → (precision, whether the samples are streamed, options)
    "conv": ("off", True, ["--mirror", "--dropout", "0.3", "--gp-interval", "2"]),
    "dcgan": ("off", False, ["--arch", "dcgan", "--loss", "wgan", "--n-critic", "2",
                             "--gradient-penalty", "wgan-gp"]),
    "points": ("off", False, ["--dataset", "ring", "--loss", "relativistic", "--spectral-norm"]),
    "float16": ("float16", False, ["--loss", "minimax", "--gradient-penalty", "r1",
                                   "--reduce-precision", "bfloat16"]),
    "overflow": ("float16", False, ["--dataset", "ring", "--gradient-penalty", "none"]),
}


def train(replicas, dataset, name):
    """Take some steps; returns for each replica dict of name → array: variables and measures."""
    from gan.training import build_trainer

    precision, streamed, options = CASES[name]
    data = [] if "--dataset" in options else ["--dataset", str(dataset), "--clusters", "2"]
    config, _ = TrainConfig.from_args([*data, *TINY, *options])
    dataset = load_dataset(config.dataset)
    config = dataclasses.replace(config.for_data(dataset), mixed_precision=precision)
    conditioning = condition_dataset(dataset, config.condition, config.clusters, config.seed,
                                     config.components)
    trainer, _ = build_trainer(config, dataset, conditioning, streamed, replicas)
    batches = trainer.feed.epoch_batches(1)[:STEPS]
    if name == "overflow":  # in the row of the second process alone
        samples = dataset.samples.copy()
        samples[batches[1, 1]] = 1e30
        dataset = types.SimpleNamespace(samples=samples, sample_shape=dataset.sample_shape,
                                        box=dataset.box, background=None)
        trainer, _ = build_trainer(config, dataset, conditioning, streamed, replicas)
    if trainer.state.augmentation is not None:  # few images, but it begins with nothing
        trainer.state.augmentation.assign(0.5)
    measures = np.array(trainer.train(batches))
    states = [trainer.state for trainer in getattr(trainer, "trainers", [trainer])]
    return [{"measures": measures, **{name: variable.numpy()
                                      for name, variable in state.variables().items()}}
            for state in states]


def run_cases(replicas, dataset, names):
    """Return what each replica makes of the cases, as a dict of "case:variable" → array."""
    found = [{} for _ in replicas]
    for name in names:
        for arrays, case in zip(found, train(replicas, dataset, name), strict=True):
            arrays |= {f"{name}:{key}": value for key, value in case.items()}
    return found


def main():
    """Run the cases and save what came out of each replica of this process."""
    dataset, targets, names = json.loads(sys.argv[1])
    with joined(types.SimpleNamespace(devices=1)) as cluster:
        device = find_device("off", "cpu", len(targets))
        found = run_cases(replicas_on(device.names, cluster), dataset, names)
    for target, arrays in zip(targets, found, strict=True):
        np.savez(target, **arrays)


if __name__ == "__main__":
    main()
