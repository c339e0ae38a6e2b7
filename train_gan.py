#!/usr/bin/env python3
"""Train a generator and a discriminator against each other.

    python train_gan.py                      # MNIST, about two minutes on two cores
    python train_gan.py --resume             # continue an interrupted run
    python train_gan.py --help               # every option
"""

if __name__ == "__main__":
    from gan.common.errors import exit_on_interrupt

    exit_on_interrupt("train_gan.py")

import dataclasses
import shlex
import sys
import time
from pathlib import Path

from gan.common.errors import UserError, run_script
from gan.config import TrainConfig

EXIT_DIVERGED = 1


def main():
    """Run from the command line; returns the exit code."""
    began = time.monotonic()
    config, given = TrainConfig.from_arguments()

    from gan.run.folder import RunFolder

    folder = RunFolder(config.outdir)
    if config.dry_run:
        return train(config, given, folder, began)
    with folder.locked():
        return train(config, given, folder, began)


def train(config, given, folder, began):
    """Load, build, train, export, summarise.

    Args:
        config: `TrainConfig` from the command line.
        given: names of the options that were given there.
        folder: `RunFolder`, locked unless this is a dry run.
        began: `time.monotonic()` at the start of the script.

    Returns:
        The exit code.
    """
    config, arrays, about = take_up(config, given, folder)
    dataset, conditioning = load_data(config, arrays, about)
    trainer = build_networks(config, dataset, conditioning, arrays, about)
    config = trainer.config  # with what depends on the samples
    print(f"output      {'this folder' if str(folder.path) == '.' else folder.path}", flush=True)
    if config.dry_run:
        trainer.generator.summary(line_length=90)
        trainer.discriminator.summary(line_length=90)
        print("dry run: everything fits; nothing was trained or written")
        return 0

    from gan.measure.verdict import diverged
    from gan.run.loop import DivergedError
    from gan.run.signals import StopRequest

    if about is None:
        folder.clear()
    deadline = began + 60 * config.max_minutes if config.max_minutes else None
    with StopRequest(deadline) as stop:
        loop = prepare_loop(config, dataset, trainer, folder, about)
        try:
            finished = loop.run(stop)
        except DivergedError as error:
            print(f"train_gan.py: stopped, the last checkpoint is kept; "
                  f"{diverged(error, config)}", file=sys.stderr)
            return EXIT_DIVERGED
        finally:
            loop.progress.close()
    if stop.signal and not finished:
        print(f"interrupted at step {int(trainer.step)}; saved. "
              f"To continue: {command('train_gan.py --resume', folder)}")
        return 128 + stop.signal

    figures = loop.figures()
    export(config, dataset, loop, figures)
    if not finished:
        print("time is up: ", end="")
    summarise(config, loop, figures, finished, time.monotonic() - began)
    return 0


def take_up(config, given, folder):
    """Find out whether a run is begun or continued.

    Returns:
        `(config, arrays, about)`: for `--resume` the continued configuration
        and the content of the checkpoint; else the given one, None and None.

    Raises:
        UserError: when a run lies in the folder that is neither to be continued
            nor overwritten, or one is to be continued and there is none.
    """
    if not config.dry_run:
        folder.check()
    if not config.resume:
        if folder.holds_run() and not config.overwrite and not config.dry_run:
            raise UserError(
                f"--outdir: {folder.path} holds a run; expected --resume to continue it, "
                "--overwrite to replace it, or another folder"
            )
        return config, None, None

    from gan.run.checkpoint import load_newest

    arrays, about = load_newest(
        folder.checkpoints, lambda text: print(f"warning: {text}", file=sys.stderr)
    )
    continued = config.continued(about["config"], given)
    before = about["config"]["epochs"]
    if continued.epochs != before and continued.lr_decay > 0:
        print(f"note: the rates now fall towards epoch {continued.epochs}, not {before}")
    return continued, arrays, about


def load_data(config, arrays, about):
    """Load the images and give each its condition, or take that from the checkpoint."""
    from gan.data.conditioning import Conditioning, condition_dataset
    from gan.data.datasets import NAMES, load_dataset

    source, outdir = Path(config.dataset).resolve(), Path(config.outdir).resolve()
    if config.dataset not in NAMES and source.is_dir() and (
            source == outdir or source in outdir.parents):
        raise UserError(f"--outdir: expected a folder outside of the data in {config.dataset}, as "
                        f"the next run would take its pictures for data, got: {config.outdir}")
    dataset = load_dataset(config.dataset, config.image_size, config.channels, config.skip_broken)
    count = len(dataset.samples)
    shape = " x ".join(map(str, dataset.sample_shape))
    what = "points" if config.simulated else f"images of {shape}"
    kinds = f"{len(dataset.class_names)} classes" if dataset.class_names else "no labels"
    print(f"data        {dataset.name}: {count:,} {what}, {kinds}", flush=True)
    if config.batch_size > count:
        raise UserError(f"--batch-size: expected at most {count}, the number of training samples, "
                        f"got: {config.batch_size}")
    if about is None:
        conditioning = condition_dataset(dataset, config.condition, config.clusters, config.seed)
    elif about["dataset"] != dataset.fingerprint:
        raise UserError(f"--dataset: {config.dataset} no longer holds the images that the "
                        "run to resume was trained on")
    else:
        conditioning = Conditioning.from_arrays(arrays, count)
    print(f"condition   {conditioning.describe()}", flush=True)
    return dataset, conditioning


