"""The condition of every training image, as the networks are told it and as it is saved."""

from dataclasses import dataclass, replace

import numpy as np

from gan.common.errors import UserError
from gan.data.messages import counted

MOST_INDICES, MOST_COORDINATES = 10**5, 50  # values in a code, and beside it
PREFIX = "conditions/"  # of the arrays' names in a checkpoint
FIELDS = ("cluster_labels", "probabilities", "vector_indices", "kind", "class_of", "coordinates")



@dataclass(frozen=True)
class Conditioning:
    """The condition of every training image.

    Attributes:
        cluster_labels: int32 [N] in [0, K).
        probabilities: float32 [K], how often each condition occurs; the sum is 1.
        vector_indices: int32 [K, P], where the code of each condition is 1: at its
            own index, at its group's (its label, or its cluster of clusters), and
            at one that all share; for colour planes at the cluster's in each.
        kind: "labels", "clusters", "planes" or "none".
        class_of: int32 [K], the label of each condition, or None without labels.
        coordinates: uint8 [N, D], what the first D numbers of an image's latent vector
            stand for, see `gan.data.components`; None for nothing.
    """

    cluster_labels: np.ndarray
    probabilities: np.ndarray
    vector_indices: np.ndarray
    kind: str
    class_of: np.ndarray | None = None
    coordinates: np.ndarray | None = None

    @property
    def coordinate_count(self):
        """D, the number of components."""
        return 0 if self.coordinates is None else self.coordinates.shape[1]

    def with_coordinates(self, most):
        """Return the same with the first components only, so many at most."""
        few = None if not most or self.coordinates is None else self.coordinates[:, :most]
        return replace(self, coordinates=few)

    @property
    def count(self):
        """K, the number of conditions."""
        return len(self.probabilities)

    @property
    def vectors(self):
        """The vector that tells the networks each condition, float32 [K, W].

        Ones at its `vector_indices`, else 0: what is common to a group, or to all
        images, is then learned once and not K times. W is 1 for one condition.
        """
        vectors = np.zeros((self.count, self.vector_indices.max() + 1), np.float32)
        np.put_along_axis(vectors, self.vector_indices, 1, axis=1)
        return vectors

    def describe(self):
        """The conditions in words."""
        clusters, number = counted(self.count, "cluster"), self.coordinate_count
        return {
            "none": "none",
            "labels": f"{clusters} within the labels",
            "clusters": f"{clusters} of all images",
            "planes": f"{self.count} combinations of clusters in the color planes",
        }[self.kind] + (f", {counted(number, 'principal component')} each" if number else "")

    def to_arrays(self):
        """Return dict of name → array, for a checkpoint."""
        arrays = {PREFIX + field: getattr(self, field) for field in FIELDS}
        arrays[PREFIX + "kind"] = np.array(self.kind)
        return {name: array for name, array in arrays.items() if array is not None}

    @classmethod
    def from_arrays(cls, arrays, samples):
        """Make again what `to_arrays` was called on.

        Args:
            arrays: dict of name → array, as `to_arrays` returned it.
            samples: how many conditions there must be.

        Raises:
            UserError: when they are not those of a conditioning.
        """
        saved = {field: arrays.get(PREFIX + field) for field in FIELDS}
        if not _fits(samples, **saved):
            raise UserError("--resume: expected a checkpoint with the conditions of "
                            f"{samples} samples, got another")
        class_of = saved["class_of"]
        return cls(saved["cluster_labels"].astype(np.int32),
                   saved["probabilities"].astype(np.float32),
                   saved["vector_indices"].astype(np.int32), str(saved["kind"]),
                   None if class_of is None else class_of.astype(np.int32), saved["coordinates"])


def _fits(samples, cluster_labels, probabilities, vector_indices, kind, class_of, coordinates):
    """Whether arrays out of a file are those of a conditioning of so many samples."""
    try:
        count = len(probabilities)
        return bool(
            cluster_labels.shape == (samples,) and cluster_labels.min() >= 0
            and cluster_labels.max() < count
            and probabilities.shape == (count,) and probabilities.min() >= 0
            and np.isclose(probabilities.sum(), 1)
            and vector_indices.ndim == 2 and len(vector_indices) == count
            and vector_indices.min() >= 0 and vector_indices.max() < MOST_INDICES
            and (class_of is None or class_of.shape == (count,))
            and (coordinates is None or (coordinates.dtype == np.uint8 and coordinates.ndim == 2
                                         and len(coordinates) == samples
                                         and coordinates.shape[1] <= MOST_COORDINATES))
            and str(kind) in ("labels", "clusters", "planes", "none"))
    except (TypeError, AttributeError, ValueError):
        return False


def from_groups(cluster_labels, group_of, labelled, levels=None):
    """Return the `Conditioning` of clusters that belong to groups.

    Args:
        cluster_labels: int32 [N] in [0, K), each image's cluster; each occurs.
        group_of: int [K], each cluster's label, or its cluster of clusters.
        labelled: whether the groups are labels.
        levels: uint8 [N, D], the components within the clusters; None or D = 0 for none.
    """
    levels = levels if levels is not None and levels.size else None
    count, kind = len(group_of), "labels" if labelled else "clusters"
    occurrences = np.bincount(cluster_labels, minlength=count)
    probabilities = occurrences.astype(np.float32) / len(cluster_labels)
    if count == 1:
        return Conditioning(cluster_labels, probabilities, np.zeros((1, 1), np.int32), kind,
                            group_of if labelled else None, levels)
    own = np.arange(count)
    shared = np.full(count, count + group_of.max() + 1)
    indices = np.stack([own, count + group_of, shared], axis=1)
    return Conditioning(cluster_labels, probabilities, indices.astype(np.int32), kind,
                        group_of if labelled else None, levels)


def from_planes(found, clusters):
    """Return the `Conditioning` of clusters in colour planes.

    Args:
        found: int [N, planes] in [0, clusters), the cluster of each plane.
        clusters: in a plane.
    """
    planes = found.shape[1]
    present, cluster_labels = np.unique(found, axis=0, return_inverse=True)
    probabilities = np.bincount(cluster_labels.ravel()).astype(np.float32) / len(cluster_labels)
    shared = np.full((len(present), 1), planes * clusters)
    indices = np.concatenate([present + clusters * np.arange(planes), shared], axis=1)
    return Conditioning(cluster_labels.ravel().astype(np.int32), probabilities,
                        indices.astype(np.int32), "planes")
