"""Timers of a run, and requests to stop it."""

import contextlib
import signal
import time

from gan.common.errors import stop_signals_to


class Timers:
    """Seconds that a process has spent in named phases, since `began` (`time.monotonic()`)."""

    def __init__(self):
        self.seconds, self.began = {}, time.monotonic()

    @contextlib.contextmanager
    def __call__(self, name):
        """Add the seconds of a `with` block to a phase; one within another counts in both."""
        began = time.monotonic()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.monotonic() - began

    def deadline(self, minutes):
        """Return the `time.monotonic()` of so many minutes after the start; None for 0."""
        return self.began + 60 * minutes if minutes else None

    def total(self):
        """Return the seconds since the start."""
        return time.monotonic() - self.began


class StopRequest:
    """A signal or a passed deadline, remembered within a `with` block until the run can stop.

    `signal` is the number of the first signal, or None; a second Ctrl-C interrupts at once.
    """

    def __init__(self, deadline=None):
        self.signal, self._deadline = None, deadline
        self._handling = stop_signals_to(self._note)

    def __enter__(self):
        self._handling.__enter__()
        return self

    def __exit__(self, *error):
        self._handling.__exit__(*error)

    def _note(self, number, _frame):
        if self.signal is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.signal = number

    @property
    def requested(self):
        out_of_time = self._deadline is not None and time.monotonic() >= self._deadline
        return self.signal is not None or out_of_time
