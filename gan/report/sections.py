"""The parts of a run's page that need no script: verdict, numbers, options, commands."""

import dataclasses
import shlex

from gan.common.command_line import flag
from gan.config import GROUPS, POINTS, TrainConfig
from gan.evaluate.table import METRICS
from gan.report.words import duration, escape, number, table

BETTER = {"lower": "lower is better", "higher": "higher is better",
          "reference": "the nearer to real, the better", "": ""}
MOODS = {"good": "good", "diverged": "bad", "won": "bad", "collapse": "bad", "worse": "bad"}
NO_VERDICT = {
    "running": "in training; the verdict comes at the end",
    "interrupted": "interrupted before it could be judged",
    "unfinished": "not finished, so not judged yet",
}
# What is decided by other options or by the data, and what says nothing of the run.
DERIVED = {"condition", "gp_weight", "lr_g", "lr_d"}
MOST_CLASSES = 40  # names that are shown


def header(run):
    """Return the name of the data, what was trained, and the state of the run."""
    config = run.config
    about = (f"{config['arch']}, {config['loss']} loss, condition: {config['condition']}, "
             f"seed {config['seed']}")
    name = run.dataset.get("name") or config["dataset"].replace("\\", "/").rsplit("/", 1)[-1]
    return (f'<header><p class="over">Training of a GAN</p><h1>{escape(name)}</h1>'
            f'<p class="about">{escape(about)}</p>'
            f'<p><span class="state {run.state}">{escape(state_text(run))}</span> '
            '<span id="age" class="quiet"></span></p></header>')


def state_text(run):
    """Return in words how far a run is."""
    done = f"{run.epochs:,} of {run.config['epochs']:,} epochs"
    if run.running and run.epochs == run.config["epochs"]:
        return f"trained, {run.epochs:,} epochs; now exported and measured"
    return {"running": f"in training, {done} done", "finished": f"finished, {run.epochs:,} epochs",
            "stopped": f"stopped in time, {done}", "interrupted": f"interrupted, {done}",
            "diverged": f"diverged after {done}"}.get(run.state, f"unfinished, {done}")


def verdict(run):
    """Return the judgement of the run, and what to try."""
    found = run.summary.get("verdict") or {}
    finding, text = found.get("finding", ""), run.note or found.get("text", "")
    mood = "bad" if run.state == "diverged" else MOODS.get(found.get("kind"), "")
    if not text:
        text = NO_VERDICT.get(run.state, "no verdict")
    advice = ""
    if finding and text.startswith(finding):
        text, advice = finding, text[len(finding):].lstrip(". ")
    advice = f'<p class="quiet">{escape(advice)}</p>' if advice else ""
    return (f'<section class="verdict {mood}"><h2>Verdict</h2>'
            f'<p>{escape(text[:1].upper() + text[1:])}</p>{advice}</section>')


def tiles(run):
    """Return the few numbers that one looks for first."""
    shown = []
    if run.rows:
        last = run.rows[-1]
        shown += [("epochs", f"{run.epochs:,} <small>of {run.config['epochs']:,}</small>"),
                  ("steps", f"{last['step']:,}"),
                  ("training", duration(last["seconds"]))]
        if run.running:
            left = last["seconds"] / run.epochs * (run.config["epochs"] - run.epochs)
            shown.append(("left, about", duration(left)))
        shown.append((f"{samples_of(run)} a second", number(last["images_per_second"])))
    real = run.summary.get("metrics", {}).get("real", {})
    for name, metric in METRICS.items():
        if metric.in_summary and name in run.generated:
            beside = f" <small>real {metric.show(real[name])}</small>" if name in real else ""
            shown.append((metric.label, metric.show(run.generated[name]) + beside))
    cells = "".join(f"<div><dt>{escape(label)}</dt><dd>{value}</dd></div>"
                    for label, value in shown)
    return f'<dl class="tiles">{cells}</dl>' if cells else ""


def metrics(run):
    """Return what was measured, real samples beside it, with explanations."""
    if not run.generated:
        return ""
    found = run.summary.get("metrics", {})
    real, source = found.get("real", {}), found.get("real_source")
    described = found.get("features", {}).get("description")
    rows = []
    for name, metric in METRICS.items():
        if name in run.generated:
            meaning = metric.explanation.removesuffix("; lower is better")
            meaning = meaning[0].upper() + meaning[1:]
            better = f'<span class="quiet">{BETTER[metric.better]}</span>'
            rows.append([escape(metric.label), metric.show(run.generated[name]),
                         metric.show(real[name]) if name in real else "–",
                         f"{escape(meaning)}. {better}"])
    notes = [f"Compared in {described}."] if described else []
    notes += [f"Real: {source}."] if source else []
    note = f'<p class="quiet">{escape(" ".join(notes))}</p>' if notes else ""
    return (f'<section><h2>How near to the data</h2>'
            f'{table(["metric", "generated", "real", "meaning"], rows, "metrics")}'
            f'{note}</section>')


