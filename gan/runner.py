"""Training run, from its options to the exported generator.

TensorFlow is imported late, so that wrong options and wrong data are refused at once.
"""

import contextlib
import dataclasses
import functools
import io
import os
import sys
from pathlib import Path

import numpy as np

from gan.common import processes
from gan.common.command_line import say, shape_in_words
from gan.common.device import find_device, import_tensorflow, memory_bytes
from gan.common.errors import UserError, counted, listed, printable, stop_signals_to
from gan.data.conditions import Conditioning, condition_dataset
from gan.data.datasets import READ_OPTIONS, load_dataset
from gan.run.checkpoint import assign_variables, differences, load_checkpoint
from gan.run.clock import StopRequest
from gan.run.folder import RunFolder
from gan.run.options import following, resume
from gan.run.progress import Transcript

WIDE = 96  # channels next to the image, from which on networks may not fit into memory


def run(config, given, timers, dataset=None):
    """Train or continue a run, on a `Dataset` or what the configuration names: the exit code."""
    from gan.distributed.cluster import joined

    with joined(config) as cluster:
        if cluster and cluster.rank:
            return work(config, given, timers, cluster)
        config = dataclasses.replace(config, devices=count_devices(config, cluster))
        alone = config.devices == 1 and config.reduce_precision != "float32"
        if alone and "reduce_precision" in given:
            raise UserError("--reduce-precision needs several devices, got: 1")
        folder = RunFolder(config.outdir)
        if config.resume and not folder.path.is_dir():
            raise UserError(f"--resume: expected the folder of a run, got: {config.outdir} "
                            "(no such folder)")
        with (contextlib.nullcontext() if config.dry_run else folder.locked(),
              contextlib.closing(Transcript(sys.stdout)) as transcript,
              contextlib.redirect_stdout(transcript)):
            code = train(config, given | {"devices"}, folder, timers, transcript, dataset, cluster)
        if cluster:
            cluster.send(b"")  # that is all
        return code


def train(config, given, folder, timers, transcript, dataset=None, cluster=None):
    """Train, export the generator and judge the run; returns the exit code."""
    # Begin a run, or continue the one in the folder.
    if not config.dry_run:
        folder.check()
    checkpoint, changes = None, {}
    if config.resume:
        config, checkpoint, changes = resume(config, given, folder)
    elif not config.overwrite and not config.dry_run and folder.holds_run():
        raise UserError(f"--outdir: {folder.path} holds a run; expected --resume to continue it, "
                        "--overwrite to replace it, or another folder")

    if config.minutes and cluster and not checkpoint:
        raise UserError("--minutes: expected --epochs where TF_CONFIG or Slurm start the "
                        f"processes, got: {config.minutes:g}")

    # Build what it consists of. Nothing changes the configuration once its epochs are planned.
    with timers("data"):
        dataset = load_data(config, checkpoint, dataset)
    with timers("networks"):
        conditioning, device = prepare(config, dataset, checkpoint, cluster)
        options, config = config, config.for_data(dataset, device)
        trainer, sampler = build_networks(config, dataset, conditioning, device, checkpoint,
                                          cluster)

    from gan.evaluate.evaluator import Evaluator
    from gan.loop import Loop
    from gan.run.plan import plan_run
    from gan.run.verdict import DivergedError

    evaluator = Evaluator(dataset, "trained" if config.metrics_interval else "auto")
    with timers("plan"):
        def complete(epochs):
            return dataclasses.replace(options, epochs=epochs).for_data(dataset, device)

        plan_run(trainer, sampler, evaluator, timers, device.gpu,
                 complete if config.minutes and not checkpoint else None, alone=not cluster)
    say("output", "this folder" if str(folder.path) == "." else printable(folder.path))
    if config.dry_run:
        trainer.state.generator.summary(line_length=78)
        trainer.state.discriminator.summary(line_length=78)
        print("dry run: everything fits; nothing was trained or written")
        return 0

    # Train, draw, log and save, until the last epoch, a signal or the time limit.
    if checkpoint is None:
        folder.clear()
    transcript.open(folder.claim(folder.log))
    stop = StopRequest(timers, config.max_minutes)
    with stop_signals_to(stop.note):
        loop = Loop(trainer, sampler, dataset, evaluator, device, folder, timers, checkpoint,
                    changes)
        if cluster:
            cluster.send(loop.checkpoint().to_bytes())
        try:
            with contextlib.closing(loop.progress):
                finished = loop.run(stop)
        except DivergedError as error:
            return loop.report_divergence(error)
    if stop.signal and not finished:
        loop.report_interrupt()
        return 128 + stop.signal

    # Export the generator, measure it and judge the run.
    try:
        loop.finish(finished)
    except KeyboardInterrupt:  # Ctrl-C, and any other request to stop
        loop.report_interrupt()
        raise
    return 0


