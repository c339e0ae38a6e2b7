"""Adaptive discriminator augmentation (Karras et al. 2020), differentiable.

Real and generated images are changed alike, each change with probability p. As most images stay
unchanged, the generator has no reason to draw changed ones.
"""

import math

import tensorflow as tf

DRAWS = 19  # random numbers per image
CHANGES = 9  # the first of them decide which changes are made
STRETCH = 0.2 * math.log(2)  # standard deviation of the logarithm of a side's length
SHIFT = 0.125  # standard deviation, of the side
BRIGHTNESS = 0.2  # standard deviation, where black is -1 and white is 1
CONTRAST = 0.5 * math.log(2)  # standard deviation of the logarithm
SATURATION = math.log(2)  # standard deviation of the logarithm
CUTOUT = 1 / 2  # of the side

MAX_P = 0.8  # beyond it the generator might begin to draw changed images
TARGET = 0.88  # accuracy of the discriminator: the paper's 0.6, for normally distributed logits
PASSES = 15  # over the data, in which p rises by how much the accuracy is too high


def augment(images, draws, p):
    """Mirror, stretch, shift, recolor and partly blank images, float32 [N, H, W, C] in [-1, 1].

    Draws, float32 [N, DRAWS] in [0, 1), decide all: each change is made with probability p, half
    of it for mirroring. Values may leave [-1, 1].
    """
    mirrored = draws[:, 0] < p / 2
    made = tf.cast(draws[:, 1:CHANGES] < p, tf.float32)
    # Normally distributed; the clip keeps the ends finite.
    normal = tf.math.ndtri(tf.clip_by_value(draws[:, CHANGES : CHANGES + 7], 1e-6, 1 - 1e-6))
    scale, stretch = made[:, 0] * normal[:, 0], made[:, 1] * normal[:, 1]
    shift = SHIFT * made[:, 2, None] * normal[:, 2:4]
    down = tf.exp(-STRETCH * (scale + stretch))
    across = tf.exp(-STRETCH * (scale - stretch)) * tf.where(mirrored, -1.0, 1.0)
    images = affine(images, down, across, shift)
    images = _recolor(images, made[:, 3:7], normal[:, 4:], draws[:, -3])
    return cutout(images, made[:, 7], draws[:, -2:], CUTOUT)


def _recolor(images, made, normal, turn):
    """Change brightness, contrast and, of colors, saturation and hue, where `made` is 1."""
    amount = made[:, :3] * normal
    brightness, contrast = BRIGHTNESS * amount[:, 0], tf.exp(CONTRAST * amount[:, 1])
    colors, alpha = images[..., :3], images[..., 3:]
    colors = relight(colors, brightness, contrast)
    if alpha.shape[-1]:  # of premultiplied colors: what is transparent stays black
        offset = brightness - contrast + 1
        colors -= (0.5 - 0.5 * alpha) * offset[:, None, None, None]
    if colors.shape[-1] != 3:
        return colors
    # Colors turn around the gray axis and move away from it (Rodrigues' formula).
    angle = 2 * math.pi * made[:, 3] * turn
    gray = tf.fill([3, 3], 1 / 3)
    turning = tf.constant([[0.0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / math.sqrt(3)
    cosine, sine = tf.cos(angle)[:, None, None], tf.sin(angle)[:, None, None]
    turned = cosine * (tf.eye(3) - gray) + sine * turning
    change = gray + tf.exp(SATURATION * amount[:, 2])[:, None, None] * turned
    colors = tf.einsum("nyxc,ndc->nyxd", colors, change)
    return tf.concat([colors, alpha], axis=-1) if alpha.shape[-1] else colors


def adapted(p, accuracy, steps_per_epoch):
    """Return p for the next step, in [0, MAX_P]: more if the discriminator is too accurate.

    That is how often it ranks a real image above the generated one of the same condition. The
    paper counts real images of positive logits instead, which means nothing for a Wasserstein or
    a relativistic loss: those leave open what is added to all logits of a condition.
    """
    return tf.clip_by_value(p + (accuracy - TARGET) / (PASSES * steps_per_epoch), 0.0, MAX_P)


def mirrored(images, draws):
    """Mirror about half of the images: float32 [N, H, W, C], draws float32 [N, 1] in [0, 1)."""
    return tf.where(draws[:, :, None, None] < 0.5, images[:, :, ::-1], images)


def affine(images, down, across, shift):
    """Stretch images around their middle, shift and mirror them; beyond the edge, they reflect.

    The view spans factors `down` and `across` [N] of the height and width (negative: mirrored), and
    moves by `shift` [N, 2] of the sides.
    """
    for factor, place in ((down, shift[:, 0]), (across, shift[:, 1])):
        _, size, *rest = images.shape
        # Each side in turn is the first of a matrix: an einsum of both takes thrice as long.
        rows = tf.reshape(images, [-1, size, math.prod(rest)])
        resampled = _resampling(size, factor, place) @ rows
        images = tf.transpose(tf.reshape(resampled, [-1, size, *rest]), [0, 2, 1, 3])
    return images


def _resampling(size, factor, shift):
    """Matrices of linear interpolation weights, float32 [N, size, size]."""
    places = tf.range(size, dtype=tf.float32)
    middle, last = (size - 1) / 2, float(size - 1)
    source = middle + factor[:, None] * (places - middle) + size * shift[:, None]
    source = last - tf.abs(tf.math.floormod(source, 2 * last) - last)
    return tf.maximum(0.0, 1 - tf.abs(source[:, :, None] - places))


def relight(images, brightness, contrast):
    """Multiply images by a contrast above 0 and add a brightness, both float32 [N]."""
    return images * contrast[:, None, None, None] + brightness[:, None, None, None]


def cutout(images, made, places, fraction):
    """Set a rectangle to 0 in images whose `made` [N] is 1.

    Its middle `places` [N, 2] and its sides, `fraction`, are fractions of the image's sides.
    """
    def inside(size, middle):
        offsets = tf.abs(tf.range(size, dtype=tf.float32) + 0.5 - size * middle[:, None])
        return tf.cast(offsets < size * fraction / 2, tf.float32)

    rows, columns = (inside(size, places[:, axis])
                     for axis, size in enumerate(images.shape[1:3]))
    blanked = rows[:, :, None] * columns[:, None] * made[:, None, None]
    return images * (1 - blanked[..., None])
