"""A folder of pictures → arrays for a data set."""

import os
from pathlib import Path

import numpy as np

from gan.common.errors import UserError
from gan.data.decode import FORMATS_IN_WORDS, OTHER_SUFFIXES, Form, is_picture
from gan.data.layout import Found, arrange
from gan.data.messages import listed, one_line, warn
from gan.data.picture_cache import cached_pictures
from gan.data.picture_files import files_below


def read_pictures(folder, image_size=None, channels=None, skip_broken=False, fit="crop"):
    """Read a folder of PNG, JPEG, WebP, GIF, BMP and TIFF files.

    What a file is, its content decides. Pictures that lie in one folder have no
    labels; otherwise folders are classes, see `arrange`. Folders named like train
    and test (or validation) hold a data set each. Hidden files and folders are
    passed over.

    Each picture becomes a square; what is transparent becomes white. The result
    is kept in the cache folder and used again; of a folder that changed, only
    what is new is decoded.

    Args:
        folder: the folder.
        image_size: side of the result in pixels; None: the pictures' own if all
            are square and alike, otherwise 64.
        channels: 1 or 3; None: 3 if any picture has colour.
        skip_broken: leave out what cannot be used instead of stopping.
        fit: how a picture that is not square becomes one, see `decode`.

    Returns:
        dict for a data set: images uint8 [N, H, W, C], a memory map of the cache
        where there could be one, and their images_digest; and if there are any,
        labels, str [N], test_images and test_labels, these two in a random order.

    Raises:
        UserError: naming the pictures that cannot be used, or a folder without any.
    """
    folder, pictures, others = Path(folder), [], []
    for file in files_below(folder):
        (pictures if is_picture(file.path) else others).append(file)
    train, test = arrange(folder, pictures)
    _name_others([file.name for file in others])
    images, labels, digest = _decoded(folder, train, Form(image_size, channels, fit), skip_broken)
    arrays = {"images": images, "labels": labels, "images_digest": digest}
    if test:
        size, channels = images.shape[2:]
        arrays["test_images"], arrays["test_labels"], _ = _decoded(
            folder, shuffled(test), Form(size, channels, fit), skip_broken, "test")
    return {name: value for name, value in arrays.items() if value is not None}


def shuffled(found):
    """Return the same `Found` pictures in a random order, each time the same.

    Some metrics look at the first thousand test images, which must not be all
    of one class.
    """
    order = np.random.default_rng(0).permutation(len(found.files))
    return Found([found.files[place] for place in order],
                 [found.labels[place] for place in order] if found.labels else [])


def _name_others(names):
    """Say which files are not used."""
    unread = [name for name in names if os.path.splitext(name)[1].lower() in OTHER_SUFFIXES]
    others = sorted(set(names) - set(unread))
    for left, one, many in (
            (unread, "picture that is not", "pictures that are not"),
            (others, "file that is no picture", "files that are no pictures")):
        if left:
            what = f"{len(left)} {one if len(left) == 1 else many}"
            form = f" {FORMATS_IN_WORDS}" if left is unread else ""
            print(one_line(f"left out: {what}{form}: {listed(left)}"))


def _decoded(folder, found, form, skip_broken, part="train"):
    """Return images [N, H, W, C], the names of their classes or None, and their digest."""
    images, left_out, digest = cached_pictures(folder, found.files, form, part)
    count = len(found.files)
    if left_out:
        reasons = listed([f"{found.files[place].name} ({reason})"
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