def work(config, given, timers, cluster):
    """Train as a worker of a `Cluster`, in the chief's state; nothing is written or printed."""
    from gan.distributed.cluster import train_as_worker

    content, = cluster.receive(forever=True)
    if not content:  # a dry run
        return
    checkpoint = load_checkpoint(io.BytesIO(content))
    config = following(config, given, checkpoint.config)
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
        dataset = load_data(config, checkpoint)
        conditioning, device = prepare(config, dataset, checkpoint, cluster)
        config = config.for_data(dataset, device)
        trainer, _ = build_networks(config, dataset, conditioning, device, checkpoint, cluster)
    stop = StopRequest(timers, config.max_minutes)
    with stop_signals_to(stop.note):
        train_as_worker(trainer, stop, cluster)


def count_devices(config, cluster):
    if cluster:
        return cluster.world_size
    if config.devices != "auto":
        return config.devices
    import_tensorflow(config.verbose)
    import tensorflow as tf

    return max(1, len(tf.config.get_visible_devices("GPU")))


def load_data(config, checkpoint=None, dataset=None):
    """Load the data set of a `TrainConfig`, unless it is given, and describe it."""
    dataset = dataset or _read_data(config, checkpoint)
    count = len(dataset.images)
    parts = [f"{count:,} points" if dataset.box else
             f"{count:,} images of {shape_in_words(dataset.sample_shape)}", classes_of(dataset)]
    if dataset.test_images is not None and (dataset.box is None or not dataset.modes):
        noun = "test image" if dataset.box is None else "test point"
        parts.append(counted(len(dataset.test_images), noun))
    say("data", f"{printable(dataset.name)}: {', '.join(parts)}")
    if not dataset.box and not dataset.streamed and all(
            (image == dataset.images[0]).all() for image in dataset.images):
        raise UserError(f"--dataset: expected images that differ, got {count:,} that are all "
                        "alike; look at one, or choose another --image-size, --channels or --fit")
    if checkpoint and checkpoint.dataset != dataset.fingerprint:
        raise UserError(f"--dataset: {config.dataset} does not hold the samples that the run was "
                        f"begun with: their fingerprint is {dataset.fingerprint}, expected "
                        f"{checkpoint.dataset}; to begin a new run with what it learned: "
                        f"--init-from {printable(config.outdir)} and another --outdir")
    return dataset


def classes_of(dataset):
    """Return the first classes with their numbers of samples, in words."""
    names = dataset.class_names
    if not names:
        return "no labels"
    counts = np.bincount(dataset.labels, minlength=len(names))
    first = [f"{printable(name)}: {count:,}" for name, count in zip(names, counts, strict=True)]
    return f"{len(names)} classes ({listed(first, most=4)})"


def _read_data(config, checkpoint):
    source, outdir = Path(config.dataset).resolve(), Path(config.outdir).resolve()
    if checkpoint and not config.named and not os.path.lexists(source):
        raise UserError(f"--resume: the run's data are not at {config.dataset} any more; if they "
                        "moved, give their new place with --dataset")
    if not config.named and source.is_dir() and source in (outdir, *outdir.parents):
        raise UserError(f"--outdir: expected a folder outside of the data in {config.dataset}, as "
                        f"the next run would take its pictures for data, got: {config.outdir}")
    return load_dataset(config.dataset, **{name: getattr(config, name) for name in READ_OPTIONS})


