"""History of a run: a row per epoch and per log interval, as CSV, curves and TensorBoard events."""

import time
from pathlib import Path

import numpy as np
import tensorflow as tf
from google.protobuf.struct_pb2 import Struct

from gan.common.errors import printable
from gan.common.files import write_csv
from gan.config import FIELDS, FOR_ONCE
from gan.drawing import plots
from gan.drawing.images import png_bytes
from gan.evaluate.registry import distance_metric
from gan.losses import LOSSES, equilibrium, is_log_odds
from gan.training import MEASURES

COLUMNS = ("epoch", "step", "seconds", "images_per_second", *MEASURES)
LOG_COLUMNS = ("step", "epoch", "seconds", *MEASURES, "generator_learning_rate",
               "discriminator_learning_rate")
TIMED = ("seconds", "images_per_second")  # what no two runs share
AUGMENTATION = "augmentation"  # column of its strength, there only if it is adapted
CHANGED = "changed"  # column of the options that a resumed run changed, there only if one did
BETWEEN_CURVES = 10.0  # seconds; drawing them takes as long as a short epoch
NO_METRICS = (*COLUMNS, AUGMENTATION, CHANGED)


class History:
    """Rows of finished epochs, and running sums of the measures of the next.

    Attributes:
        rows: list of dict with `COLUMNS` as keys (and metrics, where measured).
        seconds: training time so far, that before a resumption included.
        features: kind of features that the metrics were measured in, or None.
        changes: list of dict with "step", "option", "before" and "now", made on resuming.
    """

    def __init__(self, saved=None):
        saved = saved or {"rows": [], "sums": [0.0] * len(MEASURES), "steps": 0, "seconds": 0.0,
                          "epoch_seconds": 0.0, "changes": [], "features": None}
        _check(saved["steps"], saved["seconds"], saved["epoch_seconds"],
               *(change["step"] for change in saved["changes"]),
               *(row[name] for row in saved["rows"] for name in {*COLUMNS, *row} - {CHANGED}))
        self.rows = list(saved["rows"])
        self.seconds = saved["seconds"]
        self._sums = _sums(saved["sums"])
        self._steps = saved["steps"]
        self._epoch_seconds = saved["epoch_seconds"]
        self.changes = list(saved["changes"])
        self.features = saved["features"]

    def compare_in(self, features):
        """Note the kind of features of the metrics; drop metrics that were measured in others."""
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
        """Return everything as a dict for JSON."""
        return {"rows": self.rows, "sums": self._sums.tolist(), "steps": self._steps,
                "seconds": self.seconds, "epoch_seconds": self._epoch_seconds,
                "changes": self.changes, "features": self.features}

    def write_csv(self, path):
        """Write the rows as CSV, whole or not at all."""
        columns = dict.fromkeys([*COLUMNS, *(name for row in self.rows for name in row)])
        write_csv(path, [*columns], self.rows)


class StepLog:
    """Rows of steps.csv, dict with `LOG_COLUMNS` as keys: the means over `interval` steps each."""

    def __init__(self, interval, steps_per_epoch, learning_rates, saved=None):
        """`learning_rates`: function of a step → (the generator's, the discriminator's)."""
        self._interval, self._steps_per_epoch = interval, steps_per_epoch
        self._learning_rates = learning_rates
        saved = saved or {"rows": [], "sums": [0.0] * len(MEASURES), "steps": 0}
        _check(saved["steps"], *(value for row in saved["rows"] for value in row))
        self.rows = [dict(zip(LOG_COLUMNS, row, strict=True)) for row in saved["rows"]]
        self._sums, self._steps = _sums(saved["sums"]), saved["steps"]

    def add(self, step, measures, seconds):
        """Add the measures of the steps up to this one; returns the rows that became complete."""
        known = len(self.rows)
        for number, measure in enumerate(measures, step - len(measures) + 1):
            self._sums += measure
            self._steps += 1
            if number % self._interval == 0:
                values = [number, round(number / self._steps_per_epoch, 4), round(seconds, 2),
                          *(self._sums / self._steps).tolist(), *self._learning_rates(number)]
                self.rows.append(dict(zip(LOG_COLUMNS, values, strict=True)))
                self._sums[:], self._steps = 0, 0
        return self.rows[known:]

    def to_dict(self):
        """Return everything as a dict for JSON."""
        return {"rows": [list(row.values()) for row in self.rows], "sums": self._sums.tolist(),
                "steps": self._steps}

    def write_csv(self, path):
        """Write the rows as CSV, whole or not at all."""
        write_csv(path, LOG_COLUMNS, self.rows)


