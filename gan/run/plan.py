"""Plan of a run: how long it takes, how much memory it needs, and how many epochs fit."""

import bisect
import collections
import contextlib
import functools
import math
import resource
import sys
import time
from typing import NamedTuple

import numpy as np

from gan.common.command_line import say
from gan.common.device import hidden_messages, memory_bytes
from gan.common.errors import UserError, counted, duration
from gan.evaluate.evaluator import Drawn
from gan.run.checkpoint import assign_variables

STEPS_SECONDS = 0.1  # that steps are timed
STEPS_SHARE = 0.02  # of --minutes that they are timed
DRAWN, PIXELS = 100, 2**20  # images drawn to time it, and their pixels, at most
RESERVE = 0.06  # of the time: for curves, the report, and a machine that slows down
EPOCH_SECONDS = 0.05  # that the files of an epoch take
MOST_EPOCHS = 10**6
# Operations whose output is their input's memory.
VIEWS = {"ExpandDims", "Identity", "Reshape", "Squeeze", "StopGradient"}


class Costs(NamedTuple):
    """What the parts of a run take, in seconds."""

    begun: float  # since the start of the process
    step: float
    draw: float  # one sample
    measurement: float

    def total(self, config, steps):
        """Return the seconds of a process that has so many steps of a complete run to take."""
        grids = config.epochs // config.sample_interval
        measurements = 1
        if config.metrics_interval:
            measurements += (config.epochs - 1) // config.metrics_interval
        return self.begun + (1 + RESERVE) * (
            steps * self.step + config.epochs * EPOCH_SECONDS
            + grids * config.num_samples * self.draw
            + measurements * self.measurement)


def plan_run(trainer, sampler, evaluator, timers, gpu, complete, alone=True):
    """Say how long a run takes and what memory it needs, and choose the epochs that fit --minutes.

    They are chosen unless `complete` is None, a function of them → complete configuration. A
    process that is not `alone` measures nothing. The trainer's state is left as it was.
    """
    config, per_epoch, done = trainer.config, trainer.feed.steps_per_epoch, int(trainer.state.step)
    needs = ""
    if alone:
        memory = memory_needed(trainer, gpu)
        costs = time_parts(trainer, sampler, evaluator, timers, config.minutes if complete else 0)
        if complete:
            config = complete(epochs_within(costs, config, per_epoch, complete))
            trainer.plan(config)
        seconds = costs.total(config, config.epochs * per_epoch - done)
        needs = f"; about {duration(seconds)} in all, {memory / 2**30:.1f} GiB of memory"
    say("plan", f"{counted(config.epochs, 'epoch')}, {counted(config.epochs * per_epoch, 'step')} "
        f"of {config.batch_size} {sampler.kind.name}" + f", {done:,} of them done" * bool(done)
        + needs)


def epochs_within(costs, config, steps_per_epoch, complete):
    """Return the most epochs with which a run ends within --minutes."""
    def minutes(epochs):
        return costs.total(complete(epochs), epochs * steps_per_epoch) / 60

    epochs = bisect.bisect_right(range(1, MOST_EPOCHS + 1), config.minutes, key=minutes)
    if not epochs:
        raise UserError(f"--minutes: a single epoch takes about {minutes(1):.3g} minutes with "
                        f"start and metrics, got: {config.minutes:g}; expected more, or a smaller "
                        "--image-size or --base-channels")
    return epochs


# Time.


