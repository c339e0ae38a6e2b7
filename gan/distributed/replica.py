"""Replicas of a run: devices that train it together, each with its shard of every batch.

Every replica holds the whole state in plain variables and takes the same steps. What depends on
the rest of the batch is reduced or gathered over all of them, so that the step is the one that a
single device would take.
"""

import contextlib
import contextvars
import time
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait

import keras
import numpy as np
import tensorflow as tf
from tensorflow.python.eager import context

from gan.common.errors import UserError, leave_abruptly
from gan.distributed.cluster import WATCHDOG_SECONDS, ReplicaError
from gan.layers import FusedBatchNorm

CALLS = 10  # times as long as the longest call so far, one may take more than the watchdog's time
GRACE_SECONDS = 5  # for replicas to end after their collective operations were aborted
_current = contextvars.ContextVar("replica")


class SingleReplica:
    """The only device of a run: its shard is the batch."""

    rank, world_size = 0, 1  # number of this replica, and of all
    failure = None  # the `UserError` that ended a reduction, if any

    def scope(self):
        """Return a context in which variables and operations are placed on this device."""
        return contextlib.nullcontext()

    def shard(self, rows):
        """Return this replica's rows of a batch: [batch, ...] → [batch / world_size, ...]."""
        return rows[self.rank :: self.world_size]

    def all_reduce_mean(self, tensors, precision="float32"):
        """Return the replicas' mean of each float32 tensor; they travel in this precision."""
        return tensors


SINGLE = SingleReplica()


def current_replica():
    """Return the replica whose scope this is; without one, the only one."""
    return _current.get(SINGLE)


def replicas_on(devices, cluster=None):
    """Return the replicas of this process, on devices named as "GPU:0"; one in a `Cluster`."""
    if cluster:
        return [ClusterReplica(cluster, devices[0])]
    if len(devices) == 1:
        return [SINGLE]
    return [LocalReplica(rank, len(devices), device) for rank, device in enumerate(devices)]


class LocalReplica(SingleReplica):
    """One of several replicas in this process: number r of R takes the rows r, r + R, r + 2R, …

    TensorFlow's local collectives need no server, and so no port. All replicas must trace the
    same operations in the same order.
    """

    def __init__(self, rank, world_size, device):
        self.rank, self.world_size, self.device = rank, world_size, device
        self._keys = 0  # of the collectives, in the order in which they are traced
        # Operations that share a resource run in the order of the program: were two replicas
        # to begin two reductions in different orders, both would wait for ever.
        with self.scope():
            self._token = tf.Variable(0.0, trainable=False)

    @contextlib.contextmanager
    def scope(self):
        before = _current.set(self)
        try:
            with tf.device(self.device):
                yield
        finally:
            _current.reset(before)

    def all_reduce_mean(self, tensors, precision="float32"):
        flat = tf.concat([tf.reshape(tensor, [-1]) for tensor in tensors], axis=0)
        # Divided before it is added up, which leaves more of float16's range.
        total = self._all_reduce(tf.cast(flat / self.world_size, precision))
        parts = tf.split(tf.cast(total, tf.float32), [tf.size(tensor) for tensor in tensors])
        return [tf.reshape(part, tf.shape(tensor))
                for part, tensor in zip(parts, tensors, strict=True)]

    def all_gather(self, vector):
        """Return the vectors of all replicas: float32 [D] → [world_size, D], differentiable."""
        @tf.custom_gradient
        def gather(vector):
            alone = tf.pad(vector[None], [[self.rank, self.world_size - 1 - self.rank], [0, 0]])
            rows = tf.ensure_shape(self._all_reduce(alone), alone.shape)
            return rows, lambda slopes: self._all_reduce(slopes)[self.rank]

        return gather(vector)

    def _all_reduce(self, values):
        # No `timeout_seconds`: TensorFlow lets a thread sleep for each operation that has one,
        # thousands after some seconds. `ReplicaGroup` has the watchdog.
        self._keys += 1
        return tf.raw_ops.CollectiveReduceV2(
            input=values, merge_op="Add", final_op="Id", group_size=self.world_size, group_key=1,
            instance_key=self._keys, ordering_token=[self._token.handle],
            communication_hint="nccl" if self.device.startswith("GPU") else "ring")


