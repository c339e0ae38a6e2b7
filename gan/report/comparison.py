"""Comparison of several runs: those that differ in nothing but the seed are one row."""

import csv
import io
import os
from collections import Counter

import numpy as np

from gan.common.command_line import flag
from gan.common.errors import duration, printable
from gan.evaluate.registry import METRICS, distance_metric
from gan.report.page import html_of, number, option_text, state_text, verdict_text
from gan.run.curves import (
    ACCURACY,
    NETWORKS,
    accuracy_panel,
    curve_rows,
    line,
    metric_panel,
    panel,
)

# Where a run was and how it was started, which makes no difference to what it computes.
PLACE = {"outdir", "overwrite", "resume", "dry_run", "verbose", "minutes", "max_minutes"}


def groups_of(runs):
    """Return lists of runs that differ in nothing but the seed, by the first run of each."""
    groups = {}
    for run in runs:
        key = tuple((name, repr(value)) for name, value in sorted(run.config.items())
                    if name not in PLACE | {"seed"})
        groups.setdefault(key, []).append(run)
    return list(groups.values())


def columns_of(groups):
    """Yield the columns of the comparison, each with an entry for each group.

    A column is a heading, cells (see `drawCell` of page.js) and a dict of name → plain values.
    """
    names = [_name(group) for group in groups]
    yield "run", [{"text": name, "run": row} for row, name in enumerate(names)], {"run": names}
    counts = [len(group) for group in groups]
    if max(counts) > 1:
        yield "n", [number(str(count)) for count in counts], {"n": counts}
    for name, metric in METRICS.items():
        values = [[run.generated[name] for run in group if name in run.generated]
                  for group in groups]
        if metric.in_summary and any(values):
            cells = [_measured(group, each, metric)
                     for group, each in zip(groups, values, strict=True)]
            yield metric.label, cells, {
                name: [np.mean(each) if each else None for each in values],
                f"{name}_std": [_deviation(each) for each in values]}
    configs = [group[0].config | {"seed": ", ".join(str(run.config["seed"]) for run in group)}
               for group in groups]
    for name in configs[0]:
        values = [config[name] for config in configs]
        if name not in PLACE and len(set(map(repr, values))) > 1:
            yield {"text": flag(name), "kind": "code"}, list(map(option_text, values)), {
                name: values}
    seconds = [_seconds(group) for group in groups]
    yield "training", [number("–" if each is None else duration(each)) for each in seconds], {
        "seconds": seconds}
    verdicts = [_verdict(group) for group in groups]
    yield "verdict", [
        {"text": text, "note": state_text(group[0]) if len(group) == 1 else "", "kind": "long"}
        for text, group in zip(verdicts, groups, strict=True)], {"verdict": verdicts}


def _name(group):
    """Return what the names of the runs begin with."""
    names = [run.name for run in group]
    common = os.path.commonprefix(names).rstrip("_-. ") if len(names) > 1 else names[0]
    return printable(common or f"{names[0]} to {names[-1]}")


def _measured(group, values, metric):
    """Return mean and deviation of a metric, and in small print that of real samples."""
    if not values:
        return number("–")
    real = [run.measured["real"][metric.name] for run in group
            if metric.name in run.measured.get("real", {})]
    deviation = f" ± {_deviation(values):.2g}" if len(values) > 1 else ""
    return number(metric.show(np.mean(values)) + deviation,
                  f"real {metric.show(real[0])}" if real else "")


def _deviation(values):
    return np.std(values, ddof=1) if len(values) > 1 else None


def _seconds(group):
    """Return the mean training time, or None."""
    times = [run.rows[-1]["seconds"] for run in group if run.rows]
    return float(np.mean(times)) if times else None


def _verdict(group):
    """Return the verdict of a run, or of several such as "2 good, 1 mode collapse"."""
    texts = [verdict_text(run) for run in group]
    if len(texts) == 1:
        return texts[0]
    found = Counter(text.split(":")[0] for text in texts)
    return ", ".join(f"{count} {text}" for text, count in found.most_common())


def comparison_page(runs):
    """Return the comparison of several `RunContent` as HTML."""
    groups, kept = groups_of(runs), [curve_rows(run) for run in runs]
    head, cells, _ = zip(*columns_of(groups), strict=True)
    same = len({(run.config["dataset"], run.measured.get("features", {}).get("description"))
                for run in runs if run.generated}) <= 1
    notes = ["Mean ± standard deviation of n runs that differ in their seed."] * ("n" in head)
    notes += [] if same else ["Metrics of different data or features are not comparable."]
    table = {"title": "Metrics, options that differ, verdicts", "head": head,
             "rows": list(zip(*cells, strict=True)), "notes": " ".join(notes)}
    # Runs of a group have the same color, and one label.
    color_of = {id(run): color for color, group in enumerate(groups) for run in group}
    label_of = {id(group[0]): _name(group) for group in groups}
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
    columns = [[head, "---", *cells] for head, cells, _ in columns_of(groups_of(runs))]
    lines = []
    for row in zip(*columns, strict=True):
        texts = [cell if isinstance(cell, str) else cell["text"] for cell in row]
        lines.append("| " + " | ".join(text.replace("|", "\\|") for text in texts) + " |\n")
    return "".join(lines)


def csv_text(runs):
    """Return the comparison as CSV, mean and standard deviation in columns of their own."""
    columns, text = {}, io.StringIO()
    for _, _, values in columns_of(groups_of(runs)):
        columns |= values
    csv.writer(text, lineterminator="\n").writerows(
        [columns, *zip(*columns.values(), strict=True)])
    return text.getvalue()
