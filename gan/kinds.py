"""The kinds of sample that a generator can learn: images and points of the plane.

Everything that differs between the two is one object here: how samples are
scaled for the networks and back, how they are drawn, measured and named.
"""

import numpy as np


class Images:
    """Square images, stored as uint8 [N, H, W, C], C 1 or 3."""

    name = "images"
    unit = "img"
    dtype = np.uint8  # as stored
    forms = ("grid", "npz", "interpolate")  # in which generate.py draws them, PNG files aside
    dimensions = 3  # of the shape of one sample

    @staticmethod
    def to_floats(samples):
        """Scale for the networks, in a graph: uint8 → float32 in [-1, 1]."""
        import tensorflow as tf

        return tf.cast(samples, tf.float32) / 127.5 - 1

    @staticmethod
    def to_stored(samples):
        """Scale back, in a graph: float32 in [-1, 1] → uint8 [N, H, W, C]."""
        import tensorflow as tf

        return tf.cast(tf.round(Images.to_served(samples) * 255), tf.uint8)

    @staticmethod
    def to_served(samples):
        """Scale for other programs, in a graph: float32 in [-1, 1] → float32 in [0, 1]."""
        return samples * 0.5 + 0.5

    @staticmethod
    def served_to_stored(samples):
        """Scale what `to_served` gave, as an array: float32 in [0, 1] → uint8."""
        return np.rint(samples * 255).astype(np.uint8)


class Points:
    """Points of the plane, stored as float32 [N, 2]."""

    name = "points"
    unit = "points"
    dtype = np.float32
    forms = ("npz", "csv")
    dimensions = 1

    @staticmethod
    def to_floats(samples):
        """Points need no scaling: the networks know their extent."""
        return samples

    to_stored = to_served = served_to_stored = to_floats


KINDS = (Images, Points)


def kind_of(shape):
    """Return the kind of samples of a shape.

    Args:
        shape: (H, W, C) of an image, (2,) of a point.

    Raises:
        ValueError: for a shape of neither.
    """
    for kind in KINDS:
        if kind.dimensions == len(shape):
            return kind
    raise ValueError(f"expected the shape of an image or a point, got: {tuple(shape)}")
