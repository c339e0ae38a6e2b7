"""Folders of pictures: the default networks against keras.io's DCGAN for the same time.

    python benchmarks/pictures.py icons photos --minutes 10 --sheets docs/images

The training time is planned from a few seconds of steps, so that the learning
rates fall to their end. keras.io's network is that of its example "DCGAN to
generate face images" (three strided convolutions with dropout; three transposed
convolutions; Adam 1e-4; batches of 32; labels with noise). Both are judged by
the same 5,000 seeds: patches, precision and recall beside those of a sixth of
the pictures against the others, and how near they come to training pictures.
"""

import shlex
import time
from pathlib import Path

import numpy as np
from common import build, machine, parser, report

from gan.common.device import import_tensorflow
from gan.data.datasets import load_dataset
from gan.drawing.images import image_grid, write_png
from gan.evaluate.evaluator import Drawn, Evaluator
from gan.evaluate.neighbors import find_neighbors
from gan.run.plan import time_step

SAMPLES = 5_000
PLANNED = 5  # seconds of steps that the plan is made from
LATENT = 128  # of keras.io's generator


def train(name, dataset, options):
    """Train the default networks; returns (a function that draws, what was done)."""
    arguments = ["--dataset", name, "--seed", str(options.seed), *shlex.split(options.recipe)]
    trainer, _ = build(dataset, [*arguments, "--epochs", "1000"])
    epoch = time_step(trainer, PLANNED) * trainer.feed.steps_per_epoch
    epochs = max(1, round(60 * options.minutes / epoch))
    trainer, sampler = build(dataset, [*arguments, "--epochs", str(epochs)])
    trainer.train(trainer.feed.epoch_batches(1)[:0])  # traced
    began = time.perf_counter()
    for number in range(1, trainer.config.epochs + 1):
        measures = trainer.train(trainer.feed.epoch_batches(number)).numpy().mean(axis=0)
        print(f"  epoch {number}/{trainer.config.epochs} losses {measures[:2].round(3)} "
              f"discriminator accuracy {measures[4]:.2f}", flush=True)
    return sampler.draw, (trainer.config.arch, int(trainer.state.step), trainer.config.batch_size,
                          time.perf_counter() - began)


def train_textbook(name, dataset, options):
    """Train keras.io's DCGAN; returns as `train` does."""
    import keras
    import tensorflow as tf
    from keras import layers

    keras.utils.set_random_seed(options.seed)
    size, _, channels = dataset.sample_shape
    discriminator = keras.Sequential([keras.Input(dataset.sample_shape)] + [
        layer for filters in (64, 128, 128) for layer in
        (layers.Conv2D(filters, 4, strides=2, padding="same"), layers.LeakyReLU(0.2))
    ] + [layers.Flatten(), layers.Dropout(0.2), layers.Dense(1)])
    generator = keras.Sequential([
        keras.Input((LATENT,)), layers.Dense(size // 8 * (size // 8) * 128),
        layers.Reshape((size // 8, size // 8, 128))] + [
        layer for filters in (128, 256, 512) for layer in
        (layers.Conv2DTranspose(filters, 4, strides=2, padding="same"), layers.LeakyReLU(0.2))
    ] + [layers.Conv2D(channels, 5, padding="same", activation="sigmoid")])
    optimizers = [keras.optimizers.Adam(1e-4) for _ in range(2)]
    loss = keras.losses.BinaryCrossentropy(from_logits=True)

    @tf.function
    def step(real):
        real = tf.cast(real, tf.float32) / 255
        count = tf.shape(real)[0]
        both = tf.concat([generator(tf.random.normal([count, LATENT]), training=True), real], 0)
        # 1 stands for generated images there, and labels are raised a little at random.
        labels = tf.concat([tf.ones([count, 1]), tf.zeros([count, 1])], 0)
        labels += 0.05 * tf.random.uniform(tf.shape(labels))
        with tf.GradientTape() as tape:
            value = loss(labels, discriminator(both, training=True))
        weights = discriminator.trainable_weights
        optimizers[0].apply_gradients(zip(tape.gradient(value, weights), weights, strict=True))
        with tf.GradientTape() as tape:
            generated = generator(tf.random.normal([count, LATENT]), training=True)
            value = loss(tf.zeros([count, 1]), discriminator(generated, training=True))
        weights = generator.trainable_weights
        optimizers[1].apply_gradients(zip(tape.gradient(value, weights), weights, strict=True))

    random, steps = np.random.default_rng(options.seed), 0
    step(dataset.images[:32])  # traced
    began = time.perf_counter()
    while time.perf_counter() - began < 60 * options.minutes:
        step(dataset.images[np.sort(random.choice(len(dataset.images), 32, replace=False))])
        steps += 1
    seconds = time.perf_counter() - began

    def draw(seeds):
        latents = np.random.default_rng(int(seeds[0])).normal(size=(len(seeds), LATENT))
        return np.rint(255 * generator.predict(latents.astype(np.float32), 100, verbose=0)).astype(
            np.uint8)

    return draw, ("keras.io", steps, 32, seconds)


def judge(name, images, dataset, evaluator, done, sheets):
    """Return a row of the table; draw a sheet if there is a folder for it."""
    found, split = evaluator.measure(images), evaluator.split()
    near = find_neighbors(images, dataset.images)[0].times_training
    arch, steps, batch, seconds = done
    if sheets:
        path = sheets / f"{Path(name).name}_{arch.replace('.', '_')}.png"
        write_png(path, image_grid(images[:60], 10))
    return [Path(name).name, arch, f"{steps:,} x {batch}", f"{seconds:.0f}",
            *(f"{found[metric]:.3g} ({split[metric]:.3g})" for metric in
              ("swd", "swd_coarse", "frechet", "precision", "recall")),
            f"{found['swd'] / split['swd']:.1f}", f"{near:.2f}"]


def main():
    """Run the comparison."""
    arguments = parser(__doc__)
    arguments.add_argument("folders", nargs="+")
    arguments.add_argument("--minutes", type=float, default=10)
    arguments.add_argument("--recipe", default="", help="options added to the default")
    arguments.add_argument("--image-size", type=int, default=64)
    arguments.add_argument("--features", default="trained")
    arguments.add_argument("--seed", type=int, default=0)
    arguments.add_argument("--no-textbook", action="store_true")
    arguments.add_argument("--sheets", type=Path, help="a folder to draw the first 60 to")
    options = arguments.parse_args()
    import_tensorflow(verbose=False)
    rows = []
    for name in options.folders:
        dataset = load_dataset(name, image_size=options.image_size, channels=3, skip_broken=True)
        evaluator = Evaluator(dataset, options.features)
        for run in [train] if options.no_textbook else [train, train_textbook]:
            draw, done = run(name, dataset, options)
            images = Drawn(draw, SAMPLES)[:]
            rows.append(judge(name, images, dataset, evaluator, done, options.sheets))
            print(*rows[-1], flush=True)
        print(evaluator.features()["description"], flush=True)
    report(f"{options.minutes:g} minutes of training, {SAMPLES:,} images, seed {options.seed} "
           f"({machine()})",
           ["pictures", "network", "steps", "seconds", "SWD", "coarse SWD",
            "Fréchet distance", "precision", "recall", "x SWD of real", "nearest / real"],
           rows, options)


if __name__ == "__main__":
    main()
