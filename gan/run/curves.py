"""The curves of a run: what its losses and its distance from the data did over the epochs."""

from pathlib import Path

from gan.common.errors import printable
from gan.drawing import plots
from gan.measure.equilibrium import CROSS_ENTROPY, ideal_losses
from gan.measure.table import distance_metric


def draw_curves(path, rows, config):
    """Draw the history of a run; the same rows give the same bytes.

    Args:
        path: the PNG file to write.
        rows: list of dict, see `History.rows`.
        config: the run's `TrainConfig`.
    """
    metric = distance_metric(rows)
    data = printable(Path(config.dataset).name)
    plots.plot_losses(
        path, rows, f"{data}, {config.arch}, {config.loss}, seed {config.seed}",
        samples="points" if config.simulated else "images",
        unit="nats" if config.loss in (*CROSS_ENTROPY, "relativistic") else "",
        ideal=ideal_losses(config.loss, config.label_smoothing),
        distance=metric and (metric.name, metric.label, metric.better == "lower"),
    )
