"""How near generated images are to real ones: arrays of features in, numbers out.

All functions take features, float [N, D], of images that the caller chose and
turned into features; none of them knows a network.
"""

import numpy as np

NEIGHBOURS = 3  # k of precision and recall (Kynkäänniemi et al. 2019)
CONFIDENT = 0.9  # probability from which a classification counts as sure
GOOD = 3  # standard deviations from a mode within which a point counts as good
PRESENT = 0.1  # of its expected share, from which a class or mode counts as covered
BLOCK = 2000  # rows of a distance matrix held at a time


def statistics(features):
    """Return the mean [D] and the covariance [D, D] of features, float64."""
    features = np.asarray(features, np.float64)
    return features.mean(axis=0), np.cov(features, rowvar=False).reshape(2 * features.shape[1:])


def frechet_distance(first, second):
    """Return the Fréchet distance of two Gaussians (Dowson & Landau 1982).

    |m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)): the FID of Heusel et al. 2017
    when the features are Inception's.

    Args:
        first, second: `(mean [D], covariance [D, D])`, see `statistics`.
    """
    (mean1, covariance1), (mean2, covariance2) = first, second
    # The trace of (C1 C2)^(1/2) is that of the symmetric (R C2 R)^(1/2) with
    # R = C1^(1/2), whose eigenvalues are real whatever the rounding.
    root = _matrix_root(covariance1)
    eigenvalues = np.linalg.eigvalsh(root @ covariance2 @ root)
    overlap = np.sqrt(np.maximum(eigenvalues, 0)).sum()
    distance = (np.square(mean1 - mean2).sum()
                + np.trace(covariance1) + np.trace(covariance2) - 2 * overlap)
    return float(max(distance, 0.0))


