"""Reader of a folder of pictures, with a cache of decoded pixels.

The cache has one file for each folder and way to decode it: the pixels, then what they
are as JSON, its length and a mark. It is replaced when any picture has changed.
"""

import hashlib
import io
import json
import math
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from tqdm import tqdm

from gan.common.errors import UserError, counted, listed, one_line, warn
from gan.common.files import atomic_file, cache_folder, open_cached, remove_leftovers
from gan.data.arrays import check_memory
from gan.data.decode import (
    FORMATS_IN_WORDS,
    OTHER_SUFFIXES,
    PictureFormat,
    decode,
    is_picture,
    read_header,
)
from gan.data.layout import Part, arrange, files_below
from gan.data.pixels import digest_images

VERSION = 4  # of what is done to pictures; another one makes caches anew
MARK = b"\n\0gan pictures\0\n"
LENGTH_BYTES = 8  # of the length of the JSON, before the mark
PART_BYTES = 2**26  # of pixels decoded before they are written
DEFAULT_SIDE = 64
OWN_SIDES = range(16, 129, 4)  # sides that pictures keep; larger ones take long to learn


def read_pictures(folder, image_size=None, channels=None, skip_broken=False, fit="crop"):
    """Read a folder of PNG, JPEG, WebP, GIF, BMP and TIFF files, known by their content.

    Args:
        folder: the folder, see `gan.data.layout` for what is a class.
        image_size: side of the result in pixels; None: the pictures' own if all
            are square and alike, otherwise 64.
        channels: 1 or 3; None: 3 if any picture has color.
        skip_broken: leave out what cannot be used instead of stopping.
        fit: what is done to a picture of other proportions, see `decode`.

    Returns:
        dict for a data set: images uint8 [N, H, W, C], a memory map of the cache
        where there could be one, and their images_digest; and if there are any,
        labels, str [N], test_images and test_labels, these two in a random order.

    Raises:
        UserError: naming the pictures that cannot be used, or a folder without any.
    """
    folder, pictures, others = Path(folder), [], []
    for file in files_below(folder):
        (pictures if is_picture(file.path) else others).append(file)
    train, test = arrange(folder, pictures)
    _name_others([file.name for file in others])
    form = PictureFormat(image_size, image_size, channels, fit)
    images, labels, digest = _read_part(folder, train, form, skip_broken, "train")
    arrays = {"images": images, "labels": labels, "images_digest": digest}
    if test:
        form = PictureFormat(*images.shape[1:], fit)
        arrays["test_images"], arrays["test_labels"], _ = _read_part(
            folder, shuffled(test), form, skip_broken, "test")
    return {name: value for name, value in arrays.items() if value is not None}


def shuffled(part):
    """Return a `Part` in a random order, each time the same, as metrics look at the first ones."""
    order = np.random.default_rng(0).permutation(len(part.files))
    return Part([part.files[place] for place in order],
                [part.labels[place] for place in order] if part.labels else [])


def _name_others(names):
    """Say which files are not used."""
    unread = [name for name in names if os.path.splitext(name)[1].lower() in OTHER_SUFFIXES]
    for left, what in ((unread, f"picture of other formats than {FORMATS_IN_WORDS}"),
                       (sorted(set(names) - set(unread)), "file besides pictures")):
        if left:
            number, noun = counted(len(left), what.split()[0]), what.partition(" ")[2]
            print(one_line(f"left out: {number} {noun}: {listed(left)}"))


def _read_part(folder, part, form, skip_broken, name):
    """Return images [N, H, W, C], the names of their classes or None, and their digest."""
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


def cached_pictures(folder, files, form, part):
    """Decode pictures, a list of `File`, or take them from the cache where none has changed.

    Returns:
        `(images, left_out, digest)`: uint8 [N, H, W, C], dict of place in `files` → why
        that picture cannot be used, and `digest_images` of the images.
    """
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
            output.write(known + len(known).to_bytes(LENGTH_BYTES, "little") + MARK)
        return _map(path, shape), left_out, digest
    except UserError as error:
        warn(f"{error}; the pictures will be read again next time")
    check_memory(len(files) * math.prod(form.shape), folder)
    output = io.BytesIO()
    left_out = _decode_all(files, form, output)
    images = np.frombuffer(output.getbuffer(), np.uint8).reshape(-1, *form.shape)
    return images, left_out, digest_images(images)


def _load(path, about, state):
    """Return what the cache holds of pictures in a state, or None."""
    try:
        with open_cached(path) as file:
            end = file.seek(-len(MARK) - LENGTH_BYTES, os.SEEK_END)
            length = int.from_bytes(file.read(LENGTH_BYTES), "little")
            if file.read() != MARK:
                raise ValueError("it is cut off")
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
        width = height = DEFAULT_SIDE
    color = any(color for _, _, color in headers)
    return PictureFormat(form.height or height, form.width or width,
                         form.channels or (3 if color else 1), form.fit)


def _decode_all(files, form, output):
    """Write the pixels of pictures; returns dict of place → why that one cannot be used."""
    left_out, size = {}, max(1, PART_BYTES // math.prod(form.shape))
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool, tqdm(
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
