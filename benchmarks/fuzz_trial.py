"""What a trial is, and what a folder held before and after it."""

import ctypes
import hashlib
import json
import os
import re
import stat
import struct
import unicodedata
import zipfile
from pathlib import Path
from typing import NamedTuple

from PIL import Image

CAPABILITIES_3 = 0x20080522  # version of the structure of capset(2)


class Trial(NamedTuple):
    """A command to run on an input that was made, and what must hold afterwards."""

    script: str  # a module with a `main`: "train_gan", "generate", "gan.report", …
    arguments: list
    then: tuple = ()  # (script, arguments) run after it while all end with 0
    place: str = "work"  # working folder, beside the input's own
    theirs: frozenset = frozenset()  # paths that must stay as they are, whatever happens
    codes: tuple = (0, 2)  # exit codes allowed
    before: object = None  # function called in the process before the script
    environment: dict | None = None  # of an interpreter of its own; None: a fork
    encoding: str = "utf-8"  # of what it prints
    silent: bool = False  # whether the message may be lost
    expected: object = None  # what the check of the kind needs to know


def state_of(folder):
    """Return dict of path → what lies there, of all that is below a folder.

    A file is its permissions, its time and its content; nothing is opened that
    could block, and no link is followed.
    """
    found = {}
    for place, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = os.path.join(place, name)
            status = os.lstat(path)
            content = ""
            if stat.S_ISLNK(status.st_mode):
                content = os.readlink(path)
            elif stat.S_ISREG(status.st_mode):
                content = (status.st_mtime_ns, _digest(path))
            found[path] = (oct(status.st_mode), content)
    return found


def below(*paths):
    """Return the paths and all that is below them, as `state_of` names them."""
    found = set()
    for path in paths:
        found.add(str(path))
        if path.is_dir() and not path.is_symlink():
            found |= set(state_of(path))
    return frozenset(found)


def changed(before, after, paths=None):
    """Return the paths, of some or of all, that are no longer what they were."""
    return [path for path in sorted(before if paths is None else paths)
            if after.get(path) != before.get(path)]


def damaged(folder):
    """Return the first file of a run that is not whole, or None."""
    checks = {".json": lambda path: json.loads(path.read_text()),
              ".npz": lambda path: zipfile.ZipFile(path).testzip(),
              ".png": lambda path: Image.open(path).load(),
              ".gif": lambda path: Image.open(path).load()}
    for path in sorted(Path(folder).rglob("*")):
        if path.suffix in checks and path.is_file():
            try:
                wrong = checks[path.suffix](path)
            except Exception as error:  # every decoder has errors of its own
                return f"{path}: {error}"
            if path.suffix == ".npz" and wrong:
                return f"{path}: {wrong}"
    export = Path(folder) / "exported_model"
    return _damaged_export(export) if export.is_dir() else None


def data_line(text):
    """Return (images, classes) of what train_gan.py printed about the data, or None."""
    found = re.search(r"^data .*?([\d,]+) images of .*?, (?:(\d+) class|no labels)", text,
                      re.MULTILINE)
    return (int(found[1].replace(",", "")), int(found[2] or 0)) if found else None


def controls(text):
    """Return the control characters in what was printed, those of lines and tables left out."""
    return {letter for letter in text if unicodedata.category(letter) == "Cc"} - {"\n", "\t"}


def drop_privileges():
    """Make the permissions of files hold for root, too; nothing changes for others."""
    header = struct.pack("Ii", CAPABILITIES_3, 0)
    ctypes.CDLL(None).capset(header, bytes(24))


def _digest(path):
    try:
        with open(path, "rb") as file:
            return hashlib.sha256(file.read()).hexdigest()
    except OSError as error:
        return str(error)


def _damaged_export(export):
    from gan.common.errors import UserError
    from gan.metadata import checksums

    try:
        metadata = json.loads((export / "assets.extra/gan.json").read_text())
        files = checksums(export)
    except (OSError, ValueError, UserError) as error:
        return f"{export}: {error}"
    wrong = [name for name, known in metadata["sha256"].items() if files.get(name) != known]
    return f"{export}: {wrong[0]} is damaged" if wrong else None
