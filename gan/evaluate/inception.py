"""The Inception network of Keras, whose features are compared when asked for.

Inception-v3 (Szegedy et al. 2016), trained on ImageNet, is what the usual FID
is taken from: the average of its last convolutions, 2,048 numbers. Published
FIDs use the weights that TensorFlow released in 2015, and Keras has others: the
numbers come out near each other but not the same.
"""

import hashlib
import os
import sys
from pathlib import Path

import numpy as np

from gan.common.errors import UserError

SIDE = 299  # pixels, for which the network was made
BATCH = 32  # images described at a time
WEIGHTS = "inception_v3_weights_tf_dim_ordering_tf_kernels_notop.h5"  # as Keras keeps them
DESCRIPTION = ("features of Keras' InceptionV3 (weights imagenet, the average of its last "
               f"convolutions; images resized to {SIDE} x {SIDE} bilinearly, grey as three "
               "channels, scaled to [-1, 1]; published FIDs use another file of weights)")


class InceptionNetwork:
    """The network: images → features. It describes an image once, however often it is asked."""

    def __init__(self, network=None):
        """
        Args:
            network: Keras model, float32 [N, 299, 299, 3] in [-1, 1] → [N, D];
                default: see `load_inception`.
        """
        import tensorflow as tf

        network = network or load_inception()
        self._compute = tf.function(lambda images: network(prepared(images), training=False),
                                    autograph=False, reduce_retracing=True)
        self._known = {}  # digest of an image → its features

    def predict(self, images):
        """Return features float32 [N, 2048], with a progress bar.

        Args:
            images: uint8 [N, H, W, C], C 1 or 3.
        """
        from tqdm import tqdm

        keys = [hashlib.blake2b(image.tobytes(), digest_size=16).digest() for image in images]
        new = {key: place for place, key in enumerate(keys) if key not in self._known}
        places = np.array(list(new.values()), int)
        with tqdm(total=len(places), desc="Inception", unit="img", leave=False,
                  disable=not sys.stderr.isatty()) as bar:
            for start in range(0, len(places), BATCH):
                part = places[start : start + BATCH]
                features = self._compute(images[part]).numpy()
                self._known |= {keys[place]: row
                                for place, row in zip(part, features, strict=True)}
                bar.update(len(part))
        return np.stack([self._known[key] for key in keys])


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
    """Return the Keras model with its weights, which are downloaded if they are not there.

    Raises:
        UserError: when they cannot be.
    """
    import keras

    try:
        return keras.applications.InceptionV3(include_top=False, weights="imagenet", pooling="avg",
                                              input_shape=(SIDE, SIDE, 3))
    except Exception as error:  # Keras wraps some of the network's errors and not others
        raise UserError(f"--features inception: the weights cannot be downloaded ({error}); "
                        f"expected a network, or the file {weights_path()}") from error


def weights_path():
    """Return where Keras looks for the weights before it downloads them."""
    home = os.environ.get("KERAS_HOME") or Path.home() / ".keras"
    return Path(home) / "models" / WEIGHTS
