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
import dataclasses
import io
import os
import sys
from pathlib import Path

from gan.common.errors import UserError, printable, reading, run_script
from gan.config import TrainConfig
from gan.run.phases import Phases

EXIT_DIVERGED = 1


def main():
    """Run from the command line; returns the exit code."""
    phases = Phases()
    config, given = TrainConfig.from_args()

    from gan.distributed.cluster import END, joined
    from gan.run.folder import RunFolder

    folder = RunFolder(config.outdir)
    with joined(config) as cluster:
        if cluster and cluster.rank:
            return work(config, given, cluster, phases)
        config = dataclasses.replace(config, devices=count_devices(config, cluster))
        if config.resume and not folder.path.is_dir():
            raise UserError(f"--resume: expected the folder of a run, got: {config.outdir} "
                            "(no such folder)")
        with contextlib.nullcontext() if config.dry_run else folder.locked():
            code = train(config, given | {"devices"}, folder, phases, cluster)
        if cluster:
            cluster.tell(END, str(code).encode())
        return code


def count_devices(config, cluster):
    """Return over how many devices each batch is split."""
    from gan.common.device import count_gpus, import_tensorflow

    if cluster:
        return cluster.world_size
    if config.devices != "auto":
        return config.devices
    import_tensorflow(config.verbose)
    return max(1, count_gpus())


def train(config, given, folder, phases, cluster):
    """Load, build, train, export, measure, summarise.

    Args:
        config: `TrainConfig` from the command line.
        given: names of the options that were given there.
        folder: `RunFolder`, locked unless this is a dry run.
        phases: `Phases`.
        cluster: `Cluster` whose chief this process is, or None.

    Returns:
        The exit code.
    """
    config, changes, checkpoint = begin_or_continue(config, given, folder)
    with phases("data"):
        dataset = load_data(config, checkpoint)
    with phases("networks"):
        device = start_device(config, checkpoint, cluster)
    arch, config = config.arch, config.for_data(dataset, device)
    with phases("data"):
        conditioning = condition(config, dataset, checkpoint)
    if arch == "auto":
        print(f"arch        {config.arch}, {config.base_channels} channels nearest the image: "
              f"chosen for {len(dataset.samples):,} images of "
              f"{' x '.join(map(str, dataset.sample_shape))} on a "
              + ("GPU" if device.gpu else "CPU"))
    with phases("networks"):
        trainer, sampler = build_networks(config, dataset, conditioning, device, checkpoint,
                                          cluster)
    where = "this folder" if str(folder.path) == "." else printable(folder.path)
    print(f"output      {where}", flush=True)
    if config.dry_run:
        trainer.state.generator.summary(line_length=78)
        trainer.state.discriminator.summary(line_length=78)
        print("dry run: everything fits; nothing was trained or written")
        return 0

    from gan.distributed.cluster import ORDER
    from gan.loop import DivergedError
    from gan.run.signals import StopRequest

    if checkpoint is None:
        folder.clear()
    with StopRequest(phases.deadline(config.max_minutes)) as stop:
        loop = prepare_loop(trainer, sampler, dataset, folder, phases, checkpoint, changes, device)
        if cluster:
            cluster.tell(ORDER, loop.checkpoint().to_bytes())
        try:
            finished = loop.run(stop)
        except DivergedError as error:
            return report_divergence(error, loop)
        finally:
            loop.progress.close()
    if stop.signal and not finished:
        report_interrupt(loop)
        return 128 + stop.signal
    try:
        finish(loop, finished, device)
        loop.report.write(state=None)
    except KeyboardInterrupt:  # Ctrl-C, and any other request to stop
        report_interrupt(loop)
        raise
    return 0


def work(config, given, cluster, phases):
    """Take part in the run that the chief leads, from the checkpoint that it sends.

    Nothing is written or printed, and nothing but the data need lie here.

    Args:
        config, given, phases: as for `train`.
        cluster: `Cluster`; this process is not its chief.

    Returns:
        The exit code that the chief gives.
    """
    from gan.distributed.cluster import RunEnded, follow
    from gan.run.checkpoint import load_checkpoint
    from gan.run.signals import StopRequest

    try:
        checkpoint = load_checkpoint(io.BytesIO(cluster.order()))
        config = config.following(checkpoint.config, given)
        with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
            dataset = load_data(config, checkpoint, "that the chief has")
            device = start_device(config, checkpoint, cluster)
            config = config.for_data(dataset, device)
            conditioning = condition(config, dataset, checkpoint)
            trainer, _ = build_networks(config, dataset, conditioning, device, checkpoint, cluster)
        with StopRequest(phases.deadline(config.max_minutes)) as stop:
            follow(trainer, stop, cluster)
    except RunEnded as end:
        return end.args[0]


