"""Images and labels of any usual type as uint8 [N, H, W, C] and class numbers; backgrounds."""

import hashlib
import math
from typing import NamedTuple

import numpy as np

from gan.common.command_line import SIDES
from gan.common.errors import UserError, listed, note, warn
from gan.data.arrays import check_memory

PART_VALUES = 2**24  # converted at a time
TOLERANCE = 1e-3  # that floats may lie outside of their range, from rounding
DARK = 32  # gray levels; of images without any as light, fewer bits may have been meant
SIGNED_BELOW = -0.5  # values in [-1, 1] reach below this; [-0.5, 0.5] would not
DEPTHS = (8, 10, 12, 14, 16)  # bits of integers; those of the fewest that hold all are the scale
MAX_CLASSES = 1000
CHANNELS = (1, 3, 4)  # gray, RGB, RGBA
LEAST_FRACTION = 0.25  # of all pixels that must have one color for it to be a background
PIXELS = 4_000_000  # that it is looked for in: 5,102 images of 28 x 28
RARE = 1 / 3_000  # of the pixels that are not background may stand out less
LEAST_CONTRAST = 16  # gray levels; less could be meant


class Scale(NamedTuple):
    low: float  # becomes 0
    high: float  # becomes 255


BYTES, UNIT, SIGNED = Scale(0, 255), Scale(0, 1), Scale(-1, 1)


def to_pixels(images, where, trained=None, range="bits", transpose=False):
    """Convert images, where that needs no guess: uint8 [N, H, W, C], and the `Scale` they had.

    They are [N, H, W], [N, H, W, C], [N, C, H, W] or [N, H * H]; bool, integers from 0 up, or
    floats in [0, 1] or [-1, 1], unless a range, "LOW,HIGH", is given. `trained` is for test images:
    dtype and scale of the training images.
    """
    dtype = images.dtype
    images = _channels_last(images, where, 1 if trained else 2)
    if transpose:
        images = images.transpose(0, 2, 1, 3)
    if range != "bits" and dtype.kind in "uif":
        scale = scale_of(range)
    elif trained and trained[0].kind == dtype.kind:
        scale = trained[1]
        low, high = images.min(), images.max()
        if not scale.low - TOLERANCE <= low <= high <= scale.high + TOLERANCE:
            raise UserError(f"{where}: expected values from {scale.low} to {scale.high} as the "
                            f"training images have, got: {low:g} to {high:g}; --range LOW,HIGH "
                            "is for both")
    else:
        scale = find_scale(images, where)
    exact = dtype == np.uint8 and scale == BYTES
    if not exact:
        note(f"{where}: {dtype} from {scale.low:g} to {scale.high:g} became uint8 from 0 to 255")
    if not exact or not images.flags.c_contiguous:
        check_memory(images.size, where)
        pixels = np.empty(images.shape, np.uint8)
        for part in slices_of(images):
            pixels[part] = images[part] if exact else scaled(images[part], scale)
        images = pixels
    if scale == BYTES and not trained and all(
            images[part].max() < DARK for part in slices_of(images)):
        most = images.max()
        warn(f"{where}: no value is above {most}, where 255 is white, so all of them are nearly "
             f"black; --range 0,{most} scales arrays")
    return images, scale


def _channels_last(images, where, fewest):
    """Return a view [N, H, W, C] with sizes that can be trained on."""
    side = math.isqrt(images.shape[-1]) if images.ndim == 2 else 0
    if side in SIDES and side**2 == images.shape[1]:
        note(f"{where}: rows {list(images.shape)} became images [N, {side}, {side}]")
        images = images.reshape(-1, side, side)
    if images.ndim == 3:
        images = images[..., None]
    shape = images.shape
    if images.ndim == 4 and shape[3] not in CHANNELS and shape[1] in CHANNELS:
        note(f"{where}: [N, C, H, W] {list(shape)} became [N, H, W, C]")
        images = images.transpose(0, 2, 3, 1)
        shape = images.shape
    if len(shape) != 4 or len(images) < fewest or shape[3] not in CHANNELS:
        raise UserError(f"{where}: expected images [N, H, W] or [N, H, W, C] with C 1, 3 or 4 "
                        f"and N at least {fewest}, got: {list(shape)}")
    if shape[1] not in SIDES or shape[2] not in SIDES:
        raise UserError(f"{where}: expected sides of {SIDES[0]} to {SIDES[-1]} pixels, "
                        f"got: {shape[2]} x {shape[1]}")
    return images


