"""Files and folders written whole or not at all, and our own files read with care."""

import contextlib
import csv
import errno
import fcntl
import functools
import hashlib
import io
import json
import math
import os
import secrets
import shutil
import stat
import tempfile
import zipfile
from pathlib import Path

import numpy as np

from gan.common.errors import UserError, describe_os_error, reading

MAX_OWN_BYTES = 2**26  # of a text file that is read at once
NO_WAIT = os.O_NOFOLLOW | os.O_NONBLOCK  # opening a FIFO would wait for its other end
PREFIX = ".gan-partial-"  # of temporary files
ABOUT = "about.json"  # within an archive


@contextlib.contextmanager
def atomic_file(path):
    """Open a binary file that takes the place of `path` on success; on an error the old stays."""
    # In the cache a file is for its owner alone, and takes the place of a link.
    private = Path(path).parent == cache_folder()
    path = Path(path if private else os.path.realpath(path))  # elsewhere a link stays one
    temporary = _temporary_beside(path)
    try:
        make_folders(path.parent)
        remove_leftovers(path.parent)
        if private:
            _make_private(path.parent)
        handle = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL,
                         0o600 if private else 0o666)
        with os.fdopen(handle, "w+b") as file:
            with contextlib.suppress(OSError):  # a file system without locks
                _lock(handle)
            yield file
            file.flush()
            os.fsync(handle)
            os.replace(temporary, path)
        sync(path.parent)
    except OSError as error:
        raise UserError(f"cannot write {path}: {describe_os_error(error)}") from error
    finally:
        with contextlib.suppress(OSError):  # gone, where all went well
            os.unlink(temporary)


@contextlib.contextmanager
def atomic_folder(path):
    """Fill a temporary folder, a `Path`, that takes the place of `path` on success."""
    path = Path(os.path.realpath(path))  # a link stays one
    temporary, old = _temporary_beside(path), _temporary_beside(path)
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, temporary, ignore_errors=True)
        try:
            make_folders(path.parent)
            remove_leftovers(path.parent)
            temporary.mkdir()
            handle = os.open(temporary, os.O_RDONLY)
            stack.callback(os.close, handle)
            with contextlib.suppress(OSError):
                _lock(handle)
            yield temporary
            for inside in (*temporary.rglob("*"), temporary):
                sync(inside)
            if path.exists():
                os.rename(path, old)
            os.rename(temporary, path)
            sync(path.parent)
        except OSError as error:
            raise UserError(f"cannot write {path}: {describe_os_error(error)}") from error
        finally:
            if old.exists() and not path.exists():  # interrupted between the two
                os.rename(old, path)
    shutil.rmtree(old, ignore_errors=True)


def _temporary_beside(path):
    # Named before it exists, so that no interrupt can come between the two.
    return path.with_name(PREFIX + secrets.token_hex(8))


@functools.cache  # once a process
def remove_leftovers(folder):
    """Remove what `atomic_file` and `atomic_folder` of killed processes left in a folder."""
    for path in Path(folder).glob(PREFIX + 16 * "[0-9a-f]"):
        with contextlib.suppress(OSError):  # a living process', another user's, or gone
            handle = os.open(path, os.O_RDONLY | NO_WAIT)
            try:
                _lock(handle)
                if path.is_dir():
                    shutil.rmtree(path)
                else:
                    path.unlink()
            finally:
                os.close(handle)


def _lock(handle):
    """Lock an open file or folder until it is closed; OSError if that is not possible."""
    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


def sync(path):
    """Flush a file or the entries of a folder to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def make_folders(path):
    """Create a folder with its parents, and flush their names to the disk."""
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    path.mkdir(parents=True, exist_ok=True)
    for folder in missing:
        sync(folder.parent)


def make_folder(path, option):
    """Create a folder and check that files can be made in it; `option` asked for it."""
    try:
        make_folders(Path(path))
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        raise UserError(f"{option}: expected a folder that can be written, got: {path} "
                        f"({describe_os_error(error)})") from error


def refuse_existing(path, force, option):
    """Refuse to write a file where something lies; with `force`, anything but a file.

    `option` is what to choose another place with, such as "--outdir".
    """
    if not os.path.lexists(path):
        return
    if not os.path.isfile(path):
        raise UserError(f"{path}: expected a file or nothing there; move it, or choose another "
                        f"{option}")
    if not force:
        raise UserError(f"{path} exists; expected --force to overwrite it, or another {option}")


def require_file(path):
    """Raise a `UserError` unless there is a file; opening a FIFO would never return."""
    if not os.path.isfile(path):
        raise UserError(f"{path}: expected a file, got nothing or a broken link, a folder, a FIFO "
                        "or a device")


def checksum(path):
    """Return the SHA-256 of a file, in hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# The cache.


