"""Timers of a run, and requests to stop it."""

import contextlib
import math
import signal
import time


class Timers:
    """Seconds that a process has spent in named phases, and in all."""

    def __init__(self):
        self.seconds, self._began = {}, time.monotonic()

    @contextlib.contextmanager
    def __call__(self, name):
        """Add the seconds of a `with` block to a phase; one within another counts in both."""
        began = time.monotonic()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.monotonic() - began

    def total(self):
        """Return the seconds since the start."""
        return time.monotonic() - self._began


class StopRequest:
    """A signal or a passed time limit, remembered until the run can stop.

    `signal` is the number of the first signal, or None.
    """

    def __init__(self, timers, max_minutes=0):
        self.signal, self._timers, self._max_minutes = None, timers, max_minutes or math.inf

    def note(self, number, _frame):
        """Handle a signal; a second Ctrl-C interrupts at once."""
        if self.signal is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.signal = number

    @property
    def requested(self):
        return self.signal is not None or self._timers.total() >= 60 * self._max_minutes
