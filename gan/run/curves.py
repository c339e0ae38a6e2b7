"""Curves of a run as loss_curves.png."""

import time
from pathlib import Path

from gan.common.errors import printable
from gan.drawing import plots
from gan.evaluate.registry import distance_metric
from gan.losses import LOSSES, equilibrium, is_log_odds

LEAST_SECONDS = 10.0  # between two drawings; one takes as long as a short epoch


class LiveCurves:
    """Redraws loss_curves.png while a run goes on."""

    def __init__(self, folder, history, config, timers):
        """
        Args:
            folder: `RunFolder`.
            history: `History`.
            config: `TrainConfig`.
            timers: `Timers`.
        """
        self._folder, self._history, self._config, self._timers = folder, history, config, timers
        self._drawn = None

    def draw(self, at_once=False):
        """Draw the history as it is now, at most once in ten seconds; not before the first epoch.

        Args:
            at_once: draw it even within the ten seconds.
        """
        now = time.monotonic()
        if not self._history.rows:
            return
        if not at_once and self._drawn is not None and now - self._drawn < LEAST_SECONDS:
            return
        with self._timers("pictures"):
            path = self._folder.claim(self._folder.loss_curves)
            draw_curves(path, self._history.rows, self._config)
        self._drawn = now


def draw_curves(path, rows, config):
    """Draw the history of a run; the same rows give the same bytes.

    Args:
        path: the PNG file to write.
        rows: list of dict, see `History.rows`.
        config: the run's `TrainConfig`.
    """
    loss, metric = LOSSES[config.loss], distance_metric(rows)
    data = printable(Path(config.dataset).name)
    plots.plot_losses(
        path, rows, f"{data}, {config.arch}, {config.loss}, seed {config.seed}",
        log_odds=is_log_odds(loss), samples="points" if config.simulated else "images",
        ideal=equilibrium(loss, config.label_smoothing),
        distance=metric and (metric.name, metric.label, metric.better == "lower"),
    )
