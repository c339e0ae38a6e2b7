"""Layers whose weight is divided by its largest singular value (spectral normalisation)."""

import math

import keras
import tensorflow as tf


class SpectralLayer(keras.layers.Layer):
    """A weight divided by its largest singular value (Miyato et al. 2018, algorithm 1).

    The singular vectors u and v are float32 variables that `iterate` moves, once
    a step of the discriminator; a call leaves them alone. The kernel itself is
    never changed, and gradients flow through the singular value.
    """

    FIRST_ITERATIONS = 10  # so that the first step has a bound already

    def __init__(self, units, **settings):
        """
        Args:
            units: length of the output's last axis.
            **settings: of `keras.layers.Layer`.
        """
        super().__init__(**settings)
        self.units = units

    def build_weights(self, shape):
        """Create the kernel of a shape [..., units], the bias and the vectors."""
        def weight(name, shape, initial, trainable=True):
            return self.add_weight(shape=shape, initializer=initial, trainable=trainable,
                                   dtype="float32", autocast=False, name=name)

        self.kernel = weight("kernel", shape, "glorot_normal")
        self.bias = weight("bias", (self.units,), "zeros")
        self.v = weight("v", (self.units, 1), "random_normal", trainable=False)
        self.u = weight("u", (math.prod(shape[:-1]), 1), "zeros", trainable=False)
        for _ in range(self.FIRST_ITERATIONS):
            self.iterate()

    def iterate(self):
        """Take one step of the power iteration."""
        matrix = tf.reshape(self.kernel.value, [-1, self.units])
        u = tf.math.l2_normalize(matrix @ self.v.value)
        self.u.assign(u)
        self.v.assign(tf.math.l2_normalize(tf.transpose(matrix) @ u))

    def normalised(self):
        """Return the divided kernel, in the type that the layer computes in."""
        matrix = tf.reshape(self.kernel.value, [-1, self.units])
        sigma = tf.reduce_sum(self.u.value * (matrix @ self.v.value))
        return tf.cast(self.kernel.value / sigma, self.compute_dtype)

    def get_config(self):
        """The arguments that make an equal layer."""
        return super().get_config() | {"units": self.units}


@keras.saving.register_keras_serializable("gan")
class SpectralDense(SpectralLayer):
    """A fully connected `SpectralLayer`: [N, D] → [N, units]."""

    def build(self, input_shape):
        """Create the weights."""
        self.build_weights((input_shape[-1], self.units))

    def call(self, inputs):
        """Multiply by the divided kernel and add the bias."""
        return inputs @ self.normalised() + tf.cast(self.bias.value, self.compute_dtype)


@keras.saving.register_keras_serializable("gan")
class SpectralConv2D(SpectralLayer):
    """A convolution of kernel 4 and stride 2: [N, H, W, C] → [N, H / 2, W / 2, units]."""

    KERNEL, STRIDE = 4, 2

    def build(self, input_shape):
        """Create the weights."""
        self.build_weights((self.KERNEL, self.KERNEL, input_shape[-1], self.units))

    def call(self, inputs):
        """Convolve with the divided kernel and add the bias."""
        outputs = tf.nn.conv2d(inputs, self.normalised(), self.STRIDE, "SAME")
        return outputs + tf.cast(self.bias.value, self.compute_dtype)


def iterate_spectral(network):
    """Take one step of the power iteration in every spectral layer of a network.

    Args:
        network: a Keras model; layers within layers are found as well.
    """
    for layer in getattr(network, "layers", []):
        if isinstance(layer, SpectralLayer):
            layer.iterate()
        iterate_spectral(layer)
