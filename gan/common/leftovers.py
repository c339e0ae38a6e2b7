"""Temporary files of processes that were killed: how they are named, and their removal."""

import contextlib
import functools
import os
import platform
import re
import shutil
import time
import zlib
from pathlib import Path

PREFIX = ".gan-partial-"
# The machine, the process and a random part; or a folder that is being replaced.
TEMPORARY = re.compile(r"\.gan-partial-(([0-9a-f]{8})-([1-9][0-9]{0,9})-[a-z0-9_]{8}|old-.+)")
DAY = 86_400  # seconds


def finish_replacements(folder):
    """Put back a folder whose replacement was cut off, and remove leftovers.

    Args:
        folder: the folder in which `atomic_file` and `atomic_folder` wrote; no
            other process may be replacing a folder there.
    """
    for path in _leftovers(folder):
        original = path.name.removeprefix(f"{PREFIX}old-")
        target = path.with_name(original)
        if original != path.name and not target.exists():
            path.rename(target)
        elif original != path.name or _is_abandoned(path):
            _remove(path)


def remove_leftovers(folder):
    """Remove what `atomic_file` and `atomic_folder` left of processes that were killed.

    Args:
        folder: where they wrote; other processes may be writing there, this one not yet.
    """
    for path in _leftovers(folder):
        if TEMPORARY.fullmatch(path.name)[2] and _is_abandoned(path):
            _remove(path)


def own_prefix():
    """How the names of this process's temporary files begin."""
    return f"{PREFIX}{_machine()}-{os.getpid()}-"


@functools.cache
def _machine():
    # Process numbers say nothing about those of another machine or container.
    return f"{zlib.crc32(platform.node().encode()):08x}"


def _leftovers(folder):
    return [path for path in Path(folder).glob(f"{PREFIX}*")
            if TEMPORARY.fullmatch(path.name)]


def _is_abandoned(path):
    """Whether nobody writes a temporary file any more: its process ended, or it is a day old."""
    _, machine, process = TEMPORARY.fullmatch(path.name).groups()
    if machine == _machine() and not is_alive(int(process)):
        return True
    try:
        return path.lstat().st_mtime < time.time() - DAY
    except OSError:  # gone meanwhile
        return False


def is_alive(process):
    if process == os.getpid():  # the number was another's before, as 1 is in every container
        return False
    if os.name == "nt":  # where signal 0 would end it
        return True
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # another user's
        return True
    return True


def _remove(path):
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink()
