"""Several processes: what they send each other a step, and how fast they are here.

    python benchmarks/scaling.py                          # bytes, messages and a model of the time
    python benchmarks/scaling.py --dataset data.npz       # and 1 and 2 processes on this machine

Messages and bytes follow from the default networks' variables. The model adds
them to the arithmetic of the share: seconds of one device / R, plus for each
message 2 (R - 1) hops of the ring's latency, plus 2 (R - 1) / R of the bytes at
its bandwidth. Latencies and bandwidths of links are estimates on paper.
"""

import csv
import subprocess
import sys
import tempfile
from pathlib import Path

from common import ROOT, machine, parser, report

from gan.common.device import import_tensorflow
from gan.config import TrainConfig
from gan.option_rules import complete_for

SHAPES = ((28, 28, 1), (64, 64, 3), (128, 128, 3), (256, 256, 3))
CODE_WIDTH = 131  # MNIST: 120 conditions, 10 labels, one that all share
LINKS = {"NVLink": (10e-6, 200e9), "PCIe": (15e-6, 12e9), "25 Gbit/s": (40e-6, 3e9),
         "10 Gbit/s": (50e-6, 1.2e9)}  # seconds a hop, bytes a second: estimates


def messages_of(shape):
    """Return (messages, bytes) of a step of the default networks, in float32."""
    from gan.layers import FusedBatchNorm
    from gan.models import build_discriminator, build_generator

    config = complete_for(TrainConfig(), (60_000, *shape), "labels")
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


def main():
    options = parser(__doc__.splitlines()[0])
    options.add_argument("--dataset", help="measure 1 and 2 processes with these data")
    options.add_argument("--epochs", type=int, default=8)
    options.add_argument("--step-seconds", type=float, default=0.010,
                         help="of one device, for the model")
    options = options.parse_args()
    import_tensorflow(False)
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
    if options.dataset:
        report("Measured on this machine, images a second", ("processes", "images/s"),
               [(count, f"{rate(options.dataset, count, options.epochs):,.0f}")
                for count in (1, 2)], options)


if __name__ == "__main__":
    main()
