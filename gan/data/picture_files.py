"""Which files lie below a folder, and which of them are pictures."""

import os
from typing import NamedTuple

from gan.common.errors import UserError, describe_os_error
from gan.data.decode import is_picture

DEPTH = 6  # folders below which a picture makes a folder one of pictures


class File(NamedTuple):
    """A file below a folder, as it was when it was found."""

    name: str  # its path from the folder
    path: str
    folders: tuple  # the names of the folders that lead to it
    size: int  # bytes
    modified: int  # nanoseconds since 1970


def holds_pictures(folder):
    """Whether there is a picture in a folder or up to five folders below it.

    Raises:
        UserError: for a folder that cannot be read.
    """
    return os.path.isdir(folder) and any(
        is_picture(file.path) for file in files_below(folder, DEPTH))


def files_below(folder, depth=None):
    """Yield a `File` for each file below a folder, whatever it holds.

    They come sorted by the names of folders and files. Hidden ones are passed
    over; links are followed, but not in a circle.

    Args:
        folder: the folder.
        depth: levels of folders that are looked into; None: all.

    Raises:
        UserError: for a folder that cannot be read.
    """
    def walk(path, folders, ancestors):
        with os.scandir(path) as entries:
            entries = sorted(entries, key=lambda entry: entry.name)
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if not entry.is_dir():
                state = _state(entry)
                yield File(os.path.join(*folders, entry.name), entry.path, folders,
                           state.st_size, state.st_mtime_ns)
            elif depth is None or len(folders) + 1 < depth:
                state = os.stat(entry.path)
                own = (state.st_dev, state.st_ino)
                if own not in ancestors:
                    yield from walk(entry.path, (*folders, entry.name), {*ancestors, own})

    try:
        state = os.stat(folder)
        yield from walk(folder, (), {(state.st_dev, state.st_ino)})
    except OSError as error:
        raise UserError(f"{error.filename or folder}: cannot be read: "
                        f"{describe_os_error(error)}") from error


def _state(entry):
    try:
        return entry.stat()
    except OSError:  # a broken link, say
        return entry.stat(follow_symlinks=False)
