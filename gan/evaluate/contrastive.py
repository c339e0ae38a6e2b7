"""Training the network whose features are compared, on images without labels.

SimCLR (Chen et al. 2020, "A Simple Framework for Contrastive Learning of Visual
Representations"): each image of a batch is shown in two random views, and the
network learns to tell which two belong together. The views change place, size,
light and what is covered, but neither hue nor saturation: wrong colours are a
defect of generated images, and have to be seen in the features.
"""

import math
import sys

import numpy as np

from gan.data.changes import cut_out, moved, relit
from gan.data.clustering import some_of
from gan.evaluate.classifier import scale
from gan.evaluate.learned import (
    LearnedNetwork,
    build_encoder,
    cached_path,
    load_learned,
    save_learned,
)
from gan.evaluate.metrics import squared_distances, statistics

STEPS = 400  # whatever the number of images
BATCH = 64  # images a step, each in two views
LEAST_IMAGES = 200  # below which nothing is learned
HELD_OUT = 10  # one image in so many measures what was learned, within these bounds:
LEAST_HELD_OUT, MOST_HELD_OUT = 50, 500
PROJECTED = 64  # numbers in which views are compared while training
TEMPERATURE = 0.1
RATE = 1e-3

VIEW_DRAWS = 10  # random numbers that a view takes
SCALES = math.log(0.8), math.log(1.1)  # logarithm of the side of what is seen, of the image's
STRETCH = math.log(1.1)  # at most, of the logarithm of either side
SHIFT = 1 / 16  # at most, of the side
BRIGHTNESS = 0.1  # at most, where black is -1 and white is 1
CONTRAST = math.log(1.1)  # at most, of the logarithm
CUTOUT, COVERED = 0.3, 0.5  # side of the blank square, of the image's; share of views with one


def learned_network_of(dataset):
    """Return the network that learned from a data set: cached or trained now.

    Args:
        dataset: a `Dataset` of at least 200 images, of which not all are the same.

    Returns:
        A `LearnedNetwork`.
    """
    path = cached_path(dataset)
    found = load_learned(path, dataset.fingerprint)
    if found is None:
        found = train_learned(dataset)
        save_learned(path, found, dataset.fingerprint)
    return found


def train_learned(dataset, seed=0):
    """Train a network on a data set's training images, whose labels it is not told.

    A tenth of them, from 50 to 500, it is not trained on: these are shown in two
    views each, and its accuracy is the fraction of which the second view is
    nearer to the first, in the features, than the second view of any other.

    Args:
        dataset: see `learned_network_of`.
        seed: of weights, order, views and the images held out.

    Returns:
        A `LearnedNetwork`. The last layer is linear, and shifted and scaled so
        that the features of the training images have mean 0 and a total variance
        of 1: what a training leaves of length in the features is chance, and
        distances have the scale of the data.
    """
    import keras

    images = dataset.images
    print(f"training a network on {dataset.name} without labels, whose features are compared, "
          f"{STEPS} steps", flush=True)
    order = np.random.default_rng(seed).permutation(len(images))
    count = held_out_for(len(images))
    keras.utils.set_random_seed(seed)
    encoder = build_encoder(dataset.sample_shape)
    _fit(encoder, images, order[count:], seed)
    accuracy = found_again(encoder, images[np.sort(order[:count])], seed)
    print(f"finds {accuracy:.1%} of {count} held-out images again in another view", flush=True)
    network = LearnedNetwork(encoder.get_weights(), accuracy)
    features = np.concatenate([network.predict(part) for part in some_of(images)])
    centre, spread = features.mean(axis=0), np.sqrt(features.var(axis=0).sum())
    kernel, bias = network.weights[-2:]
    network = LearnedNetwork([*network.weights[:-2], kernel / spread, (bias - centre) / spread],
                             accuracy)
    network.statistics = statistics((features - centre) / spread)
    return network


