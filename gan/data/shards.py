"""Images on the disk in shards, which look like one array."""

import os
import threading
from collections import OrderedDict

import numpy as np

from gan.common.errors import UserError, describe_os_error

BLOCK_BYTES = 2**19  # read at a time: seconds for the way to a bucket are spent on no less
OPEN_FILES = 64


class ShardedImages:
    """Images in shards, which look like one array that is read when it is indexed.

    Attributes:
        shape: (N, H, W, C).
        dtype: uint8.
        nbytes: of all images.
        block: how many neighbours are read at a time while training.
    """

    dtype, ndim = np.dtype(np.uint8), 4

    def __init__(self, folder, index):
        """
        Args:
            folder: that the shards lie in.
            index: dict, as `read_index` returns it.
        """
        self.shape = (index["count"], *index["shape"])
        self._size = int(np.prod(index["shape"]))  # bytes an image
        self.nbytes = self.shape[0] * self._size
        self.block = max(1, BLOCK_BYTES // self._size)
        shards = index["shards"]
        self._paths = [folder / shard["file"] for shard in shards]
        self._starts = np.cumsum([0] + [shard["count"] for shard in shards])
        self._headers = [shard["bytes"] - shard["count"] * self._size for shard in shards]
        self._files, self._lock = OrderedDict(), threading.Lock()

    def __len__(self):
        return self.shape[0]

    def __getitem__(self, wanted):
        """Read images: a slice without a step, or an array of indices → uint8 [n, H, W, C]."""
        if isinstance(wanted, slice) and wanted.step in (None, 1):
            start, stop, _ = wanted.indices(len(self))
            images = np.empty((max(0, stop - start), *self.shape[1:]), np.uint8)
            self.read_into(start, stop, images)
            return images
        wanted = np.asarray(wanted)
        if wanted.ndim != 1 or wanted.dtype.kind not in "iu":
            raise TypeError(f"expected a slice or an array of indices, got: {wanted!r:.60}")
        images = np.empty((len(wanted), *self.shape[1:]), np.uint8)
        for place in np.argsort(wanted):  # forwards through the files
            self.read_into(int(wanted[place]), int(wanted[place]) + 1, images[place])
        return images

    def read_into(self, start, stop, target):
        """Read neighbours into memory that is there already; threads may do it at once.

        Args:
            start, stop: the range of images.
            target: contiguous uint8 array of as many bytes.

        Raises:
            UserError: naming the file that cannot be read.
        """
        view = memoryview(target.reshape(-1))
        while start < stop:
            number = int(np.searchsorted(self._starts, start, side="right")) - 1
            until = min(stop, int(self._starts[number + 1]))
            size = (until - start) * self._size
            place = self._headers[number] + (start - int(self._starts[number])) * self._size
            self._read(number, place, view[:size])
            view, start = view[size:], until

    def _read(self, number, place, view):
        try:
            file = self._open(number)
            while len(view):
                size = os.preadv(file.fileno(), [view], place)
                if not size:
                    raise UserError(f"{self._paths[number]}: expected more than {place} bytes, "
                                    "got a file that was cut off")
                view, place = view[size:], place + size
        except OSError as error:
            raise UserError(f"{self._paths[number]}: cannot be read: "
                            f"{describe_os_error(error)}") from error

    def _open(self, number):
        """Return a shard's file; one that was not used for long is closed when nobody reads it."""
        with self._lock:
            if number not in self._files:
                self._files[number] = open(self._paths[number], "rb", buffering=0)  # noqa: SIM115
            self._files.move_to_end(number)
            file = self._files[number]
            if len(self._files) > OPEN_FILES:
                self._files.popitem(last=False)
            return file
