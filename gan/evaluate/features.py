"""Features that images are compared in: of a classifier, an encoder, Inception, or the pixels."""

import functools
import hashlib
import math
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from gan.augment import affine, cutout, relight
from gan.common.errors import UserError, warn
from gan.common.files import cache_folder, read_archive, write_archive
from gan.data.conditions import PrincipalComponents
from gan.data.datasets import ASSETS
from gan.data.pixels import slices_of
from gan.data.sample_types import Images
from gan.evaluate.metrics import (
    VALUES,
    NotMeasurableError,
    parts_of,
    random_subset,
    shrink,
    squared_distances,
    statistics,
)

COMPONENTS = 50  # principal components of the pixels
# Share of the way from guessing to perfect that a classifier must come before its features are
# used: "almost perfect" agreement of Landis & Koch 1977. Below it images of different classes
# share their place among the features, and generated images can come out nearer than real ones.
LEAST_AGREEMENT = 0.8
# The same of a network that learned without labels, whose task is harder: to tell an image from
# hundreds that may look much like it.
LEAST_FOUND = 0.1
LEAST_IMAGES = 200  # below which nothing is learned without labels
FEATURES = 128
RECIPES = {"classifier": 2, "learned": 1}  # how cached networks were trained; others are made anew
# Images described in a part, of at most so many pixels together, and parts at once.
BATCH, PIXELS, PARTS = {"classifier": 500, "learned": 500, "inception": 32}, 2**20, 2
MOST_DESCRIBED = 65_536  # images whose statistics stand for all
STATISTICS = ("statistics/mean", "statistics/covariance")
HELD_OUT = 10  # one image in so many measures the accuracy, unless labeled test images do
LEAST_HELD_OUT, MOST_HELD_OUT = 50, 500
SIDE = 299  # pixels, for which Inception was made
INCEPTION_IMAGES = 20_000  # training images whose statistics stand for all
DESCRIPTIONS = {
    "classifier": "classifier features (accuracy {:.1%} on held-out images)",
    "learned": "features learned without labels ({:.1%} of held-out images found again in another "
               "view)",
    "inception": f"features of Keras' InceptionV3 (ImageNet weights, images resized to {SIDE} x "
                 f"{SIDE}; published FIDs use other weights)",
}
EPOCHS, LEAST_STEPS, LABELED_BATCH = 12, 600, 128  # of the classifier's training
LARGE, AVERAGED = 256, 128  # pixels a side, from which a classifier's images are made smaller
SHIFT = 2  # pixels that its training images are moved by, at most
STEPS, VIEWED_BATCH, RATE, TEMPERATURE = 400, 64, 1e-3, 0.1  # of the encoder's training
VIEW_DRAWS = 10  # random numbers that a view takes
to_floats = Images.to_floats


# --- The choice


def extractor_for(dataset, wanted="auto"):
    """Return the `FeatureNetwork` or `pixel_features` that images of a data set are compared in.

    "auto" is the classifier that comes with the package if it is of these data, else "pixels";
    "trained" is "classifier" where there are labels, else "learned". Pixels stand in for a network
    that cannot be had or is too weak, and their description says why. What lies in a cache has
    no say.
    """
    if wanted == "trained":
        wanted = "learned" if dataset.labels is None else "classifier"
    reason = ""
    try:
        if wanted == "inception":
            found = FeatureNetwork("inception", _load_inception())
            sample = random_subset(dataset.images, INCEPTION_IMAGES)
            found.statistics = statistics(found.extract(sample)[0])
            return found
        if wanted == "learned":
            return _learned_network(dataset)
        if wanted != "pixels":
            return _classifier(dataset, shipped_only=wanted == "auto")
    except NotMeasurableError as error:
        reason = f" ({error})"
    return pixel_features(dataset.images, reason)


def _learned_network(dataset):
    count = len(dataset.images)
    if count < LEAST_IMAGES:
        raise NotMeasurableError(
            f"features are learned from {LEAST_IMAGES} images or more, got {count}")
    network = trained_network("learned", dataset)
    need_skill(network.accuracy, 1 / encoder_held_out(count), LEAST_FOUND,
               "found again in another view")
    return network


