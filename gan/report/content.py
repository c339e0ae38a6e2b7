"""What the report of a run is made from."""

from dataclasses import dataclass, field
from pathlib import Path

RUNNING = "running"


@dataclass(frozen=True)
class RunContent:
    """Everything that a report shows of one run; all of it is data and may hold any text.

    Attributes:
        name: of the run, for comparisons.
        folder: the run's folder as in commands to type.
        config: dict, see `TrainConfig`.
        changes: list of dict, the options that were changed on resuming.
        rows: list of dict, the history, one an epoch.
        summary: dict, see `gan.run.summary`; while a run goes on without its verdict and metrics.
        dataset: dict of "name", "samples", "shape" and "classes", as far as known.
        pictures: list of (epoch, step, path), ascending; the step is 0 after an epoch.
        real: path of the picture of real samples, or None.
        state: "running", "finished", "stopped" by its time limit, "interrupted", "diverged" or
            "unfinished".
        note: what to say of the state, such as why a run diverged.
    """

    name: str
    folder: str
    config: dict
    changes: list = field(default_factory=list)
    rows: list = field(default_factory=list)
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
        """How many epochs are done."""
        return self.rows[-1]["epoch"] if self.rows else 0

    @property
    def steps_per_epoch(self):
        """How long an epoch is, or None before the first is done."""
        return self.rows[-1]["step"] / self.rows[-1]["epoch"] if self.rows else None

    @property
    def generated(self):
        """The last metrics of generated samples: dict of name → number, empty if not measured."""
        from gan.evaluate.table import METRICS

        found = self.summary.get("metrics", {}).get("generated")
        if found:
            return found
        measured = [row for row in self.rows if METRICS.keys() & row.keys()]
        return {name: measured[-1][name] for name in METRICS if name in measured[-1]} if (
            measured) else {}
