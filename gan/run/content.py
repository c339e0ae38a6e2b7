"""Content of a run's folder."""

import csv
import os
from dataclasses import dataclass, field
from pathlib import Path

from gan.common.errors import UserError, reading
from gan.common.files import finite, open_own, read_json
from gan.drawing.images import pictures_in
from gan.evaluate.registry import METRICS
from gan.run.folder import RunFolder
from gan.run.options import run_options

OWN = "own"  # the name of a loss or an architecture that `gan.train` was given
WHOLE = {"epoch", "step", "modes", "classes"}  # columns of whole numbers


@dataclass(frozen=True)
class RunContent:
    """What is known of one run; all of it is data and may hold any text."""

    name: str
    folder: str  # as in commands to type
    config: dict  # see `gan.config.TrainConfig`
    changes: list = field(default_factory=list)  # dict, the options changed on resuming
    rows: list = field(default_factory=list)  # the history, one dict per epoch
    log: list = field(default_factory=list)  # the rows of steps.csv, see `History`
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
    def step(self):
        """Number of steps, as far as they are known."""
        latest = [row["step"] for row in (*self.rows[-1:], *self.log[-1:])]
        return self.summary.get("steps") or max(latest, default=0)

    @property
    def samples(self):
        """What the samples are called."""
        return "images" if self.config["image_size"] else "points"

    @property
    def measured(self):
        """Dict of "generated", "real", "real_source", "features"; empty if not measured."""
        return self.summary.get("metrics", {})

    @property
    def generated(self):
        """Latest metrics of generated samples: dict of name → number, empty if not measured."""
        rows = [row for row in self.rows if METRICS.keys() & row.keys()]
        latest = {name: rows[-1][name] for name in METRICS if name in rows[-1]} if rows else {}
        return self.measured.get("generated") or latest


def read_run(path):
    """Return the `RunContent` of a folder; `UserError` without a run, or for a damaged file."""
    folder = RunFolder(path)
    if not folder.config.exists():
        raise UserError(f"{path}: expected the folder of a run, got one without config.json")
    config = read_json(folder.config, "the options of a run")
    changes = config.pop("changes", [])
    own = {name: config.pop(name) for name in ("loss", "arch") if config.get(name) == OWN}
    try:
        config = run_options(config) | own
    except UserError as error:
        raise UserError(f"{folder.config}: expected the options of a run ({error})") from error
    rows, summary = read_history(folder.history), {}
    if folder.summary.exists():
        summary = read_json(folder.summary, "the summary of a run")
    with reading(path, "the files of a run"):
        if summary.get("epochs") != len(rows):  # the run was resumed since
            summary = {}
        return RunContent(
            name=Path(os.path.abspath(path)).name or str(path), folder=str(path),
            config=config, changes=changes, summary=summary, rows=rows,
            log=read_history(folder.steps, {"step"}), pictures=pictures_in(folder.images),
            real=folder.real_samples,
            state=_state(folder, summary, len(rows), config["epochs"]))


def read_history(path, whole=WHOLE):
    """Return the rows of history.csv or steps.csv, dicts of numbers; none without the file."""
    if not path.exists():
        return []
    with (reading(path, "the history of a run"),
          open(open_own(path, follow=True), newline="", encoding="utf-8") as file):
        return [{name: value if name == "changed" else (int if name in whole else finite)(value)
                 for name, value in row.items() if value != ""} for row in csv.DictReader(file)]


def _state(folder, summary, done, epochs):
    if folder.in_training():
        return "running"
    if not summary or summary["finished"] != (done == epochs):  # more epochs were begun
        return "unfinished"
    return "finished" if done == epochs else "stopped"