def _classifier(dataset, shipped_only):
    if dataset.labels is None:
        raise NotMeasurableError("the data have no labels")
    shipped = load_network(ASSETS / "mnist_classifier.npz", "classifier", dataset,
                           dataset.original or dataset.fingerprint)
    if shipped is not None:
        return shipped
    if shipped_only:
        raise NotMeasurableError("no classifier of these data comes with the package")
    guessing = np.bincount(dataset.labels).max() / len(dataset.labels)  # always the largest class
    if guessing == 1:
        raise NotMeasurableError("the data have a single class")
    network = trained_network("classifier", dataset)
    need_skill(network.accuracy, guessing, LEAST_AGREEMENT, "classified correctly")
    return network


def need_skill(accuracy, guessing, share, task):
    """Raise `NotMeasurableError` unless an accuracy is this share of the way to perfect."""
    least = guessing + share * (1 - guessing)
    if not accuracy >= least:
        raise NotMeasurableError(f"{accuracy:.1%} of held-out images are {task}, expected at "
                                 f"least {least:.1%}")


def pixel_features(images, reason):
    """Return the principal components of the pixels, whose total variance is brought to 1."""
    sample = _shrunk(random_subset(images, MOST_DESCRIBED))
    components = PrincipalComponents(sample, COMPONENTS)
    features = components.project(sample)
    scale = 1 / (np.sqrt(features.var(axis=0).sum()) or 1)  # all may be the same
    return SimpleNamespace(
        kind="pixels", description=f"principal components of the pixels{reason}", accuracy=None,
        statistics=statistics(features * scale),
        extract=lambda images: (components.project(_shrunk(images)) * scale, None))


def _shrunk(images):
    return np.concatenate([shrink(part) for part in parts_of(images)])


# --- Networks


