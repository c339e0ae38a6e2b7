"""A limit to how long several processes wait for one that lives but does nothing."""

import contextlib
import os
import threading
import time

from gan.distributed.replica import EXIT_LOST

FIRST_SECONDS = 600  # for the first two calls: one traces the graph, one is the first to time
SECONDS = 20  # for each later one, and this many times as long as the longest so far:
TIMES = 10
GRACE_SECONDS = 5  # for the program to see that its operations were aborted


class Watch:
    """Ends calls of the train step that do not end by themselves.

    The heartbeats of a cluster find processes that are gone. One that hangs, for
    instance on a disk that does not answer, keeps sending them: the operations of
    the others are aborted here, and it ends itself.
    """

    def __init__(self, name, continuation):
        """
        Args:
            name: of this process, in messages.
            continuation: the command that continues the run.
        """
        self._name, self._continuation = name, continuation
        self._limit = FIRST_SECONDS
        self._longest = None  # seconds of a call, that which traces left out

    @contextlib.contextmanager
    def call(self):
        """Watch over a call for the time of a `with` block."""
        ended, began = threading.Event(), time.monotonic()
        threading.Thread(target=self._guard, args=[ended, self._limit], daemon=True).start()
        try:
            yield
        finally:
            ended.set()
        if self._longest is None:
            self._longest = 0
        else:
            self._longest = max(self._longest, time.monotonic() - began)
            self._limit = SECONDS + TIMES * self._longest

    def _guard(self, ended, limit):
        if ended.wait(limit):
            return
        import tensorflow as tf
        from tensorflow.python.eager import context

        context.context().abort_collective_ops(
            tf.errors.UNAVAILABLE, f"no step was completed for {limit:.0f} seconds")
        if not ended.wait(GRACE_SECONDS):  # so it waits for something else than the others
            os.write(2, f"{self._name} completed no step for {limit:.0f} seconds. To continue: "
                        f"{self._continuation}\n".encode())
            os._exit(EXIT_LOST)
