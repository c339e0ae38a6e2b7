"""Report page of one run, as data that the page's script draws."""

import dataclasses
import shlex
import time
import traceback
from pathlib import Path

from gan.common.command_line import flag, shape_in_words
from gan.common.errors import UserError, duration, listed, printable, warn
from gan.common.files import write_text
from gan.common.html import html_page
from gan.evaluate.registry import METRICS
from gan.report.pictures import pictures_of
from gan.run.content import read_run
from gan.run.curves import BETTER, curve_rows, draw_curves, panels_of
from gan.run.folder import RunFolder
from gan.run.summary import command, continuation

LEAST_SECONDS = 1.0  # between two reports; epochs may be shorter
SHARE = 0.03  # of the time that reports may take
MOST_CLASSES = 40  # names that are shown
MOODS = {"good": "good", "diverged": "bad", "won": "bad", "collapse": "bad", "outside": "bad",
         "worse": "bad"}
NO_VERDICT = {"running": "in training; the verdict comes at the end",
              "interrupted": "interrupted before it could be judged",
              "unfinished": "not finished, so not judged yet"}


class LiveReport:
    """Rewrites report.html and loss_curves.png as a run goes on; their errors never end the run."""

    def __init__(self, folder, history, timers, about):
        """Take parts of a run, and `about` it what `gan.run.summary.circumstances` returns."""
        self._folder, self._history, self._timers, self._about = folder, history, timers, about
        self._due, self._warned = 0.0, None

    def write(self, state="running", note="", at_once=False):
        """Write report and curves in a state of `RunContent`, or as the folder says for None.

        While the run goes on, at most once a second, and less often where it takes long, unless
        `at_once`.
        """
        began = time.monotonic()
        if state == "running" and not at_once and began < self._due:
            return
        try:
            with self._timers("report"):
                run = read_run(self._folder.path)
                if state:  # what is in no file yet
                    about = self._about | {"seconds": self._timers.seconds}
                    run = dataclasses.replace(run, state=state, note=note, summary=about,
                                              log=self._history.log)
                write_text(self._folder.claim(self._folder.report), run_page(run))
                if run.rows:
                    draw_curves(self._folder.claim(self._folder.loss_curves), run)
        except Exception as error:  # a page is no reason to lose hours of training
            if str(error) != self._warned:
                self._warned = str(error)
                warn(f"{self._folder.report.name} could not be written: {error}")
                if not isinstance(error, UserError | OSError):  # a defect of this project
                    traceback.print_exception(error)
        ended = time.monotonic()
        self._due = ended + max(LEAST_SECONDS, (ended - began) / SHARE)


def run_page(run):
    """Return the report of a `RunContent` as HTML."""
    config, rows = run.config, curve_rows(run)
    name = run.summary.get("data", {}).get("name") or Path(str(config["dataset"])).name
    return html_of([run], [rows], panels_of(run, rows), {
        "title": printable(name), "state": [run.state, state_text(run)],
        "about": f"{config['arch']}, {config['loss']} loss, condition: {config['condition']}, "
                 f"seed {config['seed']}",
        "verdict": _verdict(run), "tiles": _tiles(run),
        "tables": [_metrics(run), _facts(run), _commands(run), _options(run)]})


def html_of(runs, kept, panels, shown, colors=(0,)):
    """Return a page as HTML: runs with rows of their curves and colors, panels, and what else."""
    data = {**shown, "panels": panels, "written": round(time.time() * 1000),
            "running": len(runs) == 1 and runs[0].state == "running",
            "runs": [{"name": printable(run.name), "color": color, "axes": _axes(rows), **pictures}
                     for run, color, rows, pictures in zip(
                         runs, colors, kept, pictures_of(runs), strict=True)]}
    folder = Path(__file__).parent
    return html_page(folder / "page.html", folder / "page.css", [folder / "page.js"],
                     data["title"], {"data": data})


# Texts and tables


def state_text(run):
    """Return how far a run is, in words."""
    done = f"{run.epochs:,} of {run.config['epochs']:,} epochs"
    if run.state == "running" and run.epochs == run.config["epochs"]:
        return f"trained, {run.epochs:,} epochs; now exported and measured"
    return {"running": f"in training, {done} done", "finished": f"finished, {run.epochs:,} epochs",
            "stopped": f"stopped in time, {done}", "interrupted": f"interrupted, {done}",
            "diverged": f"diverged after {done}"}.get(run.state, f"unfinished, {done}")


def verdict_text(run):
    """Return the diagnosis of a run, or why there is none."""
    found = run.summary.get("verdict") or {}
    return str(run.note or found.get("finding") or NO_VERDICT.get(run.state, "no verdict"))


def _verdict(run):
    found, text = run.summary.get("verdict") or {}, verdict_text(run)
    hint = found.get("text", "") if not run.note else ""
    mood = "bad" if run.state == "diverged" else MOODS.get(found.get("kind"), "")
    return {"mood": mood, "text": text[:1].upper() + text[1:],
            "hint": hint.removeprefix(text).lstrip(". ")}


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
    real = run.measured.get("real", {})
    return tiles + [
        (metric.label, metric.show(run.generated[name]),
         f"real {metric.show(real[name])}" if name in real else "")
        for name, metric in METRICS.items() if metric.in_summary and name in run.generated]


def _metrics(run):
    real, rows = run.measured.get("real", {}), []
    for name, metric in METRICS.items():
        if name in run.generated:
            note = "; ".join(filter(None, [metric.explanation, BETTER[metric.better]]))
            rows.append([{"text": metric.label, "note": note},
                         number(metric.show(run.generated[name])),
                         number(metric.show(real[name]) if name in real else "–")])
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
        parts.append(shape_in_words(data["shape"]))
    if names := [str(name) for name in data.get("classes", ())]:
        parts.append(f"{len(names):,} classes: {listed(names, most=MOST_CLASSES)}")
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
            "rows": [[{"text": flag(name), "kind": "code"}, option_text(value)]
                     for name, value in run.config.items()],
            "notes": f"Changed on resuming: {'; '.join(changes)}." if changes else ""}


def _commands(run):
    """Return a table of the commands that resume the run and use what it made."""
    folder, more = RunFolder(run.folder), ""
    if run.state in ("finished", "diverged"):
        more = f" --epochs {2 * run.config['epochs']}"
    commands = {
        "resume": continuation(folder, run.config["devices"]) + more,
        "generate": f"{command('generate.py', folder, '--model')} --output samples.png",
        "animate": command("make_gif.py", folder, "--images"),
        "evaluate": printable(shlex.join(["python", "-m", "gan.evaluate", "--model", run.folder])),
        "this page": printable(shlex.join(["python", "-m", "gan.report", run.folder])),
    }
    return {"title": "Commands", "notes": "To be typed where this page was written.",
            "rows": [[label, {"text": text, "kind": "code"}] for label, text in commands.items()]}


def number(text, note=""):
    """Return a cell that is never broken into lines."""
    return {"text": text, "note": note, "kind": "number"}


def option_text(value):
    """Return the value of an option as text."""
    if isinstance(value, bool) or value is None:
        return {True: "on", False: "off", None: "–"}[value]
    return f"{value:g}" if isinstance(value, float) else printable(value)


def _axes(rows):
    return {"epoch": [row["epoch"] for row in rows], "step": [row["step"] for row in rows],
            "minutes": [row["seconds"] / 60 for row in rows]}
