"""Conditioning: the label, k-means cluster and PCA coordinates of each training image.

Clusters within each label serve best; without labels, clusters of all images (Liu et al. 2020,
"Diverse Image Generation via Self-Conditioned GANs"). Images are clustered by PCA of colors and of
histograms of oriented gradients (Dalal & Triggs 2005), as raw pixels mix what overlaps.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from statistics import NormalDist

import numpy as np
from tqdm import tqdm

from gan.common.errors import counted, note, reading
from gan.data.arrays import read_npz
from gan.data.pixels import Subset, on_grounds, slices_of

GROUPS_OF_CLUSTERS = 10  # where there are no labels
CLUSTERING = 1  # stream of NumPy's generator
FIELDS = ("cluster_labels", "probabilities", "vector_indices", "kind", "class_of", "coordinates")
MOST_IMAGES = 65_536  # that clusters and coordinates are fitted to
SAMPLE_BLOCK = 64  # neighbors in the sample, so that a disk is read in fewer places
DIMENSIONS = 50  # of the features, for edges and for colors
PART, PART_BYTES = 8192, 2**26  # images, and bytes of them, described at a time
LEAST_DEVIATION = 1e-3  # of colors, below which they are the same everywhere
GRID = 4  # cells each way, whose mean colors are taken
THREADS = 4
BINS = 8  # directions, 45 degrees apart
PART_PIXELS = 2**17  # that a thread describes at a time; larger arrays would cost page faults
ITERATIONS = 15  # of k-means
SAMPLES_PER_START = 40
# Images in a cluster at least, or what is generated for one is too much alike.
IMAGES_PER_CLUSTER = {"labels": 16, "clusters": 8}
LEVELS = 256  # of a quantized coordinate
FARTHEST = 256.0  # deviations, at which coordinates are clipped
IMAGES_PER_COORDINATE = 250  # at least
ROTATIONS = 10
HELD_OUT_SPREAD = 1.05  # deviation of the coordinates of images that they were not fitted to
LEAST_VARIANCE = 1e-6  # of an axis, below which images are the same


@dataclass(frozen=True)
class Conditioning:
    """The condition of each of N training images: one of K clusters, and D PCA coordinates."""

    cluster_labels: np.ndarray  # int32 [N] in [0, K)
    probabilities: np.ndarray  # float32 [K], how often each cluster occurs; the sum is 1
    vector_indices: np.ndarray  # int32 [K, P], where the vector of each cluster is 1
    kind: str  # "labels", "clusters" or "none"
    class_of: np.ndarray | None = None  # int32 [K], the label of each cluster
    # uint8 [N, D], levels of the normal, see `Coordinates`.
    coordinates: np.ndarray = field(default_factory=lambda: np.zeros((0, 0), np.uint8))

    @classmethod
    def of_clusters(cls, cluster_labels, group_of, kind, coordinates):
        """Return the conditioning on clusters, int [N], in groups, int [K]."""
        count = len(group_of)
        occurrences = np.bincount(cluster_labels, minlength=count).astype(np.float32)
        # At its own index, at its group's, and at one that all share, so that what is common
        # is learned once and not K times.
        indices = np.stack([np.arange(count), count + group_of,
                            np.full(count, count + group_of.max() + 1)], axis=1)
        if count == 1:
            indices = np.zeros((1, 1))
        return cls(cluster_labels.astype(np.int32), occurrences / len(cluster_labels),
                   indices.astype(np.int32), kind,
                   group_of.astype(np.int32) if kind == "labels" else None, coordinates)

    @property
    def count(self):
        return len(self.probabilities)

    @property
    def vector_size(self):
        return int(self.vector_indices.max()) + 1

    @property
    def condition_size(self):
        """Length of what the discriminator is conditioned on: a vector and coordinates, W + D."""
        return self.vector_size + self.coordinates.shape[1]

    @property
    def vectors(self):
        """The multi-hot vector of each cluster, float32 [K, W]; W is 1 for one cluster."""
        vectors = np.zeros((self.count, self.vector_size), np.float32)
        np.put_along_axis(vectors, self.vector_indices, 1, axis=1)
        return vectors

    def describe(self):
        if self.kind == "none":
            return "none"
        number = self.coordinates.shape[1]
        where = "within the labels" if self.kind == "labels" else "of all images"
        each = f", {counted(number, 'PCA coordinate')} each" if number else ""
        return f"{counted(self.count, 'cluster')} {where}{each}"

    def to_arrays(self):
        return {name: np.asarray(getattr(self, name)) for name in FIELDS
                if getattr(self, name) is not None}

    @classmethod
    def from_arrays(cls, arrays, samples, where="--resume"):
        """Return the conditioning of so many samples that `to_arrays` was called on."""
        with reading(where, f"the conditions of {samples} samples"):
            saved = {name: arrays[name] for name in FIELDS if name in arrays}
            found = cls(**saved | {"kind": str(saved["kind"])})
            if not len(found.cluster_labels) == len(found.coordinates) == samples:
                raise ValueError(f"it holds those of {len(found.cluster_labels)}")
            return found


def condition_dataset(dataset, kind, clusters, seed, components=0):
    """Return the `Conditioning` of a data set on "labels", "clusters" or "none".

    `clusters` (within each label, or of all images) and `components` are the most that there
    may be; few images have fewer. The seed is of k-means; shards may hold conditions already.
    """
    if kind == "none":
        count = len(dataset.images)
        return Conditioning.of_clusters(np.zeros(count, int), np.zeros(1, int), kind,
                                        np.zeros((count, 0), np.uint8))
    if dataset.streamed:
        stored = dataset.stored_conditions(kind, clusters, components)
        if stored:
            found = read_conditions(stored, len(dataset.images))
            return replace(found, coordinates=found.coordinates[:, :components])
        note(f"{dataset.folder}: no such conditions were stored; all images are read once to find "
             "them (python -m gan.shards --condition, --clusters and --components store them)")
    labels = dataset.labels if kind == "labels" else None
    return condition_images(dataset.images, labels, clusters, seed, components)


def condition_images(images, labels, clusters, seed, components):
    # Fit clusters and coordinates to a sample. Without labels, all images are of one class.
    kind = "clusters" if labels is None else "labels"
    labels = np.zeros(len(images), np.int32) if labels is None else labels
    sample, random = sample_of(images), np.random.default_rng([seed, CLUSTERING])
    features = ClusterFeatures(images, sample)
    found, class_of = _clusters(features.fitted, labels[sample], clusters,
                                IMAGES_PER_CLUSTER[kind], random)
    group_of = class_of if kind == "labels" else _groups(features.fitted, found, random)
    fitted = Coordinates(features.fitted, found, group_of, components)
    if len(sample) == len(images):
        return Conditioning.of_clusters(found, group_of, kind, fitted.fitted)

    # Give all images the nearest cluster of their class, of which a class so rare that the sample
    # has none of it is one.
    centers, rare = means_of(features.fitted, found), np.setdiff1d(labels, class_of)
    class_of, group_of = np.append(class_of, rare), np.append(group_of, rare)
    centers = np.concatenate([centers, np.zeros((len(rare), centers.shape[1]), np.float32)])
    cluster_labels = np.empty(len(images), np.int32)
    coordinates = np.empty((len(images), fitted.fitted.shape[1]), np.uint8)
    for part in tqdm([*slices_of(images, PART, PART_BYTES)], desc="finding conditions",
                     unit="part", leave=False, disable=None):
        described = features.of(images[part])
        away = distances(described, centers)
        away[labels[part][:, None] != class_of] = np.inf
        cluster_labels[part] = away.argmin(axis=1)
        coordinates[part] = fitted.of(described, cluster_labels[part])
    cluster_labels[sample], coordinates[sample] = found, fitted.fitted
    return Conditioning.of_clusters(cluster_labels, group_of, kind, coordinates)


def _clusters(features, labels, wanted, least, random):
    """Return the cluster of each row, int [n], and the class of each cluster, int [K]."""
    found, class_of = np.zeros(len(features), np.int32), []
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        number = min(wanted, max(1, len(members) // least))
        own = k_means(features[members], number, random)
        # Clusters that came out empty leave no gap in the numbers.
        present, own = np.unique(own, return_inverse=True)
        found[members] = len(class_of) + own
        class_of += [label] * len(present)
    # In random order, so that the classes of consecutive seeds show no pattern.
    order = random.permutation(len(class_of))
    return np.argsort(order).astype(np.int32)[found], np.array(class_of, np.int32)[order]


def _groups(features, found, random):
    """Return the group of each cluster that is one of alike ones: int [K]."""
    centers = means_of(features, found)
    groups = k_means(centers, min(GROUPS_OF_CLUSTERS, len(centers)), random)
    return np.unique(groups, return_inverse=True)[1]


def read_conditions(path, count):
    return Conditioning.from_arrays(read_npz(path, FIELDS), count, path)


# Features, clusters and coordinates.


def sample_of(images):
    """Return the places of at most 65,536 images, evenly spaced blocks of neighbors: int [n]."""
    if len(images) <= MOST_IMAGES:
        return np.arange(len(images))
    starts = np.linspace(0, len(images) - SAMPLE_BLOCK, MOST_IMAGES // SAMPLE_BLOCK).astype(int)
    return (starts[:, None] + np.arange(SAMPLE_BLOCK)).ravel()


class ClusterFeatures:
    """PCA of the edges in the images at some places, and of the colors if they have any."""

    def __init__(self, images, places):
        self._describe = [orientation_histograms, *([thumbnails] * (images.shape[-1] > 1))]
        images = Subset(images, places)
        parts = [self._described(images[part]) for part in slices_of(images, PART, PART_BYTES)]
        described = [np.concatenate(kind) for kind in zip(*parts, strict=True)]
        self._axes = [PrincipalComponents(kind, DIMENSIONS) for kind in described]
        self.fitted = self._project(described)  # float32 [n, D]

    def of(self, images):
        return self._project(self._described(images))

    def _described(self, images):
        images = on_grounds(images)
        return [describe(images) for describe in self._describe]

    def _project(self, described):
        edges, *colors = [axes.project(values) for axes, values
                          in zip(self._axes, described, strict=True)]
        # As large a variance as that of the edges, so that neither decides alone.
        units = [self._axes[0].deviation / max(axes.deviation, LEAST_DEVIATION)
                 for axes in self._axes[1:]]
        return np.concatenate([edges, *(np.float32(unit) * values for unit, values
                                        in zip(units, colors, strict=True))], axis=1)


def thumbnails(images):
    """Return the mean colors of a grid of 4 x 4 cells: uint8 [N, H, W, C] → float32 [N, 16 C]."""
    height, width = images.shape[1:3]
    down, across = np.arange(GRID) * height // GRID, np.arange(GRID) * width // GRID
    rows = np.add.reduceat(images, down, axis=1, dtype=np.float32)
    cells = np.add.reduceat(rows, across, axis=2)
    sizes = np.diff([*down, height])[:, None, None] * np.diff([*across, width])[:, None]
    return (cells / (255 * sizes)).reshape(len(images), -1)


def orientation_histograms(images):
    """Describe the edges of images: uint8 [N, H, W, C] → float32 [N, cells * cells * 8]."""
    height, width = images.shape[1:3]
    cell = 4 * -(-max(height, width) // 32)
    parts = slices_of(images, values=PART_PIXELS, shape=(height, width))
    with ThreadPoolExecutor(THREADS) as pool:  # NumPy releases the lock in its long loops
        return np.concatenate([*pool.map(lambda part: _histograms(images[part], cell), parts)])


def _histograms(images, cell):
    count, height, width = images.shape[:3]
    # The mean over colors: what has one brightness has no edges here.
    gray = np.pad(images.mean(axis=3, dtype=np.float32) / 255, ((0, 0), (1, 1), (1, 1)))
    across = gray[:, 1:-1, 2:] - gray[:, 1:-1, :-2]
    down = gray[:, 2:, 1:-1] - gray[:, :-2, 1:-1]
    edges = np.flatnonzero((across != 0) | (down != 0))
    across, down = across.ravel()[edges], down.ravel()[edges]
    length = np.hypot(across, down)
    direction = np.arctan2(down, across) * (BINS / (2 * np.pi))
    direction[direction < 0] += BINS  # the remainder by BINS, in less time
    whole = np.floor(direction)
    fraction = direction - whole
    lower = whole.astype(np.int64) % BINS

    # Share each gradient between the two nearest directions of its cell.
    rows, columns = -(-height // cell), -(-width // cell)
    row, column = np.arange(height)[:, None] // cell, np.arange(width) // cell
    cell_of = (np.arange(count)[:, None, None] * rows + row) * columns + column
    place = cell_of.ravel()[edges] * BINS
    total = count * rows * columns * BINS
    histogram = np.bincount(place + lower, length * (1 - fraction), total)
    histogram += np.bincount(place + (lower + 1) % BINS, length * fraction, total)
    histogram = histogram.astype(np.float32).reshape(count, rows, columns, BINS)

    # Give half of each histogram to the neighbors. The root makes distances those of Hellinger.
    wide = np.pad(histogram, ((0, 0), (1, 1), (1, 1), (0, 0)))
    neighbors = wide[:, :-2, 1:-1] + wide[:, 2:, 1:-1] + wide[:, 1:-1, :-2] + wide[:, 1:-1, 2:]
    return np.sqrt(histogram / 2 + neighbors / 8).reshape(count, -1)


class PrincipalComponents:
    """The `number` directions in which arrays, [N, ...], vary most."""

    def __init__(self, arrays, number):
        flat = arrays.reshape(len(arrays), -1)
        self._mean = flat.mean(axis=0, dtype=np.float64).astype(np.float32)
        covariance = np.zeros((flat.shape[1], flat.shape[1]), np.float32)
        for part in self._centered(arrays):
            covariance += part.T @ part
        variances, vectors = np.linalg.eigh(covariance / len(flat))
        self._axes = np.ascontiguousarray(vectors[:, ::-1][:, :number])
        self.deviation = float(np.sqrt(max(variances[::-1][:number].sum(), 0)))

    def project(self, arrays):
        """Return float32 [N, components], in the unit of `arrays`, largest variance first."""
        return np.concatenate([part @ self._axes for part in self._centered(arrays)])

    def _centered(self, arrays):
        flat = arrays.reshape(len(arrays), -1)
        for start in range(0, len(flat), PART):
            yield flat[start : start + PART].astype(np.float32) - self._mean


def k_means(points, number, random):
    """Cluster points, float32 [N, D], by Lloyd's algorithm: int [N]; a cluster may be empty."""
    # Starts of k-means++ (Arthur & Vassilvitskii 2007) among a sample: as good as among all.
    sample = points[random.permutation(len(points))[: SAMPLES_PER_START * number]]
    centers = sample[:1]
    nearest = np.square(sample - centers[0]).sum(axis=1)
    for _ in range(number - 1):
        place = np.searchsorted(np.cumsum(nearest), random.random() * nearest.sum())
        center = sample[min(place, len(sample) - 1)]
        centers = np.concatenate([centers, center[None]])
        nearest = np.minimum(nearest, np.square(sample - center).sum(axis=1))
    for _ in range(ITERATIONS):
        found = distances(points, centers).argmin(axis=1)
        order = np.argsort(found, kind="stable")
        present, starts, counts = np.unique(found[order], return_index=True, return_counts=True)
        sums = np.add.reduceat(points[order], starts, axis=0)
        centers[present] = sums / counts[:, None]
    return distances(points, centers).argmin(axis=1)


