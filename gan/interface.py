"""Python interface: train a run, load it again, draw from it."""

import contextlib
import dataclasses
import functools
import os
from pathlib import Path

import numpy as np

from gan.common.errors import UserError
from gan.config import FIELDS
from gan.data.datasets import PICTURE_OPTIONS, from_arrays
from gan.data.points import box_of
from gan.drawing.images import tile
from gan.generator import SavedGenerator
from gan.run.clock import Timers
from gan.run.content import OWN, read_run
from gan.run.exported import METADATA
from gan.run.folder import RunFolder
from gan.run.options import check_options, make_config

ARRAY = "array"  # the name of data that are handed over


def train(data=None, *, labels=None, loss=None, generator=None, discriminator=None, **options):
    """Train a generator and a discriminator as `train_gan.py` does, and return the `Run`.

    Data are a name or path (None: MNIST), or images [N, H, W(, C)], uint8 or floats in [0, 1] or
    [-1, 1], with `labels` [N], or points [N, 2] or [N, 1]. The loss is a name or a `gan.Loss`;
    generator and discriminator may be Keras models (docs/python.md). Options are those of
    `train_gan.py`, with underscores; `config="run/config.json"` takes the rest from a run. Wrong
    ones raise `UserError`. With `dry_run=True` nothing is trained or returned.
    """
    timers, arrays = Timers(), None
    if data is None or isinstance(data, (str, os.PathLike)):
        if labels is not None:
            raise UserError("labels: expected an array of images with them, got the name of data, "
                            "which have their own")
        options |= {} if data is None else {"dataset": os.fspath(data)}
    else:
        arrays = {"images": np.asarray(data)}
        arrays |= {} if labels is None else {"labels": np.asarray(labels)}
        if of_pictures := sorted(options.keys() & PICTURE_OPTIONS):
            raise UserError(f"{of_pictures[0]}: expected the name of pictures with it, got an "
                            "array of images")
        options["dataset"] = ARRAY
    if (generator is None) != (discriminator is None):
        raise UserError("generator and discriminator: expected both models or none")
    if generator is not None:
        options["arch"] = OWN
        if not options.get("resume"):
            options.setdefault("latent_dim", int(generator.input_shape[-1]))
    if loss is not None:
        options["loss"] = loss if isinstance(loss, str) else OWN
    options.setdefault("outdir", ".")
    for name in {"outdir", "init_from"} & options.keys():
        options[name] = os.path.expanduser(options[name])
    with contextlib.ExitStack() as stack:
        if loss is not None and not isinstance(loss, str):
            from gan.losses import LOSSES

            LOSSES[OWN] = loss
            stack.callback(LOSSES.pop, OWN)
        if generator is not None:
            from gan.models import ARCHITECTURES, Architecture

            ARCHITECTURES[OWN] = Architecture(generator, discriminator, ("images", "points"))
            stack.callback(ARCHITECTURES.pop, OWN)
        check_options({name: value for name, value in options.items() if name != "config"
                       and not (name in FIELDS and value is FIELDS[name].default)})
        config, dataset = make_config(**options), None
        if arrays:
            config = dataclasses.replace(config, dataset=ARRAY)
            dataset = from_arrays(ARRAY, "data", arrays, config.range, config.transpose)
        from gan.runner import run

        code = run(config, set(options) - {"config"}, timers, dataset)
    if code >= 128:  # Ctrl-C; what was trained is saved
        raise KeyboardInterrupt
    return None if config.dry_run else Run(config.outdir)


def load(path):
    """Return the `Run` in a folder, or that of an exported model."""
    return Run(path)


class Run:
    """A run in its folder, or an exported model that is all there is of it.

    `config` is a dict of the options as used, `history` of columns with a value per epoch,
    `metrics` of numbers; `verdict` is "" before the end; `generator` draws with `sample(seeds)`.
    """

    def __init__(self, path):
        self.folder, files = Path(path), RunFolder(path)
        self._export = files.export if files.export.exists() else self.folder
        self.history, self.verdict = {}, ""
        if files.config.exists():
            content = read_run(self.folder)
            self.config, self.metrics, rows = content.config, content.generated, content.rows
            columns = dict.fromkeys(name for row in rows for name in row)
            self.history = {name: [row.get(name) for row in rows] for name in columns}
            if verdict := content.summary.get("verdict"):
                self.verdict = verdict["text"]
        elif (self._export / METADATA).exists():
            about = self.generator.metadata
            self.config, self.metrics = about["config"], about["metrics"]
        else:
            raise UserError(f"{path}: expected the folder of a run or of an exported model")

    def __repr__(self):
        return f"Run({str(self.folder)!r}): {self.verdict or 'not finished'}"

    @functools.cached_property
    def generator(self):
        return SavedGenerator(self._export)

    def show(self, rows=8, columns=8):
        """Draw samples of the seeds from 0 up (2,000 points); returns a Matplotlib figure.

        Images of a labeled run show a class per row, in turn.
        """
        from matplotlib import pyplot

        from gan.drawing.plots import point_plot

        generator, classes = self.generator, self.generator.metadata["classes"]
        if len(generator.sample_shape) == 1:
            points = generator.sample(range(2000))
            size, image = (5, 5), point_plot(box_of(generator.metadata), generated=points)
        else:
            labels = np.resize(classes, rows).repeat(columns) if classes else None
            images = generator.sample(range(rows * columns), labels)
            size, image = (columns, rows), tile(images, columns)
        figure, axes = pyplot.subplots(figsize=size)
        axes.imshow(image, cmap="gray", vmin=0, vmax=255)
        axes.axis("off")
        pyplot.close(figure)  # a notebook shows what a cell returns, and not twice
        return figure
