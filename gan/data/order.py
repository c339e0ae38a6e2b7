"""Order of the training samples: a function of (seed, epoch), the same for any number of processes.

Shards are shuffled in blocks: an epoch begins at a random place, goes around, and is cut into
blocks of neighbors, which are permuted and dealt out to 64 lanes. Of each lane, four blocks at a
time are shuffled together; sample t comes from lane t mod 64. So of R processes, where R divides
64, the one that takes the rows r, r + R, ... of every batch reads the lanes r, r + R, ... alone.
"""

import functools
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from gan.common.errors import UserError

DATA_ORDER = 2  # stream of NumPy's generator; 1 is k-means
LANES = 64  # never another number, or a resumed run would see other batches
GROUP = 4  # blocks of a lane that are shuffled together


class RandomOrder:
    """The order of `count` samples in memory: any permutation."""

    def __init__(self, count, batch_size, seed):
        self.batch_size, self.steps = batch_size, count // batch_size
        self._count, self._seed = count, seed

    def batches(self, epoch):
        """Return the batches of an epoch, counted from 1: int32 [steps, batch] indices."""
        return self.samples(epoch)[: self.steps * self.batch_size].reshape(-1, self.batch_size)

    def samples(self, epoch):
        """Return the samples of an epoch, with those that fill no batch: int32 [n]."""
        return self._random(epoch).permutation(self._count).astype(np.int32)

    def _random(self, epoch):
        return np.random.default_rng([self._seed, DATA_ORDER, epoch])


class BlockOrder(RandomOrder):
    """The order of samples that are read in blocks of `block` or a few more."""

    def __init__(self, count, batch_size, seed, block):
        super().__init__(count, batch_size, seed)
        length = count // LANES
        # Of equal size, so that only few samples are left out: others in every epoch.
        self._blocks = max(1, length // block)
        self._size = length // self._blocks
        self.group = LANES * GROUP * self._size  # samples that are shuffled together
        self.steps = LANES * self._blocks * self._size // batch_size
        if not self.steps:
            raise UserError(f"--batch-size: expected at most {LANES * length}, what the "
                            f"{LANES} lanes of the shards hold, got: {batch_size}")

    def samples(self, epoch):
        random = self._random(epoch)
        first = np.int64(random.integers(self._count))
        starts = self._size * random.permutation(LANES * self._blocks).astype(np.int32)
        lanes = (starts[:, None] + np.arange(self._size, dtype=np.int32)).reshape(LANES, -1)
        for start in range(0, lanes.shape[1], GROUP * self._size):
            group = lanes[:, start : start + GROUP * self._size]
            group[:] = random.permuted(group, axis=1)
        return ((first + lanes.T.ravel()) % self._count).astype(np.int32)


class BlockReader:
    """Reads sharded images ahead, for the rows `index`, `index + count`, ... of each batch.

    It holds two groups, about a quarter of a GiB: 256 blocks of 512 KiB each.
    """

    def __init__(self, images, order, index=0, count=1):
        self._images, self._order = images, order
        self._rows = slice(index, None, count) if LANES % count == 0 else slice(None)
        self._epoch = functools.lru_cache(2)(self._locate)
        self._begun = functools.lru_cache(2)(self._begin)
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="shards")

    def read(self, samples, epoch):
        """Read the rows of a batch of an epoch: int [n] → uint8 [n, H, W, C], a copy."""
        order, places = self._epoch(epoch)
        groups = places[samples] // self._order.group
        found = np.empty((len(samples), *self._images.shape[1:]), np.uint8)
        for group in range(groups.min(), groups.max() + 1):
            own, images = self._begun(epoch, group)
            rows = np.flatnonzero(groups == group)
            found[rows] = images.result()[np.searchsorted(own, samples[rows])]
        following = groups.max() + 1
        last = following * self._order.group >= len(order)
        self._begun(*((epoch + 1, 0) if last else (epoch, following)))
        return found

    def _locate(self, epoch):
        """Return the samples of an epoch, and the place of each sample among them."""
        order = self._order.samples(epoch)
        places = np.zeros(len(self._images), np.int32)
        places[order] = np.arange(len(order))
        return order, places

    def _begin(self, epoch, group):
        """Begin to read the own samples of a group; returns these, sorted, and their future."""
        start = group * self._order.group
        own = np.sort(self._epoch(epoch)[0][start : start + self._order.group][self._rows])
        return own, self._pool.submit(self._images.__getitem__, own)


def pipeline_of(samples, batch_size, seed, index=0, count=1):
    """Return the order of samples, and the function (batch, epoch) → samples that reads them."""
    block = getattr(samples, "block", None)
    if not block:
        return RandomOrder(len(samples), batch_size, seed), lambda batch, epoch: samples[batch]
    order = BlockOrder(len(samples), batch_size, seed, block)
    return order, BlockReader(samples, order, index, count).read
