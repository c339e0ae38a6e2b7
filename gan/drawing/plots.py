"""Plots of a run, with matplotlib's file-only backend."""

import io

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from gan.common.files import atomic_file
from gan.drawing.images import SOFTWARE

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


def draw_plane(extent, real=None, generated=None, logits=None):
    """Draw points of the plane, over the discriminator's decision surface if given.

    Args:
        extent: half the side of the square around 0 that is shown.
        real, generated: float [N, 2] and [M, 2], or None.
        logits: float [S, S] over the square, rows from the bottom up; shown as
            logits divided by their spread, as losses differ in their unit.

    Returns:
        uint8 [H, W, 3], of the same size for every call.
    """
    figure = Figure(figsize=(6.6, 6.6), layout="constrained")
    axes = figure.subplots()
    if logits is not None:
        # tanh keeps the colour near the border between "real" and "generated"
        # readable where a sure discriminator goes to hundreds.
        shade = np.tanh(logits / max(np.percentile(np.abs(logits), 75), 1))
        axes.imshow(shade, origin="lower", extent=[-extent, extent] * 2, cmap="PuOr", vmin=-2,
                    vmax=2, interpolation="bilinear")
        sides = np.linspace(-extent, extent, len(logits))
        if shade.min() < 0 < shade.max():
            axes.contour(sides, sides, logits, levels=[0], colors="#555555", linewidths=0.7)
    for points, color, label in ((real, DISCRIMINATOR, "real"),
                                 (generated, GENERATOR, "generated")):
        if points is not None:
            axes.plot(*points.T, ".", ms=3, mew=0, alpha=0.7, color=color, label=label)
    axes.set(xlim=(-extent, extent), ylim=(-extent, extent), aspect="equal")
    axes.legend(loc="upper right", markerscale=4, framealpha=0.9)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.ascontiguousarray(np.asarray(canvas.buffer_rgba())[..., :3])


def write_figure(path, figure):
    """Write a matplotlib figure as PNG; the same figure gives the same bytes."""
    FigureCanvasAgg(figure)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110, metadata={"Software": SOFTWARE})
    with atomic_file(path) as file:
        file.write(buffer.getvalue())
