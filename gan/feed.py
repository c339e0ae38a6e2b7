"""Which training samples come in which step, and from where: memory or the disk."""

import numpy as np
import tensorflow as tf

from gan.kinds import kind_of
from gan.replicas import ALONE

DATA_ORDER = 2  # stream of NumPy's generator; 1 is k-means
READERS, READ_AHEAD = 2, 4  # threads that read from the disk; batches read before they are needed


class Feed:
    """Batches of real samples with the codes of their conditions.

    The order is a function of (seed, epoch), so that a resumed run sees what the
    uninterrupted one would have seen.

    Attributes:
        batch_size: samples a batch, of which each process takes its share.
        steps_per_epoch: whole batches in the data.
        signature: of the arguments that `arguments` returns, for `tf.function`.
    """

    def __init__(self, samples, conditioning, batch_size, seed, streamed=False,
                 replicas=ALONE):
        """
        Args:
            samples: uint8 [N, H, W, C] or float32 [N, 2], at least one batch.
            conditioning: the `Conditioning` of the samples.
            batch_size: samples a batch.
            seed: of the order.
            streamed: read the samples of each step when it comes, rather than
                hold them all in TensorFlow's memory; the results are the same.
            replicas: the processes that train together, see `gan.replicas`.
        """
        self.batch_size, self.steps_per_epoch = batch_size, len(samples) // batch_size
        self._stored, self._seed = samples, seed
        self._replicas = replicas
        self._share = batch_size // self._replicas.count
        self._kind = kind_of(samples.shape[1:])
        self._held = None if streamed else _hold(samples)
        self._conditions = tf.constant(conditioning.ids)
        self._codes = tf.constant(conditioning.codes)
        self.signature = [tf.TensorSpec([None, self._share], tf.int32)]
        if streamed:
            batch = tf.TensorSpec([self._share, *samples.shape[1:]], samples.dtype)
            self.signature.append(tf.data.IteratorSpec(batch))

    def epoch_batches(self, epoch):
        """Return the batches of an epoch: int32 [steps, batch] indices of samples.

        Args:
            epoch: counted from 1. Each sample comes at most once; the remainder
                that fills no batch is another one in every epoch.
        """
        random = np.random.default_rng([self._seed, DATA_ORDER, epoch])
        order = random.permutation(len(self._stored)).astype(np.int32)
        return order[: self.steps_per_epoch * self.batch_size].reshape(-1, self.batch_size)

    def arguments(self, batches):
        """Return what a traced function needs in order to call `batch`, as a tuple.

        Args:
            batches: int32 [steps, batch], indices of samples.
        """
        batches = self._replicas.share(batches.T).T
        return (batches,) if self._held is not None else (batches, iter(self._stream(batches)))

    def batch(self, indices, stream=None):
        """Return a batch, in a graph.

        Args:
            indices: int32 [share], of samples.
            stream: the iterator that `arguments` returned, if it did.

        Returns:
            `(samples, codes)`: float32 [share, H, W, C] in [-1, 1] or [share, 2],
            and float32 [share, W].
        """
        codes = tf.gather(self._codes, tf.gather(self._conditions, indices))
        stored = tf.gather(self._held, indices) if stream is None else stream.get_next()
        return self._kind.to_floats(stored), codes

    def _stream(self, batches):
        """A `tf.data.Dataset` of the samples of each batch, read ahead of the steps."""
        shape = [self._share, *self._stored.shape[1:]]

        def read(batch):
            samples = tf.numpy_function(self._stored.__getitem__, [batch], self._stored.dtype)
            return tf.ensure_shape(samples, shape)

        indices = tf.data.Dataset.from_tensor_slices(batches)
        return indices.map(read, READERS, deterministic=True).prefetch(READ_AHEAD)


def _hold(samples):
    """Return samples as a tensor on the device that trains."""
    if not isinstance(samples, np.memmap):
        return tf.constant(samples)
    # `tf.constant` would need twice the memory for a moment; this shares the map.
    shared = tf.experimental.dlpack.from_dlpack(np.asarray(samples).__dlpack__())
    return tf.identity(shared) if tf.config.list_physical_devices("GPU") else shared
