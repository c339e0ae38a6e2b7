"""Short trainings that one device and several take alike; run as a script, on several."""

import dataclasses
import json
import sys
import types

import numpy as np

from gan.common.device import find_device
from gan.data.datasets import load_dataset
from gan.distributed.cluster import joined
from gan.distributed.replica import replicas_on
from tests.conftest import build

STEPS = 3  # after more, a value at the edge of a ReLU makes any two roundings differ
CASES = {  # name → (options, settings of `build`)
    "dcgan": ("--arch dcgan --mirror --dropout 0.3 --n-critic 2 --gp-interval 2",
              {"streamed": True}),
    "points": ("--dataset ring --loss wgan --gradient-penalty wgan-gp --spectral-norm", {}),
    # Which ends with an overflow.
    "float16": ("--dataset ring --loss relativistic --reduce-precision bfloat16",
                {"mixed_precision": "float16"}),
}


def train(replicas, dataset, name):
    """Take some steps; returns for each replica dict of name → array: variables and measures."""
    options, settings = CASES[name]
    if "ring" in options:
        dataset = load_dataset("ring")
    if name == "float16":  # in a row of the second replica alone
        samples = dataset.samples.copy()
        samples[build(dataset, *options.split()).feed.epoch_batches(1)[STEPS, 1]] = 1e30
        dataset = dataclasses.replace(dataset, samples=samples)
    trainer = build(dataset, *options.split(), replicas=replicas, **settings)
    if trainer.state.augmentation is not None:  # few images, but it begins with nothing
        trainer.state.augmentation.assign(0.5)
    batches = trainer.feed.epoch_batches(1)
    measures = np.array(trainer.train(batches[:STEPS]))
    if name == "float16":
        trainer.train(batches[STEPS : STEPS + 1])
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