class FeatureNetwork:
    """A trained network of some kind, a key of `DESCRIPTIONS`: images → features.

    `network` is a Keras model, images in [-1, 1] → features, or → logits after the features of
    a classifier; `accuracy` is that on held-out images, and `statistics` are those of the training
    images' features.
    """

    def __init__(self, kind, network, accuracy=None, statistics=None):
        self.kind, self.network = kind, network
        self.accuracy, self.statistics = accuracy, statistics
        self.description = DESCRIPTIONS[kind].format(accuracy or 0)
        self._known = {}  # digest of an image → its features in Inception, which take long

    def extract(self, images):
        """Return features float32 [N, D] of uint8 images, and class probabilities or None."""
        most = min(BATCH[self.kind], PIXELS // math.prod(images.shape[1:3]))
        describe = self._describe_once if self.kind == "inception" else self._compute
        parts = slices_of(images, most, VALUES)
        with ThreadPoolExecutor(PARTS) as pool:  # a network describes a part on one core
            features, probabilities = zip(
                *pool.map(lambda part: describe(images[part]), parts), strict=True)
        return (np.concatenate(features),
                np.concatenate(probabilities) if self.kind == "classifier" else None)

    def _describe_once(self, images):
        keys = [hashlib.blake2b(image.tobytes(), digest_size=16).digest() for image in images]
        new = {key: place for place, key in enumerate(keys) if key not in self._known}
        if new:
            rows, _ = self._compute(images[list(new.values())])
            self._known |= dict(zip(new, rows.numpy(), strict=True))
        return np.stack([self._known[key] for key in keys]), None

    @functools.cached_property
    def _compute(self):
        import tensorflow as tf

        @tf.function(autograph=False, reduce_retracing=True)
        def compute(images):
            if self.kind == "inception":  # which takes three channels, of six one half at a time
                halves = tf.split(images, max(1, images.shape[-1] // 3), axis=-1)
                return tf.concat([self.network(enlarged(half), training=False)
                                  for half in halves], axis=-1), None
            values = to_floats(images)
            if self.kind != "classifier":
                return self.network(values, training=False), None
            *body, head = self.network.layers
            for layer in body:
                values = layer(values, training=False)
            return values, tf.nn.softmax(head(values))

        return compute


def build_classifier(image_shape, classes):
    import keras
    from keras import layers

    network = keras.Sequential([keras.Input(image_shape)])
    size, channels = max(image_shape[:2]), 32
    if size > LARGE:  # or a batch would need many GiB
        factor = -(-size // AVERAGED)
        network.add(layers.AveragePooling2D(factor))
        size //= factor
    while size > 8:
        for strides in (1, 2):
            network.add(layers.Conv2D(channels, 3, strides=strides, padding="same",
                                      use_bias=False))
            network.add(layers.BatchNormalization())
            network.add(layers.ReLU())
        size, channels = -(-size // 2), min(2 * channels, 128)
    network.add(layers.Flatten())
    network.add(layers.Dense(FEATURES, activation="relu"))
    network.add(layers.Dropout(0.5))
    network.add(layers.Dense(classes))
    return network


def build_encoder(image_shape):
    import keras
    from keras import layers

    factor = -(-max(image_shape[:2]) // 64)
    encoder = keras.Sequential([keras.Input(image_shape), layers.AveragePooling2D(factor)])
    size, filters = max(image_shape[:2]) // factor, 32
    while size > 8:
        encoder.add(layers.Conv2D(filters, 4, strides=2, padding="same", use_bias=False))
        encoder.add(layers.BatchNormalization(momentum=0.9))  # settled in some dozen steps
        encoder.add(layers.LeakyReLU(0.2))
        size, filters = -(-size // 2), min(2 * filters, 128)
    encoder.add(layers.Flatten())
    encoder.add(layers.Dense(FEATURES))
    return encoder


# --- Inception


def enlarged(images):
    """Turn uint8 [N, H, W, 1 or 3] into what Inception expects."""
    import tensorflow as tf

    resized = tf.image.resize(images, [SIDE, SIDE], antialias=max(images.shape[1:3]) > SIDE)
    return tf.repeat(resized, 3 // images.shape[-1], axis=-1) / 127.5 - 1


def _load_inception():
    """Return Keras' Inception-v3 (Szegedy et al. 2016)."""
    import keras

    try:
        return keras.applications.InceptionV3(include_top=False, weights="imagenet", pooling="avg",
                                              input_shape=(SIDE, SIDE, 3))
    except Exception as error:  # Keras wraps some of the network's errors and not others
        home = Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras")
        path = home / "models/inception_v3_weights_tf_dim_ordering_tf_kernels_notop.h5"
        raise UserError(f"--features inception: the weights cannot be downloaded ({error}); "
                        f"expected a network, or the file {path}") from error


# --- Files


def trained_network(kind, dataset):
    """Return the "classifier" or the "learned" network of a data set, cached or trained now."""
    path = cache_folder() / f"{kind}_{RECIPES[kind]}_{dataset.fingerprint}.npz"
    network = load_network(path, kind, dataset, dataset.fingerprint)
    if network is None:
        network = train_classifier(dataset) if kind == "classifier" else train_encoder(dataset)
        save_network(path, network, dataset.fingerprint)
    return network


def save_network(path, network, fingerprint):
    arrays = {f"weights/{index:02d}": array
              for index, array in enumerate(network.network.get_weights())}
    arrays |= dict(zip(STATISTICS, network.statistics, strict=True))
    write_archive(path, arrays, {"dataset": fingerprint, "accuracy": network.accuracy})


def load_network(path, kind, dataset, fingerprint):
    """Read a `FeatureNetwork`; None if there is none of these data, or it is damaged."""
    if not path.exists():
        return None
    try:
        arrays, about = read_archive(path, "a network")
        if about["dataset"] != fingerprint:
            return None
        known = tuple(arrays.pop(name) for name in STATISTICS)
        weights = [arrays[name] for name in sorted(arrays)]
        network = (build_classifier(dataset.sample_shape, len(weights[-1]))
                   if kind == "classifier" else build_encoder(dataset.sample_shape))
        network.set_weights(weights)
        return FeatureNetwork(kind, network, float(about["accuracy"]), known)
    except (UserError, KeyError, TypeError, ValueError, IndexError) as error:
        warn(f"{path} is damaged ({error}); making it anew")
        return None


# --- Training on labels


def train_classifier(dataset, epochs=EPOCHS):
    """Train a classifier on labeled training images; a tenth is held out if no test images are."""
    import keras
    import tensorflow as tf

    images, labels = dataset.images, dataset.labels
    held_out = dataset.test_images, dataset.test_labels
    if dataset.test_labels is None:
        order = np.random.default_rng(0).permutation(len(images))
        measured, trained = np.split(order, [len(images) // HELD_OUT])
        held_out = images[np.sort(measured)], labels[np.sort(measured)]
        images, labels = images[np.sort(trained)], labels[np.sort(trained)]
    if len(held_out[1]) < LEAST_HELD_OUT:
        raise NotMeasurableError(f"a classifier needs {LEAST_HELD_OUT} labeled images to be "
                                 f"tested on, got {len(held_out[1])}")
    batch = min(LABELED_BATCH, len(images))
    epochs = max(epochs, -(-LEAST_STEPS // (len(images) // batch)))
    print(f"training a classifier of {dataset.name}, whose features are compared, {epochs} epochs",
          flush=True)
    keras.utils.set_random_seed(0)
    network = build_classifier(dataset.sample_shape, len(dataset.class_names))
    network.compile(
        _adam(2e-3, 1e-4, epochs * (len(images) // batch)),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"],
    )
    stream = tf.random.Generator.from_seed(0, alg="philox")

    def shifted(images, labels):
        margin = [[0, 0], [SHIFT, SHIFT], [SHIFT, SHIFT], [0, 0]]
        wide = tf.pad(images, margin, mode="SYMMETRIC")
        seeds = stream.make_seeds(1)[:, 0]
        return to_floats(tf.image.stateless_random_crop(wide, tf.shape(images), seeds)), labels

    data = tf.data.Dataset.from_tensor_slices((images, labels))
    data = data.shuffle(len(images), seed=0).batch(batch, drop_remainder=True)
    # A line an epoch where epochs take seconds; hundreds of short ones pass in silence.
    network.fit(data.map(shifted).prefetch(2), epochs=epochs, shuffle=False,
                verbose=2 if epochs <= 24 else 0)
    found = FeatureNetwork("classifier", network)
    accuracy = float((found.extract(held_out[0])[1].argmax(axis=1) == held_out[1]).mean())
    return FeatureNetwork("classifier", network, accuracy,
                          statistics(found.extract(dataset.images)[0]))


def _adam(rate, first, steps):
    """Adam whose learning rate rises from `first` in a tenth of the steps, then falls to 0."""
    import keras

    return keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(
        first, max(1, steps - steps // 10), warmup_target=rate, warmup_steps=steps // 10))


# --- Training without labels


def encoder_held_out(count):
    return min(max(LEAST_HELD_OUT, count // HELD_OUT), MOST_HELD_OUT)


def train_encoder(dataset):
    """Train an encoder on a data set's training images by SimCLR (Chen et al. 2020).

    The accuracy is the fraction of held-out images of which one view is nearest to the other.
    The training images' features have mean 0 and a total variance of 1.
    """
    import keras

    images = dataset.images
    print(f"training a network on {dataset.name} without labels, whose features are compared, "
          f"{STEPS} steps", flush=True)
    order = np.random.default_rng(0).permutation(len(images))
    count = encoder_held_out(len(images))
    keras.utils.set_random_seed(0)
    encoder = build_encoder(dataset.sample_shape)
    _fit_encoder(encoder, images, order[count:])
    accuracy = _found_again(encoder, images[np.sort(order[:count])])
    features, _ = FeatureNetwork("learned", encoder).extract(random_subset(images, MOST_DESCRIBED))
    mean, spread = features.mean(axis=0), np.sqrt(features.var(axis=0).sum()) or 1
    *weights, kernel, bias = encoder.get_weights()
    encoder.set_weights([*weights, kernel / spread, (bias - mean) / spread])
    return FeatureNetwork("learned", encoder, accuracy, statistics((features - mean) / spread))


def _found_again(encoder, images):
    features = []
    for start in range(0, len(images), VIEWED_BATCH):
        shown = _two_views(images[start : start + VIEWED_BATCH], STEPS + start)
        features.append(np.split(encoder(shown, training=False).numpy(), 2))
    first, second = (np.concatenate(part) for part in zip(*features, strict=True))
    nearest = squared_distances(first, second).argmin(axis=1)
    return float(np.mean(nearest == np.arange(len(images))))


def views(images, draws):
    """Show images moved, mirrored, relit and partly covered, as float32 [N, 10] in [0, 1) say."""
    # Neither hue nor saturation changes: wrong colors are a defect of generated images.
    import tensorflow as tf

    even = 2 * draws - 1  # in [-1, 1)
    # The side of what is seen, of the image's: 0.8 to 1.1, either side stretched by up to 1.1.
    scales = math.log(0.8) + math.log(1.1 / 0.8) * draws[:, 0]
    down = tf.exp(scales + math.log(1.1) * even[:, 1])
    across = tf.exp(scales - math.log(1.1) * even[:, 1]) * tf.where(draws[:, 2] < 0.5, -1.0, 1.0)
    images = affine(images, down, across, even[:, 3:5] / 16)
    images = relight(images, 0.1 * even[:, 5], tf.exp(math.log(1.1) * even[:, 6]))
    # Half of the views have a blank square of 0.3 of the side.
    return cutout(images, tf.cast(draws[:, 7] < 0.5, tf.float32), draws[:, 8:], 0.3)


def nt_xent(first, second, temperature):
    """Return the NT-Xent loss of two views' projections, [N, D] (Chen et al. 2020, equation 1)."""
    import tensorflow as tf

    count = tf.shape(first)[0]
    vectors = tf.math.l2_normalize(tf.concat([first, second], axis=0), axis=1)
    cosines = tf.matmul(vectors, vectors, transpose_b=True) / temperature
    cosines -= 1e9 * tf.eye(2 * count)  # no view is compared with itself
    others = tf.roll(tf.range(2 * count), count, axis=0)
    return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(others, cosines))


def _two_views(images, number):
    """Return two views of each image, [2 N, H, W, C]: the first ones first."""
    import tensorflow as tf

    images = tf.concat(2 * [to_floats(images)], axis=0)
    draws = tf.random.stateless_uniform([tf.shape(images)[0], VIEW_DRAWS], [0, number])
    return views(images, draws)


def _fit_encoder(encoder, images, trained):
    import keras
    import tensorflow as tf
    from tqdm import trange

    head = keras.Sequential([keras.Input([FEATURES]), keras.layers.ReLU(),
                             keras.layers.Dense(FEATURES, "relu"), keras.layers.Dense(64)])
    weights = encoder.trainable_variables + head.trainable_variables
    optimizer = _adam(RATE, RATE / 10, STEPS)
    optimizer.build(weights)

    @tf.function(autograph=False)
    def step(batch, number):
        with tf.GradientTape() as tape:
            shown = _two_views(batch, number)
            loss = nt_xent(*tf.split(head(encoder(shown, training=True)), 2), TEMPERATURE)
        optimizer.apply(tape.gradient(loss, weights), weights)

    random, order, start = np.random.default_rng([0, 1]), trained, 0
    for number in trange(STEPS, desc="learning features", unit="step", leave=False, disable=None):
        if start + VIEWED_BATCH > len(order):
            order, start = random.permutation(trained), 0
        places = np.sort(order[start : start + VIEWED_BATCH])
        step(images[places], tf.constant(number))
        start += VIEWED_BATCH
