"""Several replicas in one process, each on a device and in a thread of its own."""

import queue
import threading
import time

import tensorflow as tf
from tensorflow.python.eager import context

from gan.common.errors import UserError, leave_abruptly
from gan.distributed.cluster import WATCHDOG_SECONDS, ReplicaError

LONGEST_CALLS = 10  # times the longest call so far, where that is more than the watchdog's time
GRACE_SECONDS = 5  # for replicas to end after their collective operations were aborted


class ReplicaGroup:
    """A `Trainer` whose steps are taken by several replicas at a time.

    Attributes:
        trainers: one for each replica, by rank.
        config, state, feed, replica: those of the first, which all others equal.
    """

    def __init__(self, trainers):
        """
        Args:
            trainers: list of `Trainer`, one for each replica in the order of their ranks.
        """
        first = trainers[0]
        self.config, self.state, self.feed = first.config, first.state, first.feed
        self.replica = first.replica
        self.trainers, self._ready, self._longest = trainers, False, 0.0

    def train(self, batches):
        """Take a step for each batch; see `Trainer.train`.

        Raises:
            ReplicaError: when a replica fails or hangs.
        """
        if not self._ready:
            self._broadcast()
            for trainer in self.trainers:  # in turn: Keras' state while tracing is global
                trainer.trace()
            self._ready = True
        results, began = queue.SimpleQueue(), time.monotonic()

        def take_steps(trainer):
            try:
                results.put((trainer.replica.rank, trainer.train(batches)))
            except BaseException as error:
                results.put((trainer.replica.rank, error))

        for trainer in self.trainers:
            threading.Thread(target=take_steps, args=[trainer], daemon=True).start()
        try:
            measures = self._collect(results)
        except BaseException:  # some threads may never end
            leave_abruptly()
            raise
        self._longest = max(self._longest, time.monotonic() - began)
        return measures

    def _broadcast(self):
        """Give all replicas the variables of the first."""
        variables = self.state.variables()
        for trainer in self.trainers[1:]:
            for name, variable in trainer.state.variables().items():
                variable.assign(variables[name].numpy())

    def _collect(self, results):
        """Wait for all replicas; returns what the first one measured."""
        limit = max(WATCHDOG_SECONDS, LONGEST_CALLS * self._longest)
        measures, running = None, {trainer.replica.rank for trainer in self.trainers}
        while running:
            try:
                rank, result = results.get(timeout=limit)
            except queue.Empty:
                raise self._hung(results, running, limit) from None
            running.discard(rank)
            if isinstance(result, BaseException):
                _abort_collectives()
                if isinstance(result, UserError):
                    raise result
                raise self._error(rank, f"failed: {result}") from result
            if rank == 0:
                measures = result
        return measures

    def _hung(self, results, running, limit):
        """Return the error that names the first replica that does not even end when aborted."""
        _abort_collectives()
        deadline = time.monotonic() + GRACE_SECONDS
        while len(running) > 1 and time.monotonic() < deadline:
            try:
                running.discard(results.get(timeout=deadline - time.monotonic())[0])
            except queue.Empty:
                break
        return self._error(min(running), f"completed no step for {limit:.0f} seconds")

    def _error(self, rank, what):
        device = self.trainers[rank].replica.device
        return ReplicaError(f"replica {rank} of {len(self.trainers)} ({device}) {what}; "
                            "to continue from the last checkpoint: --resume")


def _abort_collectives():
    context.context().abort_collective_ops(tf.errors.UNAVAILABLE, "another replica failed")
