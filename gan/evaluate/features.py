"""Choice of the features that images are compared in: of a network, or of the pixels."""

import numpy as np

from gan.data.conditions import PrincipalComponents
from gan.data.datasets import ASSETS
from gan.evaluate.metrics import NotMeasurableError, parts_of, random_subset, shrink, statistics
from gan.evaluate.networks import (
    MOST_DESCRIBED,
    encoder_held_out,
    inception_network,
    load_network,
    trained_network,
)

COMPONENTS = 50  # principal components of the pixels
# Share of the way from guessing to perfect that a classifier must come before its features are
# used: "almost perfect" agreement of Landis & Koch 1977. Below it images of different classes
# share their place among the features, and generated images can come out nearer than real ones.
LEAST_AGREEMENT = 0.8
# The same of a network that learned without labels, whose task is harder: to tell an image from
# hundreds that may look much like it.
LEAST_FOUND = 0.1
LEAST_IMAGES = 200  # below which nothing is learned without labels


def extractor_for(dataset, wanted="auto"):
    """Return the `FeatureNetwork` or `PixelFeatures` that the images of a data set are compared in.

    "auto" is the classifier that comes with the package if it is of these data, else "pixels";
    "trained" is "classifier" where there are labels, else "learned". Pixels stand in for a network
    that cannot be had or is too weak, and their description says why. What lies in a cache has
    no say. Images that are all the same raise `NotMeasurableError`.
    """
    if all((part == dataset.images[:1]).all() for part in parts_of(dataset.images)):
        raise NotMeasurableError("all training images are the same")
    if wanted == "trained":
        wanted = "learned" if dataset.labels is None else "classifier"
    reason = ""
    try:
        if wanted == "inception":
            return inception_network(dataset.images)
        if wanted == "learned":
            return _learned_network(dataset)
        if wanted != "pixels":
            return _classifier(dataset, shipped_only=wanted == "auto")
    except NotMeasurableError as error:
        reason = f" ({error})"
    return PixelFeatures(dataset.images, reason)


def _learned_network(dataset):
    count = len(dataset.images)
    if count < LEAST_IMAGES:
        raise NotMeasurableError(
            f"features are learned from {LEAST_IMAGES} images or more, got {count}")
    network = trained_network("learned", dataset)
    need_skill(network.accuracy, 1 / encoder_held_out(count), LEAST_FOUND,
               "found again in another view")
    return network


def _classifier(dataset, shipped_only):
    if dataset.labels is None:
        raise NotMeasurableError("the data have no labels")
    shipped = load_network(ASSETS / "mnist_classifier.npz", "classifier", dataset,
                           dataset.original or dataset.fingerprint)
    if shipped is not None:
        return shipped
    if shipped_only:
        raise NotMeasurableError("no classifier of these data comes with the package")
    guessing = np.bincount(dataset.labels).max() / len(dataset.labels)  # always the largest class
    if guessing == 1:
        raise NotMeasurableError("the data have a single class")
    network = trained_network("classifier", dataset)
    need_skill(network.accuracy, guessing, LEAST_AGREEMENT, "classified correctly")
    return network


def need_skill(accuracy, guessing, share, task):
    """Raise `NotMeasurableError` unless an accuracy is this share of the way to perfect."""
    least = guessing + share * (1 - guessing)
    if not accuracy >= least:
        raise NotMeasurableError(f"{accuracy:.1%} of held-out images are {task}, expected at "
                                 f"least {least:.1%}")


class PixelFeatures:
    """The principal components of the pixels, whose total variance is brought to 1."""

    kind, accuracy = "pixels", None

    def __init__(self, images, reason=""):
        self.description = f"principal components of the pixels{reason}"
        sample = _shrunk(random_subset(images, MOST_DESCRIBED))
        self._components = PrincipalComponents(sample, COMPONENTS)
        features = self._components.project(sample)
        self._scale = 1 / np.sqrt(features.var(axis=0).sum())
        self.statistics = statistics(features * self._scale)

    def extract(self, images):
        return self._components.project(_shrunk(images)) * self._scale, None


def _shrunk(images):
    return np.concatenate([shrink(part) for part in parts_of(images)])
