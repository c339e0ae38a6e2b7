"""The epoch loop: train, look, note, save."""

import dataclasses
import time

import numpy as np

from gan import images, plots
from gan.checkpoint import save_checkpoint
from gan.evaluate import COUNT, draw_images
from gan.history import COLUMNS
from gan.progress import in_calls
from gan.training import MEASURES


class DivergedError(Exception):
    """A loss is no longer a number; the message names the step and the quantity."""


class Loop:
    """Advances a run to its last epoch and writes what each epoch leaves."""

    def __init__(self, config, trainer, folder, history, progress, board, evaluator,
                 fingerprint):
        """
        Args:
            config: `TrainConfig`.
            trainer: `Trainer`.
            folder: `RunFolder`, locked.
            history: `History`.
            progress: `Progress`.
            board: `Board`.
            evaluator: `Evaluator`, or None to measure nothing.
            fingerprint: of the data set, kept in checkpoints.
        """
        self.config, self.trainer, self.folder = config, trainer, folder
        self.history, self.progress, self.board = history, progress, board
        self.evaluator, self.fingerprint = evaluator, fingerprint
        self.samples = trainer.picture_samples(config.num_samples)
        self.title = f"{config.dataset}, {config.arch}, {config.loss}, seed {config.seed}"

    def run(self, stop):
        """Train until the last epoch is done or `stop` is requested.

        Args:
            stop: a `StopRequest`, looked at after every call of the train step.

        Returns:
            True when the last epoch is done.

        Raises:
            DivergedError: when a loss is not finite; the last checkpoint stays.
        """
        step, per_epoch = int(self.trainer.step), self.trainer.steps_per_epoch
        if step == 0:
            self._picture(0)
            self.save()
        for epoch in range(step // per_epoch + 1, self.config.epochs + 1):
            done = int(self.trainer.step) - (epoch - 1) * per_epoch
            for batches in in_calls(self.trainer.epoch_batches(epoch)[done:]):
                self._train(epoch, batches)
                if stop.requested and int(self.trainer.step) < epoch * per_epoch:
                    self.save()
                    return False
            self._finish_epoch(epoch)
            if stop.requested:
                self.save()
                return epoch == self.config.epochs
        return True

    def save(self):
        """Write a checkpoint of the run as it is now."""
        arrays = {name: value.numpy() for name, value in self.trainer.variables().items()}
        arrays |= self.trainer.conditioning.to_arrays()
        save_checkpoint(self.folder.checkpoints, arrays, {
            "step": int(self.trainer.step),
            "config": dataclasses.asdict(self.config),
            "policy": self.trainer.policy,
            "dataset": self.fingerprint,
            "history": self.history.to_dict(),
        })

    def _train(self, epoch, batches):
        began = time.perf_counter()
        measures = self.trainer.train(batches).numpy()
        seconds = time.perf_counter() - began
        if not np.isfinite(measures).all():
            first, column = np.argwhere(~np.isfinite(measures))[0]
            step = int(self.trainer.step) - len(measures) + int(first) + 1
            value = measures[first, column]
            raise DivergedError(f"{MEASURES[column]} became {value} at step {step}")
        self.history.add_steps(measures, seconds)
        self.progress.update(epoch, measures)

    def _finish_epoch(self, epoch):
        config, last = self.config, epoch == self.config.epochs
        row = self.history.finish_epoch(epoch, int(self.trainer.step), config.batch_size)
        interval = config.metrics_interval
        if self.evaluator and (last or (interval and epoch % interval == 0)):
            row |= self._measure()
        self.progress.epoch_line(row)
        self.board.scalars({name: row[name] for name in row if name != "epoch"}, epoch)
        if epoch % config.sample_interval == 0 or last:
            self._picture(epoch)
        self.history.write_csv(self.folder.history)
        plots.plot_losses(self.folder.loss_curves, self.history.rows, self.title)
        if epoch % config.checkpoint_interval == 0 or last:
            self.save()

    def figures(self):
        """Return the metrics of the generator as it is now, empty without an evaluator."""
        if self.evaluator is None:
            return {}
        last = self.history.rows[-1] if self.history.rows else {}
        if last.get("step") == int(self.trainer.step) and "frechet" in last:
            return {name: value for name, value in last.items() if name not in COLUMNS}
        return self._measure()

    def _measure(self):
        return self.evaluator.measure(draw_images(self.trainer.draw, COUNT))

    def _picture(self, epoch):
        sheet = images.sheet(images.to_uint8(self.trainer.sample(*self.samples)))
        images.write_png(images.epoch_picture(self.folder.images, epoch), sheet)
        self.board.image("generated", sheet, epoch)
