"""Content of a run's report, read from the run's folder."""

import csv
import os
from dataclasses import dataclass, field
from pathlib import Path

from gan.common.errors import UserError, reading
from gan.common.files import finite, read_json
from gan.common.leftovers import is_alive
from gan.config import TrainConfig, check_saved
from gan.evaluate.registry import METRICS
from gan.metadata import read_metadata
from gan.report.curves import NETWORKS, SCORES
from gan.run.folder import EPOCH_PICTURE, RunFolder

RUNNING = "running"
COLUMNS = {"epoch", "step", "seconds", "images_per_second", *NETWORKS, *SCORES}
WHOLE = {"epoch", "step", "modes", "classes"}


@dataclass(frozen=True)
class RunContent:
    """Everything that a report shows of one run; all of it is data and may hold any text.

    Attributes:
        name: of the run, for comparisons.
        folder: the run's folder, as in commands to type.
        config: dict, see `TrainConfig`.
        changes: list of dict, the options that were changed on resuming.
        rows: list of dict, the history, one row per epoch.
        step: steps taken, those of an unfinished epoch included.
        summary: dict, see `gan.run.summary`; without verdict and metrics while the run goes on.
        dataset: dict of "name", "samples", "shape" and "classes", as far as known.
        pictures: list of (epoch, step, path), ascending; the step is 0 after an epoch.
        real: path of the picture of real samples, or None.
        state: "running", "finished", "stopped" (by its time limit), "interrupted", "diverged"
            or "unfinished".
        note: text about the state, such as why a run diverged.
    """

    name: str
    folder: str
    config: dict
    changes: list = field(default_factory=list)
    rows: list = field(default_factory=list)
    step: int = 0
    summary: dict = field(default_factory=dict)
    dataset: dict = field(default_factory=dict)
    pictures: list = field(default_factory=list)
    real: Path | None = None
    state: str = "unfinished"
    note: str = ""

    @property
    def running(self):
        """Whether the run goes on, so that the page reloads itself."""
        return self.state == RUNNING

    @property
    def epochs(self):
        """Number of finished epochs."""
        return self.rows[-1]["epoch"] if self.rows else 0

    @property
    def samples(self):
        """What the samples are called."""
        simulated = TrainConfig(dataset=str(self.config["dataset"])).simulated
        return "points" if simulated else "images"

    @property
    def measured(self):
        """What was measured: dict of "generated", "real", "real_source", "features"."""
        return self.summary.get("metrics", {})

    @property
    def generated(self):
        """Latest metrics of generated samples: dict of name → number, empty if not measured."""
        rows = [row for row in self.rows if METRICS.keys() & row.keys()]
        return self.measured.get("generated") or (rows[-1] if rows else {})


def read_run(path):
    """Read a `RunContent` from the folder of a run.

    Raises:
        UserError: when there is no run of this project, or a file of it is damaged.
    """
    folder = RunFolder(path)
    if not folder.config.exists():
        raise UserError(f"{path}: expected the folder of a run, got one without config.json")
    with reading(folder.config, "the options of a run"):
        config = read_json(folder.config, "the options of a run")
        changes = [{name: change[name] for name in ("step", "option", "before", "now")}
                   for change in config.pop("changes", [])]
        config = _checked(folder.config, config)
    rows, summary = read_history(folder.history), _read_summary(folder.summary)
    if summary.get("epochs") != len(rows):  # the run was resumed since
        summary = {}
    return RunContent(
        name=name_of(path), folder=str(path), config=config, changes=changes, rows=rows,
        step=summary.get("steps") or (rows[-1]["step"] if rows else 0), summary=summary,
        dataset=_dataset_of(folder.export), pictures=pictures_in(folder.images),
        real=existing(folder.real_samples),
        state=_state(folder, summary, len(rows), config["epochs"]))


def _checked(path, config):
    try:
        return check_saved(config)
    except UserError as error:
        raise UserError(f"{path}: expected the options of a run ({error})") from error


def read_history(path):
    """Read history.csv into the rows of `History`; an absent file has no rows."""
    if not path.exists():
        return []
    with reading(path, "the history of a run"), open(path, newline="", encoding="utf-8") as file:
        rows = [_numbers(row) for row in csv.DictReader(file)]
        if not all(row.keys() >= COLUMNS and row["epoch"] > 0 for row in rows):
            raise ValueError("columns are missing")
        return rows


def pictures_in(folder):
    """Return (epoch, step, path) of a run's pictures, ascending; the step is 0 after an epoch."""
    found = []
    for name in os.listdir(folder) if os.path.isdir(folder) else ():
        if match := EPOCH_PICTURE.fullmatch(name):
            found.append((int(match[1]), int(match[2] or 0), Path(folder) / name))
    return sorted(found)


def name_of(path):
    """Return what a run is called: the name of its folder."""
    return Path(os.path.abspath(path)).name or str(path)


def existing(path):
    """Return a path if there is a file, else None."""
    return path if path.is_file() else None


def _read_summary(path):
    """Read summary.json with every number that a page shows as a number; {} if absent."""
    if not path.exists():
        return {}
    with reading(path, "the summary of a run"):
        summary = read_json(path, "the summary of a run")
        metrics, verdict = summary["metrics"], summary["verdict"]
        measured = {name: {key: float(value) for key, value in metrics[name].items()}
                    for name in ("generated", "real")}
        features = {name: str(value) for name, value in metrics.get("features", {}).items()}
        return {**summary, "steps": int(summary["steps"]), "command": str(summary["command"]),
                "seconds": {name: float(value) for name, value in summary["seconds"].items()},
                "versions": dict(summary.get("versions", {})),
                "verdict": verdict and {name: str(value) for name, value in verdict.items()},
                "metrics": {**metrics, **measured, "features": features}}


def _numbers(row):
    return {name: value if name == "changed" else (int if name in WHOLE else finite)(value)
            for name, value in row.items() if value != ""}


def _dataset_of(export):
    try:
        metadata = read_metadata(export)
    except UserError:
        return {}
    return {"name": metadata.get("dataset"), "shape": metadata["sample_shape"],
            "classes": metadata["class_names"]}


def _state(folder, summary, done, epochs):
    process = folder.training_process()
    if process and is_alive(process):
        return RUNNING
    if not summary or summary.get("finished") != (done == epochs):  # more epochs were begun
        return "unfinished"
    return "finished" if done == epochs else "stopped"
