"""Conditions of images in shards: stored beside them, or found in a sample and given to all.

However many images there are, k-means sees a sample of fixed size. Every other
image goes to the nearest centre, in one pass over the data: when the shards are
written, so that training starts at once, or when it starts and asks for other
conditions than were stored.
"""

import numpy as np
from tqdm import tqdm

from gan.common.errors import UserError, describe_os_error
from gan.data.clustering import ClusterFeatures
from gan.data.component_count import components_for
from gan.data.components import Components, means_of
from gan.data.conditioning import condition_dataset, kind_for
from gan.data.conditions import FIELDS, PREFIX, Conditioning, from_groups, from_planes
from gan.data.messages import note
from gan.data.shard_files import flush

PART_BYTES, PART_DISTANCES = 2**26, 2**24  # of images read, and of distances computed at a time


def conditions_of(dataset, kind, clusters, seed, components=None):
    """Give every sample of a data set its condition, wherever the samples lie.

    Args:
        dataset, kind, clusters, seed, components: see `condition_dataset`. With shards that
            hold such conditions, the seed is that of writing them, and None the components
            that they hold, at most the default.

    Returns:
        A `Conditioning`.

    Raises:
        UserError: as `condition_dataset`, or for a damaged file of conditions.
    """
    if not dataset.streamed:
        return condition_dataset(dataset, kind, clusters, seed, components)
    wanted = components_for(dataset, components)
    stored = dataset.index.get("conditions") or {}
    held = _whole_number(stored.get("components"))
    enough = held > 0 if components is None else components <= held
    if enough and (kind_for(dataset, kind), clusters) == (
            stored.get("kind"), stored.get("clusters")):
        found = read_conditions(dataset.folder / stored["file"], len(dataset.images))
        return found.with_coordinates(min(wanted, held))
    if kind != "none":
        note(f"{dataset.folder}: no such conditions were stored; all images are read once to find "
             "them (python -m gan.shards --condition, --clusters and --components store them)")
    return find_conditions(dataset, kind, clusters, seed, wanted)


def _whole_number(value):
    return value if type(value) is int else 0  # shards of earlier versions have none


def read_conditions(path, count):
    """Read a file of conditions.

    Args:
        path: of an .npz file with the fields of a `Conditioning`.
        count: how many images there are.

    Raises:
        UserError: when it is damaged.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {PREFIX + name: file[name] for name in file.files if name in FIELDS}
        return Conditioning.from_arrays(arrays, count)
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {describe_os_error(error)}") from error
    except UserError as error:
        raise UserError(f"{path}: expected the conditions of {count} images, "
                        "got others") from error
    except Exception as error:  # zipfile, zlib and NumPy have errors of their own
        raise UserError(f"{path}: expected a whole .npz file, got a damaged one "
                        f"({error})") from error


def write_conditions(path, conditioning):
    """Write a file of conditions; the numbers take two bytes an image where that is enough."""
    small = np.uint16 if conditioning.count <= 2**16 else np.int32
    fields = {name: getattr(conditioning, name) for name in FIELDS}
    fields |= {"cluster_labels": conditioning.cluster_labels.astype(small),
               "kind": np.array(conditioning.kind)}
    with open(path, "wb") as file:
        np.savez(file, **{name: field for name, field in fields.items() if field is not None})
        flush(file)


def find_conditions(dataset, kind, clusters, seed, components=0):
    """Find clusters in the sample of a data set and give each image the nearest.

    Args:
        dataset: a `ShardedDataset`.
        kind, clusters, seed, components: see `condition_dataset`.

    Returns:
        A `Conditioning`.
    """
    if kind == "none":
        return condition_dataset(dataset, kind, clusters, seed)
    sample = dataset.sample()
    found = condition_dataset(sample, kind, clusters, seed, components)
    if len(sample.images) == len(dataset.images):
        return found
    if found.kind == "planes":
        return _by_planes(dataset, sample, found)
    return _by_clusters(dataset, sample, found, components)


def _by_clusters(dataset, sample, found, components):
    labelled = found.class_of is not None
    features = ClusterFeatures(sample.images)
    described = features.fitted  # of all: a sample is no larger than what it was found from
    centres = means_of(described, found.cluster_labels)
    groups = found.class_of if labelled else (
        found.vector_indices[:, 1] - found.count if found.count > 1 else np.zeros(1, np.int32))
    fitted = Components(described, found.cluster_labels, groups, components)
    if labelled:  # a class so rare that the sample has none of it is one cluster
        rare = np.setdiff1d(dataset.labels, groups)
        groups = np.append(groups, rare).astype(np.int32)
        centres = np.concatenate([centres, np.zeros((len(rare), centres.shape[1]), np.float32)])
    ids = np.empty(len(dataset.images), np.int32)
    levels = np.empty((len(ids), fitted.levels.shape[1]), np.uint8)
    for part, images in _parts(dataset.images, len(centres)):
        described = features.of(images)
        distances = _distances(described, centres)
        if labelled:
            distances[dataset.labels[part][:, None] != groups] = np.inf
        ids[part] = distances.argmin(axis=1)
        levels[part] = fitted.of(described, ids[part])
    present, ids = np.unique(ids, return_inverse=True)
    groups = groups[present] if labelled else np.unique(groups[present], return_inverse=True)[1]
    return from_groups(ids.astype(np.int32), groups, labelled, levels)


def _by_planes(dataset, sample, found):
    planes = sample.images.shape[-1]
    clusters = int(found.vector_indices.max()) // planes
    known = []
    for plane in range(planes):
        images = sample.images[..., plane : plane + 1]
        features = ClusterFeatures(images)
        numbers = found.vector_indices[found.cluster_labels, plane] - plane * clusters
        present, numbers = np.unique(numbers, return_inverse=True)
        known.append((features, present, means_of(features.of(images), numbers)))
    nearest = np.empty((len(dataset.images), planes), np.int32)
    for part, images in _parts(dataset.images, clusters):
        for plane, (features, present, centres) in enumerate(known):
            described = features.of(images[..., plane : plane + 1])
            nearest[part, plane] = present[_distances(described, centres).argmin(axis=1)]
    return from_planes(nearest, clusters)


def _distances(features, centres):
    """Return |f - c|^2 without its |f|^2, which is the same for every centre: [N, K]."""
    return np.square(centres).sum(axis=1) - 2 * features @ centres.T


def _parts(images, centres):
    """Yield all images in order, (slice, array), as many at a time as fit."""
    size = max(1, min(PART_BYTES // (images.nbytes // len(images)), PART_DISTANCES // centres))
    with tqdm(total=len(images), desc="finding conditions", unit="img", leave=False,
              disable=None) as bar:
        for start in range(0, len(images), size):
            part = slice(start, min(start + size, len(images)))
            yield part, images[part]
            bar.update(part.stop - start)
