"""Images compared with a set of real ones, in features and in pixels."""

import functools

import numpy as np

from gan.data.background import background_of
from gan.evaluate import coverage, metrics
from gan.evaluate.background import background_metrics
from gan.evaluate.metrics import NotMeasurableError
from gan.evaluate.patches import PatchDistance

CLASS_METRICS = ("classes", "smallest_class", "largest_class", "imbalance", "confident")
NEIGHBOUR_COUNT = 5_000  # images of either side at most, for precision and recall


class Comparison:
    """Real images that others are compared with; nothing is computed before it is needed.

    Attributes:
        extractor: what turns images into features, or the `NotMeasurableError`
            why nothing can.
    """

    def __init__(self, extractor, images, frequencies=None, statistics=None):
        """
        Args:
            extractor: see the attribute.
            images: uint8 [N, H, W, C], the real ones.
            frequencies: [K], of the classes or modes in the data, if there are any.
            statistics: of the images' features, where they are known already.
        """
        self.extractor, self._images = extractor, images
        self._frequencies, self._given = frequencies, statistics

    def groups(self, images):
        """Return what can be measured of images: list of (names of metrics, function).

        Each function returns a dict of name → number or raises a `NotMeasurableError`.
        Precision, recall and the kernel distance are of as many images as there are
        real ones: of more generated ones, each would have nearer neighbours, and fewer
        real ones would lie among them.

        Args:
            images: uint8 [N, H, W, C], in random order, as metrics of some of them take
                the first.
        """
        return [*self._features(images), *self._pixels(images)]

    def _features(self, images):
        if isinstance(self.extractor, NotMeasurableError):
            return [(("frechet", "kid", "precision", "recall"), self._refuse)]
        extracted = self.extractor.extract(images)
        features = extracted.features
        count = min(NEIGHBOUR_COUNT, len(self._images), len(images))
        near = features[:count]
        return [
            (("frechet",), lambda: {"frechet": metrics.frechet_distance(
                metrics.statistics(features), self._statistics)}),
            (("kid",), lambda: {"kid": metrics.kernel_distance(self._near[:count], near)}),
            (("precision", "recall"), lambda: dict(zip(
                ("precision", "recall"), metrics.precision_recall(self._near[:count], near),
                strict=True))),
            *self._coverage(extracted),
        ]

    def _coverage(self, extracted):
        """The groups of metrics that count classes or modes."""
        if extracted.probabilities is not None:
            return [(CLASS_METRICS, lambda: coverage.class_metrics(
                extracted.probabilities, self._frequencies))]
        if extracted.modes is not None:
            return [(("modes", "kl"), lambda: coverage.histogram_metrics(
                extracted.modes, self._frequencies))]
        return []

    def _pixels(self, images):
        found = [(("patches", "coarse_patches"), lambda: self._patches.measure(images))]
        if self._background is not None:
            found.append((("background", "specks"),
                          lambda: background_metrics(images, self._background)))
        return found

    def _refuse(self):
        raise self.extractor

    @functools.cached_property
    def _statistics(self):
        if self._given is not None:
            return self._given
        return metrics.statistics(self.extractor.extract(self._images).features)

    @functools.cached_property
    def _near(self):
        """The features of some of the images, in random order."""
        chosen = np.random.default_rng(0).permutation(len(self._images))[:NEIGHBOUR_COUNT]
        return self.extractor.extract(self._images[chosen]).features

    @functools.cached_property
    def _patches(self):
        return PatchDistance(self._images)

    @functools.cached_property
    def _background(self):
        return background_of(self._images)
