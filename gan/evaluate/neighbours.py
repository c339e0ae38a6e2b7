"""Nearest training images of generated ones, which show whether the generator copies.

Images are compared pixel by pixel, after squares of pixels were averaged so that
at most 1,200 values are left. A copy that is blurred, noisy or paler is then
still nearest to its original, and of an exact copy the distance is 0. Features
of a classifier would not do: they tell what an image is of, not which one it is.
"""

from typing import NamedTuple

import numpy as np

from gan.evaluate.metrics import flat_values, need, parts_of, squared_distances

NEIGHBOURS = 5  # training images beside each generated one
ROWS = 10  # generated images in each half of a sheet
COUNT = 2_000  # images of each kind whose distances are compared


class Nearest(NamedTuple):
    """What lies next to some images, the nearest first."""

    places: np.ndarray  # int [N, K], among the references
    distances: np.ndarray  # float32 [N, K], root mean square, in units of the pixel range


class Neighbours(NamedTuple):
    """What a sheet shows, and what is said of it."""

    typical: tuple  # of the first images: (uint8 [R, H, W, C], `Nearest`)
    nearest: tuple  # the same of those that come nearest to a training image
    distance: float  # median distance of generated images to the nearest training image
    training_ratio: float | None  # as a multiple of that of training images to the next one
    test_ratio: float | None  # as a multiple of that of test images


def nearest_images(images, references, count=NEIGHBOURS, own=None):
    """Find the `count` references that images come nearest to: a `Nearest`.

    Args:
        images, references: uint8 [N, H, W, C] and [M, H, W, C], read in parts.
        count: K, at most M (M - 1 with `own`).
        own: int [N], the place of each image itself among the references, which
            does not count; None: none of them is there.
    """
    rows, first = flat_values(images), 0
    places = np.zeros((len(rows), 0), np.int64)
    squares = np.zeros((len(rows), 0), np.float32)
    for part in parts_of(references):
        found = squared_distances(rows, flat_values(part))
        here = np.arange(first, first + len(part))
        first += len(part)
        if own is not None:
            found[own[:, None] == here] = np.inf
        places = np.concatenate([places, np.broadcast_to(here, found.shape)], axis=1)
        squares = np.concatenate([squares, found], axis=1)
        if squares.shape[1] > count:
            kept = np.argpartition(squares, count - 1, axis=1)[:, :count]
            places, squares = (np.take_along_axis(array, kept, axis=1)
                               for array in (places, squares))
    # Squares of differences, as those out of products are not exactly 0 for copies.
    distances = np.stack([
        np.sqrt(np.square(rows - flat_values(references[column])).mean(axis=1))
        for column in places.T], axis=1)
    order = np.argsort(distances, axis=1, kind="stable")
    return Nearest(*(np.take_along_axis(array, order, axis=1) for array in (places, distances)))


def find_neighbours(samples, training, test=None, seed=0):
    """Find the training images next to the first 2,000 generated ones: `Neighbours`.

    Which images come nearest is judged by how near other training images are to
    that training image (as in Alaa et al. 2022): simple images are near to many,
    which is no copying. `test` are images that were not trained on, or None.
    """
    need(2, training)
    samples = samples[:COUNT]
    random = np.random.default_rng(seed)
    count = min(NEIGHBOURS, len(training) - 1)
    found = nearest_images(samples, training, count)
    chosen, back = np.unique(found.places[:, 0], return_inverse=True)
    around = nearest_images(training[chosen], training, 1, chosen).distances[back, 0]
    relative = found.distances[:, 0] / np.maximum(around, 1e-6)
    order = np.argsort(relative, kind="stable")[:ROWS]
    distance = float(np.median(found.distances[:, 0]))
    some = np.sort(random.permutation(len(training))[:COUNT])
    real = [nearest_images(training[some], training, 1, some)]
    if test is not None:
        some = np.sort(random.permutation(len(test))[:COUNT])
        real.append(nearest_images(test[some], training, 1))
    medians = [float(np.median(one.distances)) for one in real]
    ratios = [distance / median if median else None for median in medians]
    first, nearest = ((samples[rows], Nearest(found.places[rows], found.distances[rows]))
                      for rows in (np.arange(len(samples))[:ROWS], order))
    return Neighbours(first, nearest, distance, ratios[0], ratios[1] if len(ratios) > 1 else None)


def in_words(found):
    """Return in a line how near generated images come to training images."""
    parts = [f"{ratio:.2f} times that {of}" for ratio, of in (
        (found.training_ratio, "of training images to each other"),
        (found.test_ratio, "of test images")) if ratio is not None]
    compared = ", ".join(parts) or "most real images are copies of training images"
    return (f"median distance to the nearest training image {found.distance:.4f} of the pixel "
            f"range, {compared}")
