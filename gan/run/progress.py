"""What a run prints: a progress bar, lines about its epochs, and the log that keeps them."""

import contextlib
import io
import os
import sys
import time

from tqdm import tqdm

from gan.common.command_line import say_parts
from gan.evaluate.registry import epoch_text

CALL_SECONDS = 0.5  # of a call of the train step, between two updates of the bar
MOST_STEPS = 500
LEAST_SECONDS = 5.0  # between two lines about epochs, which may be much shorter
MOST_SECONDS = 10.0  # without a line where there is no bar
BAR = "{desc} {percentage:3.0f}% |{bar}| {remaining} left, {rate_fmt}{postfix}"


class Progress:
    """A tqdm bar over the samples of a run, and lines about its epochs, 5 to 10 seconds apart."""

    def __init__(self, epochs, steps_per_epoch, batch_size, first_step, stream=None,
                 unit="img", log_odds=True):
        notebook = _in_notebook()
        stream = stream or (sys.stdout if notebook else sys.stderr)
        self._steps, self._of_steps = first_step, epochs * steps_per_epoch
        self._last_line = time.monotonic()
        self.epochs, self.batch_size = epochs, batch_size
        self._unit, self._log_odds, self._printed = unit, log_odds, None
        self._bar = tqdm(
            total=epochs * steps_per_epoch * batch_size, initial=first_step * batch_size,
            unit=self._unit, unit_scale=True, dynamic_ncols=True, file=stream, bar_format=BAR,
            disable=not (notebook or stream.isatty()), leave=False,
        )

    def update(self, epoch, measures):
        """Show the steps just taken: measures, float32 [steps, …], losses first."""
        losses = measures.mean(axis=0)
        self._bar.set_description_str(f"epoch {epoch}/{self.epochs}", refresh=False)
        self._bar.set_postfix_str(f"loss D {losses[0]:.2f} G {losses[1]:.2f}", refresh=False)
        self._bar.update(len(measures) * self.batch_size)
        self._steps += len(measures)
        if self._bar.disable and time.monotonic() - self._last_line >= MOST_SECONDS:
            self._last_line = time.monotonic()
            say_parts([f"epoch {epoch}/{self.epochs}", f"step {self._steps:,} of "
                       f"{self._of_steps:,}", f"loss D {losses[0]:.3f} G {losses[1]:.3f}"])

    def epoch_line(self, row):
        """Print a line about a finished epoch above the bar, unless the last one is too recent."""
        now, last = time.monotonic(), row["epoch"] == self.epochs
        if not last and self._printed is not None and now - self._printed < LEAST_SECONDS:
            return
        self._printed = self._last_line = now
        score = ".0%" if self._log_odds else ".3g"
        parts = [
            f"epoch {row['epoch']:{len(str(self.epochs))}d}/{self.epochs} {row['seconds']:7.1f} s",
            f"{row['images_per_second']:,.0f} {self._unit}/s",
            f"loss D {row['discriminator_loss']:.3f} G {row['generator_loss']:.3f}",
            f"D(x) {row['real_score']:{score}} D(G(z)) {row['fake_score']:{score}}",
        ]
        if not self._log_odds:
            parts.append(f"accuracy {row['discriminator_accuracy']:.0%}")
        if "augmentation" in row:
            parts.append(f"augmentation {row['augmentation']:.2f}")
        if metrics := epoch_text(row):
            parts.append(metrics)
        self._bar.clear()
        say_parts(parts)
        self._bar.refresh()

    def close(self):
        """Remove the bar."""
        self._bar.close()


def _in_notebook():
    """Whether this is the kernel of a notebook, whose cells show a bar as a terminal does."""
    return "IPython" in sys.modules and hasattr(sys.modules["IPython"].get_ipython(), "kernel")


def in_calls(batches):
    """Cut the batches of an epoch, [steps, batch], into calls of about half a second."""
    # This leaves no trace in the results, only in how soon a request to stop is seen.
    start, size = 0, 1
    while start < len(batches):
        began = time.perf_counter()
        yield batches[start : start + size]
        start += size
        seconds = max(time.perf_counter() - began, 1e-6)
        size = max(1, min(MOST_STEPS, 2 * size, int(size * CALL_SECONDS / seconds)))


class Transcript(io.TextIOBase):
    """A stream that passes text on, and keeps all but bars; see `contextlib.redirect_stdout`."""

    def __init__(self, stream):
        self._stream, self._kept, self._file = stream, [], None

    def open(self, path):
        """Append what was and will be written to a file, as far as the disk allows."""
        with contextlib.suppress(OSError):
            self._file = open(path, "a", buffering=1, encoding="utf-8",  # noqa: SIM115
                              errors="backslashreplace")
            self._file.writelines(self._kept)

    def close(self):
        if self._file:
            with contextlib.suppress(OSError), self._file:
                self._file.flush()
                os.fsync(self._file.fileno())

    def write(self, text):
        if "\r" in text:  # a bar, which is drawn again and again
            return self._stream.write(text)
        if self._file is None:
            self._kept.append(text)
        else:
            with contextlib.suppress(OSError):  # the disk is full
                self._file.write(text)
        return self._stream.write(text)

    def flush(self):
        self._stream.flush()

    def isatty(self):
        return self._stream.isatty()
