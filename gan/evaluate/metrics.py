"""Metrics of generated samples: arrays in, numbers out."""

import math

import numpy as np

from gan.common.errors import counted
from gan.data.pixels import Subset, difference_from, largest_around, slices_of

NEIGHBORS = 3  # k of precision and recall (Kynkäänniemi et al. 2019)
COPY_QUANTILE = 0.01  # of the unseen images' distances, below which a sample counts as a copy
BLOCK = 400  # rows of a distance matrix held at a time; larger arrays would cost page faults
VALUES = 2**22  # numbers of the images held at a time
MOST_VALUES = 1200  # of an image, before distances or principal components are taken
CONFIDENT = 0.9  # probability from which a classification counts as confident
GOOD = 3  # standard deviations from a mode within which a point counts as good
PRESENT = 0.1  # of its expected frequency, from which a class or mode counts as covered
VISIBLE = 40  # gray levels from which a pixel stands out from the background
LARGEST = 6  # pixels of a blob that counts as stray
PATCH, SMALLEST = 7, 14  # pixels a side, of a patch and of the coarsest scale (Karras et al. 2018)
PATCHED, PER_IMAGE, DIRECTIONS = 1024, 32, 64  # images, patches of each, projections
KERNEL = np.array([1, 4, 6, 4, 1], np.float32) / 16  # Burt & Adelson 1983, with a = 3/8


class NotMeasurableError(ValueError):
    """A metric that has no value for these samples; the message is the reason."""


def need(count, *arrays):
    """Raise `NotMeasurableError` unless each array has at least `count` samples."""
    fewest = min(map(len, arrays))
    if fewest < count:
        raise NotMeasurableError(f"needs at least {counted(count, 'sample')}, got {fewest}")


def parts_of(images, most=1000):
    """Yield images [N, ...] (anything with a length, a shape and slices) in parts."""
    return (images[part] for part in slices_of(images, most, VALUES))


def random_subset(images, most):
    """Return at most so many of the images, in their order, each time the same ones."""
    if len(images) <= most:
        return images
    return Subset(images, np.sort(np.random.default_rng(0).permutation(len(images))[:most]))


# --- Distances between features, float [N, D]


def statistics(features):
    """Return the mean [D] and the covariance [D, D] of features, float64."""
    need(2, features)
    features = np.asarray(features, np.float64)
    return features.mean(axis=0), np.cov(features, rowvar=False).reshape(2 * features.shape[1:])


def frechet_distance(first, second):
    """Return |m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)) of two `statistics`.

    (Dowson & Landau 1982); FID (Heusel et al. 2017) when the features are Inception's.
    """
    (mean1, covariance1), (mean2, covariance2) = first, second
    # The trace of (C1 C2)^(1/2) is that of the symmetric (R C2 R)^(1/2) with R = C1^(1/2), whose
    # eigenvalues are real whatever the rounding.
    values, vectors = np.linalg.eigh(covariance1)
    root = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    eigenvalues = np.linalg.eigvalsh(root @ covariance2 @ root)
    overlap = np.sqrt(np.maximum(eigenvalues, 0)).sum()
    distance = (np.square(mean1 - mean2).sum()
                + np.trace(covariance1) + np.trace(covariance2) - 2 * overlap)
    return float(max(distance, 0.0))


def kernel_distance(real, fake):
    """Return KID (Bińkowski et al. 2018), the squared MMD with the kernel (x·y / D + 1)^3."""
    need(2, real, fake)
    real, fake = np.asarray(real, np.float64), np.asarray(fake, np.float64)
    return float(_kernel_mean(real, real, True) + _kernel_mean(fake, fake, True)
                 - 2 * _kernel_mean(real, fake, False))


def _kernel_mean(first, second, without_diagonal):
    total, width = 0.0, first.shape[1]
    for part in parts_of(first, BLOCK):
        linear = part @ second.T
        linear /= width
        linear += 1
        total += np.vdot(np.square(linear), linear)  # the sum of cubes; powers are slow
    if not without_diagonal:
        return total / (len(first) * len(second))
    total -= ((np.square(first).sum(axis=1) / width + 1) ** 3).sum()
    return total / (len(first) * (len(first) - 1))