def held_out_for(count):
    """Return how many of a number of images measure what was learned from the others."""
    return min(max(LEAST_HELD_OUT, count // HELD_OUT), MOST_HELD_OUT)


def found_again(encoder, images, seed):
    """Return the fraction of images of which one view is nearest to the other.

    Args:
        encoder: see `build_encoder`.
        images: uint8 [N, H, W, C].
        seed: of the views.
    """
    features = []
    for start in range(0, len(images), BATCH):
        shown = _two_views(images[start : start + BATCH], [seed, STEPS + start])
        features.append(np.split(encoder(shown, training=False).numpy(), 2))
    first, second = (np.concatenate(part) for part in zip(*features, strict=True))
    nearest = squared_distances(first, second).argmin(axis=1)
    return float(np.mean(nearest == np.arange(len(images))))


def views(images, draws):
    """Show images otherwise: moved, mirrored, in another light, partly covered.

    Args:
        images: float32 [N, H, W, C] in [-1, 1], H = W.
        draws: float32 [N, VIEW_DRAWS] in [0, 1), which decide all.

    Returns:
        float32 [N, H, W, C] of the hues in `images`; what is covered is 0.
    """
    import tensorflow as tf

    even = 2 * draws - 1  # in [-1, 1)
    smallest, largest = SCALES
    scales = smallest + (largest - smallest) * draws[:, 0]
    down = tf.exp(scales + STRETCH * even[:, 1])
    across = tf.exp(scales - STRETCH * even[:, 1]) * tf.where(draws[:, 2] < 0.5, -1.0, 1.0)
    images = moved(images, down, across, SHIFT * even[:, 3:5])
    images = relit(images, BRIGHTNESS * even[:, 5], tf.exp(CONTRAST * even[:, 6]))
    return cut_out(images, tf.cast(draws[:, 7] < COVERED, tf.float32), draws[:, 8:], CUTOUT)


def nt_xent(first, second, temperature):
    """Return the normalised temperature-scaled cross entropy (Chen et al. 2020, equation 1).

    Args:
        first, second: float32 [N, D], the projections of two views of each image.
        temperature: by which the cosines are divided.

    Returns:
        float32 scalar, the mean over all 2 N views.
    """
    import tensorflow as tf

    count = tf.shape(first)[0]
    vectors = tf.math.l2_normalize(tf.concat([first, second], axis=0), axis=1)
    cosines = tf.matmul(vectors, vectors, transpose_b=True) / temperature
    cosines -= 1e9 * tf.eye(2 * count)  # no view is compared with itself
    others = tf.roll(tf.range(2 * count), count, axis=0)
    return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(others, cosines))


def _two_views(images, seed):
    """Return two views of each image, float32 [2 N, H, W, C]: the first ones first."""
    import tensorflow as tf

    images = tf.concat(2 * [scale(images)], axis=0)
    draws = tf.random.stateless_uniform([tf.shape(images)[0], VIEW_DRAWS], seed)
    return views(images, draws)


def _fit(encoder, images, trained, seed):
    """Train an encoder.

    Args:
        encoder: see `build_encoder`.
        images: uint8 [N, H, W, C].
        trained: int, the places of those to train on, in random order.
        seed: of order and views.
    """
    import keras
    import tensorflow as tf
    from tqdm import tqdm

    head = keras.Sequential([keras.Input([encoder.output_shape[-1]]), keras.layers.ReLU(),
                             keras.layers.Dense(encoder.output_shape[-1], "relu"),
                             keras.layers.Dense(PROJECTED)])
    weights = encoder.trainable_variables + head.trainable_variables
    optimizer = keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(
        RATE / 10, STEPS - STEPS // 10, warmup_target=RATE, warmup_steps=STEPS // 10))
    optimizer.build(weights)

    @tf.function(autograph=False)
    def step(batch, number):
        with tf.GradientTape() as tape:
            shown = _two_views(batch, tf.stack([seed, number]))
            loss = nt_xent(*tf.split(head(encoder(shown, training=True)), 2), TEMPERATURE)
        optimizer.apply(tape.gradient(loss, weights), weights)
        return loss

    random = np.random.default_rng([seed, 1])
    passes = [trained]
    while sum(len(places) // BATCH for places in passes) < STEPS:
        passes.append(random.permutation(trained))
    batches = np.concatenate([places[: len(places) // BATCH * BATCH].reshape(-1, BATCH)
                              for places in passes])[:STEPS]
    with tqdm(batches, desc="learning features", unit="step", leave=False,
              disable=not sys.stderr.isatty()) as bar:
        for number, places in enumerate(bar):
            loss = step(images[np.sort(places)], tf.constant(number))
            bar.set_postfix_str(f"loss {loss:.3f}", refresh=False)
