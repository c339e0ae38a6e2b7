"""Keras layers that Keras does not have, or not fast."""

import math

import keras
import tensorflow as tf


def float32_weight(layer, name, shape, initializer, trainable=True):
    """Add a weight to a layer, float32 under every dtype policy."""
    return layer.add_weight(shape=shape, initializer=initializer, name=name, trainable=trainable,
                            dtype="float32", autocast=False)


class FusedBatchNorm(keras.layers.Layer):
    """Batch normalization of [N, H, W, C] in one float32 kernel (Ioffe & Szegedy 2015).

    `keras.layers.BatchNormalization` computes the same from some twenty small operations.
    """

    EPSILON = 1e-3
    # The decay of the moving statistics: less than Keras' 0.99, as they follow a generator that
    # moves.
    MOMENTUM = 0.9

    def build(self, input_shape):
        channels = input_shape[-1:]
        self.gamma = float32_weight(self, "gamma", channels, "ones")
        self.beta = float32_weight(self, "beta", channels, "zeros")
        self.moving_mean = float32_weight(self, "moving_mean", channels, "zeros", False)
        self.moving_variance = float32_weight(self, "moving_variance", channels, "ones", False)

    def call(self, inputs, training=False):
        known = [] if training else [self.moving_mean.value, self.moving_variance.value]
        mean, variance = known or ([], [])
        outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=inputs, scale=self.gamma.value, offset=self.beta.value, mean=mean,
            variance=variance, epsilon=self.EPSILON, is_training=training)
        if training:
            self.move(mean, variance)
        return outputs

    def move(self, mean, variance):
        """Move the moving statistics towards a batch's, float32 [C]."""
        for moving, batch in ((self.moving_mean, mean), (self.moving_variance, variance)):
            moving.assign_add((batch - moving.value) * (1 - self.MOMENTUM))


class Blur(keras.layers.Layer):
    """Anti-aliasing filter [1, 2, 1] / 4 along both axes, zero-padded (Zhang 2019).

    It removes what alternates from pixel to pixel: the checkerboard of transposed
    convolutions, whose even and odd pixels have weights of their own (Odena et al. 2016).
    """

    TAPS = (0.25, 0.5, 0.25)

    def call(self, inputs):
        square = tf.tensordot(self.TAPS, self.TAPS, axes=0)[:, :, None, None]
        kernel = tf.tile(tf.cast(square, inputs.dtype), [1, 1, inputs.shape[-1], 1])
        return tf.nn.depthwise_conv2d(inputs, kernel, [1, 1, 1, 1], "SAME")


class Pointwise(keras.layers.Conv2D):
    """1 x 1 convolution, trained as a matrix product: its gradients take a CPU half the time."""

    def __init__(self, filters, **settings):
        super().__init__(filters, 1, **settings)

    def call(self, inputs, training=False):
        if not training:  # the export stays a convolution
            return super().call(inputs)
        pixels = tf.reshape(inputs, [-1, inputs.shape[-1]])
        outputs = tf.matmul(pixels, tf.convert_to_tensor(self.kernel)[0, 0])
        if self.use_bias:
            outputs = tf.nn.bias_add(outputs, tf.convert_to_tensor(self.bias))
        return tf.reshape(outputs, [-1, *inputs.shape[1:3], self.filters])


class Downsample(keras.layers.Conv2D):
    """Convolution of kernel 4 and stride 2: [N, H, W, C] → [N, H / 2, W / 2, filters].

    In training it is computed as a convolution of kernel 2 on blocks of 2 x 2 pixels, which
    takes a CPU two thirds of the time in float32. Height and width must be even.
    """

    def __init__(self, filters, **settings):
        super().__init__(filters, 4, strides=2, padding="same", **settings)

    def call(self, inputs, training=False):
        if not training:
            return super().call(inputs)
        channels = inputs.shape[-1]
        blocks = tf.nn.space_to_depth(tf.pad(inputs, [[0, 0], [1, 1], [1, 1], [0, 0]]), 2)
        # Rows and columns of the kernel: those of a block, and those within it.
        kernel = tf.reshape(self.kernel, [2, 2, 2, 2, channels, self.filters])
        kernel = tf.reshape(tf.transpose(kernel, [0, 2, 1, 3, 4, 5]),
                            [2, 2, 4 * channels, self.filters])
        return tf.nn.conv2d(blocks, kernel, 1, "VALID") + tf.convert_to_tensor(self.bias)


