"""Decoded pictures, kept in the cache folder as one file of pixels.

`pictures_KEY.bin` holds the pixels and ends in a mark, `pictures_KEY.json` says
what they are. The key stands for the folder, the options as they were given and
the state of every file, so that a later start opens no picture at all.
"""

import contextlib
import hashlib
import io
import json
import os
import re
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from gan.common.errors import UserError
from gan.common.files import atomic_file, cache_folder, write_text
from gan.common.leftovers import remove_leftovers
from gan.data.decode import decode, read_header
from gan.data.fingerprint import digest_images
from gan.data.messages import note, warn

VERSION = 2  # of what is done to pictures; another one makes caches anew
MARK = b"\n\0gan pictures\0\n"  # how a file of pixels ends
NAME = re.compile(r"pictures_[0-9a-f]{16}\.bin")
KEYS = {"count", "left_out", "sha256"}  # that every version has written beside the pixels
PART = 1024  # pictures decoded before they are written
DEFAULT_SIZE = 64
DEFAULT_LIMIT = 10.0  # GiB that the pictures in the cache may take
LIMIT_VARIABLE = "GAN_CACHE_GIB"
_in_use = set()  # paths that this process reads


class Decoded(NamedTuple):
    """The pixels of a list of pictures."""

    images: np.ndarray  # uint8 [N, H, W, C], a memory map where there is a cache
    left_out: dict  # place in the list → why it cannot be used, in words
    digest: object  # `digest_images` of the images


def cached_pictures(folder, paths, size=None, channels=None):
    """Decode pictures, or take them from the cache if no file has changed.

    Args:
        folder: that they lie in.
        paths: of the pictures.
        size: side of the result in pixels; None: the pictures' own if all are
            square, alike and can be trained on, otherwise 64.
        channels: 1 or 3; None: 3 if any picture has colour.

    Returns:
        `Decoded`.
    """
    path = cache_folder() / f"pictures_{_key(folder, paths, size, channels)}.bin"
    found = _load(path, len(paths)) or _make(path, folder, paths, size, channels)
    _in_use.add(path)
    return found


def _key(folder, paths, size, channels):
    """A name for what these files, as they are now, become."""
    digest = hashlib.sha256(repr((VERSION, str(folder.resolve()), size, channels)).encode(
        errors="surrogateescape"))
    for path in paths:
        try:
            state = path.stat()
        except OSError:  # a broken link, say
            state = path.lstat()
        digest.update(f"{path.relative_to(folder)}|{state.st_size}|{state.st_mtime_ns}\n".encode(
            errors="surrogateescape"))
    return digest.hexdigest()[:16]


def _load(path, count):
    """Return `Decoded` from the cache, or None if it is not there or damaged."""
    try:
        known = json.loads(path.with_suffix(".json").read_text())
        left_out = dict(known["left_out"])
        shape = tuple(known["shape"])
        if len(shape) != 4 or shape[0] + len(left_out) != count:
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


def _make(path, folder, paths, size, channels):
    """Decode pictures and write them to the cache, if it can be written."""
    limit = limit_bytes()
    if size is None or channels is None:
        own_size, own_channels = _own_shape(paths)
        size, channels = size or own_size, channels or own_channels
    shape = (size, size, channels)
    try:
        remove_leftovers(path.parent)
        with atomic_file(path) as file:
            left_out = _decode_all(paths, shape, file)
            file.write(MARK)
        images = _map(path, (len(paths) - len(left_out), *shape))
        digest = digest_images(images)
        write_text(path.with_suffix(".json"), json.dumps({
            "folder": str(folder.resolve()), "count": len(paths), "shape": images.shape,
            "left_out": list(left_out.items()), "sha256": digest.hexdigest()}))
    except UserError as error:
        warn(f"{error}; the pictures will be read again next time")
        memory = io.BytesIO()
        left_out = _decode_all(paths, shape, memory)
        images = np.frombuffer(memory.getbuffer(), np.uint8).reshape(-1, *shape)
        return Decoded(images, left_out, digest_images(images))
    _make_space(limit, path)
    return Decoded(images, left_out, digest)


def _own_shape(paths):
    """Return the size and the channels that pictures ask for, from their headers."""
    headers = [header for header in map(read_header, paths) if header]
    sizes = {size for size, _ in headers}
    width, height = next(iter(sizes), (0, 0))
    alike = len(sizes) == 1 and width == height and width in range(16, 129, 4)
    return width if alike else DEFAULT_SIZE, 3 if any(colour for _, colour in headers) else 1


def _decode_all(paths, shape, file):
    """Decode pictures and write their pixels one after the other.

    Args:
        paths: of the pictures.
        shape: (H, W, C) of the result.
        file: what the bytes are written to.

    Returns:
        dict of place in `paths` → why that picture cannot be used.
    """
    left_out = {}
    workers = os.cpu_count() or 1
    with ThreadPoolExecutor(workers) as pool, tqdm(
        total=len(paths), desc="reading pictures", unit="img", leave=False, disable=None,
    ) as bar:
        # A part at a time, or all would be decoded before the first is written.
        for start in range(0, len(paths), PART):
            part = paths[start : start + PART]
            for place, result in enumerate(pool.map(lambda path: decode(path, shape), part), start):
                if isinstance(result, str):
                    left_out[place] = result
                else:
                    file.write(result)
            bar.update(len(part))
    return left_out


def limit_bytes():
    """The size that picture caches may have together: $GAN_CACHE_GIB, 10 GiB by default."""
    text = os.environ.get(LIMIT_VARIABLE) or str(DEFAULT_LIMIT)
    try:
        limit = float(text)
    except ValueError:
        limit = -1.0
    if not limit >= 0:
        raise UserError(f"{LIMIT_VARIABLE}: expected a number of GiB from 0 up, got: {text}")
    return limit * 2**30


def own_caches():
    """Return the picture caches, (path, bytes, seconds of the last use), the oldest first.

    Only files count whose name and content this module has written.
    """
    found = []
    for path in cache_folder().glob("pictures_*.bin"):
        try:
            if NAME.fullmatch(path.name) and path.is_file() and _is_own(path):
                state = path.stat()
                found.append((path, state.st_size, state.st_mtime))
        except OSError:  # another process removed it
            continue
    return sorted(found, key=lambda cache: cache[2])


def describe_cache(path):
    """Return what is known of a picture cache, a dict, empty if nothing is."""
    try:
        known = json.loads(path.with_suffix(".json").read_text())
        return known if isinstance(known, dict) and known.keys() >= KEYS else {}
    except (OSError, ValueError, RecursionError):
        return {}


def _is_own(path):
    with open(path, "rb") as file:
        file.seek(max(0, os.path.getsize(path) - len(MARK)))
        return file.read() == MARK or bool(describe_cache(path))  # version 1 had no mark


def remove_cache(path):
    """Remove a picture cache and what is known of it.

    Raises:
        OSError: when it cannot be removed.
    """
    known = describe_cache(path)
    path.unlink(missing_ok=True)
    if known:
        path.with_suffix(".json").unlink(missing_ok=True)


def _make_space(limit, new):
    """Remove the picture caches that were not used for longest until the rest fits."""
    caches = own_caches()
    total = sum(size for _, size, _ in caches)
    for path, size, _ in caches:
        if total <= limit:
            break
        if path == new or path in _in_use:
            continue
        try:
            remove_cache(path)
        except OSError:
            continue
        total -= size
        note(f"removed {path}, as the picture cache may take {limit / 2**30:g} GiB "
             f"(see python -m gan.cache --help)")
