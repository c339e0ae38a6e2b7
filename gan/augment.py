"""Differentiable augmentation, for data sets so small that the discriminator learns them by heart.

Zhao et al. 2020, "Differentiable Augmentation for Data-Efficient GAN Training":
the discriminator sees real and generated images after the same kind of random
changes, so these do not leak into the generated images, and the generator's
gradient flows back through them.
"""

import tensorflow as tf

DRAWS = 4  # random numbers that an image takes
SHIFT = 1 / 8  # of the side, at most, each way
CUTOUT = 1 / 2  # of the side


def augment(images, draws):
    """Shift each image at random and blank a square of it.

    Args:
        images: float32 [N, H, W, C] in [-1, 1], H = W.
        draws: float32 [N, DRAWS] in [0, 1), which decide all.

    Returns:
        float32 [N, H, W, C]; what was shifted in and what was cut out is 0.
    """
    return _cut_out(_shift(images, draws[:, :2]), draws[:, 2:])


def _shift(images, draws):
    size = images.shape[1]
    most = round(SHIFT * size)
    moves = _whole(draws, 2 * most + 1)
    wide = tf.pad(images, [[0, 0], [most, most], [most, most], [0, 0]])
    places = moves[:, :, None] + tf.range(size)  # [N, 2, size]
    rows = tf.gather(wide, places[:, 0], axis=1, batch_dims=1)
    return tf.gather(rows, places[:, 1], axis=2, batch_dims=1)


def _cut_out(images, draws):
    size = images.shape[1]
    side = round(CUTOUT * size)
    # The square's middle may lie anywhere, so that corners are blanked as well.
    first = _whole(draws, size + 1) - side // 2
    away = tf.range(size) - first[:, :, None]  # [N, 2, size]
    inside = (away >= 0) & (away < side)
    square = inside[:, 0, :, None] & inside[:, 1, None, :]
    return images * tf.cast(~square, images.dtype)[..., None]


def _whole(draws, count):
    """Numbers in [0, 1) → whole numbers in [0, count)."""
    return tf.cast(draws * count, tf.int32)
