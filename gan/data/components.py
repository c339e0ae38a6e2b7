"""What the first numbers of a latent vector stand for: principal components of the images.

A generator has to find out by itself what its latent vector shall mean. It learns
faster when it is told: in training, the first numbers of a generated image's latent
are those of the real image that it shares its condition with, and the discriminator
is told them as it is told the condition. They are made such that they are distributed
like the numbers they take the place of, independent and standard normal, so that
nothing is different when images are drawn.
"""

from statistics import NormalDist

import numpy as np

from gan.data.sizes import IMAGES_PER_COMPONENT

LEVELS = 256
TURNS = 10
LEAST_VARIANCE = 1e-6  # of a component, below which images are the same


def normal_levels():
    """Return the number that each level stands for: float32 [256], quantiles of the normal."""
    normal = NormalDist()
    return np.array([normal.inv_cdf((level + 0.5) / LEVELS) for level in range(LEVELS)],
                    np.float32)


class Components:
    """The principal components of features within clusters, as levels of a normal distribution.

    Within each cluster they are centred and whitened, on the axes that vary most within
    all clusters together. Then they are turned and spread over the normal distribution
    several times, as single components that are normal need not be so together (Laparra
    et al. 2011, "Iterative Gaussianization"): within each cluster that has an image for
    each level, and within each group for the images of smaller ones.

    Attributes:
        levels: uint8 [N, D], of the rows that they were found from.
    """

    def __init__(self, features, clusters, group_of, number):
        """
        Args:
            features: float32 [N, F], which they are found from.
            clusters: int [N] in [0, K), the cluster of each row; each occurs.
            group_of: int [K] in [0, G), the group of each cluster.
            number: D, how many components there are to be; fewer for few rows, or where
                fewer vary.
        """
        number = min(number, len(features) // IMAGES_PER_COMPONENT)
        self._centres = means_of(features, clusters)
        large, own = np.bincount(clusters) >= LEVELS, np.arange(len(group_of))
        joined = np.where(large, own, len(own) + group_of)
        self._group_of = np.unique(joined, return_inverse=True)[1]  # without gaps
        rest = features - self._centres[clusters]
        variances, axes = np.linalg.eigh(rest.T @ rest / len(rest))
        number = int(min(number, (variances > LEAST_VARIANCE).sum()))
        self._axes = np.ascontiguousarray(axes[:, ::-1][:, :number])
        self._whitening = _whitening(rest @ self._axes, clusters)
        self._rounds = []
        values, groups = self._whitened(features, clusters), self._group_of[clusters]
        for turn in _turns(number):
            turned = values @ turn
            bounds = _bounds(turned, groups)
            self._rounds.append((turn, bounds))
            self.levels = _levels(turned, groups, bounds)
            values = normal_levels()[self.levels] @ turn.T

    def of(self, features, clusters):
        """Return the levels of rows like those that the components were found from.

        Args:
            features: float32 [N, F].
            clusters: int [N]; one that did not occur there is taken for the last.

        Returns:
            uint8 [N, D], see `normal_levels`.
        """
        clusters = np.minimum(clusters, len(self._centres) - 1)
        values, groups = self._whitened(features, clusters), self._group_of[clusters]
        for turn, bounds in self._rounds:
            levels = _levels(values @ turn, groups, bounds)
            values = normal_levels()[levels] @ turn.T
        return levels

    def _whitened(self, features, clusters):
        """Return the whitened components of rows: float32 [N, D]."""
        values = (features - self._centres[clusters]) @ self._axes
        for cluster, rows in rows_of(clusters):
            values[rows] = values[rows] @ self._whitening[cluster]
        return values


def rows_of(numbers):
    """Yield each number that occurs with the places where it does: int [N] → (int, int [n])."""
    order = np.argsort(numbers, kind="stable")
    present, starts = np.unique(numbers[order], return_index=True)
    yield from zip(present, np.split(order, starts[1:]), strict=True)


def _turns(number):
    """Return the rotations of the rounds, float32 [D, D] each; the last one turns nothing."""
    random = np.random.default_rng(0)
    turns = [np.linalg.qr(random.standard_normal((number, number)))[0] for _ in range(TURNS)]
    return [turn.astype(np.float32) for turn in (*turns, np.eye(number))]


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


def means_of(values, clusters):
    """Return the mean of the values of each cluster, float32 [K, F]; each cluster occurs."""
    sums = np.stack([np.bincount(clusters, column) for column in values.T], axis=1)
    return (sums / np.bincount(clusters)[:, None]).astype(np.float32)


def _whitening(values, clusters):
    """Return the inverse root of each cluster's covariance, float32 [K, D, D].

    The symmetric root, so that an axis means the same in all clusters. A cluster of
    few rows borrows from the covariance of all.
    """
    number = values.shape[1]
    pooled = values.T @ values / len(values)
    found = np.zeros((clusters.max() + 1, number, number), np.float32)
    for cluster, rows in rows_of(clusters):
        own, share = values[rows], len(rows) / (len(rows) + number)
        variances, axes = np.linalg.eigh(share * own.T @ own / len(own) + (1 - share) * pooled)
        found[cluster] = (axes / np.sqrt(np.maximum(variances, 1e-12))) @ axes.T
    return found
