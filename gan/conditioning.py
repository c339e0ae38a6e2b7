"""What each image is conditioned on: nothing, its label, its cluster.

A generator that is told which of many small groups to draw from has an easier
task, and a discriminator that is told it a stricter one. Labels serve when
there are any; k-means clusters of the images serve without (Liu et al. 2020,
"Diverse Image Generation via Self-Conditioned GANs"), and clusters within each
label serve best.
"""

from dataclasses import dataclass

import numpy as np

from gan.errors import UserError
from gan.orientation import orientation_histograms

COMPONENTS = 50  # principal components that the clusters are made in
ITERATIONS = 15  # of k-means
SAMPLES_PER_START = 40
CLUSTERS_PER_LABEL = 12
CLUSTERS_WITHOUT_LABELS = 256
GROUPS_OF_CLUSTERS = 10
IMAGES_PER_CLUSTER = 10  # at least; fewer would invite copying


@dataclass(frozen=True)
class Conditioning:
    """The condition of every training image.

    Attributes:
        ids: int32 [N] in [0, K).
        shares: float32 [K], how often each condition occurs; the sum is 1.
        group_of: int32 [K], the group of conditions that each belongs to: its
            label, or without labels its cluster of clusters.
        labelled: whether the groups are the labels of the data.
    """

    ids: np.ndarray
    shares: np.ndarray
    group_of: np.ndarray
    labelled: bool

    @property
    def count(self):
        """K, the number of conditions."""
        return len(self.shares)

    @property
    def class_of(self):
        """int32 [K], the label of each condition, or None without labels."""
        return self.group_of if self.labelled else None

    @property
    def codes(self):
        """How the networks are told of each condition, float32 [K, W].

        Ones at the condition itself, at its group, and at a place that all
        share: what is common to a group, or to all images, is then learned
        once and not K times. W is 1 for a single condition.
        """
        shared = np.ones((self.count, 1), np.float32)
        if self.count == 1:
            return shared
        groups = np.eye(self.group_of.max() + 1, dtype=np.float32)[self.group_of]
        return np.concatenate([np.eye(self.count, dtype=np.float32), groups, shared], axis=1)

    def to_arrays(self):
        """Return dict of name → array, for a checkpoint."""
        return {"conditions/ids": self.ids, "conditions/shares": self.shares,
                "conditions/group_of": self.group_of,
                "conditions/labelled": np.array(self.labelled)}

    @classmethod
    def from_arrays(cls, arrays):
        """Take back out of `arrays` what `to_arrays` gave."""
        ids, shares, group_of, labelled = (
            arrays.pop(f"conditions/{name}")
            for name in ("ids", "shares", "group_of", "labelled")
        )
        return cls(ids, shares, group_of, bool(labelled))


