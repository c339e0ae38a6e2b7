"""A GPU: speed and memory in each precision, and on demand with XLA and in long runs.

    python benchmarks/gpu.py                  # three minutes
    python benchmarks/gpu.py --xla            # also compiled by XLA, which takes minutes a network
    python benchmarks/gpu.py --steps 20000    # and 20,000 steps of each network in float16

The images are made here (discs on colours), so that nothing but the package is
needed; the time of a step does not depend on what they show. Without a GPU one
line says so; `--device cpu` tries the benchmark itself.
"""

import sys

import numpy as np
from common import batches_of, build, fastest, machine, parser, report

from gan.common.device import find_device, import_tensorflow

COUNT = 2_000  # images
TIMED = 40  # steps
POLICIES = ("float32", "mixed_float16", "mixed_bfloat16")
CHUNK = 500  # steps of the long run between two looks at its losses


def made_images(count, size, seed=0):
    """Return uint8 [count, size, size, 3]: a disc of one colour on another, in random places."""
    random, images = np.random.default_rng(seed), np.empty((count, size, size, 3), np.uint8)
    rows, columns = np.ogrid[:size, :size]
    for image in images:
        row, column = random.uniform(0.25, 0.75, 2) * size
        inside = np.hypot(rows - row, columns - column) < random.uniform(0.1, 0.4) * size
        image[:] = np.where(inside[..., None], *random.integers(0, 256, (2, 3)))
    return images


def build_network(arch, size, policy, batch_size):
    """Return the `Trainer` of a network on made images."""
    from gan.data.datasets import Dataset

    return build(Dataset("discs", made_images(COUNT, size)), [
        "--arch", arch, "--batch-size", str(batch_size), "--condition", "none",
        "--epochs", "1000"], policy)[0]


def compiled(trainer):
    """Return a function of batches that takes their steps as XLA compiles them."""
    import tensorflow as tf

    from gan.training import train_step

    step = tf.function(lambda indices: train_step(
        trainer.config, trainer.state, trainer.replica, *trainer.feed.batch(indices)),
        jit_compile=True, autograph=False)
    return lambda batches: [step(batch) for batch in batches][-1]


def images_per_second(trainer, xla):
    """Return the speed of the fastest of a few rounds, counted in real images."""
    train, batches = compiled(trainer) if xla else trainer.train, batches_of(trainer, TIMED)
    train(batches)  # traced
    return batches.size / fastest(lambda: train(batches).numpy())


def peak_memory(device):
    """Return the GiB that TensorFlow held at most since the last reset, "" on a CPU."""
    import tensorflow as tf

    if not tf.config.get_visible_devices("GPU") or device == "cpu":
        return ""
    held = tf.config.experimental.get_memory_info("GPU:0")["peak"] / 2**30
    tf.config.experimental.reset_memory_stats("GPU:0")
    return f"{held:.2f}"


def long_run(arch, size, batch_size, steps):
    """Train in float16 and return a row: what became of the losses and the loss scale."""
    trainer = build_network(arch, size, "mixed_float16", batch_size)
    done, epoch, lowest = 0, 0, np.inf
    losses = np.zeros(2)
    while done < steps:
        epoch += 1
        measures = trainer.train(trainer.feed.epoch_batches(epoch)[: steps - done]).numpy()
        done += len(measures)
        losses, lowest = measures[:, :2].mean(axis=0), min(lowest, trainer.state.loss_scale())
        if not np.isfinite(losses).all():
            break
        if done % CHUNK < len(measures):
            print(f"  {arch} {size}: step {done:,}, losses {losses.round(3)}", flush=True)
    return [arch, size, f"{done:,}", "yes" if np.isfinite(losses).all() else "no",
            *(f"{loss:.3f}" for loss in losses), f"{lowest:g}"]


def main():
    """Run the benchmark; returns the exit code."""
    arguments = parser(__doc__)
    arguments.add_argument("--device", default="gpu")
    arguments.add_argument("--batch-size", type=int, default=64)
    arguments.add_argument("--sizes", type=int, nargs="+", default=[64, 128])
    arguments.add_argument("--xla", action="store_true")
    arguments.add_argument("--steps", type=int, default=0, help="of the long float16 runs")
    options = arguments.parse_args()
    import_tensorflow(verbose=False)
    import tensorflow as tf

    if options.device != "cpu" and not tf.config.list_physical_devices("GPU"):
        print("benchmarks/gpu.py: TensorFlow finds no GPU on this machine; nothing was measured",
              file=sys.stderr)
        return 1
    device = find_device("auto", options.device)
    rows = []
    for arch in ("conv", "resnet"):
        for size in options.sizes:
            slowest = None
            for policy in POLICIES:
                trainer = build_network(arch, size, policy, options.batch_size)
                for xla in (False, True)[: 1 + options.xla]:
                    speed = images_per_second(trainer, xla)
                    slowest = slowest or speed  # float32 without XLA comes first
                    rows.append([arch, size, policy, "on" if xla else "off", f"{speed:,.0f}",
                                 f"{speed / slowest:.2f}", peak_memory(options.device)])
                    print(*rows[-1], flush=True)
    report(f"{device.name}: batches of {options.batch_size} ({machine()})",
           ["network", "pixels", "precision", "XLA", "images/s", "x float32", "peak GiB"], rows,
           options)
    if options.steps:
        report(f"{device.name}: float16 for {options.steps:,} steps",
               ["network", "pixels", "steps", "finite", "loss D", "loss G", "lowest loss scale"],
               [long_run(arch, size, options.batch_size, options.steps)
                for arch in ("conv", "resnet") for size in options.sizes], options)
    return 0


if __name__ == "__main__":
    sys.exit(main())
