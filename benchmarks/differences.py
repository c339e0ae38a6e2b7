"""Which simple figures of an image tell generated ones from real ones.

    python benchmarks/differences.py --model exported_model

Each figure ranks real and generated images, by itself or by how far it is from
the median of real ones; the AUC says how well, by the better of both (0.5 is
guessing). The two-sample test finds such differences without saying what they
are. The last two columns are the figure's means.
"""

import numpy as np
from common import parser, report
from two_sample import area_under_curve

from gan.common.device import import_tensorflow
from gan.data.datasets import load_dataset
from gan.evaluate.evaluator import Drawn
from gan.metadata import find_export
from gan.saved_generator import SavedGenerator

LEVELS = (0, 1, 4, 16, 64, 128, 192, 240, 252, 253, 254, 255, 256)  # bounds of grey levels
FAINT = 64  # of 255, up to where a pixel counts as faint


def figures(images):
    """Return dict of name → float [N], figures of grey images on black, uint8 [N, H, W]."""
    values = images.astype(np.float32)
    total = values.sum(axis=(1, 2)) + 1
    found = {f"pixels of {low}" + (f" to {high - 1}" if high > low + 1 else ""):
             ((values >= low) & (values < high)).sum(axis=(1, 2))
             for low, high in zip(LEVELS[:-1], LEVELS[1:], strict=True)}
    lines = [values.max(axis=2), values.max(axis=1)]  # the brightest of each row and column
    for name, least in (("not black", 0), (f"brighter than {FAINT}", FAINT)):
        found[f"longer side of what is {name}"] = np.maximum(
            *(_extent(line > least) for line in lines))
    rows = np.arange(len(values))
    for name, line in zip(("row", "column"), lines, strict=True):
        found[f"brightest of the first {name}"] = line[rows, (line > 0).argmax(axis=1)]
    places = np.arange(values.shape[1])
    centre = [(values.sum(axis=axis) * places).sum(axis=1) / total for axis in (2, 1)]
    found["centre of mass, from the middle"] = np.hypot(*(part - len(places) / 2
                                                          for part in centre))
    black = values == 0
    beside = (black[:, :-2, 1:-1], black[:, 2:, 1:-1], black[:, 1:-1, :-2], black[:, 1:-1, 2:])
    found["single pixels between four black ones"] = (
        ~black[:, 1:-1, 1:-1] & np.logical_and.reduce(beside)).sum(axis=(1, 2))
    steps = [np.diff(values, axis=axis) for axis in (1, 2)]
    found["contrast of neighbours"] = sum(np.abs(step).sum(axis=(1, 2)) for step in steps) / total
    found["the same, squared"] = sum(np.square(step).sum(axis=(1, 2)) for step in steps) / total
    return found


def _extent(marked):
    """How far apart the first and the last of marked places are, bool [N, L] → int [N]."""
    last = marked.shape[1] - marked[:, ::-1].argmax(axis=1)
    return np.where(marked.any(axis=1), last - marked.argmax(axis=1), 0)


def ranking(generated, real):
    """Return how well a figure tells one set of images, [N], from the other, [M]: the AUC."""
    middle = np.median(real)
    aucs = [area_under_curve(generated, real),
            area_under_curve(np.abs(generated - middle), np.abs(real - middle))]
    return max(max(auc, 1 - auc) for auc in aucs)


def main():
    """Make the table."""
    arguments = parser(__doc__)
    arguments.add_argument("--model", default="exported_model", metavar="FOLDER")
    arguments.add_argument("--dataset", default="mnist", help="grey images on black")
    arguments.add_argument("--count", type=int, default=10_000, help="images of each kind")
    options = arguments.parse_args()
    import_tensorflow(verbose=False)
    images = load_dataset(options.dataset).images
    real = images[np.random.default_rng(0).permutation(len(images))[: options.count]]
    generated = Drawn(SavedGenerator(find_export(options.model)).sample, options.count)[:]
    real, generated = figures(real[..., 0]), figures(generated[..., 0])
    rows = [(ranking(generated[name], real[name]), name, real[name].mean(),
             generated[name].mean()) for name in real]
    report(f"{options.count:,} images of each kind", ["figure", "AUC", "real", "generated"],
           [[name, f"{auc:.3f}", f"{first:.4g}", f"{second:.4g}"]
            for auc, name, first, second in sorted(rows, reverse=True)], options)


if __name__ == "__main__":
    main()
