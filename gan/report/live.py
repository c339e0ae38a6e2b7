"""The report of a run: read from its folder, and rewritten while it goes on."""

import csv
import dataclasses
import os
import sys
import time
import traceback
from pathlib import Path

from gan.common.errors import UserError, reading
from gan.common.files import finite, read_json, write_text
from gan.common.leftovers import is_alive
from gan.config import check_saved
from gan.metadata import read_metadata
from gan.report.content import RUNNING, RunContent
from gan.report.curves import NETWORKS, SCORES
from gan.report.pictures import Embedded
from gan.report.single import page_of
from gan.run.folder import RunFolder
from gan.run.ownership import EPOCH_PICTURE, OPTIONS, SUMMARY

LEAST_SECONDS = 1.0  # between two reports; epochs may be shorter
COLUMNS = {"epoch", "step", "seconds", "images_per_second", *NETWORKS, *SCORES}


class LiveReport:
    """Rewrites report.html while a run goes on; what goes wrong with it never ends the run."""

    def __init__(self, folder, config, history, phases, about):
        """
        Args:
            folder: `RunFolder`, locked.
            config: `TrainConfig`.
            history: `History`.
            phases: `Phases`.
            about: dict with "dataset", see `RunContent`, and "device", "precision",
                "versions" and "command", see `gan.run.summary`.
        """
        self._folder, self._config, self._history = folder, config, history
        self._phases, self._about = phases, about
        self._embedded, self._written, self._told = Embedded(), None, None

    def write(self, state=RUNNING, note="", at_once=False):
        """Write the report as the run is now, at most once a second.

        Args:
            state: see `RunContent`; None: as the run's folder says.
            note: what to say of the state.
            at_once: write it even within the second.
        """
        now = time.monotonic()
        if state == RUNNING and not at_once and self._written and (
                now - self._written < LEAST_SECONDS):
            return
        try:
            with self._phases("report"):
                run = self._content(state, note) if state else dataclasses.replace(
                    read_run(self._folder.path), dataset=self._about["dataset"])
                write_text(self._folder.report, page_of(run, self._embedded))
        except Exception as error:  # a page is no reason to lose hours of training
            self._warn(error)
        self._written = time.monotonic()

    def _content(self, state, note):
        summary = {key: self._about[key] for key in ("device", "precision", "versions", "command")}
        seconds = {name: round(value, 2) for name, value in self._phases.seconds.items()}
        return RunContent(
            name=name_of(self._folder.path), folder=str(self._folder.path),
            config=dataclasses.asdict(self._config), changes=self._history.changes,
            rows=self._history.rows, summary=summary | {"seconds": seconds},
            dataset=self._about["dataset"], pictures=pictures_in(self._folder.images),
            real=_existing(self._folder.real_samples), state=state, note=note,
        )

    def _warn(self, error):
        """Say what went wrong, once; a defect of this project with its traceback."""
        if str(error) == self._told:
            return
        self._told = str(error)
        print(f"warning: {self._folder.report.name} could not be written: {error}",
              file=sys.stderr, flush=True)
        if not isinstance(error, UserError | OSError):
            traceback.print_exception(error, file=sys.stderr)


def read_run(path):
    """Read what a run left in its folder.

    Args:
        path: the run's folder.

    Returns:
        `RunContent`.

    Raises:
        UserError: when no run of this project lies there, or a file of it is broken.
    """
    folder = RunFolder(path)
    config = _read_json(folder.config, OPTIONS)
    changes = config.pop("changes", [])
    try:
        config = check_saved(config)
    except UserError as error:
        raise UserError(f"{folder.config}: expected the options of a run ({error})") from error
    rows, summary = read_history(folder.history), {}
    if folder.summary.exists():
        summary = _read_json(folder.summary, SUMMARY)
        if not _is_summary(summary):
            raise UserError(f"{folder.summary}: expected the summary of a run, got another file")
    if summary and summary.get("epochs") != len(rows):  # the run was continued since
        summary = {}
    return RunContent(
        name=name_of(path), folder=str(path), config=config, changes=changes, rows=rows,
        summary=summary, dataset=_dataset_of(folder.export),
        pictures=pictures_in(folder.images), real=_existing(folder.real_samples),
        state=_state(folder, summary, len(rows), config["epochs"]),
    )


def read_history(path):
    """Read history.csv.

    Returns:
        list of dict of name → number, as `History.rows`; empty where there is none.

    Raises:
        UserError: when it is broken.
    """
    if not path.exists():
        return []
    with reading(path, "the history of a run"):
        with open(path, newline="", encoding="utf-8") as file:
            rows = [_numbers(row) for row in csv.DictReader(file)]
        if not all(row.keys() >= COLUMNS and row["epoch"] > 0 for row in rows):
            raise ValueError("columns are missing")
        return rows


def pictures_in(folder):
    """Return (epoch, step, path) of a run's pictures in their order; the step is 0 after an epoch.

    Args:
        folder: of the pictures; it need not exist.
    """
    found = []
    for name in os.listdir(folder) if os.path.isdir(folder) else ():
        if match := EPOCH_PICTURE.fullmatch(name):
            found.append((int(match[1]), int(match[2] or 0), Path(folder) / name))
    return sorted(found)


def name_of(path):
    """Return what a run is called: the name of its folder."""
    return Path(os.path.abspath(path)).name or str(path)


def _numbers(row):
    whole = {"epoch", "step", "modes", "classes"}
    return {name: value if name == "changed" else (int if name in whole else finite)(value)
            for name, value in row.items() if value != ""}


def _read_json(path, names):
    if not path.exists():
        raise UserError(f"{path.parent}: expected the folder of a run, got one without "
                        f"{path.name}")
    content = read_json(path, f"the {path.stem} of a run")
    if not content.keys() >= names:
        raise UserError(f"{path}: expected the {path.stem} of a run, got another file")
    return content


def _is_summary(summary):
    """Whether `gan.run.summary.summary_of` could have written this, as far as a page needs it."""
    metrics, verdict = summary["metrics"], summary["verdict"]
    numbers = [summary["seconds"]]
    if isinstance(metrics, dict):
        numbers += [metrics.get("generated"), metrics.get("real")]
    return (len(numbers) == 3 and isinstance(verdict, dict | None)
            and isinstance(metrics.get("features", {}), dict)
            and isinstance(summary.get("versions", {}), dict)
            and all(isinstance(each, dict) for each in numbers)
            and all(type(value) in (int, float) for each in numbers for value in each.values()))


def _dataset_of(export):
    """What an export says of its data; nothing where there is none."""
    try:
        metadata = read_metadata(export)
    except UserError:
        return {}
    return {"name": metadata.get("dataset"), "shape": metadata["sample_shape"],
            "classes": metadata["class_names"]}


def _existing(path):
    return path if path.is_file() else None


def _state(folder, summary, done, epochs):
    process = folder.training_process()
    if process and is_alive(process):
        return RUNNING
    if not summary or summary.get("finished") != (done == epochs):  # more epochs were begun
        return "unfinished"
    return "finished" if done == epochs else "stopped"
