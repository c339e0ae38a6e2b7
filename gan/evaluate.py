"""How good an exported generator is, against the data it learned from.

    python -m gan.evaluate --model exported_model

needs only the export and the data. The same figures for real images that were
not trained on stand beside them: no generator need be nearer than those.
"""

import json
import sys
from pathlib import Path

import numpy as np

from gan import metrics
from gan.classifier import classifier_for
from gan.conditioning import COMPONENTS, PrincipalComponents
from gan.errors import UserError, run_script

COUNT = 10_000  # images generated
NEIGHBOUR_COUNT = 5_000  # of them, and of real ones, for precision and recall
COPY_COUNT = 2_000  # of them, compared with every training image
DRAW_BATCH = 500


class PixelFeatures:
    """What stands in for a classifier where there are no labels.

    The features are the principal components of the pixels, divided by the
    root of their total variance: distances then have the scale of the data.
    They know shape and position but not meaning.
    """

    def __init__(self, images):
        """
        Args:
            images: uint8 [N, H, W, C], the training images.
        """
        self._components = PrincipalComponents(images, COMPONENTS)
        features = self._components.project(images)
        self._scale = 1 / np.sqrt(features.var(axis=0).sum())
        self.statistics = metrics.statistics(features * self._scale)

    def look(self, images):
        """Return features float32 [N, components], and None for the probabilities."""
        return self._components.project(images) * self._scale, None


class Evaluator:
    """Measures images against a data set.

    Attributes:
        features: what the images are compared in, in words.
    """

    def __init__(self, dataset, judge):
        """
        Args:
            dataset: a `Dataset`.
            judge: `Classifier` or `PixelFeatures` of it.
        """
        self.dataset, self.judge = dataset, judge
        self.features = ("principal components of the pixels" if dataset.labels is None
                         else "classifier features")
        random = np.random.default_rng(0)
        chosen = random.permutation(len(dataset.images))[:NEIGHBOUR_COUNT]
        self._real = judge.look(dataset.images[np.sort(chosen)])[0]

    def measure(self, images):
        """Return the metrics of images, dict of name → number.

        Args:
            images: uint8 [N, H, W, C], more than the feature count of them for
                a Fréchet distance that means something.
        """
        features, probabilities = self.judge.look(images)
        near = features[:NEIGHBOUR_COUNT]
        precision, recall = metrics.precision_recall(self._real, near)
        figures = {
            "frechet": metrics.frechet_distance(
                metrics.statistics(features), self.judge.statistics
            ),
            "kid": metrics.kernel_distance(self._real, near),
            "precision": precision,
            "recall": recall,
        }
        if probabilities is not None:
            counts = np.bincount(self.dataset.labels, minlength=probabilities.shape[1])
            figures |= metrics.class_figures(probabilities, counts / counts.sum())
        return figures

    def floor(self):
        """Return the metrics of the real test images, or None without any."""
        if self.dataset.test_images is None:
            return None
        return self.measure(self.dataset.test_images)

    def memorisation(self, images):
        """Return `metrics.memorisation` of some images, or None without test images."""
        if self.dataset.test_images is None:
            return None
        distances = [
            metrics.nearest_distances(part[:COPY_COUNT], self.dataset.images)
            for part in (images, self.dataset.test_images)
        ]
        return metrics.memorisation(*distances)


def judge_for(dataset, train=True):
    """Return what a data set's images are compared in.

    Args:
        dataset: a `Dataset`.
        train: train a classifier where labels ask for one and there is none.

    Returns:
        `Classifier` or `PixelFeatures`; None when one would have to be trained
        and must not.
    """
    if dataset.labels is None:
        return PixelFeatures(dataset.images)
    return classifier_for(dataset, train)


def draw_images(draw, count, first_seed=0):
    """Draw images a batch at a time.

    Args:
        draw: function of int64 seeds [n] → uint8 [n, H, W, C].
        count: how many.
        first_seed: the seeds count on from here.

    Returns:
        uint8 [count, H, W, C].
    """
    seeds = np.arange(first_seed, first_seed + count, dtype=np.int64)
    return np.concatenate([np.asarray(draw(seeds[start : start + DRAW_BATCH]))
                           for start in range(0, count, DRAW_BATCH)])


def main():
    """Evaluate from the command line; returns the exit code."""
    from gan.datasets import load_dataset
    from gan.device import import_tensorflow
    from gan.files import write_text
    from gan.options import OptionParser, whole_number
    from gan.saved_generator import SavedGenerator, read_about

    parser = OptionParser(prog="python -m gan.evaluate", description=__doc__.split("\n")[0])
    add = parser.add_argument
    add("--model", type=Path, default=Path("exported_model"), metavar="FOLDER",
        help="the exported SavedModel (default: exported_model)")
    add("--dataset", metavar="NAME|PATH", help="the data (default: what it was trained on)")
    add("--num-images", type=whole_number(100, 10**6), default=COUNT, metavar="N",
        help=f"images to generate (default: {COUNT})")
    add("--seed", type=whole_number(0, 2**62), default=0, metavar="N",
        help="seed of the first of them (default: 0)")
    add("--json", type=Path, metavar="FILE", help="also write the figures to this file")
    options = parser.parse_args()

    about = read_about(options.model)
    dataset = load_dataset(options.dataset or about["config"]["dataset"])
    if list(dataset.image_shape) != about["image_shape"]:
        raise UserError(f"--dataset: expected images of {about['image_shape']}, "
                        f"got: {list(dataset.image_shape)}")
    import_tensorflow(verbose=False)
    evaluator = Evaluator(dataset, judge_for(dataset))
    images = draw_images(SavedGenerator(options.model).sample, options.num_images, options.seed)
    found, floor = evaluator.measure(images), evaluator.floor() or {}
    found |= evaluator.memorisation(images) or {}
    if floor:
        found["frechet_ratio"] = found["frechet"] / floor["frechet"]
        floor |= {"nearest_ratio": 1.0, "copies": 0.01, "frechet_ratio": 1.0}
    print_table(found, floor, evaluator.features, options)
    if options.json:
        result = {"generated": found, "test_images": floor, "images": options.num_images,
                  "seed": options.seed, "features": evaluator.features}
        write_text(options.json, json.dumps(result, indent=2) + "\n")
    return 0


EXPLANATIONS = {
    "frechet": "Fréchet distance to the training images; lower is better",
    "frechet_ratio": "the same as a multiple of the real test images'",
    "kid": "kernel distance to the training images",
    "precision": "share of images that look like real ones",
    "recall": "share of real images within the variety generated",
    "classes": "classes that occur",
    "smallest_class": "share of the rarest class",
    "largest_class": "share of the most frequent class",
    "imbalance": "distance of the class shares from the data's",
    "confident": "share classified with a probability of 0.9 or more",
    "nearest_ratio": "distance to the nearest training image / that of test images",
    "copies": "share nearer to a training image than 99 % of the test images",
}


def print_table(found, floor, features, options):
    """Print generated and real figures side by side."""
    print(f"{options.num_images:,} images, seeds from {options.seed}, compared in {features}")
    print(f"{'':16}{'generated':>10}{'real test':>11}")
    for name, text in EXPLANATIONS.items():
        if name in found:
            real = f"{floor[name]:11.4g}" if name in floor else " " * 11
            print(f"{name:16}{found[name]:10.4g}{real}  {text}")
    sys.stdout.flush()


if __name__ == "__main__":
    run_script("gan.evaluate", main)
