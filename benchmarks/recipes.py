"""Recipes compared: each with several seeds, judged after the same number of epochs.

    python benchmarks/recipes.py --seeds 3
    python benchmarks/recipes.py --recipe "--beta1 0.5" --recipe "--batch-size 32"
    python benchmarks/recipes.py --recipe "" --two-sample

A recipe is what would be added to `python train_gan.py`; the default comes
first. The table gives the mean over the seeds and, in brackets, the range.
`--two-sample` adds the AUC of fresh classifiers, which takes several minutes a run.
"""

import shlex
import time

import numpy as np
from common import machine, parser, report
from two_sample import split_sizes, two_sample_test

from gan.common.device import find_device, import_tensorflow
from gan.config import EPOCHS, TrainConfig
from gan.data.conditioning import condition_dataset
from gan.data.datasets import load_dataset
from gan.evaluate.evaluator import Drawn, Evaluator

RECIPES = [
    "", "--arch dcgan", "--gradient-penalty none", "--gp-weight 0.3", "--gp-interval 1",
    "--beta1 0.5", "--batch-size 32", "--batch-size 128", "--lr 5e-4", "--lr 2e-3", "--lr-d 5e-4",
    "--lr-decay 0", "--ema 0.04", "--ema 0.2", "--label-smoothing 0.1", "--loss minimax",
    "--latent-dim 16", "--latent-dim 128", "--base-channels 24", "--base-channels 48",
    "--clusters 1", "--clusters 32", "--condition clusters", "--condition clusters --clusters 256",
    "--condition none", "--arch mlp", "--mixed-precision off",
]


def train(recipe, seed, epochs, dataset, evaluator, two_sample):
    """Train one recipe; returns (milliseconds a step, metrics)."""
    from gan.training import build_trainer

    arguments = ["--epochs", str(epochs), *shlex.split(recipe), "--seed", str(seed)]
    config, _ = TrainConfig.from_args(arguments)
    config = config.for_data(dataset, find_device(config.mixed_precision))
    conditioning = condition_dataset(dataset, config.condition, config.clusters, config.seed,
                                     config.components)
    trainer, sampler = build_trainer(config, dataset, conditioning, config.policy)
    trainer.train(trainer.feed.epoch_batches(1)[:0])
    began = time.process_time()
    for epoch in range(1, config.epochs + 1):
        trainer.train(trainer.feed.epoch_batches(epoch)).numpy()
    seconds = (time.process_time() - began) / 2  # of two cores, whatever else runs on them
    steps = config.epochs * trainer.feed.steps_per_epoch
    found = evaluator.measure(Drawn(sampler.draw, evaluator.count,
                                    shape=dataset.sample_shape))
    if two_sample:
        real = dataset.images[np.random.default_rng(0).permutation(len(dataset.images))]
        generated = Drawn(sampler.draw, sum(split_sizes(len(real))))[:]
        found["auc"] = two_sample_test(real, generated).auc
    return 1000 * seconds / steps, found


def spread(values, format):
    """Return the mean and, in brackets, the range: "1.63 (1.57 to 1.69)"."""
    return f"{np.mean(values):{format}} ({min(values):{format}} to {max(values):{format}})"


def main():
    """Run the comparison."""
    arguments = parser(__doc__)
    arguments.add_argument("--recipe", action="append", help="instead of the built-in list")
    arguments.add_argument("--seeds", type=int, default=3)
    arguments.add_argument("--epochs", type=int, default=EPOCHS)
    arguments.add_argument("--dataset", default="mnist")
    arguments.add_argument("--two-sample", action="store_true")
    options = arguments.parse_args()
    import_tensorflow(verbose=False)
    dataset = load_dataset(options.dataset)
    evaluator = Evaluator(dataset, "classifier")
    reference = evaluator.reference()
    rows = []
    for recipe in options.recipe if options.recipe is not None else RECIPES:
        runs = [train(recipe, seed, options.epochs, dataset, evaluator, options.two_sample)
                for seed in range(options.seeds)]
        of = {name: [found[name] for _, found in runs] for name in runs[0][1]}
        rows.append([
            f"`{recipe}`" if recipe else "default",
            f"{np.mean([milliseconds for milliseconds, _ in runs]):.1f}",
            spread(of["frechet"], ".2f"), f"{np.mean(of['precision']):.3f}",
            f"{np.mean(of['recall']):.3f}", f"{np.mean(of['swd']):.1f}",
            *([spread(of["background"], ".3f"), spread(of["stray_pixels"], ".3f")]
              if "stray_pixels" in of else ["", ""]),
            *([spread(of["auc"], ".3f")] if options.two_sample else []),
        ])
        print(*rows[-1], flush=True)
    real = ", ".join(f"{name} {value:.4g}" for name, value in reference.items())
    report(f"{options.epochs} epochs, {options.seeds} seeds; real test images: {real} "
           f"({machine()})",
           ["recipe", "ms a step", "Fréchet distance (range)", "precision", "recall", "SWD",
            "background", "stray-pixel rate", *(["AUC"] if options.two_sample else [])], rows,
           options)


if __name__ == "__main__":
    main()
