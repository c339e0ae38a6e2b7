"""The small classifier whose features are compared.

Inception, the network behind the usual FID, was trained on photographs of 299
pixels; at 28 grey pixels its features say little. A classifier of the data
itself knows what matters in it. For MNIST it comes with the package, made by
`python -m gan.train_classifier`; for other labelled data it is trained when
asked for, the same way, and kept in the user's cache.
"""

import numpy as np

from gan.common.files import cache_folder
from gan.data.datasets import ASSETS
from gan.evaluate.network_file import load_network, save_network

BATCH = 1000  # images classified at a time
FEATURES = 128
RECIPE = 2  # how cached classifiers were trained; others are made anew


class FeatureNetwork:
    """A trained classifier: images → features and class probabilities.

    Attributes:
        weights: list of arrays, in the order of `build_network`.
        accuracy: on images that it was not trained on, in [0, 1].
        statistics: mean [D] and covariance [D, D] of the training images' features.
    """

    def __init__(self, weights, accuracy=None, statistics=None):
        """
        Args:
            weights, accuracy, statistics: the attributes.
        """
        self.weights, self.accuracy, self.statistics = weights, accuracy, statistics
        self._compute = None

    def predict(self, images):
        """Return features float32 [N, 128] and class probabilities float32 [N, K].

        Args:
            images: uint8 [N, H, W, C].
        """
        import tensorflow as tf

        if self._compute is None:
            network = build_network(images.shape[1:], len(self.weights[-1]))
            network.set_weights(self.weights)
            body, head = network.layers[:-1], network.layers[-1]

            @tf.function(autograph=False, reduce_retracing=True)
            def compute(batch):
                values = scale(batch)
                for layer in body:
                    values = layer(values, training=False)
                return values, tf.nn.softmax(head(values))

            self._compute = compute
        parts = [self._compute(images[start : start + BATCH])
                 for start in range(0, len(images), BATCH)]
        return tuple(np.concatenate([part[index].numpy() for part in parts]) for index in (0, 1))


def build_network(image_shape, classes):
    """Build the classifier: Sequential, images in [-1, 1] → logits [N, classes]."""
    import keras
    from keras import layers

    network = keras.Sequential([keras.Input(image_shape)])
    size, channels = image_shape[0], 32
    while size > 8:
        for strides in (1, 2):
            network.add(layers.Conv2D(channels, 3, strides=strides, padding="same",
                                      use_bias=False))
            network.add(layers.BatchNormalization())
            network.add(layers.ReLU())
        size, channels = -(-size // 2), min(2 * channels, 128)
    network.add(layers.Flatten())
    network.add(layers.Dense(FEATURES, activation="relu"))
    network.add(layers.Dropout(0.5))
    network.add(layers.Dense(classes))
    return network


def scale(images):
    """uint8 → float32 in [-1, 1], inside a graph."""
    import tensorflow as tf

    return tf.cast(images, tf.float32) / 127.5 - 1


def shipped_classifier(dataset):
    """Return the `FeatureNetwork` that comes with the package, or None if of other data."""
    return load_classifier(ASSETS / "mnist_classifier.npz",
                           dataset.original or dataset.fingerprint)


def cached_path(dataset):
    """Return where a classifier trained on a data set is kept."""
    return cache_folder() / f"classifier_{dataset.fingerprint}.npz"


def save_classifier(path, classifier, fingerprint):
    """Write a classifier with the fingerprint of its data: see `save_network`."""
    save_network(path, classifier, fingerprint, RECIPE)


def load_classifier(path, fingerprint, recipe=None):
    """Read a classifier: a `FeatureNetwork`, or None, see `load_network`."""
    found = load_network(path, fingerprint, recipe)
    return found and FeatureNetwork(*found)