def prepare(config, dataset, checkpoint, cluster):
    """Return the `Conditioning`, found while TensorFlow is imported, and the `Device`."""
    wait = start_conditioning(config, dataset, checkpoint)
    device = start_device(config, dataset, checkpoint, cluster)
    conditioning = wait()
    say("condition", conditioning.describe())
    return conditioning, device


def start_conditioning(config, dataset, checkpoint):
    """Start to find the `Conditioning` of the samples; returns a function that waits for it."""
    config = config.for_data(dataset)  # refuses what it can before that
    if checkpoint:
        found = Conditioning.from_arrays(checkpoint.conditions, len(dataset.images))
        return lambda: found
    chosen = dataset, config.condition, config.clusters, config.seed, config.components
    if dataset.streamed:  # its message goes to the log of this process
        return functools.partial(condition_dataset, *chosen)
    return processes.start(condition_dataset, *chosen)


def start_device(config, dataset, checkpoint=None, cluster=None):
    """Import TensorFlow, and return the `Device` that the networks run on."""
    import_tensorflow(config.verbose)
    device = find_device(config.mixed_precision, config.device,
                         1 if cluster else config.devices, cluster.local_rank if cluster else 0)
    if checkpoint:
        return device._replace(why="as the run was begun")
    chosen = config.mixed_precision == "auto" and device.policy
    if chosen and dataset.box:
        return device._replace(policy="float32", why="points are fast enough")
    # Depthwise convolutions and activations are no faster in bfloat16.
    if chosen == "mixed_bfloat16" and config.for_data(dataset).arch == "resnet":
        return device._replace(policy="float32", why="residual networks are as fast in it")
    return device


def build_networks(config, dataset, conditioning, device, checkpoint=None, cluster=None):
    """Build the `Trainer` and the `Sampler` of its EMA, in a checkpoint's state if there is one."""
    from gan.distributed.cluster import ChiefTrainer
    from gan.distributed.replica import replicas_on
    from gan.run.plan import check_width
    from gan.training import build_trainer
    from gan.transfer import take_over

    if config.base_channels > WIDE and not device.gpu:
        check_width(config, dataset.sample_shape, conditioning)

    # One trainer for each device of this process.
    replicas = replicas_on(device.names, cluster)
    size = dataset.images.nbytes
    streamed = dataset.streamed or size > config.memory_share * memory_bytes() / len(replicas)
    trainer, sampler = build_trainer(config, dataset, conditioning, streamed, replicas)
    state = trainer.state
    if checkpoint:
        assign_variables(state.variables(), checkpoint.variables)
    elif config.init_from != "none":
        say("init from", printable(take_over(config, state, conditioning, dataset.class_names)))

    # What came of the options.
    count = cluster.world_size if cluster else len(replicas)
    say("device", device.name + (f", one of {count} replicas" if count > 1 else ""))
    if checkpoint and (other := differences(checkpoint, config)):
        say("note", "the bits may differ from those of an uninterrupted run: " + printable(other))
    say("precision", f"{config.policy} ({device.why})")
    if streamed:
        say("images", f"{size / 2**30:.2g} GiB, read from the disk while training")
    width = f", {counted(config.base_channels, 'channel')} next to the image"
    say("networks", f"{config.arch}{'' if config.arch in ('mlp', 'own') else width}: "
        f"generator {state.generator.count_params():,} parameters, "
        f"discriminator {state.discriminator.count_params():,}")
    if state.background:
        say("background", "generated images are kept clean of traces fainter than "
            f"{state.background.contrast:.0f} of 255")
    if cluster and not cluster.rank:
        trainer = ChiefTrainer(trainer, cluster)
    return trainer, sampler
