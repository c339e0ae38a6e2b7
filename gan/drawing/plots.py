"""Plots of a run, with matplotlib's file-only backend."""

import io

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from gan.common.files import atomic_file
from gan.drawing.images import SOFTWARE

DISCRIMINATOR, GENERATOR = "#1f6fb4", "#d1495b"
HISTOGRAM_BINS = 80


def plot_losses(path, rows, log, title, *, log_odds, samples, ideal, distance):
    """Draw losses and scores of the log, and of the rows, where they have more than one, a metric.

    Scores are probabilities of "real" where the discriminator's output is `log_odds`, else mean
    outputs beside its accuracy. `ideal` is dict of column → loss at equilibrium, `distance` the
    metric's (column, label, whether lower is better) or None.
    """
    measured = [row for row in rows if distance and distance[0] in row]
    count = 3 - log_odds + (len(measured) > 1)
    figure = Figure(figsize=(8, 3.2 * count), layout="constrained")
    panels = figure.subplots(count, 1, sharex=True)
    losses, scores, *more = panels

    def draw(axes, column, label, color, shown=log):
        axes.plot([row["epoch"] for row in shown], [row[column] for row in shown], label=label,
                  marker="o" if len(shown) < 30 else None, ms=4, color=color)

    networks = {"discriminator_loss": ("discriminator", DISCRIMINATOR),
                "generator_loss": ("generator", GENERATOR)}
    for column, (label, color) in networks.items():
        draw(losses, column, label, color)
        if column in ideal:
            losses.axhline(ideal[column], color=color, lw=0.9, ls="--", zorder=0,
                           label=f"{label}, ideal: {ideal[column]:.3f}")
    losses.set(ylabel="loss")
    losses.set_title(title, parse_math=False)  # a name may hold a $
    draw(scores, "real_score", f"real {samples}", DISCRIMINATOR)
    draw(scores, "fake_score", f"generated {samples}", GENERATOR)
    if log_odds:
        _set_probability(scores, "discriminator's probability of “real”")
    else:
        scores.set(ylabel="discriminator's mean output")
        draw(more[0], "discriminator_accuracy", "real ranked above generated", DISCRIMINATOR)
        _set_probability(more[0], "discriminator accuracy")
    if len(measured) > 1:
        column, label, lower = distance
        draw(panels[-1], column, f"generated {samples}", GENERATOR, measured)
        panels[-1].set(ylabel=f"{label} ({'lower' if lower else 'higher'} is better)")
        panels[-1].set_ylim(*((0, None) if lower else (0, 1.02)))
    _set_epochs(panels, [row["epoch"] for row in (*log[:1], *rows[-1:])])
    write_figure(path, figure)


def _set_probability(axes, label):
    axes.axhline(0.5, color="gray", lw=0.8, ls="--", zorder=0)
    axes.set(ylabel=label, ylim=(0, 1))


def _set_epochs(panels, epochs):
    """Whole epochs on the axis that all panels share, and room around a single one."""
    panels[-1].set(xlabel="epoch")
    if epochs:
        margin = 0.03 * (epochs[-1] - epochs[0]) or 0.5
        panels[-1].set_xlim(epochs[0] - margin, epochs[-1] + margin)
    panels[-1].xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    for axes in panels:
        axes.grid(alpha=0.25)
        axes.legend()


def sides_of(box, places=2):
    """Return places from side to side of a `Box` of D axes, float64 [D, places]."""
    center, extent = (np.array(side, np.float64)[:, None] for side in box)
    return center + extent * np.linspace(-1, 1, places)


def point_plot(box, real=None, generated=None, shade=None, caption=""):
    """Draw float [N, 2] as a scatter plot, [N, 1] as a histogram, of a `Box`: uint8 [H, W, 3].

    `shade`, float in [-1, 1], [S, S] with rows from the bottom up, or [S], is the discriminator's
    decision surface, from "generated" (orange) to "real" (violet), with a line at 0.
    """
    figure = Figure(figsize=(6.6, 6.6), layout="constrained")
    axes = figure.subplots()
    across, *up = sides_of(box)
    for points, color, label in ((real, DISCRIMINATOR, "real"),
                                 (generated, GENERATOR, "generated")):
        if points is None:
            continue
        if up:
            axes.plot(*points.T, ".", ms=3, mew=0, alpha=0.7, color=color, label=label)
        else:
            axes.hist(points[:, 0], sides_of(box, HISTOGRAM_BINS + 1)[0], density=True, alpha=0.6,
                      color=color, label=label)
    axes.set(xlim=across, ylim=up[0] if up else (0, None))
    if shade is not None:
        shade = np.atleast_2d(shade)
        limits = [*across, *axes.get_ylim()]
        axes.imshow(shade, origin="lower", extent=limits, cmap="PuOr", vmin=-2, vmax=2,
                    interpolation="bilinear", aspect="auto", zorder=0)
        if up and shade.min() < 0 < shade.max():
            places = (np.linspace(*side, len(shade)) for side in (across, *up))
            axes.contour(*places, shade, levels=[0], colors="#555555", linewidths=0.7)
    axes.set_box_aspect(1)
    axes.set_xlabel(caption or " ", fontsize=9)
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