class ToImage(keras.layers.Conv2D):
    """3 x 3 convolution to the channels of an image.

    In training, a single channel is computed as a depthwise convolution and a sum over its
    channels, which takes a CPU less than half the time.
    """

    def __init__(self, channels, **settings):
        super().__init__(channels, 3, padding="same", **settings)

    def call(self, inputs, training=False):
        if not training or self.filters > 1:
            return super().call(inputs)
        products = tf.nn.depthwise_conv2d(
            inputs, tf.convert_to_tensor(self.kernel), [1, 1, 1, 1], "SAME")
        return tf.reduce_sum(products, axis=-1, keepdims=True) + tf.convert_to_tensor(self.bias)


class ConditionLogits(keras.layers.Dense):
    """Dense layer with an output for each of the E entries of a condition: [N, F] → [N, E]."""

    def logit_weights(self, condition):
        """Return the weights and the bias of each sample's logit: [N, E] → [N, F], [N]."""
        return (tf.matmul(condition, tf.convert_to_tensor(self.kernel), transpose_b=True),
                tf.linalg.matvec(condition, tf.convert_to_tensor(self.bias)))


class LeakyReLU(keras.layers.Layer):
    """Leaky ReLU (Maas et al. 2013) that TensorFlow can fuse with the matrix product before it.

    In training, its gradient is computed from the outputs, so that nothing else reads the inputs.
    """

    SLOPE = 0.2

    def call(self, inputs, training=False):
        return _leaky(inputs) if training else tf.nn.leaky_relu(inputs, self.SLOPE)


@tf.custom_gradient
def _leaky(inputs):
    outputs = tf.nn.leaky_relu(inputs, LeakyReLU.SLOPE)

    def gradient(upstream):
        return tf.raw_ops.LeakyReluGrad(
            gradients=upstream, features=outputs, alpha=LeakyReLU.SLOPE)

    return outputs, gradient


class Residual(keras.layers.Layer):
    """Inputs plus the outputs of a branch, a list of layers (He et al. 2016)."""

    def __init__(self, branch, **settings):
        super().__init__(**settings)
        self.branch = keras.Sequential(branch)

    def call(self, inputs):
        return inputs + self.branch(inputs)


# Spectral normalization.


class SpectralLayer(keras.layers.Layer):
    """Weight divided by its largest singular value (Miyato et al. 2018, algorithm 1).

    Unlike `keras.layers.SpectralNormalization` it leaves the kernel as it is: a call takes no
    power iteration (`iterate` does, once a step), and gradients flow through the singular value.
    """

    FIRST_ITERATIONS = 10  # so that the first step is bounded already

    def __init__(self, units, **settings):
        super().__init__(**settings)
        self.units = units

    def build_weights(self, shape):
        """Create the kernel [..., units], the bias and the singular vectors u and v: float32."""
        self.kernel = float32_weight(self, "kernel", shape, "glorot_normal")
        self.bias = float32_weight(self, "bias", (self.units,), "zeros")
        self.v = float32_weight(self, "v", (self.units, 1), "random_normal", False)
        self.u = float32_weight(self, "u", (math.prod(shape[:-1]), 1), "zeros", False)
        for _ in range(self.FIRST_ITERATIONS):
            self.iterate()

    def iterate(self):
        """Take one step of the power iteration."""
        matrix = tf.reshape(self.kernel.value, [-1, self.units])
        u = tf.math.l2_normalize(matrix @ self.v.value)
        self.u.assign(u)
        self.v.assign(tf.math.l2_normalize(tf.transpose(matrix) @ u))

    def normalized_kernel(self):
        matrix = tf.reshape(self.kernel.value, [-1, self.units])
        sigma = tf.reduce_sum(self.u.value * (matrix @ self.v.value))
        return tf.cast(self.kernel.value / sigma, self.compute_dtype)


