"""Nearest training images of generated ones, compared pixel by pixel, averaged to 1,200 values.

Features of a classifier would not do: they tell what an image is of, not which one it is.
"""

from typing import NamedTuple

import numpy as np

from gan.data.pixels import on_grounds
from gan.drawing.images import neighbor_grid, write_png
from gan.evaluate.metrics import need, parts_of, shrink, squared_distances

NEIGHBORS = 5  # training images beside each generated one
ROWS = 10  # generated images in each half of a grid
COUNT = 2_000  # images of each kind whose distances are compared


class Nearest(NamedTuple):
    places: np.ndarray  # int [N, K], among the references
    distances: np.ndarray  # float32 [N, K], root mean square, in units of the pixel range


class Nearness(NamedTuple):
    median_distance: float  # of generated images to the nearest training image
    times_training: float | None  # relative to that of training images to the next one

    def __str__(self):
        compared = ("most real images are copies of training images" if self.times_training is None
                    else f"{self.times_training:.2f} times that of training images to each other")
        return (f"median distance to the nearest training image {self.median_distance:.4f} of the "
                f"pixel range, {compared}")


def nearest_images(images, references, count=NEIGHBORS, own=None):
    """Find the K = `count` references, uint8 [M, H, W, C], that come nearest to images.

    `own`, int [N], is the place of each image itself among the references, which does not count.
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
        last = min(count, squares.shape[1]) - 1
        kept = np.argpartition(squares, last, axis=1)[:, :count]
        places, squares = (np.take_along_axis(array, kept, axis=1) for array in (places, squares))
    # Squares of differences, as those out of products are not exactly 0 for copies.
    distances = np.stack([
        np.sqrt(np.square(rows - flat_values(references[column])).mean(axis=1))
        for column in places.T], axis=1)
    order = np.argsort(distances, axis=1, kind="stable")
    return Nearest(*(np.take_along_axis(array, order, axis=1) for array in (places, distances)))


def find_neighbors(samples, training, seed=0):
    """Find the training images next to the first 2,000 generated ones: `(Nearness, halves)`.

    The halves are the first images, and those that come nearest to a training image relative to
    how near others are to that one (as in Alaa et al. 2022), as simple images are near to many;
    each is (uint8 [R, H, W, C], places of their neighbors [R, K]).
    """
    need(2, training)
    samples = samples[:COUNT]
    found = nearest_images(samples, training, min(NEIGHBORS, len(training) - 1))
    nearest = found.places[:, 0]
    around = nearest_images(training[nearest], training, 1, nearest).distances[:, 0]
    relative = found.distances[:, 0] / np.maximum(around, 1e-6)
    some = np.sort(np.random.default_rng(seed).permutation(len(training))[:COUNT])
    real = np.median(nearest_images(training[some], training, 1, some).distances)
    distance = np.median(found.distances[:, 0])
    halves = [(samples[rows], found.places[rows])
              for rows in (np.arange(len(samples))[:ROWS],
                           np.argsort(relative, kind="stable")[:ROWS])]
    return Nearness(float(distance), float(distance) / float(real) if real else None), halves


def draw_neighbors(path, samples, training, mirror=False):
    """Draw generated images beside their nearest training images as PNG; returns `Nearness`."""
    if mirror:
        training = np.concatenate([training, training[:, :, ::-1]])
    nearness, halves = find_neighbors(samples, training)
    write_png(path, neighbor_grid([(images, training[places]) for images, places in halves]))
    return nearness


def flat_values(images):
    """Return float32 [N, D] in [0, 1] of uint8 [N, H, W, C]."""
    return np.concatenate([
        np.asarray(shrink(on_grounds(np.asarray(part))), np.float32).reshape(len(part), -1) / 255
        for part in parts_of(images)])
