"""In which order training samples come: functions of (seed, epoch), the same for every process."""

from typing import NamedTuple

import numpy as np

from gan.common.errors import UserError

DATA_ORDER = 2  # stream of NumPy's generator; 1 is k-means
STREAMS = 64  # logical streams of samples that lie in shards; never another number
GROUP = 4  # blocks of a stream that are shuffled together


class RandomOrder:
    """The order of samples of which each is as near as the other: any permutation.

    Attributes:
        batch_size: samples a batch.
        steps: whole batches an epoch.
    """

    def __init__(self, count, batch_size, seed):
        """
        Args:
            count: samples in the data.
            batch_size: samples a batch.
            seed: of the order.
        """
        self.batch_size, self.steps = batch_size, count // batch_size
        self._count, self._seed = count, seed

    def batches(self, epoch):
        """Return the batches of an epoch: int32 [steps, batch] indices of samples.

        Args:
            epoch: counted from 1. Each sample comes at most once; the remainder
                that fills no batch is another one in every epoch.
        """
        random = np.random.default_rng([self._seed, DATA_ORDER, epoch])
        order = random.permutation(self._count).astype(np.int32)
        return order[: self.steps * self.batch_size].reshape(-1, self.batch_size)


class Plan(NamedTuple):
    """In which order the blocks of each stream are read in an epoch.

    Attributes:
        offsets: int64 [64], where in its range a stream begins; its end is followed by
            its beginning.
        blocks: int32 [64, blocks], the number of the block that comes first, second, ...
        ranks: int32 [64, blocks], the other way round: when a block comes.
    """

    offsets: np.ndarray
    blocks: np.ndarray
    ranks: np.ndarray


class StreamedOrder:
    """The order of samples that are read in blocks from 64 streams.

    Stream s is the s-th of 64 equal ranges of the samples as they lie in the
    shards. Sample t of an epoch (row t mod B of batch t // B) comes from stream
    t mod 64. So of R processes, where R divides 64 and B, the one that takes the
    rows r, r + R, r + 2R, ... reads the streams r, r + R, ... alone, and the order
    is the same for every R.

    Within its stream an epoch begins at a random place, goes around, and is cut
    into blocks of neighbours. The blocks come in a random order (a last one
    that is not full comes last), and four of them at a time are shuffled together.

    Attributes:
        batch_size: samples a batch.
        steps: whole batches an epoch.
        block: samples a block.
        length: samples that each stream gives in an epoch; a stream that has one
            more leaves out another one each time.
        groups: how many times blocks are shuffled together in a stream.
    """

    def __init__(self, count, batch_size, seed, block):
        """
        Args:
            count: samples in the data, at least 64.
            batch_size: samples a batch.
            seed: of the order.
            block: samples a block, see `ShardedImages.block`.

        Raises:
            UserError: for a batch that is larger than an epoch.
        """
        self._count, self._seed = count, seed
        self._bounds = np.arange(STREAMS + 1, dtype=np.int64) * count // STREAMS
        self.batch_size, self.block, self.length = batch_size, block, count // STREAMS
        self.steps = STREAMS * self.length // batch_size
        if not self.steps:
            raise UserError(f"--batch-size: expected at most {STREAMS * self.length}, what the "
                            f"{STREAMS} streams of the shards give in an epoch, got: {batch_size}")
        self.groups = -(-self.length // (GROUP * block))

    def batches(self, epoch):
        """Return the batches of an epoch: int32 [steps, batch] indices of samples.

        Args:
            epoch: counted from 1. Each sample comes at most once.
        """
        order = np.empty((STREAMS, self.length), np.int32)
        for stream in range(STREAMS):
            random, offset, blocks = self._draw(epoch, stream)
            places = (blocks[:, None] * self.block + np.arange(self.block)).ravel()
            places = places[places < self.length]
            grouped = self.length // (GROUP * self.block) * GROUP * self.block
            together = places[:grouped].reshape(-1, GROUP * self.block)
            random.permuted(together, axis=1, out=together)
            random.shuffle(places[grouped:])
            order[stream] = self._samples(stream, offset, places)
        return order.T.reshape(-1)[: self.steps * self.batch_size].reshape(-1, self.batch_size)

    def plan(self, epoch):
        """Return the `Plan` of an epoch, counted from 1."""
        drawn = [self._draw(epoch, stream)[1:] for stream in range(STREAMS)]
        blocks = np.stack([blocks for _, blocks in drawn])
        return Plan(np.array([offset for offset, _ in drawn]), blocks, np.argsort(blocks, axis=1))

    def place_of(self, samples, plan):
        """Return where samples lie in the streams of an epoch.

        Args:
            samples: int [N], indices.
            plan: the epoch's `Plan`.

        Returns:
            `(streams, groups, places)`: int64 [N] each; a sample is the `places`-th of
            its group, counted in the order in which its blocks are read. The group of
            a sample that the epoch leaves out is -1.
        """
        samples = samples.astype(np.int64)
        streams = (STREAMS * (samples + 1) - 1) // self._count
        lengths = self._bounds[streams + 1] - self._bounds[streams]
        inside = (samples - self._bounds[streams] - plan.offsets[streams]) % lengths
        ranks = plan.ranks[streams, np.minimum(inside, self.length - 1) // self.block]
        groups = np.where(inside < self.length, ranks // GROUP, -1)
        return streams, groups, ranks % GROUP * self.block + inside % self.block

    def ranges_of(self, stream, rank, plan):
        """Return the samples of the block that comes `rank`-th, as ranges (start, stop).

        There are two where the block goes around the end of its stream.
        """
        first, last = self._bounds[stream], self._bounds[stream + 1]
        begin = int(plan.blocks[stream, rank]) * self.block
        size = min(self.block, self.length - begin)
        start = first + (int(plan.offsets[stream]) + begin) % (last - first)
        until_end = min(size, last - start)
        ranges = [(int(start), int(start + until_end))]
        if until_end < size:
            ranges.append((int(first), int(first + size - until_end)))
        return ranges

    def ranks_of(self, group):
        """Return the range of ranks of the blocks in a group."""
        return range(group * GROUP, min((group + 1) * GROUP, -(-self.length // self.block)))

    def _draw(self, epoch, stream):
        """The generator of a stream in an epoch after its offset and its blocks were drawn."""
        random = np.random.default_rng([self._seed, DATA_ORDER, epoch, stream])
        offset = random.integers(self._bounds[stream + 1] - self._bounds[stream])
        full, rest = divmod(self.length, self.block)
        blocks = random.permutation(full)
        return random, offset, np.append(blocks, full) if rest else blocks

    def _samples(self, stream, offset, places):
        first, last = self._bounds[stream], self._bounds[stream + 1]
        return first + (offset + places) % (last - first)
