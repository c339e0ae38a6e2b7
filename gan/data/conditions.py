"""Conditioning: the label, k-means cluster and PCA coordinates of each training image.

Clusters within each label serve best; without labels, clusters of all images (Liu et al. 2020,
"Diverse Image Generation via Self-Conditioned GANs").
"""

from dataclasses import dataclass, replace

import numpy as np
from tqdm import tqdm

from gan.common.errors import UserError, counted, note
from gan.data.arrays import read_members
from gan.data.clustering import (
    IMAGES_PER_CLUSTER,
    ClusterFeatures,
    Coordinates,
    distances,
    k_means,
    means_of,
    parts_of,
    sample_of,
)

GROUPS_OF_CLUSTERS = 10  # where there are no labels
CLUSTERING = 1  # stream of NumPy's generator
MOST_INDICES, MOST_COORDINATES = 10**5, 50  # columns of a vector, and beside it
PREFIX = "conditions/"  # of the arrays' names in a checkpoint
FIELDS = ("cluster_labels", "probabilities", "vector_indices", "kind", "class_of", "coordinates")


@dataclass(frozen=True)
class Conditioning:
    """The condition of each of N training images: one of K clusters, and D PCA coordinates."""

    cluster_labels: np.ndarray  # int32 [N] in [0, K)
    probabilities: np.ndarray  # float32 [K], how often each cluster occurs; the sum is 1
    vector_indices: np.ndarray  # int32 [K, P], where the vector of each cluster is 1
    kind: str  # "labels", "clusters" or "none"
    class_of: np.ndarray | None = None  # int32 [K], the label of each cluster
    coordinates: np.ndarray | None = None  # uint8 [N, D], levels, see `gan.data.clustering`

    @classmethod
    def of_clusters(cls, cluster_labels, group_of, labeled, coordinates=None):
        """Return the conditioning on clusters, int [N], in groups, int [K]: labels or clusters."""
        count = len(group_of)
        occurrences = np.bincount(cluster_labels, minlength=count).astype(np.float32)
        # At its own index, at its group's, and at one that all share, so that what is common
        # is learned once and not K times.
        indices = np.stack([np.arange(count), count + group_of,
                            np.full(count, count + group_of.max() + 1)], axis=1)
        if count == 1:
            indices = np.zeros((1, 1))
        has_coordinates = coordinates is not None and coordinates.size
        return cls(cluster_labels.astype(np.int32), occurrences / len(cluster_labels),
                   indices.astype(np.int32), "labels" if labeled else "clusters",
                   group_of.astype(np.int32) if labeled else None,
                   coordinates if has_coordinates else None)

    @property
    def coordinate_count(self):
        return 0 if self.coordinates is None else self.coordinates.shape[1]

    @property
    def count(self):
        return len(self.probabilities)

    @property
    def vectors(self):
        """The multi-hot vector of each cluster, float32 [K, W]; W is 1 for one cluster."""
        vectors = np.zeros((self.count, self.vector_indices.max() + 1), np.float32)
        np.put_along_axis(vectors, self.vector_indices, 1, axis=1)
        return vectors

    def describe(self):
        if self.kind == "none":
            return "none"
        number, where = self.coordinate_count, {
            "labels": "within the labels", "clusters": "of all images"}[self.kind]
        each = f", {counted(number, 'PCA coordinate')} each" if number else ""
        return f"{counted(self.count, 'cluster')} {where}{each}"

    def to_arrays(self):
        arrays = {PREFIX + field: getattr(self, field) for field in FIELDS}
        arrays[PREFIX + "kind"] = np.array(self.kind)
        return {name: array for name, array in arrays.items() if array is not None}

    @classmethod
    def from_arrays(cls, arrays, samples):
        """Return the conditioning of so many samples that `to_arrays` was called on."""
        saved = {field: arrays.get(PREFIX + field) for field in FIELDS}
        if not _fits(samples, **saved):
            raise UserError("--resume: expected a checkpoint with the conditions of "
                            f"{samples} samples, got another")
        return cls(**saved | {"kind": str(saved["kind"])})


def _fits(samples, cluster_labels, probabilities, vector_indices, kind, class_of, coordinates):
    """Whether arrays out of a file are those of the conditioning of so many samples."""
    try:
        count = len(probabilities)
        return bool(
            len(cluster_labels) == samples and _are_below(count, cluster_labels)
            and probabilities.min() >= 0 and np.isclose(probabilities.sum(), 1)
            and vector_indices.shape == (count, vector_indices.shape[1])
            and _are_below(MOST_INDICES, vector_indices)
            and (class_of is None
                 or len(class_of) == count and _are_below(MOST_INDICES, class_of))
            and (coordinates is None or coordinates.dtype == np.uint8
                 and len(coordinates) == samples and coordinates.shape[1] <= MOST_COORDINATES)
            and str(kind) in ("labels", "clusters", "none"))
    except (TypeError, AttributeError, ValueError, IndexError):
        return False