def device(run):
    """Return what the run computed with and how long each phase took."""
    summary = run.summary
    versions = ", ".join(f"{name} {value}" for name, value in summary.get("versions", {}).items())
    facts = [("data", _data(run)), ("device", summary.get("device")),
             ("precision", summary.get("precision")), ("versions", versions)]
    rows = [[label, escape(value)] for label, value in facts if value]
    seconds = summary.get("seconds", {})
    phases = {name: value for name, value in seconds.items()
              if name not in ("whole process", "training of the whole run")}
    longest = max(phases.values(), default=0) or 1
    bars = [[escape(name), f'<svg class="bar" viewBox="0 0 100 8" preserveAspectRatio="none" '
             f'aria-hidden="true"><rect width="{100 * value / longest:.1f}" height="8"/></svg>',
             duration(value)] for name, value in phases.items()]
    total = seconds.get("whole process")
    whole = f" ({duration(total)} in all)" if total else ""
    timed = f"<h3>Phases of the last process{whole}</h3>{table([], bars, 'bars')}" if bars else ""
    return f"<section><h2>Data and device</h2>{table([], rows)}{timed}</section>"


def _data(run):
    data = run.dataset
    count = [f"{data['samples']:,} {samples_of(run)}"] if data.get("samples") else []
    shape = [" x ".join(map(str, data["shape"]))] if len(data.get("shape", ())) == 3 else []
    names = [str(name) for name in data.get("classes", ())]
    shown = ", ".join(names[:MOST_CLASSES]) + (", …" if len(names) > MOST_CLASSES else "")
    classes = [f"{len(names):,} classes: {shown}"] if names else []
    return "; ".join([str(run.config["dataset"]), *count, *shape, *classes])


def options(run):
    """Return every option as it was used; those of `chosen_options` are marked."""
    chosen = chosen_options(run)
    how = "differ from the default" if _first_command(run) is None else "were chosen"
    parts = []
    for group, meaning in GROUPS.items():
        rows = []
        for field in dataclasses.fields(TrainConfig):
            if field.metadata["group"] == group and field.name in run.config:
                value = shown_value(run.config[field.name])
                name = f"<code>{escape(flag(field.name))}</code>"
                rows.append([name, f"<mark>{value}</mark>" if field.name in chosen else value])
        parts.append(f"<div><h3>{escape(group[0].upper() + group[1:])}: {escape(meaning)}</h3>"
                     f"{table([], rows)}</div>")
    changed = "".join(
        f"<li>step {number(change['step'])}: {escape(change['option'])} from "
        f"{escape(change['before'])} to {escape(change['now'])}</li>" for change in run.changes)
    changed = f"<h3>Changed on resuming</h3><ul>{changed}</ul>" if changed else ""
    return (f'<section><details><summary><h2>Options</h2> <span class="quiet">'
            f"{len(chosen)} of {len(run.config)} {how}</span></summary>{changed}"
            f'<div class="columns">{"".join(parts)}</div></details></section>')


def samples_of(run):
    """Return what a run's samples are called."""
    return "points" if _simulated(run) else "images"


def _simulated(run):
    return TrainConfig(dataset=str(run.config["dataset"])).simulated


def chosen_options(run):
    """Return the names of the options in the command that began the run.

    Where it is not known, those that are not at their defaults, some of which were filled in.
    """
    typed = _first_command(run)
    if typed is not None:
        words = {word.split("=")[0][2:].replace("-", "_") for word in typed
                 if word.startswith("--")}
        return words & run.config.keys()
    points = POINTS if _simulated(run) else {}
    return {field.name for field in dataclasses.fields(TrainConfig)
            if field.name in run.config and field.name not in DERIVED
            and run.config[field.name] != points.get(field.name, field.default)}


def shown_value(value):
    """Return an option's value as HTML."""
    if isinstance(value, bool) or value is None:
        return {True: "on", False: "off", None: "–"}[value]
    return escape(f"{value:g}" if isinstance(value, float) else value)


def commands(run):
    """Return what to type to repeat the run, to go on, and to use what it made."""
    where = [] if run.folder == "." else [run.folder]
    named = run.folder if where else "."
    grid = [] if _simulated(run) else ["--grid", "8x8"]
    more = [] if run.state in ("running", "stopped", "interrupted", "unfinished") else [
        "--epochs", str(2 * run.config["epochs"])]
    shown = [
        ("repeat this run", repeat_command(run)),
        ("go on", _typed("train_gan.py", "--outdir", where, "--resume", *more)),
        ("draw", _typed("generate.py", "--model", where, *grid)),
        ("make a film", _typed("make_gif.py", "--images", where, "--output", f"{named}/film.webp")),
        ("measure", f"python -m gan.evaluate --model {shlex.quote(named)}"),
        ("make this page again", f"python -m gan.report {shlex.quote(named)}"),
    ]
    rows = [[label, f"<code>{escape(text)}</code>"] for label, text in shown]
    note = ('<p class="quiet">To be typed in the project\'s folder; paths are as they were named '
            "there.</p>")
    return f'<section><h2>Commands</h2>{table([], rows, "commands")}{note}</section>'


def repeat_command(run):
    """Return the command that began the run, or one with its options where that is not known."""
    typed = _first_command(run)
    if typed is not None:
        return shlex.join(["python", "train_gan.py", *typed])
    words = ["python", "train_gan.py"]
    for name in sorted(chosen_options(run) - {"overwrite", "resume", "max_minutes"}):
        value = run.config[name]
        if value is True:
            words.append(flag(name))
        elif value is not None and value is not False:
            words.append(f"{flag(name)}={value}")
    return shlex.join(words)


def _first_command(run):
    """Return the arguments of the command that began the run, or None if they are not known."""
    try:
        typed = shlex.split(str(run.summary.get("command", "")))
    except ValueError:  # somebody changed it
        return None
    if len(typed) > 1 and "--resume" not in typed and typed[1].endswith("train_gan.py"):
        return typed[2:]
    return None


def _typed(script, option, where, *words):
    return shlex.join(["python", script, *([option, *where] if where else []), *words])
