"""How generated samples of each kind are measured, and drawn for it."""

import functools

import numpy as np

from gan.data.datasets import load_dataset
from gan.data.fingerprint import digest_images
from gan.data.names import STACKED
from gan.evaluate import coverage, metrics
from gan.evaluate.choice import extractor_for
from gan.evaluate.comparison import Comparison
from gan.evaluate.evaluator import COUNT, Evaluator
from gan.evaluate.features import REFERENCE_COUNT, InceptionFeatures
from gan.evaluate.metrics import NotMeasurableError
from gan.evaluate.reference_cache import cached_reference

STACKED_COUNT = 25_600  # stacked digits, as the field has it (Metz et al. 2017)
COPY_COUNT = 2_000  # of them, compared with every training image
DRAW_BATCH = 500


class ImageEvaluator(Evaluator):
    """Measures images against a data set."""

    def __init__(self, dataset, wanted="auto", why="as asked for"):
        """
        Args:
            dataset: a `Dataset`.
            wanted, why: see `extractor_for`.
        """
        super().__init__(dataset)
        self._wanted, self._why = wanted, why

    @functools.cached_property
    def extractor(self):
        """What turns images into features, or the `NotMeasurableError` why nothing can."""
        try:
            return extractor_for(self.dataset, self._wanted, self._why)
        except NotMeasurableError as error:
            return error

    def features(self):
        """Return what images are compared in, dict for JSON: kind, description, accuracy."""
        if isinstance(self.extractor, NotMeasurableError):
            return {"kind": "none", "description": f"nothing, as {self.extractor}",
                    "accuracy": None}
        return {"kind": self.extractor.kind, "description": self.extractor.description,
                "accuracy": self.extractor.accuracy}

    def memorisation(self, samples):
        """Return "nearest_ratio" and "copies" of generated images; empty without test images."""
        unseen = self._unseen()
        if unseen is None:
            return {}
        distances = [metrics.nearest_distances(part[:COPY_COUNT], self.dataset.images)
                     for part in (samples, unseen)]
        return self._collect("generated", [
            (("nearest_ratio",), lambda: {"nearest_ratio": metrics.nearest_ratio(*distances)}),
            (("copies",), lambda: {"copies": metrics.copied_share(*distances)}),
        ])

    def _unseen(self):
        """The test images in random order, or None without any.

        Metrics that take some images take the first, and test images may lie class by class.
        """
        images = self.dataset.test_images
        if images is None:
            return None
        return images[np.random.default_rng(0).permutation(len(images))]

    def _measure_reference(self, samples):
        return self._cached("reference", [digest_images(samples).hexdigest()],
                            lambda: self._groups(samples))

    def _cached(self, whose, data, groups):
        """Return metrics of real images, from the cache if an earlier process left them there.

        Args:
            whose: key of `left_out`.
            data: list of str, what they depend on besides the training images.
            groups: function that returns what `_collect` takes.
        """
        def compute():
            found = self._collect(whose, groups())
            return found, self.left_out[whose]

        key = [whose, self.dataset.fingerprint, *data]
        found, self.left_out[whose] = cached_reference(key, self.features(), compute)
        return found

    def split(self):
        """Return the metrics of some training images, compared with the others.

        Test images can be by other writers or of another year, and are then
        farther from the training images than these from each other. A sixth of
        them, at most 10,000, is compared with at most 50,000 others; in Inception,
        which takes long, the images are those that it has described already.

        Returns:
            dict of name → number; empty for fewer than six images.
        """
        return dict(self._split) if len(self.dataset.images) >= 6 else {}

    @functools.cached_property
    def _split(self):
        return self._cached("split", [], self._split_groups)

    def _split_groups(self):
        images = self.dataset.images
        most = REFERENCE_COUNT if isinstance(self.extractor, InceptionFeatures) else 6 * COUNT
        order = np.random.default_rng(0).permutation(len(images))[:most]
        count = len(order) // 6
        part, others = images[order[:count]], images[np.sort(order[count:])]
        return Comparison(self.extractor, others, self._frequencies()).groups(part)

    def _groups(self, images):
        return self._comparison.groups(images)

    @functools.cached_property
    def _comparison(self):
        """The training images, to compare others with."""
        statistics = getattr(self.extractor, "statistics", None)
        return Comparison(self.extractor, self.dataset.images, self._frequencies(), statistics)

    def _frequencies(self):
        """The frequencies of the classes or modes in the data, or None without any."""
        if self.dataset.name == STACKED:
            digits = np.bincount(load_dataset("mnist").labels) / 60_000
            return np.einsum("i,j,k->ijk", digits, digits, digits).ravel()
        if self.dataset.labels is None:
            return None
        counts = np.bincount(self.dataset.labels, minlength=len(self.dataset.class_names))
        return counts / counts.sum()


class PointEvaluator(Evaluator):
    """Measures how points cover the known modes of a simulated distribution."""

    samples = "points"

    def features(self):
        """Return what points are compared in, as for images."""
        return {"kind": "modes", "description": "distance from the known modes", "accuracy": None}

    def _unseen(self):
        return self.dataset.test_points

    def _groups(self, points):
        data = self.dataset
        return [(("modes", "good", "imbalance", "spread"), lambda: coverage.mode_metrics(
            points, data.skeleton, data.mode_of, data.deviation))]


def image_evaluator(dataset, wanted="auto", why="as asked for"):
    """Return the evaluator of images; nothing is computed yet.

    Args:
        dataset: a `Dataset`.
        wanted, why: what images are compared in, see `extractor_for`.
    """
    evaluator = ImageEvaluator(dataset, wanted, why)
    if dataset.name == STACKED:
        evaluator.count = STACKED_COUNT
    return evaluator


def draw_samples(draw, count, first_seed=0):
    """Draw samples a batch at a time.

    Args:
        draw: function of int64 seeds [n] → array [n, ...].
        count: how many.
        first_seed: the seeds count on from here.

    Returns:
        array [count, ...].
    """
    seeds = np.arange(first_seed, first_seed + count, dtype=np.int64)
    return np.concatenate([np.asarray(draw(seeds[start : start + DRAW_BATCH]))
                           for start in range(0, count, DRAW_BATCH)])
