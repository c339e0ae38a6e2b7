"""The small classifier in whose features images are compared.

Inception, the network behind the usual FID, was trained on photographs of 299
pixels; at 28 grey pixels its features say little. A classifier of the data
itself knows what matters in it. For MNIST it comes with the package, made by
`python -m gan.train_classifier`; for other labelled data it is trained once,
the same way, and kept in the user's cache.
"""

import sys

import numpy as np

from gan.common.archive import read_archive, write_archive
from gan.common.errors import UserError
from gan.common.files import cache_folder
from gan.data.datasets import ASSETS
from gan.measure.metrics import statistics

EPOCHS = 12
BATCH = 128
FEATURES = 128
SHIFT = 2  # pixels that training images are moved by, at most
LOOK_BATCH = 1000
STATISTICS = ("statistics/mean", "statistics/covariance")


class Classifier:
    """A trained classifier: images → features and class probabilities.

    Attributes:
        weights: list of arrays, in the order of `build_network`.
        accuracy: on the test images, or NaN without any.
        statistics: mean [D] and covariance [D, D] of the training images' features.
    """

    def __init__(self, weights, accuracy=float("nan"), statistics=None):
        """
        Args:
            weights, accuracy, statistics: the attributes.
        """
        self.weights, self.accuracy, self.statistics = weights, accuracy, statistics
        self._look = None

    def look(self, images):
        """Return features float32 [N, 128] and probabilities float32 [N, K].

        Args:
            images: uint8 [N, H, W, C].
        """
        import tensorflow as tf

        if self._look is None:
            network = build_network(images.shape[1:], len(self.weights[-1]))
            network.set_weights(self.weights)
            body, head = network.layers[:-1], network.layers[-1]

            @tf.function(autograph=False, reduce_retracing=True)
            def look(batch):
                values = scale(batch)
                for layer in body:
                    values = layer(values, training=False)
                return values, tf.nn.softmax(head(values))

            self._look = look
        parts = [self._look(images[start : start + LOOK_BATCH])
                 for start in range(0, len(images), LOOK_BATCH)]
        return tuple(np.concatenate([part[index].numpy() for part in parts]) for index in (0, 1))


def classifier_for(dataset, train=True):
    """Return the classifier of a labelled data set.

    Args:
        dataset: a `Dataset` with labels.
        train: train one when there is none yet; it takes minutes.

    Returns:
        A `Classifier`, or None when there is none and `train` is false.
    """
    fingerprint = dataset.fingerprint
    cached = cache_folder() / f"classifier_{fingerprint}.npz"
    for path in (ASSETS / "mnist_classifier.npz", cached):
        found = _load(path, fingerprint)
        if found:
            return found
    if not train:
        return None
    classifier = train_classifier(dataset)
    save_classifier(cached, classifier, fingerprint)
    return classifier


def save_classifier(path, classifier, fingerprint):
    """Write a classifier with the fingerprint of its data."""
    arrays = {f"weights/{index:02d}": array for index, array in enumerate(classifier.weights)}
    arrays |= dict(zip(STATISTICS, classifier.statistics, strict=True))
    write_archive(path, arrays, {"dataset": fingerprint, "accuracy": classifier.accuracy})


def _load(path, fingerprint):
    """Return the classifier in a file, or None if it is another data set's or damaged."""
    if not path.exists():
        return None
    try:
        arrays, about = read_archive(path)
        if about["dataset"] != fingerprint:
            return None
        training = tuple(arrays.pop(name) for name in STATISTICS)
        weights = [arrays[name] for name in sorted(arrays)]
        return Classifier(weights, about["accuracy"], training)
    except (UserError, KeyError) as error:
        print(f"warning: {path} is damaged ({error}); making it anew", file=sys.stderr)
        return None


def build_network(image_shape, classes):
    """Build the classifier: Sequential, images in [-1, 1] → logits [N, classes]."""
    import keras
    from keras import layers

    network = keras.Sequential([keras.Input(image_shape)])
    size, channels = image_shape[0], 32
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


def scale(images):
    """uint8 → float32 in [-1, 1], inside a graph."""
    import tensorflow as tf

    return tf.cast(images, tf.float32) / 127.5 - 1


def train_classifier(dataset, epochs=EPOCHS, seed=0):
    """Train a classifier on a data set's training images.

    Args:
        dataset: a `Dataset` with labels.
        epochs: passes over it.
        seed: of weights, order and shifts.

    Returns:
        A `Classifier`.
    """
    import keras
    import tensorflow as tf

    print(f"training the classifier that judges images of {dataset.name}, {epochs} epochs")
    keras.utils.set_random_seed(seed)
    network = build_network(dataset.sample_shape, len(dataset.class_names))
    batch = min(BATCH, len(dataset.images))
    steps = epochs * (len(dataset.images) // batch)
    warm_up = steps // 10
    rate = keras.optimizers.schedules.CosineDecay(
        1e-4, max(1, steps - warm_up), warmup_target=2e-3, warmup_steps=warm_up
    )
    network.compile(
        keras.optimizers.Adam(rate),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"],
    )
    stream = tf.random.Generator.from_seed(seed, alg="philox")

    def shifted(images, labels):
        margin = [[0, 0], [SHIFT, SHIFT], [SHIFT, SHIFT], [0, 0]]
        wide = tf.pad(images, margin, mode="SYMMETRIC")
        seeds = stream.make_seeds(1)[:, 0]
        return scale(tf.image.stateless_random_crop(wide, tf.shape(images), seeds)), labels

    data = tf.data.Dataset.from_tensor_slices((dataset.images, dataset.labels))
    data = data.shuffle(len(dataset.images), seed=seed).batch(batch, drop_remainder=True)
    network.fit(data.map(shifted).prefetch(2), epochs=epochs,
                verbose=1 if sys.stdout.isatty() else 2)
    classifier = Classifier(network.get_weights())
    classifier.statistics = statistics(classifier.look(dataset.images)[0])
    if dataset.test_labels is not None:
        probabilities = classifier.look(dataset.test_images)[1]
        right = probabilities.argmax(axis=1) == dataset.test_labels
        classifier.accuracy = float(right.mean())
        print(f"accuracy on {len(right):,} test images: {classifier.accuracy:.2%}")
    return classifier
