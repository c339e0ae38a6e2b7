"""Memory and time of a large folder of pictures, decoded, held and streamed.

    python benchmarks/folders.py --pictures 100000

writes tinted MNIST digits of 64 x 64 pixels as JPEG files to a temporary folder
and trains a few steps on it, in a process of its own for each row.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from common import ROOT, parser, report, watch_memory


def write_pictures(folder, count):
    """Write digits in random colours on random grounds."""
    import numpy as np
    from PIL import Image

    from gan.data.datasets import load_dataset

    digits, random = load_dataset("mnist").images, np.random.default_rng(0)
    for number in range(count):
        stroke = digits[number % len(digits)].astype(np.float32) / 255
        ground, ink = random.integers(0, 256, (2, 3))
        picture = (ground + (ink - ground) * stroke).astype(np.uint8)
        part = folder / f"{number // 10_000:03d}"
        part.mkdir(exist_ok=True)
        Image.fromarray(picture).resize((64, 64)).save(part / f"{number:07d}.jpg", quality=90)


def train(folder, memory_share):
    """Load a folder, train 20 steps, and print seconds and peaks of memory."""
    peak = watch_memory()
    from gan.data.conditioning import condition_dataset
    from gan.data.datasets import load_dataset

    began = time.perf_counter()
    dataset = load_dataset(folder)
    loaded, after_loading = time.perf_counter() - began, peak["bytes"]
    conditioning = condition_dataset(dataset, "clusters", None, 0)
    from gan.common.device import import_tensorflow, memory_bytes
    from gan.config import TrainConfig

    import_tensorflow(verbose=False)
    from gan.training import build_trainer

    streamed = dataset.images.nbytes > memory_share * memory_bytes()
    config = TrainConfig().for_data(dataset)
    trainer, _ = build_trainer(config, dataset, conditioning, streamed=streamed)
    trainer.train(trainer.feed.epoch_batches(1)[:2])
    began = time.perf_counter()
    measures = trainer.train(trainer.feed.epoch_batches(1)[2:22])
    step = (time.perf_counter() - began) / 20
    print(loaded, dataset.images.nbytes, after_loading, peak["bytes"], step,
          float(measures[-1, 0]))


def main():
    """Measure and print the table."""
    options = parser(__doc__.split("\n")[0])
    options.add_argument("--pictures", type=int, default=100_000)
    options.add_argument("--one", nargs=2, help="measure one folder: path, memory share")
    options = options.parse_args()
    if options.one:
        train(options.one[0], float(options.one[1]))
        return
    rows = []
    with tempfile.TemporaryDirectory() as temporary:
        environment = os.environ | {"XDG_CACHE_HOME": str(Path(temporary) / "cache"),
                                    "TF_CPP_MIN_LOG_LEVEL": "3"}
        for count in (1_000, options.pictures):
            folder = Path(temporary) / str(count)
            folder.mkdir()
            write_pictures(folder, count)
            for name, share in (("decoded, held", 0.9), ("cached, held", 0.9),
                                ("cached, streamed", 0)):
                done = subprocess.run(
                    [sys.executable, __file__, "--one", str(folder), str(share)], cwd=ROOT,
                    env=environment, capture_output=True, text=True, check=True)
                values = [float(value) for value in done.stdout.split()[-6:]]
                rows.append([f"{count:,}", name, f"{values[0]:.1f}",
                             *(f"{value / 2**20:,.0f}" for value in values[1:4]),
                             f"{1000 * values[4]:.1f}", f"{values[5]:.6f}"])
    report("Folders of 64-pixel RGB pictures",
           ["pictures", "", "load s", "array MiB", "private memory after loading MiB",
            "at most MiB", "ms a step", "loss at step 22"], rows, options)


if __name__ == "__main__":
    main()
