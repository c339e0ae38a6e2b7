"""The games: logits in, one number out.

Each adversarial loss is a pair of functions. `discriminator(real, fake,
smoothing)` and `generator(fake)` take the discriminator's logits, float32 [N],
and return a float32 scalar, the mean over the batch.
"""

from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf


class Loss(NamedTuple):
    """An adversarial game: what each of the two networks minimises."""

    discriminator: Callable
    generator: Callable


def cross_entropy_discriminator(real, fake, smoothing=0.0):
    """-[log D(x) + log(1 - D(G(z)))], Goodfellow et al. 2014, equation 1.

    With smoothing s the target for real images is 1 - s (Salimans et al. 2016);
    the target for generated ones stays 0, or the generator would be rewarded
    for what it already does.
    """
    real_loss = (1 - smoothing) * tf.nn.softplus(-real) + smoothing * tf.nn.softplus(real)
    fake_loss = tf.nn.softplus(fake)  # -log(1 - sigmoid(fake))
    return tf.reduce_mean(real_loss) + tf.reduce_mean(fake_loss)


def nonsaturating_generator(fake):
    """-log D(G(z)), Goodfellow et al. 2014, section 3: a gradient from the start."""
    return tf.reduce_mean(tf.nn.softplus(-fake))  # -log sigmoid(fake)


def minimax_generator(fake):
    """log(1 - D(G(z))), the generator's side of equation 1; flat where D is sure."""
    return -tf.reduce_mean(tf.nn.softplus(fake))


LOSSES = {
    "nonsaturating": Loss(cross_entropy_discriminator, nonsaturating_generator),
    "minimax": Loss(cross_entropy_discriminator, minimax_generator),
}


def squared_gradient_norm(gradient):
    """Mean over the batch of |gradient|^2, half of it: the R1 / R2 penalty.

    Mescheder et al. 2018, equation 9; the caller multiplies by gamma.

    Args:
        gradient: [N, ...], of each sample's logit with respect to that sample.

    Returns:
        float32 scalar.
    """
    gradient = tf.cast(tf.reshape(gradient, [tf.shape(gradient)[0], -1]), tf.float32)
    return 0.5 * tf.reduce_mean(tf.reduce_sum(tf.square(gradient), axis=1))
