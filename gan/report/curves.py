"""The curves of one or several runs, as the page's script draws them."""

from gan.evaluate.equilibrium import CROSS_ENTROPY, ideal_losses
from gan.evaluate.table import METRICS, distance_metric

MOST_POINTS = 400  # of a curve, before extremes are added
NETWORKS = {"discriminator_loss": "discriminator", "generator_loss": "generator"}
SCORES = {"real_score": "real", "fake_score": "generated"}


def thin(rows, most=MOST_POINTS):
    """Return some of the rows, evenly spaced, and those with a column's extremes.

    Args:
        rows: list of dict of name → number, the history.
        most: how many, before extremes are added.
    """
    if len(rows) <= most:
        return rows
    kept = {round(place * (len(rows) - 1) / (most - 1)) for place in range(most)}
    for name in [*NETWORKS, *SCORES, *METRICS]:
        values = [(row[name], index) for index, row in enumerate(rows) if name in row]
        if values:
            kept |= {min(values)[1], max(values)[1]}
    return [rows[index] for index in sorted(kept)]


def axes_of(rows):
    """Return the places of the rows on each axis: dict of axis → list of numbers."""
    return {"epoch": [row["epoch"] for row in rows], "step": [row["step"] for row in rows],
            "minutes": [row["seconds"] / 60 for row in rows]}


def panels_of(run, rows):
    """Return the panels of one run.

    Args:
        run: `RunContent`.
        rows: what `thin` kept of its history.

    Returns:
        list of dict: "title", "note", "low" and "high" (bounds of the axis or None),
        "lines" (each a "label", "color", the number of its "run" and its values "y"),
        and "guides" (each a "label" and its "y").
    """
    config = run.config
    samples = "points" if "good" in (rows[-1] if rows else {}) else "images"
    unit = "nats" if config["loss"] in (*CROSS_ENTROPY, "relativistic") else config["loss"]
    ideal = ideal_losses(config["loss"], config["label_smoothing"])
    panels = [
        _panel(f"Losses ({unit})", "dashed: when real and generated cannot be told apart",
               [_line(label, color, rows, column) for color, (column, label)
                in enumerate(NETWORKS.items())],
               guides=[{"label": label, "y": ideal[column], "color": color} for color,
                       (column, label) in enumerate(NETWORKS.items()) if column in ideal]),
        _panel("The discriminator says “real”", "mean probability; 0.5 is guessing",
               [_line(f"of {label} {samples}", color, rows, column) for color, (column, label)
                in enumerate(SCORES.items())], 0, 1, [{"label": "guessing", "y": 0.5}]),
    ]
    real = run.summary.get("metrics", {}).get("real", {})
    for metric in _measured(rows):
        guides = [{"label": f"real {samples}", "y": real[metric.name]}] if (
            metric.name in real) else []
        panels.append(_panel(metric.label[0].upper() + metric.label[1:], _direction(metric),
                             [_line("generated", 1, rows, metric.name)], 0,
                             1 if metric.unit == "fraction" else None, guides))
    return panels


def compared_panels(runs, kept):
    """Return the panels that lay a quantity of several runs over each other.

    Args:
        runs: list of `RunContent`.
        kept: list of what `thin` kept of each.
    """
    metric = distance_metric([row for rows in kept for row in rows])
    quantities = [
        ("discriminator_loss", "Loss of the discriminator", "compare runs of one loss only"),
        ("generator_loss", "Loss of the generator", "compare runs of one loss only"),
        ("real_score", "Real samples taken for real", "mean probability; 0.5 is guessing"),
        ("fake_score", "Generated samples taken for real", "mean probability; 0.5 is guessing"),
    ] + ([(metric.name, metric.label, _direction(metric))] if metric else [])
    return [_panel(title, note, [_line(run.name, color, rows, column, color) for color, (run, rows)
                                 in enumerate(zip(runs, kept, strict=True))],
                   *((0, 1) if column.endswith("score") else (None, None)))
            for column, title, note in quantities]


def _measured(rows):
    """The metrics worth a panel: those of a run's summary that were measured more than once."""
    return [metric for name, metric in METRICS.items() if metric.in_summary
            and sum(name in row for row in rows) > 1]


def _direction(metric):
    return {"lower": "lower is better", "higher": "higher is better",
            "reference": "the nearer to real samples, the better"}.get(metric.better, "")


def _panel(title, note, lines, low=None, high=None, guides=()):
    lines = [line for line in lines if any(value is not None for value in line["y"])]
    return {"title": title, "note": note, "lines": lines, "low": low, "high": high,
            "guides": list(guides)}


def _line(label, color, rows, column, run=0):
    return {"label": label, "color": color, "run": run, "y": [row.get(column) for row in rows]}
