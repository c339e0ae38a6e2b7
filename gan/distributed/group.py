"""Several replicas in one process, each on a device and in a thread of its own."""

import queue
import threading
import time

import tensorflow as tf
from tensorflow.python.eager import context

from gan.common.errors import UserError, leave_abruptly
from gan.distributed.cluster import WATCHDOG_SECONDS, ReplicaError

CALLS = 10  # times as long as the longest call so far, one may take more than the watchdog's time
GRACE_SECONDS = 5  # for replicas to end after their collective operations were aborted


class ReplicaGroup:
    """A `Trainer` whose steps several replicas take at a time, equal to the bit."""

    def __init__(self, trainers):
        """Take a list of `Trainer`, one for each replica, by rank."""
        self.trainers, first = trainers, trainers[0]
        self.config, self.state, self.feed = first.config, first.state, first.feed
        self.replica, self._longest = first.replica, None

    def train(self, batches):
        """Take a step for each batch, see `Trainer.train`; `ReplicaError` if a replica fails."""
        if self._longest is None:
            values = {name: variable.numpy() for name, variable in self.state.variables().items()}
            for trainer in self.trainers:  # in turn: Keras' state while tracing is global
                for name, variable in trainer.state.variables().items():
                    variable.assign(values[name])
                trainer.trace()
            self._longest = 0.0
        results, began = queue.SimpleQueue(), time.monotonic()

        def take_steps(rank):
            try:
                results.put((rank, self.trainers[rank].train(batches)))
            except BaseException as error:
                results.put((rank, error))

        running = set(range(len(self.trainers)))
        for rank in running:
            threading.Thread(target=take_steps, args=[rank], daemon=True).start()
        try:
            measures = self._collect(results, running)
        except BaseException:
            leave_abruptly()  # some threads may never end
            raise
        self._longest = max(self._longest, time.monotonic() - began)
        return measures

    def _collect(self, results, running):
        """Wait for all replicas; returns what the first one measured."""
        limit, measures = max(WATCHDOG_SECONDS, CALLS * self._longest), None
        while running:
            try:
                rank, result = results.get(timeout=limit)
            except queue.Empty:
                _abort_collectives()
                time.sleep(GRACE_SECONDS)
                while not results.empty():  # the ones that only waited for the others
                    running.discard(results.get()[0])
                raise self._error(min(running, default=0),
                                  f"completed no step for {limit:.0f} seconds") from None
            running.discard(rank)
            if isinstance(result, BaseException):
                _abort_collectives()
                if isinstance(result, UserError):
                    raise result
                reason = str(result).partition("\n")[0]
                raise self._error(
                    rank, f"failed: {type(result).__name__}: {reason}") from result
            measures = result if rank == 0 else measures
        return measures

    def _error(self, rank, what):
        device = self.trainers[rank].replica.device
        return ReplicaError(f"replica {rank} of {len(self.trainers)} ({device}) {what}; "
                            "to continue from the last checkpoint: --resume")


def _abort_collectives():
    context.context().abort_collective_ops(tf.errors.UNAVAILABLE, "another replica failed")
