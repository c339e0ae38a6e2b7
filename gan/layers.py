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
            for moving, batch in ((self.moving_mean, mean), (self.moving_variance, variance)):
                moving.assign_add((batch - moving.value) * (1 - self.momentum))
        return outputs

    def get_config(self):
        """The arguments that make an equal layer."""
        return super().get_config() | {"momentum": self.momentum}
