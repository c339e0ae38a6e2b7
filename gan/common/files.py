"""Files and folders that are either wholly there or not there at all."""

import contextlib
import ctypes
import os
import secrets
import shutil
import tempfile
from pathlib import Path

from gan.common.errors import UserError, describe_os_error
from gan.common.leftovers import PREFIX, own_prefix

BINARY = getattr(os, "O_BINARY", 0)  # on Windows
AT_FDCWD, RENAME_EXCHANGE = -100, 2  # of renameat2(2): this folder, swap


@contextlib.contextmanager
def atomic_file(path):
    """Open a temporary neighbour of `path` and rename it to `path` on success.

    A reader sees the old file or the new one, never a part of one; on an error
    the old file stays and the temporary one is removed.

    Args:
        path: the file to write.

    Yields:
        A binary file object.

    Raises:
        UserError: when the file cannot be written, with the system's reason.
    """
    path = Path(os.path.realpath(path))  # a link stays one
    temporary = _temporary_beside(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | BINARY, 0o666)
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
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
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.mkdir()
        yield temporary
        _replace_folder(temporary, path)
    except OSError as error:
        raise UserError(f"cannot write {path}: {describe_os_error(error)}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _temporary_beside(path):
    # Named before it is there, so that no interrupt can come between the two.
    return path.with_name(own_prefix() + secrets.token_hex(4))


def _replace_folder(new, path):
    """Rename `new` to `path`; an existing folder there is removed.

    Linux exchanges the two at once. Elsewhere a folder that is not empty cannot
    be renamed over, so it leaves its place first and there is an instant without
    `path`; a process killed in it leaves the old folder under a name that
    `leftovers.finish_replacements` knows.
    """
    if not path.exists():
        os.rename(new, path)
        return
    if _exchange(new, path):
        shutil.rmtree(new, ignore_errors=True)
        return
    old = path.with_name(f"{PREFIX}old-{path.name}")
    shutil.rmtree(old, ignore_errors=True)
    os.rename(path, old)
    os.rename(new, path)
    shutil.rmtree(old, ignore_errors=True)


def _exchange(first, second):
    """Exchange two folders in one operation; False where the system cannot."""
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        names = os.fsencode(first), os.fsencode(second)
        return libc.renameat2(AT_FDCWD, names[0], AT_FDCWD, names[1], RENAME_EXCHANGE) == 0
    except (OSError, AttributeError, TypeError):  # no such library, no such function
        return False


def cache_folder():
    """The folder for what can be made again: $XDG_CACHE_HOME/gan or ~/.cache/gan."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gan"


def write_text(path, text):
    """Write `text` as UTF-8 to `path`, whole or not at all."""
    with atomic_file(path) as file:
        file.write(text.encode())


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
        path.mkdir(parents=True, exist_ok=True)
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
