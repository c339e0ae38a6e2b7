"""Several runs in one table: those that differ in nothing but the seed are a row."""

import csv
import io
import os
from collections import Counter

import numpy as np

from gan.common.command_line import flag
from gan.common.errors import printable
from gan.evaluate.registry import METRICS

# Where a run was and how it was started, which makes no difference to what it computes.
PLACE = {"outdir", "overwrite", "resume", "dry_run", "verbose", "max_minutes"}


class Group:
    """Runs that differ in nothing but the seed.

    Attributes:
        runs: list of `RunContent`, at least one.
        config: dict, their options but for the seed of several.
    """

    def __init__(self, runs):
        self.runs, self.config = runs, dict(runs[0].config)
        if len(runs) > 1:
            self.config["seed"] = ", ".join(str(run.config["seed"]) for run in runs)

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
        """Return the verdicts, such as "good" or "2 good, 1 mode collapse"."""
        found = Counter(_verdict(run) for run in self.runs)
        if len(self.runs) == 1:
            return next(iter(found))
        return ", ".join(f"{count} {text}" for text, count in found.most_common())


def _verdict(run):
    verdict = run.summary.get("verdict") or {}
    return str(verdict.get("finding") or run.note or run.state).split(":")[0]


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


def mean_and_deviation(metric, values):
    """Return values as text: "0.0123", or "0.0123 ± 0.0012" of several."""
    text = metric.show(values.mean())
    return text if len(values) == 1 else f"{text} ± {values.std(ddof=1):.2g}"


def table_of(groups):
    """Return the comparison as texts: list of rows, the head first.

    Each metric is the mean of the runs, with the standard deviation where there are several.
    """
    options, metrics = differing_options(groups), measured_metrics(groups)
    rows = [["run", "n", *(metric.label for metric in metrics), *map(flag, options),
             "seconds", "verdict"]]
    for group in groups:
        values = [(metric, group.values(metric.name)) for metric in metrics]
        seconds = group.seconds()
        rows.append([group.name, str(len(group.runs)),
                     *(mean_and_deviation(*each) if len(each[1]) else "–" for each in values),
                     *(printable(group.config.get(name)) for name in options),
                     f"{seconds:.0f}" if seconds is not None else "–", group.verdict()])
    return rows


def markdown(groups):
    """Return the comparison as a table in Markdown."""
    head, *rows = ([cell.replace("|", "\\|") for cell in row] for row in table_of(groups))
    lines = ["| " + " | ".join(cells) + " |" for cells in (head, ["---"] * len(head), *rows)]
    return "\n".join(lines) + "\n"


def csv_text(groups):
    """Return the comparison as CSV, mean and standard deviation in columns of their own."""
    options, metrics = differing_options(groups), measured_metrics(groups)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["run", "n", *(f"{metric.name}{part}" for metric in metrics
                                   for part in ("", "_std")), *options, "seconds", "verdict"])
    for group in groups:
        numbers = []
        for metric in metrics:
            values = group.values(metric.name)
            numbers += [values.mean() if len(values) else "",
                        values.std(ddof=1) if len(values) > 1 else ""]
        writer.writerow([group.name, len(group.runs), *numbers,
                         *(group.config.get(name) for name in options), group.seconds(),
                         group.verdict()])
    return text.getvalue()
