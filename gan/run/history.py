"""The history of a run: one row an epoch, and the sums of the epoch under way."""

import csv
import io

import numpy as np

from gan.common.errors import UserError
from gan.common.files import write_text
from gan.training import MEASURES

COLUMNS = ("epoch", "step", "seconds", "images_per_second", *MEASURES)
TIMED = ("seconds", "images_per_second")  # what no two runs share


class History:
    """Rows of finished epochs, and running sums of the measures of the next.

    Attributes:
        rows: list of dict with `COLUMNS` as keys (and metrics, where measured).
        seconds: training time so far, that before a resumption included.
    """

    def __init__(self, saved=None):
        """
        Args:
            saved: what `to_dict` returned, to continue from; None: a new run.
        """
        if saved is not None and not _is_history(saved):
            raise UserError("--resume: expected a checkpoint with the history of a run, "
                            "got another")
        saved = saved or {"rows": [], "sums": [0.0] * len(MEASURES), "steps": 0,
                          "seconds": 0.0, "epoch_seconds": 0.0}
        self.rows = list(saved["rows"])
        self.seconds = saved["seconds"]
        self._sums = np.array(saved["sums"], np.float64)
        self._steps = saved["steps"]
        self._epoch_seconds = saved["epoch_seconds"]

    def add_steps(self, measures, seconds):
        """Add the measures of some steps, float32 [steps, len(MEASURES)]."""
        for measure in measures:  # one by one, so that the grouping leaves no trace
            self._sums += measure
        self._steps += len(measures)
        self.seconds += seconds
        self._epoch_seconds += seconds

    def finish_epoch(self, epoch, step, batch_size):
        """Turn the running sums into a row and return it."""
        rate = self._steps * batch_size / max(self._epoch_seconds, 1e-9)
        row = {"epoch": epoch, "step": step, "seconds": round(self.seconds, 2),
               "images_per_second": round(rate, 1)}
        row |= dict(zip(MEASURES, (self._sums / self._steps).tolist(), strict=True))
        self.rows.append(row)
        self._sums[:] = 0
        self._steps, self._epoch_seconds = 0, 0.0
        return row

    def to_dict(self):
        """Everything as a dict for JSON."""
        return {"rows": self.rows, "sums": self._sums.tolist(), "steps": self._steps,
                "seconds": self.seconds, "epoch_seconds": self._epoch_seconds}

    def write_csv(self, path):
        """Write the rows as CSV, whole or not at all."""
        columns = list(COLUMNS)
        for row in self.rows:
            columns += [name for name in row if name not in columns]
        text = io.StringIO()
        writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        write_text(path, text.getvalue())


def _is_history(saved):
    """Whether `History.to_dict` could have returned this."""
    def numbers(values, count):
        return (isinstance(values, list) and len(values) == count
                and all(type(value) in (int, float) for value in values))

    return (
        isinstance(saved.get("rows"), list) and numbers(saved.get("sums"), len(MEASURES))
        and numbers([saved.get(name) for name in ("steps", "seconds", "epoch_seconds")], 3)
        and all(isinstance(row, dict) and row.keys() >= set(COLUMNS)
                and numbers(list(row.values()), len(row)) for row in saved["rows"])
    )
