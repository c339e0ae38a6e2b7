"""Decoded pictures, kept in the cache folder as one file of pixels.

`pictures_KEY.bin` holds the pixels and ends in a mark, `pictures_KEY.json` says
what they are. The first digits of the key stand for the folder and the options
as they were given, the others for the state of every file. So a later start
opens no picture at all, and when files were added, changed or removed, the
pixels of the others are copied from the cache of the same first digits.
"""

import contextlib
import hashlib
import io
import json
import os
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from gan.common.errors import UserError
from gan.common.files import atomic_file, cache_folder, write_text
from gan.common.leftovers import remove_leftovers
from gan.data.cache_space import (
    MARK,
    NAME,
    describe_cache,
    limit_bytes,
    make_space,
    remove_cache,
)
from gan.data.decode import Form, decode, read_header
from gan.data.fingerprint import digest_images
from gan.data.messages import note, warn

VERSION = 3  # of what is done to pictures; another one makes caches anew
FAMILY = 6  # digits of the key that stand for the folder and the options
PART = 1024  # pictures decoded before they are written
DEFAULT_SIZE = 64
OWN_SIZES = range(16, 129, 4)  # sides that pictures keep; larger ones take long to learn
_in_use = set()  # paths that this process reads


class Decoded(NamedTuple):
    """The pixels of a list of pictures."""

    images: np.ndarray  # uint8 [N, H, W, C], a memory map where there is a cache
    left_out: dict  # place in the list → why it cannot be used, in words
    digest: object  # `digest_images` of the images


class Earlier(NamedTuple):
    """What the cache holds of pictures of the same folder."""

    headers: dict  # file → what `read_header` said of it; empty where the form was given
    results: dict  # file → its row among the images, or why it cannot be used
    images: np.ndarray  # uint8 [N, H, W, C]


def cached_pictures(folder, files, form, part="train"):
    """Decode pictures, or take them from the cache as far as no file has changed.

    Args:
        folder: that they lie in.
        files: list of `File`.
        form: the `Form` wanted. A size of None: the pictures' own if all are
            square, alike and can be trained on, otherwise 64.
        part: of the data, "train" or "test".

    Returns:
        `Decoded`.
    """
    about = json.dumps([VERSION, str(folder.resolve()), part, *form])
    family = hashlib.sha256(about.encode()).hexdigest()[:FAMILY]
    state = hashlib.sha256(json.dumps([_identity(file) for file in files]).encode()).hexdigest()
    path = cache_folder() / f"pictures_{family}{state[: 16 - FAMILY]}.bin"
    found = _load(path, about, len(files)) or _make(path, about, folder, files, form)
    _in_use.add(path)
    return found


def _identity(file):
    """What a file's pixels are found by."""
    return file.name, file.size, file.modified


def _load(path, about, count=None):
    """Return `Decoded` from the cache, or None if it is not there or damaged."""
    try:
        known = json.loads(path.with_suffix(".json").read_text())
        left_out = dict(known["left_out"])
        shape = tuple(known["shape"])
        if (known["about"] != about or len(shape) != 4
                or shape[0] + len(left_out) != (known["count"] if count is None else count)):
            raise ValueError("it is of other pictures")
        images = _map(path, shape)
        digest = digest_images(images)
        if digest.hexdigest() != known["sha256"]:
            raise ValueError("its checksum does not fit")
        with contextlib.suppress(OSError):  # a cache that may only be read
            os.utime(path)  # the limit spares what was used last
        return Decoded(images, left_out, digest)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        warn(f"{path} is damaged ({error}); making it anew")
        return None


def _map(path, shape):
    if not shape[0]:
        return np.empty(shape, np.uint8)  # nothing cannot be mapped
    # "c": what is written would stay in memory. TensorFlow shares no read-only maps.
    return np.memmap(path, np.uint8, "c", shape=shape)


