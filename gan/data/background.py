"""The even background that images may have, and how plainly everything on it stands out."""

from typing import NamedTuple

import numpy as np

LEAST_SHARE = 0.25  # of all pixels that must have one colour for it to be a background
PIXELS = 4_000_000  # that it is looked for in: 5,102 images of 28 x 28
RARE = 1 / 3_000  # of the pixels that are not background may stand out less
LEAST_CONTRAST = 16  # grey levels; less could be meant


class Background(NamedTuple):
    """An even background.

    Attributes:
        colour: tuple of C whole numbers from 0 to 255.
        contrast: grey levels by which every pixel of another colour, or one of its
            eight neighbours, differs from it in some channel; one in 3,000 may not.
    """

    colour: tuple
    contrast: float

    @property
    def plain(self):
        """Whether everything stands out plainly, and what is faint is the edge of it.

        That is so for digits. Pictures with shadows have faint pixels far from
        anything else.
        """
        return self.contrast >= LEAST_CONTRAST

    @property
    def dark(self):
        """Whether the colour is nearer to black than to white in all channels."""
        return max(self.colour) < 128


def find_background(images):
    """Find the even background of images, and how plainly everything on it stands out.

    Args:
        images: uint8 [N, H, W, C].

    Returns:
        `Background`, or None where no colour has a quarter of all pixels.
    """
    images = _sample(images)
    colour = background_of(images)
    if colour is None:
        return None
    differences = difference_from(images, colour)
    plainest = largest_around(differences)[differences > 0]
    contrast = float(np.quantile(plainest, RARE)) if plainest.size else 0.0
    return Background(tuple(map(int, colour)), contrast)


def background_of(images):
    """Find the colour that most pixels of a data set have.

    Args:
        images: uint8 [N, H, W, C].

    Returns:
        uint8 [C], or None where no colour has a quarter of all pixels.
    """
    images = _sample(images)
    pixels = np.ascontiguousarray(images).reshape(-1, images.shape[-1])
    # A colour as one number: uniques of rows would take many times longer.
    weights = 256 ** np.arange(pixels.shape[1], dtype=np.int64)
    colours, counts = np.unique(pixels @ weights, return_counts=True)
    if counts.max() < LEAST_SHARE * len(pixels):
        return None
    return (colours[counts.argmax()] // weights % 256).astype(np.uint8)


def difference_from(images, colour):
    """Return how far pixels are from a colour, in the channel where they are farthest.

    Args:
        images: uint8 [N, H, W, C].
        colour: uint8 [C].

    Returns:
        int16 [N, H, W], grey levels.
    """
    return np.abs(images.astype(np.int16) - colour.astype(np.int16)).max(axis=-1)


def largest_around(values):
    """Return the largest value among each pixel and its eight neighbours.

    Args:
        values: [N, H, W], not negative.
    """
    return around(values, np.maximum, 0)


def around(values, choose, edge):
    """Combine each pixel with its eight neighbours.

    Args:
        values: [N, H, W].
        choose: `np.maximum` or `np.minimum`.
        edge: the value beyond the edges.
    """
    padded = np.pad(values, ((0, 0), (1, 1), (1, 1)), constant_values=edge)
    rows = choose(choose(padded[:, :-2], padded[:, 1:-1]), padded[:, 2:])
    return choose(choose(rows[..., :-2], rows[..., 1:-1]), rows[..., 2:])


def images_for(shape):
    """Return how many images of a shape (H, W, C) a background is looked for in."""
    return max(1, PIXELS // (shape[0] * shape[1]))


def _sample(images):
    count = images_for(images.shape[1:])
    if len(images) <= count:
        return images
    return images[np.linspace(0, len(images) - 1, count).astype(int)]