def distances(points, centers):
    # |p - c|² without |p|², which is the same for every center.
    return np.square(centers).sum(axis=1) - 2 * points @ centers.T


def normal_quantiles():
    """Return the number that each level of a coordinate stands for, float32 [256]."""
    normal = NormalDist()
    return np.array([normal.inv_cdf((level + 0.5) / LEVELS) for level in range(LEVELS)],
                    np.float32)


class Coordinates:
    """Up to `number` PCA coordinates of features, float32 [N, F], within K clusters.

    They are quantized to levels of the normal, fitted to each cluster with a row per level, and to
    each group of the smaller ones, and rotated so that they are normal together (Laparra et al.
    2011, "Iterative Gaussianization").
    """

    def __init__(self, features, clusters, group_of, number):
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
        self.fitted = self._levels(features, clusters, _rotations(number))  # uint8 [N, D]

    def of(self, features, clusters):
        """Return the levels of other rows, uint8 [N, D]; an unknown cluster counts as the last."""
        return self._levels(features, np.minimum(clusters, len(self._centers) - 1))

    def _levels(self, features, clusters, rotations=()):
        """Map rows to levels; fit a round for each of the rotations, if there are any."""
        values, groups = (features - self._centers[clusters]) @ self._axes, self._group_of[clusters]
        for cluster, rows in _rows_of(clusters):
            values[rows] = values[rows] @ self._whitening[cluster]
        for rotation, bounds in [(rotation, None) for rotation in rotations] or self._rounds:
            keys = _keys(values @ rotation, groups)
            order = np.argsort(keys, axis=1)
            keys = np.take_along_axis(keys, order, axis=1)
            if bounds is None:
                bounds = _bounds(keys, groups)
                self._rounds.append((rotation, bounds))
            levels = _quantized(keys, order, groups, bounds)
            values = normal_quantiles()[levels] @ rotation.T
        return levels