def find_scale(images, where):
    """Return the `Scale` of images [N, H, W, C], where their values say which it is."""
    kind = images.dtype.kind
    if images.dtype == np.uint8:
        return BYTES
    if kind == "b":
        return UNIT
    if kind not in "uif":
        raise UserError(f"{where}: expected numbers (uint8), got: {images.dtype}")
    low, high = float(images.min()), float(images.max())
    if kind in "ui" and low >= 0 and high < 2**DEPTHS[-1]:
        return Scale(0, white_of(high))
    if kind == "f" and low >= 0 and high <= 1 + TOLERANCE:
        return UNIT
    if kind == "f" and -1 - TOLERANCE <= low < SIGNED_BELOW and high <= 1 + TOLERANCE:
        return SIGNED
    if kind == "f" and low >= 0 and high <= 255 and all(
            (images[part] == np.rint(images[part])).all() for part in slices_of(images)):
        return BYTES
    raise UserError(f"{where}: expected integers of up to {DEPTHS[-1]} bits from 0 up, or floats "
                    f"in [0, 1] or [-1, 1], got: {images.dtype} from {low:g} to {high:g}; say with "
                    "--range LOW,HIGH what becomes black and white")


def white_of(most):
    """Return the largest integer of the fewest usual bits that hold `most`."""
    return 2 ** next(bits for bits in (*DEPTHS, 32) if most < 2**bits) - 1


def scale_of(range, own=None):
    """Return the `Scale` of a text "LOW,HIGH"; for "bits" the images' own."""
    return own if range == "bits" else Scale(*map(float, range.split(",")))


def scaled(values, scale):
    """Scale numbers to 0 to 255; what lies outside becomes black or white."""
    factor = 255 / (scale.high - scale.low)
    return np.clip(np.rint((values.astype(np.float32) - scale.low) * factor), 0, 255)


