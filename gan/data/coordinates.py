"""PCA coordinates of images within their clusters, made independent and standard normal.

During training, the first entries of a latent vector are the coordinates of the paired real
image, and the discriminator sees them as well: a generator that is told what its latents
stand for learns faster. Within each cluster the features are centered and whitened, on the
axes that vary most within all clusters together. Then they are rotated and mapped to the
normal distribution several times, as single coordinates that are normal need not be so
together (Laparra et al. 2011, "Iterative Gaussianization"). So latents that are drawn at
random are distributed like those that were trained with.
"""

from statistics import NormalDist

import numpy as np

LEVELS = 256  # of a quantized coordinate
IMAGES_PER_COORDINATE = 250  # at least
ROTATIONS = 10
LEAST_VARIANCE = 1e-6  # of an axis, below which images are the same


def normal_quantiles():
    """Return the number that each level stands for: float32 [256], quantiles of the normal."""
    normal = NormalDist()
    return np.array([normal.inv_cdf((level + 0.5) / LEVELS) for level in range(LEVELS)],
                    np.float32)


class Coordinates:
    """Coordinates of features within clusters, as levels of a normal distribution.

    The mapping to the normal is fitted to each cluster that has a row for each level, and
    to each group for the rows of smaller ones.

    Attributes:
        fitted: uint8 [N, D], the levels of the rows that it was fitted to.
    """

    def __init__(self, features, clusters, group_of, number):
        """
        Args:
            features: float32 [N, F].
            clusters: int [N] in [0, K), the cluster of each row; each occurs.
            group_of: int [K], the group of each cluster.
            number: D; there are fewer for few rows, or where fewer axes vary.
        """
        number = min(number, len(features) // IMAGES_PER_COORDINATE)
        self._centers = means_of(features, clusters)
        large, own = np.bincount(clusters) >= LEVELS, np.arange(len(group_of))
        joined = np.where(large, own, len(own) + group_of)
        self._group_of = np.unique(joined, return_inverse=True)[1]  # without gaps
        rest = features - self._centers[clusters]
        variances, axes = np.linalg.eigh(rest.T @ rest / len(rest))
        number = int(min(number, (variances > LEAST_VARIANCE).sum()))
        self._axes = np.ascontiguousarray(axes[:, ::-1][:, :number])
        self._whitening = _whitening(rest @ self._axes, clusters)
        self._rounds = []
        values, groups = self._whitened(features, clusters), self._group_of[clusters]
        for rotation in _rotations(number):
            rotated = values @ rotation
            bounds = _bounds(rotated, groups)
            self._rounds.append((rotation, bounds))
            self.fitted = _levels(rotated, groups, bounds)
            values = normal_quantiles()[self.fitted] @ rotation.T

    def of(self, features, clusters):
        """Return the levels of other rows, uint8 [N, D]; an unknown cluster counts as the last."""
        clusters = np.minimum(clusters, len(self._centers) - 1)
        values, groups = self._whitened(features, clusters), self._group_of[clusters]
        for rotation, bounds in self._rounds:
            levels = _levels(values @ rotation, groups, bounds)
            values = normal_quantiles()[levels] @ rotation.T
        return levels

    def _whitened(self, features, clusters):
        values = (features - self._centers[clusters]) @ self._axes
        for cluster, rows in rows_of(clusters):
            values[rows] = values[rows] @ self._whitening[cluster]
        return values


def rows_of(numbers):
    """Yield each number that occurs with the places where it does: int [N] → (int, int [n])."""
    order = np.argsort(numbers, kind="stable")
    present, starts = np.unique(numbers[order], return_index=True)
    yield from zip(present, np.split(order, starts[1:]), strict=True)


def means_of(values, clusters):
    """Return the mean of the values of each cluster, float32 [K, F]; each cluster occurs."""
    sums = np.stack([np.bincount(clusters, column) for column in values.T], axis=1)
    return (sums / np.bincount(clusters)[:, None]).astype(np.float32)


def _rotations(number):
    """Return the rotation of each round, float32 [D, D]; the last one is the identity."""
    random = np.random.default_rng(0)
    rotations = [np.linalg.qr(random.standard_normal((number, number)))[0]
                 for _ in range(ROTATIONS)]
    return [rotation.astype(np.float32) for rotation in (*rotations, np.eye(number))]


def _bounds(values, groups):
    """Return where in each group one level of a column ends: float32 [G, D, LEVELS - 1]."""
    found = np.zeros((groups.max() + 1, values.shape[1], LEVELS - 1), np.float32)
    for group, rows in rows_of(groups):
        ranked = np.sort(values[rows], axis=0)
        found[group] = ranked[np.arange(1, LEVELS) * len(rows) // LEVELS].T
    return found


def _levels(values, groups, bounds):
    """Return the level of each value in its group: uint8 [N, D]."""
    found = np.zeros(values.shape, np.uint8)
    for group, rows in rows_of(groups):
        for column in range(values.shape[1]):
            own, ends = values[rows, column], bounds[group, column]
            level = np.searchsorted(ends, own)
            # The middle, where several levels begin and end at the same value.
            tied = ends[np.minimum(level, LEVELS - 2)] == own
            level[tied] = (level[tied] + np.searchsorted(ends, own[tied], "right")) // 2
            found[rows, column] = level
    return found


def _whitening(values, clusters):
    """Return the inverse root of each cluster's covariance, float32 [K, D, D].

    The symmetric root, so that an axis means the same in all clusters. A cluster of
    few rows borrows from the covariance of all.
    """
    number = values.shape[1]
    pooled = values.T @ values / len(values)
    found = np.zeros((clusters.max() + 1, number, number), np.float32)
    for cluster, rows in rows_of(clusters):
        own, weight = values[rows], len(rows) / (len(rows) + number)
        variances, axes = np.linalg.eigh(weight * own.T @ own / len(own) + (1 - weight) * pooled)
        found[cluster] = (axes / np.sqrt(np.maximum(variances, 1e-12))) @ axes.T
    return found
