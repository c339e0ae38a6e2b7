"""Recipes compared: each with several seeds, judged after the same number of epochs.

    python benchmarks/recipes.py --seeds 3
    python benchmarks/recipes.py --recipe "--beta1 0.5" --recipe "--batch-size 32"
    python benchmarks/recipes.py --dataset ring --recipe "" --recipe "--loss hinge"

A recipe is what would be added to `python train_gan.py`. The table gives the mean over
the seeds and, in brackets, the range. `--two-sample` adds how well fresh classifiers tell
generated images from real ones, which takes several minutes a run.
"""

import shlex
import time

import numpy as np
from common import build, machine, parser, report
from two_sample import split_sizes, two_sample_test

from gan.common.device import import_tensorflow
from gan.data.datasets import load_dataset
from gan.evaluate.evaluator import Drawn, Evaluator

RECIPES = [
    "", "--arch dcgan", "--gradient-penalty none", "--gp-weight 0.1", "--gp-interval 1",
    "--beta1 0.5", "--batch-size 32", "--batch-size 128", "--lr 5e-4", "--lr 2e-3", "--lr-d 5e-4",
    "--lr-decay 0", "--ema 0.04", "--ema 0.2", "--label-smoothing 0.1", "--loss minimax",
    "--latent-dim 16", "--latent-dim 128", "--base-channels 24", "--base-channels 48",
    "--clusters 1", "--clusters 32", "--condition clusters", "--condition clusters --clusters 256",
    "--condition none", "--arch mlp", "--mixed-precision off",
]


def train(dataset, arguments, two_sample):
    """Train one recipe; returns (metrics with the milliseconds of a step, those of real ones)."""
    trainer, sampler = build(dataset, arguments)
    trainer.train(trainer.feed.epoch_batches(1)[:0])  # traced
    began = time.process_time()
    for epoch in range(1, trainer.config.epochs + 1):
        trainer.train(trainer.feed.epoch_batches(epoch)).numpy()
    # Of two cores, whatever else runs on them.
    step = (time.process_time() - began) / 2 / int(trainer.state.step)
    evaluator = Evaluator(dataset)
    found = evaluator.measure(Drawn(sampler.draw, evaluator.count, shape=dataset.sample_shape))
    if two_sample:
        real = dataset.images[np.random.default_rng(0).permutation(len(dataset.images))]
        generated = Drawn(sampler.draw, sum(split_sizes(len(real))))[:]
        found["AUC"] = two_sample_test(real, generated)
    return {"ms a step": 1000 * step, **found}, evaluator.reference()


def spread(values):
    """Return the mean and, in brackets, the range: "1.63 (1.57 to 1.69)"."""
    return f"{np.mean(values):.3g} ({min(values):.3g} to {max(values):.3g})"


def main():
    """Run the comparison."""
    arguments = parser(__doc__)
    arguments.add_argument("--recipe", action="append", help="instead of the built-in list")
    arguments.add_argument("--seeds", type=int, default=3)
    arguments.add_argument("--epochs", type=int, help="default: those of train_gan.py")
    arguments.add_argument("--dataset", default="mnist")
    arguments.add_argument("--two-sample", action="store_true")
    options = arguments.parse_args()
    import_tensorflow(verbose=False)
    dataset, rows = load_dataset(options.dataset), []
    given = ["--dataset", options.dataset]
    given += ["--epochs", str(options.epochs)] if options.epochs else []
    for recipe in options.recipe if options.recipe is not None else RECIPES:
        runs = [train(dataset, [*given, *shlex.split(recipe), "--seed", str(seed)],
                      options.two_sample)
                for seed in range(options.seeds)]
        names, reference = list(runs[0][0]), runs[0][1]
        rows.append([f"`{recipe}`" if recipe else "default",
                     *(spread([found[name] for found, _ in runs]) for name in names)])
        print(*rows[-1], flush=True)
    real = ", ".join(f"{name} {value:.4g}" for name, value in reference.items())
    report(f"{options.dataset}, {options.seeds} seeds; real test samples: {real} ({machine()})",
           ["recipe", *names], rows, options)


if __name__ == "__main__":
    main()
