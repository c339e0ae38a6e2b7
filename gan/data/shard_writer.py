"""Writing a data set as shards, in a random order and with its conditions."""

import os
import shutil
from pathlib import Path

import numpy as np
from tqdm import tqdm

from gan import __version__
from gan.common.errors import UserError
from gan.common.files import atomic_folder, remove_leftovers
from gan.data.component_count import components_for
from gan.data.dataset import ShardedDataset
from gan.data.order import STREAMS
from gan.data.shard_files import SHARD_BYTES, ShardWriter, entry_of
from gan.data.sharded_conditions import find_conditions, write_conditions

WRITTEN_ORDER = 3  # stream of NumPy's generator; 2 is the order in training
PART_BYTES = 2**26  # of images gathered, or bytes hashed, at a time
MOST_TESTS = 65_536  # test images that are kept
ROOM = 2**20  # bytes for the index and whatever else is small


def write_shards(dataset, target, shard_bytes=SHARD_BYTES, seed=0, condition="auto",
                 clusters=None, components=None, admit=lambda: None):
    """Write a data set as shards, in a random order, with its conditions.

    Args:
        dataset: a `Dataset` of images.
        target: the folder; it is there when all is written, and not before.
        shard_bytes: largest size of a shard.
        seed: of the order and of the clusters.
        condition, clusters, components: see `condition_dataset`.
        admit: function that raises a `UserError` if `target` may not be replaced,
            called just before it is.

    Returns:
        The index, a dict.

    Raises:
        UserError: for too few images or too little space.
    """
    target, count = Path(target), len(dataset.images)
    if count < STREAMS:
        raise UserError(f"expected at least {STREAMS} images, as training reads from {STREAMS} "
                        f"places at a time, got: {count}")
    os.makedirs(target.parent, exist_ok=True)
    remove_leftovers(target.parent)
    _check_space(dataset, target)
    order = np.random.default_rng([seed, WRITTEN_ORDER]).permutation(count)
    with atomic_folder(target) as folder:
        writer = ShardWriter(folder, dataset.sample_shape, count, shard_bytes)
        writer.index |= {"name": dataset.name, "class_names": list(dataset.class_names), "source": {
            "fingerprint": dataset.original or dataset.fingerprint, "seed": seed,
            "version": __version__}}
        _copy(dataset.images, order, writer)
        if dataset.labels is not None:
            writer.add_file("labels", dataset.labels[order].astype(np.int32))
        _add_tests(dataset, writer)
        _add_conditions(folder, writer, condition, clusters, seed, components)
        index = writer.finish()
        admit()
    return index


def _check_space(dataset, target):
    need = dataset.images.nbytes + 8 * len(dataset.images) + ROOM
    if dataset.test_images is not None:
        need += min(MOST_TESTS, len(dataset.test_images)) * int(np.prod(dataset.sample_shape))
    free = shutil.disk_usage(target.parent).free
    if free < need:
        raise UserError(f"{target}: expected {need / 2**30:.3g} GiB of free space, "
                        f"got: {free / 2**30:.3g} GiB")


def _copy(images, order, writer):
    size = max(1, PART_BYTES // (images.nbytes // len(images)))
    with tqdm(total=len(order), desc="writing shards", unit="img", leave=False,
              disable=None) as bar:
        for start in range(0, len(order), size):
            chosen = order[start : start + size]
            forwards = np.argsort(chosen)  # for images that are read from a disk
            part = np.empty((len(chosen), *images.shape[1:]), np.uint8)
            part[forwards] = images[chosen[forwards]]
            writer.add(part)
            bar.update(len(part))


def _add_tests(dataset, writer):
    """Keep test images, a random part of them if there are very many."""
    images, labels = dataset.test_images, dataset.test_labels
    if images is None:
        return
    chosen = slice(None)
    if len(images) > MOST_TESTS:
        chosen = np.sort(np.random.default_rng(0).permutation(len(images))[:MOST_TESTS])
    writer.add_file("test_images", np.asarray(images[chosen]))
    if labels is not None:
        writer.add_file("test_labels", np.asarray(labels[chosen], np.int32))


def _add_conditions(folder, writer, condition, clusters, seed, components):
    index, path = writer.index, folder / "conditions.npz"
    dataset = ShardedDataset.of(folder, index)
    components = components_for(dataset, components)
    found = find_conditions(dataset, condition, clusters, seed, components)
    write_conditions(path, found)
    index["conditions"] = entry_of(path) | {"kind": found.kind, "clusters": clusters,
                                             "components": components}
