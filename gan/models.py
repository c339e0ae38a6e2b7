"""The two networks, as Keras `Sequential` models sized by the sample.

The generator takes the latent vector with the code of the condition beside it;
the discriminator has one output per place of the code, of which those of a
sample's own condition are added up (`select_logits`). With a single condition
both are the textbook's networks. Their layers are in `gan.networks`.
"""

import math

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from gan.blocks import Blocks
from gan.distributed.replica import SINGLE
from gan.networks import network_of
from gan.outputs import CleanBackground
from gan.spectral import SpectralDense


def build_generator(arch, shape, latent_dim, code_width, base_channels, policy="float32",
                    extent=1.0, filtered=False, output="tanh", replica=SINGLE, background=None):
    """Build the generator.

    Args:
        arch: "conv", "dcgan" or "mlp", see `NETWORKS`.
        shape: (H, W, C) of an image, H = W; (2,) of a point.
        latent_dim: length of the latent vector.
        code_width: places W of a condition's code, see `Conditioning.vectors`.
        base_channels: channels before the last doubling of the side.
        policy: Keras dtype policy of the layers.
        extent: the unit of points, see `PointDataset`.
        filtered: put a `Blur` after each transposed convolution, against checkerboards.
        output: what brings the values of images between black and white: "smooth",
            "clip", "bright" or "tanh".
        replica: this device among those that train together, see `gan.distributed.replica`.
        background: `Background` that is kept clean of faint traces, or None.

    Returns:
        Sequential: float32 [N, latent_dim + code_width] ([N, latent_dim] for a
        width of 1, see `generator_inputs`) → float32 [N, H, W, C] in [-1, 1] or
        float32 [N, 2].

    Raises:
        ValueError: for an architecture that does not exist for such samples.
    """
    inputs = keras.Input((latent_dim + (code_width if code_width > 1 else 0),))
    blocks = Blocks(policy, replica, filtered, output)
    body = network_of(arch, shape).generator(blocks, shape, base_channels, extent)
    if background:
        body.append(CleanBackground(*background, dtype="float32", name="clean_background"))
    return keras.Sequential([inputs, *body], name="generator")


def build_discriminator(arch, shape, code_width, base_channels, policy="float32", extent=1.0,
                        spectral=False, dropout=0.0, replica=SINGLE):
    """Build the discriminator.

    Args:
        arch, shape, code_width, base_channels, policy, extent: as for
            `build_generator`; base_channels are those of the first layer, or
            the most that it has.
        spectral: divide each weight by its largest singular value.
        dropout: rate of the hidden layers.
        replica: as for `build_generator`.

    Returns:
        Sequential: float32 [N, H, W, C] in [-1, 1], or [N, 2], → float32 [N,
        code_width], see `select_logits`.

    Raises:
        ValueError: for an architecture that does not exist for such samples.
    """
    blocks = Blocks(policy, replica, spectral=spectral, dropout=dropout)
    body = network_of(arch, shape).discriminator(blocks, shape, base_channels, extent)
    outputs = SpectralDense(code_width, dtype=policy) if spectral else blocks.dense(code_width)
    last = layers.Activation("linear", dtype="float32", name="logits")
    return keras.Sequential(
        [keras.Input(shape), *body, layers.Flatten(dtype=policy), outputs, last],
        name="discriminator",
    )


def generator_inputs(latents, codes):
    """Put the codes of the conditions beside the latent vectors.

    Args:
        latents: float32 [N, latent_dim].
        codes: float32 [N, W]; codes of one place say nothing and are left out.

    Returns:
        float32 [N, latent_dim + W], or the latents.
    """
    return latents if codes.shape[-1] == 1 else tf.concat([latents, codes], axis=1)


def select_logits(outputs, told):
    """Return each sample's logit for what the discriminator is told of it.

    Args:
        outputs: float32 [N, W + D], the discriminator's.
        told: float32 [N, W + D], the code of the condition and the components.

    Returns:
        float32 [N].
    """
    # With a shared place this is the projection discriminator (Miyato & Koyama
    # 2018) on the last hidden layer: a logit that all share plus the condition's.
    return tf.reduce_sum(outputs * told, axis=1)


def samples_are_independent(discriminator):
    """Whether each output depends on its own sample alone, as without batch statistics.

    Tried with random weights, as initial ones may be zero, and put back afterwards.
    """
    saved = [variable.numpy() for variable in discriminator.variables]
    for index, variable in enumerate(discriminator.trainable_variables):
        fan_in = max(1, math.prod(variable.shape[:-1]))
        variable.assign(tf.random.stateless_normal(variable.shape, [0, index], 0, fan_in**-0.5))
    pair = tf.random.stateless_normal([2, *discriminator.input_shape[1:]], [1, 0])
    with tf.GradientTape() as tape:
        tape.watch(pair)
        first = tf.reduce_sum(discriminator(pair, training=True)[0])
    own, other = tape.gradient(first, pair).numpy()
    for variable, value in zip(discriminator.variables, saved, strict=True):
        variable.assign(value)
    return bool(np.any(own) and not np.any(other))
