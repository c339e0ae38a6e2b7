"""The architectures: which layers a generator and a discriminator are made of.

`NETWORKS` lists them; a new one is one more entry with two functions.
"""

from collections.abc import Callable
from typing import NamedTuple

import keras
from keras import layers

from gan.kinds import kind_of
from gan.layers import Clip, SpectralConv2D, SpectralDense

LEAK = 0.2  # slope of LeakyReLU below zero (Radford et al. 2015)
WEIGHTS = 0.02  # standard deviation of the initial weights, likewise
SMALLEST = 8  # pixels; sizes are halved until they are no larger, or odd
LARGEST_START = 12  # pixels that a size may be halved to; others are padded first
POINT_LAYERS = 3  # hidden layers of both networks for points
MOST_WIDENING = 8  # the widest layer has so many times the base channels


class Network(NamedTuple):
    """One architecture: the layers of its generator and of its discriminator.

    Both functions take a `Blocks`, the shape of a sample, the base channels and
    the extent of points, and return a list of layers: the generator's from the
    input to float32 samples, the discriminator's up to the last hidden layer.
    """

    generator: Callable
    discriminator: Callable


def network_of(arch, shape):
    """Return the `Network` of an architecture for samples of a shape.

    Raises:
        ValueError: when there is none, naming those that there are.
    """
    kind = kind_of(shape).name
    if (arch, kind) not in NETWORKS:
        known = ", ".join(name for name, of_kind in NETWORKS if of_kind == kind)
        raise ValueError(f"expected an architecture for {kind} ({known}), got: {arch}")
    return NETWORKS[arch, kind]


def halvings(size):
    """How often the convolutions halve a side: 28 → 14 → 7 is 2. At least once."""
    count, side = 1, size // 2
    while side > SMALLEST and side % 2 == 0:
        count, side = count + 1, side // 2
    return count


def padded_size(size):
    """The next side that halves to at most 12 pixels: 28 → 28, 100 → 112.

    A dense layer of 25 x 25 places would hold most of the network's weights.
    """
    while size % 2 or size >> halvings(size) > LARGEST_START:
        size += 1
    return size


class Blocks:
    """The layers that the architectures are put together from, under one dtype policy."""

    def __init__(self, policy, replicas, spectral=False, dropout=0.0):
        """
        Args:
            policy: Keras dtype policy.
            replicas: the processes that train together, see `gan.replicas`.
            spectral, dropout: see `build_discriminator`.
        """
        self.policy, self.replicas = policy, replicas
        self.spectral, self.dropout = spectral, dropout

    def dense(self, units, **settings):
        """A fully connected layer with the textbook's initial weights."""
        return layers.Dense(units, kernel_initializer=_normal(), dtype=self.policy, **settings)

    def hidden(self, units):
        """A fully connected hidden layer with ReLU, for generators."""
        return [layers.Dense(units, kernel_initializer="he_normal", dtype=self.policy),
                layers.ReLU(dtype=self.policy)]

    def upsample(self, filters, **settings):
        """A transposed convolution that doubles the side."""
        # A kernel of 4 at stride 2 covers every pixel equally often; 5 would not.
        return layers.Conv2DTranspose(filters, 4, strides=2, padding="same", dtype=self.policy,
                                      kernel_initializer=_normal(), **settings)

    def normalise(self):
        """Batch normalisation with ReLU."""
        return [self.replicas.batch_norm(dtype=self.policy), layers.ReLU(dtype=self.policy)]

    def downsample(self, filters):
        """A convolution that halves the side, for discriminators."""
        if self.spectral:
            return self._leaky(SpectralConv2D(filters, dtype=self.policy))
        return self._leaky(layers.Conv2D(filters, 4, strides=2, padding="same", dtype=self.policy,
                                         kernel_initializer=_normal()))

    def leaky_hidden(self, units):
        """A fully connected hidden layer, for discriminators."""
        if self.spectral:
            return self._leaky(SpectralDense(units, dtype=self.policy))
        return self._leaky(layers.Dense(units, kernel_initializer="he_normal", dtype=self.policy))

    def _leaky(self, layer):
        dropout = [self.replicas.dropout(self.dropout, dtype=self.policy)] if self.dropout else []
        return [layer, layers.LeakyReLU(LEAK, dtype=self.policy), *dropout]


def _dcgan_generator(blocks, shape, base_channels, extent):
    """Dense, then transposed convolutions, then tanh (Radford et al. 2015)."""
    return [*_growing(blocks, shape, base_channels), blocks.upsample(shape[-1]),
            *_cropping(blocks, shape), _tanh()]


