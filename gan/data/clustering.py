"""Image features for clustering: PCA of edge directions and colors, and k-means.

Clusters of raw pixels mix what overlaps: a slanted 4 lies nearer to a slanted 9 than to an
upright 4. Histograms of oriented gradients (Dalal & Triggs 2005) compare strokes instead and
forgive small shifts.
"""

from concurrent.futures import ThreadPoolExecutor

import numpy as np

MOST_IMAGES = 65_536  # that components and clusters are fitted to
SAMPLE_BLOCK = 64  # neighbors in the sample, so that a disk is read in fewer places
DIMENSIONS = 50  # of the features, for edges and for colors
PART, PART_BYTES = 8192, 2**26  # images, and bytes of them, described at a time
LEAST_DEVIATION = 1e-3  # of colors, below which they are the same everywhere
GRID = 4  # cells each way, of whose colors there is a mean
THREADS = 4  # parts described at a time
BINS = 8  # directions, 45 degrees apart
PART_PIXELS = 4096 * 28 * 28  # described by a thread at a time
ITERATIONS = 15  # of k-means
SAMPLES_PER_START = 40
IMAGES_PER_CLUSTER = 16  # at least, or what is drawn for one is too much alike


def sample_of(images):
    """Return the places of at most 65,536 images, evenly spaced blocks of neighbors: int [n]."""
    if len(images) <= MOST_IMAGES:
        return np.arange(len(images))
    starts = np.linspace(0, len(images) - SAMPLE_BLOCK, MOST_IMAGES // SAMPLE_BLOCK).astype(int)
    return (starts[:, None] + np.arange(SAMPLE_BLOCK)).ravel()


def parts_of(images, places=None):
    """Yield images in order, or those at some places, a part of bounded size at a time.

    Yields:
        `(slice, array)`, the slice of `places`.
    """
    count = len(images) if places is None else len(places)
    size = max(1, min(PART, PART_BYTES // (images.nbytes // len(images))))
    for start in range(0, count, size):
        part = slice(start, min(start + size, count))
        yield part, images[part if places is None else places[part]]


class ClusterFeatures:
    """PCA of the edges in images (or those at some places), and of the colors if they have any.

    Attributes:
        fitted: float32 [n, D], the features of the images that the axes were fitted to.
    """

    def __init__(self, images, places=None):
        self._describe = [orientation_histograms, *([thumbnails] * (images.shape[-1] == 3))]
        parts = [[describe(part) for describe in self._describe]
                 for _, part in parts_of(images, places)]
        described = [np.concatenate(kind) for kind in zip(*parts, strict=True)]
        self._axes = [PrincipalComponents(kind, DIMENSIONS) for kind in described]
        self.fitted = self._project(described)

    def of(self, images):
        """Return float32 [N, D] of uint8 [N, H, W, C], these or others like them."""
        return self._project([describe(images) for describe in self._describe])

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
    """Describe images by the edges in them: uint8 [N, H, W, C] → float32 [N, cells * cells * 8].

    The image is cut into cells of 4 pixels (more for sides above 32). Each pixel's
    gradient is shared between the two nearest directions of its cell, each cell gives
    half of its histogram to its neighbors, and the root makes distances those of Hellinger.
    """
    height, width = images.shape[1:3]
    cell = 4 * -(-max(height, width) // 32)
    size = max(1, PART_PIXELS // (height * width))
    starts = range(0, len(images), size)
    with ThreadPoolExecutor(THREADS) as pool:  # NumPy releases the lock in its long loops
        return np.concatenate(list(pool.map(
            lambda start: _histograms(images[start : start + size], cell), starts)))


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

    rows, columns = -(-height // cell), -(-width // cell)
    row, column = np.arange(height)[:, None] // cell, np.arange(width) // cell
    cell_of = (np.arange(count)[:, None, None] * rows + row) * columns + column
    place = cell_of.ravel()[edges] * BINS
    total = count * rows * columns * BINS
    histogram = np.bincount(place + lower, length * (1 - fraction), total)
    histogram += np.bincount(place + (lower + 1) % BINS, length * fraction, total)
    histogram = histogram.astype(np.float32).reshape(count, rows, columns, BINS)

    wide = np.pad(histogram, ((0, 0), (1, 1), (1, 1), (0, 0)))
    neighbors = wide[:, :-2, 1:-1] + wide[:, 2:, 1:-1] + wide[:, 1:-1, :-2] + wide[:, 1:-1, 2:]
    return np.sqrt(histogram / 2 + neighbors / 8).reshape(count, -1)


class PrincipalComponents:
    """The `number` directions in which arrays, [N, ...], vary most.

    Attributes:
        deviation: the root of the variance along all of them together.
    """

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
    """Divide points into clusters around their means (Lloyd's algorithm).

    The starts are spread by k-means++ (Arthur & Vassilvitskii 2007): each next one is a
    point drawn with the square of its distance to the nearest so far.

    Args:
        points: float32 [N, D].
        number: of clusters, at most N.
        random: a `numpy.random.Generator`.

    Returns:
        int [N] in [0, number); a cluster may come out empty.
    """
    # Starts among a sample: as good as among all, and faster by their ratio.
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
    """Return |p - c|^2 without its |p|^2, which is the same for every center: [N, K]."""
    return np.square(centers).sum(axis=1) - 2 * points @ centers.T
