"""Images → features, principal components and clusters."""

import numpy as np

from gan.data.orientation import orientation_histograms

LEAST_DEVIATION = 1e-3  # of colours, below which they are the same everywhere
GRID = 4  # cells each way, of whose colours there is a mean
COMPONENTS = 50  # principal components that the clusters are made in
MOST_IMAGES = 65_536  # that the components are found from
PART = 8192  # images described at a time
ITERATIONS = 15  # of k-means
SAMPLES_PER_START = 40


class ClusterFeatures:
    """The principal components of the edges in images, and of the colours if they have any.

    Attributes:
        fitted: float32 [n, components], of the images that they were found from: of all,
            or of `some_of` them.
    """

    def __init__(self, images):
        """
        Args:
            images: uint8 [N, H, W, C], whose components they are.
        """
        self._describe = [orientation_histograms, *([thumbnails] * (images.shape[-1] == 3))]
        parts = [[describe(part) for describe in self._describe] for part in some_of(images)]
        samples = [np.concatenate(sample) for sample in zip(*parts, strict=True)]
        self._found = [PrincipalComponents(sample, COMPONENTS) for sample in samples]
        self.fitted = self._project(samples)

    def of(self, images):
        """Return float32 [N, components] of uint8 [N, H, W, C], these or others like them."""
        return self._project([describe(images) for describe in self._describe])

    def _project(self, described):
        edges, *colours = [components.project(values) for components, values
                           in zip(self._found, described, strict=True)]
        # As large a variance as that of the edges, so that neither decides alone.
        units = [self._found[0].deviation / max(components.deviation, LEAST_DEVIATION)
                 for components in self._found[1:]]
        return np.concatenate([edges, *(np.float32(unit) * values for unit, values
                                        in zip(units, colours, strict=True))], axis=1)


def thumbnails(images):
    """Return the mean colours of a grid of 4 x 4 cells: uint8 [N, H, W, C] → float32 [N, 16 C]."""
    at = np.arange(GRID) * images.shape[1] // GRID
    rows = np.add.reduceat(images, at, axis=1, dtype=np.float32)
    cells = np.add.reduceat(rows, at, axis=2)
    size = np.diff([*at, images.shape[1]])
    return (cells / (255 * size[:, None, None] * size[:, None])).reshape(len(images), -1)


def cluster_features(images):
    """Describe images by the principal components of their edges and colours.

    Args:
        images: uint8 [N, H, W, C].

    Returns:
        float32 [N, components]; what is held besides does not grow with N.
    """
    features = ClusterFeatures(images)
    if len(images) <= MOST_IMAGES:
        return features.fitted
    return np.concatenate([features.of(images[start : start + PART])
                           for start in range(0, len(images), PART)])


def some_of(images):
    """Yield at most 65,536 images, the same for the same number, some at a time."""
    chosen = np.arange(len(images))
    if len(images) > MOST_IMAGES:
        chosen = np.sort(np.random.default_rng(0).permutation(len(images))[:MOST_IMAGES])
    for start in range(0, len(chosen), PART):
        yield images[chosen[start : start + PART]]


class PrincipalComponents:
    """The directions in which arrays vary most.

    Attributes:
        deviation: the root of the variance along all of them together.
    """

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
        variances, vectors = np.linalg.eigh(covariance / len(flat))
        self._axes = np.ascontiguousarray(vectors[:, ::-1][:, :number])
        self.deviation = float(np.sqrt(max(variances[::-1][:number].sum(), 0)))

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
