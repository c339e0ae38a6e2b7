"""Report page of one run or of several, as data that the page's script draws."""

import shlex
import time
from pathlib import Path

from gan.common.command_line import flag
from gan.common.errors import printable
from gan.common.html import html_page
from gan.evaluate.registry import METRICS
from gan.report.comparison import (
    differing_options,
    groups_of,
    mean_and_deviation,
    measured_metrics,
)
from gan.report.curves import BETTER, axes_of, compared_panels, curve_rows, panels_of
from gan.report.pictures import pictures_of

MOST_CLASSES = 40  # names that are shown
MOODS = {"good": "good", "diverged": "bad", "won": "bad", "collapse": "bad", "outside": "bad",
         "worse": "bad"}
NO_VERDICT = {"running": "In training; the verdict comes at the end",
              "interrupted": "Interrupted before it could be judged",
              "unfinished": "Not finished, so not judged yet"}


def page_of(runs):
    """Return the report of one run, or the comparison of several `RunContent`, as HTML."""
    kept, one = [curve_rows(run) for run in runs], len(runs) == 1
    groups = [] if one else groups_of(runs)
    shown = _single(runs[0]) if one else _comparison(groups)
    panels = panels_of(runs[0], kept[0]) if one else compared_panels(runs, kept, groups)
    data = {**shown, "panels": panels, "written": round(time.time() * 1000),
            "running": one and runs[0].state == "running",
            "runs": [{"name": printable(run.name), "axes": axes_of(rows), **pictures}
                     for run, rows, pictures in zip(runs, kept, pictures_of(runs), strict=True)]}
    folder = Path(__file__).parent
    return html_page(folder / "page.html", folder / "page.css", [folder / "page.js"],
                     data["title"], {"data": data})


# One run.

def _single(run):
    config = run.config
    name = run.summary.get("data", {}).get("name") or Path(str(config["dataset"])).name
    return {
        "title": printable(name), "state": [run.state, _state_text(run)],
        "about": f"{config['arch']}, {config['loss']} loss, condition: {config['condition']}, "
                 f"seed {config['seed']}",
        "verdict": _verdict(run), "tiles": _tiles(run),
        "tables": [_metrics(run), _facts(run), _commands(run), _options(run)],
    }


def _state_text(run):
    done = f"{run.epochs:,} of {run.config['epochs']:,} epochs"
    if run.state == "running" and run.epochs == run.config["epochs"]:
        return f"trained, {run.epochs:,} epochs; now exported and measured"
    return {"running": f"in training, {done} done", "finished": f"finished, {run.epochs:,} epochs",
            "stopped": f"stopped in time, {done}", "interrupted": f"interrupted, {done}",
            "diverged": f"diverged after {done}"}.get(run.state, f"unfinished, {done}")


def _verdict(run):
    found = run.summary.get("verdict") or {}
    text, hint = run.note or found.get("text") or NO_VERDICT.get(run.state, "No verdict"), ""
    finding = found.get("finding")
    if finding and text.startswith(finding):
        text, hint = finding, text[len(finding):].lstrip(". ")
    mood = "bad" if run.state == "diverged" else MOODS.get(found.get("kind"), "")
    return {"mood": mood, "text": text[:1].upper() + text[1:], "hint": hint}


def _tiles(run):
    """Return [label, value, small print] of the numbers that one looks for first."""
    tiles = []
    if run.rows:
        last = run.rows[-1]
        tiles += [("epochs", f"{run.epochs:,}", f"of {run.config['epochs']:,}"),
                  ("steps", f"{run.step:,}", ""),
                  ("training", duration(last["seconds"]), "")]
        if run.state == "running":
            left = last["seconds"] / run.epochs * (run.config["epochs"] - run.epochs)
            tiles.append(("left, about", duration(left), ""))
        tiles.append((f"{run.samples} per second", f"{last['images_per_second']:,.0f}", ""))
    return tiles + [(metric.label, *_measured(run, metric)) for name, metric in METRICS.items()
                    if metric.in_summary and name in run.generated]


def _measured(run, metric):
    """A metric of generated samples, and in small print that of real ones."""
    real = run.measured.get("real", {})
    beside = f"real {metric.show(real[metric.name])}" if metric.name in real else ""
    return metric.show(run.generated[metric.name]), beside


def _metrics(run):
    real, rows = run.measured.get("real", {}), []
    for name, metric in METRICS.items():
        if name in run.generated:
            note = "; ".join(filter(None, [metric.explanation, BETTER[metric.better]]))
            rows.append([{"text": metric.label, "note": note},
                         _number(metric.show(run.generated[name])),
                         _number(metric.show(real[name]) if name in real else "–")])
    described = run.measured.get("features", {}).get("description")
    source = run.measured.get("real_source")
    notes = (f"Compared in {described}." if described else "") + (
        f" Real: {source}." if source else "")
    return {"title": "Distance to the data", "head": ["metric", "generated", "real"],
            "rows": rows, "notes": notes.strip()}


