"""Reader of a folder of pictures, with a cache of decoded pixels."""

import contextlib
import hashlib
import io
import json
import math
import os
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError
from tqdm import tqdm

from gan.common.errors import UserError, counted, describe_os_error, listed, one_line, warn
from gan.common.files import atomic_file, cache_folder, open_cached, remove_leftovers
from gan.data.arrays import check_memory
from gan.data.layout import Part, arrange, files_below
from gan.data.pixels import digest_images

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "DIB", "TIFF")  # Pillow's names
FORMATS_IN_WORDS = "PNG, JPEG, WebP, GIF, BMP or TIFF"
SUFFIXES = {".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".gif", ".bmp", ".dib", ".tif",
            ".tiff"}
DEEP_GRAY = ("I", "I;16", "I;16L", "I;16B", "I;16N")  # Pillow's modes of more than 8 bits
BITS_PER_SAMPLE, TILE_WIDTH, TILE_LENGTH = 258, 322, 323  # tags of TIFF files
GRAY = {"1", "L", "LA", "F", *DEEP_GRAY}
COLOR = {"P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "HSV"}

MOST_PIXELS = 2**26  # of a picture
MOST_BYTES = 2**30  # that decoding a picture may take
LARGE_BYTES = 2**27  # from here on, pictures are decoded one at a time
THREADS = 8
# Bytes a pixel: Pillow holds 4 of the file's picture and 4 of its 8-bit copy; the
# decoders of some formats hold the whole picture once or twice more.
BASE_BYTES, DECODER_BYTES = 8, {"TIFF": 8, "WEBP": 12}
PROGRESSIVE_BYTES = 8  # of a JPEG: all coefficients at once
STRIPE = 2**18  # pixels that are converted at a time

VERSION = 5  # of what is done to pictures; another one makes caches anew
LENGTH_BYTES = 8  # of the length of the JSON, at the end of a cache
PART_BYTES = 2**26  # of pixels decoded before they are written
DEFAULT_SIDE = 64
OWN_SIDES = range(16, 129, 4)  # sides that pictures keep; larger ones take long to learn

# Pillow need not warn: sizes are looked at here before anything is unpacked.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
# glibc gives blocks of more than 32 MiB back at once, smaller ones stay with each thread.
Image.core.set_block_size(2**26)
_large = threading.Lock()


class PictureFormat(NamedTuple):
    side: int | None  # None: the pictures' own if all are square and alike, otherwise 64
    channels: int | None  # 1 or 3; None: 3 if any picture has color
    fit: str = "crop"  # cut out the middle; "pad" with white; "squash": other proportions

    @property
    def shape(self):
        return self.side, self.side, self.channels


class UnusableError(Exception):
    """Why a picture cannot be used, in words."""


def read_pictures(folder, image_size=None, channels=None, skip_broken=False, fit="crop"):
    """Read a folder of PNG, JPEG, WebP, GIF, BMP and TIFF files, known by their content.

    Returns a dict for `from_arrays`: images uint8 [N, H, W, C], mapped from the cache, and
    their images_digest; if there are any, labels, str [N], test_images and test_labels.
    """
    folder, pictures, others = Path(folder), [], []
    for file in files_below(folder):
        (pictures if is_picture(file.path) else others).append(file)
    train, test = arrange(folder, pictures)
    if others:
        print(one_line(f"left out: {counted(len(others), 'file')} besides pictures: "
                       f"{listed([file.name for file in others])}"))
    form = PictureFormat(image_size, channels, fit)
    images, labels, digest = _read_part(folder, train, form, skip_broken, "train")
    arrays = {"images": images, "labels": labels, "images_digest": digest}
    if test:
        form = PictureFormat(*images.shape[2:], fit)
        arrays["test_images"], arrays["test_labels"], _ = _read_part(
            folder, _shuffled(test), form, skip_broken, "test")
    return {name: value for name, value in arrays.items() if value is not None}


def holds_pictures(folder, depth=6):
    """Whether there is a picture in a folder or up to five folders below it."""
    return any(is_picture(file.path) for file in files_below(folder, depth))


def is_picture(path):
    """Whether a file is meant to be a picture: by its suffix or its content."""
    return os.path.splitext(path)[1].lower() in SUFFIXES or read_header(path) is not None


def read_header(path):
    """Return a picture's width, height and whether it has color; None if it is broken."""
    try:
        if not os.path.isfile(path):  # a FIFO would block
            return None
        with Image.open(path, formats=FORMATS) as picture:
            return *picture.size, picture.mode not in GRAY
    except Exception:  # it is named when it is decoded
        return None


def _shuffled(part):
    # Metrics look at the first ones.
    order = np.random.default_rng(0).permutation(len(part.files))
    return Part(*([values[place] for place in order] if values else [] for values in part))


def _read_part(folder, part, form, skip_broken, name):
    images, left_out, digest = cached_pictures(folder, part.files, form, name)
    count = len(part.files)
    if left_out:
        reasons = listed([f"{part.files[place].name} ({reason})"
                          for place, reason in left_out.items()], "; ")
        text = one_line(f"{len(left_out)} of {counted(count, 'picture')} cannot be used: {reasons}")
        if len(left_out) == count:
            raise UserError(f"{folder}: {text}; expected some that can be used")
        if not skip_broken:
            raise UserError(f"{folder}: {text}; expected whole pictures, or --skip-broken")
        warn(text)
    if not part.labels:
        return images, None, digest
    labels = [label for place, label in enumerate(part.labels) if place not in left_out]
    lost = sorted(set(part.labels) - set(labels))
    if lost:
        warn(f"{folder}: no picture of {listed(lost)} can be used, so the class is left out")
    return images, np.array(labels), digest


# The cache. A file for each folder and format: pixels, what they are as JSON, its length.


def cached_pictures(folder, files, form, part):
    """Return images, dict of place in `files` → why that one cannot be used, and the digest."""
    about = json.dumps([VERSION, str(folder.resolve()), part, *form])
    state = hashlib.sha256(json.dumps([file.identity for file in files]).encode()).hexdigest()
    key = hashlib.sha256(about.encode()).hexdigest()[:16]
    path = cache_folder() / f"pictures_{key}.bin"
    found = _load(path, about, state)
    if found:
        return found
    form = _complete(form, files)
    try:
        remove_leftovers(path.parent)
        with atomic_file(path) as output:
            left_out = _decode_all(files, form, output)
            shape = len(files) - len(left_out), *form.shape
            output.flush()
            digest = digest_images(_map(output, shape))
            known = json.dumps({"about": about, "state": state, "shape": shape,
                                "left_out": list(left_out.items()),
                                "sha256": digest.hexdigest()}).encode()
            output.seek(0, os.SEEK_END)
            output.write(known + len(known).to_bytes(LENGTH_BYTES, "little"))
        return _map(path, shape), left_out, digest
    except UserError as error:
        warn(f"{error}; the pictures will be read again next time")
    check_memory(len(files) * math.prod(form.shape), folder)
    output = io.BytesIO()
    left_out = _decode_all(files, form, output)
    images = np.frombuffer(output.getbuffer(), np.uint8).reshape(-1, *form.shape)
    return images, left_out, digest_images(images)


def _load(path, about, state):
    try:
        with open_cached(path) as file:
            end = file.seek(-LENGTH_BYTES, os.SEEK_END)
            length = int.from_bytes(file.read(), "little")
            file.seek(end - length)
            known = json.loads(file.read(length))
            if (known["about"], known["state"]) != (about, state):
                return None  # of pictures that have changed
            images = _map(file, tuple(known["shape"]))
        digest = digest_images(images)
        if digest.hexdigest() != known["sha256"]:
            raise ValueError("its checksum does not fit")
        return images, dict(known["left_out"]), digest
    except (FileNotFoundError, NotADirectoryError):
        return None
    except Exception as error:  # whatever damage can cause
        reason = getattr(error, "strerror", None) or error
        warn(f"{path} is damaged ({reason}); making it anew")
        return None


def _map(file, shape):
    if not shape[0]:
        return np.empty(shape, np.uint8)  # nothing cannot be mapped
    # "c": what is written would stay in memory. TensorFlow shares no read-only maps.
    return np.memmap(file, np.uint8, "c", shape=shape)


def _complete(form, files):
    """Return a form with the size and the channels that the pictures ask for filled in."""
    if None not in form:
        return form
    headers = [header for header in (read_header(file.path) for file in files) if header]
    sizes = {(width, height) for width, height, _ in headers}
    width, height = next(iter(sizes), (0, 0))
    if len(sizes) != 1 or width != height or width not in OWN_SIDES:
        width = DEFAULT_SIDE
    color = any(color for _, _, color in headers)
    return PictureFormat(form.side or width, form.channels or (3 if color else 1), form.fit)


def _decode_all(files, form, output):
    left_out, size = {}, max(1, PART_BYTES // math.prod(form.shape))
    with ThreadPoolExecutor(min(THREADS, os.cpu_count() or 1)) as pool, tqdm(
        total=len(files), desc="reading pictures", unit="img", leave=False, disable=None,
    ) as bar:
        # A part at a time, or all would be decoded before the first is written.
        for start in range(0, len(files), size):
            part = files[start : start + size]
            decoded = pool.map(lambda file: decode(file.path, form), part)
            for place, result in enumerate(decoded, start):
                if isinstance(result, str):
                    left_out[place] = result
                else:
                    output.write(result)
                bar.update()
    return left_out


# Decoding.


def decode(path, form):
    """Decode the first picture of a file: uint8 [H, W, C], or why it cannot be used, in words.

    It is shrunk by averaging areas, or enlarged with cubics; what is transparent becomes white;
    16 bits become 8, as do floats in [0, 1].
    """
    try:
        if not os.path.isfile(path):
            return "not a file"
        with Image.open(path, formats=FORMATS) as picture:
            scale = _check(picture, form)
            large = _bytes_to_decode(picture) > LARGE_BYTES
            with _large if large else contextlib.nullcontext():
                picture.load()
                ImageOps.exif_transpose(picture, in_place=True)
                picture = _fitted(_with_eight_bits(picture, form.channels), form, scale)
                pixels = np.array(picture.convert("L" if form.channels == 1 else "RGB"))
    except UnusableError as error:
        return str(error)
    except UnidentifiedImageError:
        return f"broken: not {FORMATS_IN_WORDS}"
    except OSError as error:
        return f"broken: {describe_os_error(error)}"
    except MemoryError as error:
        raise UserError(f"{path}: not enough memory to decode it") from error
    except Exception as error:  # every decoder has errors of its own
        return f"broken: {error}"
    return pixels.reshape(form.shape)


def _check(picture, form):
    """Look at a picture's header; returns how many times as large as the form it is."""
    width, height = picture.size
    if width * height > MOST_PIXELS:
        raise UnusableError(f"{width} x {height} pixels, expected at most {MOST_PIXELS:,} in all")
    need = _bytes_to_decode(picture)
    if need > MOST_BYTES:
        raise UnusableError(f"{width} x {height} pixels of {picture.format} take "
                            f"{need / 2**20:,.0f} MiB to decode, expected at most "
                            f"{MOST_BYTES / 2**20:,.0f}")
    scale = (max if form.fit == "pad" else min)(width, height) / form.side
    if scale < 0.5:
        sides = "a side" if form.fit == "pad" else "sides"
        raise UnusableError(f"{width} x {height} pixels, expected {sides} of at least "
                            f"{math.ceil(form.side / 2)}")
    if picture.mode not in GRAY | COLOR:
        raise UnusableError(f"mode {picture.mode}, expected grayscale or RGB")
    return scale


def _bytes_to_decode(picture):
    width, height = picture.size
    pixel = BASE_BYTES + DECODER_BYTES.get(picture.format, 0)
    pixel += PROGRESSIVE_BYTES * bool(picture.info.get("progressive"))
    tags = getattr(picture, "tag_v2", {})  # a small TIFF may consist of one huge tile
    tile = tags.get(TILE_WIDTH, 0) * tags.get(TILE_LENGTH, 0)
    return pixel * max(width * height, tile)


def _with_eight_bits(picture, channels):
    """Return a picture as L or RGB, on white; a stripe at a time, to bound its memory."""
    mode = "L" if channels == 1 or picture.mode in GRAY else "RGB"
    deep, transparent = picture.mode in ("F", *DEEP_GRAY), picture.has_transparency_data
    if picture.mode == mode and not transparent:
        return picture
    white = _white(picture)
    (width, height), copy = picture.size, Image.new(mode, picture.size)
    rows = max(1, STRIPE // width)
    for top in range(0, height, rows):
        stripe = picture.crop((0, top, width, min(top + rows, height)))
        if deep:
            values = np.asarray(stripe, np.float64)
            if not (values.min() >= 0 and values.max() <= white):
                raise UnusableError(f"values from {values.min():g} to {values.max():g}, "
                                    f"expected 0 to {white}")
            stripe = Image.fromarray(np.rint(values * (255 / white)).astype(np.uint8))
        elif transparent:
            stripe = stripe.convert("RGBA")
            stripe = Image.alpha_composite(Image.new("RGBA", stripe.size, "white"), stripe)
        copy.paste(stripe.convert(mode), (0, top))
    picture.close()
    return copy


def _white(picture):
    if picture.mode == "F":
        return 1
    if picture.format == "TIFF":
        return 2 ** picture.tag_v2.get(BITS_PER_SAMPLE, (16,))[0] - 1
    return 65_535


def _fitted(picture, form, scale):
    size = form.side, form.side
    method = Image.Resampling.BOX if scale >= 1 else Image.Resampling.BICUBIC
    if form.fit == "squash":
        return picture.resize(size, method)
    if form.fit == "pad":
        return ImageOps.pad(picture, size, method, "white")
    return ImageOps.fit(picture, size, method)
