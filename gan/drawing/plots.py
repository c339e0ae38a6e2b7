"""Plots of points, with matplotlib's file-only backend."""

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

DISCRIMINATOR, GENERATOR = "#1f6fb4", "#d1495b"
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