class SpectralDense(SpectralLayer):
    """Dense `SpectralLayer`: [N, D] → [N, units]."""

    def build(self, input_shape):
        self.build_weights((input_shape[-1], self.units))

    def call(self, inputs):
        return inputs @ self.normalized_kernel() + tf.cast(self.bias.value, self.compute_dtype)


class SpectralConv2D(SpectralLayer):
    """Convolution of kernel 4 and stride 2: [N, H, W, C] → [N, H / 2, W / 2, units]."""

    def build(self, input_shape):
        self.build_weights((4, 4, input_shape[-1], self.units))

    def call(self, inputs):
        outputs = tf.nn.conv2d(inputs, self.normalized_kernel(), 2, "SAME")
        return outputs + tf.cast(self.bias.value, self.compute_dtype)


def iterate_spectral(layer):
    """Take one step of the power iteration in every spectral layer within a layer or model."""
    if isinstance(layer, SpectralLayer):
        layer.iterate()
    for part in getattr(layer, "layers", []):
        iterate_spectral(part)


# Output activations of generators: what brings values into [-1, 1], black to white.


class Clip(keras.layers.Layer):
    """Values clipped to [-1, 1], which reaches black and white where tanh only comes near.

    The gradient passes a little beyond the bounds, so that what is to be black or white settles
    there and stays it when weights move or are averaged. Farther out it passes where it moves a
    value back: values neither get stuck nor run away.
    """

    MARGIN = 0.05  # six gray levels

    def call(self, inputs, training=False):
        return _clip(inputs, self.MARGIN) if training else tf.clip_by_value(inputs, -1.0, 1.0)


class SmoothClip(Clip):
    """Clipped smoothstep (3 v - v^3) / 2, which is flat at black and white.

    The distance from black or white is squared: faint traces on an even background become too
    faint to be seen. The gradient is at least `LEAST_SLOPE`, or black could not brighten.
    """

    MARGIN = 0.2
    LEAST_SLOPE = 0.3

    def call(self, inputs, training=False):
        clipped = super().call(inputs, training)
        return _bend(clipped) if training else _smoothstep(clipped)


class BrightTanh(keras.layers.Layer):
    """tanh, stretched by a fifth where it is positive and clipped at 1.

    For images on black with faint pixels. White is as far away as black for tanh, but half of
    all pixels teach a generator to reach black, and hardly any to reach white.
    """

    STRETCH = 0.2

    def call(self, inputs, training=False):
        values = tf.tanh(inputs)
        values += self.STRETCH * tf.nn.relu(values)
        return _clip(values, 0.0) if training else tf.minimum(values, 1.0)


class CleanBackground(keras.layers.Layer):
    """Fades faint traces on an even background, unless they touch what is plain.

    A pixel stays where it or one of its eight neighbors differs from the background by
    `contrast` gray levels, as everything in the training images does; it is gone where none
    differs by half of that: hysteresis thresholding (Canny 1986) without a jump.
    """

    def __init__(self, color, contrast, **settings):
        super().__init__(**settings)
        self.color, self.contrast = list(color), contrast

    def call(self, inputs):
        color = tf.constant(self.color, inputs.dtype) / 127.5 - 1
        difference = inputs - color
        plainest = tf.nn.max_pool2d(
            tf.reduce_max(tf.abs(difference), axis=-1, keepdims=True), 3, 1, "SAME")
        kept = 2 * 127.5 / self.contrast * plainest - 1
        return color + tf.clip_by_value(kept, 0.0, 1.0) * difference


@tf.custom_gradient
def _clip(values, margin):
    def gradient(upstream):
        # A step of descent moves values against the gradient: inward where the signs are equal.
        passes = (tf.abs(values) <= 1 + margin) | (values * upstream > 0)
        # A product: `tf.where` takes a CPU five times as long.
        return upstream * tf.cast(passes, upstream.dtype), None  # none of the margin

    return tf.clip_by_value(values, -1.0, 1.0), gradient


@tf.custom_gradient
def _bend(values):
    def gradient(upstream):
        return upstream * tf.maximum(1.5 * (1 - tf.square(values)), SmoothClip.LEAST_SLOPE)

    return _smoothstep(values), gradient


def _smoothstep(values):
    return 0.5 * values * (3 - tf.square(values))
