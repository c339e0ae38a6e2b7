"""What a run shows while it trains: a bar on a terminal, a line an epoch anywhere."""

import sys
import time

from tqdm import tqdm

from gan.evaluate.table import epoch_text

FIRST_CALL_STEPS = 1
CALL_SECONDS = 0.5  # of a call of the train step, between two updates of the bar
MOST_STEPS = 500


class Progress:
    """A tqdm bar over the samples of a run; in a log file, a line an epoch only."""

    def __init__(self, epochs, steps_per_epoch, batch_size, first_step, stream=None,
                 unit="img"):
        """
        Args:
            epochs: of the whole run.
            steps_per_epoch: batches an epoch.
            batch_size: samples a step.
            first_step: steps taken before, by a run that is resumed.
            stream: where to; default: standard error.
            unit: of what is learned, such as "img".
        """
        stream = stream or sys.stderr
        self.epochs, self.batch_size = epochs, batch_size
        self._unit = unit
        self._bar = tqdm(
            total=epochs * steps_per_epoch * batch_size, initial=first_step * batch_size,
            unit=self._unit, unit_scale=True, dynamic_ncols=True, file=stream,
            disable=not stream.isatty(), leave=False,
        )

    def update(self, epoch, measures):
        """Show the steps just taken: measures, float32 [steps, …], losses first."""
        losses = measures.mean(axis=0)
        self._bar.set_description(f"epoch {epoch}/{self.epochs}", refresh=False)
        self._bar.set_postfix_str(f"loss D {losses[0]:.3f} G {losses[1]:.3f}", refresh=False)
        self._bar.update(len(measures) * self.batch_size)

    def epoch_line(self, row):
        """Print one line about a finished epoch, above the bar."""
        text = (
            f"epoch {row['epoch']:{len(str(self.epochs))}d}/{self.epochs}"
            f"  {row['seconds']:7.1f} s  {row['images_per_second']:7,.0f} {self._unit}/s"
            f"  loss D {row['discriminator_loss']:.3f} G {row['generator_loss']:.3f}"
            f"  D says real: {row['real_score']:.0%} of real, {row['fake_score']:.0%} of generated"
        )
        if "augmentation" in row:
            text += f"  augmentation {row['augmentation']:.2f}"
        if metrics := epoch_text(row):
            text += f"  {metrics}"
        self.write(text)

    def write(self, text):
        """Print a line above the bar, at once."""
        self._bar.clear()
        print(text, flush=True)
        self._bar.refresh()

    def close(self):
        """Remove the bar."""
        self._bar.close()


def in_calls(batches):
    """Cut the batches of an epoch into calls of about half a second.

    The grouping leaves no trace in the results, only in how often the bar moves
    and how soon an interrupt is heeded.

    Args:
        batches: array [steps, batch].

    Yields:
        Slices of it, in order.
    """
    start, size = 0, FIRST_CALL_STEPS
    while start < len(batches):
        began = time.perf_counter()
        yield batches[start : start + size]
        start += size
        seconds = max(time.perf_counter() - began, 1e-6)
        size = max(1, min(MOST_STEPS, 2 * size, int(size * CALL_SECONDS / seconds)))
