"""The epoch loop: train, draw, note, save."""

import contextlib
import gc
import sys
import time

import numpy as np

from gan.common.device import hidden_messages
from gan.common.errors import UserError
from gan.drawing import images
from gan.evaluate.evaluator import Drawn
from gan.evaluate.registry import distance_of
from gan.run.checkpoint import assign_variables, load_checkpoint, take_checkpoint
from gan.run.curves import LiveCurves
from gan.run.history import AUGMENTATION, CHANGED, metrics_in
from gan.run.progress import in_calls
from gan.training import GRADIENTS, MEASURES

FIRST_PICTURE = 4  # steps, before which nothing but noise is to be seen
LEAST_SCALE = 2.0**-10  # of the loss in float16; a healthy run stays above 1


class DivergedError(Exception):
    """A quantity is no longer a number; the message names it and the step."""


def best_row(rows):
    """Return the first row of the history nearest to the data; None if none was measured."""
    measured = [row for row in rows if distance_of(row) is not None]
    return min(measured, key=distance_of, default=None)


def early_steps(end):
    """Return the steps before `end`, √2 times as far each, at which most of the change is seen."""
    steps, step = [], float(FIRST_PICTURE)
    while round(step) < end:
        steps.append(round(step))
        step *= 2**0.5
    return steps


