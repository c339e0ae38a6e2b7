"""What each image is conditioned on: nothing, its label, its cluster.

A generator that is told which of many small groups to draw from has an easier
task, and a discriminator that is told it a stricter one. Labels serve when
there are any; k-means clusters of the images serve without (Liu et al. 2020,
"Diverse Image Generation via Self-Conditioned GANs"), and clusters within each
label serve best.
"""

from dataclasses import dataclass

import numpy as np

from gan.common.errors import UserError
from gan.data.datasets import STACKED
from gan.data.orientation import orientation_histograms

COMPONENTS = 50  # principal components that the clusters are made in
MOST_IMAGES = 65_536  # that the components are found from
MOST_PLACES = 10**5  # of a code
PART = 8192  # images described at a time
ITERATIONS = 15  # of k-means
SAMPLES_PER_START = 40
CLUSTERS_PER_LABEL = 12
CLUSTERS_WITHOUT_LABELS = 256
CLUSTERS_OF_PLANE = 16
GROUPS_OF_CLUSTERS = 10
IMAGES_PER_CLUSTER = 10  # at least; fewer would invite copying


@dataclass(frozen=True)
class Conditioning:
    """The condition of every training image.

    Attributes:
        ids: int32 [N] in [0, K).
        shares: float32 [K], how often each condition occurs; the sum is 1.
        parts: int32 [K, P], what each condition is told by: itself, its group
            (its label, or its cluster of clusters), and what all share; for
            colour planes the cluster in each. Places in `codes`.
        kind: "labels", "clusters", "planes" or "none".
        class_of: int32 [K], the label of each condition, or None without labels.
    """

    ids: np.ndarray
    shares: np.ndarray
    parts: np.ndarray
    kind: str
    class_of: np.ndarray | None = None

    @property
    def count(self):
        """K, the number of conditions."""
        return len(self.shares)

    @property
    def codes(self):
        """How the networks are told of each condition, float32 [K, W].

        Ones at its `parts`: what is common to a group, or to all images, is
        then learned once and not K times. W is 1 for a single condition.
        """
        codes = np.zeros((self.count, self.parts.max() + 1), np.float32)
        np.put_along_axis(codes, self.parts, 1, axis=1)
        return codes

    def describe(self):
        """The conditions in words."""
        return {
            "none": "none",
            "labels": f"{self.count} clusters within the labels",
            "clusters": f"{self.count} clusters of all images",
            "planes": f"{self.count} combinations of clusters in the colour planes",
        }[self.kind]

    def to_arrays(self):
        """Return dict of name → array, for a checkpoint."""
        arrays = {"conditions/ids": self.ids, "conditions/shares": self.shares,
                  "conditions/parts": self.parts, "conditions/kind": np.array(self.kind)}
        return arrays if self.class_of is None else arrays | {"conditions/class_of": self.class_of}

    @classmethod
    def from_arrays(cls, arrays, samples):
        """Take back out of `arrays` what `to_arrays` gave.

        Args:
            arrays: dict of name → array; those of a conditioning are removed.
            samples: how many conditions there must be.

        Raises:
            UserError: when they are not those of a conditioning.
        """
        names = ("ids", "shares", "parts", "kind", "class_of")
        ids, shares, parts, kind, class_of = (
            arrays.pop(f"conditions/{name}", None) for name in names)
        try:
            count = len(shares)
            fits = (ids.shape == (samples,) and ids.min() >= 0 and ids.max() < count
                    and shares.shape == (count,) and np.isfinite(shares).all()
                    and len(parts) == count and parts.min() >= 0 and parts.max() < MOST_PLACES
                    and (class_of is None or class_of.shape == (count,))
                    and str(kind) in ("labels", "clusters", "planes", "none"))
        except (TypeError, AttributeError, ValueError):
            fits = False
        if not fits:
            raise UserError("--resume: expected a checkpoint with the conditions of "
                            f"{samples} samples, got another")
        return cls(ids.astype(np.int32), shares.astype(np.float32), parts.astype(np.int32),
                   str(kind), class_of)


