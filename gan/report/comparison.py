"""Comparison of several runs: those that differ in nothing but the seed are one row."""

import csv
import io
import os
from collections import Counter
from dataclasses import dataclass

import numpy as np

from gan.common.command_line import flag
from gan.common.errors import printable
from gan.evaluate.registry import METRICS, distance_metric
from gan.report.page import (
    ACCURACY,
    NETWORKS,
    accuracy_panel,
    curve_rows,
    duration,
    html_of,
    line,
    metric_panel,
    number,
    option_text,
    panel,
    state_text,
    verdict_text,
)

# Where a run was and how it was started, which makes no difference to what it computes.
PLACE = {"outdir", "overwrite", "resume", "dry_run", "verbose", "max_minutes"}


@dataclass(frozen=True)
class Group:
    """Runs that differ in nothing but the seed."""

    runs: list  # of `RunContent`, at least one

    @property
    def config(self):
        """The runs' options, with the seeds of all."""
        return self.runs[0].config | {
            "seed": ", ".join(str(run.config["seed"]) for run in self.runs)}

    @property
    def name(self):
        """What the runs' names begin with."""
        names = [run.name for run in self.runs]
        common = os.path.commonprefix(names).rstrip("_-. ") if len(names) > 1 else names[0]
        return printable(common or f"{names[0]} to {names[-1]}")

    def values(self, metric):
        """Return a metric of each run that was measured: float [n]."""
        return np.array([run.generated[metric] for run in self.runs if metric in run.generated])

    def real(self, metric):
        """Return a metric of real samples, or None."""
        return next((run.measured["real"][metric] for run in self.runs
                     if metric in run.measured.get("real", {})), None)

    def seconds(self):
        """Return the mean training time, or None."""
        times = [run.rows[-1]["seconds"] for run in self.runs if run.rows]
        return float(np.mean(times)) if times else None

    def verdict(self):
        """Return the verdict of a run, or of several such as "2 good, 1 mode collapse"."""
        texts = [verdict_text(run) for run in self.runs]
        if len(texts) == 1:
            return texts[0]
        found = Counter(text.split(":")[0] for text in texts)
        return ", ".join(f"{count} {text}" for text, count in found.most_common())


def groups_of(runs):
    """Return the runs as `Group` objects, in the order of the first run of each."""
    groups = {}
    for run in runs:
        key = tuple((name, repr(value)) for name, value in sorted(run.config.items())
                    if name not in PLACE | {"seed"})
        groups.setdefault(key, []).append(run)
    return list(map(Group, groups.values()))


def differing_options(groups):
    """Return the names of the options that are not the same in all groups."""
    names = dict.fromkeys(name for group in groups for name in group.config)
    return [name for name in names if name not in PLACE and len(
        {repr(group.config.get(name)) for group in groups}) > 1]


def measured_metrics(groups):
    """Return the metrics of a summary that any of the runs has."""
    return [metric for name, metric in METRICS.items()
            if metric.in_summary and any(len(group.values(name)) for group in groups)]


def table_of(groups):
    """Return the comparison as head and rows of cells, see `drawCell` of page.js."""
    options, metrics = differing_options(groups), measured_metrics(groups)
    several = any(len(group.runs) > 1 for group in groups)
    head = ["run", *(["n"] if several else []), *(metric.label for metric in metrics),
            *({"text": flag(name), "kind": "code"} for name in options), "training", "verdict"]
    rows = []
    for index, group in enumerate(groups):
        seconds = group.seconds()
        rows.append([
            {"text": group.name, "run": index},
            *([number(str(len(group.runs)))] if several else []),
            *(_measured(group, metric) for metric in metrics),
            *(option_text(group.config.get(name)) for name in options),
            number("–" if seconds is None else duration(seconds)),
            {"text": group.verdict(), "kind": "long",
             "note": state_text(group.runs[0]) if len(group.runs) == 1 else ""}])
    return head, rows


def _measured(group, metric):
    """Return a metric's mean and deviation in a group, and in small print that of real samples."""
    values, real = group.values(metric.name), group.real(metric.name)
    if not len(values):
        return number("–")
    deviation = f" ± {values.std(ddof=1):.2g}" if len(values) > 1 else ""
    return number(metric.show(values.mean()) + deviation,
                  "" if real is None else f"real {metric.show(real)}")


def comparison_page(runs):
    """Return the comparison of several `RunContent` as HTML."""
    groups, kept = groups_of(runs), [curve_rows(run) for run in runs]
    head, rows = table_of(groups)
    same = len({(run.config["dataset"], run.measured.get("features", {}).get("description"))
                for run in runs if run.generated}) <= 1
    notes = ["Mean ± standard deviation of n runs that differ in their seed."] * ("n" in head)
    notes += [] if same else ["Metrics of different data or features are not comparable."]
    table = {"title": "Metrics, options that differ, verdicts", "head": head, "rows": rows,
             "notes": " ".join(notes)}
    # Runs of a group have the same color, and one label.
    color_of = {id(run): color for color, group in enumerate(groups) for run in group.runs}
    label_of = {id(group.runs[0]): group.name for group in groups}
    colors = [color_of[id(run)] for run in runs]
    labels = [label_of.get(id(run), "") for run in runs]
    return html_of(runs, kept, _panels(runs, kept, colors, labels),
                   {"title": f"{len(runs)} runs compared", "comparison": table}, colors)


def _panels(runs, kept, colors, labels):
    def lines(column):
        return [line(label, color, rows, column, index) for index, (label, color, rows)
                in enumerate(zip(labels, colors, kept, strict=True))]

    panels = [accuracy_panel(lines(ACCURACY))]
    if metric := distance_metric([row for rows in kept for row in rows]):
        panels.insert(0, metric_panel(metric, lines(metric.name)))
    note = "" if len({run.config["loss"] for run in runs}) == 1 else "not comparable: losses differ"
    return panels + [panel(f"Loss of the {network}", note, lines(column))
                     for column, network in NETWORKS.items()]


def markdown(runs):
    """Return the comparison as a table in Markdown."""
    head, rows = table_of(groups_of(runs))
    texts = [[cell if isinstance(cell, str) else cell["text"] for cell in row]
             for row in (head, ["---"] * len(head), *rows)]
    lines = ["| " + " | ".join(text.replace("|", "\\|") for text in row) + " |" for row in texts]
    return "\n".join(lines) + "\n"


def csv_text(runs):
    """Return the comparison as CSV, mean and standard deviation in columns of their own."""
    groups, rows, text = groups_of(runs), [], io.StringIO()
    for group in groups:
        row = {"run": group.name, "n": len(group.runs)}
        for metric in measured_metrics(groups):
            values = group.values(metric.name)
            row[metric.name] = values.mean() if len(values) else ""
            row[f"{metric.name}_std"] = values.std(ddof=1) if len(values) > 1 else ""
        row |= {name: group.config.get(name) for name in differing_options(groups)}
        rows.append(row | {"seconds": group.seconds(), "verdict": group.verdict()})
    writer = csv.DictWriter(text, rows[0], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
