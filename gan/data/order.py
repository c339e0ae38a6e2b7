"""Order of the training samples: a function of (seed, epoch), the same for any number of processes.

Shards are shuffled in blocks: an epoch begins at a random place, goes around, and is cut into
blocks of neighbors, which are permuted and dealt out to 64 lanes. Of each lane, four blocks at a
time are shuffled together; sample t comes from lane t mod 64. So of R processes, where R divides
64, the one that takes the rows r, r + R, ... of every batch reads the lanes r, r + R, ... alone.
"""

import functools
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np

from gan.common.errors import UserError

DATA_ORDER = 2  # stream of NumPy's generator; 1 is k-means
LANES = 64  # never another number, or a resumed run would see other batches
GROUP = 4  # blocks of a lane that are shuffled together
READERS = 8  # threads, so that reads of a distant disk overlap


class RandomOrder:
    """The order of `count` samples in memory: any permutation."""

    def __init__(self, count, batch_size, seed):
        self.batch_size, self.steps = batch_size, count // batch_size
        self._count, self._seed = count, seed

    def batches(self, epoch):
        """Return the batches of an epoch, counted from 1: int32 [steps, batch] indices."""
        random = np.random.default_rng([self._seed, DATA_ORDER, epoch])
        order = random.permutation(self._count).astype(np.int32)
        return order[: self.steps * self.batch_size].reshape(-1, self.batch_size)


class Plan(NamedTuple):
    first: int  # sample of block 0
    groups: list  # of int [rows, lanes], the blocks of a group
    group_of: np.ndarray  # int [blocks]


class BlockOrder:
    """The order of samples that are read in blocks of at most `block`; see `RandomOrder`."""

    def __init__(self, count, batch_size, seed, block):
        self._count, self._seed, length = count, seed, count // LANES
        self.batch_size, self.steps = batch_size, LANES * length // batch_size
        if not self.steps:
            raise UserError(f"--batch-size: expected at most {LANES * length}, what the "
                            f"{LANES} lanes of the shards hold, got: {batch_size}")
        # All lanes are equally long: whole blocks, and a shorter one at the end.
        block = min(block, length)
        self._whole, rest = length // block * LANES, [length % block] * LANES * (length % block > 0)
        self.sizes = np.array([block] * self._whole + rest + [0])  # samples of each block
        # The first sample of each block, counted from the first of the epoch.
        self.starts = np.cumsum(self.sizes) - self.sizes

    def batches(self, epoch):
        plan, random = self._draw(epoch)
        lanes = []
        for group in plan.groups:
            samples = [self.starts[row][:, None] + np.arange(self.sizes[row[0]]) for row in group]
            lanes.append(random.permuted(np.concatenate(samples, axis=1), axis=1))
        order = ((plan.first + np.concatenate(lanes, axis=1)) % self._count).astype(np.int32)
        return order.T.ravel()[: self.steps * self.batch_size].reshape(-1, self.batch_size)

    def plan(self, epoch):
        return self._draw(epoch)[0]

    def locate(self, plan, samples):
        """Return the group, the block (empty if left out) and the place of samples, int [n]."""
        inside = (samples.astype(np.int64) - plan.first) % self._count
        blocks = np.searchsorted(self.starts, inside, side="right") - 1
        return plan.group_of[blocks], blocks, inside - self.starts[blocks]

    def _draw(self, epoch):
        random = np.random.default_rng([self._seed, DATA_ORDER, epoch])
        first = int(random.integers(self._count))
        last = np.arange(self._whole, len(self.sizes) - 1)
        blocks = np.append(random.permutation(self._whole), last).reshape(-1, LANES)
        group_of = np.zeros(len(self.sizes), np.int64)
        group_of[blocks] = np.arange(len(blocks))[:, None] // GROUP
        return Plan(first, np.split(blocks, range(GROUP, len(blocks), GROUP)), group_of), random


class BlockReader:
    """Reads sharded images ahead, for the rows `index`, `index + count`, ... of each batch.

    It holds two groups, a quarter of a GiB: 256 blocks of 512 KiB each.
    """

    def __init__(self, images, order, index=0, count=1):
        self._images, self._order = images, order
        self._lanes = np.arange(index, LANES, count) if LANES % count == 0 else np.arange(LANES)
        self._plan = functools.lru_cache(2)(order.plan)
        self._groups = {}  # by (epoch, group), see `_begin`
        self._pool = ThreadPoolExecutor(READERS, thread_name_prefix="shards")

    def read(self, samples, epoch):
        """Read the next samples of an epoch (or, slowly, any): int [n] → uint8 [n, H, W, C]."""
        groups, blocks, places = self._order.locate(self._plan(epoch), samples)
        first, last = int(groups.min()), int(groups.max())
        self._look_ahead(epoch, range(first, max(first + 2, last + 1)))
        found = np.empty((len(samples), *self._images.shape[1:]), np.uint8)
        for group in np.unique(groups).tolist():
            starts, images, reads = self._groups[epoch, group]
            rows = np.flatnonzero(groups == group)
            if (starts[blocks[rows]] < 0).any():
                return self._images[samples]
            while reads:
                reads[-1].result()
                reads.pop()
            found[rows] = images[starts[blocks[rows]] + places[rows]]
        return found

    def _look_ahead(self, epoch, groups):
        # Groups of which the last may be in the next epoch.
        count = len(self._plan(epoch).groups)
        wanted = [(epoch + group // count, group % count) for group in groups]
        for other in self._groups.keys() - set(wanted):
            for read in self._groups.pop(other)[2]:
                read.cancel()
        for key in wanted:
            if key not in self._groups:
                self._groups[key] = self._begin(*key)

    def _begin(self, epoch, group):
        """Return where each block of a group starts (-1: of others), images, and their futures."""
        plan, order = self._plan(epoch), self._order
        blocks = plan.groups[group][:, self._lanes].ravel()
        ends = np.cumsum(order.sizes[blocks])
        starts = np.full(len(order.sizes), -1)
        starts[blocks] = ends - order.sizes[blocks]
        images = np.empty((ends[-1], *self._images.shape[1:]), np.uint8)
        firsts = (plan.first + order.starts[blocks]) % len(self._images)
        reads = [self._pool.submit(self._images.read_into, int(first), images[start:end])
                 for first, start, end in zip(firsts, starts[blocks], ends, strict=True)]
        return starts, images, reads


def pipeline_of(samples, batch_size, seed, index=0, count=1):
    """Return the order of samples, and the function (batch, epoch) → samples that reads them."""
    block = getattr(samples, "block", None)
    if not block:
        return RandomOrder(len(samples), batch_size, seed), lambda batch, epoch: samples[batch]
    order = BlockOrder(len(samples), batch_size, seed, block)
    return order, BlockReader(samples, order, index, count).read
