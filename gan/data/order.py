"""Order of the training samples: a function of (seed, epoch), the same for any number of processes.

Samples in memory are permuted. Samples in shards are shuffled in blocks, as a disk or a network
is read fast only in blocks: an epoch begins at a random place, goes around, and is cut into
blocks of neighbors, which are permuted and dealt out to 64 lanes. Of each lane, four blocks at a
time are shuffled together, and sample t of the epoch comes from lane t mod 64. So of R processes,
where R divides 64 and the batch, the one that takes the rows r, r + R, ... of every batch reads
the lanes r, r + R, ... alone.
"""

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from gan.common.errors import UserError

DATA_ORDER = 2  # stream of NumPy's generator; 1 is k-means
LANES = 64  # never another number, or a resumed run would see other batches
GROUP = 4  # blocks of a lane that are shuffled together
READERS = 8  # threads, so that the ways to a distant disk overlap


class RandomOrder:
    """The order of `count` samples in memory: any permutation.

    Attributes:
        batch_size: samples a batch.
        steps: whole batches an epoch.
    """

    def __init__(self, count, batch_size, seed):
        self.batch_size, self.steps = batch_size, count // batch_size
        self._count, self._seed = count, seed

    def batches(self, epoch):
        """Return the batches of an epoch, counted from 1: int32 [steps, batch] indices of samples.

        Each sample comes at most once; the remainder that fills no batch is another
        one in every epoch.
        """
        random = np.random.default_rng([self._seed, DATA_ORDER, epoch])
        order = random.permutation(self._count).astype(np.int32)
        return order[: self.steps * self.batch_size].reshape(-1, self.batch_size)


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
        self._sizes = np.repeat([block, length % block], [length // block * LANES, LANES])
        self._starts = np.cumsum([0, *self._sizes])
        self._whole, self._block = length // block, block

    def batches(self, epoch):
        """Return the batches of an epoch, as `RandomOrder.batches` does."""
        random, offset, blocks = self._draw(epoch)
        lanes = []
        for first in range(0, len(blocks), GROUP):
            # The samples of a group: int [lanes, blocks in the group * block].
            group = [self._starts[row][:, None] + np.arange(self._sizes[row[0]])
                     for row in blocks[first : first + GROUP]]
            lanes.append(random.permuted(np.concatenate(group, axis=1), axis=1))
        order = ((offset + np.concatenate(lanes, axis=1)) % self._count).astype(np.int32)
        return order.T.ravel()[: self.steps * self.batch_size].reshape(-1, self.batch_size)

    def plan(self, epoch):
        """Return the `BlockPlan` of an epoch."""
        return BlockPlan(self._count, self._starts, *self._draw(epoch)[1:])

    def _draw(self, epoch):
        """Return the epoch's generator, its first sample, and its blocks: int [rows, lanes]."""
        random = np.random.default_rng([self._seed, DATA_ORDER, epoch])
        offset = int(random.integers(self._count))
        whole = random.permutation(self._whole * LANES).reshape(-1, LANES)
        last = np.arange(self._whole * LANES, len(self._sizes)).reshape(1, LANES)
        return random, offset, np.concatenate([whole, last]) if self._sizes[-1] else whole


class BlockPlan:
    """Which block of an epoch holds a sample, and when it comes."""

    def __init__(self, count, starts, offset, blocks):
        self._count, self._starts, self._offset, self._blocks = count, starts, offset, blocks
        self.groups = -(-len(blocks) // GROUP)
        self._group_of = np.zeros(len(starts), np.int64)
        self._group_of[blocks] = np.arange(len(blocks))[:, None] // GROUP

    def locate(self, samples):
        """Return for each sample its group, its block and its place in that, int [n] each.

        The block of a sample that the epoch leaves out is beyond all others.
        """
        inside = (samples.astype(np.int64) - self._offset) % self._count
        blocks = np.searchsorted(self._starts, inside, side="right") - 1
        return self._group_of[blocks], blocks, inside - self._starts[blocks]

    def blocks_of(self, group, lanes):
        """Return the blocks of a group in some lanes, as they come."""
        return self._blocks[group * GROUP : (group + 1) * GROUP, lanes].ravel()

    def range_of(self, block):
        """Return the samples of a block as one range, or two around the end of the data."""
        start, stop = (self._offset + self._starts[block : block + 2]).tolist()
        if start >= self._count:
            return [(start - self._count, stop - self._count)]
        if stop <= self._count:
            return [(start, stop)]
        return [(start, self._count), (0, stop - self._count)]


class BlockReader:
    """Reads the blocks of sharded images ahead of the batches that need them.

    It holds two groups, a quarter of a GiB in all (512 KiB a block, 4 blocks a group of
    64 lanes), and less where the data are small or shared by processes.
    """

    def __init__(self, images, order, index=0, count=1):
        """
        Args:
            images: `ShardedImages`.
            order: their `BlockOrder`.
            index, count: this process is number `index` of `count`, each of which
                takes the rows `index`, `index + count`, ... of every batch.
        """
        self._images, self._order = images, order
        self._lanes = np.arange(index, LANES, count) if LANES % count == 0 else np.arange(LANES)
        self._plans, self._groups = {}, {}  # by epoch; by (epoch, group): block → its future
        self._pool = ThreadPoolExecutor(READERS, thread_name_prefix="shards")

    def read(self, samples, epoch):
        """Return images, from memory where they are in the group at hand or the next.

        Only one thread may call it at a time.

        Args:
            samples: int [n], indices, a batch of the epoch in the order of its batches;
                any others are right as well, but slow.
            epoch: counted from 1.

        Returns:
            uint8 [n, H, W, C], a copy.
        """
        groups, blocks, places = self._plan(epoch).locate(samples)
        self._look_ahead(epoch, int(groups.min()))
        found = np.empty((len(samples), *self._images.shape[1:]), np.uint8)
        rows = zip(groups.tolist(), blocks.tolist(), places.tolist(), strict=True)
        try:
            for row, (group, block, place) in enumerate(rows):
                found[row] = self._groups[epoch, group][block].result()[place]
        except KeyError:  # samples that do not come now, or to this process
            return self._images[samples]
        return found

    def close(self):
        """End the threads; what is being read is not waited for longer than a block takes."""
        self._pool.shutdown(cancel_futures=True)

    def _look_ahead(self, epoch, group):
        """Begin to read a group and the next, and forget all others."""
        following = (epoch, group + 1) if group + 1 < self._plan(epoch).groups else (epoch + 1, 0)
        wanted = ((epoch, group), following)
        for other in self._groups.keys() - set(wanted):
            for read in self._groups.pop(other).values():
                read.cancel()
        for epoch, group in wanted:
            if (epoch, group) not in self._groups:
                plan = self._plan(epoch)
                self._groups[epoch, group] = {
                    block: self._pool.submit(self._read_block, plan, block)
                    for block in plan.blocks_of(group, self._lanes).tolist()}

    def _read_block(self, plan, block):
        parts = [self._images[start:stop] for start, stop in plan.range_of(block)]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _plan(self, epoch):
        if epoch not in self._plans:
            self._plans = {known: plan for known, plan in self._plans.items()
                           if abs(known - epoch) == 1} | {epoch: self._order.plan(epoch)}
        return self._plans[epoch]


class ArrayReader:
    """Reads samples that are mapped, or in memory; see `BlockReader`."""

    def __init__(self, samples):
        self._samples = samples

    def read(self, samples, epoch):
        """Return samples by their indices, a copy."""
        return self._samples[samples]


def pipeline_of(samples, batch_size, seed, index=0, count=1):
    """Return the order of samples and what reads them, in blocks where they are in shards."""
    block = getattr(samples, "block", None)
    if not block:
        return RandomOrder(len(samples), batch_size, seed), ArrayReader(samples)
    order = BlockOrder(len(samples), batch_size, seed, block)
    return order, BlockReader(samples, order, index, count)
