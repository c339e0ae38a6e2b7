"""Which features images are compared in, and why.

It depends on the data and on what was asked for, never on what lies in a cache.
"""

import numpy as np

from gan.data.names import STACKED
from gan.evaluate.classifier import shipped_classifier
from gan.evaluate.classifier_training import LEAST_HELD_OUT, classifier_of, held_out_count
from gan.evaluate.contrastive import LEAST_IMAGES, held_out_for, learned_network_of
from gan.evaluate.features import (
    ClassifierFeatures,
    InceptionFeatures,
    LearnedFeatures,
    PixelFeatures,
    PlaneFeatures,
    need_variety,
)

# Share of the way from guessing to perfect that a classifier must come before
# its features are used: the bound of "almost perfect" agreement of Landis & Koch
# 1977. Below it images of different classes share their place among the
# features, and generated images can come out nearer to the data than real ones.
LEAST_AGREEMENT = 0.8
# The same of a network that learned without labels, whose task is harder: to tell
# an image from hundreds that may look much like it. Below it all that it could
# learn from was noise, or what its views change at random. With 100 held out it
# found 3 of one square in different greys and 9 of an even grey with noise;
# 18 of squares and crosses anywhere, of 500 digits 104, and of 500 clothes 186.
LEAST_FOUND = 0.1


def extractor_for(dataset, wanted="auto", why="as asked for"):
    """Return what the images of a data set are compared in.

    Args:
        dataset: a `Dataset` of images.
        wanted: "auto": the classifier that comes with the package if it is of
            these data, else pixels; "trained": a classifier where the data have
            labels, else features learned without; "classifier" or "learned": one
            of the two, trained or taken from the cache, where an earlier training
            left it; "inception"; "pixels".
        why: the reason that is given for "pixels".

    Returns:
        An extractor. Pixels stand in for a network that cannot be had or is too
        weak; the description says why.

    Raises:
        NotMeasurableError: when all training images are the same.
        UserError: when the weights of Inception are asked for and cannot be had.
    """
    if wanted == "trained":
        unlabelled = dataset.labels is None and dataset.name != STACKED
        wanted = "learned" if unlabelled else "classifier"
    if wanted == "pixels":
        return PixelFeatures(dataset.images, why)
    if wanted == "inception":
        return InceptionFeatures(dataset.images)
    if wanted == "learned":
        return _learned_features(dataset)
    if dataset.name == STACKED:
        return PlaneFeatures(dataset)
    return _classifier_features(dataset, wanted)


def _learned_features(dataset):
    need_variety(dataset.images)
    count = len(dataset.images)
    if count < LEAST_IMAGES:
        return PixelFeatures(dataset.images, f"features are learned from {LEAST_IMAGES} images or "
                             f"more, got {count}")
    network = learned_network_of(dataset)
    reason = blindness(network, held_out_for(count))
    return PixelFeatures(dataset.images, reason) if reason else LearnedFeatures(network)


def _classifier_features(dataset, wanted):
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


def blindness(network, count):
    """Return why features that were learned without labels should not be used, or None.

    Args:
        network: a `LearnedNetwork`.
        count: of images held out, among which it had to find each again; one in
            so many is found by guessing.
    """
    least = 1 / count + LEAST_FOUND * (1 - 1 / count)
    if network.accuracy >= least:
        return None
    return (f"learned features find {network.accuracy:.1%} of held-out images again in another "
            f"view, expected at least {least:.1%}")
