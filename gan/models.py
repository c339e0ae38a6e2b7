"""The two networks, as Keras `Sequential` models sized by the image.

The generator takes the latent vector with the code of the condition beside it;
the discriminator has one output per place of the code, of which those of a
sample's own condition are added up (`select_logits`). With a single condition
both are the textbook's networks.
"""

import keras
import tensorflow as tf
from keras import layers

from gan.layers import FusedBatchNorm, SpectralConv2D, SpectralDense

LEAK = 0.2  # slope of LeakyReLU below zero (Radford et al. 2015)
WEIGHTS = 0.02  # standard deviation of the initial weights, likewise
SMALLEST = 8  # pixels; sizes are halved until they are no larger, or odd
POINT_LAYERS = 3  # hidden layers of both networks for points
MOST_WIDENING = 8  # the widest layer has so many times the base channels


def build_generator(arch, shape, latent_dim, code_width, base_channels, policy="float32",
                    extent=1.0):
    """Build the generator.

    Args:
        arch: "dcgan" or "mlp".
        shape: (H, W, C) of an image, H = W; (2,) of a point.
        latent_dim: length of the latent vector.
        code_width: places W of a condition's code, see `Conditioning.codes`.
        base_channels: channels of the layer before the image.
        policy: Keras dtype policy of the layers.
        extent: the unit of points, see `PointDataset`.

    Returns:
        Sequential: float32 [N, latent_dim + code_width] ([N, latent_dim] for a
        width of 1, see `generator_inputs`) → float32 [N, H, W, C] in [-1, 1] or
        float32 [N, 2].
    """
    inputs = keras.Input((latent_dim + (code_width if code_width > 1 else 0),))
    # The last layer is float32 under every policy: 8 bits of bfloat16 would be
    # fewer shades than the image has.
    if len(shape) == 1:
        body = _points_generator(shape, base_channels, policy)
        last = layers.Rescaling(extent, dtype="float32", name="points")
    else:
        body = {"dcgan": _dcgan_generator, "mlp": _mlp_generator}[arch](
            shape, base_channels, policy
        )
        last = layers.Activation("tanh", dtype="float32", name="images")
    return keras.Sequential([inputs, *body, last], name="generator")


def build_discriminator(arch, shape, code_width, base_channels, policy="float32", extent=1.0,
                        spectral=False, dropout=0.0):
    """Build the discriminator.

    Args:
        arch, shape, code_width, base_channels, policy, extent: as for
            `build_generator`; base_channels are those of the first layer.
        spectral: divide each weight by its largest singular value.
        dropout: share of hidden units that is left out in training.

    Returns:
        Sequential: float32 [N, H, W, C] in [-1, 1], or [N, 2], → float32 [N,
        code_width], see `select_logits`.
    """
    if len(shape) == 1:
        first = [layers.Rescaling(1 / extent, dtype="float32", name="unit")]
        hidden = [_hidden(8 * base_channels, policy, spectral)] * POINT_LAYERS
    elif arch == "dcgan":
        first = []
        hidden = [_convolution(filters, policy, spectral)
                  for filters in _widths(base_channels, halvings(shape[0]))]
    else:
        first = [layers.Flatten(dtype=policy)]
        hidden = [_hidden(units * base_channels, policy, spectral) for units in (16, 8)]
    body = [layer for make in hidden for layer in (
        make(), layers.LeakyReLU(LEAK, dtype=policy),
        *([layers.Dropout(dropout, dtype=policy)] if dropout else []),
    )]
    outputs = SpectralDense(code_width, dtype=policy) if spectral else _dense(code_width, policy)
    last = layers.Activation("linear", dtype="float32", name="logits")
    return keras.Sequential(
        [keras.Input(shape), *first, *body, layers.Flatten(dtype=policy), outputs, last],
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


def select_logits(outputs, codes):
    """Return each sample's logit for its own condition.

    Args:
        outputs: float32 [N, W], the discriminator's.
        codes: float32 [N, W] of the conditions.

    Returns:
        float32 [N].
    """
    # With a shared place this is the projection discriminator (Miyato & Koyama
    # 2018) on the last hidden layer: a common judgement plus the condition's.
    return tf.reduce_sum(outputs * codes, axis=1)


def halvings(size):
    """How often the convolutions halve a side: 28 → 14 → 7 is 2. At least once."""
    count, side = 1, size // 2
    while side > SMALLEST and side % 2 == 0:
        count, side = count + 1, side // 2
    return count


def _dcgan_generator(shape, base_channels, policy):
    size, _, channels = shape
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


def _mlp_generator(shape, base_channels, policy):
    height, width, channels = shape
    body = []
    for units in (8 * base_channels, 16 * base_channels, 32 * base_channels):
        body += [layers.Dense(units, kernel_initializer="he_normal", dtype=policy),
                 layers.ReLU(dtype=policy)]
    return [*body, layers.Dense(height * width * channels, dtype=policy),
            layers.Reshape(shape, dtype=policy)]


def _points_generator(shape, base_channels, policy):
    body = []
    for _ in range(POINT_LAYERS):
        body += [layers.Dense(8 * base_channels, kernel_initializer="he_normal", dtype=policy),
                 layers.ReLU(dtype=policy)]
    return [*body, layers.Dense(shape[0], dtype=policy)]


def _convolution(filters, policy, spectral):
    """Return a function that makes a layer which halves the side of an image."""
    if spectral:
        return lambda: SpectralConv2D(filters, dtype=policy)
    return lambda: layers.Conv2D(filters, 4, strides=2, padding="same",
                                 kernel_initializer=_normal(), dtype=policy)


def _hidden(units, policy, spectral):
    """Return a function that makes a fully connected hidden layer."""
    if spectral:
        return lambda: SpectralDense(units, dtype=policy)
    return lambda: layers.Dense(units, kernel_initializer="he_normal", dtype=policy)


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
