"""The layers that the architectures are put together from, and how sizes are halved."""

import keras
from keras import layers

from gan.layers import Blur
from gan.outputs import BrightTanh, Clip, SmoothClip
from gan.spectral import SpectralConv2D, SpectralDense

LEAK = 0.2  # slope of LeakyReLU below zero (Radford et al. 2015)
WEIGHTS = 0.02  # standard deviation of the initial weights, likewise
SMALLEST = 8  # pixels; sizes are halved until they are no larger, or odd
LARGEST_START = 12  # pixels that a size may be halved to; others are padded first
MOST_WIDENING = 8  # the widest layer has so many times the base channels


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

    def __init__(self, policy, replica, filtered=False, output="tanh", spectral=False,
                 dropout=0.0):
        """
        Args:
            policy: Keras dtype policy.
            replica: this device among those that train together, see `gan.distributed.replica`.
            filtered, output: see `build_generator`.
            spectral, dropout: see `build_discriminator`.
        """
        self.policy, self.replica, self.filtered = policy, replica, filtered
        self._output = output
        self.spectral, self.dropout = spectral, dropout

    def dense(self, units, **settings):
        """A fully connected layer with the textbook's initial weights."""
        return layers.Dense(units, kernel_initializer=normal(), dtype=self.policy, **settings)

    def hidden(self, units):
        """A fully connected hidden layer with ReLU, for generators."""
        return [layers.Dense(units, kernel_initializer="he_normal", dtype=self.policy),
                layers.ReLU(dtype=self.policy)]

    def upsample(self, filters, **settings):
        """A transposed convolution that doubles the side, with a filter if there is to be one."""
        # A kernel of 4 at stride 2 covers every pixel equally often; 5 would not. Even so
        # every second pixel has weights of its own, which is what the filter evens out.
        doubled = layers.Conv2DTranspose(filters, 4, strides=2, padding="same",
                                         kernel_initializer=normal(), dtype=self.policy, **settings)
        return [doubled, Blur(dtype=self.policy)] if self.filtered else [doubled]

    def normalise(self):
        """Batch normalisation with ReLU."""
        return [self.replica.batch_norm(dtype=self.policy), layers.ReLU(dtype=self.policy)]

    def downsample(self, filters):
        """A convolution that halves the side, for discriminators."""
        if self.spectral:
            return self._leaky(SpectralConv2D(filters, dtype=self.policy))
        return self._leaky(layers.Conv2D(filters, 4, strides=2, padding="same", dtype=self.policy,
                                         kernel_initializer=normal()))

    def leaky_hidden(self, units):
        """A fully connected hidden layer, for discriminators."""
        if self.spectral:
            return self._leaky(SpectralDense(units, dtype=self.policy))
        return self._leaky(layers.Dense(units, kernel_initializer="he_normal", dtype=self.policy))

    def image(self):
        """What brings a generator's values between black and white."""
        # float32 under every policy: 8 bits of bfloat16 are fewer shades than an image has.
        settings = {"dtype": "float32", "name": "images"}
        if self._output == "tanh":
            return layers.Activation("tanh", **settings)
        return {"clip": Clip, "smooth": SmoothClip, "bright": BrightTanh}[self._output](**settings)

    def cropped(self, shape):
        """What brings the size that the layers work at back to that of an image, if it differs."""
        more = padded_size(shape[0]) - shape[0]
        return [layers.Cropping2D(margins(more), dtype=self.policy)] if more else []

    def padded(self, shape):
        """What brings an image to the size that the layers work at, if it differs."""
        more = padded_size(shape[0]) - shape[0]
        return [layers.ZeroPadding2D(margins(more), dtype=self.policy)] if more else []

    def _leaky(self, layer):
        dropout = [self.replica.dropout(self.dropout, dtype=self.policy)] if self.dropout else []
        return [layer, layers.LeakyReLU(LEAK, dtype=self.policy), *dropout]


def normal():
    """The textbook's initial weights."""
    return keras.initializers.RandomNormal(0.0, WEIGHTS)


def widths(base_channels, count):
    """Channels of `count` layers from the image inwards: 32, 64, 128, …"""
    return [base_channels * min(2**index, MOST_WIDENING) for index in range(count)]


def margins(pixels):
    """Pixels to add or remove on each side, the larger half at the end."""
    return ((pixels // 2, pixels - pixels // 2),) * 2
