"""Quality over training time: the textbook's DCGAN against this project's recipes.

    python benchmarks/quality_over_time.py --plot docs/images/quality_over_time.png

All in one process, one after the other, on the same data and compared by the same
classifier. Time is the wall time of training alone; the evaluations between are
left out. The textbook's network has the layer sizes and settings of TensorFlow's
DCGAN tutorial (G: dense 7·7·256, transposed 5×5 to 128, 64, 1; D: 5×5 to 64,
128, dropout 0.3; batch 256, Adam 1e-4), written here.
"""

import time
from pathlib import Path

import numpy as np
from common import build, machine, parser, report

from gan.common.device import import_tensorflow
from gan.config import EPOCHS
from gan.data.datasets import load_dataset
from gan.evaluate.evaluator import Drawn, Evaluator


def textbook(images):
    """Train the tutorial's DCGAN; yields `(epoch, seconds, draw)` after each epoch."""
    import keras
    import tensorflow as tf
    from keras import layers

    keras.utils.set_random_seed(0)
    generator = keras.Sequential([
        keras.Input((100,)), layers.Dense(7 * 7 * 256, use_bias=False),
        layers.BatchNormalization(), layers.LeakyReLU(), layers.Reshape((7, 7, 256)),
        layers.Conv2DTranspose(128, 5, strides=1, padding="same", use_bias=False),
        layers.BatchNormalization(), layers.LeakyReLU(),
        layers.Conv2DTranspose(64, 5, strides=2, padding="same", use_bias=False),
        layers.BatchNormalization(), layers.LeakyReLU(),
        layers.Conv2DTranspose(1, 5, strides=2, padding="same", use_bias=False,
                               activation="tanh"),
    ])
    discriminator = keras.Sequential([
        keras.Input((28, 28, 1)),
        layers.Conv2D(64, 5, strides=2, padding="same"), layers.LeakyReLU(), layers.Dropout(0.3),
        layers.Conv2D(128, 5, strides=2, padding="same"), layers.LeakyReLU(), layers.Dropout(0.3),
        layers.Flatten(), layers.Dense(1),
    ])
    entropy = keras.losses.BinaryCrossentropy(from_logits=True)
    optimizers = [keras.optimizers.Adam(1e-4) for _ in range(2)]

    @tf.function
    def step(real):
        with tf.GradientTape(persistent=True) as tape:
            fake = generator(tf.random.normal([256, 100]), training=True)
            real_logits = discriminator(real, training=True)
            fake_logits = discriminator(fake, training=True)
            generator_loss = entropy(tf.ones_like(fake_logits), fake_logits)
            discriminator_loss = (entropy(tf.ones_like(real_logits), real_logits)
                                  + entropy(tf.zeros_like(fake_logits), fake_logits))
        for optimizer, network, loss in zip(optimizers, (generator, discriminator),
                                            (generator_loss, discriminator_loss), strict=True):
            gradients = tape.gradient(loss, network.trainable_variables)
            optimizer.apply_gradients(zip(gradients, network.trainable_variables, strict=True))

    @tf.function
    def draw(seeds):
        latents = tf.random.stateless_normal([len(seeds), 100], [seeds[0], 0])
        return tf.cast(tf.round(generator(latents, training=False) * 127.5 + 127.5), tf.uint8)

    scaled = images.astype(np.float32) / 127.5 - 1
    data = tf.data.Dataset.from_tensor_slices(scaled).shuffle(60000, seed=0).batch(256)
    epoch, seconds = 0, 0.0
    while True:
        epoch += 1
        began = time.perf_counter()
        for batch in data:
            step(batch)
        seconds += time.perf_counter() - began
        yield epoch, seconds, lambda seeds: draw(tf.cast(seeds, tf.int32))


def this_project(dataset, epochs, arguments):
    """Train as `train_gan.py` does; yields `(epoch, seconds, draw)` after each epoch.

    The first epoch is looked at after an eighth, a quarter and a half as well.
    """
    began = time.perf_counter()
    trainer, sampler = build(dataset, [*arguments, "--epochs", str(epochs)])
    trainer.train(trainer.feed.epoch_batches(1)[:0])  # traces; part of the time
    seconds = time.perf_counter() - began
    for epoch in range(1, epochs + 1):
        batches = trainer.feed.epoch_batches(epoch)
        ends = [1 / 8, 1 / 4, 1 / 2, 1] if epoch == 1 else [1]
        cuts = [0, *(int(end * len(batches)) for end in ends)]
        for end, first, last in zip(ends, cuts[:-1], cuts[1:], strict=True):
            began = time.perf_counter()
            trainer.train(batches[first:last]).numpy()
            seconds += time.perf_counter() - began
            yield epoch - 1 + end, seconds, sampler.draw


def measure(name, run, epochs, evaluator, reference):
    """Evaluate a run after each epoch; returns its list of points."""
    points = []
    for epoch, seconds, draw in run:
        found = evaluator.measure(Drawn(draw, evaluator.count)[:])
        ratio = found["frechet"] / reference["frechet"]
        points.append({"epoch": epoch, "seconds": round(seconds, 1),
                       "frechet": round(found["frechet"], 3), "ratio": round(ratio, 2),
                       "precision": round(found["precision"], 3),
                       "recall": round(found["recall"], 3)})
        print(name, points[-1], flush=True)
        if epoch == epochs:
            break
    return points


def plot(path, runs, reference):
    """Draw Fréchet distance over training time."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    for name, points in runs.items():
        axes.plot([point["seconds"] for point in points], [point["frechet"] for point in points],
                  marker="o", ms=3, label=name)
    axes.axhline(reference["frechet"], color="grey", ls="--", lw=1, label="real test images")
    axes.set(xscale="log", yscale="log", xlabel="training time on two CPU cores (seconds)",
             ylabel="Fréchet distance to the training images")
    axes.grid(alpha=0.25, which="both")
    axes.legend()
    figure.savefig(path, dpi=110)


def main():
    """Run the benchmark."""
    arguments = parser(__doc__)
    arguments.add_argument("--textbook-epochs", type=int, default=EPOCHS,
                           help="0: leave it out")
    arguments.add_argument("--epochs", type=int, default=EPOCHS, help="of this project's runs")
    arguments.add_argument("--plot", type=Path)
    options = arguments.parse_args()
    import_tensorflow(verbose=False)
    dataset = load_dataset("mnist")
    evaluator = Evaluator(dataset, "classifier")
    reference = evaluator.reference()
    print("real test images:", {name: round(value, 4) for name, value in reference.items()})
    recipes = {"default (labels)": [], "clusters, no labels": ["--condition", "clusters"],
               "--condition none": ["--condition", "none"]}
    runs = {name: measure(name, this_project(dataset, options.epochs, extra), options.epochs,
                          evaluator, reference) for name, extra in recipes.items()}
    goal = 0.0
    if options.textbook_epochs:
        runs["textbook DCGAN"] = measure("textbook DCGAN", textbook(dataset.images),
                                         options.textbook_epochs, evaluator, reference)
        goal = runs["textbook DCGAN"][-1]["frechet"]
    rows = [[name, *points[-1].values(),
             next((point["seconds"] for point in points if point["frechet"] <= goal), "")]
            for name, points in runs.items()]
    report(f"Quality over time ({machine()})",
           ["run", "epochs", "seconds", "Fréchet distance", "x real test images", "precision",
            "recall", "seconds to the textbook's last quality"], rows, options, runs=runs,
           reference=reference)
    if options.plot:
        plot(options.plot, runs, reference)


if __name__ == "__main__":
    main()