def _check(*numbers):
    """Refuse what no history holds, which would end in a wrong curve or a later error."""
    if not all(type(number) in (int, float) for number in numbers):
        raise ValueError("the history holds something else than numbers")


def _sums(values):
    _check(*values)
    return np.array(values, np.float64).reshape(len(MEASURES))


def metrics_in(row):
    """Return the metrics in a row of the history: dict of name → number."""
    return {name: value for name, value in row.items() if name not in NO_METRICS}


class TensorBoard:
    """Writer of TensorBoard events into a `RunFolder`, without TensorBoard, if the config asks."""

    def __init__(self, folder, config):
        self._writer = None
        if config.tensorboard:
            name = f"events.out.tfevents.{time.time_ns()}.gan"
            path = folder.claim(folder.tensorboard / name)
            folder.tensorboard.mkdir(exist_ok=True)
            self._writer = tf.io.TFRecordWriter(str(path))
            self._write(tf.compat.v1.Event(wall_time=time.time(), file_version="brain.Event:2"))
            self._hparams({name: value for name, value in vars(config).items()
                           if value is not None and name not in (*FOR_ONCE, "resume")
                           and FIELDS[name].metadata["group"] != "output"})

    def scalars(self, values, step):
        """Write numbers: dict of name → number."""
        for name, value in values.items():
            self._add("scalars", 1, name, np.float32(value), step)

    def image(self, name, image, step):
        """Write a picture, uint8 [H, W, C]."""
        height, width = (str(side).encode() for side in image.shape[:2])
        self._add("images", 3, name, [width, height, png_bytes(image)], step)

    def _hparams(self, options):
        # The plugin's SessionStartInfo, field 3 of its content, begins as a Struct does.
        session = Struct()
        session.update(options)
        session = session.SerializeToString(deterministic=True)
        size, length = len(session), b""
        while size:  # 7 bits a byte, the lowest first, with a mark on all but the last
            length += bytes([size % 128 + 128 * (size >= 128)])
            size //= 128
        self._add("hparams", 0, "_hparams_/session_start_info", np.zeros(0, np.float32), 0,
                  bytes([3 << 3 | 2]) + length + session)

    def _add(self, plugin, data_class, name, value, step, content=b""):
        if self._writer is None:
            return
        summary = tf.compat.v1.Summary()
        added = summary.value.add(tag=name, tensor=tf.make_tensor_proto(value))
        added.metadata.plugin_data.plugin_name = plugin
        added.metadata.plugin_data.content = content
        added.metadata.data_class = data_class
        self._write(tf.compat.v1.Event(wall_time=time.time(), step=step, summary=summary))

    def _write(self, event):
        self._writer.write(event.SerializeToString())
        self._writer.flush()


class LiveCurves:
    """Redraws loss_curves.png while a run goes on, at most once in ten seconds."""

    def __init__(self, folder, history, log, config, timers):
        self._folder, self._history, self._log = folder, history, log
        self._config, self._timers = config, timers
        self._drawn = -BETWEEN_CURVES

    def draw(self, at_once=False):
        """Draw the history as it is now, if it has a row and is due, or if `at_once`."""
        due = at_once or time.monotonic() - self._drawn >= BETWEEN_CURVES
        if not self._history.rows or not due:
            return
        with self._timers("pictures"):
            path = self._folder.claim(self._folder.loss_curves)
            draw_curves(path, self._history.rows, self._log.rows, self._config)
        self._drawn = time.monotonic()


def draw_curves(path, rows, log, config):
    """Draw the rows of a history and of a `StepLog`; the same rows give the same bytes."""
    loss, metric = LOSSES[config.loss], distance_metric(rows)
    data = printable(Path(config.dataset).name)
    plots.plot_losses(
        path, rows, log or rows, f"{data}, {config.arch}, {config.loss}, seed {config.seed}",
        log_odds=is_log_odds(loss), samples=config.samples,
        ideal=equilibrium(loss, config.label_smoothing),
        distance=metric and (metric.name, metric.label, metric.better == "lower"),
    )
