"""Sample types, images and points: stored, scaled for the networks, and served."""

import numpy as np


class Images:
    """Images; RGBA is stored and served with straight alpha, and premultiplied for the networks.

    Premultiplied color is 0 where nothing is visible, whatever it was (Porter & Duff 1984).
    """

    name = "images"
    unit = "img"
    dtype = np.uint8  # as stored

    @staticmethod
    def to_floats(samples):
        """Scale for the networks, in a graph: uint8 → float32 in [-1, 1]."""
        import tensorflow as tf

        values = tf.cast(samples, tf.float32)
        if samples.shape[-1] == 4:
            alpha = values[:, :, :, 3:]
            values = tf.concat([values[:, :, :, :3] * alpha / 255, alpha], axis=-1)
        return values / 127.5 - 1

    @staticmethod
    def to_stored(samples):
        """Scale back, in a graph: float32 in [-1, 1] → uint8."""
        import tensorflow as tf

        return tf.saturate_cast(tf.round(Images.to_served(samples) * 255), tf.uint8)

    @staticmethod
    def to_served(samples):
        """Scale for other programs: float32 in [-1, 1] → float32 in [0, 1]."""
        import tensorflow as tf

        values = samples * 0.5 + 0.5
        if samples.shape[-1] != 4:
            return values
        alpha = values[:, :, :, 3:]
        colors = values[:, :, :, :3] / tf.maximum(alpha, 1 / 255)
        return tf.concat([tf.minimum(colors, 1.0), alpha], axis=-1)

    @staticmethod
    def served_to_stored(samples):
        """Scale an array that `to_served` returned: float32 in [0, 1] → uint8."""
        return np.rint(samples * 255).astype(np.uint8)


class Points:
    """Points of the plane, which need no scaling."""

    name = unit = "points"
    dtype = np.float32

    @staticmethod
    def to_floats(samples):
        return samples

    to_stored = to_served = served_to_stored = to_floats


def sample_type_of(shape):
    """Return the type of samples of a shape, (H, W, C) or (2,); KeyError for any other."""
    return {3: Images, 1: Points}[len(shape)]