def slices_of(images, most=None, values=PART_VALUES, shape=None):
    """Yield slices of images [N, ...] in order, each of at most so many images and values.

    `shape` is that of an image, where it is not the array's own, as of seeds.
    """
    each = math.prod(images.shape[1:] if shape is None else shape)
    size = max(1, min(most or len(images), values // max(1, each)))
    return (slice(start, start + size) for start in range(0, len(images), size))


class Subset:
    """The images of a sequence at some places, int [n]; read only when they are sliced."""

    def __init__(self, images, places):
        self._images, self._places = images, places
        self.shape = (len(places), *images.shape[1:])

    def __len__(self):
        return len(self._places)

    def __getitem__(self, part):
        return self._images[self._places[part]]  # an array


def number_labels(labels, count, where, known=()):
    """Number classes in the order of their labels: int32 [N], and the labels, int or str.

    Labels are [N] or [N, 1] integers from 0 up or strings, or one-hot rows [N, K]. Of test
    labels those of the training images are `known`, and no others may occur.
    """
    values, numbers = np.unique(_one_dimensional(labels, count, where), return_inverse=True)
    if len(values) > MAX_CLASSES:
        raise UserError(f"{where}: expected at most {MAX_CLASSES} classes, "
                        f"got: {len(values)} different labels")
    if values.dtype.kind == "S":
        values = np.char.decode(values, "utf-8", "replace")
    values = values.tolist()
    known = known or values
    if strange := [value for value in values if value not in known]:
        raise UserError(f"{where}: expected labels that occur among the training labels, "
                        f"got: {listed(strange)}")
    return np.array([known.index(value) for value in values], np.int32)[numbers.reshape(-1)], known


def _one_dimensional(labels, count, where):
    """Return [N] integers from 0 up, or strings."""
    if labels.ndim == 2 and len(labels) == count and labels.shape[1] > 1:
        if (labels.dtype.kind in "US" or not np.isin(labels, (0, 1)).all()
                or (np.count_nonzero(labels, axis=1) != 1).any()):
            advice = "keep one column, such as y[:, 0], or leave the labels out"
            if labels.dtype.kind == "f" and (labels >= 0).all() and np.allclose(labels.sum(1), 1):
                advice = "probabilities become labels with y.argmax(axis=1)"
            raise UserError(f"{where}: expected one label an image or one-hot rows, got: "
                            f"{labels.dtype} {list(labels.shape)}; {advice}")
        return labels.argmax(axis=1)
    if labels.shape not in ((count,), (count, 1)):
        raise UserError(f"{where}: expected one for each of {count} images, "
                        f"got: {list(labels.shape)}")
    labels = labels.reshape(-1)
    if labels.dtype.kind in "US":
        return labels
    low, high = float(labels.min()), float(labels.max())
    if not (0 <= low <= high < 2**53 and (labels == np.rint(labels)).all()):
        raise UserError(f"{where}: expected integers from 0 up, strings or one-hot rows, got: "
                        f"{labels.dtype} from {low:g} to {high:g}; what is measured is no class: "
                        "sort it into some, or leave the labels out")
    return labels.astype(np.int64)


# Transparency.


def premultiplied(images):
    """Return RGBA images, uint8 or float in [0, 1], with colors times alpha; others as they are."""
    if images.shape[-1] != 4:
        return images
    colors, alpha = np.split(np.asarray(images), [3], axis=-1)
    if images.dtype == np.uint8:
        colors = ((colors.astype(np.uint16) * alpha + 127) // 255).astype(np.uint8)
    else:
        colors = colors * alpha
    return np.concatenate([colors, alpha], axis=-1)


def on_grounds(images):
    """Return RGBA images, uint8 [N, H, W, 4], on white and on black: [N, H, W, 6]; others as is."""
    if images.shape[-1] != 4:
        return images
    black, alpha = np.split(premultiplied(images), [3], axis=-1)
    return np.concatenate([black + (255 - alpha), black], axis=-1)


def digest_images(images):
    """Return the `hashlib` object of images, uint8 [N, H, W, C], or of points, float32 [N, D]."""
    digest = hashlib.sha256(repr(images.shape).encode() if len(images.shape) == 4 else b"")
    for part in slices_of(images):
        digest.update(np.ascontiguousarray(images[part]))
    return digest


# Even backgrounds, and how plainly everything on them stands out.


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
    count = max(1, PIXELS // (images.shape[1] * images.shape[2]))
    if len(images) > count:
        images = images[np.linspace(0, len(images) - 1, count).astype(int)]
    images = premultiplied(images)
    pixels = np.ascontiguousarray(images).reshape(-1, images.shape[-1])
    # A color as one number: uniques of rows would take many times longer.
    weights = 256 ** np.arange(pixels.shape[1], dtype=np.int64)
    colors, counts = np.unique(pixels @ weights, return_counts=True)
    if counts.max() < LEAST_FRACTION * len(pixels):
        return None
    color = tuple((colors[counts.argmax()] // weights % 256).tolist())
    differences = difference_from(images, color)
    plainest = largest_around(differences)[differences > 0]
    return Background(color, float(np.quantile(plainest, RARE)) if plainest.size else 0.0)


def difference_from(images, color):
    """Return the difference from a color in the farthest channel, gray levels, int16 [N, H, W]."""
    return np.abs(images.astype(np.int16) - np.int16(color)).max(axis=-1)


def largest_around(values):
    """Return the largest of each value, at least 0, of [N, H, W] and its eight neighbors."""
    padded = np.pad(values, ((0, 0), (1, 1), (1, 1)))
    rows = np.maximum(np.maximum(padded[:, :-2], padded[:, 1:-1]), padded[:, 2:])
    return np.maximum(np.maximum(rows[..., :-2], rows[..., 1:-1]), rows[..., 2:])
