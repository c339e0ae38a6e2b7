"""Files below a folder of pictures, sorted into training and test pictures and into classes.

Folders that all pictures share say nothing, so they are passed over. Then the first level
of folders tells the classes, whatever lies deeper; a level whose folders are named like
train and test (or validation) tells the parts instead, at the top or within the classes.
"""

import os
import re
from typing import NamedTuple

from gan.common.errors import UserError, describe_os_error, listed, note, one_line, warn

# Folder names such as Train, training, train2017, test_images, Testing, val, Validation-Set.
SPLITS = {name: re.compile(rf"({words})[ _-]?(set|split|data|images|imgs)?[ _-]?(\d{{4}})?", re.I)
          for name, words in {
              "train": "train|training|trn", "test": "test|tests|testing|tst",
              "validation": "val|vals|valid|validate|validation|dev|eval|evaluation"}.items()}


class File(NamedTuple):
    """A file below a folder, as it was when it was found."""

    name: str  # its path from the folder
    path: str
    folders: tuple  # the names of the folders that lead to it
    identity: tuple  # name, size and times, which change with the content


class Part(NamedTuple):
    files: list  # of `File`
    labels: list  # the name of the class of each, empty without classes


def files_below(folder, depth=None):
    """Yield a `File` for each file below a folder, sorted by name, but for hidden ones."""
    def walk(path, folders, ancestors):
        with os.scandir(path) as entries:
            entries = sorted(entries, key=lambda entry: entry.name)
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if not entry.is_dir():
                name = os.path.join(*folders, entry.name)
                yield File(name, entry.path, folders, (name, *_state(entry)))
            elif depth is None or len(folders) + 1 < depth:
                state = os.stat(entry.path)
                own = (state.st_dev, state.st_ino)  # a link may lead in a circle
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
        state = entry.stat()
    except OSError:  # a broken link, say
        state = entry.stat(follow_symlinks=False)
    # The time of the change cannot be set back, as that of the modification can.
    return state.st_size, state.st_mtime_ns, state.st_ctime_ns


def arrange(folder, files):
    """Sort a folder's pictures, a list of `File`: a training `Part`, and a test `Part` or None."""
    files, shared = _without_shared(files)
    parts = _parts(folder, files)
    train, inside = _without_shared(parts["train"])
    if (shared or inside) and any(file.folders for file in train):
        where = " and ".join("/".join(names) + "/" for names in (shared, inside) if names)
        note(f"{folder}: the classes are the folders in {where}")
    found = _classes(folder, train)
    if "test" not in parts:
        return found, None
    tests = [file._replace(folders=file.folders[len(inside):]) for file in parts["test"]]
    if not found.labels:  # nothing that folders of test pictures could be compared with
        return found, Part(tests, [])
    return found, _classes(folder, tests, fewest=1)


def _without_shared(files):
    """Take away the folders that all pictures lie in; returns the files and these names."""
    shared = []
    while files[0].folders and len({file.folders[:1] for file in files}) == 1:
        shared.append(files[0].folders[0])
        files = [file._replace(folders=file.folders[1:]) for file in files]
    return files, shared


def _parts(folder, files):
    """Return dict of "train" and, if there are any, "test" → files without that folder."""
    level = _split_level(files)
    if level is None:
        usual = sorted({name for file in files for name in file.folders[:1] if _part_of(name)})
        if usual:
            warn(f"{folder}: {listed(usual)}: taken as classes, as parts of a data set need one "
                 "training folder and none but test or validation folders beside it")
        return {"train": files}
    parts = {}
    for file in files:
        folders = file.folders[:level] + file.folders[level + 1 :]
        parts.setdefault(_part_of(file.folders[level]), []).append(file._replace(folders=folders))
    unused = parts.pop("validation", None)
    if unused and "test" in parts:
        note(f"{folder}: validation pictures are not used, as there are test pictures")
    elif unused:
        parts["test"] = unused
    if level:
        note(f"{folder}: training and test folders within the others are parts, not classes")
    return parts


def _split_level(files):
    """Return the level of folders that tells training from test pictures, or None."""
    for level in range(min(len(file.folders) for file in files)):
        names = {file.folders[level] for file in files}
        parts = {_part_of(name) for name in names}
        # Within classes, each may spell them in its own way.
        if "train" in parts and None not in parts and (
                len(names) > 1 if level else len(parts) == len(names)):
            return level
    return None


def _part_of(name):
    """Return "train", "test" or "validation" for a folder of such a name, else None."""
    return next((part for part, pattern in SPLITS.items() if pattern.fullmatch(name)), None)


def _classes(folder, files, fewest=2):
    """Return a `Part` with the first level of folders as classes, if there are enough of them."""
    names = {file.folders[0] for file in files if file.folders}
    beside = [file.name for file in files if not file.folders]
    if names and beside:
        raise UserError(one_line(
            f"{folder}: expected pictures or folders of pictures, got both: {beside[0]} and "
            f"{min(names)}/; move the pictures into a folder of their class"))
    if len(names) < fewest:
        return Part(files, [])
    files = sorted(files, key=lambda file: file.folders[0])
    return Part(files, [file.folders[0] for file in files])
