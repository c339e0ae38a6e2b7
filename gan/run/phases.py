"""How long each phase of a run took."""

import contextlib
import time


class Phases:
    """Adds up the seconds that a process spends in named phases.

    Attributes:
        seconds: dict of phase → seconds so far; phases within another are
            counted in both.
        began: `time.monotonic()` at the start of the process's work.
    """

    def __init__(self):
        """Start the clock."""
        self.seconds, self.began = {}, time.monotonic()

    @contextlib.contextmanager
    def __call__(self, name):
        """Count the time within a `with` block as a phase's."""
        began = time.monotonic()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.monotonic() - began

    def deadline(self, minutes):
        """Return the `time.monotonic()` so many minutes after the start; None without a limit."""
        return self.began + 60 * minutes if minutes else None

    def total(self):
        """Return the seconds since the start."""
        return time.monotonic() - self.began
