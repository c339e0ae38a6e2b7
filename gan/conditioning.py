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

COMPONENTS = 50  # principal components that the clusters are made in
ITERATIONS = 15  # of k-means
CLUSTERS_PER_LABEL = 12
CLUSTERS_WITHOUT_LABELS = 128
IMAGES_PER_CLUSTER = 10  # at least; fewer would invite copying


@dataclass(frozen=True)
class Conditioning:
    """The condition of every training image.

    Attributes:
        ids: int32 [N] in [0, K).
        shares: float32 [K], how often each condition occurs; the sum is 1.
        class_of: int32 [K], the class a condition belongs to, or None.
    """

    ids: np.ndarray
    shares: np.ndarray
    class_of: np.ndarray | None = None

    @property
    def count(self):
        """K, the number of conditions."""
        return len(self.shares)

    def to_arrays(self):
        """Return dict of name → array, for a checkpoint."""
        classes = [] if self.class_of is None else self.class_of
        return {"conditions/ids": self.ids, "conditions/shares": self.shares,
                "conditions/class_of": np.array(classes, np.int32)}

    @classmethod
    def from_arrays(cls, arrays):
        """Take back out of `arrays` what `to_arrays` gave."""
        ids, shares, classes = (
            arrays.pop(f"conditions/{name}") for name in ("ids", "shares", "class_of")
        )
        return cls(ids, shares, classes if len(classes) else None)


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
        return Conditioning(np.zeros(count, np.int32), np.ones(1, np.float32))
    if kind == "labels" and dataset.labels is None:
        raise UserError(
            f"--condition: expected clusters or none, as {dataset.name} has no labels, got: labels"
        )
    features = PrincipalComponents(dataset.images, COMPONENTS).project(dataset.images)
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
    classes = np.array(class_of, np.int32) if kind == "labels" else None
    return Conditioning(ids, shares, classes)


class PrincipalComponents:
    """The directions in which images vary most."""

    def __init__(self, images, number):
        """
        Args:
            images: uint8 [N, ...] to learn from.
            number: components wanted; images of fewer pixels have fewer.
        """
        flat = images.reshape(len(images), -1)
        self._mean = flat.mean(axis=0, dtype=np.float64).astype(np.float32) / 255
        covariance = np.zeros((flat.shape[1], flat.shape[1]), np.float32)
        for part in self._centred(images):
            covariance += part.T @ part
        _, vectors = np.linalg.eigh(covariance / len(flat))
        self._axes = np.ascontiguousarray(vectors[:, ::-1][:, :number])

    def project(self, images):
        """Return float32 [N, components], largest variance first.

        Args:
            images: uint8 [N, ...]; the unit of the result is the pixel range.
        """
        return np.concatenate([part @ self._axes for part in self._centred(images)])

    def _centred(self, images, size=8192):
        flat = images.reshape(len(images), -1)
        for start in range(0, len(flat), size):
            yield flat[start : start + size].astype(np.float32) / 255 - self._mean


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
    centres = points[random.integers(len(points))][None]
    nearest = np.square(points - centres[0]).sum(axis=1)
    for _ in range(number - 1):
        place = np.searchsorted(np.cumsum(nearest), random.random() * nearest.sum())
        centre = points[min(place, len(points) - 1)]
        centres = np.concatenate([centres, centre[None]])
        nearest = np.minimum(nearest, np.square(points - centre).sum(axis=1))
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
