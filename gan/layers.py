"""The layers that Keras does not have, or not fast."""

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


@keras.saving.register_keras_serializable("gan")
class Pointwise(keras.layers.Conv2D):
    """A 1 x 1 convolution that is trained as a product of matrices.

    The values are the same. TensorFlow's gradients of the product take a processor
    half as long as those of the convolution.
    """

    def __init__(self, filters, **settings):
        """
        Args:
            filters: channels of the output.
            **settings: of `keras.layers.Conv2D`, but for the kernel's size.
        """
        super().__init__(filters, 1, **settings)

    def call(self, inputs, training=False):
        """[N, H, W, C] → [N, H, W, filters]."""
        if not training:  # what is exported stays a convolution
            return super().call(inputs)
        pixels = tf.reshape(inputs, [-1, inputs.shape[-1]])
        outputs = tf.matmul(pixels, tf.convert_to_tensor(self.kernel)[0, 0])
        if self.use_bias:
            outputs = tf.nn.bias_add(outputs, tf.convert_to_tensor(self.bias))
        return tf.reshape(outputs, [-1, *inputs.shape[1:3], self.filters])

    def get_config(self):
        """The arguments that make an equal layer."""
        return {name: value for name, value in super().get_config().items()
                if name != "kernel_size"}


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
