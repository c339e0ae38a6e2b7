"""Recipes compared: each with several seeds, judged after the same number of epochs.

    python benchmarks/recipes.py --seeds 3
    python benchmarks/recipes.py --recipe "--beta1 0.5" --recipe "--batch-size 32"

A recipe is what would be added to `python train_gan.py`; the default comes
first. The table gives the mean over the seeds and, in brackets, the range.
"""

import shlex
import time

import numpy as np
from common import machine, parser, report

from gan.common.device import find_device, import_tensorflow
from gan.config import TrainConfig
from gan.data.conditioning import condition_dataset
from gan.data.datasets import load_dataset
from gan.measure.evaluators import draw_samples, image_evaluator

RECIPES = [
    "", "--gradient-penalty none", "--gp-weight 0.3", "--gp-interval 1", "--beta1 0.5",
    "--batch-size 32", "--batch-size 128", "--lr 5e-4", "--lr 2e-3", "--lr-d 5e-4",
    "--lr-decay 0", "--ema 0.99", "--ema 0.9995", "--label-smoothing 0.1", "--loss minimax",
    "--latent-dim 16", "--latent-dim 128", "--base-channels 24", "--base-channels 48",
    "--clusters 1", "--clusters 32", "--condition clusters", "--condition clusters --clusters 256",
    "--condition none", "--arch mlp", "--mixed-precision off",
]


def train(recipe, seed, epochs, dataset, evaluator):
    """Train one recipe; returns (milliseconds a step, metrics)."""
    from gan.option_rules import complete_for
    from gan.training import build_trainer

    arguments = [*shlex.split(recipe), "--epochs", str(epochs), "--seed", str(seed)]
    config, _ = TrainConfig.from_arguments(arguments)
    conditioning = condition_dataset(dataset, config.condition, config.clusters, config.seed)
    config = complete_for(config, dataset.sample_shape, conditioning.kind)
    policy = find_device(config.mixed_precision).policy
    trainer, sampler = build_trainer(config, dataset, conditioning, policy)
    trainer.train(trainer.feed.epoch_batches(1)[:0])
    began = time.process_time()
    for epoch in range(1, epochs + 1):
        trainer.train(trainer.feed.epoch_batches(epoch)).numpy()
    seconds = (time.process_time() - began) / 2  # of two cores, whatever else runs on them
    steps = epochs * trainer.feed.steps_per_epoch
    return 1000 * seconds / steps, evaluator.measure(draw_samples(sampler.draw, evaluator.count))


def main():
    """Run the comparison."""
    arguments = parser(__doc__)
    arguments.add_argument("--recipe", action="append", help="instead of the built-in list")
    arguments.add_argument("--seeds", type=int, default=3)
    arguments.add_argument("--epochs", type=int, default=TrainConfig().epochs)
    options = arguments.parse_args()
    import_tensorflow(verbose=False)
    dataset = load_dataset("mnist")
    evaluator = image_evaluator(dataset, "classifier")
    reference = evaluator.reference()
    rows = []
    for recipe in options.recipe if options.recipe is not None else RECIPES:
        runs = [train(recipe, seed, options.epochs, dataset, evaluator)
                for seed in range(options.seeds)]
        ratios = [found["frechet"] / reference["frechet"] for _, found in runs]
        rows.append([
            f"`{recipe}`" if recipe else "default",
            f"{np.mean([milliseconds for milliseconds, _ in runs]):.1f}",
            f"{np.mean(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})",
            f"{np.mean([found['precision'] for _, found in runs]):.3f}",
            f"{np.mean([found['recall'] for _, found in runs]):.3f}",
        ])
        print(*rows[-1], flush=True)
    report(f"{options.epochs} epochs, {options.seeds} seeds; real test images: precision "
           f"{reference['precision']:.3f}, recall {reference['recall']:.3f} ({machine()})",
           ["recipe", "ms a step", "Fréchet distance / real test images' (range)", "precision",
            "recall"], rows, options)


if __name__ == "__main__":
    main()