def precision_recall(real, fake):
    """Return improved precision and recall (Kynkäänniemi et al. 2019), of third neighbors."""
    need(NEIGHBORS + 1, real, fake)
    real, fake = np.asarray(real, np.float32), np.asarray(fake, np.float32)
    radius_of_real, radius_of_fake = _radii(real), _radii(fake)
    precise, recalled = 0, np.zeros(len(real), bool)
    for rows in slices_of(fake, BLOCK):
        distances = squared_distances(fake[rows], real)
        precise += (distances <= radius_of_real).any(axis=1).sum()
        recalled |= (distances <= radius_of_fake[rows, None]).any(axis=0)
    return float(precise / len(fake)), float(recalled.mean())


def _radii(points):
    """Return the squared distance of each point to its third neighbor; itself comes first, at 0."""
    return np.concatenate([
        np.partition(squared_distances(part, points), NEIGHBORS, axis=1)[:, NEIGHBORS]
        for part in parts_of(points, BLOCK)])


def squared_distances(first, second):
    """Return |x - y|^2 of each pair: [N, D], [M, D] → [N, M]."""
    distances = -2 * first @ second.T
    distances += np.square(first).sum(axis=1)[:, None]
    distances += np.square(second).sum(axis=1)
    return np.maximum(distances, 0, out=distances)


# --- Coverage of classes and modes


def class_metrics(probabilities, expected):
    """Return how images spread over the classes, dict of metric → number.

    `probabilities`, [N, K], are a classifier's, and `expected`, [K], frequencies in the data.
    """
    frequencies = np.bincount(probabilities.argmax(axis=1), minlength=len(expected))
    frequencies = frequencies / len(probabilities)
    occurs = expected > 0
    return {
        "classes": int((frequencies[occurs] >= PRESENT * expected[occurs]).sum()),
        "smallest_class": float(frequencies[occurs].min()),
        "largest_class": float(frequencies[occurs].max()),
        # The total variation distance of the frequencies.
        "imbalance": float(np.abs(frequencies - expected).sum() / 2),
        "confident": float((probabilities.max(axis=1) >= CONFIDENT).mean()),
    }


def mode_metrics(points, skeleton, mode_of, deviation):
    """Return how well points, float [N, 2], cover the `Modes` of a distribution."""
    points, skeleton = np.asarray(points, np.float64), np.asarray(skeleton, np.float64)
    nearest = np.concatenate([squared_distances(part, skeleton).argmin(axis=1)
                              for part in parts_of(points, BLOCK)])
    distance = np.linalg.norm(points - skeleton[nearest], axis=1) / deviation
    good = distance <= GOOD
    count = mode_of.max() + 1
    hits = np.bincount(mode_of[nearest[good]], minlength=count)
    return {
        "modes": int((hits >= PRESENT * len(points) / count).sum()),
        "good": float(good.mean()),
        "imbalance": float(0.5 * np.abs(hits / max(hits.sum(), 1) - 1 / count).sum()),
        "spread": float(np.sqrt(np.square(distance[good]).mean())) if good.any() else 0.0,
    }


# --- Copies of training images


