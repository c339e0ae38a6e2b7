"""Adversarial losses, gradient penalties and what the losses are at equilibrium.

A loss is registered in `LOSSES` alone: training, plots and verdict derive all else from its two
functions of the logits of real and of generated samples, float32 [N] → a scalar.
"""

import functools
import inspect
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from gan.common.errors import UserError


class Loss(NamedTuple):
    """What each network minimizes: functions of (real_logits, fake_logits)."""

    discriminator: Callable
    generator: Callable

    def smoothed(self, smoothing):
        """Return the loss with one-sided label smoothing in [0, 0.5]."""
        if not smoothing:
            return self
        if not self.takes_smoothing:
            names = [name for name, loss in LOSSES.items() if loss.takes_smoothing]
            raise UserError(f"--label-smoothing needs --loss {' or '.join(names)}")
        return self._replace(
            discriminator=functools.partial(self.discriminator, smoothing=smoothing))

    @property
    def takes_smoothing(self):
        return "smoothing" in inspect.signature(self.discriminator).parameters


def cross_entropy_discriminator(real, fake, smoothing=0.0):
    """-[log D(x) + log(1 - D(G(z)))], Goodfellow et al. 2014, equation 1.

    With one-sided label smoothing s the target of real images is 1 - s (Salimans et al. 2016).
    """
    real_loss = (1 - smoothing) * tf.nn.softplus(-real) + smoothing * tf.nn.softplus(real)
    fake_loss = tf.nn.softplus(fake)  # -log(1 - sigmoid(fake))
    return tf.reduce_mean(real_loss) + tf.reduce_mean(fake_loss)


def nonsaturating_generator(real, fake):
    """-log D(G(z)), Goodfellow et al. 2014, section 3: a gradient from the start."""
    return tf.reduce_mean(tf.nn.softplus(-fake))  # -log sigmoid(fake)


def minimax_generator(real, fake):
    """log(1 - D(G(z))), the generator's side of equation 1; flat where D is sure."""
    return -tf.reduce_mean(tf.nn.softplus(fake))


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
    """D(G(z)) - D(x), Arjovsky et al. 2017: minus the distance, where D's slope is bounded."""
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


LOSSES = {
    "nonsaturating": Loss(cross_entropy_discriminator, nonsaturating_generator),
    "minimax": Loss(cross_entropy_discriminator, minimax_generator),
    "lsgan": Loss(least_squares_discriminator, least_squares_generator),
    "hinge": Loss(hinge_discriminator, critic_generator),
    "wgan": Loss(wasserstein_discriminator, critic_generator),
    "relativistic": Loss(relativistic_discriminator, relativistic_generator),
}


@functools.cache
def is_log_odds(loss):
    """Whether the optimal logits are log(p_real / p_fake), so that their sigmoid is P(real).

    The optimal logit of a sample makes p_real · ∂D/∂real + p_fake · ∂D/∂fake zero. It is the
    log-odds where the two slopes at a logit c are as 1 to -exp(c).
    """
    logits = tf.linspace(-3.0, 3.0, 7)
    real, fake = tf.identity(logits), tf.identity(logits)
    with tf.GradientTape() as tape:
        tape.watch([real, fake])
        value = loss.discriminator(real, fake)
    slopes = tape.gradient(value, [real, fake], unconnected_gradients="zero")
    return np.allclose(slopes[1], -np.exp(logits) * slopes[0], rtol=1e-3)


@functools.cache
def equilibrium(loss, smoothing=0.0):
    """Return dict of the losses when real and generated samples cannot be told apart.

    Every sample then has the same logit, the one at which the discriminator's loss is least.
    A loss without such a value is left out: a critic's logit may be any that all samples share.
    """
    def values(function, logits):
        pairs = tf.constant(logits, tf.float64)[:, None]
        return np.array([float(function(logit, logit)) for logit in pairs])

    loss = loss.smoothed(smoothing)
    logits = np.linspace(-8.0, 8.0, 17)
    for _ in range(6):  # zoom in on the minimum
        losses = values(loss.discriminator, logits)
        best = np.flatnonzero(losses <= losses.min() + 1e-12)
        if len(best) > 2:
            break  # any of a range of logits is as good
        if best[0] == 0 or best[-1] == len(logits) - 1:
            return {}  # no minimum
        logits = np.linspace(logits[best[0] - 1], logits[best[-1] + 1], len(logits))
    found = {"discriminator_loss": float(losses.min())}
    generator = values(loss.generator, logits[best])
    if np.ptp(generator) < 1e-6:
        found["generator_loss"] = float(generator[0])
    return found


def zero_centered_penalty(gradient):
    """|gradient|^2 / 2, Mescheder et al. 2018, equation 9, of each sample's logit: R1 or R2."""
    return 0.5 * tf.reduce_mean(_squared_norm(gradient))


def one_centered_penalty(gradient):
    """(|gradient| - 1)^2, Gulrajani et al. 2017, equation 3: WGAN-GP, at random mixtures."""
    # The root's gradient is infinite at 0.
    norm = tf.sqrt(_squared_norm(gradient) + 1e-12)
    return tf.reduce_mean(tf.square(norm - 1))


def _squared_norm(gradient):
    flat = tf.reshape(tf.cast(gradient, tf.float32), [tf.shape(gradient)[0], -1])
    return tf.reduce_sum(tf.square(flat), axis=1)


def fine_detail(images):
    """Mean high-frequency energy, (image - blur)^2: float32 [N, H, W, C] → a scalar."""
    row = tf.constant([1.0, 4, 6, 4, 1]) / 16  # Burt & Adelson 1983
    kernel = tf.tile((row[:, None] * row)[..., None, None], [1, 1, images.shape[-1], 1])
    wide = tf.pad(images, [[0, 0], [2, 2], [2, 2], [0, 0]], mode="REFLECT")
    blurred = tf.nn.depthwise_conv2d(wide, kernel, [1, 1, 1, 1], "VALID")
    return tf.reduce_mean(tf.square(images - blurred))


def discriminator_accuracy(real, fake):
    """How often a real sample has a higher logit than a generated one; 0.5 is guessing."""
    above = tf.cast(real > fake, tf.float32) + 0.5 * tf.cast(real == fake, tf.float32)
    return tf.reduce_mean(above)
