"""A folder of pictures → arrays for a data set: which files, which classes, which parts."""

import os
import re
from pathlib import Path
from typing import NamedTuple

import numpy as np

from gan.common.errors import UserError, describe_os_error
from gan.data.decode import FORMATS_IN_WORDS, is_picture
from gan.data.messages import listed, note, one_line, warn
from gan.data.picture_cache import cached_pictures

DEPTH = 3  # folders below which a picture makes a folder one of pictures
# Folder names such as Train, training, train2017, test_images, Testing, val, Validation-Set.
SPLITS = {name: re.compile(rf"({words})[ _-]?(set|data|images|imgs)?[ _-]?(\d{{4}})?", re.I)
          for name, words in {"train": "train|training|trn", "test": "test|testing|tst",
                              "validation": "val|valid|validate|validation|dev"}.items()}


class Picture(NamedTuple):
    """A file, and the names of the folders that lead to it from the data's."""

    path: Path
    folders: tuple


class Found(NamedTuple):
    """Pictures sorted by class and name."""

    paths: list  # of `Path`
    labels: list  # the name of the class of each, empty without classes


def holds_pictures(folder):
    """Whether there is a picture in a folder or up to two folders below it.

    Raises:
        UserError: for a folder that cannot be read.
    """
    return os.path.isdir(folder) and any(
        is_picture(file.path) for file in _files_below(Path(folder), DEPTH))


def read_pictures(folder, image_size=None, channels=None, skip_broken=False):
    """Read a folder of PNG, JPEG, WebP, GIF, BMP and TIFF files.

    What a file is, its content decides. Pictures that lie in the folder itself
    have no labels; otherwise each of its folders is a class. Folders named like
    train and test (or validation) hold a data set each. Hidden files and
    folders are passed over.

    The middle square of each picture is shrunk by averaging areas (or enlarged
    with cubics); what is transparent becomes white. The result is kept in the
    cache folder and used again until a file changes.

    Args:
        folder: the folder.
        image_size: side of the result in pixels; None: the pictures' own if all
            are square and alike, otherwise 64.
        channels: 1 or 3; None: 3 if any picture has colour.
        skip_broken: leave out what cannot be used instead of stopping.

    Returns:
        dict for a data set: images uint8 [N, H, W, C], a memory map of the cache
        where there could be one, and their images_digest; and if there are any,
        labels, str [N], test_images and test_labels.

    Raises:
        UserError: naming the pictures that cannot be used, or a folder without any.
    """
    folder, pictures, others = Path(folder), [], []
    for file in _files_below(folder):
        (pictures if is_picture(file.path) else others).append(file)
    train, test = _split(folder, pictures)
    found = _classes(folder, pictures, train)
    if others:
        what = "1 file that is no picture" if len(others) == 1 else (
            f"{len(others)} files that are no pictures")
        names = sorted(str(file.path.relative_to(folder)) for file in others)
        print(one_line(f"left out: {what}: {listed(names)}"))
    images, labels, digest = _decoded(folder, found, image_size, channels, skip_broken)
    arrays = {"images": images, "labels": labels, "images_digest": digest}
    if test:
        tests = _classes(folder, pictures, test)
        size, channels = images.shape[2:]
        arrays["test_images"], arrays["test_labels"], _ = _decoded(
            folder, tests, size, channels, skip_broken)
    return {name: value for name, value in arrays.items() if value is not None}


def _files_below(folder, depth=None):
    """Yield a `Picture` for each file below a folder, whatever it holds.

    Hidden ones are passed over; links are followed, but not in a circle.

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
                yield Picture(Path(entry.path), folders)
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


def _split(folder, pictures):
    """Return the names of the training and the test folder, None where there is none."""
    names = sorted({picture.folders[0] for picture in pictures if picture.folders})
    parts = {part: [name for name in names if pattern.fullmatch(name)]
             for part, pattern in SPLITS.items()}
    usual = [name for group in parts.values() for name in group]
    others = [name for name in names if name not in usual]
    if not usual:
        return None, None
    if (others or not parts["train"] or any(len(group) > 1 for group in parts.values())
            or not all(picture.folders for picture in pictures)):
        beside = f" beside {listed(others)}" if others else ""
        warn(f"{folder}: {listed(usual)}{beside}: taken as classes, as parts of a data set need "
             "one training folder and none but test or validation folders beside it")
        return None, None
    test = (parts["test"] or parts["validation"] or [None])[0]
    if parts["test"] and parts["validation"]:
        note(f"{folder}: {parts['validation'][0]} is not used, as {test} holds the test images")
    return parts["train"][0], test


def _classes(folder, pictures, part=None):
    """Return the pictures `Found` in a part of the data, with its folders as classes.

    Raises:
        UserError: when there are none, or some inside and some outside of classes.
    """
    level = 0 if part is None else 1
    pictures = [picture for picture in pictures if part is None or picture.folders[0] == part]
    folder = folder if part is None else folder / part
    classes = {}
    for picture in sorted(pictures):
        classes.setdefault((*picture.folders, None)[level], []).append(picture.path)
    own = classes.pop(None, [])
    if own and classes:
        raise UserError(f"{folder}: expected pictures or folders of pictures, got both: "
                        f"{own[0].name} and {min(classes)}/")
    if not pictures:
        raise UserError(f"{folder}: expected pictures ({FORMATS_IN_WORDS}), got none")
    names = sorted(classes)
    paths = own or [path for name in names for path in classes[name]]
    labels = [name for name in names for _ in classes[name]]
    return Found(paths, labels if len(names) > 1 else [])


def _decoded(folder, found, size, channels, skip_broken):
    """Return images [N, H, W, C], the names of their classes or None, and their digest."""
    images, left_out, digest = cached_pictures(folder, found.paths, size, channels)
    count = len(found.paths)
    if left_out:
        reasons = listed([f"{found.paths[place].relative_to(folder)} ({reason})"
                          for place, reason in left_out.items()], "; ")
        text = one_line(f"{len(left_out)} of {count} pictures cannot be used: {reasons}")
        if len(left_out) == count:
            raise UserError(f"{folder}: {text}; expected some that can be used")
        if not skip_broken:
            raise UserError(f"{folder}: {text}; expected whole pictures, or --skip-broken")
        warn(text)
    if not found.labels:
        return images, None, digest
    labels = [label for place, label in enumerate(found.labels) if place not in left_out]
    lost = sorted(set(found.labels) - set(labels))
    if lost:
        warn(f"{folder}: no picture of {listed(lost)} can be used, so the class is left out")
    return images, np.array(labels), digest
