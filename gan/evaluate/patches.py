"""Distances between small patches of images, from fine detail to coarse shapes."""

import numpy as np

from gan.evaluate.metrics import need

PATCH = 7  # pixels a side (Karras et al. 2018)
SMALLEST = 2 * PATCH  # pixels of the coarsest scale
IMAGES, PER_IMAGE = 1024, 32  # images compared, and patches taken from each
DIRECTIONS = 64  # that patches are projected to
VALUES = 20_000_000  # numbers of a pyramid held at a time
KERNEL = np.array([1, 4, 6, 4, 1], np.float32) / 16  # Burt & Adelson 1983, with a = 3/8


class PatchDistance:
    """The sliced Wasserstein distance of patches on a Laplacian pyramid (Karras et al. 2018).

    Patches of both sets are taken at random places of each scale, divided by the
    standard deviation of the real ones, and projected to random directions; in
    each the distance is the mean difference of the sorted values. Unlike the
    paper's, generated patches are not brought to the same mean and deviation
    first, so that wrong contrast counts.
    """

    def __init__(self, images, seed=0):
        """
        Args:
            images: uint8 [N, H, W, C], H = W ≥ 7, the real images to compare with.
            seed: of places and directions.
        """
        self._seed = seed
        chosen = np.random.default_rng(seed).permutation(len(images))[:IMAGES]
        patches = self._patches(images[np.sort(chosen)])
        self._scales = [(part.mean(), part.std() or 1.0) for part in patches]
        length = patches[0].shape[1]
        directions = np.random.default_rng(seed).normal(size=(length, DIRECTIONS))
        self._directions = (directions / np.linalg.norm(directions, axis=0)).astype(np.float32)
        self._real = self._projections(patches)

    def measure(self, images):
        """Return the distances of images from the real ones.

        Args:
            images: uint8 [N, H, W, C]; the first 1,024 are compared.

        Returns:
            dict, in thousandths of a standard deviation: "patches", at the
            finest scale, and "coarse_patches", the mean of the other scales,
            where images are large enough to have some.

        Raises:
            NotMeasurableError: without images.
        """
        need(1, images)
        distances = [1000 * float(np.abs(_quantiles(own, len(real)) - real).mean())
                     for own, real in zip(self._projections(self._patches(images[:IMAGES])),
                                          self._real, strict=True)]
        coarse = {"coarse_patches": float(np.mean(distances[1:]))} if distances[1:] else {}
        return {"patches": distances[0], **coarse}

    def _patches(self, images):
        """Return a list of float32 [N * 32, 7 * 7 * C], one a scale, the finest first."""
        random = np.random.default_rng(self._seed + 1)
        parts = []
        count = max(1, VALUES // int(np.prod(images.shape[1:])))
        for start in range(0, len(images), count):
            scales = laplacian_pyramid(images[start : start + count].astype(np.float32))
            parts.append([_cut(scale, random) for scale in scales])
        return [np.concatenate(scale) for scale in zip(*parts, strict=True)]

    def _projections(self, patches):
        """Return sorted float32 [N * 32, 64] of each scale."""
        return [np.sort((part - mean) / deviation @ self._directions, axis=0)
                for part, (mean, deviation) in zip(patches, self._scales, strict=True)]


def laplacian_pyramid(images):
    """Split images into scales that add up to them (Burt & Adelson 1983).

    Args:
        images: float32 [N, H, W, C].

    Returns:
        list of float32 [N, h, w, C], the finest detail first, then half the
        size each while that is at least 14 pixels; the last is the rest.
    """
    scales = []
    while -(-images.shape[1] // 2) >= SMALLEST:
        smaller = _blur(images)[:, ::2, ::2]
        larger = np.zeros_like(images)
        larger[:, ::2, ::2] = 4 * smaller  # a quarter of the pixels carry all
        scales.append(images - _blur(larger))
        images = smaller
    return [*scales, images]


def _blur(images):
    for axis in (1, 2):
        margin = [(0, 0)] * 4
        margin[axis] = (2, 2)
        padded = np.pad(images, margin, mode="reflect")
        size = images.shape[axis]
        images = sum(weight * padded[(slice(None),) * axis + (slice(first, first + size),)]
                     for first, weight in enumerate(KERNEL))
    return images


def _cut(images, random):
    """Return float32 [N * 32, 7 * 7 * C], patches at random places."""
    count, height, width, _ = images.shape
    rows = random.integers(0, height - PATCH + 1, (count, PER_IMAGE))
    columns = random.integers(0, width - PATCH + 1, (count, PER_IMAGE))
    windows = np.lib.stride_tricks.sliding_window_view(images, (PATCH, PATCH), axis=(1, 2))
    return windows[np.arange(count)[:, None], rows, columns].reshape(count * PER_IMAGE, -1)


def _quantiles(values, count):
    """Bring sorted values [N, D] to a length, by the nearest ranks."""
    if len(values) == count:
        return values
    ranks = ((np.arange(count) + 0.5) / count * len(values)).astype(int)
    return values[ranks]
