"""Content of a report, from the folder of a run or from a run that goes on."""

import csv
import dataclasses
import os
import sys
import time
import traceback
from dataclasses import dataclass, field
from pathlib import Path

from gan.common.errors import UserError, reading
from gan.common.files import finite, read_json, write_text
from gan.config import check_options
from gan.data.points import DISTRIBUTIONS
from gan.evaluate.registry import METRICS
from gan.report.page import page_of
from gan.run.folder import EPOCH_PICTURE, RunFolder

LEAST_SECONDS = 1.0  # between two reports; epochs may be shorter
WHOLE = {"epoch", "step", "modes", "classes"}


@dataclass(frozen=True)
class RunContent:
    """Everything that a report shows of one run; all of it is data and may hold any text."""

    name: str
    folder: str  # as in commands to type
    config: dict  # see `gan.config.TrainConfig`
    changes: list = field(default_factory=list)  # dict, the options changed on resuming
    rows: list = field(default_factory=list)  # the history, one dict per epoch
    log: list = field(default_factory=list)  # the rows of steps.csv, see `StepLog`
    step: int = 0  # those of an unfinished epoch included
    # See `gan.run.summary`; without verdict and metrics while the run goes on.
    summary: dict = field(default_factory=dict)
    pictures: list = field(default_factory=list)  # see `pictures_in`
    real: Path | None = None  # picture of real samples; it need not exist
    # "running", "finished", "stopped" (by its time limit), "interrupted", "diverged", "unfinished"
    state: str = "unfinished"
    note: str = ""  # about the state, such as why a run diverged

    @property
    def epochs(self):
        """Number of finished epochs."""
        return self.rows[-1]["epoch"] if self.rows else 0

    @property
    def samples(self):
        """What the samples are called."""
        return "points" if self.config["dataset"] in DISTRIBUTIONS else "images"

    @property
    def measured(self):
        """Dict of "generated", "real", "real_source", "features"; empty if not measured."""
        return self.summary.get("metrics", {})

    @property
    def generated(self):
        """Latest metrics of generated samples: dict of name → number, empty if not measured."""
        rows = [row for row in self.rows if METRICS.keys() & row.keys()]
        return self.measured.get("generated") or (rows[-1] if rows else {})


class LiveReport:
    """Rewrites report.html while a run goes on; an error in it never ends the run."""

    def __init__(self, folder, config, history, log, timers, about):
        """Take the parts of a run, and `about` it what `gan.run.summary.circumstances` returns."""
        self._folder, self._config, self._history, self._log = folder, config, history, log
        self._timers, self._about = timers, about
        self._written, self._warned = -LEAST_SECONDS, None

    def write(self, state="running", note="", at_once=False):
        """Write the report as the run is now, at most once a second.

        Args:
            state: see `RunContent`; None: as the run's folder says.
            note: text about the state.
            at_once: write it even within the second.
        """
        if state == "running" and not at_once and (
                time.monotonic() - self._written < LEAST_SECONDS):
            return
        try:
            with self._timers("report"):
                run = self._content(state, note) if state else read_run(self._folder.path)
                write_text(self._folder.claim(self._folder.report), page_of([run]))
        except Exception as error:  # a page is no reason to lose hours of training
            if str(error) != self._warned:
                self._warned = str(error)
                print(f"warning: {self._folder.report.name} could not be written: {error}",
                      file=sys.stderr, flush=True)
                if not isinstance(error, UserError | OSError):  # a defect of this project
                    traceback.print_exception(error, file=sys.stderr)
        self._written = time.monotonic()

    def _content(self, state, note):
        folder, history = self._folder, self._history
        return RunContent(
            name=name_of(folder.path), folder=str(folder.path),
            config=dataclasses.asdict(self._config), changes=history.changes, rows=history.rows,
            log=self._log.rows, step=history.step, state=state, note=note,
            summary=self._about | {"seconds": self._timers.seconds},
            pictures=pictures_in(folder.images), real=folder.real_samples)


def read_run(path):
    """Read a `RunContent` from the folder of a run.

    Raises:
        UserError: when there is no run of this project, or a file of it is damaged.
    """
    folder = RunFolder(path)
    if not folder.config.exists():
        raise UserError(f"{path}: expected the folder of a run, got one without config.json")
    config = read_json(folder.config, "the options of a run")
    changes = config.pop("changes", [])
    try:
        config = check_options(config)
    except UserError as error:
        raise UserError(f"{folder.config}: expected the options of a run ({error})") from error
    rows, summary = read_history(folder.history), {}
    if folder.summary.exists():
        summary = read_json(folder.summary, "the summary of a run")
    with reading(path, "the files of a run"):
        if summary.get("epochs") != len(rows):  # the run was resumed since
            summary = {}
        return RunContent(
            name=name_of(path), folder=str(path), config=config, changes=changes, rows=rows,
            log=read_history(folder.steps, {"step"}),
            step=summary.get("steps") or (rows[-1]["step"] if rows else 0), summary=summary,
            pictures=pictures_in(folder.images), real=folder.real_samples,
            state=_state(folder, summary, len(rows), config["epochs"]))


def read_history(path, whole=WHOLE):
    """Read history.csv or steps.csv into rows of numbers; an absent file has no rows.

    Args:
        path: the file.
        whole: names of the columns of whole numbers.
    """
    if not path.exists():
        return []
    with reading(path, "the history of a run"), open(path, newline="", encoding="utf-8") as file:
        return [{name: value if name == "changed" else (int if name in whole else finite)(value)
                 for name, value in row.items() if value != ""} for row in csv.DictReader(file)]


def pictures_in(folder):
    """Return (epoch, step, path) of a run's pictures, ascending; the step is 0 after an epoch."""
    names = os.listdir(folder) if os.path.isdir(folder) else ()
    found = [(EPOCH_PICTURE.fullmatch(name), Path(folder) / name) for name in names]
    return sorted((int(match[1]), int(match[2] or 0), path) for match, path in found if match)


def name_of(path):
    """Return what a run is called: the name of its folder."""
    return Path(os.path.abspath(path)).name or str(path)


def _state(folder, summary, done, epochs):
    if folder.in_training():
        return "running"
    if not summary or summary["finished"] != (done == epochs):  # more epochs were begun
        return "unfinished"
    return "finished" if done == epochs else "stopped"
