#!/usr/bin/env python3
"""Train a generator and a discriminator against each other.

    python train_gan.py                      # MNIST, about two minutes on two cores
    python train_gan.py --resume             # continue an interrupted run
    python train_gan.py --help               # every option
"""

import sys
import time

from gan.config import TrainConfig
from gan.errors import UserError, run_script

EXIT_DIVERGED = 1


def main():
    """Run from the command line; returns the exit code."""
    began = time.monotonic()
    config, given = TrainConfig.from_arguments()

    from gan.run_folder import RunFolder

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
        folder: `RunFolder`, locked.
        began: `time.monotonic()` at the start of the script.

    Returns:
        The exit code.
    """
    config, saved = take_up(config, given, folder)

    from gan.conditioning import Conditioning, condition_dataset
    from gan.datasets import load_dataset

    dataset = load_dataset(config.dataset)
    if config.batch_size > len(dataset.images):
        raise UserError(
            f"--batch-size: expected at most {len(dataset.images)}, the number of training "
            f"images, got: {config.batch_size}"
        )
    fingerprint = dataset.fingerprint()
    if saved:
        arrays, about = saved
        if about["dataset"] != fingerprint:
            raise UserError(f"--dataset: {config.dataset} no longer holds the images that the "
                            "run to resume was trained on")
        conditioning = Conditioning.from_arrays(arrays)
    else:
        conditioning = condition_dataset(dataset, config.condition, config.clusters, config.seed)

    from gan.device import find_device, import_tensorflow

    import_tensorflow(config.verbose)
    device = find_device(config.mixed_precision)

    from gan.training import Trainer

    trainer = Trainer(config, dataset, conditioning, device.policy)
    describe(config, dataset, conditioning, device, trainer, folder)
    if config.dry_run:
        trainer.generator.summary(line_length=90)
        trainer.discriminator.summary(line_length=90)
        print("dry run: everything fits; nothing was trained or written")
        return 0

    from gan import images
    from gan.board import Board
    from gan.checkpoint import assign_variables
    from gan.evaluate import Evaluator, judge_for
    from gan.files import write_text
    from gan.history import History
    from gan.loop import DivergedError, Loop
    from gan.progress import Progress
    from gan.signals import StopRequest

    if saved:
        assign_variables(trainer.variables(), arrays)
    else:
        folder.clear()
    history = History(about["history"] if saved else None)
    write_text(folder.config, config.to_json())
    examples = dataset.images[trainer.epoch_batches(1)[0]][: config.num_samples]
    images.write_png(folder.real_samples, images.sheet(examples))
    progress = Progress(config.epochs, trainer.steps_per_epoch, config.batch_size,
                        int(trainer.step))
    board = Board(folder.tensorboard if config.tensorboard else None)
    judge = judge_for(dataset, train=config.metrics_interval > 0)
    evaluator = Evaluator(dataset, judge) if judge else None
    loop = Loop(config, trainer, folder, history, progress, board, evaluator, fingerprint)
    deadline = began + 60 * config.max_minutes if config.max_minutes else None
    try:
        with StopRequest(deadline) as stop:
            finished = loop.run(stop)
    except DivergedError as error:
        print(f"train_gan.py: stopped: {error}. The last checkpoint and its pictures are kept; "
              "try a lower --lr.", file=sys.stderr)
        return EXIT_DIVERGED
    finally:
        progress.close()
    if stop.signal and not finished:
        print(f"interrupted at step {int(trainer.step)}; saved. "
              f"To continue: {command('train_gan.py --resume', folder)}")
        return 128 + stop.signal

    figures, floor = loop.figures(), evaluator.floor() if evaluator else None
    export(config, dataset, conditioning, trainer, history, figures, folder)
    if not finished:
        print("time is up: ", end="")
    print(f"trained {len(history.rows)} of {config.epochs} epochs, {int(trainer.step):,} steps")
    summarise(history, figures, floor, folder, finished, time.monotonic() - began)
    return 0


def take_up(config, given, folder):
    """Find out whether a run is begun or continued.

    Returns:
        `(config, saved)`: for `--resume` the continued configuration and the
        checkpoint's `(arrays, about)`; else the given one and None.

    Raises:
        UserError: when a run lies in the folder that is neither to be continued
            nor overwritten, or one is to be continued and there is none.
    """
    if not config.resume:
        if folder.holds_run() and not config.overwrite and not config.dry_run:
            raise UserError(
                f"--outdir: {folder.path} holds a run; expected --resume to continue it, "
                "--overwrite to replace it, or another folder"
            )
        return config, None

    from gan.checkpoint import load_newest

    arrays, about = load_newest(
        folder.checkpoints, lambda text: print(f"warning: {text}", file=sys.stderr)
    )
    continued = config.continued(about["config"], given)
    if "epochs" in given and continued.epochs != about["config"]["epochs"] \
            and continued.lr_decay > 0:
        print(f"note: the rates now fall towards epoch {continued.epochs}, "
              f"not {about['config']['epochs']}")
    return continued, (arrays, about)


def describe(config, dataset, conditioning, device, trainer, folder):
    """Print what is going to happen."""
    height, width, channels = dataset.image_shape
    kinds = f", {len(dataset.class_names)} classes" if dataset.class_names else ", no labels"
    told = {True: "within the labels", False: "of the images"}[conditioning.class_of is not None]
    print(f"device      {device.name}")
    print(f"precision   {device.policy} ({device.why})")
    print(f"data        {dataset.name}: {len(dataset.images):,} images of {height} x {width} x "
          f"{channels}{kinds}")
    print("condition   " + (f"{conditioning.count} clusters {told}" if conditioning.count > 1
                            else "none"))
    print(f"networks    {config.arch}: generator {trainer.generator.count_params():,} parameters, "
          f"discriminator {trainer.discriminator.count_params():,}")
    print(f"plan        epochs {int(trainer.step) // trainer.steps_per_epoch + 1} to "
          f"{config.epochs}, {trainer.steps_per_epoch:,} steps of {config.batch_size} images each")
    print(f"output      {folder.path.resolve()}", flush=True)


def export(config, dataset, conditioning, trainer, history, figures, folder):
    """Write the SavedModel of the averaged generator."""
    import dataclasses

    from gan.export import export_generator

    export_generator(folder.export, trainer.average, conditioning, {
        "dataset": dataset.name,
        "image_shape": list(dataset.image_shape),
        "latent_dim": config.latent_dim,
        "class_names": list(dataset.class_names),
        "epochs": len(history.rows),
        "steps": int(trainer.step),
        "metrics": figures,
        "config": dataclasses.asdict(config),
    })


def summarise(history, figures, floor, folder, finished, seconds):
    """Print what came out, what was written, and what to do next."""
    print(f"time        {seconds:.0f} s in all")
    if history.rows:
        last = history.rows[-1]
        print(f"losses      discriminator {last['discriminator_loss']:.3f}, "
              f"generator {last['generator_loss']:.3f} (mean of the last epoch)")
    if figures:
        names = {"frechet": "Fréchet distance", "precision": "precision", "recall": "recall"}
        real = {name: f" (real test images: {floor[name]:.2f})" if floor else "" for name in names}
        print("quality     " + ", ".join(
            f"{text} {figures[name]:.2f}{real[name]}" for name, text in names.items()))
    written = [("pictures", folder.images), ("history", folder.history),
               ("curves", folder.loss_curves), ("checkpoint", folder.checkpoints),
               ("generator", folder.export)]
    for name, path in written:
        if path.exists():
            print(f"{name:11} {path}")
    print("\nnext:")
    print(f"  {command('generate.py --grid 8x8', folder, '--model', folder.export)}")
    print(f"  {command('make_gif.py', folder, '--images', folder.images)}")
    if not finished:
        print(f"  {command('train_gan.py --resume', folder)}")


def command(text, folder, option="--outdir", value=None):
    """Return a command to type, with the folder where it is not the default."""
    import shlex

    if str(folder.path) == ".":
        return f"python {text}"
    return f"python {text} {option} {shlex.quote(str(value or folder.path))}"


if __name__ == "__main__":
    run_script("train_gan.py", main)