def _make(path, about, folder, files, form):
    """Decode pictures and write them to the cache, if it can be written."""
    limit = limit_bytes()
    former = _siblings(path, about)
    earlier = _earlier(former, about)
    headers = _headers(files, earlier) if None in form else {}
    form = _own_form(headers, form)
    results = _usable(files, earlier, form)
    if results:
        new = len(files) - len(results)
        note(f"{folder}: {new:,} of {len(files):,} pictures are new or changed")
    try:
        remove_leftovers(path.parent)
        with atomic_file(path) as file:
            left_out = _decode_all(files, form, results, earlier, file)
            file.write(MARK)
        shape = (len(files) - len(left_out), form.size, form.size, form.channels)
        images = _map(path, shape)
        digest = digest_images(images)
        write_text(path.with_suffix(".json"), json.dumps({
            "about": about, "folder": str(folder.resolve()), "count": len(files), "shape": shape,
            "left_out": list(left_out.items()), "sha256": digest.hexdigest(),
            "files": [_identity(file) for file in files],
            "headers": [headers.get(_identity(file)) for file in files] if headers else []}))
    except UserError as error:
        warn(f"{error}; the pictures will be read again next time")
        memory = io.BytesIO()
        left_out = _decode_all(files, form, results, earlier, memory)
        images = np.frombuffer(memory.getbuffer(), np.uint8).reshape(
            -1, form.size, form.size, form.channels)
        return Decoded(images, left_out, digest_images(images))
    for old in former - _in_use:
        with contextlib.suppress(OSError):  # another process may hold it
            remove_cache(old)
    make_space(limit, {path, *_in_use})
    return Decoded(images, left_out, digest)


def _siblings(path, about):
    """Return the caches of other states of the same folder, a set of paths."""
    family = path.name[: len("pictures_") + FAMILY]
    return {other for other in path.parent.glob(f"{family}*.bin")
            if NAME.fullmatch(other.name) and describe_cache(other).get("about") == about
            and other != path}


def _earlier(former, about):
    """Return `Earlier` from the last used of some caches that is whole, or None."""
    for path in sorted(former, key=_last_use, reverse=True):
        found, known = _load(path, about), describe_cache(path)
        try:
            files = [tuple(file) for file in known["files"]]
            rows = iter(range(len(found.images)))
            results = {file: found.left_out[place] if place in found.left_out else next(rows)
                       for place, file in enumerate(files)}
            headers = dict(zip(files, known["headers"], strict=False))
            return Earlier(headers, results, found.images)
        except (AttributeError, KeyError, TypeError, StopIteration):  # damaged, or gone by now
            continue
    return None


def _last_use(path):
    try:
        return path.stat().st_mtime
    except OSError:  # another process removed it
        return 0.0


def _headers(files, earlier):
    """Return dict of file → what `read_header` says of it, for each that is whole."""
    known = earlier.headers if earlier else {}
    headers = {_identity(file): known.get(_identity(file)) or read_header(file.path)
               for file in files}
    return {file: header for file, header in headers.items() if header}


def _own_form(headers, form):
    """Return a form with the size and the channels that pictures ask for filled in."""
    sizes = {(width, height) for width, height, _ in headers.values()}
    width, height = next(iter(sizes), (0, 0))
    alike = len(sizes) == 1 and width == height and width in OWN_SIZES
    colour = any(colour for _, _, colour in headers.values())
    return Form(form.size or (width if alike else DEFAULT_SIZE),
                form.channels or (3 if colour else 1), form.fit)


def _usable(files, earlier, form):
    """Return dict of place → row of `earlier.images` or why there is none, of unchanged files."""
    if earlier is None or earlier.images.shape[1:] != (form.size, form.size, form.channels):
        return {}
    places = ((place, earlier.results.get(_identity(file))) for place, file in enumerate(files))
    return {place: result for place, result in places if result is not None}


def _decode_all(files, form, results, earlier, output):
    """Decode pictures, or copy them, and write their pixels one after the other.

    Args:
        files: list of `File`.
        form: `Form` of the result.
        results: what is known already, see `_usable`.
        earlier: `Earlier` that its rows are of.
        output: what the bytes are written to.

    Returns:
        dict of place in `files` → why that picture cannot be used.
    """
    left_out = {}
    workers = os.cpu_count() or 1
    with ThreadPoolExecutor(workers) as pool, tqdm(
        total=len(files) - len(results), desc="reading pictures", unit="img", leave=False,
        disable=None,
    ) as bar:
        # A part at a time, or all would be decoded before the first is written.
        for start in range(0, len(files), PART):
            part = range(start, min(start + PART, len(files)))
            new = [place for place in part if place not in results]
            found = dict(zip(new, pool.map(
                lambda place: decode(files[place].path, form), new), strict=True))
            for place in part:
                result = found[place] if place in found else results[place]
                if isinstance(result, str):
                    left_out[place] = result
                else:
                    output.write(earlier.images[result] if isinstance(result, int) else result)
            bar.update(len(new))
    return left_out
