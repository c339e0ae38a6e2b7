"""History of a run: a row per epoch and per log interval, as CSV and TensorBoard events."""

import time

import numpy as np
import tensorflow as tf
from google.protobuf.struct_pb2 import Struct

from gan.common.files import write_csv
from gan.config import FIELDS
from gan.drawing.images import png_bytes
from gan.run.options import FOR_ONCE
from gan.training import MEASURES

COLUMNS = ("epoch", "step", "seconds", "images_per_second", *MEASURES)
LOG_COLUMNS = ("step", "epoch", "seconds", *MEASURES, "generator_learning_rate",
               "discriminator_learning_rate")
TIMED = ("seconds", "images_per_second")  # what no two runs share
AUGMENTATION = "augmentation"  # column of its strength, there only if it is adapted
CHANGED = "changed"  # column of the options that a resumed run changed, there only if one did
NO_METRICS = (*COLUMNS, AUGMENTATION, CHANGED)


class History:
    """Means of a run's measures, as rows for epochs and for the log, and the sums of the next rows.

    Attributes:
        rows: list of dict with `COLUMNS` as keys (and metrics, where measured), one an epoch.
        log: list of dict with `LOG_COLUMNS` as keys, one for each `interval` of steps.
        seconds: training time so far, that before a resumption included.
        features: kind of features that the metrics were measured in, or None.
        changes: list of dict with "step", "option", "before" and "now", made on resuming.
    """

    def __init__(self, interval, steps_per_epoch, learning_rates, saved=None):
        """`learning_rates`: function of a step → (the generator's, the discriminator's)."""
        nothing = [0.0] * len(MEASURES)
        saved = saved or {"rows": [], "sums": nothing, "seconds": 0.0, "epoch_seconds": 0.0,
                          "changes": [], "features": None, "log": {"rows": [], "sums": nothing}}
        self._interval, self._steps_per_epoch = interval, steps_per_epoch
        self._learning_rates = learning_rates
        self.rows = list(saved["rows"])
        self.log = [dict(zip(LOG_COLUMNS, row, strict=True)) for row in saved["log"]["rows"]]
        self.seconds = saved["seconds"]
        self._sums, self._log_sums = (np.array(sums, np.float64).reshape(len(MEASURES))
                                      for sums in (saved["sums"], saved["log"]["sums"]))
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

    def add_steps(self, step, measures, seconds):
        """Add the measures of the steps up to this one; returns the rows that the log gains."""
        self.seconds += seconds
        self._epoch_seconds += seconds
        known = len(self.log)
        # One by one, so that the grouping leaves no trace.
        for number, measure in enumerate(measures, step - len(measures) + 1):
            self._sums += measure
            self._log_sums += measure
            if number % self._interval == 0:
                steps = number - (self.log[-1]["step"] if self.log else 0)
                values = [number, round(number / self._steps_per_epoch, 4),
                          round(self.seconds, 2), *(self._log_sums / steps).tolist(),
                          *self._learning_rates(number)]
                self.log.append(dict(zip(LOG_COLUMNS, values, strict=True)))
                self._log_sums[:] = 0
        return self.log[known:]

    def finish_epoch(self, epoch, step, batch_size):
        """Turn the running sums into a row and return it."""
        begun = self.rows[-1]["step"] if self.rows else 0
        rate = (step - begun) * batch_size / max(self._epoch_seconds, 1e-9)
        row = {"epoch": epoch, "step": step, "seconds": round(self.seconds, 2),
               "images_per_second": round(rate, 1)}
        row |= dict(zip(MEASURES, (self._sums / (step - begun)).tolist(), strict=True))
        changed = [f"{change['option']} {change['before']} to {change['now']}"
                   for change in self.changes if begun <= change["step"] < step]
        if changed:
            row[CHANGED] = "; ".join(changed)
        self.rows.append(row)
        self._sums[:] = 0
        self._epoch_seconds = 0.0
        return row

    def to_dict(self):
        """Return everything as a dict for JSON."""
        log = {"rows": [list(row.values()) for row in self.log], "sums": self._log_sums.tolist()}
        return {"rows": self.rows, "sums": self._sums.tolist(), "seconds": self.seconds,
                "epoch_seconds": self._epoch_seconds, "changes": self.changes,
                "features": self.features, "log": log}

    def write(self, folder):
        """Write the rows as CSV into a `RunFolder`."""
        columns = dict.fromkeys([*COLUMNS, *(name for row in self.rows for name in row)])
        write_csv(folder.claim(folder.history), [*columns], self.rows)
        write_csv(folder.claim(folder.steps), LOG_COLUMNS, self.log)


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
        session = Struct()
        session.update(options)
        # Field 3 of the plugin's content is a SessionStartInfo, which begins as a Struct does;
        # TensorFlow has the plugin's protocol buffers no more, but one with bytes as field 3.
        content = tf.compat.v1.Summary.Value(
            obsolete_old_style_histogram=session.SerializeToString(deterministic=True))
        self._add("hparams", 0, "_hparams_/session_start_info", np.zeros(0, np.float32), 0,
                  content.SerializeToString())

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
