"""The scripts: start-up, drawing speed, memory of the GIF maker.

    python benchmarks/scripts.py --model exported_model

Drawing is compared, side by side, with bare calls of the SavedModel's `sample`
on the same seeds, both after their first call.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from common import ROOT, machine, parser, report

IMAGES = 60_000


def run(*command, cwd):
    """Run a command; returns (seconds, peak memory in MiB)."""
    began = time.perf_counter()
    process = subprocess.Popen([sys.executable, *map(str, command)], cwd=cwd,
                               stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"failed: {command}")
    return time.perf_counter() - began, usage.ru_maxrss / 1024


def startup(rows):
    """Time `--help` of each script."""
    for script in ("train_gan.py", "generate.py", "make_gif.py"):
        seconds = min(run(ROOT / script, "--help", cwd=ROOT)[0] for _ in range(5))
        rows.append([f"{script} --help", f"{seconds:.2f} s", "", ""])


def drawing(rows, model, folder):
    """Compare generate.py's loop with bare calls, alternating, in one process."""
    from gan.common.device import import_tensorflow

    import_tensorflow(verbose=False)
    import tensorflow as tf

    from gan import forms
    from gan.request import Request
    from gan.saved_generator import SavedGenerator

    bare = tf.saved_model.load(str(model)).signatures["sample"]
    generator = SavedGenerator(model)
    request = Request(range(IMAGES))
    size = request.batch_size

    def bare_calls():
        for start in range(0, IMAGES, size):
            seeds = tf.range(start, min(start + size, IMAGES), dtype=tf.int64)
            bare(seeds=seeds)["images"].numpy()

    def script():
        forms.write_npz(Path(folder) / "images.npz", generator, request)

    times = {bare_calls: [], script: []}
    for function in (bare_calls, script) * 3:
        began = time.perf_counter()
        function()
        times[function].append(time.perf_counter() - began)
    best = {function: min(values) for function, values in times.items()}
    rows.append(["bare calls of `sample`", f"{best[bare_calls]:.1f} s",
                 f"{IMAGES / best[bare_calls]:,.0f} images/s", ""])
    rows.append(["generate.py --npz, the same seeds", f"{best[script]:.1f} s",
                 f"{IMAGES / best[script]:,.0f} images/s",
                 f"{best[bare_calls] / best[script]:.2f} of the bare speed"])


def processes(rows, model, folder):
    """Run generate.py as a process for few and for many images."""
    for count in (1000, IMAGES):
        seconds, memory = run(ROOT / "generate.py", "--npz", "--num-images", count, "--force",
                              "--model", model.resolve(), cwd=folder)
        rows.append([f"generate.py --npz --num-images {count}, whole process", f"{seconds:.1f} s",
                     "", f"{memory:.0f} MiB"])


def gifs(rows, folder):
    """Make GIFs of 10 and of 1,000 pictures."""
    from gan.drawing import images

    pictures = Path(folder) / "pictures"
    random = np.random.default_rng(0)
    for count in (10, 1000):
        for epoch in range(count):
            path = images.epoch_picture(pictures, epoch)
            if not path.exists():
                images.write_png(path, images.sheet(
                    random.integers(0, 256, (100, 28, 28, 1)).astype(np.uint8)))
        seconds, memory = run(ROOT / "make_gif.py", "--images", pictures, "--force", cwd=folder)
        rows.append([f"make_gif.py, {count} frames", f"{seconds:.1f} s",
                     f"{1000 * seconds / count:.0f} ms a frame", f"{memory:.0f} MiB"])


def main():
    """Run the benchmark."""
    arguments = parser(__doc__)
    arguments.add_argument("--model", type=Path, default=Path("exported_model"))
    options = arguments.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        # Processes first: a child's peak memory counts from that of its parent,
        # which is small only as long as TensorFlow is not loaded here.
        startup(rows)
        gifs(rows, folder)
        processes(rows, options.model, folder)
        drawing(rows, options.model, folder)
    report(f"Scripts ({machine()})", ["what", "time", "speed", "memory or ratio"], rows, options)


if __name__ == "__main__":
    main()
