"""The index of a folder of shards: .npy files of equal kind and what else is known of them.

docs/shards.md has the format, so that other programs can write it.
"""

import hashlib
import json
import os
import re
import tokenize
from pathlib import Path

import numpy as np

from gan.common.command_line import SIDES
from gan.common.errors import UserError, describe_os_error
from gan.data.messages import listed
from gan.data.order import STREAMS

INDEX = "shards.json"
FORMAT, VERSION = "gan shards", 1
CHANNELS = (1, 3)
HEX = re.compile(r"[0-9a-f]{64}")
FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*\.np[yz]")
PARTS = ("labels", "test_images", "test_labels", "conditions")  # files that there may be


def is_sharded(path):
    """Whether a path is a folder of shards: one with an index."""
    return os.path.isfile(Path(path) / INDEX)


def read_index(folder):
    """Read the index of a folder of shards and check that the files are there.

    That takes as long for large shards as for small ones: sizes are compared,
    nothing else is read. `check_shards` compares the contents.

    Args:
        folder: the `Path`.

    Returns:
        dict, see docs/shards.md.

    Raises:
        UserError: naming what is missing, or damaged, or of another version.
    """
    path = folder / INDEX
    try:
        index = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {describe_os_error(error)}") from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: expected the index of shards, got: {error}") from error
    if not isinstance(index, dict) or index.get("format") != FORMAT:
        raise UserError(f'{path}: expected the index of shards ("format": "{FORMAT}"), '
                        "got another file")
    if index.get("version") != VERSION:
        raise UserError(f"{path}: expected version {VERSION} of the format, "
                        f"got: {index.get('version')}")
    wrong = _what_is_wrong(index)
    if wrong:
        raise UserError(f"{path}: expected a whole index, got one with wrong {wrong}")
    _check_sizes(folder, index)
    return index


def map_file(folder, entry, shape, dtype):
    """Map an .npy file into memory; it is read when it is used.

    Args:
        folder: of the shards.
        entry: of the index, or None.
        shape: that it must have; None in place of a length that may be any.
        dtype: that it must have.

    Returns:
        The array, or None without an entry.

    Raises:
        UserError: for another array.
    """
    if not entry:
        return None
    path = folder / entry["file"]
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {describe_os_error(error)}") from error
    except (ValueError, EOFError, SyntaxError, tokenize.TokenError) as error:
        raise UserError(f"{path}: expected a NumPy array, got: {error}") from error
    fits = len(array.shape) == len(shape) and all(
        size in (None, own) for size, own in zip(shape, array.shape, strict=True))
    if not fits or array.dtype != dtype or not array.flags.c_contiguous:
        raise UserError(f"{path}: expected {np.dtype(dtype)} {list(shape)}, "
                        f"got: {array.dtype} {list(array.shape)}")
    return array


def map_labels(folder, index):
    """Map what belongs to the images: dict of labels, test_images, test_labels → array or None."""
    tests = map_file(folder, index.get("test_images"), (None, *index["shape"]), np.uint8)
    return {"labels": map_file(folder, index.get("labels"), (index["count"],), np.int32),
            "test_images": tests,
            "test_labels": None if tests is None else map_file(
                folder, index.get("test_labels"), (len(tests),), np.int32)}


def files_of(index):
    """Return the entries of all files that an index names: dicts with file, bytes and sha256."""
    return [*index["shards"], *(index[part] for part in PARTS if index.get(part))]


def fingerprint_of_index(index):
    """Return 16 hexadecimal digits for the images and labels that an index describes.

    The start of the SHA-256 of lines: the shape of all images as a JSON list, the
    SHA-256 of each shard in its order, and that of the labels if there are any.
    """
    lines = [json.dumps([index["count"], *index["shape"]]),
             *(shard["sha256"] for shard in index["shards"])]
    if index.get("labels"):
        lines.append(index["labels"]["sha256"])
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def _what_is_wrong(index):
    """Return the first key of an index whose value cannot be, or None."""
    try:
        shape, count, shards = index["shape"], index["count"], index["shards"]
        names = [entry["file"] for entry in files_of(index)]
        size = shape[0] * shape[1] * shape[2]
        classes = index["class_names"]
        checks = {
            "shape": (len(shape) == 3 and shape[0] in SIDES and shape[0] == shape[1]
                      and shape[2] in CHANNELS),
            "dtype": index["dtype"] == "uint8",
            "count": type(count) is int and STREAMS <= count < 2**31,
            "shards": (all(type(shard["count"]) is int and shard["count"] > 0
                           and shard["bytes"] > shard["count"] * size for shard in shards)
                       and sum(shard["count"] for shard in shards) == count),
            "files": (all(FILE.fullmatch(name) for name in names)
                      and len(set(names)) == len(names)
                      and all(type(entry["bytes"]) is int and HEX.fullmatch(entry["sha256"])
                              for entry in files_of(index))),
            "class_names": (all(isinstance(name, str) for name in classes)
                            and bool(classes) == bool(index.get("labels"))),
            "name": isinstance(index["name"], str),
            "source": isinstance(index.get("source", {}), dict),
            "fingerprint": index["fingerprint"] == fingerprint_of_index(index),
        }
    except (KeyError, TypeError, IndexError, AttributeError) as error:
        return f"keys ({error})"
    return next((name for name, right in checks.items() if not right), None)


def _check_sizes(folder, index):
    """Raise a `UserError` unless all files are there in their size; one listing tells."""
    try:
        with os.scandir(folder) as entries:
            sizes = {entry.name: entry.stat().st_size for entry in entries if entry.is_file()}
    except OSError as error:
        raise UserError(f"{folder}: cannot be read: {describe_os_error(error)}") from error
    entries = files_of(index)
    missing = [entry["file"] for entry in entries if entry["file"] not in sizes]
    if missing:
        raise UserError(f"{folder}: expected the files that {INDEX} names, got a folder without "
                        f"{listed(missing)}")
    for entry in entries:
        if sizes[entry["file"]] != entry["bytes"]:
            raise UserError(f"{folder / entry['file']}: expected {entry['bytes']} bytes as {INDEX} "
                            f"says, got: {sizes[entry['file']]}")
