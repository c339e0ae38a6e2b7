"""What the benchmarks share: options, the report, and a trainer built from a command line."""

import argparse
import dataclasses
import json
import os
import platform
import sys
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))


def parser(text):
    """Return a parser with the option that every benchmark has."""
    found = argparse.ArgumentParser(description=text.split("\n")[0])
    found.add_argument("--json", type=Path, help="write the figures to this file")
    return found


def machine():
    """Return a line about the processor and the packages."""
    import keras
    import tensorflow as tf

    model = next((line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text()
                  .splitlines() if line.startswith("model name")), platform.processor())
    return (f"{model}, {len(os.sched_getaffinity(0))} cores, Python {platform.python_version()}, "
            f"TensorFlow {tf.__version__}, Keras {keras.__version__}")


def report(title, columns, rows, options, **more):
    """Print a Markdown table and write the figures as JSON if asked to."""
    print(f"\n{title}\n")
    for row in [columns, ["---"] * len(columns), *rows]:
        print("| " + " | ".join(str(cell) for cell in row) + " |")
    print(flush=True)
    if options.json:
        figures = {"title": title, "columns": columns, "rows": rows, **more}
        options.json.write_text(json.dumps(figures, indent=1) + "\n")


def build(dataset, arguments, policy=None):
    """Build the trainer and sampler of a run as arguments of train_gan.py and a policy say."""
    from gan.common.device import find_device
    from gan.data.conditions import condition_dataset
    from gan.run.options import parse_options
    from gan.training import build_trainer

    config, _ = parse_options(arguments)
    config = config.for_data(dataset, find_device(config.mixed_precision, config.device))
    conditioning = condition_dataset(dataset, config.condition, config.clusters, config.seed,
                                     config.components)
    if policy:
        precision = "off" if policy == "float32" else policy.removeprefix("mixed_")
        config = dataclasses.replace(config, mixed_precision=precision)
    return build_trainer(config, dataset, conditioning)


def fastest(function, rounds=5):
    """Return the seconds of the fastest of a few calls."""
    seconds = []
    for _ in range(rounds):
        began = time.perf_counter()
        function()
        seconds.append(time.perf_counter() - began)
    return min(seconds)


def batches_of(trainer, count):
    """Return the first batches of a run: int32 [count, batch]."""
    batches = trainer.feed.epoch_batches(1)
    return np.resize(batches, (count, batches.shape[1]))
