"""Curves of one or several runs as data for the page's script."""

from gan.evaluate.registry import METRICS, distance_metric

MOST_POINTS = 400  # of a curve, before extremes are added
NETWORKS = {"discriminator_loss": "discriminator", "generator_loss": "generator"}
SCORES = {"real_score": "real", "fake_score": "generated"}
ACCURACY = "discriminator_accuracy"
GUESSING = [{"label": "guessing", "y": 0.5}]
BETTER = {"lower": "lower is better", "higher": "higher is better",
          "reference": "the closer to real samples, the better", "": ""}


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


def curve_rows(run):
    """Return the rows that curves of a `RunContent` are drawn from, by step.

    Losses and scores are those of its steps.csv, thinned; metrics those of its history.
    """
    if not run.log:
        return thin(run.rows)
    place = ("epoch", "step", "seconds")
    metrics = [{name: row[name] for name in row if name in place or name in METRICS}
               for row in run.rows if METRICS.keys() & row.keys()]
    return sorted(thin(run.log) + metrics, key=lambda row: row["step"])


def axes_of(rows):
    """Return where the rows lie on each axis: dict of axis → list of numbers."""
    return {"epoch": [row["epoch"] for row in rows], "step": [row["step"] for row in rows],
            "minutes": [row["seconds"] / 60 for row in rows]}


def panels_of(run, rows):
    """Return the panels of one run.

    Args:
        run: `RunContent`.
        rows: what `curve_rows` returns.

    Returns:
        list of dict: "title", "note", "low" and "high" (bounds of the y axis or None),
        "lines" (each a "label", a "color" number, the number of its "run", values "y")
        and "guides" (each a "label", a "y" and perhaps a "color").
    """
    from gan.losses import LOSSES, equilibrium, is_log_odds  # here, as it imports TensorFlow

    loss = LOSSES.get(run.config["loss"])  # None if it is no longer registered
    ideal = equilibrium(loss, run.config["label_smoothing"]) if loss else {}
    panels = [_panel("Losses", "dashed: when real and generated samples cannot be told apart",
                     [_line(label, color, rows, column)
                      for color, (column, label) in enumerate(NETWORKS.items())],
                     guides=[{"label": label, "y": ideal[column], "color": color}
                             for color, (column, label) in enumerate(NETWORKS.items())
                             if column in ideal])]
    scores = [_line(f"{label} {run.samples}", color, rows, column)
              for color, (column, label) in enumerate(SCORES.items())]
    if loss and is_log_odds(loss):
        panels.append(_panel("Discriminator’s probability of “real”",
                             "mean; 0.5 is guessing", scores, 0, 1, GUESSING))
    else:
        note = f"mean; the {run.config['loss']} loss has no probability"
        panels += [_panel("Discriminator’s output", note, scores),
                   _accuracy([_line("", 0, rows, ACCURACY)])]
    real = run.measured.get("real", {})
    for name, metric in METRICS.items():
        if metric.in_summary and sum(name in row for row in rows) > 1:
            guides = [{"label": f"real {run.samples}", "y": real[name]}] if name in real else []
            panels.append(_panel(
                metric.label[0].upper() + metric.label[1:], BETTER[metric.better],
                [_line("generated", 1, rows, name)], 0,
                1 if metric.fraction else None, guides))
    return panels


def compared_panels(runs, kept, groups):
    """Return the panels that overlay a quantity of several runs, see `panels_of`.

    Runs of the same `Group` have the same color, and one label.
    """
    def lines(column):
        found = []
        for index, (run, rows) in enumerate(zip(runs, kept, strict=True)):
            color = next(number for number, group in enumerate(groups) if run in group.runs)
            label = groups[color].name if run is groups[color].runs[0] else ""
            found.append(_line(label, color, rows, column, index))
        return found

    panels = [_accuracy(lines(ACCURACY))]
    if metric := distance_metric([row for rows in kept for row in rows]):
        panels.insert(0, _panel(metric.label[0].upper() + metric.label[1:],
                                BETTER[metric.better], lines(metric.name)))
    note = "" if len({run.config["loss"] for run in runs}) == 1 else "not comparable: losses differ"
    return panels + [_panel(f"Loss of the {network}", note, lines(column))
                     for column, network in NETWORKS.items()]


def _accuracy(lines):
    return _panel("Discriminator accuracy",
                  "how often a real sample ranks above a generated one; 0.5 is guessing",
                  lines, 0, 1, GUESSING)


def _panel(title, note, lines, low=None, high=None, guides=()):
    lines = [line for line in lines if any(value is not None for value in line["y"])]
    return {"title": title, "note": note, "lines": lines, "low": low, "high": high,
            "guides": list(guides)}


def _line(label, color, rows, column, run=0):
    return {"label": label, "color": color, "run": run, "y": [row.get(column) for row in rows]}
