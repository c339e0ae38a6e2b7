"""Which training samples come in which step, and from where: memory or the disk."""

import numpy as np
import tensorflow as tf

from gan.common.errors import UserError
from gan.data.coordinates import normal_quantiles
from gan.data.order import BlockReader, order_of
from gan.data.shards import ShardedImages
from gan.distributed.replica import SINGLE
from gan.kinds import kind_of

READERS, READ_AHEAD = 2, 4  # threads that read from the disk; batches read before they are needed


class Feed:
    """Batches of real samples with the codes of their conditions.

    The order is a function of (seed, epoch), so that a resumed run sees what the
    uninterrupted one would have seen.

    Attributes:
        batch_size: samples a batch, of which each process takes its share.
        steps_per_epoch: whole batches in the data.
        signature: of the arguments that `arguments` returns, for `tf.function`.
        failure: the `UserError` that ended the reading of samples, if one did.
    """

    def __init__(self, samples, conditioning, batch_size, seed, streamed=False,
                 replica=SINGLE):
        """
        Args:
            samples: uint8 [N, H, W, C] or float32 [N, 2], or `ShardedImages`; at
                least one batch.
            conditioning: the `Conditioning` of the samples.
            batch_size: samples a batch.
            seed: of the order.
            streamed: read the samples of each step when it comes, rather than
                hold them all in TensorFlow's memory; the results are the same.
            replica: this device among those that train together, see `gan.distributed.replica`.
        """
        self._stored, self._epoch, self.failure = samples, 1, None
        self._replica, self._share = replica, batch_size // replica.world_size
        self._order, self._reader = order_of(samples, batch_size, seed), None
        if isinstance(samples, ShardedImages):
            self._reader = BlockReader(samples, self._order, replica.rank, replica.world_size)
        self.batch_size, self.steps_per_epoch = batch_size, self._order.steps
        self._kind = kind_of(samples.shape[1:])
        self._held = None if streamed else _hold(samples)
        self._conditions = tf.constant(conditioning.cluster_labels)
        self._codes = tf.constant(conditioning.vectors)
        components = conditioning.coordinates
        self._components = tf.constant(
            np.zeros((len(samples), 0), np.uint8) if components is None else components)
        self._levels = tf.constant(normal_quantiles())
        self.signature = [tf.TensorSpec([None, self._share], tf.int32)]
        if streamed:
            batch = tf.TensorSpec([self._share, *samples.shape[1:]], samples.dtype)
            self.signature.append(tf.data.IteratorSpec(batch))

    def epoch_batches(self, epoch):
        """Return the batches of an epoch: int32 [steps, batch] indices of samples.

        Args:
            epoch: counted from 1.
        """
        self._epoch = epoch
        return self._order.batches(epoch)

    def arguments(self, batches):
        """Return what a traced function needs in order to call `batch`, as a tuple.

        Args:
            batches: int32 [steps, batch], indices of samples.
        """
        batches = self._replica.shard(batches.T).T
        return (batches,) if self._held is not None else (batches, iter(self._stream(batches)))

    def batch(self, indices, stream=None):
        """Return a batch, in a graph.

        Args:
            indices: int32 [share], of samples.
            stream: the iterator that `arguments` returned, if it did.

        Returns:
            `(samples, codes, components)`: float32 [share, H, W, C] in [-1, 1] or
            [share, 2], float32 [share, W] and float32 [share, D].
        """
        codes = tf.gather(self._codes, tf.gather(self._conditions, indices))
        stored = tf.gather(self._held, indices) if stream is None else stream.get_next()
        components = tf.cast(tf.gather(self._components, indices), tf.int32)
        return self._kind.to_floats(stored), codes, tf.gather(self._levels, components)

    def _stream(self, batches):
        """A `tf.data.Dataset` of the samples of each batch, read ahead of the steps."""
        shape, epoch = [self._share, *self._stored.shape[1:]], self._epoch

        def read_blocks(batch):
            try:
                return self._reader.read(batch, epoch)
            except UserError as error:
                self.failure = error
                raise

        if self._reader:  # it reads ahead in threads of its own, and is asked by one at a time
            fetch, readers = read_blocks, 1
        else:
            fetch, readers = self._stored.__getitem__, READERS

        def read(batch):
            samples = tf.numpy_function(fetch, [batch], self._stored.dtype)
            return tf.ensure_shape(samples, shape)

        indices = tf.data.Dataset.from_tensor_slices(batches)
        return indices.map(read, readers, deterministic=True).prefetch(READ_AHEAD)


def _hold(samples):
    """Return samples as a tensor on the device that trains."""
    if isinstance(samples, ShardedImages):
        samples = samples[:]
    if not isinstance(samples, np.memmap):
        return tf.constant(samples)
    # `tf.constant` would need twice the memory for a moment; this shares the map.
    shared = tf.experimental.dlpack.from_dlpack(np.asarray(samples).__dlpack__())
    return tf.identity(shared) if tf.config.list_physical_devices("GPU") else shared
