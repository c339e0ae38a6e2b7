"""How near generated images are to real ones: arrays of features in, numbers out.

All functions take features, float [N, D], of images that the caller chose and
turned into features; none of them knows a network. What cannot be computed
raises `NotMeasurableError`, with the reason.
"""

import numpy as np

NEIGHBOURS = 3  # k of precision and recall (Kynkäänniemi et al. 2019)
COPY_QUANTILE = 0.01  # of the unseen images' distances, below which a sample counts as a copy
BLOCK = 2000  # rows of a distance matrix held at a time


class NotMeasurableError(ValueError):
    """A metric that has no value for these samples; the message is the reason."""


def statistics(features):
    """Return the mean [D] and the covariance [D, D] of features, float64.

    Raises:
        NotMeasurableError: for fewer than 2 samples.
    """
    need(2, features)
    features = np.asarray(features, np.float64)
    return features.mean(axis=0), np.cov(features, rowvar=False).reshape(2 * features.shape[1:])


def need(count, *arrays):
    """Raise `NotMeasurableError` unless each array has at least `count` samples."""
    fewest = min(map(len, arrays))
    if fewest < count:
        raise NotMeasurableError(f"needs at least {count} samples, got {fewest}")


def frechet_distance(first, second):
    """Return the Fréchet distance of two Gaussians (Dowson & Landau 1982).

    |m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)): the FID of Heusel et al. 2017
    when the features are Inception's.

    Args:
        first, second: `(mean [D], covariance [D, D])`, see `statistics`.

    Raises:
        NotMeasurableError: where a covariance has no eigenvalues, as with NaN in it.
    """
    try:
        return _frechet_distance(first, second)
    except np.linalg.LinAlgError as error:
        raise NotMeasurableError(f"the features have no covariance: {error}") from error


def _frechet_distance(first, second):
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

    Raises:
        NotMeasurableError: for fewer.
    """
    need(2, real, fake)
    real, fake = np.asarray(real, np.float64), np.asarray(fake, np.float64)
    return float(_kernel_mean(real, real, True) + _kernel_mean(fake, fake, True)
                 - 2 * _kernel_mean(real, fake, False))


def _kernel_mean(first, second, without_diagonal):
    total, width = 0.0, first.shape[1]
    for start in range(0, len(first), BLOCK):
        linear = first[start : start + BLOCK] @ second.T / width + 1
        total += np.vdot(np.square(linear), linear)  # the sum of cubes; powers are slow
    if not without_diagonal:
        return total / (len(first) * len(second))
    total -= ((np.square(first).sum(axis=1) / width + 1) ** 3).sum()
    return total / (len(first) * (len(first) - 1))


def precision_recall(real, fake, neighbours=NEIGHBOURS):
    """Return improved precision and recall (Kynkäänniemi et al. 2019).

    Precision is the fraction of generated samples inside the manifold of the real
    ones, the union of balls around each that reach to its k-th neighbour;
    recall is the same with the two exchanged.

    Args:
        real, fake: [N, D] and [M, D], more than `neighbours` of each.

    Returns:
        `(precision, recall)`, each in [0, 1].

    Raises:
        NotMeasurableError: for no more than `neighbours` of either.
    """
    need(neighbours + 1, real, fake)
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


def nearest_ratio(generated, unseen):
    """Compare how near generated and unseen real images come to training images.

    Args:
        generated: [N] distances of generated images to the nearest training
            image, see `nearest_distances`.
        unseen: [M], those of real images that were not trained on.

    Returns:
        The quotient of the medians: 1 is as unseen real images are, far below 1 is copying.

    Raises:
        NotMeasurableError: where most unseen images are copies of training images.
    """
    need(1, generated, unseen)
    if np.median(unseen) == 0:
        raise NotMeasurableError("most real test images are copies of training images")
    return float(np.median(generated) / np.median(unseen))


def copied_share(generated, unseen):
    """Return the fraction of generated images nearer to a training image than 99 % of unseen ones.

    Args:
        generated, unseen: as for `nearest_ratio`.

    Returns:
        In [0, 1]; without copying 0.01 is expected.

    Raises:
        NotMeasurableError: where one unseen image in a hundred is a copy: none is nearer than it.
    """
    need(1, generated, unseen)
    nearest = np.quantile(unseen, COPY_QUANTILE)
    if nearest == 0:
        raise NotMeasurableError(f"{COPY_QUANTILE:.0%} or more of the real test images are copies "
                                 "of training images")
    return float(np.mean(generated < nearest))