def _are_below(end, numbers):
    return numbers.dtype == np.int32 and numbers.min() >= 0 and numbers.max() < end


def condition_dataset(dataset, kind, clusters, seed, components=0):
    """Return the `Conditioning` of a data set on "labels", "clusters" or "none".

    `clusters` (within each label, or of all images) and `components` are the most that there
    may be; few images have fewer. The seed is of k-means; shards may hold conditions already.
    """
    if kind == "none":
        return Conditioning(np.zeros(len(dataset.samples), np.int32), np.ones(1, np.float32),
                            np.zeros((1, 1), np.int32), kind)
    if kind == "labels" and dataset.labels is None:
        raise UserError(
            f"--condition: expected clusters or none, as {dataset.name} has no labels, got: labels")
    if dataset.streamed:
        stored = dataset.stored_conditions(kind, clusters, components)
        if stored:
            found = read_conditions(stored, len(dataset.samples))
            first = found.coordinates[:, :components] if components else None
            return replace(found, coordinates=first)
        note(f"{dataset.folder}: no such conditions were stored; all images are read once to find "
             "them (python -m gan.shards --condition, --clusters and --components store them)")
    labels = dataset.labels if kind == "labels" else None
    return condition_images(dataset.images, labels, clusters, seed, components)


def condition_images(images, labels, clusters, seed, components):
    # Fit clusters and coordinates to a sample.
    sample, labeled = sample_of(images), labels is not None
    whole = len(sample) == len(images)
    features = ClusterFeatures(images, None if whole else sample)
    groups = labels[sample] if labeled else np.zeros(len(sample), np.int32)
    found, group_of = _clusters(features.fitted, groups, clusters, labeled,
                                np.random.default_rng([seed, CLUSTERING]))
    fitted = Coordinates(features.fitted, found, group_of, components)
    if whole:
        return Conditioning.of_clusters(found, group_of, labeled, fitted.fitted)

    # Give all images the nearest cluster, of their label if they have one.
    centers = means_of(features.fitted, found)
    if labeled:  # a class so rare that the sample has none of it is one cluster
        rare = np.setdiff1d(labels, group_of)
        group_of = np.append(group_of, rare)
        centers = np.concatenate([centers, np.zeros((len(rare), centers.shape[1]), np.float32)])
    cluster_labels = np.empty(len(images), np.int32)
    coordinates = np.empty((len(images), fitted.fitted.shape[1]), np.uint8)
    with tqdm(total=len(images), desc="finding conditions", unit="img", leave=False,
              disable=None) as bar:
        for part, pixels in parts_of(images):
            described = features.of(pixels)
            away = distances(described, centers)
            if labeled:
                away[labels[part][:, None] != group_of] = np.inf
            cluster_labels[part] = away.argmin(axis=1)
            coordinates[part] = fitted.of(described, cluster_labels[part])
            bar.update(len(pixels))
    cluster_labels[sample], coordinates[sample] = found, fitted.fitted
    return Conditioning.of_clusters(cluster_labels, group_of, labeled, coordinates)


def _clusters(features, groups, wanted, labeled, random):
    """Return the cluster of each row, int [n], and the group of each cluster, int [K]."""
    found, group_of = np.zeros(len(features), np.int32), []
    for group in np.unique(groups):
        members = np.flatnonzero(groups == group)
        number = min(wanted, max(1, len(members) // IMAGES_PER_CLUSTER))
        own = k_means(features[members], number, random)
        # Clusters that came out empty leave no gap in the numbers.
        present, own = np.unique(own, return_inverse=True)
        found[members] = len(group_of) + own
        group_of += [group] * len(present)
    count, group_of = len(group_of), np.array(group_of, np.int32)
    if not labeled:
        centers = np.stack([features[found == cluster].mean(axis=0) for cluster in range(count)])
        groups = k_means(centers, min(GROUPS_OF_CLUSTERS, count), random)
        group_of = np.unique(groups, return_inverse=True)[1]
    return found, group_of


def write_conditions(file, conditioning):
    np.savez(file, **{name.removeprefix(PREFIX): array
                      for name, array in conditioning.to_arrays().items()})


def read_conditions(path, count):
    arrays = {PREFIX + name: array for name, array in read_members(path, FIELDS).items()}
    try:
        return Conditioning.from_arrays(arrays, count)
    except UserError as error:
        raise UserError(f"{path}: expected the conditions of {count} images, "
                        "got others") from error