def build_networks(config, dataset, conditioning, arrays, about):
    """Start TensorFlow and build the networks, with the checkpoint's state if there is one."""
    from gan.common.device import find_device, import_tensorflow, memory_bytes

    import_tensorflow(config.verbose)
    device = find_device(config.mixed_precision)
    if about and about["policy"] != device.policy:  # begun on another machine
        device = device._replace(policy=about["policy"], why="as the run was begun")

    from gan.run.checkpoint import assign_variables
    from gan.training import Trainer

    streamed = dataset.samples.nbytes > config.memory_share * memory_bytes()
    trainer = Trainer(config, dataset, conditioning, device.policy, streamed)
    if arrays is not None:
        assign_variables(trainer.variables(), arrays)
    step, steps = int(trainer.step), config.epochs * trainer.steps_per_epoch
    print(f"device      {device.name}")
    print(f"precision   {device.policy} ({device.why})")
    if streamed:
        print(f"images      {dataset.samples.nbytes / 2**30:.2g} GiB, streamed from the disk")
    print(f"networks    {config.arch}: generator {trainer.generator.count_params():,} parameters, "
          f"discriminator {trainer.discriminator.count_params():,}")
    print(f"plan        {config.epochs} epochs, {steps:,} steps of {config.batch_size} images"
          + (f", {step:,} of them done" if step else ""))
    return trainer


def prepare_loop(config, dataset, trainer, folder, about):
    """Put together what the epochs write to, and write what is known before the first."""
    from gan.common.files import write_text
    from gan.drawing import images
    from gan.measure.evaluators import evaluator_for
    from gan.run.board import Board
    from gan.run.gallery import gallery_for
    from gan.run.history import History
    from gan.run.loop import Loop
    from gan.run.progress import Progress

    write_text(folder.config, config.to_json())
    gallery = gallery_for(trainer, dataset, config.num_samples)
    images.write_png(folder.real_samples, gallery.real())
    return Loop(
        config, trainer, folder,
        history=History(about["history"] if about else None),
        progress=Progress(config.epochs, trainer.steps_per_epoch, config.batch_size,
                          int(trainer.step)),
        board=Board(folder.tensorboard if config.tensorboard else None),
        gallery=gallery,
        evaluator=evaluator_for(dataset, train=config.metrics_interval > 0),
        fingerprint=dataset.fingerprint,
    )


def export(config, dataset, loop, figures):
    """Write the SavedModel of the averaged generator."""
    from gan.export import export_generator

    export_generator(loop.folder.export, loop.trainer.average, loop.trainer.conditioning, {
        "dataset": dataset.name,
        "sample_shape": list(dataset.sample_shape),
        "latent_dim": config.latent_dim,
        "class_names": list(dataset.class_names),
        "extent": dataset.extent,
        "epochs": len(loop.history.rows),
        "steps": int(loop.trainer.step),
        "metrics": figures,
        "config": dataclasses.asdict(config),
    })


def summarise(config, loop, figures, finished, seconds):
    """Print what came out, what was written, and what to do next."""
    from gan.measure.verdict import judge

    folder, rows = loop.folder, loop.history.rows
    print(f"trained {len(rows)} of {config.epochs} epochs, {int(loop.trainer.step):,} steps; "
          f"{seconds:.0f} s in all")
    if rows:
        print(f"losses      discriminator {rows[-1]['discriminator_loss']:.3f}, "
              f"generator {rows[-1]['generator_loss']:.3f} (mean of the last epoch)")
    floor = loop.evaluator.floor() or {}
    names = {"modes": "modes", "good": "good points", "kl": "KL", "frechet": "Fréchet distance",
             "precision": "precision", "recall": "recall"}
    print("quality     " + ", ".join(
        f"{text} {figures[name]:.4g}" + (f" (real {floor[name]:.4g})" if floor else "")
        for name, text in names.items() if name in figures))
    if rows:
        now = rows[-1] | figures | {"step": int(loop.trainer.step)}
        print(f"verdict     {judge([*rows[:-1], now], floor, config.loss)}")
    written = [("pictures", folder.images), ("history", folder.history),
               ("curves", folder.loss_curves), ("checkpoint", folder.checkpoints),
               ("generator", folder.export)]
    for name, path in written:
        if path.exists():
            print(f"{name:11} {path}")
    print("\nnext:")
    draw = "generate.py" if config.simulated else "generate.py --grid 8x8"
    print(f"  {command(draw, folder, '--model', folder.export)}")
    print(f"  {command('make_gif.py', folder, '--images', folder.images)}")
    if not finished:
        print(f"  {command('train_gan.py --resume', folder)}")


def command(text, folder, option="--outdir", value=None):
    """Return a command to type, with the folder where it is not the default."""
    if str(folder.path) == ".":
        return f"python {text}"
    return f"python {text} {option} {shlex.quote(str(value or folder.path))}"


if __name__ == "__main__":
    run_script("train_gan.py", main)