def time_parts(trainer, sampler, evaluator, timers, minutes=0):
    """Return the `Costs` of a run.

    With --minutes it takes longer, and the evaluator describes the real samples now, not later.
    """
    step = time_step(trainer, max(STEPS_SECONDS, 60 * STEPS_SHARE * minutes))
    shape = trainer.state.generator.output_shape[1:]
    count = max(1, min(DRAWN, PIXELS // math.prod(shape[:-1])))
    draw = _timed(lambda: sampler.draw(np.arange(count)).numpy()) / count
    measurement = 2 * draw * evaluator.count  # describing takes about as long
    if minutes:
        evaluator.real()
        # Part of it takes as long for any number.
        few, more = (_timed(functools.partial(evaluator.measure, Drawn(
            sampler.draw, some, shape=shape))) for some in (count, 4 * count))
        measurement = more + max(0.0, more - few) / (3 * count) * (evaluator.count - 4 * count)
    return Costs(timers.total(), step, draw, measurement)


def _timed(function):
    """Return the seconds that a function takes the second time."""
    function()
    began = time.perf_counter()
    function()
    return time.perf_counter() - began


def time_step(trainer, least):
    """Return the mean seconds of a step, from steps that are taken back."""
    saved = {name: variable.numpy() for name, variable in trainer.state.variables().items()}
    batches, interval = trainer.feed.epoch_batches(1), trainer.config.gp_interval
    # Versions of TensorFlow before 2.21 write in the first step that their remapper failed.
    with contextlib.nullcontext() if trainer.config.verbose else hidden_messages():
        trainer.train(batches[:1])
    plain = _timed_steps(trainer, batches, 1)
    steps = math.ceil(least / plain)
    if steps < interval:  # slow ones: the penalty, which none of them has, takes as long again
        seconds = _timed_steps(trainer, batches, steps) * (1 + (interval > 1) / interval)
    else:
        seconds = _timed_steps(trainer, batches, -(-steps // interval) * interval)
    for each in trainer.trainers:
        assign_variables(each.state.variables(), saved)
    return seconds


def _timed_steps(trainer, batches, count):
    began = time.perf_counter()
    trainer.train(batches[np.arange(count) % len(batches)])
    return (time.perf_counter() - began) / count


# Memory.


def check_width(config, shape, conditioning):
    """Raise `UserError` for networks that are too wide for the memory, before they are built."""
    import tensorflow as tf

    from gan.models import build_discriminator, build_generator

    with tf.Graph().as_default():  # in which variables have no values
        generator = build_generator(config, shape, conditioning.vector_size)
        discriminator = build_discriminator(config, shape, conditioning.condition_size)
    # Weights and Adam's two moments, and the EMA of the generator.
    _check(4 * (4 * generator.count_params() + 3 * discriminator.count_params()))


def memory_needed(trainer, gpu=False):
    """Return about how many bytes a run needs; `UserError` if a CPU has not so many."""
    needed = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (
        1 if sys.platform == "darwin" else 1024)
    for each in trainer.trainers:
        graph = each.trace().graph
        needed += most_alive(graph, graph._functions)
    if not gpu:
        _check(needed)
    return needed


def _check(needed):
    there = memory_bytes()
    if needed > there:
        raise UserError(f"the run needs about {needed / 2**30:.1f} GiB of memory, of which there "
                        f"are {there / 2**30:.1f}; expected a smaller --batch-size, "
                        "--base-channels or --image-size")


def most_alive(graph, functions):
    """Return the most bytes of a graph's tensors that are needed at once, run in order."""
    operations = graph.get_operations()
    owner, end = {}, {}  # of a tensor's memory; the place of the last operation that reads it
    for place, operation in enumerate(operations):
        for tensor in operation.inputs:
            end[owner[tensor.name]] = place
        for tensor in operation.outputs:
            view = operation.type in VIEWS
            owner[tensor.name] = owner[operation.inputs[0].name] if view else tensor.name
    alive = most = 0
    freed = collections.Counter()
    for place, operation in enumerate(operations):
        called = {attribute.func.name for attribute in operation.node_def.attr.values()
                  if attribute.HasField("func")}
        inside = max((most_alive(functions[name].graph, functions)
                      for name in called & functions.keys()), default=0)
        for tensor in operation.outputs:
            if owner[tensor.name] == tensor.name and operation.type != "Placeholder":
                # Nothing where the shape or the type has no size yet.
                size = (tensor.shape.num_elements() or 0) * (tensor.dtype.size or 0)
                alive += size
                freed[end.get(tensor.name, place)] += size
        most = max(most, alive + inside)
        alive -= freed[place]
    return most