def means_of(values, clusters):
    sums = np.stack([np.bincount(clusters, column) for column in values.T], axis=1)
    return (sums / np.bincount(clusters)[:, None]).astype(np.float32)


def _rows_of(numbers):
    """Yield each number that occurs with the places where it does: int [N] → (int, int [n])."""
    order = np.argsort(numbers, kind="stable")
    present, starts = np.unique(numbers[order], return_index=True)
    yield from zip(present, np.split(order, starts[1:]), strict=True)


def _rotations(number):
    random = np.random.default_rng(0)
    rotations = [np.linalg.qr(random.standard_normal((number, number)))[0]
                 for _ in range(ROTATIONS)]
    return [rotation.astype(np.float32) for rotation in (*rotations, np.eye(number))]


def _keys(values, groups):
    """Return numbers in the order of groups, and of values within a group: float64 [D, N]."""
    # So far apart that clipped values of two groups do not meet.
    return np.clip(values, -FARTHEST, FARTHEST).T + 4 * FARTHEST * groups


def _bounds(keys, groups):
    """Return where the levels of each group end, of sorted keys: float64 [D, G * (LEVELS - 1)]."""
    counts = np.bincount(groups)[:, None]
    ends = np.cumsum(counts)[:, None] - counts + np.arange(1, LEVELS) * counts // LEVELS
    return keys[:, ends.ravel()]


def _quantized(keys, order, groups, bounds):
    """Return the levels of rows, uint8 [N, D]; `order`, [D, N], are the places of sorted keys."""
    found = np.empty(keys.shape[::-1], np.uint8)
    for column, (own, values, ends) in enumerate(zip(order, keys, bounds, strict=True)):
        # The middle, where several levels begin and end at the same value.
        level = (np.searchsorted(ends, values) + np.searchsorted(ends, values, "right")) // 2
        found[own, column] = level - (LEVELS - 1) * groups[own]
    return found


def _whitening(values, clusters):
    """Return the inverse root of each cluster's covariance, float32 [K, D, D]."""
    number = values.shape[1]
    pooled = values.T @ values / len(values)
    found = np.zeros((clusters.max() + 1, number, number), np.float32)
    for cluster, rows in _rows_of(clusters):
        # Small clusters borrow from the covariance of all.
        own, weight = values[rows], len(rows) / (len(rows) + number)
        variances, axes = np.linalg.eigh(weight * own.T @ own / len(own) + (1 - weight) * pooled)
        # The symmetric root, so that an axis means the same in all clusters.
        found[cluster] = (axes / np.sqrt(np.maximum(variances, 1e-12))) @ axes.T
    return found
