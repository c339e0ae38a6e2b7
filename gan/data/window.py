"""The part of sharded images that is in memory while training goes through them."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from gan.data.order import GROUP, STREAMS

READERS = 8  # threads, so that the ways to a distant disk overlap
HALVES = 2  # the group in use, and the one that is read ahead


class Window:
    """Reads groups of blocks ahead of the batches that need them.

    It holds two groups of each stream, a quarter of a GiB in all (512 KiB a
    block, 4 blocks a group, 64 streams) whatever the size of the images and
    their number, and less where the streams are short or shared by processes.
    """

    def __init__(self, images, order, index=0, count=1):
        """
        Args:
            images: `ShardedImages`.
            order: their `StreamedOrder`.
            index, count: this process is number `index` of `count`, each of which
                takes the rows `index`, `index + count`, ... of every batch.
        """
        self._images, self._order = images, order
        mine = range(index, STREAMS, count) if STREAMS % count == 0 else range(STREAMS)
        self._streams = list(mine)
        self._row_of = np.full(STREAMS, -1)
        self._row_of[self._streams] = np.arange(len(self._streams))
        self._room = min(GROUP * order.block, order.length)  # images of a stream in a group
        self._held = None  # uint8 [2, streams, room, bytes of an image]
        self._halves = {}  # (epoch, group) → (half, the reads that fill it)
        self._plans = {}
        self._pool = ThreadPoolExecutor(READERS, thread_name_prefix="shards")

    def read(self, samples, epoch):
        """Return images, from memory where they lie in the group at hand or the next.

        Only one thread may call it at a time.

        Args:
            samples: int [n], indices, a batch of the epoch in the order of its batches;
                any others are right as well, but slow.
            epoch: counted from 1.

        Returns:
            uint8 [n, H, W, C], a copy.
        """
        streams, groups, places = self._order.place_of(samples, self._plan(epoch))
        rows = self._row_of[streams]
        first, last = int(groups.min()), int(groups.max())
        if rows.min() < 0 or first < 0 or last > first + 1:
            return self._images[samples]
        halves = np.zeros(len(samples), np.int64)
        for group in range(first, last + 1):
            halves[groups == group] = self._fetch(epoch, group)
        flat = self._held.reshape(-1, self._held.shape[-1])
        found = flat[(halves * len(self._streams) + rows) * self._room + places]
        if first == last:  # the other half is free
            self._begin(*self._after(epoch, first), keep=(epoch, first))
        return found.reshape(-1, *self._images.shape[1:])

    def close(self):
        """End the threads; what is being read is not waited for longer than a block takes."""
        self._pool.shutdown(cancel_futures=True)

    def _fetch(self, epoch, group):
        """Wait for a group; returns the half that it lies in."""
        self._begin(epoch, group, keep=(epoch, group - 1))
        half, reads = self._halves[epoch, group]
        while reads:
            reads[-1].result()
            reads.pop()
        return half

    def _begin(self, epoch, group, keep):
        """Start to read a group into the half that the group `keep` does not lie in."""
        if (epoch, group) in self._halves:
            return
        if self._held is None:
            shape = HALVES, len(self._streams), self._room, int(np.prod(self._images.shape[1:]))
            self._held = np.empty(shape, np.uint8)
        kept = {keep: self._halves[keep]} if keep in self._halves else {}
        for other in self._halves.keys() - kept.keys():
            for read in self._halves.pop(other)[1]:
                read.cancel() or read.exception()  # nobody writes there any more
        half = 1 - kept[keep][0] if kept else 0
        self._halves = kept | {(epoch, group): (half, self._submit(epoch, group, half))}

    def _submit(self, epoch, group, half):
        plan = self._plan(epoch)
        return [self._pool.submit(self._read_block, plan, stream, rank, self._held[half, row])
                for rank in self._order.ranks_of(group) for row, stream in enumerate(self._streams)]

    def _read_block(self, plan, stream, rank, target):
        place = rank % GROUP * self._order.block
        for start, stop in self._order.ranges_of(stream, rank, plan):
            self._images.read_into(start, stop, target[place : place + stop - start])
            place += stop - start

    def _plan(self, epoch):
        if epoch not in self._plans:
            self._plans = {known: plan for known, plan in self._plans.items()
                           if abs(known - epoch) == 1} | {epoch: self._order.plan(epoch)}
        return self._plans[epoch]

    def _after(self, epoch, group):
        return (epoch, group + 1) if group + 1 < self._order.groups else (epoch + 1, 0)
