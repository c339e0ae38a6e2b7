"""Memory, open files and threads of what takes long.

    python benchmarks/long_runs.py

Trains 500 epochs on a tiny data set, makes GIFs of 100 and 10,000 pictures and
draws 1,000 and a million images, each in a process of its own, and watches it
from outside.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from campaign import TINY, write_data
from common import ROOT, parser, report


def look(process):
    """Return private memory in MiB, open files and threads of a process."""
    status = Path(f"/proc/{process}/status").read_text()
    values = dict(line.split(":\t") for line in status.splitlines() if ":\t" in line)
    return (int(values["RssAnon"].split()[0]) / 1024, len(os.listdir(f"/proc/{process}/fd")),
            int(values["Threads"]))


def watch(script, *arguments, cwd, every=0.1):
    """Run a script and return what `look` found over its life, with the lines printed."""
    command = [sys.executable, str(ROOT / script), *map(str, arguments)]
    log = cwd / "output.log"
    found = []
    with log.open("w") as file, subprocess.Popen(command, cwd=cwd, stdout=file,
                                                 stderr=subprocess.STDOUT) as process:
        while process.poll() is None:
            try:
                found.append((*look(process.pid), log.read_text().count("\nepoch ")))
            except (OSError, KeyError):
                break  # it ended between two lines
            time.sleep(every)
    if process.wait():
        raise SystemExit(log.read_text())
    return found


def main():
    """Watch the long runs and print the tables."""
    options = parser(__doc__.split("\n")[0])
    options.add_argument("--epochs", type=int, default=500)
    options.add_argument("--frames", type=int, default=10_000)
    options.add_argument("--images", type=int, default=1_000_000)
    options = options.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as temporary:
        home = Path(temporary)
        write_data(home / "data.npz")
        found = watch("train_gan.py", "--dataset", home / "data.npz", *TINY, "--epochs",
                      options.epochs, cwd=home)
        for epoch in (options.epochs // 10, options.epochs // 2, options.epochs - 1):
            # The middle of some looks, as memory breathes within an epoch.
            near = sorted(look for look in found if abs(look[3] - epoch) <= 10)
            memory, files, threads, _ = near[len(near) // 2]
            rows.append(["train_gan.py", f"epoch {epoch}", f"{memory:.1f}", files, threads])
        pictures = sorted((home / "generated_images").glob("epoch_*.png"))
        frames = home / "frames"
        frames.mkdir()
        for count in (100, options.frames):
            for number in range(count):
                target = frames / f"epoch_{number:05d}.png"
                if not target.exists():
                    os.link(pictures[number % len(pictures)], target)
            found = watch("make_gif.py", "--images", frames, cwd=home, every=0.02)
            rows.append(["make_gif.py", f"{count:,} frames", f"{max(found)[0]:.1f}",
                         max(look[1] for look in found), max(look[2] for look in found)])
        for count in (1_000, options.images):
            found = watch("generate.py", "--npz", "--num-images", count, "--force", cwd=home)
            rows.append(["generate.py --npz", f"{count:,} images", f"{max(found)[0]:.1f}",
                         max(look[1] for look in found), max(look[2] for look in found)])
    report("Long runs", ["script", "at", "private memory MiB", "open files", "threads"], rows,
           options)


if __name__ == "__main__":
    main()
