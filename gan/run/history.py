"""The history of a run: one row an epoch, and the sums of the epoch under way."""

import csv
import io

import numpy as np

from gan.common.errors import UserError
from gan.common.files import write_text
from gan.training import MEASURES

COLUMNS = ("epoch", "step", "seconds", "images_per_second", *MEASURES)
TIMED = ("seconds", "images_per_second")  # what no two runs share
AUGMENTATION = "augmentation"  # column of its strength, there only if it is adapted
CHANGED = "changed"  # column of the options that a resumed run changed, there only if one did
NO_METRICS = (*COLUMNS, AUGMENTATION, CHANGED)


class History:
    """Rows of finished epochs, and running sums of the measures of the next.

    Attributes:
        rows: list of dict with `COLUMNS` as keys (and metrics, where measured).
        seconds: training time so far, that before a resumption included.
        features: kind of features that the metrics were measured in, or None.
        changes: list of dict with "step", "option", "before" and "now", the
            options that were changed on resuming.
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
        self.changes = list(saved.get("changes", []))
        self.features = saved.get("features")

    @property
    def step(self):
        """Steps so far, those of the epoch under way included."""
        return (self.rows[-1]["step"] if self.rows else 0) + self._steps

    def compare_in(self, features):
        """Note the features of the metrics; drop metrics that were measured in others.

        Args:
            features: kind of features, such as "classifier".
        """
        if self.features not in (None, features):  # their numbers cannot be compared
            self.rows = [{name: row[name] for name in row if name in NO_METRICS}
                         for row in self.rows]
        self.features = features

    def note_changes(self, step, changes):
        """Note options that are changed from a step on: dict of name → (before, now)."""
        self.changes += [{"step": step, "option": name, "before": before, "now": now}
                         for name, (before, now) in changes.items()]

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
        begun = self.rows[-1]["step"] if self.rows else 0
        changed = [f"{change['option']} {change['before']} to {change['now']}"
                   for change in self.changes if begun <= change["step"] < step]
        if changed:
            row[CHANGED] = "; ".join(changed)
        self.rows.append(row)
        self._sums[:] = 0
        self._steps, self._epoch_seconds = 0, 0.0
        return row

    def to_dict(self):
        """Everything as a dict for JSON."""
        return {"rows": self.rows, "sums": self._sums.tolist(), "steps": self._steps,
                "seconds": self.seconds, "epoch_seconds": self._epoch_seconds,
                "changes": self.changes, "features": self.features}

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


def metrics_in(row):
    """Return the metrics in a row of the history: dict of name → number."""
    return {name: value for name, value in row.items() if name not in NO_METRICS}


def _is_history(saved):
    """Whether `History.to_dict` could have returned this."""
    def numbers(values, count):
        return (isinstance(values, list) and len(values) == count
                and all(type(value) in (int, float) for value in values))

    def is_row(row):
        if not isinstance(row, dict) or not row.keys() >= set(COLUMNS):
            return False
        values = [value for name, value in row.items() if name != CHANGED]
        return numbers(values, len(values)) and isinstance(row.get(CHANGED, ""), str)

    def is_change(change):
        return (isinstance(change, dict) and type(change.get("step")) is int
                and {"option", "before", "now"} <= change.keys())

    return (
        isinstance(saved.get("rows"), list) and all(map(is_row, saved["rows"]))
        and numbers(saved.get("sums"), len(MEASURES))
        and numbers([saved.get(name) for name in ("steps", "seconds", "epoch_seconds")], 3)
        and isinstance(saved.get("changes", []), list)
        and all(map(is_change, saved.get("changes", [])))
        and isinstance(saved.get("features"), str | None)
    )
