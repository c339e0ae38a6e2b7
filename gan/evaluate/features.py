"""What images are compared in: features of a network, or of the pixels themselves.

All extractors have the same face: `kind`, `description`, `accuracy` (of a
network that was trained on the data, on images held out; else None),
`statistics` of the training images' features, and `extract(images)`. Which one
is used: see `gan.evaluate.choice`.
"""

from typing import NamedTuple

import numpy as np

from gan.data.clustering import PrincipalComponents, some_of
from gan.data.datasets import load_dataset
from gan.evaluate import metrics
from gan.evaluate.classifier_training import classifier_of
from gan.evaluate.inception import DESCRIPTION, InceptionNetwork

REFERENCE_COUNT = 20_000  # training images whose statistics stand for all, where it takes long
COMPONENTS = 50  # principal components that stand in for features
MOST_VALUES = 1200  # of an image, before its principal components are taken


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


class LearnedFeatures:
    """The features of a network that learned from the data without labels."""

    kind = "learned"

    def __init__(self, network):
        """
        Args:
            network: a `LearnedNetwork`.
        """
        self._network = network
        self.accuracy, self.statistics = network.accuracy, network.statistics
        self.description = (f"features learned without labels ({self.accuracy:.1%} of held-out "
                            "images found again in another view)")

    def extract(self, images):
        """Return the `Extracted` features of uint8 [N, H, W, C]."""
        return Extracted(self._network.predict(images))


class InceptionFeatures:
    """The features of Keras' Inception network."""

    kind, accuracy, description = "inception", None, DESCRIPTION

    def __init__(self, images):
        """
        Args:
            images: uint8 [N, H, W, C], the training images; 20,000 stand for more.

        Raises:
            UserError: when the network's weights are not there and cannot be downloaded.
        """
        self._network = InceptionNetwork()
        chosen = np.random.default_rng(0).permutation(len(images))[:REFERENCE_COUNT]
        self.statistics = metrics.statistics(self.extract(images[np.sort(chosen)]).features)

    def extract(self, images):
        """Return the `Extracted` features of uint8 [N, H, W, C]."""
        return Extracted(self._network.predict(images))


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
        need_variety(images)
        sample = np.concatenate([shrink(part) for part in some_of(images)])
        self._components = PrincipalComponents(sample, COMPONENTS)
        features = self._components.project(sample)
        self._scale = 1 / np.sqrt(features.var(axis=0).sum())
        self.statistics = metrics.statistics(features * self._scale)

    def extract(self, images):
        """Return the `Extracted` features of uint8 [N, H, W, C]."""
        return Extracted(self._components.project(shrink(images)) * self._scale)


def need_variety(images):
    """Raise a `NotMeasurableError` when all of uint8 [N, H, W, C] are the same."""
    if all((part == images[:1]).all() for part in some_of(images)):
        raise metrics.NotMeasurableError("all training images are the same")


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
