"""Augmentation of what the discriminator sees, only as strong as the data need.

Adaptive discriminator augmentation (Karras et al. 2020, "Training Generative
Adversarial Networks with Limited Data"): real and generated images are changed
alike and at random, so that the discriminator cannot tell them apart by knowing
the real ones by heart. Each change is made to some of the images only, and so
the generator has no reason to draw changed ones. All is differentiable: the
gradient of the generator's loss flows back through it.
"""

import math

import tensorflow as tf

from gan.data.changes import cut_out, moved, relit

DRAWS = 19  # random numbers that an image takes
CHANGES = 9  # the first of them decide which changes are made
STRETCH = 0.2 * math.log(2)  # deviation of the logarithm of a side's length
SHIFT = 0.125  # deviation, of the side
BRIGHTNESS = 0.2  # deviation, where black is -1 and white is 1
CONTRAST = 0.5 * math.log(2)  # deviation of the logarithm
SATURATION = math.log(2)  # deviation of the logarithm
CUTOUT = 1 / 2  # of the side

MOST = 0.8  # strength, beyond which the generator might begin to draw changed images
SURE = 0.6  # as the discriminator may be of real images, see `adapted`
# Over the data, in which the strength rises by what it is too sure: to know images by heart,
# it has to see them often.
PASSES = 50


def augment(images, draws, strength):
    """Mirror, stretch, shift, recolour and partly blank images.

    Args:
        images: float32 [N, H, W, C] in [-1, 1], H = W, C 1 or 3.
        draws: float32 [N, DRAWS] in [0, 1), which decide all.
        strength: float32 scalar in [0, 1], the share of images that each change is
            made to, half of it for mirroring. Nothing changes at 0.

    Returns:
        float32 [N, H, W, C]; values may leave [-1, 1]. What is blanked is 0.
    """
    mirrored = draws[:, 0] < strength / 2
    made = tf.cast(draws[:, 1:CHANGES] < strength, tf.float32)
    # Normally distributed; the clip keeps the ends finite.
    normal = tf.math.ndtri(tf.clip_by_value(draws[:, CHANGES : CHANGES + 7], 1e-6, 1 - 1e-6))
    scale, stretch = made[:, 0] * normal[:, 0], made[:, 1] * normal[:, 1]
    shift = SHIFT * made[:, 2, None] * normal[:, 2:4]
    down = tf.exp(-STRETCH * (scale + stretch))
    across = tf.exp(-STRETCH * (scale - stretch)) * tf.where(mirrored, -1.0, 1.0)
    images = moved(images, down, across, shift)
    images = _recolour(images, made[:, 3:7], normal[:, 4:], draws[:, -3])
    return cut_out(images, made[:, 7], draws[:, -2:], CUTOUT)


def _recolour(images, made, normal, turn):
    """Change brightness and contrast, and of colours the saturation and the hue.

    Args:
        images: float32 [N, H, W, C].
        made: float32 [N, 4], 1 where brightness, contrast, saturation and hue change.
        normal: float32 [N, 3], how much, for the first three.
        turn: float32 [N] in [0, 1), how far the hue turns.
    """
    amount = made[:, :3] * normal
    images = relit(images, BRIGHTNESS * amount[:, 0], tf.exp(CONTRAST * amount[:, 1]))
    if images.shape[-1] == 1:
        return images
    # Colours turn around the grey axis and move away from it (Rodrigues' formula).
    angle = 2 * math.pi * made[:, 3] * turn
    grey = tf.fill([3, 3], 1 / 3)
    turning = tf.constant([[0.0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / math.sqrt(3)
    cosine, sine = tf.cos(angle)[:, None, None], tf.sin(angle)[:, None, None]
    turned = cosine * (tf.eye(3) - grey) + sine * turning
    colours = grey + tf.exp(SATURATION * amount[:, 2])[:, None, None] * turned
    return tf.einsum("nyxc,ndc->nyxd", images, colours)


def adapted(strength, real_logits, fake_logits, steps_per_epoch, mean):
    """Return the strength for the next step: more if the discriminator is too sure, else less.

    How sure it is, is the share of real images on the real side of the middle
    between real and generated ones, less the share on the other side. The paper
    takes 0 for the middle, which has no meaning for a Wasserstein or a
    relativistic loss, and changes the strength in steps of one length.

    Args:
        strength: float32 scalar.
        real_logits, fake_logits: float32 [N].
        steps_per_epoch: how many steps make one pass over the data.
        mean: function of a list of tensors, their means over all processes.

    Returns:
        float32 scalar in [0, MOST].
    """
    middle, = mean([(tf.reduce_mean(real_logits) + tf.reduce_mean(fake_logits)) / 2])
    sure, = mean([tf.reduce_mean(tf.sign(real_logits - middle))])
    return tf.clip_by_value(strength + (sure - SURE) / (PASSES * steps_per_epoch), 0.0, MOST)


def mirrored(images, draws):
    """Return images of which about half are mirrored: float32 [N, H, W, C].

    Args:
        images: float32 [N, H, W, C].
        draws: float32 [N, 1] in [0, 1), which decide which.
    """
    return tf.where(draws[:, :, None, None] < 0.5, images[:, :, ::-1], images)
