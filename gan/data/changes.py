"""Changes of images as tensors: moved, relit, partly blanked.

How much is the caller's to draw at random. All are differentiable. TensorFlow
is imported when they are called, as nothing else here needs it.
"""

import math


def moved(images, down, across, shift):
    """Stretch images around their middle, shift and mirror them.

    Pixels between pixels are interpolated linearly; beyond the edge lies the
    image's reflection.

    Args:
        images: float32 [N, H, W, C], H = W.
        down, across: float32 [N], the height and the width of what is seen, of
            the image's; below 1 enlarges. A negative one mirrors.
        shift: float32 [N, 2], how far down and across the view moves, of the side.

    Returns:
        float32 [N, H, W, C].
    """
    import tensorflow as tf

    for factor, place in ((down, shift[:, 0]), (across, shift[:, 1])):
        _, size, *rest = images.shape
        # Each side in turn is the first of a matrix: an einsum of both takes thrice as long.
        rows = tf.reshape(images, [-1, size, math.prod(rest)])
        moved_rows = _resampling(size, factor, place) @ rows
        images = tf.transpose(tf.reshape(moved_rows, [-1, size, *rest]), [0, 2, 1, 3])
    return images


def _resampling(size, factor, shift):
    """Return the matrices that stretch and shift one side: float32 [N, size, size].

    Each row holds the weights of the pixels that a pixel is interpolated from.
    """
    import tensorflow as tf

    places = tf.range(size, dtype=tf.float32)
    middle, last = (size - 1) / 2, float(size - 1)
    source = middle + factor[:, None] * (places - middle) + size * shift[:, None]
    source = last - tf.abs(tf.math.floormod(source, 2 * last) - last)
    return tf.maximum(0.0, 1 - tf.abs(source[:, :, None] - places))


def relit(images, brightness, contrast):
    """Change brightness and contrast; the hue of every pixel stays.

    Args:
        images: float32 [N, H, W, C] in [-1, 1].
        brightness: float32 [N], what is added.
        contrast: float32 [N], above 0, what the distance from medium grey is multiplied by.

    Returns:
        float32 [N, H, W, C]; values may leave [-1, 1].
    """
    return images * contrast[:, None, None, None] + brightness[:, None, None, None]


def cut_out(images, made, places, share):
    """Blank a square of images.

    Args:
        images: float32 [N, H, W, C], H = W.
        made: float32 [N], 1 where there is a square and 0 where not.
        places: float32 [N, 2] in [0, 1), its middle, down and across.
        share: its side, of the images'.

    Returns:
        float32 [N, H, W, C]; what is blanked is 0.
    """
    import tensorflow as tf

    size = images.shape[1]
    offsets = tf.abs(tf.range(size, dtype=tf.float32)[None, :, None] + 0.5
                     - size * places[:, None])
    inside = tf.cast(offsets < size * share / 2, tf.float32)
    blanked = inside[:, :, None, 0] * inside[:, None, :, 1] * made[:, None, None]
    return images * (1 - blanked[..., None])
