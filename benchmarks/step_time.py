"""The train step: its time, its arithmetic, and the machine's peak in the same run.

    python benchmarks/step_time.py

FLOPs are counted from the layers (two a multiply-add; three passes for a
network that is trained, one more through the discriminator for the generator).
The peak is that of a large matrix product and of a large convolution, in
float32 and bfloat16.
"""

import time

import numpy as np
from common import machine, parser, report

from gan.conditioning import condition_dataset
from gan.config import TrainConfig
from gan.datasets import load_dataset
from gan.device import import_tensorflow

REPEATS = 7


def fastest(function, count):
    """Seconds of one of `count` calls, the fastest of a few rounds."""
    rounds = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        function()
        rounds.append((time.perf_counter() - began) / count)
    return min(rounds)


def multiply_adds(network):
    """Multiply-adds of one image through a Sequential network."""
    total = 0
    for layer in network.layers:
        if getattr(layer, "kernel", None) is None:
            continue
        weights = int(np.prod(layer.kernel.shape))
        kind = type(layer).__name__
        if kind == "Dense":
            total += weights
        elif kind == "Conv2D":
            total += weights * int(np.prod(layer.output.shape[1:3]))
        elif kind == "Conv2DTranspose":
            total += weights * int(np.prod(layer.input.shape[1:3]))
    return total


def peaks():
    """Return dict of name → GFLOP/s."""
    import tensorflow as tf

    found = {}
    for dtype in ("float32", "bfloat16"):
        matrix = tf.cast(tf.random.normal([2048, 2048]), dtype)
        images = tf.cast(tf.random.normal([64, 28, 28, 64]), dtype)
        kernel = tf.cast(tf.random.normal([3, 3, 64, 64]), dtype)

        @tf.function
        def product(matrix=matrix):
            return tf.reduce_sum(tf.cast(matrix @ matrix, tf.float32))

        @tf.function
        def convolution(images=images, kernel=kernel):
            return tf.reduce_sum(tf.cast(tf.nn.conv2d(images, kernel, 1, "SAME"), tf.float32))

        for name, function, flops in (
            ("matrix product", product, 2 * 2048**3),
            ("convolution", convolution, 2 * 64 * 28 * 28 * 9 * 64 * 64),
        ):
            function()
            found[f"{name}, {dtype}"] = flops / fastest(lambda f=function: float(f()), 1) / 1e9
    return found


def step_times(precision, extra):
    """Return (seconds of a step, FLOPs of a step) of the default run."""
    from gan.training import Trainer

    config, _ = TrainConfig.from_arguments(extra)
    dataset = load_dataset("mnist")
    conditioning = condition_dataset(dataset, config.condition, config.clusters, config.seed)
    trainer = Trainer(config, dataset, conditioning, precision)
    batches = trainer.epoch_batches(1)[:50]
    trainer.train(batches)
    generator, discriminator = (multiply_adds(n) for n in (trainer.generator,
                                                           trainer.discriminator))
    # Trained: forward, gradient of inputs, gradient of weights. The discriminator
    # sees two images each step, and is passed once more backwards for the generator.
    count = 3 * generator + 2 * 3 * discriminator + discriminator
    seconds = fastest(lambda: trainer.train(batches).numpy(), len(batches))
    return seconds, 2 * count * config.batch_size


def main():
    """Run the benchmark."""
    options = parser(__doc__).parse_args()
    import_tensorflow(verbose=False)
    found = peaks()
    rows = [[name, "", "", f"{value:.0f}", ""] for name, value in found.items()]
    for precision in ("float32", "mixed_bfloat16"):
        best = max(value for name, value in found.items()
                   if name.endswith(precision.removeprefix("mixed_")))
        for text, extra in (("with the penalty every 4th step", []),
                            ("without the penalty", ["--gradient-penalty", "none"])):
            seconds, flops = step_times(precision, extra)
            rate = flops / seconds / 1e9
            rows.append([f"train step, {precision}, {text}", f"{1000 * seconds:.2f}",
                         f"{flops / 1e9:.2f}", f"{rate:.0f}", f"{rate / best:.0%}"])
    report(f"Train step ({machine()})", ["what", "ms", "GFLOP", "GFLOP/s", "of the best peak"],
           rows, options)


if __name__ == "__main__":
    main()
