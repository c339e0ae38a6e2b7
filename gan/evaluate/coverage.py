"""How well samples cover the classes or modes of the data: counts in, numbers out."""

import numpy as np

from gan.evaluate.metrics import BLOCK, NotMeasurableError, need, squared_distances

CONFIDENT = 0.9  # probability from which a classification counts as sure
GOOD = 3  # standard deviations from a mode within which a point counts as good
PRESENT = 0.1  # of its expected frequency, from which a class or mode counts as covered


def class_metrics(probabilities, expected):
    """Return what a classifier says of generated images.

    Args:
        probabilities: [N, K], the classifier's.
        expected: [K], the classes' frequencies in the data; the sum is 1. A class
            that does not occur in the data is no class.

    Returns:
        dict: "classes", the number of classes with at least a tenth of their
        expected frequency; "smallest_class" and "largest_class", the extreme frequencies;
        "imbalance", the total variation distance of the frequencies from the
        expected ones, in [0, 1]; "confident", the fraction of images classified
        with a probability of at least 0.9.
    """
    need(1, probabilities)
    expected = np.asarray(expected)
    frequencies = np.bincount(probabilities.argmax(axis=1), minlength=len(expected))
    frequencies = frequencies / len(probabilities)
    occurs = expected > 0
    return {
        "classes": int((frequencies[occurs] >= PRESENT * expected[occurs]).sum()),
        "smallest_class": float(frequencies[occurs].min()),
        "largest_class": float(frequencies[occurs].max()),
        "imbalance": float(np.abs(frequencies - expected).sum() / 2),
        "confident": float((probabilities.max(axis=1) >= CONFIDENT).mean()),
    }


def histogram_metrics(modes, expected):
    """Return how many modes occur and how unevenly, as on stacked MNIST.

    Args:
        modes: int [N] in [0, K), the mode of each sample.
        expected: [K], the modes' frequencies in the data; the sum is 1.

    Returns:
        dict: "modes", the number of modes that occur at all; "kl", the
        Kullback-Leibler divergence of their frequencies from the expected ones, in
        nats: about (K - 1) / (2 N) for a perfect generator, as N samples never
        come out even.

    Raises:
        NotMeasurableError: for a mode that the data do not have.
    """
    need(1, modes)
    frequencies = np.bincount(modes, minlength=len(expected)) / len(modes)
    present = frequencies > 0
    if (np.asarray(expected)[present] == 0).any():
        raise NotMeasurableError("a mode occurs that the data do not have")
    divergence = frequencies[present] * np.log(frequencies[present] / expected[present])
    return {"modes": int(present.sum()), "kl": float(divergence.sum())}


def mode_metrics(points, skeleton, mode_of, deviation):
    """Return how well points cover known modes.

    Args:
        points: float [N, 2].
        skeleton: [S, 2], where points lie without noise.
        mode_of: [S] in [0, K), the mode of each; in the data all are as frequent.
        deviation: of the noise, along each axis.

    Returns:
        dict: "modes", the number of modes with at least a tenth of their
        expected frequency in good points; "good", the fraction of points within 3
        deviations of the skeleton (of Gaussian modes' own points 0.989 are);
        "imbalance", the total variation distance of the good points' frequencies
        from equal ones, in [0, 1]; "spread", the root mean square distance of
        good points from the skeleton, in deviations: far below real points',
        the modes have shrunk; 0 without good points.
    """
    need(1, points)
    points, skeleton = np.asarray(points, np.float64), np.asarray(skeleton, np.float64)
    nearest, distance = [], []
    for start in range(0, len(points), BLOCK):
        squared = squared_distances(points[start : start + BLOCK], skeleton)
        nearest.append(squared.argmin(axis=1))
        distance.append(np.sqrt(squared.min(axis=1)))
    nearest, distance = np.concatenate(nearest), np.concatenate(distance) / deviation
    good = distance <= GOOD
    count = mode_of.max() + 1
    hits = np.bincount(mode_of[nearest[good]], minlength=count)
    return {
        "modes": int((hits >= PRESENT * len(points) / count).sum()),
        "good": float(good.mean()),
        "imbalance": float(0.5 * np.abs(hits / max(hits.sum(), 1) - 1 / count).sum()),
        "spread": float(np.sqrt(np.square(distance[good]).mean())) if good.any() else 0.0,
    }
