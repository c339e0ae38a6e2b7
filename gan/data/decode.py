"""One picture file → a square of uint8 pixels."""

import os
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from gan.common.errors import describe_os_error
from gan.drawing.images import MOST_PIXELS

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "DIB", "TIFF")  # Pillow's names
FORMATS_IN_WORDS = "PNG, JPEG, WebP, GIF, BMP or TIFF"
SUFFIXES = {".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".gif", ".bmp", ".dib", ".tif",
            ".tiff"}
# Pictures too, which Pillow does not read by itself or does not draw.
OTHER_SUFFIXES = {".heic", ".heif", ".avif", ".svg", ".svgz", ".jp2", ".jxl", ".ico", ".psd",
                  ".tga", ".ppm", ".pgm", ".pnm", ".eps", ".dng", ".cr2", ".nef", ".arw", ".xcf"}
SIGNATURES = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF87a", b"GIF89a", b"II*\0", b"MM\0*")
DEEP_GREY = ("I;16", "I;16L", "I;16B", "I;16N")  # Pillow's modes of 16 bits
BITS_PER_SAMPLE = 258  # a tag of TIFF files
GREY = {"1", "L", "LA", "I", "F", *DEEP_GREY}
COLOUR = {"P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "HSV"}


class Form(NamedTuple):
    """What pictures are brought into."""

    size: int | None = None  # side in pixels; None: the pictures' own, see `cached_pictures`
    channels: int | None = None  # 1 or 3; None: 3 if any picture has colour
    fit: str = "crop"  # how one that is not square becomes one: crop, pad or squash


def is_picture(path):
    """Whether a file is meant to be a picture: by its suffix or its first bytes."""
    if os.path.splitext(path)[1].lower() in SUFFIXES:
        return True
    try:
        if not os.path.isfile(path):  # a FIFO would block
            return False
        with open(path, "rb") as file:
            start, size = file.read(16), os.fstat(file.fileno()).st_size
    except OSError:
        return False
    if start[:2] == b"BM":  # too short to mean much without the length that follows
        return int.from_bytes(start[2:6], "little") == size
    return start.startswith(SIGNATURES) or start[:4] + start[8:12] == b"RIFFWEBP"


def read_header(path):
    """Return a picture's width, height and whether it has colour; None if it is broken."""
    try:
        if not os.path.isfile(path):
            return None
        with Image.open(path, formats=FORMATS) as picture:
            return *picture.size, picture.mode not in GREY
    except Exception:  # it is named when it is decoded
        return None


def decode(path, form):
    """Decode one picture, the first if the file holds several.

    It becomes a square: "crop" cuts out the middle, "pad" puts white beside the
    whole picture, "squash" changes its proportions. It is shrunk by averaging
    areas, or enlarged with cubics; what is transparent becomes white; 16 bits
    become 8, as do floats in [0, 1].

    Args:
        path: the file.
        form: the `Form` wanted, without None in it.

    Returns:
        uint8 [H, W, C], C-contiguous; or why it cannot be used, in words.
    """
    size, channels, fit = form
    try:
        if not os.path.isfile(path):
            return "not a file" if os.path.exists(path) else "a link to nothing"
        with Image.open(path, formats=FORMATS) as picture:
            width, height = picture.size
            if width * height > MOST_PIXELS:
                return f"{width} x {height} pixels, expected at most {MOST_PIXELS:,} in all"
            if 2 * (max if fit == "pad" else min)(width, height) < size:
                sides = "a side" if fit == "pad" else "sides"
                return f"{width} x {height} pixels, expected {sides} of at least {-(-size // 2)}"
            if picture.mode not in GREY | COLOUR:
                return f"mode {picture.mode}, expected grey or RGB"
            picture = _eight_bits(picture)
            if isinstance(picture, str):
                return picture
            if not {"A", "a"}.isdisjoint(picture.getbands()) or "transparency" in picture.info:
                picture = picture.convert("RGBA")
                white = Image.new("RGBA", picture.size, "white")
                picture = Image.alpha_composite(white, picture)
            picture = picture.convert("L" if channels == 1 else "RGB")
    except UnidentifiedImageError:
        return f"broken: not {FORMATS_IN_WORDS}"
    except OSError as error:
        return f"broken: {describe_os_error(error)}"
    except Exception as error:  # every decoder has errors of its own
        return f"broken: {error}"
    return np.ascontiguousarray(_square(picture, size, fit)).reshape(size, size, channels)


def _eight_bits(picture):
    """Turn a picture upright and bring it to 8 bits a value; returns it, or what is wrong."""
    white = _white(picture)
    picture = ImageOps.exif_transpose(picture)
    if white is None:
        return picture
    values = np.asarray(picture, np.float64) * (255 / white)
    if not (values.min() >= 0 and values.max() <= 255):
        return (f"values from {values.min() * white / 255:g} to {values.max() * white / 255:g}, "
                f"expected 0 to {white}")
    return Image.fromarray(np.rint(values).astype(np.uint8))


def _square(picture, size, fit):
    """Make a picture a square of `size` pixels, as `decode` describes it."""
    width, height = picture.size
    shape, box = (size, size), (0, 0, width, height)
    side = max(width, height) if fit == "pad" else min(width, height)
    if fit == "crop":
        left, top = (width - side) // 2, (height - side) // 2
        box = (left, top, left + side, top + side)
    if fit == "pad":
        shape = tuple(max(1, round(length * size / side)) for length in (width, height))
    kind = Image.Resampling.BOX if side >= size else Image.Resampling.BICUBIC
    picture = picture.resize(shape, kind, box)
    if shape == (size, size):
        return picture
    padded = Image.new(picture.mode, (size, size), "white")
    padded.paste(picture, ((size - shape[0]) // 2, (size - shape[1]) // 2))
    return padded


def _white(picture):
    """The value that is white where a picture has more than 8 bits a value, else None."""
    if picture.mode == "F":
        return 1
    if picture.mode not in ("I", *DEEP_GREY):
        return None
    if picture.format == "TIFF":
        return 2 ** picture.tag_v2.get(BITS_PER_SAMPLE, (16,))[0] - 1
    return 65_535
