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
    """The training or the test pictures, sorted by class and name."""

    files: list  # of `File`
    labels: list  # the name of the class of each, empty without classes


def files_below(folder, depth=None):
    """Yield a `File` for each file below a folder, sorted by the names of folders and files.

    Hidden ones are passed over; links are followed, but not in a circle. At most `depth`
    levels of folders are looked into.
    """
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
        state = entry.stat()
    except OSError:  # a broken link, say
        state = entry.stat(follow_symlinks=False)
    # The time of the change cannot be set back, as that of the modification can.
    return state.st_size, state.st_mtime_ns, state.st_ctime_ns


def arrange(folder, files):
    """Sort a folder's pictures, a list of `File`: a training `Part`, and a test `Part` or None."""
    entries = [(file.folders, file) for file in files]
    entries, shared = _without_shared(entries)
    parts = _parts(folder, entries)
    train, inside = _without_shared(parts["train"])
    if shared or inside:
        where = " and ".join("/".join(names) + "/" for names in (shared, inside) if names)
        if any(folders for folders, _ in train):
            note(f"{folder}: the classes are the folders in {where}")
    found = _classes(folder, train)
    if "test" not in parts:
        return found, None
    tests = [(folders[len(inside):], file) for folders, file in parts["test"]]
    if not found.labels:  # nothing that folders of test pictures could be compared with
        return found, Part([file for _, file in tests], [])
    return found, _classes(folder, tests, fewest=1)


def _without_shared(entries):
    """Take away the folders that all pictures lie in; returns the rest and their names."""
    shared = []
    while len({folders[:1] for folders, _ in entries}) == 1 and entries[0][0]:
        shared.append(entries[0][0][0])
        entries = [(folders[1:], file) for folders, file in entries]
    return entries, tuple(shared)


def _parts(folder, entries):
    """Return dict of "train" and, if there are any, "test" → entries without that folder."""
    level = _split_level(folder, entries)
    if level is None:
        return {"train": entries}
    names, parts = {}, {}
    for folders, file in entries:
        part = _part_of(folders[level])
        names.setdefault(part, folders[level])
        parts.setdefault(part, []).append((folders[:level] + folders[level + 1 :], file))
    unused = parts.pop("validation", None)
    if unused and "test" not in parts:
        parts["test"] = unused
    elif unused:
        note(f"{folder}: {names['validation']} is not used, as {names['test']} holds the test "
             "images")
    if level:
        note(f"{folder}: {listed(sorted(set(names.values())))} within the other folders are parts "
             "of the data, not classes")
    return parts


def _split_level(folder, entries):
    """Return the level of folders that tells training from test pictures, or None."""
    for level in range(min(len(folders) for folders, _ in entries)):
        names = sorted({folders[level] for folders, _ in entries})
        parts = [_part_of(name) for name in names]
        # Within classes, each may spell them in its own way.
        if "train" in parts and None not in parts and (
                level or len(set(parts)) == len(names)) and len(names) > bool(level):
            return level
    _warn_of_names(folder, entries)
    return None


def _warn_of_names(folder, entries):
    names = sorted({folders[0] for folders, _ in entries if folders})
    usual = [name for name in names if _part_of(name)]
    others = [name for name in names if name not in usual]
    if usual:
        beside = f" beside {listed(others)}" if others else ""
        warn(f"{folder}: {listed(usual)}{beside}: taken as classes, as parts of a data set need "
             "one training folder and none but test or validation folders beside it")


def _part_of(name):
    """Return "train", "test" or "validation" for a folder of such a name, else None."""
    return next((part for part, pattern in SPLITS.items() if pattern.fullmatch(name)), None)


def _classes(folder, entries, fewest=2):
    """Return a `Part` with the first level of folders as classes, if there are enough of them."""
    classes = {}
    for folders, file in entries:
        classes.setdefault((*folders, None)[0], []).append(file)
    own = classes.pop(None, [])
    if own and classes:
        raise UserError(one_line(
            f"{folder}: expected pictures or folders of pictures, got both: {own[0].name} and "
            f"{min(classes)}/; move the pictures into a folder of their class"))
    names = sorted(classes)
    if len(names) < fewest:
        return Part([file for _, file in entries], [])
    return Part([file for name in names for file in classes[name]],
                 [name for name in names for _ in classes[name]])
