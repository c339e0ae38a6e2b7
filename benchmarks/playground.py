"""How the page of a generator compares with it, in headless Chromium.

    python benchmarks/playground.py --model exported_model

Prints the size of the page, the largest difference of a pixel from generate.py's
images, and how long the browser takes for one.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from common import ROOT

from gan.metadata import find_export
from gan.saved_generator import SavedGenerator
from tests.browser import chromium

IDLE = "document.body.dataset.drawn !== undefined && !artist.busy && !artist.jobs.length"
STEP = 50  # seeds at a time


def main():
    """Compare one page with its generator."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", default="exported_model", metavar="FOLDER")
    parser.add_argument("--seeds", type=int, default=1000, metavar="N")
    options = parser.parse_args()
    model = find_export(options.model)
    with tempfile.TemporaryDirectory() as folder, chromium() as page:
        path = Path(folder) / "page.html"
        subprocess.run([sys.executable, "-m", "gan.playground", "--model", model.resolve(),
                        "--output", path], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        page.open(path)
        page.wait_for(IDLE)
        generator, worst, times = SavedGenerator(model), 0, []
        for start in range(0, options.seeds, STEP):
            seeds = range(start, min(start + STEP, options.seeds))
            drawn, milliseconds = draw(page, seeds)
            expected = generator.sample(seeds)
            worst = max(worst, np.abs(drawn.reshape(expected.shape) - expected).max())
            times.append(milliseconds)
        print(f"{path.stat().st_size / 1e6:.2f} MB; {options.seeds:,} seeds: at most {worst:.3g} "
              f"from generate.py; {np.median(times):.2g} ms each; errors: {page.errors}")


def draw(page, seeds):
    """Return what the page draws of seeds, as float64, and the milliseconds of each."""
    numbers, milliseconds = page.evaluate(f"""new Promise((resolve) => artist.draw("measured",
        {list(seeds)}.map((seed) => sampleOf(BigInt(seed))), (results) => resolve([
            results.map((numbers) => points ? Array.from(numbers)
                : Array.from(numbers, (number) => Math.round(255 * number))),
            artist.milliseconds])))""")
    return np.array(numbers, float), milliseconds


if __name__ == "__main__":
    main()