def _matrix_root(matrix):
    values, vectors = np.linalg.eigh(matrix)
    return (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T


def kernel_distance(real, fake):
    """Return the squared maximum mean discrepancy, KID of Bińkowski et al. 2018.

    The kernel is (x·y / D + 1)^3, the estimate unbiased, so it may come out
    below zero for equal distributions.

    Args:
        real, fake: [N, D] and [M, D], N and M at least 2.
    """
    real, fake = np.asarray(real, np.float64), np.asarray(fake, np.float64)
    return float(_kernel_mean(real, real, True) + _kernel_mean(fake, fake, True)
                 - 2 * _kernel_mean(real, fake, False))


def _kernel_mean(first, second, without_diagonal):
    total, width = 0.0, first.shape[1]
    for start in range(0, len(first), BLOCK):
        kernel = (first[start : start + BLOCK] @ second.T / width + 1) ** 3
        total += kernel.sum()
    if not without_diagonal:
        return total / (len(first) * len(second))
    total -= ((np.square(first).sum(axis=1) / width + 1) ** 3).sum()
    return total / (len(first) * (len(first) - 1))


def precision_recall(real, fake, neighbours=NEIGHBOURS):
    """Return improved precision and recall (Kynkäänniemi et al. 2019).

    Precision is the share of generated samples inside the manifold of the real
    ones, the union of balls around each that reach to its k-th neighbour;
    recall is the same with the two exchanged.

    Args:
        real, fake: [N, D] and [M, D], more than `neighbours` of each.

    Returns:
        `(precision, recall)`, each in [0, 1].
    """
    real, fake = np.asarray(real, np.float32), np.asarray(fake, np.float32)
    real_radius = _neighbour_distance(real, neighbours)
    fake_radius = _neighbour_distance(fake, neighbours)
    precise, recalled = [], np.zeros(len(real), bool)
    for start in range(0, len(fake), BLOCK):
        part = slice(start, start + BLOCK)
        distances = squared_distances(fake[part], real)
        precise.append((distances <= real_radius).any(axis=1))
        recalled |= (distances <= fake_radius[part, None]).any(axis=0)
    return float(np.concatenate(precise).mean()), float(recalled.mean())


def _neighbour_distance(points, neighbours):
    """Squared distance of each point to its k-th nearest other point."""
    # The point itself comes first, at distance 0.
    return np.concatenate([
        np.partition(squared_distances(points[start : start + BLOCK], points), neighbours, axis=1)
        [:, neighbours] for start in range(0, len(points), BLOCK)
    ])


def squared_distances(first, second):
    """Return |x - y|^2 for each pair: [N, D], [M, D] → [N, M], never below 0."""
    distances = -2 * first @ second.T
    distances += np.square(first).sum(axis=1)[:, None]
    distances += np.square(second).sum(axis=1)
    return np.maximum(distances, 0, out=distances)


def nearest_distances(images, references):
    """Return each image's distance to the nearest reference, root mean square.

    Args:
        images, references: uint8 [N, ...] and [M, ...] of one image shape.

    Returns:
        float32 [N], in units of the pixel range: 0 is a copy.
    """
    images, references = (
        np.asarray(array).reshape(len(array), -1) for array in (images, references)
    )
    nearest = np.full(len(images), np.inf, np.float32)
    rows = images.astype(np.float32) / 255
    for start in range(0, len(references), BLOCK):
        part = references[start : start + BLOCK].astype(np.float32) / 255
        nearest = np.minimum(nearest, squared_distances(rows, part).min(axis=1))
    return np.sqrt(nearest / images.shape[1])


def memorisation(generated, unseen):
    """Compare how near generated and unseen real images come to training images.

    Args:
        generated: [N] distances of generated images to the nearest training
            image, see `nearest_distances`.
        unseen: [M], those of real images that were not trained on.

    Returns:
        dict: "nearest_ratio", the quotient of the medians (1: as unseen real
        images; far below 1: copying), and "copies", the share of generated
        images nearer to a training image than 99 % of the unseen ones (expected
        without copying: 0.01).
    """
    return {
        "nearest_ratio": float(np.median(generated) / np.median(unseen)),
        "copies": float(np.mean(generated < np.quantile(unseen, 0.01))),
    }


def class_figures(probabilities, expected):
    """Return what a classifier says of generated images.

    Args:
        probabilities: [N, K], the classifier's.
        expected: [K], the classes' shares in the data; the sum is 1.

    Returns:
        dict: "classes", the number of classes with at least a tenth of their
        expected share; "smallest_class" and "largest_class", the extreme shares;
        "imbalance", the total variation distance of the shares from the
        expected ones, in [0, 1]; "confident", the share of images classified
        with a probability of at least 0.9.
    """
    shares = np.bincount(probabilities.argmax(axis=1), minlength=len(expected))
    shares = shares / len(probabilities)
    return {
        "classes": int((shares >= PRESENT * expected).sum()),
        "smallest_class": float(shares.min()),
        "largest_class": float(shares.max()),
        "imbalance": float(np.abs(shares - expected).sum() / 2),
        "confident": float((probabilities.max(axis=1) >= CONFIDENT).mean()),
    }


def histogram_figures(modes, expected):
    """Return how many modes occur and how unevenly, as on stacked MNIST.

    Args:
        modes: int [N] in [0, K), the mode of each sample.
        expected: [K], the modes' shares in the data; the sum is 1.

    Returns:
        dict: "modes", the number of modes that occur at all; "kl", the
        Kullback-Leibler divergence of their shares from the expected ones, in
        nats: about (K - 1) / (2 N) for a perfect generator, as N samples never
        come out even.
    """
    shares = np.bincount(modes, minlength=len(expected)) / len(modes)
    present = shares > 0
    divergence = shares[present] * np.log(shares[present] / expected[present])
    return {"modes": int(present.sum()), "kl": float(divergence.sum())}


def mode_figures(points, skeleton, mode_of, deviation):
    """Return how well points cover known modes.

    Args:
        points: float [N, 2].
        skeleton: [S, 2], where points lie without noise.
        mode_of: [S] in [0, K), the mode of each; in the data all are as frequent.
        deviation: of the noise, along each axis.

    Returns:
        dict: "modes", the number of modes with at least a tenth of their
        expected share in good points; "good", the share of points within 3
        deviations of the skeleton (of Gaussian modes' own points 0.989 are);
        "imbalance", the total variation distance of the good points' shares
        from equal ones, in [0, 1]; "spread", the root mean square distance of
        good points from the skeleton, in deviations: far below real points',
        the modes have shrunk.
    """
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
