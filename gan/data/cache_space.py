"""The space that decoded pictures take in the cache folder: listed, limited, made free."""

import json
import os
import re

from gan.common.errors import UserError
from gan.common.files import cache_folder
from gan.data.messages import note

MARK = b"\n\0gan pictures\0\n"  # how a file of pixels ends
NAME = re.compile(r"pictures_[0-9a-f]{16}\.bin")
KEYS = {"count", "left_out", "sha256"}  # that every version has written beside the pixels
DEFAULT_LIMIT = 10.0  # GiB that the pictures in the cache may take
LIMIT_VARIABLE = "GAN_CACHE_GIB"


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


def make_space(limit, keep):
    """Remove the picture caches that were not used for longest until the rest fits.

    Args:
        limit: bytes.
        keep: set of paths that stay, whatever the limit.
    """
    caches = own_caches()
    total = sum(size for _, size, _ in caches)
    for path, size, _ in caches:
        if total <= limit:
            break
        if path in keep:
            continue
        try:
            remove_cache(path)
        except OSError:
            continue
        total -= size
        note(f"removed {path}, as the picture cache may take {limit / 2**30:g} GiB "
             f"(see python -m gan.cache --help)")
