"""Data sets in shards: .npy files with an index in the format of docs/data.md."""

import bisect
import hashlib
import itertools
import json
import math
import operator
import os
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from tqdm import tqdm

from gan import __version__
from gan.common.command_line import SIDES
from gan.common.errors import UserError, listed, reading
from gan.common.files import atomic_folder, checksum, read_json
from gan.data.arrays import map_npy
from gan.data.conditions import condition_images, read_conditions
from gan.data.order import LANES
from gan.data.pixels import CHANNELS, slices_of

INDEX = "shards.json"
FORMAT, VERSION = "gan shards", 2
FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*\.np[yz]")
PARTS = ("labels", "test_images", "test_labels", "conditions")  # files that there may be
BLOCK_BYTES = 2**19  # read at a time: seconds for the way to a bucket are spent on no less
WRITTEN_ORDER = 3  # stream of NumPy's generator; 2 is the order in training
PART_BYTES = 2**26  # of images gathered at a time
READERS = 8  # threads, so that reads of a distant disk overlap


class ShardedImages:
    """Images in shards, which look like one array that is read when it is indexed."""

    dtype = np.dtype(np.uint8)

    def __init__(self, folder, index):
        self.shape = (index["count"], *index["shape"])
        self._size = math.prod(index["shape"])  # bytes an image
        self.nbytes = self.shape[0] * self._size
        self.block = max(1, BLOCK_BYTES // self._size)  # neighbors read at a time in training
        shards = index["shards"]
        self._paths = [folder / shard["file"] for shard in shards]
        self._starts = list(itertools.accumulate((shard["count"] for shard in shards), initial=0))
        self._headers = [shard["bytes"] - shard["count"] * self._size for shard in shards]

    def __len__(self):
        return self.shape[0]

    def __getitem__(self, wanted):
        """Read images, a slice or an array of indices, neighbors at once: uint8 [n, H, W, C]."""
        if isinstance(wanted, slice):
            wanted = np.arange(*wanted.indices(len(self)))
        images = np.empty((len(wanted), *self.shape[1:]), np.uint8)
        starts = np.flatnonzero(np.diff(wanted, prepend=-2) != 1)
        with ThreadPoolExecutor(READERS) as pool:
            list(pool.map(lambda start, end: self.read_into(int(wanted[start]), images[start:end]),
                          starts, [*starts[1:], len(wanted)]))
        return images

    def read_into(self, start, images):
        """Fill a contiguous array with neighbors."""
        view = memoryview(images.reshape(-1))
        while view:
            shard = bisect.bisect_right(self._starts, start) - 1
            stop = min(start + len(view) // self._size, self._starts[shard + 1])
            part, view = view[: (stop - start) * self._size], view[(stop - start) * self._size :]
            with reading(self._paths[shard], "a shard"), open(self._paths[shard], "rb") as file:
                file.seek(self._headers[shard] + (start - self._starts[shard]) * self._size)
                if file.readinto(part) < len(part):
                    raise UserError(f"{self._paths[shard]}: expected more images, got a file that "
                                    "was cut off")
            start = stop


# The index.


def is_sharded(path):
    return os.path.isfile(Path(path) / INDEX)


def read_index(folder):
    """Read the index of a folder of shards, a dict, and check that its files have their size."""
    path = folder / INDEX
    index = read_json(path, "the index of shards")
    with reading(path, f"the index of {FORMAT}, version {VERSION}"):
        if not _is_whole(index):
            raise ValueError("its values contradict each other, or the format")
    for entry in files_of(index):
        file = folder / entry["file"]
        size = file.stat().st_size if file.is_file() else "no file"
        if size != entry["bytes"]:
            raise UserError(f"{file}: expected {entry['bytes']} bytes as {INDEX} says, got: {size}")
    return index


def _is_whole(index):
    """Whether the values of an index can be; what is missing raises any error."""
    count, *shape = map(operator.index, (index["count"], *index["shape"]))
    shards, classes = index["shards"], index["class_names"]
    names = [entry["file"] for entry in files_of(index)]
    return ([index["format"], index["version"], index["dtype"]] == [FORMAT, VERSION, "uint8"]
            and len(shape) == 3 and shape[0] in SIDES and shape[1] in SIDES
            and shape[2] in CHANNELS
            and LANES <= count == sum(shard["count"] for shard in shards) < 2**31
            and all(0 < shard["count"] * math.prod(shape) < shard["bytes"] for shard in shards)
            and all(map(FILE.fullmatch, names)) and len(set(names)) == len(names)
            and all(isinstance(name, str) for name in (index["name"], *classes))
            and bool(classes) == bool(index.get("labels"))
            and isinstance(index.get("source", {}), dict)
            and index["fingerprint"] == fingerprint_of_index(index))


def files_of(index):
    """Return the entries of all files that an index names: dicts with file, bytes and sha256."""
    return [*index["shards"], *(index[part] for part in PARTS if index.get(part))]


def fingerprint_of_index(index):
    """Return 16 hexadecimal digits for the images and labels that an index describes."""
    lines = [json.dumps([index["count"], *index["shape"]]),
             *(shard["sha256"] for shard in index["shards"])]
    if index.get("labels"):
        lines.append(index["labels"]["sha256"])
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def map_file(folder, entry, shape, dtype):
    """Map an .npy file of a shape, whose length may be None, and a dtype; None for no entry."""
    if not entry:
        return None
    path = folder / entry["file"]
    array = map_npy(path)
    wanted = shape if shape[0] else (*array.shape[:1], *shape[1:])
    if (array.shape, array.dtype) != (wanted, dtype) or not (
            array.size and array.flags.c_contiguous):
        raise UserError(f"{path}: expected {np.dtype(dtype)} {list(shape)}, "
                        f"got: {array.dtype} {list(array.shape)}")
    return array


def map_labels(folder, index):
    tests = map_file(folder, index.get("test_images"), (None, *index["shape"]), np.uint8)
    return {"labels": map_file(folder, index.get("labels"), (index["count"],), np.int32),
            "test_images": tests,
            "test_labels": None if tests is None else map_file(
                folder, index.get("test_labels"), (len(tests),), np.int32)}


# Checking.


def check_shards(folder):
    """Read all files of a folder of shards and compare them with its index; returns the index."""
    index = read_index(folder)
    entries = files_of(index)
    damaged = [entry["file"] for entry in tqdm(entries, desc="checking", unit="file", leave=False,
                                               disable=None)
               if checksum(folder / entry["file"]) != entry["sha256"]]
    if damaged:
        raise UserError(f"{folder}: {len(damaged)} of {len(entries)} files are damaged, as their "
                        f"checksums say: {listed(damaged)}")
    for shard in index["shards"]:
        map_file(folder, shard, (shard["count"], *index["shape"]), np.uint8)
    arrays, classes = map_labels(folder, index), len(index["class_names"])
    for part in ("labels", "test_labels"):
        labels = arrays[part]
        if labels is not None and not 0 <= labels.min() <= labels.max() < classes:
            raise UserError(f"{folder / index[part]['file']}: expected labels from 0 to "
                            f"{classes - 1}, got others")
    if index.get("conditions"):
        read_conditions(folder / index["conditions"]["file"], index["count"])
    return index


def refuse_unmanaged(target, force):
    """Refuse to replace anything but a folder of shards, and that without `force`."""
    target = Path(target)
    if not os.path.lexists(target) or (target.is_dir() and not any(target.iterdir())):
        return
    try:
        known = {INDEX, *(entry["file"] for entry in files_of(read_index(target)))}
        strange = sorted({path.name for path in target.iterdir()} - known)
    except (UserError, OSError) as error:
        raise UserError(f"{target}: expected nothing, an empty folder or shards there, got "
                        "something else; move it, or choose another folder") from error
    if strange:
        raise UserError(f"{target / strange[0]}: not written by gan.shards and in its way; move "
                        "it, or choose another folder")
    if not force:
        raise UserError(f"{target} holds shards; expected --force, or another folder")


# Writing.


def write_shards(dataset, target, shard_bytes=10**9, seed=0, condition="none", clusters=0,
                 components=0, force=False):
    """Write a `Dataset` as shards in a random order, with its conditions; returns the index."""
    target, images, count = Path(target), dataset.images, len(dataset.images)
    if count < LANES:
        raise UserError(f"expected at least {LANES} images, as training reads from {LANES} "
                        f"places at a time, got: {count}")
    order = np.random.default_rng([seed, WRITTEN_ORDER]).permutation(count)
    index = {"format": FORMAT, "version": VERSION, "name": dataset.name,
             "shape": list(map(int, dataset.sample_shape)), "dtype": "uint8", "count": count,
             "class_names": list(dataset.class_names),
             "source": {"fingerprint": dataset.original or dataset.fingerprint, "seed": seed,
                        "version": __version__}}
    with atomic_folder(target) as folder:
        index["shards"] = _write_images(folder, images, order, shard_bytes)
        beside = {"labels": None if dataset.labels is None else dataset.labels[order],
                  "test_images": dataset.test_images, "test_labels": dataset.test_labels}
        for part, array in beside.items():
            if array is not None:
                index[part] = save_array(folder / f"{part}.npy", array)
        if condition != "none":
            found = condition_images(ShardedImages(folder, index),
                                     beside["labels"] if condition == "labels" else None,
                                     clusters, seed, components)
            np.savez(folder / "conditions.npz", **found.to_arrays())
            index["conditions"] = entry_of(folder / "conditions.npz") | {
                "kind": condition, "clusters": clusters, "components": components}
        write_index(folder, index)
        refuse_unmanaged(target, force)  # what came there meanwhile
    return index


def _write_images(folder, images, order, shard_bytes):
    shape = images.shape[1:]
    number = -(-len(order) // max(1, int(shard_bytes) // math.prod(shape)))
    entries = []
    with tqdm(total=len(order), desc="writing shards", unit="img", leave=False,
              disable=None) as bar:
        for shard, places in enumerate(np.array_split(order, number)):
            path = folder / f"images-{shard:05d}.npy"
            with open(path, "wb") as file:
                np.lib.format.write_array_header_1_0(file, {
                    "descr": "|u1", "fortran_order": False, "shape": (len(places), *shape)})
                for part in slices_of(places, values=PART_BYTES, shape=shape):
                    # Forwards, for images that are read from a disk.
                    forwards, back = np.unique(places[part], return_inverse=True)
                    file.write(images[forwards][back])
                    bar.update(len(back))
            entries.append(entry_of(path) | {"count": len(places)})
    return entries


def save_array(path, array):
    """Write an .npy file; returns its entry for the index."""
    np.save(path, array)
    return entry_of(path)


def entry_of(path):
    """Return what the index says of a file: a dict of its name, its bytes and its SHA-256."""
    return {"file": path.name, "bytes": path.stat().st_size, "sha256": checksum(path)}


def write_index(folder, index):
    index["fingerprint"] = fingerprint_of_index(index)
    (folder / INDEX).write_text(json.dumps(index, indent=1), encoding="utf-8")
