"""Batch normalization and dropout over the whole batch, of which a replica has a shard."""

import keras
import tensorflow as tf

from gan.layers import FusedBatchNorm


class SyncBatchNorm(FusedBatchNorm):
    """`FusedBatchNorm` with the statistics of the whole batch.

    One all_gather a layer forward, of each shard's statistics, and one all_reduce backward.
    """

    def __init__(self, replica, **settings):
        """
        Args:
            replica: one of several, see `gan.distributed.replica`.
            **settings: of `FusedBatchNorm`.
        """
        super().__init__(**settings)
        self._replica = replica

    def call(self, inputs, training=False):
        """Normalize with the whole batch's statistics when training, else the moving ones."""
        if not training:
            return super().call(inputs)
        outputs, mean, variance = self._normalize(
            tf.cast(inputs, tf.float32), self.gamma.value, self.beta.value)
        values = tf.cast(tf.size(inputs) // inputs.shape[-1] * self._replica.world_size, tf.float32)
        self.move(mean, variance * values / (values - 1))  # unbiased, as the fused kernel's
        return tf.cast(outputs, inputs.dtype)

    def _normalize(self, values, gamma, beta):
        axes = list(range(len(values.shape) - 1))

        @tf.custom_gradient
        def normalize(values, gamma, beta):
            mean, variance = self._statistics(values, axes)
            scale = tf.math.rsqrt(variance + self.EPSILON)
            normal = (values - mean) * scale

            def gradient(slopes, *_):
                # Ioffe & Szegedy 2015, section 3, with both sums over the whole batch.
                of_beta = tf.reduce_sum(slopes, axes)
                of_gamma = tf.reduce_sum(slopes * normal, axes)
                mean_slope, mean_product = self._replica.all_reduce_mean([of_beta, of_gamma])
                count = tf.cast(tf.size(values) // values.shape[-1], tf.float32)
                common = (mean_slope + normal * mean_product) / count
                return gamma * scale * (slopes - common), of_gamma, of_beta

            return (gamma * normal + beta, mean, variance), gradient

        return normalize(values, gamma, beta)

    def _statistics(self, values, axes):
        """Return mean and variance of the whole batch: of each shard, then merged.

        Both passes are over differences from a mean, never of two large numbers
        (Chan, Golub & LeVeque 1979).
        """
        shards = self._replica.all_gather(tf.concat(tf.nn.moments(values, axes), axis=0))
        means, variances = tf.split(shards, 2, axis=1)
        mean = tf.reduce_mean(means, axis=0)
        return mean, tf.reduce_mean(variances + tf.math.squared_difference(means, mean), axis=0)


class SyncDropout(keras.layers.Dropout):
    """Dropout whose masks are drawn for the whole batch, of which a replica takes its rows."""

    def __init__(self, replica, rate, **settings):
        """
        Args:
            replica: one of several, see `gan.distributed.replica`.
            rate, **settings: of `keras.layers.Dropout`.
        """
        super().__init__(rate, **settings)
        self._replica = replica

    def call(self, inputs, training=False):
        """Drop what a single device would: [N, ...] → the same shape."""
        if not training:
            return inputs
        # Where several batches lie behind each other, every R-th row is still this one's.
        rows, *shape = inputs.shape
        ones = tf.ones([rows * self._replica.world_size, *shape], inputs.dtype)
        masks = keras.random.dropout(ones, self.rate, seed=self.seed_generator)
        return inputs * self._replica.shard(masks)
