#!/usr/bin/env python3
"""Train a generator and a discriminator against each other.

    python train_gan.py                      # MNIST, about two minutes on two cores
    python train_gan.py --resume             # continue an interrupted run
    python train_gan.py --help               # every option
"""

if __name__ == "__main__":
    from gan.common.errors import exit_on_interrupt

    exit_on_interrupt("train_gan.py")

import contextlib
import io
import os

from gan.common.command_line import say
from gan.common.errors import UserError, printable, run_script
from gan.config import TrainConfig
from gan.run.clock import Timers


def main(argv=None):
    """Train as a command line says (None: the process's own); returns the exit code."""
    timers = Timers()
    config, given = TrainConfig.from_args(argv)

    from gan.build import count_devices
    from gan.distributed.cluster import joined
    from gan.run.folder import RunFolder

    with joined(config) as cluster:
        if cluster and cluster.rank:
            return work(config, given, timers, cluster)
        config = config.on_devices(count_devices(config, cluster), given)
        folder = RunFolder(config.outdir)
        if config.resume and not folder.path.is_dir():
            raise UserError(f"--resume: expected the folder of a run, got: {config.outdir} "
                            "(no such folder)")
        with contextlib.nullcontext() if config.dry_run else folder.locked():
            code = train(config, given | {"devices"}, folder, timers, cluster)
        if cluster:
            cluster.send(b"")  # that is all
        return code


def train(config, given, folder, timers, cluster=None):
    """Train a run, export its generator and judge it; returns the exit code.

    Args:
        config: `TrainConfig` from the command line.
        given: names of the options that were given there.
        folder: `RunFolder`, locked unless this is a dry run.
        timers: `Timers`.
        cluster: `Cluster` whose chief this process is, or None.
    """
    from gan.build import build_networks, load_data, start_device
    from gan.run.resume import resume

    # Begin a run, or continue the one in the folder.
    if not config.dry_run:
        folder.check()
    checkpoint, changes = None, {}
    if config.resume:
        config, checkpoint, changes = resume(config, given, folder)
    elif not config.overwrite and not config.dry_run and folder.holds_run():
        raise UserError(f"--outdir: {folder.path} holds a run; expected --resume to continue it, "
                        "--overwrite to replace it, or another folder")

    # Build what it consists of. Nothing changes the configuration after `for_data`.
    with timers("data"):
        dataset = load_data(config, checkpoint)
    with timers("networks"):
        device = start_device(config, checkpoint, cluster)
        config = config.for_data(dataset, device)
        trainer, sampler = build_networks(config, dataset, device, checkpoint, cluster)
    say("output", "this folder" if str(folder.path) == "." else printable(folder.path))
    if config.dry_run:
        trainer.state.generator.summary(line_length=78)
        trainer.state.discriminator.summary(line_length=78)
        print("dry run: everything fits; nothing was trained or written")
        return 0

    from gan.loop import DivergedError, Loop
    from gan.run.clock import StopRequest

    # Train, draw, log and save, until the last epoch, a signal or the time limit.
    if checkpoint is None:
        folder.clear()
    with StopRequest(timers.deadline(config.max_minutes)) as stop:
        loop = Loop(trainer, sampler, dataset, device, folder, timers, checkpoint, changes)
        if cluster:
            cluster.send(loop.checkpoint().to_bytes())
        try:
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
    """Train as a worker, in the state of the chief and as many steps as it takes.

    Nothing is written or printed, and nothing but the data need lie here.

    Args:
        config, given, timers: as for `train`.
        cluster: `Cluster`; this process is not its chief.
    """
    from gan.build import build_networks, load_data, start_device
    from gan.distributed.cluster import train_as_worker
    from gan.run.checkpoint import load_checkpoint
    from gan.run.clock import StopRequest
    from gan.run.resume import following

    content, = cluster.receive(forever=True)
    if not content:  # a dry run
        return
    checkpoint = load_checkpoint(io.BytesIO(content))
    config = following(config, given, checkpoint.config)
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
        dataset = load_data(config, checkpoint)
        device = start_device(config, checkpoint, cluster)
        config = config.for_data(dataset, device)
        trainer, _ = build_networks(config, dataset, device, checkpoint, cluster)
    with StopRequest(timers.deadline(config.max_minutes)) as stop:
        train_as_worker(trainer, stop, cluster)


if __name__ == "__main__":
    run_script("train_gan.py", main)
