"""Log of a run within its epochs: steps.csv, a row every few steps."""

import numpy as np

from gan.common.files import write_csv
from gan.training import MEASURES

COLUMNS = ("step", "epoch", "seconds", *MEASURES, "generator_learning_rate",
           "discriminator_learning_rate")


class StepLog:
    """Rows of the means over `interval` steps each.

    Attributes:
        rows: list of dict with `COLUMNS` as keys.
    """

    def __init__(self, interval, steps_per_epoch, learning_rates, saved=None):
        """
        Args:
            interval: steps between two rows.
            steps_per_epoch: batches an epoch.
            learning_rates: function of a step, which returns the generator's and the
                discriminator's learning rate.
            saved: what `to_dict` returned, to continue from; None: a new run.
        """
        self._interval, self._steps_per_epoch = interval, steps_per_epoch
        self._learning_rates = learning_rates
        saved = saved or {"rows": [], "sums": [0.0] * len(MEASURES), "steps": 0}
        self.rows = [dict(zip(COLUMNS, row, strict=True)) for row in saved["rows"]]
        self._sums, self._steps = np.array(saved["sums"], np.float64), saved["steps"]
        if not all(type(value) in (int, float) for row in self.rows for value in row.values()):
            raise ValueError("the log holds something else than numbers")

    def add(self, step, measures, seconds):
        """Add the measures of some steps, float32 [steps, len(MEASURES)].

        Args:
            step: the last of these steps.
            measures: one row a step.
            seconds: of training until then.

        Returns:
            list of the rows that became complete.
        """
        known = len(self.rows)
        for number, measure in enumerate(measures, step - len(measures) + 1):
            self._sums += measure
            self._steps += 1
            if number % self._interval == 0:
                values = [number, round(number / self._steps_per_epoch, 4), round(seconds, 2),
                          *(self._sums / self._steps).tolist(), *self._learning_rates(number)]
                self.rows.append(dict(zip(COLUMNS, values, strict=True)))
                self._sums[:], self._steps = 0, 0
        return self.rows[known:]

    def to_dict(self):
        """Everything as a dict for JSON."""
        return {"rows": [list(row.values()) for row in self.rows], "sums": self._sums.tolist(),
                "steps": self._steps}

    def write_csv(self, path):
        """Write the rows as CSV, whole or not at all."""
        write_csv(path, COLUMNS, self.rows)
