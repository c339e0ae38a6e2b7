"""The pictures of a run as they are embedded in a page: few enough, small enough."""

import base64
import os

import numpy as np
from PIL import Image, features

from gan.common.errors import UserError
from gan.drawing.images import png_bytes, read_png
from gan.drawing.webp import encode

MOST_FRAMES = 32  # of a page, whatever the run's length
MOST_BYTES = 45_000  # of a frame, before base64 makes it a third longer
# Quality and longest side, the first that is small enough; the last whatever comes out.
TRIES = ((80, 640), (60, 640), (50, 480), (40, 320))


def choose(pictures, most=MOST_FRAMES):
    """Return at most so many of the pictures, evenly spaced, the first and the last among them.

    What is chosen of a list is chosen of a longer one that begins with it, or left out for
    good, so that each picture need be encoded but once.

    Args:
        pictures: list in the order of the run.
        most: how many, at least 2.
    """
    spacing = 1
    while -(-len(pictures) // spacing) + 1 > most and len(pictures) > most:
        spacing *= 2
    chosen = pictures[::spacing]
    if pictures and (len(pictures) - 1) % spacing:
        chosen.append(pictures[-1])
    return chosen


class Embedded:
    """Pictures as data URIs, each read and encoded once."""

    def __init__(self):
        self._known = {}

    def uris(self, paths):
        """Return the data URI of each picture, and forget those that are not asked for.

        Args:
            paths: list of paths of PNG files.

        Returns:
            list of str; None for a picture that cannot be read.
        """
        keys = [_key(path) for path in paths]
        self._known = {key: self._known.get(key) or _data_uri(key[0]) for key in keys if key}
        return [self._known.get(key) for key in keys]


def _key(path):
    if path is None:
        return None
    try:
        state = os.stat(path)
    except OSError:
        return None
    return str(path), state.st_mtime_ns, state.st_size


def _data_uri(path):
    try:
        image = reduce(read_png(path))
    except UserError:
        return None
    for quality, side in TRIES:
        kind, data = "webp", _encode(_fit(image, side), quality)
        if data is None:  # a Pillow without WebP
            kind, data = "png", png_bytes(_fit(image, side))
        if len(data) <= MOST_BYTES:
            break
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


def reduce(image):
    """Undo `images.enlarge`: return the smallest picture that can be enlarged to this one.

    Args:
        image: uint8 [H, W] or [H, W, 3].
    """
    for factor in range(30, 1, -1):
        if image.shape[0] % factor or image.shape[1] % factor:
            continue
        small = image[::factor, ::factor]
        if np.array_equal(small.repeat(factor, axis=0).repeat(factor, axis=1), image):
            return small
    return image


def _fit(image, side):
    """Shrink a picture so that its longest side is no longer than `side`."""
    height, width = image.shape[:2]
    if max(height, width) <= side:
        return image
    size = max(1, round(width * side / max(height, width))), max(
        1, round(height * side / max(height, width)))
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.LANCZOS))


def _encode(image, quality):
    return encode(image, quality=quality) if features.check("webp") else None
