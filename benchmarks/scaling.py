"""Several processes: what they send each other a step, and how fast they are here.

    python benchmarks/scaling.py                     # bytes, messages and a model of the time
    python benchmarks/scaling.py --check             # and the model against two processes here
    python benchmarks/scaling.py --dataset data.npz  # and runs in 1 and 2 processes

Messages and bytes follow from the default networks' variables. The model adds
them to the arithmetic of the share: seconds of one device / R, plus for each
message 2 (R - 1) hops of the ring's latency, plus 2 (R - 1) / R of the bytes at
its bandwidth. Latencies and bandwidths of links are estimates on paper.

The check measures the parts of that sum: the latency and bandwidth between two
processes of this machine, and steps of half the batch in two processes that do
not know each other, with one thread each. Then it measures the sum itself.
"""

import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile
import time
import types
from pathlib import Path

import numpy as np
from common import ROOT, machine, parser, report

from gan.common.device import import_tensorflow
from gan.config import Facts, TrainConfig
from gan.distributed.launch import free_addresses

SHAPES = ((28, 28, 1), (64, 64, 3), (128, 128, 3), (256, 256, 3))
BATCHES = {(28, 28, 1): 64, (64, 64, 3): 16, (128, 128, 3): 8, (256, 256, 3): 4}  # of the check
SENT = 2**22  # numbers, to measure the bandwidth
CODE_WIDTH = 131  # MNIST: 120 conditions, 10 labels, one that all share
LINKS = {"NVLink": (10e-6, 200e9), "PCIe": (15e-6, 12e9), "25 Gbit/s": (40e-6, 3e9),
         "10 Gbit/s": (50e-6, 1.2e9)}  # seconds a hop, bytes a second: estimates


def messages_of(shape):
    """Return (messages, bytes) of a step of the default networks, in float32."""
    from gan.layers import FusedBatchNorm
    from gan.models import build_discriminator, build_generator

    config = TrainConfig().completed(Facts((60_000, *shape), 6_742))
    sizes = (config.latent_dim, CODE_WIDTH, config.base_channels)
    generator = build_generator(config.arch, shape, *sizes)
    discriminator = build_discriminator(config.arch, shape, *sizes[1:])
    channels = [layer.gamma.shape[0] for layer in generator.layers
                if isinstance(layer, FusedBatchNorm)]
    weights = sum(variable.shape.num_elements() for network in (generator, discriminator)
                  for variable in (weight.value for weight in network.trainable_variables))
    # Gradients of the two networks and the measures; each normalisation's
    # statistics forwards and their gradients backwards, two numbers a channel.
    return 3 + 2 * len(channels), 4 * (weights + 7 + 4 * sum(channels))


