"""Plots of a run, with matplotlib's file-only backend."""

import io

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from gan.files import atomic_file

DISCRIMINATOR, GENERATOR = "#1f6fb4", "#d1495b"


def plot_losses(path, rows, title):
    """Draw losses and scores over the epochs to a PNG file.

    Args:
        path: the file.
        rows: list of dict, the history, one an epoch.
        title: of the figure.
    """
    epochs = [row["epoch"] for row in rows]
    marker = "o" if len(rows) < 30 else None
    figure = Figure(figsize=(8, 6.4), layout="constrained")
    losses, scores = figure.subplots(2, 1, sharex=True)

    def draw(axes, column, label, color):
        axes.plot(epochs, [row[column] for row in rows], marker=marker, ms=4, label=label,
                  color=color)

    draw(losses, "discriminator_loss", "discriminator", DISCRIMINATOR)
    draw(losses, "generator_loss", "generator", GENERATOR)
    losses.set(ylabel="loss (nats, mean of the epoch)", title=title)
    draw(scores, "real_score", "real images", DISCRIMINATOR)
    draw(scores, "fake_score", "generated images", GENERATOR)
    scores.axhline(0.5, color="grey", lw=0.8, ls="--", zorder=0)
    scores.set(ylabel="discriminator's probability of “real”", xlabel="epoch", ylim=(0, 1))
    scores.xaxis.get_major_locator().set_params(integer=True)
    for axes in (losses, scores):
        axes.grid(alpha=0.25)
        axes.legend()
    write_figure(path, figure)


def write_figure(path, figure):
    """Write a matplotlib figure as PNG; the same figure gives the same bytes."""
    FigureCanvasAgg(figure)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110, metadata={"Software": None})
    with atomic_file(path) as file:
        file.write(buffer.getvalue())
