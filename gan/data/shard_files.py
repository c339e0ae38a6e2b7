"""The files of a folder of shards, one after the other."""

import hashlib
import json
import os

import numpy as np

from gan.common.errors import UserError
from gan.data.shard_index import FORMAT, INDEX, VERSION, fingerprint_of_index

SHARD_BYTES = 10**9


class ShardWriter:
    """Writes images one after the other into shards of equal size.

    Attributes:
        index: dict, what was written so far; `finish` completes it.
    """

    def __init__(self, folder, shape, count, shard_bytes=SHARD_BYTES):
        """
        Args:
            folder: an empty `Path`, see `atomic_folder`.
            shape: (H, W, C).
            count: how many images will be added.
            shard_bytes: largest size of a shard, its header aside.
        """
        self._folder = folder
        self._left = _sizes(count, shape, shard_bytes)
        self._file, self._room = None, 0
        self.index = {"format": FORMAT, "version": VERSION, "name": folder.name,
                      "shape": list(map(int, shape)), "dtype": "uint8", "count": count,
                      "shards": [], "class_names": []}

    def add(self, images):
        """Write images, uint8 [n, H, W, C]; neighbours should have nothing to do with another."""
        while len(images):
            if not self._room:
                self._begin()
            part = images[: self._room]
            self._write(np.ascontiguousarray(part, np.uint8).data)
            images, self._room = images[len(part) :], self._room - len(part)
            if not self._room:
                self._end()

    def add_file(self, part, array):
        """Write an array that is described by a key of the index: see `PARTS`."""
        self.index[part] = save(self._folder / f"{part}.npy", array)

    def finish(self):
        """Write the index; returns it.

        Raises:
            ValueError: when another number of images was added than was said.
        """
        if self._left or self._room:
            raise ValueError("images are missing")
        self.index["fingerprint"] = fingerprint_of_index(self.index)
        with open(self._folder / INDEX, "w", encoding="utf-8") as file:
            json.dump(self.index, file, indent=1)
            flush(file)
        return self.index

    def _begin(self):
        self._room = self._left.pop(0)
        name = f"images-{len(self.index['shards']):05d}.npy"
        self.index["shards"].append({"file": name, "count": self._room})
        self._file, self._digest = open(self._folder / name, "wb"), hashlib.sha256()  # noqa: SIM115
        np.lib.format.write_array_header_1_0(self, {
            "descr": "|u1", "fortran_order": False, "shape": (self._room, *self.index["shape"])})

    def write(self, data):
        """Write bytes to the shard at hand: what NumPy calls for its header."""
        self._write(data)

    def _write(self, data):
        self._file.write(data)
        self._digest.update(data)

    def _end(self):
        flush(self._file)
        self._file.close()
        entry = entry_of(self._folder / self.index["shards"][-1]["file"])
        if entry["sha256"] != self._digest.hexdigest():  # read back
            raise UserError(f"{self._folder / entry['file']}: what was read back is not what was "
                            "written; expected a disk that works")
        self.index["shards"][-1] |= entry


def save(path, array):
    """Write an .npy file; returns its entry for the index."""
    with open(path, "wb") as file:
        np.lib.format.write_array(file, array, allow_pickle=False)
        flush(file)
    return entry_of(path)


def entry_of(path):
    """Return what the index says of a file: a dict of its name, its bytes and its SHA-256."""
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return {"file": path.name, "bytes": os.fstat(file.fileno()).st_size, "sha256": digest}


def _sizes(count, shape, shard_bytes):
    """Return the images of each shard, as equal as can be."""
    most = max(1, int(shard_bytes) // int(np.prod(shape)))
    number = -(-count // most)
    return np.diff(np.arange(number + 1) * count // number).tolist()


def flush(file):
    """See that a file is on the disk before the folder takes its place."""
    file.flush()
    os.fsync(file.fileno())
