"""Plots of points and of curves, with matplotlib's file-only backend."""

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from gan.common.files import atomic_file
from gan.drawing.images import SOFTWARE

COLORS = DISCRIMINATOR, GENERATOR = "#1f6fb4", "#d1495b"
HISTOGRAM_BINS = 80


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


def draw_panels(path, title, epochs, panels):
    """Write panels of curves over epochs, see `gan.run.curves.panel`, below each other as PNG."""
    figure = Figure(figsize=(8, 3.2 * len(panels)), layout="constrained")
    column = figure.subplots(len(panels), sharex=True, squeeze=False)[:, 0]
    column[0].set_title(title, parse_math=False)  # a name may hold a $
    for axes, panel in zip(column, panels, strict=True):
        for line in panel["lines"]:
            points = [point for point in zip(epochs, line["y"], strict=True)
                      if point[1] is not None]
            axes.plot(*zip(*points, strict=True), label=line["label"], color=COLORS[line["color"]],
                      marker="o" if len(points) < 30 else None, ms=4)
        for guide in panel["guides"]:
            axes.axhline(guide["y"], label=f"{guide['label']}: {guide['y']:.3g}",
                         color=COLORS[guide["color"]] if "color" in guide else "gray",
                         lw=0.9, ls="--", zorder=0)
        axes.set(ylabel=panel["title"], ylim=(panel["low"], panel["high"]))
        axes.grid(alpha=0.25)
        axes.legend()
    column[-1].set(xlabel="epoch")
    column[-1].xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    with atomic_file(path) as file:
        figure.savefig(file, format="png", dpi=110, metadata={"Software": SOFTWARE})