def shrink(images):
    """Average squares of pixels of uint8 [N, H, W, C], to at most 1,200 values an image."""
    count, *sides, channels = images.shape
    factor = 1
    while math.prod(side // factor for side in sides) * channels > MOST_VALUES:
        factor += 1
    if factor == 1:
        return images
    height, width = (side // factor for side in sides)
    top, left = (side % factor // 2 for side in sides)  # what is left over is cut off all around
    cells = images[:, top : top + height * factor, left : left + width * factor]
    cells = cells.reshape(count, height, factor, width, factor, channels)
    return cells.mean(axis=(2, 4), dtype=np.float32)


def nearest_ratio(generated, unseen):
    """Return the ratio of the medians of distances to the nearest training image, [N] and [M]."""
    if np.median(unseen) == 0:
        raise NotMeasurableError("most real test images are copies of training images")
    return float(np.median(generated) / np.median(unseen))


def copied_share(generated, unseen):
    """Return the fraction of such distances below those of 99% of unseen images."""
    nearest = np.quantile(unseen, COPY_QUANTILE)
    if nearest == 0:
        raise NotMeasurableError(f"{COPY_QUANTILE:.0%} or more of the real test images are copies "
                                 "of training images")
    return float(np.mean(generated < nearest))


# --- Background


def background_share(images, background):
    """Return the fraction of each image's pixels that have exactly the background's color."""
    return (difference_from(images, background) == 0).mean(axis=(1, 2))


def has_stray_pixels(images, background):
    """Return bool [N]: which images have a separate blob of at most 6 visible pixels."""
    return has_small_blob(difference_from(images, background) > VISIBLE)


def has_small_blob(masks):
    """Return bool [N]: which masks, bool [N, H, W], hold a blob of up to 6 pixels, 8-connected."""
    count, height, width = masks.shape
    short = np.min_scalar_type(height * width + 1)  # half the bytes take half the time
    numbers = np.arange(1, height * width + 1, dtype=short).reshape(height, width)
    labels = numbers * masks
    # Each pixel takes the largest label around it. A blob of n pixels has one label after n - 1
    # rounds; in a larger one, a label of few pixels has one beside it that is larger.
    for _ in range(LARGEST):
        labels = largest_around(labels) * masks
    unfinished = masks & (largest_around(labels) != labels)
    keys = labels + np.arange(count, dtype=np.int64)[:, None, None] * (height * width + 1)
    cells = count * (height * width + 1)
    sizes = np.bincount(keys[masks], minlength=cells)
    whole = np.bincount(keys[unfinished], minlength=cells) == 0
    return ((sizes > 0) & (sizes <= LARGEST) & whole).reshape(count, -1).any(axis=1)


# --- Sliced Wasserstein distance of patches


def sliced_wasserstein(real, fake):
    """Return the sliced Wasserstein distance (Karras et al. 2018) at each scale, finest first.

    Both arguments are what `Patches.scales` returns; distances are in thousandths of the real
    patches' standard deviation. Unlike the paper's, generated patches are not normalized, so that
    wrong contrast counts.
    """
    directions = np.random.default_rng(0).normal(size=(real[0].shape[1], DIRECTIONS))
    directions = (directions / np.linalg.norm(directions, axis=0)).astype(np.float32)
    found = []
    for one, other in zip(real, fake, strict=True):
        mean, deviation = one.mean(), one.std() or 1.0
        one, other = (np.sort((part - mean) / deviation @ directions, axis=0)
                      for part in (one, other))
        places = (np.arange(len(one)) + 0.5) / len(one) * len(other)  # as many of either
        found.append(1000 * float(np.abs(other[places.astype(int)] - one).mean()))
    return found


class Patches:
    """Patches at random places of the first 1,024 of `count` images, gathered part by part."""

    def __init__(self, count, shape):
        random = np.random.default_rng(1)
        sizes = [shape[:2]]
        while _halves(sizes[-1]):
            sizes.append([-(-side // 2) for side in sizes[-1]])
        self._places = [[random.integers(0, side - PATCH + 1, (min(count, PATCHED), PER_IMAGE))
                         for side in size] for size in sizes]
        self._parts, self._taken = [], 0

    def add(self, images):
        images = images[: len(self._places[0][0]) - self._taken]
        if not len(images):
            return
        first, self._taken = self._taken, self._taken + len(images)
        scales = []
        for scale, places in zip(laplacian_pyramid(images.astype(np.float32)), self._places,
                                 strict=True):
            rows, columns = (each[first : self._taken] for each in places)
            windows = np.lib.stride_tricks.sliding_window_view(scale, (PATCH, PATCH), axis=(1, 2))
            patches = windows[np.arange(len(images))[:, None], rows, columns]
            scales.append(patches.reshape(len(images) * PER_IMAGE, -1))
        self._parts.append(scales)

    def scales(self):
        """Return float32 [N * 32, 7 * 7 * C] of each scale, the finest first."""
        return [np.concatenate(scale) for scale in zip(*self._parts, strict=True)]


def laplacian_pyramid(images):
    """Split images, float32 [N, H, W, C], into scales, the finest first (Burt & Adelson 1983)."""
    scales = []
    while _halves(images.shape[1:3]):
        smaller = _blur(images)[:, ::2, ::2]
        larger = np.zeros_like(images)
        larger[:, ::2, ::2] = 4 * smaller  # a quarter of the pixels carry all
        scales.append(images - _blur(larger))
        images = smaller
    return [*scales, images]


def _halves(size):
    return -(-min(size) // 2) >= SMALLEST


def _blur(images):
    for axis in (1, 2):
        margin = [(0, 0)] * 4
        margin[axis] = (2, 2)
        padded = np.pad(images, margin, mode="reflect")
        size = images.shape[axis]
        images = sum(weight * padded[(slice(None),) * axis + (slice(first, first + size),)]
                     for first, weight in enumerate(KERNEL))
    return images