def condition_dataset(dataset, kind, clusters, seed):
    """Give every image of a data set its condition.

    Args:
        dataset: a `Dataset`.
        kind: "auto", "labels", "clusters", "planes" or "none"; see `TrainConfig.condition`.
        clusters: how many clusters (within each label, in each plane, or in all); None: the
            default, fewer for a small data set.
        seed: of the k-means starts.

    Returns:
        A `Conditioning`.

    Raises:
        UserError: for "labels" without labels, or more clusters than images.
    """
    if kind == "auto":
        kind = "clusters" if dataset.labels is None else "labels"
        # Its planes show a digit each, which clusters of the whole would mix.
        kind = "planes" if dataset.name == STACKED else kind
    if kind == "none":
        return Conditioning(np.zeros(len(dataset.samples), np.int32), np.ones(1, np.float32),
                            np.zeros((1, 1), np.int32), kind)
    if kind == "labels" and dataset.labels is None:
        raise UserError(
            f"--condition: expected clusters or none, as {dataset.name} has no labels, got: labels"
        )
    random = np.random.default_rng([seed, 1])
    if kind == "planes" and dataset.images.shape[-1] == 1:
        raise UserError("--condition: expected images of several colour planes for planes, "
                        f"got: {dataset.name}, which is grey")
    if kind == "planes":
        return _by_planes(dataset.images, clusters or CLUSTERS_OF_PLANE, random)
    return _by_clusters(dataset, kind == "labels", clusters, random)


def _by_clusters(dataset, labelled, clusters, random):
    """Clusters within each label, or of all images, and the group of each."""
    features = edge_features(dataset.images)
    groups = dataset.labels if labelled else np.zeros(len(features), np.int32)
    wanted = clusters or (CLUSTERS_PER_LABEL if labelled else CLUSTERS_WITHOUT_LABELS)
    ids, group_of = np.zeros(len(features), np.int32), []
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
        ids[members] = len(group_of) + found
        group_of += [group] * len(present)
    count, kind = len(group_of), "labels" if labelled else "clusters"
    shares = np.bincount(ids, minlength=count).astype(np.float32) / len(ids)
    group_of = np.array(group_of, np.int32)
    if not labelled:
        centres = np.stack([features[ids == cluster].mean(axis=0) for cluster in range(count)])
        found = k_means(centres, min(GROUPS_OF_CLUSTERS, count), random)
        group_of = np.unique(found, return_inverse=True)[1]
    if count == 1:
        return Conditioning(ids, shares, np.zeros((1, 1), np.int32), kind,
                            group_of if labelled else None)
    own = np.arange(count)
    parts = np.stack([own, count + group_of, np.full(count, count + group_of.max() + 1)], axis=1)
    return Conditioning(ids, shares, parts.astype(np.int32), kind,
                        group_of if labelled else None)


def _by_planes(images, clusters, random):
    """The cluster in each colour plane: for planes that show different things."""
    planes = images.shape[-1]
    found = np.stack([
        k_means(edge_features(images[..., plane : plane + 1]), clusters, random)
        for plane in range(planes)
    ], axis=1)
    present, ids = np.unique(found, axis=0, return_inverse=True)
    shares = np.bincount(ids.ravel()).astype(np.float32) / len(ids)
    shared = np.full((len(present), 1), planes * clusters)
    parts = np.concatenate([present + clusters * np.arange(planes), shared], axis=1)
    return Conditioning(ids.ravel().astype(np.int32), shares, parts.astype(np.int32), "planes")


def edge_features(images):
    """Describe images by the principal components of their edges.

    Args:
        images: uint8 [N, H, W, C].

    Returns:
        float32 [N, components]; what is held besides does not grow with N.
    """
    sample = np.concatenate([orientation_histograms(part) for part in some_of(images)])
    components = PrincipalComponents(sample, COMPONENTS)
    return np.concatenate([
        components.project(orientation_histograms(images[start : start + PART]))
        for start in range(0, len(images), PART)
    ])


def some_of(images):
    """Yield at most 65,536 images, the same for the same number, some at a time."""
    chosen = np.arange(len(images))
    if len(images) > MOST_IMAGES:
        chosen = np.sort(np.random.default_rng(0).permutation(len(images))[:MOST_IMAGES])
    for start in range(0, len(chosen), PART):
        yield images[chosen[start : start + PART]]


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

    def _centred(self, arrays, size=PART):
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
    lengths = np.square(centres).sum(axis=1)
    return np.concatenate([
        (lengths - 2 * points[start : start + MOST_IMAGES] @ centres.T).argmin(axis=1)
        for start in range(0, len(points), MOST_IMAGES)
    ])
