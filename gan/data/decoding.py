"""Decoder of pictures: files that Pillow reads, as pixels of one size, in bounded memory."""

import contextlib
import io
import math
import os
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from gan.common.command_line import SIDES
from gan.common.errors import UserError, describe_os_error
from gan.data.layout import UnusableError
from gan.data.pixels import Scale, scale_of, scaled, white_of

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "DIB", "TIFF")  # Pillow's names
FORMATS_IN_WORDS = "PNG, JPEG, WebP, GIF, BMP or TIFF"
SUFFIXES = {".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".gif", ".bmp", ".dib", ".tif",
            ".tiff"}
DEEP_GRAY = ("I", "I;16", "I;16L", "I;16B", "I;16N")  # Pillow's modes of more than 8 bits
TILE_WIDTH, TILE_LENGTH, REDUCED = 322, 323, 254  # tags of TIFF files
ORIENTATION = 274  # tag of EXIF data; from 5 on, the sides change places
PAGED = {"TIFF", "GIF", "WEBP", "PNG"}  # formats whose files hold several pictures
MODES = {1: "L", 3: "RGB", 4: "RGBA"}  # of decoded pictures, by their channels
GRAY = {"1", "L", "LA", "F", *DEEP_GRAY}
COLOR = {"P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "HSV"}

MOST_PIXELS = 2**26  # of a picture
MOST_BYTES = 2**30  # that decoding a picture may take
LARGE_BYTES = 2**27  # from here on, pictures are decoded one at a time
MOST_PACKED_BYTES = 2**27  # of a picture in an archive
THREADS = 8
# Bytes a pixel: Pillow holds 4 of the file's picture and 4 of its 8-bit copy; the
# decoders of some formats hold the whole picture once or twice more.
BASE_BYTES, DECODER_BYTES = 8, {"TIFF": 8, "WEBP": 12}
PROGRESSIVE_BYTES = 8  # of a JPEG: all coefficients at once
STRIPE = 2**18  # pixels that are converted at a time

GROUNDS = {"white": 255, "black": 0, "gray": 128}  # Pillow's colors that transparency is laid on
VISIBLE = 40  # gray levels that a picture differs from its ground by, on average, or vanishes
GROUND_SIDE = 64  # pixels
SAMPLE = 256  # pictures that the ground and the way to resize are chosen by
ART_SIDE, ART_COLORS = 128, 32  # pixels and colors that pixel art has at most
ART_FRACTION = 0.9  # of the pictures that have to be such

DEFAULT_SIDE = 64
# Sides that pictures keep, the shorter and the longer one; larger ones take long to learn.
OWN_SHORTER, OWN_LONGER = range(16, 129), range(16, 257)

# Pillow need not warn: sizes are looked at here before anything is unpacked.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
# glibc gives blocks of more than 32 MiB back at once, smaller ones stay with each thread.
Image.core.set_block_size(2**26)
_large = threading.Lock()


class PictureFormat(NamedTuple):
    # Width and height; None: the pictures' own if all have the same, see `_own_size`.
    size: tuple | None
    channels: int | None  # 1, 3 or 4; None: 3 if any picture has color
    fit: str = "crop"  # cut out the middle; "pad" with the ground; "squash": other proportions
    frames: str = "first"  # of files that hold several pictures, or "all"
    ground: str | None = None  # key of `GROUNDS`; None: one that no picture vanishes on
    range: str = "bits"  # of the values in pictures of more than 8 bits: "LOW,HIGH"
    white: int | None = None  # of integers of more than 8 bits; None: the most in as many bits
    resample: str | None = None  # "smooth" or "nearest"; None: nearest for pixel art

    @property
    def shape(self):
        return *self.size[::-1], self.channels


class Decoded(NamedTuple):
    images: list  # of uint8 [H, W, C]
    pages: int  # passed over
    transparent: bool


class Header(NamedTuple):
    width: int
    height: int
    color: bool
    transparent: bool  # perhaps: it has an alpha channel
    deep: bool  # whether it has integers of more than 8 bits


def open_picture(file):
    """Open a `File` with Pillow, which reads no more than the header yet."""
    if file.inside is None:
        if not os.path.isfile(file.path):  # a FIFO would block
            raise UnusableError("not a file")
        return Image.open(file.path, formats=FORMATS)
    return Image.open(io.BytesIO(file.read(MOST_PACKED_BYTES)), formats=FORMATS)


def threads():
    return ThreadPoolExecutor(min(THREADS, os.cpu_count() or 1))


def read_header(file):
    """Return the `Header` of a picture; None if it is broken."""
    with contextlib.suppress(Exception), open_picture(file) as picture:
        return Header(*_upright(picture), picture.mode not in GRAY,
                      picture.has_transparency_data, picture.mode in DEEP_GRAY)
    return None  # it is named when it is decoded


# What the pictures ask for.


def complete(form, files):
    """Return a form with the size, channels and ground that the pictures ask for filled in."""
    if None not in form:
        return form
    headers = {file: header for file in files if (header := read_header(file))}
    sizes = {(header.width, header.height) for header in headers.values()}
    color = any(header.color for header in headers.values())
    ground = form.ground or _ground([file for file in headers if headers[file].transparent])
    white = form.white or _most([file for file in headers if headers[file].deep])
    form = form._replace(size=form.size or _own_size(sizes),
                         channels=form.channels or (3 if color else 1), ground=ground, white=white)
    resample = form.resample or _resampling(headers, sizes - {form.shape[1::-1]})
    return form._replace(resample=resample)


def _own_size(sizes):
    """Return the size of pictures of some sizes: the common one, or smaller in its proportions."""
    if len(sizes) != 1:
        return DEFAULT_SIDE, DEFAULT_SIDE
    size, = sizes
    if min(size) in OWN_SHORTER and max(size) in OWN_LONGER:
        return size
    return tuple(min(round(DEFAULT_SIDE * side / min(size)), SIDES[-1]) for side in size)


def _most(files):
    """Return the most that as many bits hold as the gray values need; None without pictures."""
    found = _looked_at(files, lambda picture: picture.getextrema()[1])
    return white_of(max(found)) if found else None


def _resampling(files, sizes):
    """Return how pictures are resized, of which some have these other sizes."""
    if not sizes or max(map(max, sizes)) > ART_SIDE:
        return "smooth"

    def is_flat(picture):
        few = min(ART_COLORS, picture.width * picture.height // 8)
        return picture.convert("RGBA").getcolors(few) is not None

    flat = _looked_at(_sample(files), is_flat)
    return "nearest" if sum(flat) >= ART_FRACTION * max(1, len(flat)) else "smooth"


def _sample(files):
    return [*files][:: math.ceil(len(files) / SAMPLE) or 1]


def _looked_at(files, look):
    """Return what a function finds in each picture, but for None and those that are broken."""
    def find(file):
        with contextlib.suppress(Exception), open_picture(file) as picture, _guard(picture):
            return look(picture)

    with threads() as pool:
        return [found for found in pool.map(find, files) if found is not None]


def _ground(files):
    """Return the key of `GROUNDS` that the fewest of some transparent pictures vanish on."""
    def contrasts_of(picture):
        small = picture.convert("RGBA")
        small.thumbnail((GROUND_SIDE, GROUND_SIDE))
        shades = np.asarray(small.convert("L"), np.float64)
        alpha = np.asarray(small.getchannel("A"), np.float64)
        if 0 < alpha.mean() < 255:
            return [np.average(abs(shades - level), weights=alpha) for level in GROUNDS.values()]
        return None

    contrasts = _looked_at(_sample(files), contrasts_of)
    vanishing = (np.array(contrasts).reshape(-1, len(GROUNDS)) < VISIBLE).sum(axis=0)
    return [*GROUNDS][int(vanishing.argmin())]


# Decoding.


def decode(file, form):
    """Return the `Decoded` pictures of a `File`, or why it cannot be used, in words.

    They are shrunk by averaging areas, or enlarged with cubics; what is transparent becomes the
    ground; 16 bits become 8, as do floats in [0, 1]. Pixel art: nearest neighbor both ways.
    """
    images, transparent = [], False
    try:
        with open_picture(file) as picture:
            pages = _pages(picture)
            taken = pages if form.frames == "all" else pages[:1]
            if len(taken) * math.prod(form.shape) > MOST_BYTES:
                return f"{len(taken):,} pages, expected at most {MOST_BYTES / 2**20:,.0f} MiB"
            for page in taken:
                picture.seek(page)
                scale = _check(picture, form)
                with _guard(picture):
                    picture.load()
                    # Later frames may be drawn over this one.
                    one = picture if len(taken) == 1 else picture.copy()
                    ImageOps.exif_transpose(one, in_place=True)
                    one, clear = _with_eight_bits(one, form)
                    one = _fitted(one, form, scale).convert(MODES[form.channels])
                images.append(np.array(one).reshape(form.shape))
                transparent |= clear
    except UnusableError as error:
        return str(error)
    except UnidentifiedImageError:
        return f"broken: not {FORMATS_IN_WORDS}"
    except OSError as error:
        return f"broken: {describe_os_error(error)}"
    except MemoryError as error:
        raise UserError(f"{file.path}: not enough memory to decode it") from error
    except Exception as error:  # every decoder has errors of its own
        return f"broken: {error}"
    return Decoded(images, len(pages) - len(taken), transparent)


def _pages(picture):
    """Return the numbers of a file's pages or frames, without small copies of others."""
    if picture.format not in PAGED:
        return [0]  # an MPO file's others are thumbnails and gain maps
    try:
        pages = [*range(getattr(picture, "n_frames", 1))]
        if picture.format == "TIFF" and len(pages) > 1:
            pages = [page for page in pages
                     if not (picture.seek(page) or picture.tag_v2.get(REDUCED, 0) & 1)]
    except Exception:  # what follows the first one is damaged
        pages = []
    picture.seek(0)
    return pages or [0]


def _check(picture, form):
    """Look at a picture's header; returns how many times as large as the form it is."""
    width, height = _upright(picture)
    if width * height > MOST_PIXELS:
        raise UnusableError(f"{width} x {height} pixels, expected at most {MOST_PIXELS:,} in all")
    scale = (max if form.fit == "pad" else min)(width / form.size[0], height / form.size[1])
    if scale < 0.5:
        least = f" {'or' if form.fit == 'pad' else 'x'} ".join(
            str(math.ceil(side / 2)) for side in form.size)
        raise UnusableError(f"{width} x {height} pixels, expected at least {least}")
    if picture.mode not in GRAY | COLOR:
        raise UnusableError(f"mode {picture.mode}, expected grayscale or RGB")
    return scale


def _upright(picture):
    """Return the width and height of a picture as its EXIF data turns it."""
    with contextlib.suppress(Exception):  # damaged data
        if "exif" in picture.info and picture.getexif().get(ORIENTATION, 1) >= 5:
            return picture.size[::-1]
    return picture.size


def _guard(picture):
    """Return a context to decode a picture in, which large ones enter one at a time."""
    width, height = picture.size
    pixel = BASE_BYTES + DECODER_BYTES.get(picture.format, 0)
    pixel += PROGRESSIVE_BYTES * bool(picture.info.get("progressive"))
    tags = getattr(picture, "tag_v2", {})  # a small TIFF may consist of one huge tile
    tile = tags.get(TILE_WIDTH, 0) * tags.get(TILE_LENGTH, 0)
    need = pixel * max(width * height, tile)
    if need > MOST_BYTES:
        raise UnusableError(f"{width} x {height} pixels of {picture.format} take "
                            f"{need / 2**20:,.0f} MiB to decode, expected at most "
                            f"{MOST_BYTES / 2**20:,.0f}")
    return _large if need > LARGE_BYTES else contextlib.nullcontext()


def _with_eight_bits(picture, form):
    """Return a picture as L, RGB or RGBA, and whether it has transparent parts.

    Without channels for them, these are laid on the form's ground.
    """
    mode = "L" if form.channels == 3 and picture.mode in GRAY else MODES[form.channels]
    deep, transparent = picture.mode in ("F", *DEEP_GRAY), picture.has_transparency_data
    if picture.mode == mode and not transparent:
        return picture, False
    (width, height), copy = picture.size, Image.new(mode, picture.size)
    clear, scale = False, scale_of(form.range, Scale(0, 1 if picture.mode == "F" else form.white))
    # A stripe at a time, to bound its memory.
    rows = max(1, STRIPE // width)
    for top in range(0, height, rows):
        stripe = picture.crop((0, top, width, min(top + rows, height)))
        if deep:
            values = np.asarray(stripe, np.float64)
            if form.range == "bits" and not 0 <= values.min() <= values.max() <= scale.high:
                raise UnusableError(f"values from {values.min():g} to {values.max():g}, "
                                    f"expected 0 to {scale.high}, or --range")
            stripe = Image.fromarray(scaled(values, scale).astype(np.uint8))
        elif transparent:
            stripe = stripe.convert("RGBA")
            clear |= stripe.getextrema()[3][0] < 255
            if mode != "RGBA":
                stripe = Image.alpha_composite(Image.new("RGBA", stripe.size, form.ground), stripe)
        copy.paste(stripe.convert(mode), (0, top))
    picture.close()
    return copy, clear


def _fitted(picture, form, scale):
    method = Image.Resampling.BOX if scale >= 1 else Image.Resampling.BICUBIC
    if form.resample == "nearest":
        method = Image.Resampling.NEAREST
    if form.fit == "squash":
        return picture.resize(form.size, method)
    if form.fit == "pad":
        margin = (0, 0, 0, 0) if picture.mode == "RGBA" else form.ground
        return ImageOps.pad(picture, form.size, method, margin)
    return ImageOps.fit(picture, form.size, method)
