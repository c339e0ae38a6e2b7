"""One of several processes that train a run together, over TensorFlow's collective operations."""

import contextlib
import json

import numpy as np
import tensorflow as tf

from gan.distributed.replica import DismissedError, PartnerError, SingleReplica
from gan.distributed.replica_layers import SharedBatchNorm, SharedDropout

# Keys of the two groups that collective operations meet in: one of devices, for the
# step, and one of processors, for what the programs tell each other between steps.
DEVICES, HOSTS = 1, 2
MESSAGES = 1  # the key of what the programs tell each other
FRAME = 4096  # bytes of a message


class Several(SingleReplica):
    """One of several processes, in the cluster that it has joined.

    Process r of R takes the rows r, r + R, r + 2R, … of every batch. All
    processes must call the same methods in the same order, and trace the same
    graphs; each place in a graph has a key, by which its operations meet.
    """

    def __init__(self, index, count, local_index, local_count, watch):
        """
        Args:
            index, count, local_index, local_count: see `SingleReplica`.
            watch: `Watch` over the calls of the train step.
        """
        self.rank, self.world_size = index, count
        self.local_index, self.local_count = local_index, local_count
        self._device = "GPU:0" if tf.config.list_logical_devices("GPU") else "CPU:0"
        self._watch, self._places = watch, 0
        # Operations that share a resource run in the order of the program: were two
        # processes to begin two messages in different orders, both would wait for ever.
        with tf.device(self._device):
            self._token = tf.Variable(0.0, trainable=False)
        with tf.device("CPU:0"):
            self._host_token = tf.Variable(0.0, trainable=False)

    def describe(self):
        """Return how many processes share a batch, in words after the name of the device."""
        return f", one of {self.world_size} processes"

    def shard(self, rows):
        """Return this process' rows of a whole batch: [batch, ...] → [batch / count, ...]."""
        return rows[self.rank :: self.world_size]

    def all_reduce_mean(self, tensors, precision="float32"):
        """Return the mean over the processes of each tensor, sent as one message."""
        flat = tf.concat([tf.reshape(tensor, [-1]) for tensor in tensors], axis=0)
        # Divided before it is added up, which leaves more of float16's range.
        total = self._sum(tf.cast(flat / self.world_size, precision), self._next_place())
        parts = tf.split(tf.cast(total, tf.float32), [tf.size(tensor) for tensor in tensors])
        return [tf.reshape(part, tf.shape(tensor))
                for part, tensor in zip(parts, tensors, strict=True)]

    def all_gather(self, vector):
        """Return the vectors of all processes, in a graph: float32 [D] → [count, D]."""
        with tf.device(self._device):
            rows = tf.raw_ops.CollectiveGatherV2(
                input=vector[None], instance_key=self._next_place(),
                ordering_token=[self._token.handle], **self._meeting(DEVICES))
        return tf.ensure_shape(rows, [self.world_size, vector.shape[0]])

    def batch_norm(self, **settings):
        """Return a layer of batch normalisation over the whole batch."""
        return SharedBatchNorm(self, **settings)

    def dropout(self, rate, **settings):
        """Return a dropout layer that drops what one process would drop."""
        return SharedDropout(self, rate, **settings)

    def watched(self):
        """Return a context for a call of the train step, which ends one that hangs."""
        return self._watch.call()

    def exchange(self, message):
        """Tell all processes something and hear what each says; waits for all of them."""
        # Always as long: the operations of a key must be of one shape.
        text = json.dumps(message).ljust(FRAME)
        if len(text) > FRAME:
            raise ValueError(f"expected a message of at most {FRAME} bytes, got: {len(text)}")
        words = tf.constant(np.frombuffer(text.encode(), np.int32))
        with tf.device("CPU:0"):
            rows = tf.raw_ops.CollectiveGatherV2(
                input=words[None], instance_key=MESSAGES,
                ordering_token=[self._host_token.handle], **self._meeting(HOSTS))
        messages = [json.loads(row.tobytes()) for row in rows.numpy()]
        for other in messages[: self.rank] + messages[self.rank + 1 :]:
            if "error" in other:
                raise PartnerError(other["error"])
            if "end" in other:
                raise DismissedError(other["end"])
        return messages

    def hand_out(self, make=None):
        """Give the chief's content to every process; waits for all of them."""
        content = make() if self.chief else b""
        size = self.exchange({"size": len(content)})[0]["size"]
        words = np.zeros(-(-size // 4), np.int32)
        if self.chief:
            words.view(np.uint8)[:size] = np.frombuffer(content, np.uint8)
        with tf.device("CPU:0"):  # what the others add is 0
            words = self._sum(tf.constant(words), self._next_place(), HOSTS).numpy()
        return words.view(np.uint8)[:size].tobytes()

    def dismiss(self, code):
        """End the run in the other processes."""
        # All is written. A process that has heard it may be gone before this one has its answer.
        with contextlib.suppress(tf.errors.OpError):
            self.exchange({"end": code})

    def _sum(self, values, key, group=DEVICES):
        host = group == HOSTS
        with tf.device("CPU:0" if host else self._device):
            return tf.raw_ops.CollectiveReduceV2(
                input=values, instance_key=key, merge_op="Add", final_op="Id",
                ordering_token=[(self._host_token if host else self._token).handle],
                **self._meeting(group))

    def _meeting(self, group):
        # No `timeout_seconds`: TensorFlow lets a thread sleep for each operation that has
        # one, thousands after some seconds. The heartbeats of the cluster end what waits
        # for a process that is gone, see `gan.distributed.joining`, and a `Watch` the rest.
        fast = group == DEVICES and "GPU" in self._device
        return {"group_size": self.world_size, "group_key": group,
                "communication_hint": "nccl" if fast else "ring"}

    def _next_place(self):
        self._places += 1  # the order of tracing is the same everywhere
        return MESSAGES + self._places