def begin_or_continue(config, given, folder):
    """Find out whether a run is begun or continued.

    Returns:
        `(config, changes, checkpoint)`: for `--resume` the continued
        configuration, the options that it changes and the `Checkpoint`; else the
        given configuration, {} and None.

    Raises:
        UserError: when a run lies in the folder that is neither to be continued
            nor overwritten, or one is to be continued and there is none.
    """
    if not config.dry_run:
        folder.check()
    if not config.resume:
        if not config.overwrite and not config.dry_run and folder.holds_run():
            raise UserError(
                f"--outdir: {folder.path} holds a run; expected --resume to continue it, "
                "--overwrite to replace it, or another folder"
            )
        return config, {}, None

    from gan.data.messages import warn
    from gan.run.checkpoint import load_newest

    checkpoint = load_newest(folder.checkpoints, warn)
    with reading(folder.checkpoints, "a checkpoint of this version"):
        config, changes = config.resumed(checkpoint.config, given)
    for name, (before, now) in changes.items():
        print(f"changed     {name} from {before} to {now}, from step {checkpoint.step:,} on")
    if "epochs" in changes and config.lr_decay > 0:
        print(f"note: the learning rates now fall towards epoch {config.epochs}, "
              f"not {changes['epochs'][0]}")
    return config, changes, checkpoint


def load_data(config, checkpoint, whose="that the run to resume was trained on"):
    """Load the samples; after a checkpoint they must be those of the run."""
    from gan.data.datasets import load_dataset

    source, outdir = Path(config.dataset).resolve(), Path(config.outdir).resolve()
    inside = os.path.isdir(source) and source in (outdir, *outdir.parents)
    if inside and not config.named:
        raise UserError(f"--outdir: expected a folder outside of the data in {config.dataset}, as "
                        f"the next run would take its pictures for data, got: {config.outdir}")
    resizable = checkpoint is None or os.path.isdir(config.dataset)
    size = (config.image_size, config.channels) if resizable else (None, None)
    dataset = load_dataset(config.dataset, *size, config.skip_broken, config.fit)
    count = len(dataset.samples)
    shape = " x ".join(map(str, dataset.sample_shape))
    what = "points" if config.simulated else f"images of {shape}"
    classes = f"{len(dataset.class_names)} classes" if dataset.class_names else "no labels"
    test = getattr(dataset, "test_images", None)
    beside = "" if test is None else f", {len(test):,} test images"
    print(f"data        {printable(dataset.name)}: {count:,} {what}, {classes}{beside}", flush=True)
    if checkpoint and checkpoint.dataset != dataset.fingerprint:
        raise UserError(f"--dataset: {config.dataset} does not hold the samples {whose}: their "
                        f"fingerprint is {dataset.fingerprint}, expected {checkpoint.dataset}")
    return dataset


def condition(config, dataset, checkpoint):
    """Give each sample its condition, or take that from the checkpoint."""
    from gan.data.conditions import Conditioning
    from gan.data.sharded_conditions import conditions_of

    if checkpoint is None:
        conditioning = conditions_of(dataset, config.condition, config.clusters, config.seed,
                                     config.components)
    else:
        conditioning = Conditioning.from_arrays(checkpoint.conditions, len(dataset.samples))
    print(f"condition   {conditioning.describe()}", flush=True)
    return conditioning


def start_device(config, checkpoint, cluster):
    """Start TensorFlow; returns the `Device` that the networks run on."""
    from gan.common.device import find_device, import_tensorflow

    import_tensorflow(config.verbose)
    device = find_device(config.mixed_precision, config.device,
                         1 if cluster else config.devices, cluster.local_rank if cluster else 0)
    if checkpoint:
        return device._replace(why="as the run was begun")
    if config.simulated and config.mixed_precision == "off":
        return device._replace(why="points are fast enough")
    return device


def build_networks(config, dataset, conditioning, device, checkpoint, cluster):
    """Build the networks, with the checkpoint's state if there is one.

    Returns:
        `(trainer, sampler)`: what takes the steps, and what draws from the EMA generator.
    """
    from gan.common.device import memory_bytes
    from gan.distributed.cluster import Leader
    from gan.distributed.replica import replicas_on
    from gan.run.checkpoint import assign_variables, differences
    from gan.training import build_trainer

    replicas = replicas_on(device.names, cluster)
    size = dataset.samples.nbytes
    most = config.memory_share * memory_bytes() / (
        cluster.local_size if cluster else len(replicas))
    streamed = dataset.streamed or size > most
    trainer, sampler = build_trainer(config, dataset, conditioning, config.policy, streamed,
                                     replicas)
    state, steps = trainer.state, config.epochs * trainer.feed.steps_per_epoch
    if checkpoint:
        assign_variables(state.variables(), checkpoint.variables)
    count = cluster.world_size if cluster else len(replicas)
    print(f"device      {device.name}" + (f", one of {count} replicas" if count > 1 else ""))
    if checkpoint and (other := differences(checkpoint)):
        print("note        the bits may differ from those of an uninterrupted run: "
              + printable(other))
    print(f"precision   {config.policy} ({device.why})")
    if streamed:
        print(f"images      {size / 2**30:.2g} GiB, read from the disk while training")
    print(f"networks    {config.arch}: generator {state.generator.count_params():,} parameters, "
          f"discriminator {state.discriminator.count_params():,}")
    if state.background:
        print("background  generated images are kept clean of traces fainter than "
              f"{state.background.contrast:.0f} of 255")
    step = int(state.step)
    print(f"plan        {config.epochs} epochs, {steps:,} steps of {config.batch_size} "
          f"{sampler.kind.name}" + (f", {step:,} of them done" if step else ""))
    return Leader(trainer, cluster) if cluster and not cluster.rank else trainer, sampler


