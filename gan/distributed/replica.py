"""One device of those that train a run together, each with its shard of every batch.

Every replica holds the whole state in plain variables and takes the same steps. What depends on
the rest of the batch is reduced or gathered over all of them, so that the step is the one that a
single device would take.
"""

import contextlib

import keras
import numpy as np
import tensorflow as tf

from gan.layers import FusedBatchNorm

GROUP = 1  # the key of the group that the collective operations of a process meet in


class SingleReplica:
    """The only device of a run: its shard is the batch.

    Attributes:
        rank: number of the replica, from 0.
        world_size: number of replicas.
    """

    rank, world_size = 0, 1

    def scope(self):
        """Return a context in which variables and operations are placed on this device."""
        return contextlib.nullcontext()

    def shard(self, rows):
        """Return this replica's rows of a whole batch: [batch, ...] → [batch / world_size, ...]."""
        return rows

    def all_reduce_mean(self, tensors, precision="float32"):
        """Return the mean over the replicas of each tensor of a list, in a graph.

        Args:
            tensors: list of float32 tensors, of the same shapes in every replica.
            precision: number format in which they travel.
        """
        return tensors

    def batch_norm(self, **settings):
        """Return a layer of batch normalization over the whole batch."""
        return FusedBatchNorm(**settings)

    def dropout(self, rate, **settings):
        """Return a dropout layer whose masks do not depend on the number of replicas."""
        return keras.layers.Dropout(rate, **settings)


SINGLE = SingleReplica()


def replicas_on(devices, cluster=None):
    """Return the replicas of this process.

    Args:
        devices: list of names such as "GPU:0".
        cluster: `gan.distributed.cluster.Cluster` of several processes with a device each, or None.
    """
    if cluster:
        return [ClusterReplica(cluster, devices[0])]
    if len(devices) == 1:
        return [SINGLE]
    return [LocalReplica(rank, devices) for rank in range(len(devices))]


class _Replica(SingleReplica):
    """One of several replicas: rank r of R takes the rows r, r + R, r + 2R, … of every batch.

    All replicas must trace the same operations in the same order.
    """

    def __init__(self, rank, world_size, device):
        self.rank, self.world_size, self.device = rank, world_size, device
        # Operations that share a resource run in the order of the program: were two replicas
        # to begin two reductions in different orders, both would wait for ever.
        with self.scope():
            self._token = tf.Variable(0.0, trainable=False)

    def scope(self):
        return tf.device(self.device)

    def shard(self, rows):
        return rows[self.rank :: self.world_size]

    def all_reduce_mean(self, tensors, precision="float32"):
        flat = tf.concat([tf.reshape(tensor, [-1]) for tensor in tensors], axis=0)
        # Divided before it is added up, which leaves more of float16's range.
        total = self._sum(tf.cast(flat / self.world_size, precision))
        parts = tf.split(tf.cast(total, tf.float32), [tf.size(tensor) for tensor in tensors])
        return [tf.reshape(part, tf.shape(tensor))
                for part, tensor in zip(parts, tensors, strict=True)]

    def batch_norm(self, **settings):
        from gan.distributed.layers import SyncBatchNorm

        return SyncBatchNorm(self, **settings)

    def dropout(self, rate, **settings):
        from gan.distributed.layers import SyncDropout

        return SyncDropout(self, rate, **settings)


class LocalReplica(_Replica):
    """A replica among the devices of this process, over TensorFlow's local collectives.

    They need no server, and so no port.
    """

    def __init__(self, rank, devices):
        """
        Args:
            rank: index of its own device.
            devices: list of names such as "GPU:0", one for each replica.
        """
        super().__init__(rank, len(devices), devices[rank])
        self._keys = 0  # of the operations, in the order in which they are traced

    def all_gather(self, vector):
        """Return the vectors of all replicas, in a graph: float32 [D] → [world_size, D]."""
        rows = tf.raw_ops.CollectiveGatherV2(input=vector[None], **self._meeting())
        return tf.ensure_shape(rows, [self.world_size, vector.shape[0]])

    def _sum(self, values):
        return tf.raw_ops.CollectiveReduceV2(
            input=values, merge_op="Add", final_op="Id", **self._meeting())

    def _meeting(self):
        # No `timeout_seconds`: TensorFlow lets a thread sleep for each operation that has one,
        # thousands after some seconds. `ReplicaGroup` has the watchdog.
        self._keys += 1
        return {"group_size": self.world_size, "group_key": GROUP, "instance_key": self._keys,
                "ordering_token": [self._token.handle],
                "communication_hint": "nccl" if self.device.startswith("GPU") else "ring"}


class ClusterReplica(_Replica):
    """The replica of a process among those of several machines, over a `Cluster`'s connections."""

    def __init__(self, cluster, device):
        """
        Args:
            cluster: `gan.distributed.cluster.Cluster`.
            device: name such as "GPU:0".
        """
        super().__init__(cluster.rank, cluster.world_size, device)
        self._cluster = cluster

    def all_gather(self, vector):
        """Return the vectors of all replicas, in a graph: float32 [D] → [world_size, D]."""
        return self._exchange(vector, np.stack, [self.world_size, vector.shape[0]])

    def _sum(self, values):
        return self._exchange(values, sum, tf.shape(values))

    def _exchange(self, values, combine, shape):
        kind = values.dtype.as_numpy_dtype

        def exchange(values, token):
            content = self._cluster.exchange(
                values.tobytes(),
                lambda parts: combine([np.frombuffer(part, kind) for part in parts]).tobytes())
            return np.frombuffer(content, kind), token

        with tf.device("CPU:0"):
            # The token is read before and assigned after, which keeps the exchanges in order.
            combined, token = tf.numpy_function(
                exchange, [values, self._token], [values.dtype, tf.float32])
            self._token.assign(tf.ensure_shape(token, []))
            return tf.reshape(combined, shape)
