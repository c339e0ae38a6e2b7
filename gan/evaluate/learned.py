"""The network whose features are compared where images have no labels.

It learns from the images alone (`gan.evaluate.contrastive`): two views of one
image are to come out near each other and far from those of other images. What
tells images apart is in its features, what the views change at random is not.
"""

import numpy as np

from gan.common.files import cache_folder
from gan.evaluate.classifier import scale
from gan.evaluate.network_file import load_network, save_network

FEATURES = 128
FILTERS = (32, 64, 128)  # of the first layers; the others have as many as the last
LARGEST_SIDE = 64  # pixels; larger images are averaged first, or a training would take an hour
LEAST_SIDE = 8  # to which the convolutions halve the image
SLOPE = 0.2  # of LeakyReLU below 0
MOMENTUM = 0.9  # of the statistics of batch normalisation: they settle in some dozen steps
PIXELS = 2**20  # of the images that are described at a time
RECIPE = 1  # how cached networks were trained; others are made anew


class LearnedNetwork:
    """A trained encoder: images → features.

    Attributes:
        weights: list of arrays, in the order of `build_encoder`.
        accuracy: fraction of images that it was not trained on that it finds
            again in another view, see `gan.evaluate.contrastive`.
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
        """Return features float32 [N, 128].

        Args:
            images: uint8 [N, H, W, C].
        """
        import tensorflow as tf

        if self._compute is None:
            encoder = build_encoder(images.shape[1:])
            encoder.set_weights(self.weights)
            self._compute = tf.function(lambda batch: encoder(scale(batch), training=False),
                                        autograph=False, reduce_retracing=True)
        count = max(1, PIXELS // int(np.prod(images.shape[1:3])))
        return np.concatenate([self._compute(images[start : start + count]).numpy()
                               for start in range(0, len(images), count)])


def build_encoder(image_shape):
    """Build the encoder: Sequential, float32 [N, H, W, C] in [-1, 1] → features [N, 128]."""
    import keras
    from keras import layers

    encoder = keras.Sequential([keras.Input(image_shape)])
    size, filters = image_shape[0], list(FILTERS)
    if size > LARGEST_SIDE:
        factor = -(-size // LARGEST_SIDE)
        encoder.add(layers.AveragePooling2D(factor))
        size //= factor
    while size > LEAST_SIDE:
        encoder.add(layers.Conv2D(filters[0], 4, strides=2, padding="same", use_bias=False))
        encoder.add(layers.BatchNormalization(momentum=MOMENTUM))
        encoder.add(layers.LeakyReLU(SLOPE))
        size, filters = -(-size // 2), filters[1:] or filters
    encoder.add(layers.Flatten())
    encoder.add(layers.Dense(FEATURES))
    return encoder


def cached_path(dataset):
    """Return where the network that learned from a data set is kept."""
    return cache_folder() / f"learned_{dataset.fingerprint}.npz"


def save_learned(path, network, fingerprint):
    """Write a network with the fingerprint of its data: see `save_network`."""
    save_network(path, network, fingerprint, RECIPE)


def load_learned(path, fingerprint):
    """Read a network of this recipe: a `LearnedNetwork`, or None, see `load_network`."""
    found = load_network(path, fingerprint, RECIPE)
    return found and LearnedNetwork(*found)