def prepare_loop(trainer, sampler, dataset, folder, phases, checkpoint, changes, device):
    """Put together what the epochs write to, and write what is known before the first."""
    from gan.drawing import images
    from gan.drawing.sample_grids import pictures_of
    from gan.evaluate.equilibrium import has_log_odds
    from gan.loop import Loop
    from gan.report.live import LiveReport
    from gan.run.board import Board
    from gan.run.history import History
    from gan.run.progress import Progress
    from gan.run.summary import circumstances

    config, state = trainer.config, trainer.state
    with reading(folder.checkpoints, "a checkpoint of this version"):
        history = History(checkpoint.history if checkpoint else None)
    history.note_changes(int(state.step), changes)
    folder.write_config(config, history.changes)
    pictures = pictures_of(dataset, sampler, state.discriminator, config.num_samples,
                           has_log_odds(config.loss))
    images.write_png(folder.claim(folder.real_samples), pictures.real())
    loop = Loop(
        trainer, sampler, dataset, folder,
        history=history,
        progress=Progress(config.epochs, trainer.feed.steps_per_epoch, config.batch_size,
                          int(state.step), unit=sampler.kind.unit,
                          log_odds=has_log_odds(config.loss)),
        board=Board(folder if config.tensorboard else None),
        pictures=pictures,
        evaluator=sampler.kind.evaluator(
            dataset, "trained" if config.metrics_interval else "auto"),
        phases=phases,
        report=LiveReport(folder, config, history, phases, {
            **circumstances(device), "dataset": {
                "name": dataset.name, "samples": len(dataset.samples),
                "shape": dataset.sample_shape, "classes": dataset.class_names}}),
    )
    if checkpoint and checkpoint.config != dataclasses.asdict(config):
        loop.save()  # so that what was changed is in force when this process is killed
    return loop


def finish(loop, finished, device):
    """Export the generator, then measure it, judge the run and say what came out."""
    from gan.evaluate.registry import summary_lines
    from gan.export import add_metadata
    from gan.run.history import metrics_in
    from gan.run.summary import print_summary, summary_of, write_summary
    from gan.run.verdict import verdict_of

    config, folder, rows = loop.config, loop.folder, loop.history.rows
    export(loop)
    print(f"measuring   {loop.evaluator.count:,} generated {loop.evaluator.samples}", flush=True)
    metrics = loop.metrics(finished)
    verdict = None
    if rows:
        now = rows[-1] | metrics | {"step": int(loop.state.step),
                                    "steps_per_epoch": loop.trainer.feed.steps_per_epoch}
        verdict = verdict_of([*rows[:-1], now], loop.evaluator.real(), config)
    best = loop.restore_best()
    if best:
        metrics = metrics_in(best)
        export(loop, best)
    add_metadata(folder.export, {"metrics": metrics, "features": loop.evaluator.features()})
    summary = summary_of(loop, metrics, verdict, finished, device)
    write_summary(folder.claim(folder.summary), summary)
    if best:
        print(f"exported    epoch {best['epoch']}, the best of those that were measured")
    if not finished:
        print("time is up: ", end="")
    print_summary(summary, summary_lines(metrics, loop.evaluator), config, folder)


def export(loop, row=None):
    """Write the SavedModel of the EMA generator.

    Args:
        loop: `Loop`.
        row: of the history, the epoch that the generator is of; None: as it is now.
    """
    from gan.export import export_generator

    config, dataset = loop.config, loop.dataset
    with loop.phases("export"):
        loop.folder.check()
        export_generator(loop.folder.export, loop.state.average, loop.sampler, {
            "run": loop.folder.run,
            "dataset": dataset.name,
            "fingerprint": dataset.fingerprint,
            "sample_shape": list(dataset.sample_shape),
            "extent": dataset.extent,
            "latent_dim": config.latent_dim,
            "class_names": list(dataset.class_names),
            "epochs": row["epoch"] if row else len(loop.history.rows),
            "steps": row["step"] if row else int(loop.state.step),
            "metrics": {},
            "config": dataclasses.asdict(config),
        })


def report_divergence(error, loop):
    """Say what became of a run that was stopped by itself; returns the exit code."""
    from gan.run.verdict import diverged

    verdict = diverged(error)
    print(f"train_gan.py: stopped, the last checkpoint is kept; {verdict}", file=sys.stderr)
    loop.report.write("diverged", str(verdict))
    loop.curves.draw(at_once=True)
    return EXIT_DIVERGED


def report_interrupt(loop):
    """Say that a run was interrupted and how to go on."""
    from gan.run.summary import continuation

    loop.report.write("interrupted")
    print(f"interrupted at step {int(loop.state.step):,}; saved. "
          f"To continue: {continuation(loop.folder, loop.config.devices)}", flush=True)
    loop.curves.draw(at_once=True)


if __name__ == "__main__":
    run_script("train_gan.py", main)
