"""The epoch loop: train, look, note, save."""

import dataclasses
import gc
import time

import numpy as np

from gan.drawing import images
from gan.measure.evaluators import draw_samples
from gan.run.checkpoint import save_checkpoint
from gan.run.curves import draw_curves
from gan.run.history import COLUMNS
from gan.run.progress import in_calls
from gan.training import GRADIENTS, MEASURES

LEAST_SCALE = 2.0**-10  # of the loss in float16; a healthy run stays above 1


class DivergedError(Exception):
    """A quantity is no longer a number; the message names it and the step."""


class Loop:
    """Advances a run to its last epoch and writes what each epoch leaves."""

    def __init__(self, config, trainer, folder, history, progress, board, gallery, evaluator,
                 fingerprint):
        """
        Args:
            config: `TrainConfig`.
            trainer: `Trainer`.
            folder: `RunFolder`, locked.
            history: `History`.
            progress: `Progress`.
            board: `Board`.
            gallery: what the pictures are drawn by, see `gallery_for`.
            evaluator: what the samples are measured by, see `evaluator_for`.
            fingerprint: of the data set, kept in checkpoints.
        """
        self.config, self.trainer, self.folder = config, trainer, folder
        self.history, self.progress, self.board = history, progress, board
        self.gallery, self.evaluator, self.fingerprint = gallery, evaluator, fingerprint

    def run(self, stop):
        """Train until the last epoch is done or `stop` is requested.

        Args:
            stop: a `StopRequest`, looked at after every call of the train step.

        Returns:
            True when the last epoch is done.

        Raises:
            DivergedError: when a loss or gradient is not finite; the last
                checkpoint stays.
        """
        step, per_epoch = int(self.trainer.step), self.trainer.steps_per_epoch
        if step == 0:
            self._picture(0)
            self.save()
        gc.freeze()  # what is there stays, and need not be looked at again below
        for epoch in range(step // per_epoch + 1, self.config.epochs + 1):
            done = int(self.trainer.step) - (epoch - 1) * per_epoch
            for batches in in_calls(self.trainer.epoch_batches(epoch)[done:]):
                self._train(epoch, batches)
                if stop.requested and int(self.trainer.step) < epoch * per_epoch:
                    self.save()
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
        measures = np.array(self.trainer.train(batches))
        seconds = time.perf_counter() - began
        self._check(measures)
        self.history.add_steps(measures, seconds)
        self.progress.update(epoch, measures)

    def _check(self, measures):
        """Raise a `DivergedError` for what is not a number, or a loss scale without end."""
        step, wrong = int(self.trainer.step), ~np.isfinite(measures)
        scale = self.trainer.loss_scale()
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
        row = self.history.finish_epoch(epoch, int(self.trainer.step), config.batch_size)
        interval = config.metrics_interval
        if last or (interval and epoch % interval == 0):
            row |= self._measure()
        self.progress.epoch_line(row)
        self.board.scalars({name: row[name] for name in row if name != "epoch"}, epoch)
        if epoch % config.sample_interval == 0 or last:
            self._picture(epoch)
        self.history.write_csv(self.folder.history)
        draw_curves(self.folder.loss_curves, self.history.rows, config)

    def figures(self):
        """Return the metrics of the generator as it is now."""
        last = self.history.rows[-1] if self.history.rows else {}
        if last.get("step") == int(self.trainer.step) and last.keys() - set(COLUMNS):
            return {name: value for name, value in last.items() if name not in COLUMNS}
        return self._measure()

    def _measure(self):
        return self.evaluator.measure(draw_samples(self.trainer.draw, self.evaluator.count))

    def _picture(self, epoch):
        picture = self.gallery.draw()
        images.write_png(images.epoch_picture(self.folder.images, epoch), picture)
        self.board.image("generated", picture, epoch)