def rate(dataset, devices, epochs):
    """Return images a second of the last epoch of a run in so many processes."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, str(ROOT / "train_gan.py"), "--dataset", dataset,
                        "--outdir", folder, "--epochs", str(epochs), "--devices", str(devices)],
                       check=True, stdout=subprocess.DEVNULL)
        rows = list(csv.DictReader((Path(folder) / "history.csv").open()))
    return float(rows[-1]["images_per_second"])


def check(options):
    """Report predicted and measured steps of two processes on this machine."""
    apart, together = in_processes([None, None]), in_processes([0, 1])[0]
    latency, bandwidth = together["latency"], together["bandwidth"]
    rows = []
    for shape, batch in BATCHES.items():
        messages, size = messages_of(shape)
        share = max(worker["steps"][str(shape)] for worker in apart)
        predicted, found = share + 2 * messages * latency + size / bandwidth, (
            together["steps"][str(shape)])
        rows.append(("x".join(map(str, shape)), batch, f"{1000 * share:.0f}",
                     f"{1000 * predicted:.0f}", f"{1000 * found:.0f}", f"{found / predicted:.2f}"))
    report(f"Two processes on this machine, {1e6 * latency:.0f} us a hop, "
           f"{bandwidth / 1e9:.2g} GB/s between them; ms a step",
           ("image", "batch", "half the batch alone", "predicted", "measured",
            "measured / predicted"), rows, options)


def in_processes(indices):
    """Run `work` for each index, all at once; returns what each process measured."""
    addresses = free_addresses(2)
    running = [subprocess.Popen(
        [sys.executable, __file__, "--work", json.dumps([index, addresses])],
        stdout=subprocess.PIPE, text=True) for index in indices]
    return [json.loads(process.communicate()[0].splitlines()[-1]) for process in running]


def work(index, addresses):
    """Measure what one process of the check can; prints it as JSON.

    Args:
        index: of the process; None for one that trains by itself.
        addresses: list of "host:port" of both.
    """
    import tensorflow as tf

    from gan.distributed.joining import join
    from gan.distributed.replica import SINGLE

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    replicas = SINGLE if index is None else join(addresses, index)
    found = {"steps": {str(shape): step_seconds(replicas, shape, batch // 2 * replicas.world_size)
                       for shape, batch in BATCHES.items()}}
    if replicas is not SINGLE:
        hop = sum_seconds(replicas, 8) / 2
        found |= {"latency": hop,
                  "bandwidth": 4 * SENT / (sum_seconds(replicas, SENT, repeats=5) - 2 * hop)}
    print(json.dumps(found), flush=True)
    os._exit(0)


def sum_seconds(replicas, size, repeats=200):
    """Return the seconds that a mean of so many numbers takes."""
    import tensorflow as tf

    @tf.function
    def repeat(count):
        return tf.while_loop(lambda at, _: at < count,
                             lambda at, values: (at + 1, replicas.all_reduce_mean([values])[0]),
                             [0, tf.ones([size])])[1]

    repeat(tf.constant(2))
    return seconds_of(lambda: repeat(tf.constant(repeats))) / repeats


def step_seconds(replicas, shape, batch):
    """Return the seconds of a step of the default networks."""
    from gan.data.conditioning import from_groups
    from gan.training import build_trainer

    images = np.random.default_rng(0).integers(0, 256, (4 * batch, *shape)).astype(np.uint8)
    conditioning = from_groups(np.arange(len(images)) % 4, np.arange(4) // 2, labelled=True)
    config = TrainConfig(batch_size=batch).completed(Facts((60_000, *shape)))
    data = types.SimpleNamespace(samples=images, sample_shape=shape, extent=None, background=None)
    trainer, _ = build_trainer(config, data, conditioning, replica=replicas)
    batches = np.tile(trainer.feed.epoch_batches(1), [4, 1])[: config.gp_interval]
    trainer.train(batches[:1])
    return seconds_of(lambda: trainer.train(batches)) / len(batches)


def seconds_of(call):
    """Return the seconds of the faster of two calls."""
    times = []
    for _ in range(2):
        began = time.perf_counter()
        call()
        times.append(time.perf_counter() - began)
    return min(times)


def main():
    options = parser(__doc__.splitlines()[0])
    options.add_argument("--dataset", help="measure 1 and 2 processes with these data")
    options.add_argument("--check", action="store_true", help="measure what the model foretells")
    options.add_argument("--work", type=json.loads, help=argparse.SUPPRESS)
    options.add_argument("--epochs", type=int, default=8)
    options.add_argument("--step-seconds", type=float, default=0.010,
                         help="of one device, for the model")
    options = options.parse_args()
    import_tensorflow(False)
    if options.work:
        work(*options.work)
    print(machine())

    sent = {shape: messages_of(shape) for shape in SHAPES}
    report("A step of the default networks, float32", ("image", "messages", "MB"),
           [("x".join(map(str, shape)), messages, f"{size / 1e6:.2f}")
            for shape, (messages, size) in sent.items()], options)
    rows = []
    for shape, (messages, size) in sent.items():
        for link, (latency, bandwidth) in LINKS.items():
            times = [options.step_seconds / count + 2 * (count - 1) * (
                messages * latency + size / count / bandwidth) for count in (2, 4, 8)]
            rows.append(("x".join(map(str, shape)), link,
                         *(f"{options.step_seconds / seconds:.1f}" for seconds in times)))
    report(f"Estimated speed-up where one device takes {1000 * options.step_seconds:g} ms a step "
           "(on paper, not measured)", ("image", "link", "2", "4", "8"), rows, options)
    if options.check:
        check(options)
    if options.dataset:
        report("Measured on this machine, images a second", ("processes", "images/s"),
               [(count, f"{rate(options.dataset, count, options.epochs):,.0f}")
                for count in (1, 2)], options)


if __name__ == "__main__":
    main()