class Loop:
    """Advances a run to its last epoch and writes what each epoch leaves."""

    def __init__(self, trainer, sampler, dataset, folder, history, progress, board, pictures,
                 evaluator, phases, report):
        """
        Args:
            trainer: `Trainer`.
            sampler: `Sampler` of the EMA generator.
            dataset: `Dataset` or `PointDataset` that is learned.
            folder: `RunFolder`, locked.
            history: `History`.
            progress: `Progress`.
            board: `Board`.
            pictures: what draws the epoch pictures, see `gan.drawing.sample_grids`.
            evaluator: an `Evaluator` of the samples.
            phases: `Phases`.
            report: `LiveReport`.
        """
        self.config, self.trainer, self.state = trainer.config, trainer, trainer.state
        self.sampler, self.dataset, self.folder = sampler, dataset, folder
        self.history, self.progress, self.board = history, progress, board
        self.pictures, self.evaluator = pictures, evaluator
        self.phases, self.report = phases, report
        self.curves = LiveCurves(folder, history, self.config, phases)
        self._tracing = True  # until the first call of the train step

    def run(self, stop):
        """Train until the last epoch is done or `stop` is requested.

        Args:
            stop: a `StopRequest`, read after every call of the train step.

        Returns:
            True when the last epoch is done.

        Raises:
            DivergedError: when a loss or gradient is not finite; the last
                checkpoint stays.
        """
        feed = self.trainer.feed
        step, per_epoch = int(self.state.step), feed.steps_per_epoch
        if step == 0:
            self._picture(0)
            self.save()
        elif self.history.rows and self.history.rows[-1]["step"] == step:
            self._keep_best()  # --keep-best may be new
        self.report.write()
        gc.freeze()  # what is there stays, and need not be searched again below
        for epoch in range(step // per_epoch + 1, self.config.epochs + 1):
            begun = int(self.state.step)
            drawn = [at for at in self._early_steps(epoch) if at > begun]
            batches = feed.epoch_batches(epoch)[begun - (epoch - 1) * per_epoch :]
            for part in np.split(batches, [at - begun for at in drawn]):
                if not self._train_part(epoch, part, drawn, stop):
                    return False
            last = epoch == self.config.epochs
            self._finish_epoch(epoch, last)
            gc.collect()  # the plots' parts refer to each other, and would pile up
            stopped = stop.requested
            if last or stopped or epoch % self.config.checkpoint_interval == 0:
                self.save()
            if stopped:
                return last
        return True

    def save(self):
        """Write a checkpoint of the run as it is now."""
        with self.phases("checkpoints"):
            self.checkpoint().save(self.folder)

    def checkpoint(self):
        """Return the `Checkpoint` of the run as it is now."""
        return take_checkpoint(self.state, self.sampler.conditioning, self.config,
                               self.dataset.fingerprint, self.history)

    def metrics(self, finished):
        """Measure the generator as it is now.

        At the end of a run that becomes part of the history's last row; what a
        process measured that this one continues is not measured again.

        Args:
            finished: whether the last epoch is done.

        Returns:
            dict of name → number, without those that could not be computed.
        """
        if not finished:  # an uninterrupted run would not measure here
            self.curves.draw(at_once=True)
            return self._measure()
        last = self.history.rows[-1]
        self.history.compare_in(self.evaluator.features()["kind"])
        if not metrics_in(last):
            last |= self._measure()
            self.board.scalars(metrics_in(last), last["epoch"])
            self._keep_best()
            self.history.write_csv(self.folder.claim(self.folder.history))
            self.curves.draw(at_once=True)
            self.save()
        return metrics_in(last)

    def restore_best(self):
        """Set the EMA generator to the best measured epoch's, with `--keep-best`.

        Returns:
            That epoch's row of the history; None if it is as it is now, or if
            the best one was not kept.
        """
        row = best_row(self.history.rows)
        if not self.config.keep_best or row is None or row["step"] == int(self.state.step):
            return None
        try:
            saved = load_checkpoint(self.folder.best)
        except UserError:
            saved = None
        if saved is None or saved.step != row["step"]:
            print(f"warning: epoch {row['epoch']} was the best, but --keep-best was not in force "
                  "then; exporting the last one", file=sys.stderr)
            return None
        average = {name: variable for name, variable in self.state.variables().items()
                   if name.startswith("average/")}
        assign_variables(average, {name: saved.variables[name] for name in average})
        return row

    def _keep_best(self):
        rows = self.history.rows
        if self.config.keep_best and rows and best_row(rows) is rows[-1]:
            self.checkpoint().write(self.folder.claim(self.folder.best))

    def _train_part(self, epoch, batches, drawn, stop):
        """Train on a part of an epoch; returns False if the run was stopped in it.

        Args:
            epoch: its number.
            batches: array [steps, batch], up to a picture or the epoch's end.
            drawn: list of the steps at which there is a picture within the epoch.
            stop: `StopRequest`.
        """
        for call in in_calls(batches):
            self._train(epoch, call)
            step = int(self.state.step)
            if step in drawn:  # before a checkpoint of this step, which would pass it over
                self._picture(epoch - 1, step)
            if stop.requested and step < epoch * self.trainer.feed.steps_per_epoch:
                self.save()
                return False
        return True

    def _early_steps(self, epoch):
        """Steps within an epoch at which there is a picture: of images, in the first one."""
        early = epoch == 1 and not self.config.simulated
        return early_steps(self.trainer.feed.steps_per_epoch) if early else []

    def _train(self, epoch, batches):
        began = time.perf_counter()
        # While it traces the first call, TensorFlow before 2.21 writes that its remapper failed.
        quiet = self._tracing and not self.config.verbose
        self._tracing = False
        with self.phases("training"), hidden_messages() if quiet else contextlib.nullcontext():
            measures = np.array(self.trainer.train(batches))
        seconds = time.perf_counter() - began
        self._check(measures)
        self.history.add_steps(measures, seconds)
        self.progress.update(epoch, measures)

    def _check(self, measures):
        """Raise a `DivergedError` for what is not a number, or a loss scale without end."""
        step, wrong = int(self.state.step), ~np.isfinite(measures)
        scale = self.state.loss_scale()
        if scale is not None:
            # An overflow of float16 skips the step and halves the scale: no defect.
            measures[:, GRADIENTS][wrong[:, GRADIENTS]] = 0
            wrong[:, GRADIENTS] = False
            if scale < LEAST_SCALE:
                raise DivergedError(f"the loss scale fell to {scale:g} by step {step}, as every "
                                    "gradient overflows float16")
        if wrong.any():
            first, column = np.argwhere(wrong)[0]
            raise DivergedError(f"{MEASURES[column]} became {measures[first, column]} at step "
                                f"{step - len(measures) + int(first) + 1}")

    def _finish_epoch(self, epoch, last):
        config = self.config
        row = self.history.finish_epoch(epoch, int(self.state.step), config.batch_size)
        if self.state.augmentation is not None:
            row[AUGMENTATION] = float(self.state.augmentation)
        # The last epoch is measured when all is saved and exported.
        if config.metrics_interval and epoch % config.metrics_interval == 0 and not last:
            row |= self._measure()
            self._keep_best()
        self.progress.epoch_line(row)
        self.board.scalars({name: row[name] for name in row if name not in ("epoch", CHANGED)},
                           epoch)
        if epoch % config.sample_interval == 0 or last:
            self._picture(epoch)
        self.history.write_csv(self.folder.claim(self.folder.history))
        if not last:  # the last epoch's curves are drawn when it is measured
            self.curves.draw()
        self.report.write(at_once=last)

    def _measure(self):
        with self.phases("metrics"):
            self.history.compare_in(self.evaluator.features()["kind"])
            return self.evaluator.measure(Drawn(self.sampler.draw, self.evaluator.count,
                                                shape=self.dataset.sample_shape))

    def _picture(self, epoch, step=None):
        with self.phases("pictures"):
            picture = self.pictures.draw()
            path = images.epoch_picture(self.folder.images, epoch, step)
            images.write_png(self.folder.claim(path), picture)
            if step is None:  # what TensorBoard shows is counted in epochs
                self.board.image("generated", picture, epoch)
