"""Report of a run, rewritten while the run goes on."""

import dataclasses
import sys
import time
import traceback

from gan.common.errors import UserError
from gan.common.files import write_text
from gan.report.content import RUNNING, RunContent, existing, name_of, pictures_in, read_run
from gan.report.page import page_of
from gan.report.pictures import Embedded

LEAST_SECONDS = 1.0  # between two reports; epochs may be shorter


class LiveReport:
    """Writes report.html; an error in it never ends the run."""

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
            note: text about the state.
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
                write_text(self._folder.claim(self._folder.report),
                           page_of([run], self._embedded))
        except Exception as error:  # a page is no reason to lose hours of training
            self._warn(error)
        self._written = time.monotonic()

    def _content(self, state, note):
        summary = {name: value for name, value in self._about.items() if name != "dataset"}
        seconds = {name: round(value, 2) for name, value in self._phases.seconds.items()}
        return RunContent(
            name=name_of(self._folder.path), folder=str(self._folder.path),
            config=dataclasses.asdict(self._config), changes=self._history.changes,
            rows=self._history.rows, step=self._history.step,
            summary=summary | {"seconds": seconds}, dataset=self._about["dataset"],
            pictures=pictures_in(self._folder.images), real=existing(self._folder.real_samples),
            state=state, note=note)

    def _warn(self, error):
        """Print what went wrong, once; a defect of this project with its traceback."""
        if str(error) == self._told:
            return
        self._told = str(error)
        print(f"warning: {self._folder.report.name} could not be written: {error}",
              file=sys.stderr, flush=True)
        if not isinstance(error, UserError | OSError):
            traceback.print_exception(error, file=sys.stderr)
