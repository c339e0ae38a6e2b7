"""Whether a fresh classifier can tell generated images from real ones.

The classifier two-sample test of Lopez-Paz & Oquab 2017: a small convolutional
network is trained on half real and half generated images, and what counts is how
well it ranks others. 0.5 is guessing. It sees what no feature of meaning does:
the exact grey of a background, a stray pixel.
"""

import numpy as np

TRAINED, STOPPING, RANKED = 20_000, 2_000, 5_000  # images of each kind, at most
LEAST = 100  # images of each kind: fewer say nothing
TRAININGS = 3  # one alone can fail to find the difference; the largest result counts
PATIENCE, MOST_EPOCHS = 3, 20  # epochs without a better ranking of the images for stopping
BATCH = 128


def two_sample_test(real, generated, seed=0, trainings=TRAININGS):
    """Train networks to tell two sets of images apart; returns the largest AUC on unseen ones.

    Both are uint8 [N, H, W, C] in random order, the first 27,000 are used, fewer than 100 refused.
    """
    sizes = split_sizes(min(len(real), len(generated)))
    parts = [(np.concatenate([real[end - size : end], generated[end - size : end]]),
              np.repeat(np.float32([1, 0]), size))
             for end, size in zip(np.cumsum(sizes), sizes, strict=True)]
    return max(_train_and_rank(*parts, seed + number) for number in range(trainings))


def split_sizes(count):
    """Divide a number of images into those to train on, to stop by and to rank."""
    if count < LEAST:
        raise ValueError(f"needs at least {LEAST} images of each kind, got {count}")
    whole = TRAINED + STOPPING + RANKED
    part = min(1.0, count / whole)
    return tuple(int(size * part) for size in (TRAINED, STOPPING, RANKED))


def area_under_curve(positive, negative):
    """Return the probability that a positive's score is above a negative's; half for a tie.

    The area under the ROC curve, as the rank statistic of Mann & Whitney 1947.
    """
    values, places = np.unique(np.concatenate([positive, negative]), return_inverse=True)
    above = np.bincount(places[: len(positive)], minlength=len(values)).astype(np.float64)
    below = np.bincount(places[len(positive) :], minlength=len(values)).astype(np.float64)
    wins = above * (np.cumsum(below) - below / 2)
    return float(wins.sum() / (len(positive) * len(negative)))


def _train_and_rank(train, stop, rank, seed):
    """Train one network; returns the AUC of its best epoch on the images to rank."""
    import keras

    keras.utils.set_random_seed(seed)
    network = _build_network(train[0].shape[1:])
    network.compile(keras.optimizers.Adam(1e-3),
                    keras.losses.BinaryCrossentropy(from_logits=True), jit_compile=False)
    best, result, waited = -1.0, 0.5, 0
    for _ in range(MOST_EPOCHS):
        network.fit(*train, batch_size=BATCH, verbose=0)
        reached = _auc(network, stop)
        if reached > best:
            best, result, waited = reached, _auc(network, rank), 0
        else:
            waited += 1
        if waited == PATIENCE:
            break
    return result


def _auc(network, part):
    images, labels = part
    scores = network.predict(images, batch_size=500, verbose=0)[:, 0]
    return area_under_curve(scores[labels == 1], scores[labels == 0])


def _build_network(shape):
    """Build the network: Sequential, uint8 [N, H, W, C] → logits float32 [N, 1]."""
    import keras
    from keras import layers

    from gan.common.device import find_device
    from gan.models import dtype_policy

    with dtype_policy(find_device("auto").policy):
        body = [keras.Input(shape), layers.Rescaling(1 / 127.5, -1, dtype="float32")]
        for filters, kernel, strides in ((32, 3, 1), (64, 4, 2), (128, 4, 2)):
            body += [layers.Conv2D(filters, kernel, strides, padding="same"),
                     layers.BatchNormalization(), layers.LeakyReLU(0.1), layers.Dropout(0.3)]
        return keras.Sequential([*body, layers.Flatten(), layers.Dense(1, dtype="float32")])
