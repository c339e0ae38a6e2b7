"""The architectures: which layers a generator and a discriminator are made of.

`NETWORKS` lists them; a new one is one more entry with two functions.
"""

from collections.abc import Callable
from typing import NamedTuple

from keras import layers

from gan.blocks import halvings, normal, padded_size, widths
from gan.kinds import kind_of
from gan.resnet import resnet_discriminator, resnet_generator

POINT_LAYERS = 3  # hidden layers of both networks for points


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


def _dcgan_generator(blocks, shape, base_channels, extent):
    """Dense, then transposed convolutions (Radford et al. 2015)."""
    return [*_growing(blocks, shape, base_channels), *blocks.upsample(shape[-1]),
            *blocks.cropped(shape), blocks.image()]


def _conv_generator(blocks, shape, base_channels, extent):
    """The same, with a convolution at full size.

    A transposed convolution draws each pixel without regard to its neighbours,
    and leaves stray ones; the convolution after it sees what is around.
    """
    return [*_growing(blocks, shape, base_channels),
            *blocks.upsample(max(1, base_channels // 2), use_bias=False), *blocks.normalise(),
            layers.Conv2D(shape[-1], 3, padding="same", kernel_initializer=normal(),
                          dtype=blocks.policy),
            *blocks.cropped(shape), blocks.image()]


def _growing(blocks, shape, base_channels):
    """The layers from the input to half of the image's size."""
    work = padded_size(shape[0])
    count = halvings(work)
    start, channels = work >> count, widths(base_channels, count)[::-1]
    body = [blocks.dense(start * start * channels[0], use_bias=False),
            layers.Reshape((start, start, channels[0]), dtype=blocks.policy), *blocks.normalise()]
    for filters in channels[1:]:
        body += [*blocks.upsample(filters, use_bias=False), *blocks.normalise()]
    return body


def _dcgan_discriminator(blocks, shape, base_channels, extent):
    return _shrinking(blocks, shape, widths(base_channels, halvings(padded_size(shape[0]))))


def _conv_discriminator(blocks, shape, base_channels, extent):
    # A kernel of 4 x 4 x C values has no more independent filters than values.
    _, *others = widths(base_channels, halvings(padded_size(shape[0])))
    return _shrinking(blocks, shape, [min(base_channels, 16 * shape[-1]), *others])


def _shrinking(blocks, shape, channels):
    """Convolutions that halve the image, padded first if it does not halve well."""
    return [*blocks.padded(shape),
            *(layer for filters in channels for layer in blocks.downsample(filters))]


def _mlp_generator(blocks, shape, base_channels, extent):
    """Fully connected layers (Goodfellow et al. 2014)."""
    height, width, channels = shape
    body = [layer for widening in (8, 16, 32) for layer in blocks.hidden(widening * base_channels)]
    return [*body, layers.Dense(height * width * channels, dtype=blocks.policy),
            layers.Reshape(shape, dtype=blocks.policy), blocks.image()]


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


NETWORKS = {  # (name, kind of sample) → how it is built
    ("conv", "images"): Network(_conv_generator, _conv_discriminator),
    ("dcgan", "images"): Network(_dcgan_generator, _dcgan_discriminator),
    ("resnet", "images"): Network(resnet_generator, resnet_discriminator),
    ("mlp", "images"): Network(_mlp_generator, _mlp_discriminator),
    ("mlp", "points"): Network(_points_generator, _points_discriminator),
}
