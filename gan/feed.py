"""Input pipeline: batches of samples with their conditions, from memory or the disk."""

import numpy as np
import tensorflow as tf

from gan.common.errors import UserError
from gan.data.conditions import HELD_OUT_SPREAD, normal_quantiles
from gan.data.order import pipeline_of
from gan.data.sample_types import sample_type_of
from gan.distributed.replica import SINGLE

READ_AHEAD = 4  # batches


class Feed:
    """Batches of real samples, in an order that is a function of (seed, epoch).

    `streamed` samples are read step by step; `failure` is the `UserError` that ended it, if any.
    """

    def __init__(self, samples, conditioning, batch_size, seed, streamed=False, replica=SINGLE):
        self._order, self._read = pipeline_of(
            samples, batch_size, seed, replica.rank, replica.world_size)
        self._replica, self._shape = replica, [batch_size // replica.world_size, *samples.shape[1:]]
        self._dtype, self._kind = samples.dtype, sample_type_of(samples.shape[1:])
        self._epoch, self.failure = 1, None
        self.batch_size, self.steps_per_epoch = batch_size, self._order.steps

        self._in_memory = None if streamed else _to_tensor(samples)
        self._cluster_labels = tf.constant(conditioning.cluster_labels)
        self._vectors = tf.constant(conditioning.vectors)
        self._coordinates = tf.constant(conditioning.coordinates)
        # Latents stand for new images, whose coordinates spread more than those of training images.
        self._quantiles = tf.constant(normal_quantiles() / HELD_OUT_SPREAD)
        self.signature = [tf.TensorSpec([None, self._shape[0]], tf.int32)]
        if streamed:
            self.signature.append(tf.data.IteratorSpec(tf.TensorSpec(self._shape, self._dtype)))

    def epoch_batches(self, epoch):
        """Return the batches of an epoch, counted from 1: int32 [steps, batch] indices."""
        self._epoch = epoch
        return self._order.batches(epoch)

    def arguments(self, batches):
        """Return what a traced function needs to call `batch`: int32 [steps, batch] → tuple."""
        batches = self._replica.shard(batches.T).T
        if self._in_memory is not None:
            return (batches,)
        return batches, iter(self._stream(batches))

    def batch(self, indices, stream=None):
        """Return samples, vectors and coordinates of int32 [shard] indices, for `train_step`."""
        stored = tf.gather(self._in_memory, indices) if stream is None else stream.get_next()
        vectors = tf.gather(self._vectors, tf.gather(self._cluster_labels, indices))
        levels = tf.cast(tf.gather(self._coordinates, indices), tf.int32)
        return self._kind.to_floats(stored), vectors, tf.gather(self._quantiles, levels)

    def _stream(self, batches):
        epoch = self._epoch

        def read(batch):
            try:
                return self._read(batch, epoch)
            except UserError as error:
                self.failure = error
                raise

        def samples_of(batch):
            samples = tf.numpy_function(read, [batch], self._dtype)
            return tf.ensure_shape(samples, self._shape)

        # One call at a time: readers of blocks have threads of their own.
        indices = tf.data.Dataset.from_tensor_slices(batches)
        return indices.map(samples_of, 1, deterministic=True).prefetch(READ_AHEAD)


def _to_tensor(samples):
    if not isinstance(samples, np.memmap):
        return tf.constant(samples[:])  # reads them, if they are in shards
    # `tf.constant` would need twice the memory for a moment; this shares the map.
    shared = tf.experimental.dlpack.from_dlpack(np.asarray(samples).__dlpack__())
    return tf.identity(shared) if tf.config.list_physical_devices("GPU") else shared
