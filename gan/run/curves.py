"""Curves of a run: losses, scores and the distance from the data, as loss_curves.png."""

from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from gan.common.errors import printable
from gan.common.files import atomic_file
from gan.drawing.images import SOFTWARE
from gan.drawing.plots import DISCRIMINATOR, GENERATOR
from gan.evaluate.registry import distance_metric
from gan.losses import LOSSES, equilibrium, is_log_odds

NETWORKS = {"discriminator_loss": ("discriminator", DISCRIMINATOR),
            "generator_loss": ("generator", GENERATOR)}


def draw_curves(path, rows, log, config):
    """Draw the rows and the log of a `History`; the same rows give the same bytes.

    Scores are probabilities of "real" where the discriminator's output is log-odds, else mean
    outputs beside its accuracy. A metric is drawn where it was measured more than once.
    """
    log, metric = log or rows, distance_metric(rows)
    log_odds = is_log_odds(LOSSES[config.loss])
    ideal = equilibrium(LOSSES[config.loss], config.label_smoothing)
    measured = [row for row in rows if metric and metric.name in row]
    count = 3 - log_odds + (len(measured) > 1)
    figure = Figure(figsize=(8, 3.2 * count), layout="constrained")
    panels = figure.subplots(count, 1, sharex=True)
    losses, scores, *more = panels

    def draw(axes, column, label, color, shown=log):
        axes.plot([row["epoch"] for row in shown], [row[column] for row in shown], label=label,
                  marker="o" if len(shown) < 30 else None, ms=4, color=color)

    for column, (label, color) in NETWORKS.items():
        draw(losses, column, label, color)
        if column in ideal:
            losses.axhline(ideal[column], color=color, lw=0.9, ls="--", zorder=0,
                           label=f"{label}, ideal: {ideal[column]:.3f}")
    losses.set(ylabel="loss")
    losses.set_title(f"{printable(Path(config.dataset).name)}, {config.arch}, {config.loss}, "
                     f"seed {config.seed}", parse_math=False)  # a name may hold a $
    draw(scores, "real_score", f"real {config.samples}", DISCRIMINATOR)
    draw(scores, "fake_score", f"generated {config.samples}", GENERATOR)
    if log_odds:
        _set_probability(scores, "discriminator's probability of “real”")
    else:
        scores.set(ylabel="discriminator's mean output")
        draw(more[0], "discriminator_accuracy", "real ranked above generated", DISCRIMINATOR)
        _set_probability(more[0], "discriminator accuracy")
    if len(measured) > 1:
        lower = metric.better == "lower"
        draw(panels[-1], metric.name, f"generated {config.samples}", GENERATOR, measured)
        panels[-1].set(ylabel=f"{metric.label} ({'lower' if lower else 'higher'} is better)")
        panels[-1].set_ylim(*((0, None) if lower else (0, 1.02)))
    _set_epochs(panels, [row["epoch"] for row in (*log[:1], *rows[-1:])])
    with atomic_file(path) as file:
        figure.savefig(file, format="png", dpi=110, metadata={"Software": SOFTWARE})


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
