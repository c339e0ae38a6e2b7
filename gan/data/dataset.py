"""A data set: what is learned from, in memory or on the disk, and what it is compared with."""

import dataclasses
import functools
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gan.data.background import find_background, images_for
from gan.data.class_rows import class_rows
from gan.data.fingerprint import digest_images, fingerprint_of
from gan.data.shard_index import map_labels
from gan.data.shards import ShardedImages

SAMPLE_IMAGES, SAMPLE_BYTES = 65_536, 2**30  # at most, that stand for images in shards


@dataclass(frozen=True)
class Dataset:
    """Images to learn from, and if there are any, images to compare with.

    Attributes:
        name: short name, for titles.
        images: uint8 [N, H, W, C], H = W, C 1 or 3.
        labels: int32 [N] in [0, len(class_names)), or None.
        class_names: tuple of str, empty without labels.
        test_images: uint8 [M, H, W, C] that no part of training sees, or None.
        test_labels: int32 [M], or None.
        images_digest: of `digest_images`, where it is known already.
        original: fingerprint of the data set whose images these are, in another order;
            None where they are no other's.
    """

    name: str
    images: np.ndarray
    labels: np.ndarray | None = None
    class_names: tuple = ()
    test_images: np.ndarray | None = None
    test_labels: np.ndarray | None = None
    images_digest: object = dataclasses.field(default=None, repr=False, compare=False)
    original: str | None = None
    extent = 1.0  # the networks' unit; see `PointDataset`
    streamed = False  # whether the images are read from the disk whatever their size

    @property
    def samples(self):
        """The images, under the name that `PointDataset` has for its points."""
        return self.images

    @property
    def sample_shape(self):
        """(H, W, C) of one image."""
        return self.images.shape[1:]

    def sample(self):
        """Return the data set to measure with: this one, as it is in memory."""
        return self

    def examples(self, count):
        """Return images for a sheet: [count, H, W, C], the classes as in `class_rows`.

        They are chosen at random, each time the same. A class with too few
        images repeats them; without labels there are at most N.
        """
        order = np.random.default_rng(0).permutation(len(self.images))
        if self.labels is None:
            return self.images[order[:count]]
        chosen = class_rows(self.labels, count)
        places = np.zeros(count, np.int64)
        for number in np.unique(chosen):
            places[chosen == number] = np.resize(order[self.labels[order] == number],
                                                 np.count_nonzero(chosen == number))
        return self.images[places]

    @functools.cached_property
    def background(self):
        """The even `Background` of the images, or None."""
        return find_background(self.images)

    @functools.cached_property
    def fingerprint(self):
        """A short hash of the training images and labels: the data set's identity.

        It does not depend on the data's path, file format or class names.
        """
        return fingerprint_of(self.images_digest or digest_images(self.images), self.labels)


@dataclass(frozen=True)
class ShardedDataset(Dataset):
    """Images that stay on the disk, and are read while training.

    Attributes:
        images: `ShardedImages`, which were written in a random order.
        folder: the `Path` of the shards.
        index: dict, what describes them, see docs/shards.md.
    """

    folder: Path | None = None
    index: dict | None = dataclasses.field(default=None, repr=False)
    streamed = True

    @classmethod
    def of(cls, folder, index):
        """Return the data set in a folder of shards; nothing is read, labels are mapped."""
        return cls(index["name"], ShardedImages(folder, index),
                   class_names=tuple(index["class_names"]),
                   original=index.get("source", {}).get("fingerprint"), folder=folder,
                   index=index, **map_labels(folder, index))

    @functools.cached_property
    def background(self):
        """As for images in memory, of the first ones: they lie in a random order."""
        return find_background(self.images[: images_for(self.sample_shape)])

    @property
    def fingerprint(self):
        """As the index says: nothing is read for it."""
        return self.index["fingerprint"]

    def sample(self):
        """Return a `Dataset` in memory of the first images, at most 65,536 and a GiB of them.

        As they lie in a random order it is a fair sample, of the same size however
        many images there are. Clusters are found in it and metrics computed with it.
        """
        return self._sample

    def examples(self, count):
        """Return images for a sheet, of `sample`: [count, H, W, C]."""
        return self._sample.examples(count)

    @functools.cached_property
    def _sample(self):
        size = self.images.nbytes // len(self.images)
        count = min(len(self.images), SAMPLE_IMAGES, SAMPLE_BYTES // size)
        whole = count == len(self.images)
        return Dataset(
            self.name, self.images[:count],
            None if self.labels is None else np.asarray(self.labels[:count]), self.class_names,
            self.test_images, self.test_labels, original=self.original if whole else None)
