"""Features that images are compared in: of a network, or of the pixels themselves."""

import numpy as np

from gan.data.clustering import PrincipalComponents
from gan.evaluate.metrics import (
    NotMeasurableError,
    parts_of,
    random_subset,
    shrink,
    statistics,
)
from gan.evaluate.networks import (
    LEAST_HELD_OUT,
    LEAST_IMAGES,
    MOST_DESCRIBED,
    held_out_count,
    held_out_for,
    inception_network,
    shipped_classifier,
    trained_network,
)

COMPONENTS = 50  # principal components of the pixels
# Share of the way from guessing to perfect that a classifier must come before
# its features are used: the bound of "almost perfect" agreement of Landis & Koch
# 1977. Below it images of different classes share their place among the
# features, and generated images can come out nearer to the data than real ones.
LEAST_AGREEMENT = 0.8
# The same of a network that learned without labels, whose task is harder: to tell
# an image from hundreds that may look much like it. Below it all that it could
# learn from was noise, or what its views change at random.
LEAST_FOUND = 0.1


def extractor_for(dataset, wanted="auto", why="as asked for"):
    """Return what the images of a data set are compared in.

    It depends on the data and on what was asked for, never on what lies in a cache.

    Args:
        dataset: a `Dataset` of images.
        wanted: "auto": the classifier that comes with the package if it is of
            these data, else pixels; "trained": a classifier where the data have
            labels, else features learned without; "classifier", "learned",
            "inception" or "pixels".
        why: the reason that is given for "pixels".

    Returns:
        An object with the attributes of a `FeatureNetwork`. Pixels stand in for a
        network that cannot be had or is too weak; the description says why.

    Raises:
        NotMeasurableError: when all training images are the same.
        UserError: when the weights of Inception are asked for and cannot be had.
    """
    if wanted == "trained":
        wanted = "learned" if dataset.labels is None else "classifier"
    if wanted == "inception":
        return inception_network(dataset.images)
    network, reason = None, why
    if wanted == "learned":
        need_variety(dataset.images)
        network, reason = _learned_network(dataset)
    elif wanted != "pixels":
        network, reason = _classifier(dataset, wanted)
    return network or PixelFeatures(dataset.images, reason)


def _learned_network(dataset):
    """Return the network that learned without labels, or (None, why there is none)."""
    count = len(dataset.images)
    if count < LEAST_IMAGES:
        return None, f"features are learned from {LEAST_IMAGES} images or more, got {count}"
    network = trained_network("learned", dataset)
    reason = blindness(network.accuracy, held_out_for(count))
    return (None, reason) if reason else (network, "")


def _classifier(dataset, wanted):
    """Return the data's classifier, or (None, why there is none)."""
    if dataset.labels is None:
        return None, "the data have no labels"
    network = shipped_classifier(dataset)
    if network is not None:
        return network, ""
    if wanted == "auto":
        return None, "no classifier of these data comes with the package"
    if len(np.unique(dataset.labels)) < 2:
        return None, "the data have a single class"
    if held_out_count(dataset) < LEAST_HELD_OUT:
        return None, (f"a classifier needs {LEAST_HELD_OUT} labeled images to be tested on, "
                      f"got {held_out_count(dataset)}")
    network = trained_network("classifier", dataset)
    reason = weakness(network.accuracy, dataset.labels)
    return (None, reason) if reason else (network, "")


def weakness(accuracy, labels):
    """Return why a classifier's features should not be used, or None."""
    # Guessing is to name always the most frequent class.
    guessing = np.bincount(labels).max() / len(labels)
    least = guessing + LEAST_AGREEMENT * (1 - guessing)
    if accuracy >= least:
        return None
    return (f"the data's classifier is right on {accuracy:.1%} of held-out images, "
            f"expected at least {least:.1%}")


def blindness(accuracy, count):
    """Return why features learned without labels should not be used, or None.

    One of `count` held-out images is found again by guessing.
    """
    least = 1 / count + LEAST_FOUND * (1 - 1 / count)
    if accuracy >= least:
        return None
    return (f"learned features find {accuracy:.1%} of held-out images again in another "
            f"view, expected at least {least:.1%}")


def need_variety(images):
    """Raise a `NotMeasurableError` when all of uint8 [N, H, W, C] are the same."""
    if all((part == images[:1]).all() for part in parts_of(images)):
        raise NotMeasurableError("all training images are the same")


class PixelFeatures:
    """The principal components of the pixels, which know shape and position but not meaning.

    They are divided by the root of their total variance, so that distances have
    the scale of the data.
    """

    kind, accuracy = "pixels", None

    def __init__(self, images, why):
        self.description = f"principal components of the pixels ({why})"
        need_variety(images)
        sample = _shrunk(random_subset(images, MOST_DESCRIBED))
        self._components = PrincipalComponents(sample, COMPONENTS)
        features = self._components.project(sample)
        self._scale = 1 / np.sqrt(features.var(axis=0).sum())
        self.statistics = statistics(features * self._scale)

    def extract(self, images):
        """Return features float32 [N, D] and None, as `FeatureNetwork.extract` does."""
        return self._components.project(_shrunk(images)) * self._scale, None


def _shrunk(images):
    return np.concatenate([shrink(part) for part in parts_of(images)])
