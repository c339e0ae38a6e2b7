"""The page that lays several runs beside each other."""

import time

from gan.common.command_line import flag
from gan.evaluate.table import METRICS
from gan.report import sections
from gan.report.curves import axes_of, compared_panels, thin
from gan.report.document import document
from gan.report.film import film_section, films_of
from gan.report.single import CURVES
from gan.report.words import duration, escape, table

MOST_RUNS = 8  # as many colours can be told apart
PLACE = {"outdir", "overwrite", "resume", "dry_run", "verbose", "max_minutes"}


def comparison_of(runs, embedded):
    """Return the comparison of several runs as HTML.

    Args:
        runs: list of `RunContent`, at least two.
        embedded: `Embedded`.
    """
    kept, films = [thin(run.rows) for run in runs], films_of(runs, embedded)
    data = {"runs": [{"name": run.name, "axes": axes_of(rows)}
                     for run, rows in zip(runs, kept, strict=True)],
            "films": films, "panels": compared_panels(runs, kept),
            "written": round(time.time() * 1000), "reload": 0}
    parts = [f'<header><p class="over">Training of a GAN</p><h1>{len(runs)} runs compared</h1>'
             "</header>", outcomes(runs), differences(runs), film_section(films), CURVES,
             measures(runs)]
    return document(f"{len(runs)} runs compared",
                    f'<main class="page">{"".join(parts)}</main>', data)


def headings(runs):
    """Return a heading for each run, with the colour of its curves."""
    return [f'<span class="named"><i class="c{index}"></i>{escape(run.name)}</span>'
            for index, run in enumerate(runs)]


def outcomes(runs):
    """Return how far each run came and what was said of it."""
    rows = []
    for heading, run in zip(headings(runs), runs, strict=True):
        seconds = duration(run.rows[-1]["seconds"]) if run.rows else "–"
        found = (run.summary.get("verdict") or {}).get("finding") or run.note or "no verdict"
        rows.append([heading, escape(sections.state_text(run)), seconds, escape(found)])
    shown = table(["run", "state", "training", "verdict"], rows, "outcome")
    return f"<section><h2>Outcome</h2>{shown}</section>"


def differences(runs):
    """Return the options in which the runs differ."""
    names = [name for name in runs[0].config if name not in PLACE]
    names += [name for run in runs for name in run.config if name not in (*PLACE, *names)]
    rows = []
    for name in dict.fromkeys(names):
        values = [run.config.get(name) for run in runs]
        if any(value != values[0] for value in values):
            rows.append([f"<code>{escape(flag(name))}</code>",
                         *map(sections.shown_value, values)])
    shown = table(["option", *headings(runs)], rows, "cell") if rows else (
        "<p>They have the same options.</p>")
    return f"<section><h2>Options that differ</h2>{shown}</section>"


def measures(runs):
    """Return the last metrics of the runs beside each other, those of real samples below."""
    rows = []
    for name, metric in METRICS.items():
        if any(name in run.generated for run in runs):
            better = f'<span class="quiet">{sections.BETTER[metric.better]}</span>'
            rows.append([escape(metric.label), *(_measured(run, metric) for run in runs), better])
    if not rows:
        return ""
    compared = {run.summary.get("metrics", {}).get("features", {}).get("description")
                for run in runs if run.generated}
    same = len(compared) == 1 and len({run.config["dataset"] for run in runs}) == 1
    note = "" if same else ('<p class="quiet">Not all were measured on the same data in the same '
                            "features: such numbers cannot be compared.</p>")
    return (f'<section><h2>How near to the data</h2>'
            f'{table(["metric", *headings(runs), ""], rows, "cell")}{note}</section>')


def _measured(run, metric):
    """A metric of a run, and below it the same of real samples."""
    if metric.name not in run.generated:
        return "–"
    real = run.summary.get("metrics", {}).get("real", {})
    beside = f"<small>real {metric.show(real[metric.name])}</small>" if metric.name in real else ""
    return metric.show(run.generated[metric.name]) + beside
