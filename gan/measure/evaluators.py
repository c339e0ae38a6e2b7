"""What generated samples are measured by, for each kind of data.

All evaluators have the same face: `count`, how many samples they want;
`features`, what they compare in, in words; `measure(samples)`, `floor()` and
`memorisation(samples)`.
"""

import numpy as np

from gan.data.clustering import PrincipalComponents, some_of
from gan.data.datasets import load_dataset
from gan.data.names import STACKED
from gan.measure import metrics
from gan.measure.classifier import classifier_for

COUNT = 10_000  # samples generated
STACKED_COUNT = 25_600  # stacked digits, as the field has it (Metz et al. 2017)
NEIGHBOUR_COUNT = 5_000  # of them, and of real ones, for precision and recall
COPY_COUNT = 2_000  # of them, compared with every training image
REFERENCE_COUNT = 20_000  # training images whose statistics stand for all, where looking is slow
COMPONENTS = 50  # principal components that stand in for features
MOST_VALUES = 1200  # of an image, before its principal components are taken
DRAW_BATCH = 500


class PixelFeatures:
    """What stands in for a classifier where there are no labels.

    The features are the principal components of the pixels, divided by the
    root of their total variance: distances then have the scale of the data.
    They know shape and position but not meaning.
    """

    def __init__(self, images):
        """
        Args:
            images: uint8 [N, H, W, C], the training images.
        """
        sample = np.concatenate([shrink(part) for part in some_of(images)])
        self._components = PrincipalComponents(sample, COMPONENTS)
        features = self._components.project(sample)
        self._scale = 1 / np.sqrt(features.var(axis=0).sum())
        self.statistics = metrics.statistics(features * self._scale)

    def look(self, images):
        """Return features float32 [N, components], and None for the probabilities."""
        return self._components.project(shrink(images)) * self._scale, None


def shrink(images):
    """Average squares of pixels, so that an image has at most 1,200 values.

    The covariance that principal components are taken from grows with the
    square of their number.

    Args:
        images: uint8 [N, H, W, C], H = W.

    Returns:
        uint8 or float32 [N, h, w, C].
    """
    count, size, _, channels = images.shape
    factor = 1
    while (size // factor) ** 2 * channels > MOST_VALUES or size % factor:
        factor += 1
    if factor == 1:
        return images
    side = size // factor
    cells = images.reshape(count, side, factor, side, factor, channels)
    return cells.mean(axis=(2, 4), dtype=np.float32)


class PlaneFeatures:
    """The shipped classifier, looking at each colour plane of stacked digits."""

    def __init__(self, dataset):
        """
        Args:
            dataset: the `Dataset` of stacked digits.
        """
        self._classifier = classifier_for(load_dataset("mnist"))
        self.statistics = metrics.statistics(self.look(dataset.images[:REFERENCE_COUNT])[0])

    def look(self, images):
        """Return features float32 [N, 3 D] and the modes, int [N] in [0, 1000)."""
        planes = [self._classifier.look(images[..., plane : plane + 1]) for plane in range(3)]
        digits = [probabilities.argmax(axis=1) for _, probabilities in planes]
        return (np.concatenate([features for features, _ in planes], axis=1),
                100 * digits[0] + 10 * digits[1] + digits[2])


class Evaluator:
    """Measures images against a data set."""

    count = COUNT

    def __init__(self, dataset, judge):
        """
        Args:
            dataset: a `Dataset`.
            judge: `Classifier`, `PlaneFeatures` or `PixelFeatures` of it.
        """
        self.dataset, self.judge = dataset, judge
        self.features = ("principal components of the pixels"
                         if isinstance(judge, PixelFeatures) else "classifier features")
        random = np.random.default_rng(0)
        chosen = random.permutation(len(dataset.images))[:NEIGHBOUR_COUNT]
        self._real = judge.look(dataset.images[np.sort(chosen)])[0]

    def measure(self, images):
        """Return the metrics of images, dict of name → number.

        Args:
            images: uint8 [N, H, W, C], more than the feature count of them for
                a Fréchet distance that means something.
        """
        features, probabilities = self.judge.look(images)
        near = features[:NEIGHBOUR_COUNT]
        precision, recall = metrics.precision_recall(self._real, near)
        figures = {
            "frechet": metrics.frechet_distance(
                metrics.statistics(features), self.judge.statistics
            ),
            "kid": metrics.kernel_distance(self._real, near),
            "precision": precision,
            "recall": recall,
        }
        return figures | self._class_figures(probabilities)

    def _class_figures(self, probabilities):
        if probabilities is None:
            return {}
        counts = np.bincount(self.dataset.labels, minlength=probabilities.shape[1])
        return metrics.class_figures(probabilities, counts / counts.sum())

    def floor(self):
        """Return the metrics of the real test images, or None without any."""
        if self.dataset.test_images is None:
            return None
        return self.measure(self.dataset.test_images)

    def memorisation(self, images):
        """Return `metrics.memorisation` of some images, or None without test images."""
        if self.dataset.test_images is None:
            return None
        distances = [
            metrics.nearest_distances(part[:COPY_COUNT], self.dataset.images)
            for part in (images, self.dataset.test_images)
        ]
        return metrics.memorisation(*distances)


class StackedEvaluator(Evaluator):
    """Counts the modes of stacked digits besides."""

    count = STACKED_COUNT

    def __init__(self, dataset):
        """
        Args:
            dataset: the `Dataset` of stacked digits.
        """
        super().__init__(dataset, PlaneFeatures(dataset))
        shares = np.bincount(load_dataset("mnist").labels) / 60_000
        self._expected = np.einsum("i,j,k->ijk", shares, shares, shares).ravel()

    def _class_figures(self, modes):
        return metrics.histogram_figures(modes, self._expected)


class PointEvaluator:
    """Measures how points cover the known modes of a simulated distribution."""

    count = COUNT
    features = "distance from the known modes"

    def __init__(self, dataset):
        """
        Args:
            dataset: a `PointDataset`.
        """
        self.dataset = dataset

    def measure(self, points):
        """Return `metrics.mode_figures` of points, float [N, 2]."""
        data = self.dataset
        return metrics.mode_figures(points, data.skeleton, data.mode_of, data.deviation)

    def floor(self):
        """Return the same of real points that were not trained on."""
        return self.measure(self.dataset.test_points)

    def memorisation(self, points):
        """None: what is simulated can be drawn without end."""


def evaluator_for(dataset, train=True):
    """Return the evaluator of a data set.

    Args:
        dataset: a `Dataset` or `PointDataset`.
        train: train a classifier where labels ask for one and there is none;
            without it, and without labels, pixels are compared.
    """
    if len(dataset.sample_shape) == 1:
        return PointEvaluator(dataset)
    if dataset.name == STACKED:
        return StackedEvaluator(dataset)
    judge = None if dataset.labels is None else classifier_for(dataset, train)
    return Evaluator(dataset, judge or PixelFeatures(dataset.images))


def draw_samples(draw, count, first_seed=0):
    """Draw samples a batch at a time.

    Args:
        draw: function of int64 seeds [n] → array [n, ...].
        count: how many.
        first_seed: the seeds count on from here.

    Returns:
        array [count, ...].
    """
    seeds = np.arange(first_seed, first_seed + count, dtype=np.int64)
    return np.concatenate([np.asarray(draw(seeds[start : start + DRAW_BATCH]))
                           for start in range(0, count, DRAW_BATCH)])
