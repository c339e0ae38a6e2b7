"""Being asked to stop: Ctrl-C, `kill`, a closed terminal, a time limit."""

import signal
import threading
import time


class StopRequest:
    """Remembers a signal until it suits the run to stop.

    The first signal is noted; a second Ctrl-C interrupts at once. Use as a
    context manager: on leaving, the former handlers are back.

    Attributes:
        signal: number of the signal that arrived, or None.
    """

    SIGNALS = tuple(
        getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
    )

    def __init__(self, deadline=None):
        """
        Args:
            deadline: `time.monotonic()` value at which to stop; None: never.
        """
        self.deadline = deadline
        self.signal = None
        self._former = {}

    def __enter__(self):
        if threading.current_thread() is not threading.main_thread():
            return self  # Python lets no other thread handle signals
        for number in self.SIGNALS:
            # A program started with nohup keeps ignoring SIGHUP.
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._former[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_):
        for number, handler in self._former.items():
            signal.signal(number, handler)

    def _note(self, number, _frame):
        if self.signal is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.signal = number

    @property
    def out_of_time(self):
        """Whether the deadline has passed."""
        return self.deadline is not None and time.monotonic() >= self.deadline

    @property
    def requested(self):
        """Whether to stop, for either reason."""
        return self.signal is not None or self.out_of_time
