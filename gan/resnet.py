"""Residual networks without normalisation, after R3GAN (Huang et al. 2024).

As in the paper: residual blocks in which a 1 x 1 convolution widens, a
convolution of each channel by itself looks around and another 1 x 1 narrows;
the start of Fixup (Zhang et al. 2019) in place of normalisation, so that each
block begins as the identity; bilinear resampling outside of the blocks; and a
discriminator that ends in weighted sums of the places of each channel. Unlike
there, the discriminator's blocks begin at half of the image's size, which takes
a third off the time of a step.

On a shortcut nothing but resampling and 1 x 1 convolutions lies between the
smallest layer and the image, and so there is no checkerboard.
"""

import itertools
import math

import keras
from keras import layers

from gan.blocks import LEAK, halvings, normal, padded_size, widths
from gan.layers import Pointwise, Residual

WIDENING = 2  # channels within a block, as a multiple of those outside; 1 at full size
HIGHEST = 2  # features of each channel that the discriminator ends in


def resnet_generator(blocks, shape, base_channels, extent):
    """Dense, then a block and a doubling for each size, then a convolution to the image."""
    work = padded_size(shape[0])
    count = halvings(work)
    start = work >> count
    channels = [*widths(base_channels, count)[::-1], max(1, base_channels // 2)]
    body = [blocks.dense(start * start * channels[0]),
            layers.Reshape((start, start, channels[0]), dtype=blocks.policy)]
    for wide, narrow in itertools.pairwise(channels):
        body += [_block(blocks, wide, WIDENING, len(channels)), _changed(blocks, narrow),
                 layers.UpSampling2D(2, interpolation="bilinear", dtype=blocks.policy)]
    body.append(_block(blocks, channels[-1], 1, len(channels)))
    return [*body, layers.Conv2D(shape[-1], 3, padding="same", kernel_initializer=normal(),
                                 dtype=blocks.policy),
            *blocks.cropped(shape), blocks.image()]


def resnet_discriminator(blocks, shape, base_channels, extent):
    """A halving convolution, then a block for each size, then a sum over all places."""
    work = padded_size(shape[0])
    count = halvings(work)
    channels = widths(base_channels, count)
    body = [*blocks.padded(shape),
            layers.Conv2D(channels[0], 4, strides=2, padding="same",
                          kernel_initializer="he_normal", dtype=blocks.policy),
            _block(blocks, channels[0], WIDENING, count)]
    for wide in channels[1:]:
        body += [layers.AveragePooling2D(2, dtype=blocks.policy), _changed(blocks, wide),
                 _block(blocks, wide, WIDENING, count)]
    # Places are summed as products of matrices: a depthwise convolution that large is slow.
    spread = keras.initializers.RandomNormal(0, 1 / (work >> count))
    sums = layers.EinsumDense("nhwc,hwcm->ncm", (channels[-1], HIGHEST),
                              kernel_initializer=spread, dtype=blocks.policy)
    return [*body, layers.LeakyReLU(LEAK, dtype=blocks.policy), sums]


def _block(blocks, channels, widening, count):
    """One residual block of the `count` that a network has."""
    # Fixup: a network of L blocks whose branches have three layers starts those
    # before the last one smaller by L^(-1 / 4), and the last one at zero.
    scale = math.sqrt(2) / count**0.25

    def spread(inputs):  # of a weighted sum of so many values
        return keras.initializers.RandomNormal(0, scale / math.sqrt(inputs))

    settings = {"padding": "same", "dtype": blocks.policy}
    return Residual([
        Pointwise(widening * channels, kernel_initializer=spread(channels), **settings),
        layers.LeakyReLU(LEAK, dtype=blocks.policy),
        layers.DepthwiseConv2D(3, depthwise_initializer=spread(9), **settings),
        layers.LeakyReLU(LEAK, dtype=blocks.policy),
        Pointwise(channels, kernel_initializer="zeros", **settings),
    ], dtype=blocks.policy)


def _changed(blocks, channels):
    """Other channels on the shortcut, of the same variance."""
    return Pointwise(channels, use_bias=False, kernel_initializer="lecun_normal",
                     dtype=blocks.policy)
