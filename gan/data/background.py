"""Even background of images, and how plainly everything on it stands out."""

from typing import NamedTuple

import numpy as np

LEAST_FRACTION = 0.25  # of all pixels that must have one color for it to be a background
PIXELS = 4_000_000  # that it is looked for in: 5,102 images of 28 x 28
RARE = 1 / 3_000  # of the pixels that are not background may stand out less
LEAST_CONTRAST = 16  # gray levels; less could be meant


class Background(NamedTuple):
    color: tuple  # of C integers from 0 to 255
    # Gray levels by which every pixel of another color, or one of its eight neighbors,
    # differs from it in some channel; one in 3,000 may not.
    contrast: float

    @property
    def plain(self):
        """Whether what is faint is the edge of something plain, as in digits, not in shadows."""
        return self.contrast >= LEAST_CONTRAST

    @property
    def dark(self):
        return max(self.color) < 128


def find_background(images):
    """Return the `Background` of uint8 [N, H, W, C]; None where no color has a quarter of it."""
    images = _sample(images)
    color = background_of(images)
    if color is None:
        return None
    differences = difference_from(images, color)
    plainest = largest_around(differences)[differences > 0]
    contrast = float(np.quantile(plainest, RARE)) if plainest.size else 0.0
    return Background(tuple(map(int, color)), contrast)


def background_of(images):
    """Return the color that most pixels have, uint8 [C]; None where it has less than a quarter."""
    images = _sample(images)
    pixels = np.ascontiguousarray(images).reshape(-1, images.shape[-1])
    # A color as one number: uniques of rows would take many times longer.
    weights = 256 ** np.arange(pixels.shape[1], dtype=np.int64)
    colors, counts = np.unique(pixels @ weights, return_counts=True)
    if counts.max() < LEAST_FRACTION * len(pixels):
        return None
    return (colors[counts.argmax()] // weights % 256).astype(np.uint8)


def difference_from(images, color):
    """Return the difference from a color in the farthest channel, gray levels, int16 [N, H, W]."""
    return np.abs(images.astype(np.int16) - color.astype(np.int16)).max(axis=-1)


def largest_around(values):
    return around(values, np.maximum, 0)


def around(values, choose, edge):
    """Return `np.maximum` or `np.minimum` of each pixel of [N, H, W] and its eight neighbors."""
    padded = np.pad(values, ((0, 0), (1, 1), (1, 1)), constant_values=edge)
    rows = choose(choose(padded[:, :-2], padded[:, 1:-1]), padded[:, 2:])
    return choose(choose(rows[..., :-2], rows[..., 1:-1]), rows[..., 2:])


def _sample(images):
    count = max(1, PIXELS // (images.shape[1] * images.shape[2]))
    if len(images) <= count:
        return images
    return images[np.linspace(0, len(images) - 1, count).astype(int)]
