"""The adversarial losses: logits in, one number out.

Each adversarial loss is a pair of functions, `discriminator(real, fake)` and
`generator(real, fake)`. They take the discriminator's logits, float32 [N], of
real and of generated samples and return a float32 scalar, the mean over the
batch. The relativistic pair compares the two one by one; the other generators'
losses do not depend on the real ones.
"""

from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

STEEPEST = 60.0  # logits of pairs further apart have slopes that float32 tells from 0 no more


class Loss(NamedTuple):
    """What each of the two networks minimises.

    Where every generated sample's logit has a slope in the discriminator's loss
    that is never 0, the generator's slope is a multiple of it, which `slopes` gives:
    function of real and fake logits → float32 [N]. One pass backwards through the
    discriminator is then enough for both networks.
    """

    discriminator: Callable
    generator: Callable
    slopes: Callable | None = None


def cross_entropy_discriminator(real, fake, smoothing=0.0):
    """-[log D(x) + log(1 - D(G(z)))], Goodfellow et al. 2014, equation 1.

    With smoothing s the target for real images is 1 - s (Salimans et al. 2016);
    the target for generated ones stays 0, or the generator would be rewarded
    for what it already does.
    """
    real_loss = (1 - smoothing) * tf.nn.softplus(-real) + smoothing * tf.nn.softplus(real)
    fake_loss = tf.nn.softplus(fake)  # -log(1 - sigmoid(fake))
    return tf.reduce_mean(real_loss) + tf.reduce_mean(fake_loss)


def nonsaturating_generator(real, fake):
    """-log D(G(z)), Goodfellow et al. 2014, section 3: a gradient from the start."""
    return tf.reduce_mean(tf.nn.softplus(-fake))  # -log sigmoid(fake)


def nonsaturating_slopes(real, fake):
    """-sigmoid(-fake) / sigmoid(fake), which is -exp(-fake)."""
    return -tf.exp(-tf.maximum(fake, -STEEPEST))


def minimax_generator(real, fake):
    """log(1 - D(G(z))), the generator's side of equation 1; flat where D is sure."""
    return -tf.reduce_mean(tf.nn.softplus(fake))


def opposite_slopes(real, fake):
    """-1: the generator maximises what the discriminator minimises."""
    return -tf.ones_like(fake)


def least_squares_discriminator(real, fake):
    """[(D(x) - 1)^2 + D(G(z))^2] / 2, Mao et al. 2017, equation 9."""
    return 0.5 * (tf.reduce_mean(tf.square(real - 1)) + tf.reduce_mean(tf.square(fake)))


def least_squares_generator(real, fake):
    """(D(G(z)) - 1)^2 / 2, Mao et al. 2017, equation 9."""
    return 0.5 * tf.reduce_mean(tf.square(fake - 1))


def hinge_discriminator(real, fake):
    """max(0, 1 - D(x)) + max(0, 1 + D(G(z))), Lim & Ye 2017."""
    return tf.reduce_mean(tf.nn.relu(1 - real)) + tf.reduce_mean(tf.nn.relu(1 + fake))


def wasserstein_discriminator(real, fake):
    """D(G(z)) - D(x), Arjovsky et al. 2017: minus the estimated distance.

    It means something only for a discriminator whose slope is bounded: use it
    with a gradient penalty.
    """
    return tf.reduce_mean(fake) - tf.reduce_mean(real)


def critic_generator(real, fake):
    """-D(G(z)), the generator's side of the hinge and the Wasserstein loss."""
    return -tf.reduce_mean(fake)


def relativistic_discriminator(real, fake):
    """-log sigmoid(D(x) - D(G(z))), Jolicoeur-Martineau 2018, pairs as R3GAN forms them."""
    return tf.reduce_mean(tf.nn.softplus(fake - real))


def relativistic_generator(real, fake):
    """-log sigmoid(D(G(z)) - D(x)): to look more real than the real image beside it."""
    return tf.reduce_mean(tf.nn.softplus(real - fake))


def relativistic_slopes(real, fake):
    """-sigmoid(real - fake) / sigmoid(fake - real), which is -exp(real - fake)."""
    return -tf.exp(tf.minimum(real - fake, STEEPEST))


LOSSES = {
    "nonsaturating": Loss(cross_entropy_discriminator, nonsaturating_generator,
                          nonsaturating_slopes),
    "minimax": Loss(cross_entropy_discriminator, minimax_generator, opposite_slopes),
    "lsgan": Loss(least_squares_discriminator, least_squares_generator),
    "hinge": Loss(hinge_discriminator, critic_generator),
    "wgan": Loss(wasserstein_discriminator, critic_generator, opposite_slopes),
    "relativistic": Loss(relativistic_discriminator, relativistic_generator,
                         relativistic_slopes),
}


def zero_centred_penalty(gradient):
    """|gradient|^2 / 2, the R1 or R2 penalty of Mescheder et al. 2018, equation 9.

    Args:
        gradient: [N, ...], of each sample's logit with respect to that sample;
            real samples for R1, generated ones for R2.

    Returns:
        float32 scalar, the mean over the batch; the caller multiplies by gamma.
    """
    return 0.5 * tf.reduce_mean(_squared_norm(gradient))


def one_centred_penalty(gradient):
    """(|gradient| - 1)^2, the penalty of WGAN-GP (Gulrajani et al. 2017, equation 3).

    Args:
        gradient: [N, ...], of each sample's logit with respect to that sample,
            a random mixture of a real and a generated one.

    Returns:
        float32 scalar, the mean over the batch; the caller multiplies by lambda.
    """
    # The root's gradient is infinite at 0.
    norm = tf.sqrt(_squared_norm(gradient) + 1e-12)
    return tf.reduce_mean(tf.square(norm - 1))


def _squared_norm(gradient):
    flat = tf.reshape(tf.cast(gradient, tf.float32), [tf.shape(gradient)[0], -1])
    return tf.reduce_sum(tf.square(flat), axis=1)


def separation(real, fake):
    """Return how often the discriminator ranks a real sample above a generated one.

    0.5 when it can only guess, 1 when it always does, whatever the loss: unlike
    the scores it does not depend on the unit of the logits.

    Args:
        real, fake: logits, float32 [N].
    """
    above = tf.cast(real > fake, tf.float32) + 0.5 * tf.cast(real == fake, tf.float32)
    return tf.reduce_mean(above)
