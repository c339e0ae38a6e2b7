"""Epoch loop of a run: train, draw, log and save; at the end export, measure and judge."""

import contextlib
import dataclasses
import sys
import time

import numpy as np

from gan.common.command_line import say
from gan.common.errors import UserError, reading, warn
from gan.common.files import write_json
from gan.drawing import images
from gan.drawing.sample_grids import pictures_of
from gan.evaluate.evaluator import Drawn
from gan.evaluate.registry import summary_lines
from gan.export import add_metadata, export_generator
from gan.report.page import LiveReport
from gan.run.checkpoint import Checkpoint, assign_variables, environment, load_checkpoint
from gan.run.history import AUGMENTATION, History, TensorBoard, metrics_in
from gan.run.progress import Progress, in_calls
from gan.run.summary import circumstances, continuation, print_summary, summary_of
from gan.run.verdict import HINTS, Verdict, best_row, checked, verdict_of

EXIT_DIVERGED = 1
FIRST_PICTURE = 4  # steps, before which nothing but noise is to be seen


class Loop:
    """Advances a run to its last epoch and writes what each epoch leaves."""

    def __init__(self, trainer, sampler, dataset, evaluator, device, folder, timers,
                 checkpoint=None, changes=None):
        self.config = config = trainer.config
        self.trainer, self.state, self.sampler = trainer, trainer.state, sampler
        self.dataset, self.evaluator, self.device = dataset, evaluator, device
        self.folder, self.timers = folder, timers

        with reading(folder.checkpoints, "a checkpoint of this version"):
            self.history = History(config.log_interval, trainer.feed.steps_per_epoch,
                                   self.state.learning_rates, checkpoint and checkpoint.history)
        self.history.note_changes(int(self.state.step), changes or {})
        changed = {"changes": self.history.changes} if self.history.changes else {}
        write_json(folder.claim(folder.config), dataclasses.asdict(config) | changed)
        self.pictures = pictures_of(dataset, sampler, self.state.discriminator,
                                    config.num_samples, self.state.log_odds)
        images.write_png(folder.claim(folder.real_samples), self.pictures.real())

        self.progress = Progress(config.epochs, trainer.feed.steps_per_epoch, config.batch_size,
                                 int(self.state.step), unit=sampler.kind.unit,
                                 log_odds=self.state.log_odds)
        self.tensorboard = TensorBoard(folder, config)
        self.report = LiveReport(folder, self.history, timers,
                                 circumstances(device, dataset, config))
        if checkpoint and checkpoint.config != dataclasses.asdict(config):
            self.save()  # so that what was changed is in force when this process is killed

    def run(self, stop):
        """Train until the last epoch is done, which returns True, or `stop` is requested."""
        config, state, feed = self.config, self.state, self.trainer.feed
        per_epoch, step = feed.steps_per_epoch, int(state.step)

        # The untrained generator, as epoch 0.
        if step == 0:
            self._draw(0)
            self.save()
        elif self.history.rows and self.history.rows[-1]["step"] == step:
            self._keep_best()  # --keep-best may be new
        self.report.write()

        for epoch in range(step // per_epoch + 1, config.epochs + 1):
            # Train. Calls of half a second let the bar move and a wish to stop be heeded.
            begun, end = int(state.step), epoch * per_epoch
            early = early_steps(begun, end) if epoch == 1 and not self.dataset.box else []
            batches = feed.epoch_batches(epoch)[begun - end :]
            for part in np.split(batches, [step - begun for step in early]):
                for call in in_calls(part):
                    self._train(epoch, call)
                    step = int(state.step)
                    if step in early:  # before a checkpoint of this step, which would skip it
                        self._draw(0, step)
                    if stop.requested and step < end:
                        self.save()
                        return False

            # Log the epoch. The last one is measured when all is saved and exported.
            last, stopped = epoch == config.epochs, stop.requested
            row = self.history.finish_epoch(epoch, end, config.batch_size)
            if state.augmentation is not None:
                row[AUGMENTATION] = float(state.augmentation)
            if config.metrics_interval and epoch % config.metrics_interval == 0 and not last:
                row |= self._measure()
                self._keep_best()
            self.progress.epoch_line(row)
            self.tensorboard.scalars(metrics_in(row), end)

            # Draw and save.
            if last or epoch % config.sample_interval == 0:
                self._draw(epoch)
            self.history.write(self.folder)
            self.report.write(at_once=last)
            if last or stopped or epoch % config.checkpoint_interval == 0:
                self.save()
            if stopped:
                return last
        return True

    def finish(self, finished):
        """Export the generator, measure it, judge the run and print what came out."""
        config, folder, rows = self.config, self.folder, self.history.rows

        # Export first: measuring takes longer, and may be interrupted.
        self._export()
        say("measuring", f"{self.evaluator.count:,} generated {self.evaluator.samples}")
        metrics = self._last_metrics() if finished else self._measure()
        verdict = None
        if rows:
            now = rows[-1] | metrics | {"step": int(self.state.step)}
            verdict = verdict_of([*rows[:-1], now], self.evaluator.real(), config)

        # With --keep-best an earlier generator may be the one to export.
        if best := self._restore_best():
            metrics = metrics_in(best)
            self._export(best)
        add_metadata(folder.export, {"metrics": metrics, "features": self.evaluator.features()})

        summary = summary_of(self, metrics, verdict, finished, self.device)
        write_json(folder.claim(folder.summary), summary)
        if best:
            say("exported", f"epoch {best['epoch']}, the best of those that were measured")
        self.report.write(state=None)
        print_summary(summary, summary_lines(metrics, self.evaluator), config, folder)

    def save(self):
        with self.timers("checkpoints"):
            self.checkpoint().save(self.folder)

    def checkpoint(self):
        """Return the `Checkpoint` of the run as it is now."""
        return Checkpoint(
            step=int(self.state.step), config=dataclasses.asdict(self.config),
            dataset=self.dataset.fingerprint,
            history=self.history.to_dict(),
            variables={name: value.numpy() for name, value in self.state.variables().items()},
            conditions=self.sampler.conditioning.to_arrays(), environment=environment())

    def report_divergence(self, error):
        """Say what became of a run that was stopped by itself; returns the exit code."""
        verdict = Verdict("diverged", f"diverged: {error}", HINTS["diverged"])
        print(f"train_gan.py: stopped, the last checkpoint is kept; {verdict}", file=sys.stderr)
        self.report.write("diverged", str(verdict))
        return EXIT_DIVERGED

    def report_interrupt(self):
        self.report.write("interrupted")
        print(f"interrupted at step {int(self.state.step):,}; saved. To continue:\n"
              f"  {continuation(self.folder, self.config.devices)}", flush=True)

    def _train(self, epoch, batches):
        began = time.perf_counter()
        with self.timers("training"):
            measures = np.array(self.trainer.train(batches))
        seconds = time.perf_counter() - began
        measures = checked(measures, int(self.state.step), self.state.loss_scale())
        for row in self.history.add_steps(int(self.state.step), measures, seconds):
            self.tensorboard.scalars(
                {name: row[name] for name in row if name not in ("step", "seconds")}, row["step"])
        self.progress.update(epoch, measures)

    def _draw(self, epoch, step=None):
        """Write the sample grid after an epoch, or after a step of the first one."""
        with self.timers("pictures"):
            picture = self.pictures.draw()
            path = images.epoch_picture(self.folder.images, epoch, step)
            images.write_png(self.folder.claim(path), picture)
            self.tensorboard.image("generated", picture, int(self.state.step))

    def _measure(self):
        with self.timers("metrics"):
            self.history.compare_in(self.evaluator.features()["kind"])
            return self.evaluator.measure(Drawn(self.sampler.draw, self.evaluator.count,
                                                shape=self.dataset.sample_shape))

    def _last_metrics(self):
        """Measure the last epoch, unless a process did that this one continues."""
        self.history.compare_in(self.evaluator.features()["kind"])
        last = self.history.rows[-1]
        if not metrics_in(last):
            last |= self._measure()
            self.tensorboard.scalars(metrics_in(last), last["step"])
            self._keep_best()
            self.history.write(self.folder)
            self.save()
        return metrics_in(last)

    def _export(self, row=None):
        """Write the SavedModel of the EMA generator, of an earlier epoch if a row is given."""
        dataset = self.dataset
        with self.timers("export"):
            self.folder.check()
            export_generator(self.folder.export, self.sampler, {
                "dataset": dataset.name,
                "fingerprint": dataset.fingerprint,
                "sample_shape": list(dataset.sample_shape),
                **(dataset.box._asdict() if dataset.box else {}),
                "latent_dim": self.config.latent_dim,
                "class_names": list(dataset.class_names),
                "epochs": row["epoch"] if row else len(self.history.rows),
                "steps": row["step"] if row else int(self.state.step),
                "metrics": {},
                "config": dataclasses.asdict(self.config),
            }, self.folder.claim)

    def _keep_best(self):
        rows = self.history.rows
        if self.config.keep_best and rows and best_row(rows) is rows[-1]:
            self.checkpoint().write(self.folder.claim(self.folder.best))

    def _restore_best(self):
        """Set the EMA to the best epoch's and return that epoch's row; None if it is the last."""
        row = best_row(self.history.rows)
        if not self.config.keep_best or row is None or row["step"] == int(self.state.step):
            return None
        with contextlib.suppress(UserError):  # none, or a damaged one
            saved = load_checkpoint(self.folder.best)
            if saved.step == row["step"]:
                ema = {name: variable for name, variable in self.state.variables().items()
                       if name.startswith("ema/")}
                assign_variables(ema, {name: saved.variables[name] for name in ema})
                return row
        warn(f"epoch {row['epoch']} was the best, but --keep-best was not in force then; exporting "
             "the last one")
        return None


def early_steps(begun, end):
    """Return the steps between two with a sample grid, each √2 times as far as the last."""
    steps = np.rint(FIRST_PICTURE * 2 ** np.arange(0, 30, 0.5)).astype(int)
    return steps[(begun < steps) & (steps < end)].tolist()