def cache_folder():
    """Return the folder for what can be made again: $XDG_CACHE_HOME/gan or ~/.cache/gan."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gan"


def _make_private(folder):
    """Take a folder, which holds what private data became, away from everybody else."""
    state = os.lstat(folder)
    if not stat.S_ISDIR(state.st_mode) or state.st_uid != os.geteuid():
        raise PermissionError(errno.EPERM, "it is a link, or belongs to another user")
    if state.st_mode & 0o077:
        os.chmod(folder, 0o700)


def open_cached(path):
    """Open a file of the cache; `OSError` for a link, or a file that others could write."""
    file = os.fdopen(os.open(path, os.O_RDONLY | NO_WAIT), "rb")
    state = os.fstat(file.fileno())
    if not stat.S_ISREG(state.st_mode) or state.st_uid != os.geteuid() or state.st_mode & 0o022:
        file.close()
        raise PermissionError(errno.EPERM, "it is no file of this user alone", str(path))
    return file


# Text and JSON.


def write_text(path, text):
    """Write `text` as UTF-8 to `path`, whole or not at all."""
    with atomic_file(path) as file:
        file.write(text.encode())


def write_csv(path, columns, rows):
    """Write rows, dicts, as CSV, whole or not at all; what a row lacks is left empty."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, text.getvalue())


def write_json(path, content):
    """Write a dict as JSON, whole or not at all."""
    write_text(path, json.dumps(content, indent=2) + "\n")


def open_own(path, flags=os.O_RDONLY, follow=False):
    """Return the descriptor of a text file of this program; OSError for what cannot be one.

    That is all but files of at most 64 MiB, and, unless `follow`, a link, which may lead to
    somebody else's file. It does not wait for a FIFO.
    """
    file = os.open(path, flags | (os.O_NONBLOCK if follow else NO_WAIT), 0o666)
    state = os.fstat(file)
    if stat.S_ISREG(state.st_mode) and state.st_size <= MAX_OWN_BYTES:
        return file
    os.close(file)
    raise OSError(errno.EINVAL, "not a regular file of at most 64 MiB")


def read_json(path, what):
    """Read a JSON object that this program wrote: see `parse_json` and `reading`."""
    with reading(path, what), open(open_own(path, follow=True), encoding="utf-8") as file:
        return parse_json(file.read())


def parse_json(text):
    """Return the dict of a JSON object; ValueError for NaN and infinities."""
    content = json.loads(text, parse_constant=finite, parse_float=finite)
    if not isinstance(content, dict):
        raise ValueError("not a JSON object")
    return content


def finite(text):
    """Return the number in a text; ValueError for NaN and infinities."""
    if not math.isfinite(float(text)):
        raise ValueError(f"expected finite numbers, got: {text:.20}")
    return float(text)


# Archives: arrays and a description in one .npz file, with a CRC-32 of each. Nothing is
# ever unpickled.


def write_archive(path, arrays, about):
    """Write arrays (dict of name → array) and a dict for JSON to a path or an open file."""
    with contextlib.nullcontext(path) if isinstance(path, io.IOBase) else atomic_file(path) as file:
        np.savez(file, **arrays)
        with zipfile.ZipFile(file, "a") as archive:
            archive.writestr(ABOUT, json.dumps(about))


def read_archive(path, what):
    """Return `(arrays, about)` as `write_archive` was given them; see `reading`."""
    where = "what arrived" if isinstance(path, io.IOBase) else path
    with reading(where, what), np.load(path, allow_pickle=False) as content:
        if any(part.compress_type for part in content.zip.infolist()):  # it may unpack to more
            raise ValueError("it has compressed parts")
        if damaged := content.zip.testzip():
            raise ValueError(f"the checksum of {damaged} does not fit")
        arrays = {name: content[name] for name in content.files}
        return arrays, parse_json(arrays.pop(ABOUT))