def condition_dataset(dataset, kind, clusters, seed):
    """Give every image of a data set its condition.

    Args:
        dataset: a `Dataset`.
        kind: "auto", "labels", "clusters" or "none"; see `TrainConfig.condition`.
        clusters: how many clusters (within each label, or in all); None: the
            default, fewer for a small data set.
        seed: of the k-means starts.

    Returns:
        A `Conditioning`.

    Raises:
        UserError: for "labels" without labels, or more clusters than images.
    """
    if kind == "auto":
        kind = "clusters" if dataset.labels is None else "labels"
    count = len(dataset.images)
    if kind == "none":
        return Conditioning(np.zeros(count, np.int32), np.ones(1, np.float32),
                            np.zeros(1, np.int32), labelled=False)
    if kind == "labels" and dataset.labels is None:
        raise UserError(
            f"--condition: expected clusters or none, as {dataset.name} has no labels, got: labels"
        )
    edges = orientation_histograms(dataset.images)
    features = PrincipalComponents(edges, COMPONENTS).project(edges)
    random = np.random.default_rng([seed, 1])
    groups = dataset.labels if kind == "labels" else np.zeros(count, np.int32)
    wanted = clusters or (CLUSTERS_PER_LABEL if kind == "labels" else CLUSTERS_WITHOUT_LABELS)
    ids, class_of = np.zeros(count, np.int32), []
    for group in range(groups.max() + 1):
        members = np.flatnonzero(groups == group)
        if len(members) == 0:
            continue
        if clusters and clusters > len(members):
            raise UserError(
                f"--clusters: expected at most {len(members)}, the number of images "
                f"to divide, got: {clusters}"
            )
        number = clusters or min(wanted, max(1, len(members) // IMAGES_PER_CLUSTER))
        found = k_means(features[members], number, random)
        # Clusters that came out empty leave no gap in the numbers.
        present, found = np.unique(found, return_inverse=True)
        ids[members] = len(class_of) + found
        class_of += [group] * len(present)
    shares = np.bincount(ids, minlength=len(class_of)).astype(np.float32) / count
    if kind == "labels":
        return Conditioning(ids, shares, np.array(class_of, np.int32), labelled=True)
    centres = np.stack([features[ids == cluster].mean(axis=0) for cluster in range(len(shares))])
    found = k_means(centres, min(GROUPS_OF_CLUSTERS, len(shares)), random)
    group_of = np.unique(found, return_inverse=True)[1].astype(np.int32)
    return Conditioning(ids, shares, group_of, labelled=False)


class PrincipalComponents:
    """The directions in which arrays vary most."""

    def __init__(self, arrays, number):
        """
        Args:
            arrays: [N, ...] numbers to learn from.
            number: components wanted; smaller arrays have fewer.
        """
        flat = arrays.reshape(len(arrays), -1)
        self._mean = flat.mean(axis=0, dtype=np.float64).astype(np.float32)
        covariance = np.zeros((flat.shape[1], flat.shape[1]), np.float32)
        for part in self._centred(arrays):
            covariance += part.T @ part
        _, vectors = np.linalg.eigh(covariance / len(flat))
        self._axes = np.ascontiguousarray(vectors[:, ::-1][:, :number])

    def project(self, arrays):
        """Return float32 [N, components], in the unit of `arrays`, largest variance first."""
        return np.concatenate([part @ self._axes for part in self._centred(arrays)])

    def _centred(self, arrays, size=8192):
        flat = arrays.reshape(len(arrays), -1)
        for start in range(0, len(flat), size):
            yield flat[start : start + size].astype(np.float32) - self._mean


def k_means(points, number, random):
    """Divide points into clusters around their means (Lloyd's algorithm).

    The starts are spread by k-means++ (Arthur & Vassilvitskii 2007): each next
    one is a point drawn with the square of its distance to the nearest so far.

    Args:
        points: float32 [N, D].
        number: of clusters, at most N.
        random: a `numpy.random.Generator`.

    Returns:
        int [N] in [0, number); a cluster may come out empty.
    """
    # Starts among a sample: as good as among all, and faster by their ratio.
    sample = points[random.permutation(len(points))[: SAMPLES_PER_START * number]]
    centres = sample[:1]
    nearest = np.square(sample - centres[0]).sum(axis=1)
    for _ in range(number - 1):
        place = np.searchsorted(np.cumsum(nearest), random.random() * nearest.sum())
        centre = sample[min(place, len(sample) - 1)]
        centres = np.concatenate([centres, centre[None]])
        nearest = np.minimum(nearest, np.square(sample - centre).sum(axis=1))
    for _ in range(ITERATIONS):
        ids = _nearest_centre(points, centres)
        order = np.argsort(ids, kind="stable")
        present, starts, counts = np.unique(ids[order], return_index=True, return_counts=True)
        sums = np.add.reduceat(points[order], starts, axis=0)
        centres[present] = sums / counts[:, None]
    return _nearest_centre(points, centres)


def _nearest_centre(points, centres):
    # |p - c|^2 without its |p|^2, which is the same for every centre.
    return (np.square(centres).sum(axis=1) - 2 * points @ centres.T).argmin(axis=1)
