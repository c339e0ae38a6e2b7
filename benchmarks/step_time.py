"""The train step: its time, its arithmetic, and the machine's peak in the same run.

    python benchmarks/step_time.py

FLOPs are counted from the layers: two a multiply-add, three passes for a network
that is trained. The peak is that of a large matrix product and of a large
convolution. Both are measured in float32 and in what runs on this machine use.
"""

import math

from common import batches_of, build, fastest, machine, parser, report

from gan.common.device import find_device, import_tensorflow
from gan.data.datasets import load_dataset


def multiply_adds(network):
    """Multiply-adds of one image through a Sequential network."""
    total = 0
    for layer in network.layers:
        if getattr(layer, "kernel", None) is not None:
            transposed = type(layer).__name__ == "Conv2DTranspose"
            pixels = (layer.input if transposed else layer.output).shape[1:-1]  # () of Dense
            total += math.prod(layer.kernel.shape) * math.prod(pixels)
    return total


def precisions():
    """The Keras dtype policies to measure: float32, and that of runs on this machine."""
    return sorted({"float32", find_device("auto").policy})


def peaks():
    """Return dict of name → GFLOP/s."""
    import tensorflow as tf

    found = {}
    for dtype in (policy.removeprefix("mixed_") for policy in precisions()):
        # Two at once, as operations of a step run.
        matrices, images, kernels = (
            tf.cast(tf.random.normal([2, *shape]), dtype)
            for shape in ([2048, 2048], [64, 28, 28, 64], [3, 3, 64, 64]))

        def product(index, matrices=matrices):
            return matrices[index] @ matrices[index]

        def convolution(index, images=images, kernels=kernels):
            return tf.nn.conv2d(images[index], kernels[index], 1, "SAME")

        for name, operation, flops in (
            ("matrix product", product, 2 * 2048**3),
            ("convolution", convolution, 2 * 64 * 28 * 28 * 9 * 64 * 64),
        ):
            @tf.function
            def both(operation=operation):
                return tf.add_n([tf.reduce_sum(tf.cast(operation(index), tf.float32))
                                 for index in range(2)])

            both()
            found[f"{name}, {dtype}"] = 2 * flops / fastest(lambda f=both: float(f())) / 1e9
    return found


def step_times(precision, extra):
    """Return (what was measured, seconds of a step, FLOPs of a step) of the default run."""
    trainer, _ = build(load_dataset("mnist"), extra, precision)
    batches = batches_of(trainer, 56)  # a multiple of the penalty's interval
    trainer.train(batches)  # traced
    generator, discriminator = (multiply_adds(n) for n in (trainer.state.generator,
                                                           trainer.state.discriminator))
    # Trained: forward, gradient of inputs, gradient of weights. The discriminator sees
    # a real and a generated image; one pass backwards serves the generator as well.
    count = 3 * generator + 2 * 3 * discriminator
    seconds = fastest(lambda: trainer.train(batches).numpy()) / len(batches)
    config = trainer.config
    penalty = ("no penalty" if config.gradient_penalty == "none" else
               f"the penalty every {config.gp_interval} steps")
    return f"train step, {precision}, {penalty}", seconds, 2 * count * config.batch_size


def main():
    """Run the benchmark."""
    options = parser(__doc__).parse_args()
    import_tensorflow(verbose=False)
    found = peaks()
    rows = [[name, "", "", f"{value:.0f}", ""] for name, value in found.items()]
    for precision in precisions():
        best = max(value for name, value in found.items()
                   if name.endswith(precision.removeprefix("mixed_")))
        for extra in ([], ["--gradient-penalty", "none"]):
            what, seconds, flops = step_times(precision, extra)
            rate = flops / seconds / 1e9
            rows.append([what, f"{1000 * seconds:.2f}", f"{flops / 1e9:.2f}", f"{rate:.0f}",
                         f"{rate / best:.0%}"])
    report(f"Train step ({machine()})", ["what", "ms", "GFLOP", "GFLOP/s", "of the best peak"],
           rows, options)


if __name__ == "__main__":
    main()
