"""Decoder of one picture file to uint8 pixels of a given height, width and channels."""

import contextlib
import os
import threading
import warnings
from typing import NamedTuple

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from gan.common.errors import UserError, describe_os_error

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "DIB", "TIFF")  # Pillow's names
FORMATS_IN_WORDS = "PNG, JPEG, WebP, GIF, BMP or TIFF"
SUFFIXES = {".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".gif", ".bmp", ".dib", ".tif",
            ".tiff"}
# Pictures too, which Pillow does not read by itself or does not draw.
OTHER_SUFFIXES = {".heic", ".heif", ".avif", ".svg", ".svgz", ".jp2", ".jxl", ".ico", ".psd",
                  ".tga", ".ppm", ".pgm", ".pnm", ".eps", ".dng", ".cr2", ".nef", ".arw", ".xcf"}
SIGNATURES = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF87a", b"GIF89a", b"II*\0", b"MM\0*")
DEEP_GRAY = ("I;16", "I;16L", "I;16B", "I;16N")  # Pillow's modes of 16 bits
BITS_PER_SAMPLE, TILE_WIDTH, TILE_LENGTH = 258, 322, 323  # tags of TIFF files
GRAY = {"1", "L", "LA", "I", "F", *DEEP_GRAY}
COLOR = {"P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "HSV"}
ROTATIONS = {2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180,
             4: Image.Transpose.FLIP_TOP_BOTTOM, 5: Image.Transpose.TRANSPOSE,
             6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE,
             8: Image.Transpose.ROTATE_90}  # by EXIF orientation

MOST_PIXELS = 2**26  # of a picture
MOST_BYTES = 2**30  # that decoding a picture may take
SHARED_BYTES = 3 * 2**28  # that all threads may take together, or else one picture alone
# Bytes a pixel: Pillow holds 4 of the file's picture and 4 of its 8-bit copy; the
# decoders of some formats hold the whole picture once or twice more.
BASE_BYTES, DECODER_BYTES = 8, {"TIFF": 8, "WEBP": 12}
PROGRESSIVE_BYTES = 8  # of a JPEG: all coefficients at once
TILE = 512  # side of what is converted at a time

# Pillow need not warn: sizes are looked at here before anything is unpacked.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
# glibc gives blocks of more than 32 MiB back at once, smaller ones stay with each thread.
Image.core.set_block_size(2**26)


class PictureFormat(NamedTuple):
    """The form that pictures are decoded to."""

    height: int | None  # None: the pictures' own, see `gan.data.pictures`
    width: int | None
    channels: int | None  # 1 or 3; None: 3 if any picture has color
    fit: str = "crop"  # for other proportions: crop, pad or squash

    @property
    def shape(self):
        """(H, W, C)."""
        return self.height, self.width, self.channels


class SharedMemory:
    """Bytes that threads take and give back, so that few large pictures are decoded at once."""

    def __init__(self, size):
        self._size = self._free = size
        self._changed = threading.Condition()

    @contextlib.contextmanager
    def taken(self, size):
        """Hold so many bytes, or all of them; waits until they are free."""
        size = min(size, self._size)
        with self._changed:
            self._changed.wait_for(lambda: self._free >= size)
            self._free -= size
        try:
            yield
        finally:
            with self._changed:
                self._free += size
                self._changed.notify_all()


_memory = SharedMemory(SHARED_BYTES)


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
    """Return a picture's width, height and whether it has color; None if it is broken."""
    try:
        if not os.path.isfile(path):
            return None
        with Image.open(path, formats=FORMATS) as picture:
            return *picture.size, picture.mode not in GRAY
    except Exception:  # it is named when it is decoded
        return None


def decode(path, form):
    """Decode one picture, the first if the file holds several.

    "crop" cuts out the middle, "pad" puts white beside the whole picture, "squash"
    changes its proportions. It is shrunk by averaging areas, or enlarged with cubics;
    what is transparent becomes white; 16 bits become 8, as do floats in [0, 1].

    Returns:
        uint8 [H, W, C] of a complete `PictureFormat`; or why it cannot be used, in words.
    """
    try:
        if not os.path.isfile(path):
            return "not a file" if os.path.exists(path) else "a link to nothing"
        with Image.open(path, formats=FORMATS) as picture:
            reason = _why_not(picture, form)
            if reason:
                return reason
            with _memory.taken(_bytes_to_decode(picture)):
                picture = _upright_bytes(picture, form.channels)
                if isinstance(picture, str):
                    return picture
                picture = _resized(picture, form)
                pixels = np.array(picture.convert("L" if form.channels == 1 else "RGB"))
    except UnidentifiedImageError:
        return f"broken: not {FORMATS_IN_WORDS}"
    except OSError as error:
        return f"broken: {describe_os_error(error)}"
    except MemoryError as error:
        raise UserError(f"{path}: not enough memory to decode it") from error
    except Exception as error:  # every decoder has errors of its own
        return f"broken: {error}"
    return pixels.reshape(form.shape)


def _why_not(picture, form):
    """Return why a picture cannot be used, by its header, or None."""
    (width, height), pad = picture.size, form.fit == "pad"
    if width * height > MOST_PIXELS:
        return f"{width} x {height} pixels, expected at most {MOST_PIXELS:,} in all"
    if _bytes_to_decode(picture) > MOST_BYTES:
        return (f"{width} x {height} pixels of {picture.format} take "
                f"{_bytes_to_decode(picture) / 2**20:,.0f} MiB to decode, expected at most "
                f"{MOST_BYTES / 2**20:,.0f}")
    small = [2 * width < form.width, 2 * height < form.height]
    if all(small) if pad else any(small):
        sides = "a side" if pad else "sides"
        return (f"{width} x {height} pixels, expected {sides} of at least "
                f"{-(-min(form.width, form.height) // 2)}")
    if picture.mode not in GRAY | COLOR:
        return f"mode {picture.mode}, expected grayscale or RGB"
    return None


def _bytes_to_decode(picture):
    width, height = picture.size
    pixel = BASE_BYTES + DECODER_BYTES.get(picture.format, 0)
    pixel += PROGRESSIVE_BYTES * bool(picture.info.get("progressive"))
    tags = getattr(picture, "tag_v2", {})  # a small TIFF may consist of one huge tile
    tile = tags.get(TILE_WIDTH, 0) * tags.get(TILE_LENGTH, 0)
    return pixel * max(width * height, tile)


def _upright_bytes(picture, channels):
    """Return a picture of 8 bits a value, L or RGB, turned upright; or what is wrong with it."""
    picture.load()
    rotation = ROTATIONS.get(picture.getexif().get(ExifTags.Base.Orientation))
    mode = "L" if channels == 1 or picture.mode in GRAY else "RGB"
    white = _white(picture)
    transparent = not {"A", "a"}.isdisjoint(picture.getbands()) or "transparency" in picture.info
    if white is None and not transparent and picture.mode == mode:
        return picture.transpose(rotation) if rotation is not None else picture
    copy, low, high = Image.new(mode, picture.size), np.inf, -np.inf
    for box in _tiles(picture.size):
        tile = picture.crop(box)
        if white is not None:
            values = np.asarray(tile, np.float64) * (255 / white)
            low, high = np.minimum(low, values.min()), np.maximum(high, values.max())
            with np.errstate(invalid="ignore"):
                tile = Image.fromarray(np.rint(values).astype(np.uint8))
        elif transparent:
            tile = tile.convert("RGBA")
            tile = Image.alpha_composite(Image.new("RGBA", tile.size, "white"), tile)
        copy.paste(tile.convert(mode), box)
    if white is not None and not (low >= 0 and high <= 255):
        return (f"values from {low * white / 255:g} to {high * white / 255:g}, "
                f"expected 0 to {white}")
    picture.close()  # its memory is free before the copy is turned
    return copy.transpose(rotation) if rotation is not None else copy


def _tiles(size):
    width, height = size
    for top in range(0, height, TILE):
        for left in range(0, width, TILE):
            yield left, top, min(left + TILE, width), min(top + TILE, height)


def _resized(picture, form):
    """Bring a picture to the height and width of a form, as `decode` describes it."""
    width, height = picture.size
    shape, box = (form.width, form.height), (0, 0, width, height)
    wide = width * form.height >= height * form.width  # of wider proportions than the form's
    if form.fit == "crop":
        side = (round(height * form.width / form.height), height) if wide else (
            width, round(width * form.height / form.width))
        left, top = (width - side[0]) // 2, (height - side[1]) // 2
        box = (left, top, left + side[0], top + side[1])
    elif form.fit == "pad":
        shape = ((form.width, max(1, round(height * form.width / width))) if wide else
                 (max(1, round(width * form.height / height)), form.height))
    shrinks = box[2] - box[0] >= shape[0] and box[3] - box[1] >= shape[1]
    kind = Image.Resampling.BOX if shrinks else Image.Resampling.BICUBIC
    picture = picture.resize(shape, kind, box)
    if shape == (form.width, form.height):
        return picture
    padded = Image.new(picture.mode, (form.width, form.height), "white")
    padded.paste(picture, ((form.width - shape[0]) // 2, (form.height - shape[1]) // 2))
    return padded


def _white(picture):
    """Return the value that is white where a picture has more than 8 bits a value, else None."""
    if picture.mode == "F":
        return 1
    if picture.mode not in ("I", *DEEP_GRAY):
        return None
    if picture.format == "TIFF":
        return 2 ** picture.tag_v2.get(BITS_PER_SAMPLE, (16,))[0] - 1
    return 65_535