class ClusterReplica(LocalReplica):
    """Replica of a process among several, over a `Cluster`'s connections."""

    def __init__(self, cluster, device):
        super().__init__(cluster.rank, cluster.world_size, device)
        self._cluster = cluster

    @property
    def failure(self):
        return self._cluster.failure

    def _all_reduce(self, values):
        kind = values.dtype.as_numpy_dtype

        def add_up(parts):
            return sum(np.frombuffer(part, kind) for part in parts).tobytes()

        def reduce(values, token):
            return np.frombuffer(self._cluster.all_reduce(values.tobytes(), add_up), kind), token

        with tf.device("CPU:0"):
            # The token is read before and assigned after, which keeps the reductions in order.
            total, token = tf.numpy_function(reduce, [values, self._token],
                                             [values.dtype, tf.float32])
            self._token.assign(tf.ensure_shape(token, []))
            return tf.reshape(total, tf.shape(values))


class SyncBatchNorm(FusedBatchNorm):
    """`FusedBatchNorm` with the statistics of the whole batch."""

    def call(self, inputs, training=False):
        replica = current_replica()
        if not training or replica.world_size == 1:
            return super().call(inputs, training)
        values = tf.cast(inputs, tf.float32)
        # The shards' statistics, merged as by Chan, Golub & LeVeque 1979.
        axes = list(range(len(values.shape) - 1))
        shards = replica.all_gather(tf.concat(tf.nn.moments(values, axes), axis=0))
        means, variances = tf.split(shards, 2, axis=1)
        mean = tf.reduce_mean(means, axis=0)
        variance = tf.reduce_mean(variances + tf.math.squared_difference(means, mean), axis=0)
        count = tf.cast(tf.size(inputs) // inputs.shape[-1] * replica.world_size, tf.float32)
        self.move(mean, variance * count / (count - 1))  # unbiased, as the fused kernel's
        outputs = tf.nn.batch_normalization(
            values, mean, variance, self.beta.value, self.gamma.value, self.EPSILON)
        return tf.cast(outputs, inputs.dtype)


class SyncDropout(keras.layers.Dropout):
    """Dropout whose masks are drawn for the whole batch, of which a replica takes its rows."""

    def call(self, inputs, training=False):
        replica = current_replica()
        if not training or replica.world_size == 1:
            return super().call(inputs, training)
        # Where several batches lie behind each other, every R-th row is still this one's.
        rows, *shape = inputs.shape
        ones = tf.ones([rows * replica.world_size, *shape], inputs.dtype)
        masks = keras.random.dropout(ones, self.rate, seed=self.seed_generator)
        return inputs * replica.shard(masks)


class ReplicaGroup:
    """`Trainer` objects, by rank, that take each step at a time, equal to the bit."""

    def __init__(self, trainers):
        self.trainers, first = trainers, trainers[0]
        self.config, self.state, self.feed = first.config, first.state, first.feed
        self.replica, self._longest = first.replica, None
        self._threads = ThreadPoolExecutor(len(trainers))

    def plan(self, config):
        """Plan as `Trainer.plan` does, for all replicas."""
        self.config = config
        for trainer in self.trainers:
            trainer.plan(config)

    def train(self, batches):
        """Take a step for each batch, see `Trainer.train`; `ReplicaError` if a replica fails."""
        if self._longest is None:
            values = {name: variable.numpy() for name, variable in self.state.variables().items()}
            for trainer in self.trainers:  # in turn: Keras' state while tracing is global
                for name, variable in trainer.state.variables().items():
                    variable.assign(values[name])
                trainer.trace()
            self._longest = 0.0
        began, limit = time.monotonic(), max(WATCHDOG_SECONDS, CALLS * self._longest)
        try:
            calls = [self._threads.submit(trainer.train, batches) for trainer in self.trainers]
            wait(calls, limit, FIRST_EXCEPTION)
            self._check(calls, limit)
        except BaseException:
            leave_abruptly()  # some threads may never end
            raise
        self._longest = max(self._longest, time.monotonic() - began)
        return calls[0].result()

    def _check(self, calls, limit):
        """Raise the error of a call that failed, or has not ended."""
        failed = [rank for rank, call in enumerate(calls) if call.done() and call.exception()]
        if not failed and all(call.done() for call in calls):
            return
        context.context().abort_collective_ops(tf.errors.UNAVAILABLE, "another replica failed")
        wait(calls, GRACE_SECONDS)  # for the ones that only waited for the others
        if failed:
            rank, error = failed[0], calls[failed[0]].exception()
            if isinstance(error, UserError):
                raise error
            reason = str(error).partition("\n")[0]
            what = f"failed: {type(error).__name__}: {reason}"
        else:
            rank = next((rank for rank, call in enumerate(calls) if not call.done()), 0)
            error = None
            what = f"completed no step for {limit:.0f} seconds"
        device = self.trainers[rank].replica.device
        raise ReplicaError(f"replica {rank} of {len(calls)} ({device}) {what}; "
                           "to continue from the last checkpoint: --resume") from error
