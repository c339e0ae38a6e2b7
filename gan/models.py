"""The two networks, as Keras `Sequential` models sized by the image.

The generator takes the latent vector with the one-hot condition beside it; the
discriminator has one output per condition, of which a sample's own is used
(`select_logits`). With one condition both are the textbook's networks.
"""

import keras
import tensorflow as tf
from keras import layers

from gan.layers import FusedBatchNorm

LEAK = 0.2  # slope of LeakyReLU below zero (Radford et al. 2015)
WEIGHTS = 0.02  # standard deviation of the initial weights, likewise
SMALLEST = 8  # pixels; sizes are halved until they are no larger, or odd
MOST_WIDENING = 8  # the widest layer has so many times the base channels


def build_generator(arch, image_shape, latent_dim, conditions, base_channels, policy="float32"):
    """Build the generator.

    Args:
        arch: "dcgan" or "mlp".
        image_shape: (H, W, C) of an image, H = W.
        latent_dim: length of the latent vector.
        conditions: number of conditions K.
        base_channels: channels of the layer before the image.
        policy: Keras dtype policy of the layers.

    Returns:
        Sequential: float32 [N, latent_dim + K] ([N, latent_dim] for K = 1,
        see `generator_inputs`) → float32 [N, H, W, C] in [-1, 1].
    """
    inputs = keras.Input((latent_dim + (conditions if conditions > 1 else 0),))
    body = {"dcgan": _dcgan_generator, "mlp": _mlp_generator}[arch]
    # The last activation is float32 under every policy: 8 bits of bfloat16
    # would be fewer shades than the image has.
    last = layers.Activation("tanh", dtype="float32", name="images")
    return keras.Sequential(
        [inputs, *body(image_shape, base_channels, policy), last], name="generator"
    )


def build_discriminator(arch, image_shape, conditions, base_channels, policy="float32"):
    """Build the discriminator.

    Args:
        arch, image_shape, conditions, base_channels, policy: as for
            `build_generator`; base_channels are those of the first layer.

    Returns:
        Sequential: float32 [N, H, W, C] in [-1, 1] → float32 logits [N, K].
    """
    inputs = keras.Input(image_shape)
    body = {"dcgan": _dcgan_discriminator, "mlp": _mlp_discriminator}[arch]
    last = layers.Activation("linear", dtype="float32", name="logits")
    return keras.Sequential(
        [inputs, *body(image_shape, base_channels, policy), layers.Flatten(dtype=policy),
         _dense(conditions, policy), last],
        name="discriminator",
    )


def generator_inputs(latents, conditions, count):
    """Put the one-hot condition beside the latent vector.

    Args:
        latents: float32 [N, latent_dim].
        conditions: int32 [N] in [0, count).
        count: number of conditions; with one, the latents are all there is.

    Returns:
        float32 [N, latent_dim + count], or the latents for count 1.
    """
    if count == 1:
        return latents
    return tf.concat([latents, tf.one_hot(conditions, count)], axis=1)


def select_logits(logits, conditions):
    """Pick each sample's logit for its own condition: [N, K], int32 [N] → [N]."""
    # A product rather than a gather: the gradient of a gather is a scatter,
    # which is slower and, on GPUs, summed in any order.
    return tf.reduce_sum(logits * tf.one_hot(conditions, logits.shape[-1]), axis=1)


def halvings(size):
    """How often the convolutions halve a side: 28 → 14 → 7 is 2. At least once."""
    count, side = 1, size // 2
    while side > SMALLEST and side % 2 == 0:
        count, side = count + 1, side // 2
    return count


def _dcgan_generator(image_shape, base_channels, policy):
    size, _, channels = image_shape
    count = halvings(size)
    start = size >> count
    width = _widths(base_channels, count)[::-1]
    body = [
        _dense(start * start * width[0], policy, use_bias=False),
        layers.Reshape((start, start, width[0]), dtype=policy),
        FusedBatchNorm(dtype=policy),
        layers.ReLU(dtype=policy),
    ]
    for filters in width[1:]:
        body += [
            _transposed(filters, policy, use_bias=False),
            FusedBatchNorm(dtype=policy),
            layers.ReLU(dtype=policy),
        ]
    return [*body, _transposed(channels, policy)]


def _dcgan_discriminator(image_shape, base_channels, policy):
    body = []
    for filters in _widths(base_channels, halvings(image_shape[0])):
        body += [
            layers.Conv2D(filters, 4, strides=2, padding="same", kernel_initializer=_normal(),
                          dtype=policy),
            layers.LeakyReLU(LEAK, dtype=policy),
        ]
    return body


def _mlp_generator(image_shape, base_channels, policy):
    height, width, channels = image_shape
    body = []
    for units in (8 * base_channels, 16 * base_channels, 32 * base_channels):
        body += [layers.Dense(units, kernel_initializer="he_normal", dtype=policy),
                 layers.ReLU(dtype=policy)]
    return [*body, layers.Dense(height * width * channels, dtype=policy),
            layers.Reshape(image_shape, dtype=policy)]


def _mlp_discriminator(image_shape, base_channels, policy):
    body = [layers.Flatten(dtype=policy)]
    for units in (16 * base_channels, 8 * base_channels):
        body += [layers.Dense(units, kernel_initializer="he_normal", dtype=policy),
                 layers.LeakyReLU(LEAK, dtype=policy)]
    return body


def _widths(base_channels, count):
    """Channels of `count` layers from the image inwards: 32, 64, 128, …"""
    return [base_channels * min(2**index, MOST_WIDENING) for index in range(count)]


def _dense(units, policy, **settings):
    return layers.Dense(units, kernel_initializer=_normal(), dtype=policy, **settings)


def _transposed(filters, policy, **settings):
    # A kernel of 4 at stride 2 covers every pixel equally often; 5 would not.
    return layers.Conv2DTranspose(filters, 4, strides=2, padding="same",
                                  kernel_initializer=_normal(), dtype=policy, **settings)


def _normal():
    return keras.initializers.RandomNormal(0.0, WEIGHTS)
