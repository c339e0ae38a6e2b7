"""Features that images are compared in: of a network, or of the pixels themselves."""

import hashlib
import os
import sys
from pathlib import Path

import numpy as np

from gan.common.errors import UserError
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
SIDE = 299  # pixels, for which Inception was made
INCEPTION_IMAGES = 20_000  # training images whose statistics stand for all
INCEPTION_BATCH = 32  # images described at a time


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
        return Inception(dataset.images)
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
    """Return why a classifier's features should not be used, or None.

    Guessing is to name always the most frequent of the training images' `labels`.
    """
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
        """
        Args:
            images: uint8 [N, H, W, C], the training images.
            why: no network's features are used, in words.
        """
        self.description = f"principal components of the pixels ({why})"
        need_variety(images)
        sample = np.concatenate([shrink(part) for part in
                                 parts_of(random_subset(images, MOST_DESCRIBED))])
        self._components = PrincipalComponents(sample, COMPONENTS)
        features = self._components.project(sample)
        self._scale = 1 / np.sqrt(features.var(axis=0).sum())
        self.statistics = statistics(features * self._scale)

    def extract(self, images):
        """Return features float32 [N, D] and None, as `FeatureNetwork.extract` does."""
        return self._components.project(shrink(images)) * self._scale, None


class Inception:
    """Features of Keras' Inception-v3 (Szegedy et al. 2016), 2,048 averages of its last layer.

    Published FIDs use the weights that TensorFlow released in 2015, and Keras has
    others: the numbers come out near each other but not the same. An image is
    described once, however often it is asked for.
    """

    kind, accuracy = "inception", None
    description = ("features of Keras' InceptionV3 (weights imagenet, the average of its last "
                   f"convolutions; images resized to {SIDE} x {SIDE} bilinearly, gray as three "
                   "channels, scaled to [-1, 1]; published FIDs use another file of weights)")

    def __init__(self, images, network=None):
        """
        Args:
            images: uint8 [N, H, W, C], the training images; 20,000 stand for more.
            network: Keras model, float32 [N, 299, 299, 3] in [-1, 1] → [N, D].
        """
        import tensorflow as tf

        network = network or load_inception()
        self._compute = tf.function(lambda images: network(prepared(images), training=False),
                                    autograph=False, reduce_retracing=True)
        self._known = {}  # digest of an image → its features
        self.statistics = statistics(np.concatenate([
            self.extract(part)[0] for part in parts_of(random_subset(images, INCEPTION_IMAGES))]))

    def extract(self, images):
        """Return features float32 [N, D] and None, as `FeatureNetwork.extract` does."""
        from tqdm import tqdm

        keys = [hashlib.blake2b(image.tobytes(), digest_size=16).digest() for image in images]
        new = {key: place for place, key in enumerate(keys) if key not in self._known}
        places = np.array(list(new.values()), int)
        for start in tqdm(range(0, len(places), INCEPTION_BATCH), desc="Inception", unit="batch",
                          leave=False, disable=not sys.stderr.isatty()):
            part = places[start : start + INCEPTION_BATCH]
            rows = self._compute(images[part]).numpy()
            self._known |= {keys[place]: row for place, row in zip(part, rows, strict=True)}
        return np.stack([self._known[key] for key in keys]), None


def prepared(images):
    """Turn images into what Inception expects, inside a graph.

    Args:
        images: uint8 [N, H, W, C], C 1 or 3.

    Returns:
        float32 [N, 299, 299, 3] in [-1, 1].
    """
    import tensorflow as tf

    resized = tf.image.resize(images, [SIDE, SIDE], antialias=images.shape[1] > SIDE)
    return tf.repeat(resized, 3 // images.shape[-1], axis=-1) / 127.5 - 1


def load_inception():
    """Return the Keras model with its weights, which are downloaded if they are not there."""
    import keras

    try:
        return keras.applications.InceptionV3(include_top=False, weights="imagenet", pooling="avg",
                                              input_shape=(SIDE, SIDE, 3))
    except Exception as error:  # Keras wraps some of the network's errors and not others
        home = Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras")
        path = home / "models/inception_v3_weights_tf_dim_ordering_tf_kernels_notop.h5"
        raise UserError(f"--features inception: the weights cannot be downloaded ({error}); "
                        f"expected a network, or the file {path}") from error
