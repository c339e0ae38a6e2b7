"""Start-up, memory and speed of training from shards, against images held in memory.

    python benchmarks/shards.py --folder /somewhere/large --counts 100000 1000000 10000000

writes digits of 32 x 32 grey pixels, shifted, scaled in brightness and noisy, each another one,
as shards to that folder (10 GB for the ten million), measures, and removes them. Each row is a
process of its own; in it images held and streamed take turns.
"""

import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

from common import ROOT, machine, parser, report, watch_memory

PART = 20_000  # images made at a time
CALLS, STEPS = 6, 50  # of each kind in turn, and steps a call
HELD_BYTES = 2 * 2**30  # data sets up to here are also held
OPTIONS = ["--base-channels", "4", "--latent-dim", "16", "--batch-size", "64",
           "--mixed-precision", "off"]


def write(folder, count):
    """Write made digits as shards, with their labels as conditions."""
    import numpy as np

    from gan.common.files import atomic_folder
    from gan.data.conditioning import from_groups
    from gan.data.datasets import load_dataset
    from gan.data.shard_files import ShardWriter, entry_of
    from gan.data.sharded_conditions import write_conditions

    mnist, random = load_dataset("mnist"), np.random.default_rng(0)
    wide = np.pad(mnist.images, [(0, 0), (4, 4), (4, 4), (0, 0)])  # 36 pixels, cut to 32
    labels = np.empty(count, np.int32)
    with atomic_folder(folder) as place:
        writer = ShardWriter(place, (32, 32, 1), count)
        for start in range(0, count, PART):
            chosen = random.integers(len(wide), size=min(PART, count - start))
            labels[start : start + len(chosen)] = mnist.labels[chosen]
            top, left = random.integers(0, 5, 2)  # alike in a part; the digits are not
            images = wide[chosen, top : top + 32, left : left + 32]
            noise = np.frombuffer(random.bytes(images.size), np.uint8).reshape(images.shape)
            writer.add(images - (images >> 3) + (noise >> 4))
        writer.index |= {"name": "digits", "class_names": list(mnist.class_names)}
        writer.add_file("labels", labels)
        path = place / "conditions.npz"
        write_conditions(path, from_groups(labels, np.arange(10), labelled=True))
        writer.index["conditions"] = entry_of(path) | {"kind": "labels", "clusters": None}
        writer.finish()


def forget(folder):
    """Let the system drop what it holds of files, so that they are read from the disk."""
    for path in Path(folder).iterdir():
        with open(path, "rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


class Clock:
    """Seconds by the clock and of the processor since it was made."""

    def __init__(self):
        self._began = time.perf_counter(), time.process_time()

    def read(self):
        return time.perf_counter() - self._began[0], time.process_time() - self._began[1]


def measure(folder, delay):
    """Measure one data set; prints a line of JSON."""
    from gan.common.device import import_tensorflow

    import_tensorflow(verbose=False)
    import gan.training
    from gan.config import TrainConfig
    from gan.data.datasets import load_dataset
    from gan.data.sharded_conditions import conditions_of
    from gan.data.shards import ShardedImages

    if delay:
        read_into = ShardedImages.read_into
        ShardedImages.read_into = lambda *arguments: (time.sleep(delay), read_into(*arguments))
    peak, found = watch_memory(), {}
    forget(folder)
    clock = Clock()
    config, _ = TrainConfig.from_args(["--dataset", folder, *OPTIONS])
    dataset = load_dataset(folder)
    config = config.for_data(dataset)
    conditioning = conditions_of(dataset, config.condition, config.clusters, config.seed,
                                     config.components)
    found["load"] = clock.read()
    streamed, _ = gan.training.build_trainer(config, dataset, conditioning, streamed=True)
    clock = Clock()
    batches = streamed.feed.epoch_batches(1)
    found["order"] = clock.read()
    clock = Clock()
    streamed.feed.arguments(batches[:1])[1].get_next()
    found["first batch"] = clock.read()
    trainers, at = {"streamed": streamed}, STEPS
    streamed.train(batches[:STEPS])
    found["memory"] = peak["bytes"]
    if dataset.images.nbytes <= HELD_BYTES:
        trainers["held"], _ = gan.training.build_trainer(config, dataset, conditioning)
        trainers["held"].train(batches[:STEPS])
    seconds = {name: [] for name in trainers}
    for turn in range(CALLS):
        for name in sorted(trainers, reverse=turn % 2):
            clock = Clock()
            trainers[name].train(batches[at : at + STEPS])
            seconds[name].append(clock.read())
        at += STEPS
    for name, taken in seconds.items():
        found[name] = [config.batch_size * STEPS / statistics.median(kind)
                       for kind in zip(*taken, strict=True)]
    found["reading"] = reading_rate(streamed.feed, folder)
    print(json.dumps(found))


def reading_rate(feed, folder):
    """Images a second that arrive when nothing is done with them, from a disk without caches."""
    forget(folder)
    batches = feed.epoch_batches(2)[: 1_000_000 // feed.batch_size]
    clock, stream = Clock(), feed.arguments(batches)[1]
    for _ in range(len(batches)):
        stream.get_next()
    return [batches.size / seconds for seconds in clock.read()]


def row_of(count, figures):
    """The cells of a row: wall time / processor time where there are both."""
    def pair(name, digits):
        if name not in figures:
            return "–"
        return " / ".join(f"{value:,.{digits}f}" for value in figures[name])

    return [f"{count:,}", pair("load", 2), pair("order", 2), pair("first batch", 2),
            f"{figures['memory'] / 2**20:,.0f}", pair("held", 0), pair("streamed", 0),
            pair("reading", 0)]


def main():
    """Measure and print the table."""
    options = parser(__doc__.split("\n")[0])
    options.add_argument("--folder", type=Path, required=True, help="where the shards are made")
    options.add_argument("--counts", type=int, nargs="+", default=[100_000, 1_000_000])
    options.add_argument("--keep", action="store_true", help="do not remove the shards")
    options.add_argument("--delay", type=float, default=0.0,
                         help="seconds that each read waits first, as on the way to a bucket")
    options.add_argument("--one", type=Path, help="measure the shards in this folder only")
    options = options.parse_args()
    if options.one:
        measure(str(options.one), options.delay)
        return
    rows = []
    for count in options.counts:
        folder = options.folder / f"shards_{count}"
        if not folder.exists():
            write(folder, count)
        done = subprocess.run(
            [sys.executable, __file__, "--folder", str(options.folder), "--one", str(folder),
             "--delay", str(options.delay)], cwd=ROOT, stdout=subprocess.PIPE, text=True,
            env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}, check=True)
        rows.append(row_of(count, json.loads(done.stdout.splitlines()[-1])))
        print(rows[-1], flush=True)
        if not options.keep:
            shutil.rmtree(folder)
    print(machine())
    report("Training from shards: seconds and images a second by the clock / by the processor",
           ["images", "load s", "order of an epoch s", "first batch s", "private memory MiB",
            "held img/s", "streamed img/s", "read only img/s"], rows, options)


if __name__ == "__main__":
    main()
