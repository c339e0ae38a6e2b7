"""Curves of a run, as panels that the report and loss_curves.png show."""

from pathlib import Path

from gan.common.device import import_tensorflow
from gan.common.errors import printable
from gan.evaluate.registry import METRICS
from gan.run.summary import loss_facts

MOST_POINTS = 400  # of a curve, before extremes are added
NETWORKS = {"discriminator_loss": "discriminator", "generator_loss": "generator"}
SCORES = {"real_score": "real", "fake_score": "generated"}
ACCURACY = "discriminator_accuracy"
GUESSING = [{"label": "guessing", "y": 0.5}]
BETTER = {"lower": "lower is better", "higher": "higher is better",
          "reference": "the closer to real samples, the better", "": ""}


def draw_curves(path, run):
    """Draw the curves of a `RunContent`; the same rows give the same bytes."""
    from gan.drawing.plots import draw_panels  # here, as matplotlib is slow to import

    config, rows = run.config, curve_rows(run)
    title = (f"{printable(Path(config['dataset']).name)}, {config['arch']}, {config['loss']}, "
             f"seed {config['seed']}")
    draw_panels(path, title, [row["epoch"] for row in rows], panels_of(run, rows))


def curve_rows(run):
    """Return the rows that a run's curves are drawn from, by step.

    Losses and scores are those of its steps.csv, thinned; metrics those of its history.
    """
    if not run.log:
        return thin(run.rows)
    place = ("epoch", "step", "seconds")
    metrics = [{name: row[name] for name in row if name in place or name in METRICS}
               for row in run.rows if METRICS.keys() & row.keys()]
    return sorted(thin(run.log) + metrics, key=lambda row: row["step"])


def thin(rows, most=MOST_POINTS):
    """Return at most `most` evenly spaced rows, plus those with a column's extremes."""
    if len(rows) <= most:
        return rows
    kept = {round(place * (len(rows) - 1) / (most - 1)) for place in range(most)}
    for name in [*NETWORKS, *SCORES, ACCURACY, *METRICS]:
        values = [(row[name], index) for index, row in enumerate(rows) if name in row]
        if values:
            kept |= {min(values)[1], max(values)[1]}
    return [rows[index] for index in sorted(kept)]


def panels_of(run, rows):
    """Return the panels of a `RunContent` with the rows of its curves.

    Scores are probabilities of "real" where the discriminator's output is log-odds, else mean
    outputs beside its accuracy. A metric is drawn where it was measured more than once.
    """
    loss = run.summary.get("loss")
    if not loss:  # a run that has not ended
        import_tensorflow(verbose=False)
        loss = loss_facts(run.config["loss"], run.config["label_smoothing"])
    ideal = loss["equilibrium"]
    panels = [panel("Losses", "dashed: when real and generated samples cannot be told apart",
                    [line(label, color, rows, column)
                     for color, (column, label) in enumerate(NETWORKS.items())],
                    guides=[{"label": f"{label}, ideal", "y": ideal[column], "color": color}
                            for color, (column, label) in enumerate(NETWORKS.items())
                            if column in ideal])]
    scores = [line(f"{label} {run.samples}", color, rows, column)
              for color, (column, label) in enumerate(SCORES.items())]
    if loss["log_odds"]:
        panels.append(panel("Discriminator’s probability of “real”",
                            "mean; 0.5 is guessing", scores, 0, 1, GUESSING))
    else:
        note = f"mean; the {run.config['loss']} loss has no probability"
        panels += [panel("Discriminator’s output", note, scores),
                   accuracy_panel([line("", 0, rows, ACCURACY)])]
    real = run.measured.get("real", {})
    for name, metric in METRICS.items():
        if metric.in_summary and sum(name in row for row in rows) > 1:
            guides = [{"label": f"real {run.samples}", "y": real[name]}] if name in real else []
            panels.append(metric_panel(metric, [line("generated", 1, rows, name)], 0,
                                       1 if metric.fraction else None, guides))
    return panels


def accuracy_panel(lines):
    """Return the panel of the discriminator's accuracy."""
    return panel("Discriminator accuracy",
                 "how often a real sample ranks above a generated one; 0.5 is guessing",
                 lines, 0, 1, GUESSING)


def metric_panel(metric, lines, *bounds_and_guides):
    """Return the panel of a `Metric`."""
    return panel(metric.label[0].upper() + metric.label[1:], BETTER[metric.better], lines,
                 *bounds_and_guides)


def panel(title, note, lines, low=None, high=None, guides=()):
    """Return a panel: lines with a value, bounds of its y axis or None, horizontal guides."""
    lines = [line for line in lines if any(value is not None for value in line["y"])]
    return {"title": title, "note": note, "lines": lines, "low": low, "high": high,
            "guides": list(guides)}


def line(label, color, rows, column, run=0):
    """Return a line of a panel: the values of a column, of the run with a number."""
    return {"label": label, "color": color, "run": run, "y": [row.get(column) for row in rows]}
