"""What images are compared in: features of a classifier, or of the pixels themselves.

All extractors have the same face: `kind`, `description`, `accuracy` (of the
classifier, or None), `statistics` of the training images' features, and
`extract(images)`.

Which one is used depends on the data and on what was asked for, never on what
lies in a cache.
"""

from typing import NamedTuple

import numpy as np

from gan.data.clustering import PrincipalComponents, some_of
from gan.data.datasets import load_dataset
from gan.data.names import STACKED
from gan.measure import metrics
from gan.measure.classifier import shipped_classifier
from gan.measure.classifier_training import LEAST_HELD_OUT, classifier_of, held_out_count

REFERENCE_COUNT = 20_000  # training images whose statistics stand for all, where it takes long
COMPONENTS = 50  # principal components that stand in for features
MOST_VALUES = 1200  # of an image, before its principal components are taken
# Share of the way from guessing to perfect that a classifier must come before
# its features are used: the bound of "almost perfect" agreement of Landis & Koch
# 1977. Below it images of different classes share their place among the
# features, and generated images can come out nearer to the data than real ones.
LEAST_AGREEMENT = 0.8


class Extracted(NamedTuple):
    """What was found in images."""

    features: np.ndarray  # float32 [N, D]
    probabilities: np.ndarray | None = None  # float32 [N, K], of the classes
    modes: np.ndarray | None = None  # int [N], of stacked digits


class ClassifierFeatures:
    """The last hidden layer of a classifier of the data."""

    kind = "classifier"

    def __init__(self, network):
        """
        Args:
            network: a `FeatureNetwork`.
        """
        self._network = network
        self.accuracy, self.statistics = network.accuracy, network.statistics
        self.description = (f"classifier features (accuracy {self.accuracy:.1%} on held-out "
                            "images)")

    def extract(self, images):
        """Return the `Extracted` features and class probabilities of uint8 [N, H, W, C]."""
        return Extracted(*self._network.predict(images))


class PlaneFeatures:
    """The shipped classifier's features of each colour plane of stacked digits."""

    kind = "planes"

    def __init__(self, dataset):
        """
        Args:
            dataset: the `Dataset` of stacked digits.
        """
        self._network = classifier_of(load_dataset("mnist"))
        self.accuracy = self._network.accuracy
        self.description = ("classifier features of each colour plane (accuracy "
                            f"{self.accuracy:.1%} on held-out digits)")
        self.statistics = metrics.statistics(
            self.extract(dataset.images[:REFERENCE_COUNT]).features)

    def extract(self, images):
        """Return the `Extracted` features and modes in [0, 1000) of uint8 [N, H, W, 3]."""
        planes = [self._network.predict(images[..., plane : plane + 1]) for plane in range(3)]
        digits = [probabilities.argmax(axis=1) for _, probabilities in planes]
        return Extracted(np.concatenate([features for features, _ in planes], axis=1),
                         modes=100 * digits[0] + 10 * digits[1] + digits[2])


class PixelFeatures:
    """The principal components of the pixels.

    They are divided by the root of their total variance, so that distances have
    the scale of the data. They know shape and position but not meaning.
    """

    kind, accuracy = "pixels", None

    def __init__(self, images, why):
        """
        Args:
            images: uint8 [N, H, W, C], the training images.
            why: no classifier's features are used, in words.

        Raises:
            NotMeasurableError: when all images are the same.
        """
        self.description = f"principal components of the pixels ({why})"
        if all((part == images[:1]).all() for part in some_of(images)):
            raise metrics.NotMeasurableError("all training images are the same")
        sample = np.concatenate([shrink(part) for part in some_of(images)])
        self._components = PrincipalComponents(sample, COMPONENTS)
        features = self._components.project(sample)
        self._scale = 1 / np.sqrt(features.var(axis=0).sum())
        self.statistics = metrics.statistics(features * self._scale)

    def extract(self, images):
        """Return the `Extracted` features of uint8 [N, H, W, C]."""
        return Extracted(self._components.project(shrink(images)) * self._scale)


def shrink(images):
    """Average squares of pixels, so that an image has at most 1,200 values.

    The covariance that principal components are taken from grows with the
    square of their number.

    Args:
        images: uint8 [N, H, W, C], H = W.

    Returns:
        uint8 or float32 [N, h, w, C].
    """
    count, size, _, channels = images.shape
    factor = 1
    while (size // factor) ** 2 * channels > MOST_VALUES:
        factor += 1
    if factor == 1:
        return images
    side, first = size // factor, size % factor // 2  # what is left over is cut off all around
    last = first + side * factor
    cells = images[:, first:last, first:last].reshape(count, side, factor, side, factor, channels)
    return cells.mean(axis=(2, 4), dtype=np.float32)


def extractor_for(dataset, wanted="auto", why="as asked for"):
    """Return what the images of a data set are compared in.

    Args:
        dataset: a `Dataset` of images.
        wanted: "auto": the classifier that comes with the package if it is of
            these data, else pixels; "classifier": one is also trained (or taken
            from the cache, where an earlier training left it); "pixels".
        why: the reason that is given for "pixels".

    Returns:
        An extractor. Pixels stand in for a classifier that cannot be had or is
        too weak; the description says why.

    Raises:
        NotMeasurableError: when all training images are the same.
    """
    if wanted == "pixels":
        return PixelFeatures(dataset.images, why)
    if dataset.name == STACKED:
        return PlaneFeatures(dataset)
    network = shipped_classifier(dataset) if dataset.labels is not None else None
    if network is None:
        reason = _no_classifier(dataset, wanted)
        if reason is None:
            network = classifier_of(dataset)
            reason = weakness(network, dataset.labels)
        if reason:
            return PixelFeatures(dataset.images, reason)
    return ClassifierFeatures(network)


def _no_classifier(dataset, wanted):
    """Return why no classifier is trained, or None if one is."""
    if dataset.labels is None:
        return "the data have no labels"
    if wanted == "auto":
        return "no classifier of these data comes with the package"
    if len(np.unique(dataset.labels)) < 2:
        return "the data have a single class"
    if held_out_count(dataset) < LEAST_HELD_OUT:
        return (f"a classifier needs {LEAST_HELD_OUT} labelled images to be tested on, "
                f"got {held_out_count(dataset)}")
    return None


def weakness(network, labels):
    """Return why a classifier's features should not be used, or None.

    Args:
        network: a `FeatureNetwork`.
        labels: int [N] of the training images; always naming the most frequent
            one of them is what is called guessing.
    """
    guessing = np.bincount(labels).max() / len(labels)
    least = guessing + LEAST_AGREEMENT * (1 - guessing)
    if network.accuracy >= least:
        return None
    return (f"the data's classifier is right on {network.accuracy:.1%} of held-out images, "
            f"expected at least {least:.1%}")
