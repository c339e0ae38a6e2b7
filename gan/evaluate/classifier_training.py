"""Training the classifier whose features are compared, on the data themselves."""

import numpy as np

from gan.evaluate.classifier import (
    RECIPE,
    FeatureNetwork,
    build_network,
    cached_path,
    load_classifier,
    save_classifier,
    scale,
    shipped_classifier,
)
from gan.evaluate.metrics import statistics

EPOCHS = 12
LEAST_STEPS = 600  # of small data sets, so that batch normalisation has settled
BATCH = 128
SHIFT = 2  # pixels that training images are moved by, at most
HELD_OUT = 10  # one image in so many, where no labelled test images measure the accuracy
LEAST_HELD_OUT = 50  # images that an accuracy is measured on


def classifier_of(dataset):
    """Return the classifier of a labelled data set: shipped, cached or trained now.

    Args:
        dataset: a `Dataset` with labels.

    Returns:
        A `FeatureNetwork`.
    """
    path = cached_path(dataset)
    found = shipped_classifier(dataset) or load_classifier(path, dataset.fingerprint, RECIPE)
    if found is None:
        found = train_classifier(dataset)
        save_classifier(path, found, dataset.fingerprint)
    return found


def held_out_count(dataset):
    """Return how many labelled images the classifier's accuracy would be measured on."""
    if dataset.test_labels is not None:
        return len(dataset.test_labels)
    return len(dataset.images) // HELD_OUT


def train_classifier(dataset, epochs=EPOCHS, seed=0):
    """Train a classifier on a data set's training images.

    Its accuracy is measured on the labelled test images, or where there are none
    on a tenth of the training images, which it is then not trained on.

    Args:
        dataset: a `Dataset` with labels.
        epochs: passes over it; a small data set gets more.
        seed: of weights, order, shifts and the images held out.

    Returns:
        A `FeatureNetwork`.
    """
    import keras

    (images, labels), held_out = _split(dataset, seed)
    batch = min(BATCH, len(images))
    epochs = max(epochs, -(-LEAST_STEPS // (len(images) // batch)))
    print(f"training a classifier of {dataset.name}, whose features are compared, {epochs} epochs",
          flush=True)
    keras.utils.set_random_seed(seed)
    network = build_network(dataset.sample_shape, len(dataset.class_names))
    _fit(network, images, labels, batch, epochs, seed)
    classifier = FeatureNetwork(network.get_weights())
    classifier.statistics = statistics(classifier.predict(dataset.images)[0])
    right = classifier.predict(held_out[0])[1].argmax(axis=1) == held_out[1]
    classifier.accuracy = float(right.mean())
    print(f"accuracy on {len(right):,} held-out images: {classifier.accuracy:.2%}", flush=True)
    return classifier


def _split(dataset, seed):
    """Return (images, labels) to train on and (images, labels) to measure on."""
    if dataset.test_labels is not None:
        return (dataset.images, dataset.labels), (dataset.test_images, dataset.test_labels)
    order = np.random.default_rng(seed).permutation(len(dataset.images))
    count = max(1, held_out_count(dataset))
    measured, trained = np.sort(order[:count]), np.sort(order[count:])
    return ((dataset.images[trained], dataset.labels[trained]),
            (dataset.images[measured], dataset.labels[measured]))


def _fit(network, images, labels, batch, epochs, seed):
    import keras
    import tensorflow as tf

    steps = epochs * (len(images) // batch)
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

    data = tf.data.Dataset.from_tensor_slices((images, labels))
    data = data.shuffle(len(images), seed=seed).batch(batch, drop_remainder=True)
    # A line an epoch where epochs take seconds; hundreds of short ones pass in silence.
    network.fit(data.map(shifted).prefetch(2), epochs=epochs, shuffle=False,
                verbose=2 if epochs <= 24 else 0)
