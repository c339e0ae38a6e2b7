"""The layers that Keras does not have, or not fast."""

import math

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable("gan")
class FusedBatchNorm(keras.layers.Layer):
    """Batch normalisation of [N, H, W, C] in one kernel (Ioffe & Szegedy 2015).

    `keras.layers.BatchNormalization` computes the same from some twenty small
    operations. Scale, offset and the moving statistics stay float32 under
    every precision policy.
    """

    EPSILON = 1e-3

    def __init__(self, momentum=0.9, **settings):
        """
        Args:
            momentum: decay a step of the moving mean and variance. 0.9 rather
                than Keras' 0.99: the statistics follow a moving generator.
            **settings: of `keras.layers.Layer`.
        """
        super().__init__(**settings)
        self.momentum = momentum

    def build(self, input_shape):
        """Create the four vectors of length C."""
        def vector(name, initial, trainable):
            return self.add_weight(
                shape=(input_shape[-1],), initializer=initial, trainable=trainable,
                dtype="float32", autocast=False, name=name,
            )

        self.gamma = vector("gamma", "ones", True)
        self.beta = vector("beta", "zeros", True)
        self.moving_mean = vector("moving_mean", "zeros", False)
        self.moving_variance = vector("moving_variance", "ones", False)

    def call(self, inputs, training=False):
        """Normalise with the batch's statistics when training, else the moving ones."""
        known = [] if training else [self.moving_mean.value, self.moving_variance.value]
        mean, variance = known or ([], [])
        outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=inputs, scale=self.gamma.value, offset=self.beta.value, mean=mean,
            variance=variance, epsilon=self.EPSILON, is_training=training,
        )
        if training:
            self.move(mean, variance)
        return outputs

    def move(self, mean, variance):
        """Move the moving statistics towards a batch's, float32 [C]."""
        for moving, batch in ((self.moving_mean, mean), (self.moving_variance, variance)):
            moving.assign_add((batch - moving.value) * (1 - self.momentum))

    def get_config(self):
        """The arguments that make an equal layer."""
        return super().get_config() | {"momentum": self.momentum}


@keras.saving.register_keras_serializable("gan")
class Blur(keras.layers.Layer):
    """The filter [1, 2, 1] / 4 down and across (Zhang 2019), with zeros beyond the edge.

    It leaves nothing of what alternates from pixel to pixel: the checkerboard of
    transposed convolutions, whose even and odd pixels have weights of their own
    (Odena et al. 2016).
    """

    TAPS = (0.25, 0.5, 0.25)

    def call(self, inputs):
        """[N, H, W, C] → the same shape."""
        square = tf.tensordot(self.TAPS, self.TAPS, axes=0)[:, :, None, None]
        kernel = tf.tile(tf.cast(square, inputs.dtype), [1, 1, inputs.shape[-1], 1])
        return tf.nn.depthwise_conv2d(inputs, kernel, [1, 1, 1, 1], "SAME")

    def compute_output_shape(self, input_shape):
        """The shape of the inputs."""
        return input_shape


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


@keras.saving.register_keras_serializable("gan")
class Residual(keras.layers.Layer):
    """What comes in, and what a branch of layers makes of it added (He et al. 2016)."""

    def __init__(self, branch, **settings):
        """
        Args:
            branch: list of layers that end in the shape that they begin with.
            **settings: of `keras.layers.Layer`.
        """
        super().__init__(**settings)
        self.branch = list(branch)

    def build(self, input_shape):
        """Build the branch."""
        shape = input_shape
        for layer in self.branch:
            if not layer.built:  # as they are when they were made from their configuration
                layer.build(shape)
            shape = layer.compute_output_shape(shape)

    def call(self, inputs):
        """[N, H, W, C] → the same shape."""
        values = inputs
        for layer in self.branch:
            values = layer(values)
        return inputs + values

    def compute_output_shape(self, input_shape):
        """The shape of the inputs."""
        return input_shape

    def get_config(self):
        """The arguments that make an equal layer."""
        branch = [keras.saving.serialize_keras_object(layer) for layer in self.branch]
        return super().get_config() | {"branch": branch}

    @classmethod
    def from_config(cls, config):
        """Make the layer that `get_config` describes."""
        branch = [keras.saving.deserialize_keras_object(layer) for layer in config.pop("branch")]
        return cls(branch, **config)