def _conv_generator(blocks, shape, base_channels, extent):
    """The same, with a convolution at full size and a clipped output.

    A transposed convolution draws each pixel without regard to its neighbours,
    and leaves stray ones; the convolution after it sees what is around.
    """
    return [*_growing(blocks, shape, base_channels),
            blocks.upsample(max(1, base_channels // 2), use_bias=False), *blocks.normalise(),
            layers.Conv2D(shape[-1], 3, padding="same", kernel_initializer=_normal(),
                          dtype=blocks.policy),
            *_cropping(blocks, shape), Clip(dtype="float32", name="images")]


def _growing(blocks, shape, base_channels):
    """The layers from the input to half of the image's size."""
    work = padded_size(shape[0])
    count = halvings(work)
    start, widths = work >> count, _widths(base_channels, count)[::-1]
    body = [blocks.dense(start * start * widths[0], use_bias=False),
            layers.Reshape((start, start, widths[0]), dtype=blocks.policy), *blocks.normalise()]
    for filters in widths[1:]:
        body += [blocks.upsample(filters, use_bias=False), *blocks.normalise()]
    return body


def _cropping(blocks, shape):
    more = padded_size(shape[0]) - shape[0]
    return [layers.Cropping2D(_margins(more), dtype=blocks.policy)] if more else []


def _dcgan_discriminator(blocks, shape, base_channels, extent):
    return _shrinking(blocks, shape, _widths(base_channels, halvings(padded_size(shape[0]))))


def _conv_discriminator(blocks, shape, base_channels, extent):
    # A kernel of 4 x 4 x C values has no more independent filters than values.
    _, *widths = _widths(base_channels, halvings(padded_size(shape[0])))
    return _shrinking(blocks, shape, [min(base_channels, 16 * shape[-1]), *widths])


def _shrinking(blocks, shape, widths):
    """Convolutions that halve the image, padded first if it does not halve well."""
    more = padded_size(shape[0]) - shape[0]
    body = [layers.ZeroPadding2D(_margins(more), dtype=blocks.policy)] if more else []
    return body + [layer for filters in widths for layer in blocks.downsample(filters)]


def _mlp_generator(blocks, shape, base_channels, extent):
    """Fully connected layers (Goodfellow et al. 2014)."""
    height, width, channels = shape
    body = [layer for widening in (8, 16, 32) for layer in blocks.hidden(widening * base_channels)]
    return [*body, layers.Dense(height * width * channels, dtype=blocks.policy),
            layers.Reshape(shape, dtype=blocks.policy), _tanh()]


def _mlp_discriminator(blocks, shape, base_channels, extent):
    return [layers.Flatten(dtype=blocks.policy), *blocks.leaky_hidden(16 * base_channels),
            *blocks.leaky_hidden(8 * base_channels)]


def _points_generator(blocks, shape, base_channels, extent):
    body = [layer for _ in range(POINT_LAYERS) for layer in blocks.hidden(8 * base_channels)]
    return [*body, layers.Dense(shape[0], dtype=blocks.policy),
            layers.Rescaling(extent, dtype="float32", name="points")]


def _points_discriminator(blocks, shape, base_channels, extent):
    body = [layer for _ in range(POINT_LAYERS) for layer in blocks.leaky_hidden(8 * base_channels)]
    return [layers.Rescaling(1 / extent, dtype="float32", name="unit"), *body]


def _tanh():
    # float32 under every policy: 8 bits of bfloat16 are fewer shades than an image has.
    return layers.Activation("tanh", dtype="float32", name="images")


def _margins(pixels):
    """Pixels to add or remove on each side, the larger half at the end."""
    return ((pixels // 2, pixels - pixels // 2),) * 2


def _widths(base_channels, count):
    """Channels of `count` layers from the image inwards: 32, 64, 128, …"""
    return [base_channels * min(2**index, MOST_WIDENING) for index in range(count)]


def _normal():
    return keras.initializers.RandomNormal(0.0, WEIGHTS)


NETWORKS = {  # (name, kind of sample) → how it is built
    ("conv", "images"): Network(_conv_generator, _conv_discriminator),
    ("dcgan", "images"): Network(_dcgan_generator, _dcgan_discriminator),
    ("mlp", "images"): Network(_mlp_generator, _mlp_discriminator),
    ("mlp", "points"): Network(_points_generator, _points_discriminator),
}
