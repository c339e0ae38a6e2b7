"""Files and folders written whole or not at all; our own files read with care."""

import contextlib
import ctypes
import errno
import functools
import json
import math
import os
import platform
import re
import secrets
import shutil
import stat
import tempfile
import time
import zlib
from pathlib import Path

from gan.common.errors import UserError, describe_os_error, reading

BINARY = getattr(os, "O_BINARY", 0)  # on Windows
NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)
NO_WAIT = getattr(os, "O_NONBLOCK", 0)  # opening a FIFO would wait for its other end
MAX_OWN_BYTES = 2**26  # of a file that is read at once
AT_FDCWD, RENAME_EXCHANGE = -100, 2  # of renameat2(2): the current folder, swap
# Temporary files are named after the machine, the process and a random part.
PREFIX = ".gan-partial-"
TEMPORARY = re.compile(r"\.gan-partial-([0-9a-f]{8})-([1-9][0-9]{0,9})-[a-z0-9_]{8}")
DAY = 86_400  # seconds


@contextlib.contextmanager
def atomic_file(path):
    """Open a temporary neighbour of `path` and rename it to `path` on success.

    A reader sees the old file or the new one, never a part of one; on an error
    the old file stays and the temporary one is removed. In the cache folder the
    file is for its owner alone, and takes the place of a link that lies there.

    Args:
        path: the file to write.

    Yields:
        A binary file object.

    Raises:
        UserError: when the file cannot be written, with the system's reason.
    """
    private = Path(path).parent == cache_folder()
    path = Path(path if private else os.path.realpath(path))  # elsewhere a link stays one
    temporary = _temporary_beside(path)
    try:
        make_folders(path.parent)
        if private:
            _make_private(path.parent)
        handle = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | BINARY,
                         0o600 if private else 0o666)
        with os.fdopen(handle, "w+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        sync(path.parent)
    except OSError as error:
        raise UserError(f"cannot write {path}: {describe_os_error(error)}") from error
    finally:
        with contextlib.suppress(OSError):  # gone, where all went well
            os.unlink(temporary)


@contextlib.contextmanager
def atomic_folder(path):
    """Fill a temporary folder that takes the place of `path` on success.

    Yields:
        The temporary folder, a `Path` beside `path`.

    Raises:
        UserError: when the folder cannot be written, with the system's reason.
    """
    path = Path(os.path.realpath(path))  # a link stays one
    temporary = _temporary_beside(path)
    try:
        make_folders(path.parent)
        temporary.mkdir()
        yield temporary
        for inside in (*temporary.rglob("*"), temporary):
            sync(inside)
        _replace_folder(temporary, path)
        sync(path.parent)
    except OSError as error:
        raise UserError(f"cannot write {path}: {describe_os_error(error)}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def sync(path):
    """Flush a file or the entries of a folder to the disk, where the system can."""
    if os.name == "nt" and os.path.isdir(path):
        return
    handle = os.open(path, os.O_RDONLY | BINARY)
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


def _temporary_beside(path):
    # Named before it exists, so that no interrupt can come between the two.
    return path.with_name(own_prefix() + secrets.token_hex(4))


def _replace_folder(new, path):
    """Rename `new` to `path` and remove the folder that was there.

    Linux exchanges the two in one operation. Elsewhere the old one is moved away first.
    """
    if not path.exists():
        os.rename(new, path)
        return
    if not _exchange(new, path):
        old = _temporary_beside(path)
        os.rename(path, old)
        os.rename(new, path)
        new = old
    shutil.rmtree(new, ignore_errors=True)


def _exchange(first, second):
    """Exchange two folders in one operation; False where the system cannot."""
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        names = os.fsencode(first), os.fsencode(second)
        return libc.renameat2(AT_FDCWD, names[0], AT_FDCWD, names[1], RENAME_EXCHANGE) == 0
    except (OSError, AttributeError, TypeError):  # no such library, no such function
        return False


def cache_folder():
    """The folder for what can be made again: $XDG_CACHE_HOME/gan or ~/.cache/gan.

    It is for its owner alone, as it holds what private data became; see `atomic_file`.
    """
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gan"


def _make_private(folder):
    """Take a folder away from everybody else; a link, or somebody else's folder, is refused."""
    state = os.lstat(folder)
    if not stat.S_ISDIR(state.st_mode) or not _is_own(state):
        raise PermissionError(errno.EPERM, "it is a link, or belongs to another user")
    if state.st_mode & 0o077:
        os.chmod(folder, 0o700)


def open_cached(path):
    """Open a file of the cache, neither through a link nor one that others could write.

    Raises:
        OSError: saying why it is not opened.
    """
    file = os.fdopen(os.open(path, os.O_RDONLY | BINARY | NO_FOLLOW | NO_WAIT), "rb")
    state = os.fstat(file.fileno())
    if not stat.S_ISREG(state.st_mode) or not _is_own(state) or (
            os.name == "posix" and state.st_mode & 0o022):
        file.close()
        raise PermissionError(errno.EPERM, "it is no file of this user alone", str(path))
    return file


def _is_own(state):
    return not hasattr(os, "geteuid") or state.st_uid == os.geteuid()


def write_text(path, text):
    """Write `text` as UTF-8 to `path`, whole or not at all."""
    with atomic_file(path) as file:
        file.write(text.encode())


def write_json(path, content):
    """Write a dict as JSON, whole or not at all."""
    write_text(path, json.dumps(content, indent=2) + "\n")


def read_json(path, what):
    """Read a JSON object that this program wrote.

    Args:
        path: the file.
        what: it should be, such as "the summary of a run".

    Returns:
        dict without NaN, infinities or integers beyond 64 bits.

    Raises:
        UserError: when it cannot be read or is anything else.
    """
    with reading(path, what), open(open_own(path, follow=True), encoding="utf-8") as file:
        return parse_json(file.read())


def open_own(path, flags=os.O_RDONLY, follow=False):
    """Open a small file of this program, without waiting for a FIFO.

    Args:
        path: the file.
        flags: of `os.open`.
        follow: whether to follow a link, which may lead to somebody else's file.

    Returns:
        A file descriptor.

    Raises:
        OSError: for a link, and for all but files of at most 64 MiB.
    """
    file = os.open(path, flags | BINARY | NO_WAIT | (0 if follow else NO_FOLLOW), 0o666)
    state = os.fstat(file)
    if stat.S_ISREG(state.st_mode) and state.st_size <= MAX_OWN_BYTES:
        return file
    os.close(file)
    raise OSError(errno.EINVAL, "not a regular file of at most 64 MiB")


def parse_json(text):
    """Return the dict of a JSON object; ValueError for anything else, NaN included."""
    content = json.loads(text, parse_constant=_no_number, parse_float=finite, parse_int=_whole)
    if not isinstance(content, dict):
        raise ValueError("not a JSON object")
    return content


def finite(text):
    """Return the number in a text; ValueError for NaN and infinities."""
    return float(text) if math.isfinite(float(text)) else _no_number(text)


def _whole(text):
    return int(text) if len(text) < 20 and abs(int(text)) < 2**63 else _no_number(text)


def _no_number(text):
    raise ValueError(f"expected numbers, got: {text:.20}")


def make_folder(path, option):
    """Create the folder `path` and check that files can be made in it.

    Args:
        path: the folder.
        option: what asked for it, named in the message, such as "--outdir".

    Raises:
        UserError: when it cannot be created or written.
    """
    path = Path(path)
    try:
        make_folders(path)
        with tempfile.TemporaryFile(dir=path, prefix=own_prefix()):
            pass
    except OSError as error:
        raise UserError(
            f"{option}: expected a folder that can be written, "
            f"got: {path} ({describe_os_error(error)})"
        ) from error
    return path


def refuse_existing(path, force, option):
    """Refuse to write where something lies that may not be replaced.

    Args:
        path: the file to write.
        force: whether an existing file may be replaced.
        option: what to choose another place with, such as "--outdir".

    Raises:
        UserError: for an existing file unless `force` is given; always for what
            is no file, such as a folder, a broken link or a FIFO.
    """
    if not os.path.lexists(path):
        return
    if not os.path.isfile(path):
        kind = "a folder" if os.path.isdir(path) else (
            "a broken link" if os.path.islink(path) else "no file")
        raise UserError(f"{path}: expected a file or nothing, got {kind}; move it, or choose "
                        f"another {option}")
    if not force:
        raise UserError(f"{path} exists; expected --force to overwrite it, or another {option}")


def remove_leftovers(folder):
    """Remove the temporary files and folders of processes that were killed.

    Args:
        folder: where `atomic_file` and `atomic_folder` wrote; other processes may be
            writing there, this one not yet.
    """
    for path in Path(folder).glob(f"{PREFIX}*"):
        match = TEMPORARY.fullmatch(path.name)
        if match is None or not _is_abandoned(path, match[1], int(match[2])):
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            with contextlib.suppress(OSError):
                path.unlink()


def own_prefix():
    """Return how the names of this process's temporary files begin."""
    return f"{PREFIX}{_machine()}-{os.getpid()}-"


@functools.cache
def _machine():
    # Process numbers mean nothing on another machine or in another container.
    return f"{zlib.crc32(platform.node().encode()):08x}"


def _is_abandoned(path, machine, process):
    """Whether the process that wrote a temporary file has ended, or the file is a day old."""
    if machine == _machine() and not is_alive(process):
        return True
    try:
        return path.lstat().st_mtime < time.time() - DAY
    except OSError:  # removed meanwhile
        return False


def is_alive(process):
    """Return whether a process of this number runs, and is not this one."""
    if process == os.getpid():  # the number was another's before, as 1 is in every container
        return False
    if os.name == "nt":  # where signal 0 would end it
        return True
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # another user's
        pass
    return True