def _facts(run):
    summary = run.summary
    data = summary.get("data", {})
    parts = [str(run.config["dataset"])]
    if data.get("samples"):
        parts.append(f"{data['samples']:,} {run.samples}")
    if len(data.get("shape", ())) == 3:
        parts.append(" x ".join(map(str, data["shape"])))
    if names := [str(name) for name in data.get("classes", ())]:
        more = ", …" if len(names) > MOST_CLASSES else ""
        parts.append(f"{len(names):,} classes: {', '.join(names[:MOST_CLASSES])}{more}")
    versions = [f"{name} {value}" for name, value in summary.get("versions", {}).items()]
    times = [f"{name} {duration(value)}" for name, value in summary.get("seconds", {}).items()]
    facts = {"data": "; ".join(parts),
             **{name: summary.get(name) for name in ("command", "device", "precision")},
             "versions": ", ".join(versions), "time": ", ".join(times)}
    return {"title": "Data and device",
            "rows": [[label, printable(value)] for label, value in facts.items() if value]}


def _options(run):
    changes = [f"{change['option']} from {change['before']} to {change['now']} "
               f"at step {change['step']:,}" for change in run.changes]
    return {"title": "Options", "folded": True,
            "rows": [[{"text": flag(name), "kind": "code"}, _shown(value)]
                     for name, value in run.config.items()],
            "notes": f"Changed on resuming: {'; '.join(changes)}." if changes else ""}


def _shown(value):
    if isinstance(value, bool) or value is None:
        return {True: "on", False: "off", None: "–"}[value]
    return f"{value:g}" if isinstance(value, float) else printable(value)


def _commands(run):
    """Commands that resume the run and use what it made."""
    where = [] if run.folder == "." else [run.folder]
    more = ["--epochs", str(2 * run.config["epochs"])] if run.state in (
        "finished", "diverged") else []

    def script(name, option, *words):
        return [name, *([option, *where] if where else []), *words]

    commands = {
        "resume": script("train_gan.py", "--outdir", "--resume", *more),
        "generate": script("generate.py", "--model", "--output", "samples.png"),
        "animate": script("make_gif.py", "--images", "--output", f"{run.folder}/training.webp"),
        "evaluate": ["-m", "gan.evaluate", "--model", run.folder],
        "this page": ["-m", "gan.report", run.folder],
    }
    return {"title": "Commands", "notes": "To be typed in the project’s folder.",
            "rows": [[label, {"text": printable(shlex.join(["python", *words])), "kind": "code"}]
                     for label, words in commands.items()]}


# Several runs.

def _comparison(groups):
    options, metrics = differing_options(groups), measured_metrics(groups)
    several = any(len(group.runs) > 1 for group in groups)
    rows = []
    for index, group in enumerate(groups):
        row = [{"text": group.name, "run": index}]
        row += [_number(str(len(group.runs)))] if several else []
        for metric in metrics:
            values, real = group.values(metric.name), group.real(metric.name)
            row.append(_number(mean_and_deviation(metric, values) if len(values) else "–",
                               "" if real is None else f"real {metric.show(real)}"))
        row += [_shown(group.config.get(name)) for name in options]
        seconds, first = group.seconds(), group.runs[0]
        row.append(_number("–" if seconds is None else duration(seconds)))
        row.append({"text": group.verdict(), "kind": "long"} if len(group.runs) > 1 else
                   {"text": _verdict(first)["text"], "note": _state_text(first), "kind": "long"})
        rows.append(row)
    runs = [run for group in groups for run in group.runs]
    same = len({(run.config["dataset"], run.measured.get("features", {}).get("description"))
                for run in runs if run.generated}) <= 1
    notes = ["Mean ± standard deviation of n runs that differ in their seed."] if several else []
    notes += [] if same else ["Metrics of different data or features are not comparable."]
    return {
        "title": f"{len(runs)} runs compared",
        "comparison": {
            "title": "Metrics, options that differ, verdicts",
            "head": ["run", *(["n"] if several else []), *(metric.label for metric in metrics),
                     *({"text": flag(name), "kind": "code"} for name in options),
                     "training", "verdict"],
            "rows": rows, "notes": " ".join(notes)},
    }


def _number(text, note=""):
    """A cell that is never broken into lines."""
    return {"text": text, "note": note, "kind": "number"}


def duration(seconds):
    """Return a time such as "8.2 s", "2 min 5 s" or "3 h 12 min"."""
    if seconds < 60:
        return f"{seconds:.1f}\u00a0s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}\u00a0min {rest}\u00a0s"
    return f"{minutes // 60}\u00a0h {minutes % 60}\u00a0min"
