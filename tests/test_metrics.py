import numpy as np
import pytest

from gan.evaluate import metrics
from gan.evaluate.neighbours import nearest_images


def test_frechet_distance_of_gaussians_in_closed_form():
    mean = np.array([3.0, -4.0, 0.0])
    # |m|^2 + sum (1 - s)^2 for commuting covariances I and diag(s^2).
    spread = np.array([2.0, 0.5, 1.0])
    found = metrics.frechet_distance((np.zeros(3), np.eye(3)), (mean, np.diag(spread**2)))
    assert found == pytest.approx(25 + 1 + 0.25)


def test_frechet_distance_of_correlated_gaussians_in_the_plane():
    # For 2 x 2 matrices tr (AB)^(1/2) = (tr AB + 2 (det AB)^(1/2))^(1/2).
    first, second = np.array([[2.0, 0.7], [0.7, 1.0]]), np.array([[1.0, -0.3], [-0.3, 3.0]])
    product = first @ second
    root = np.sqrt(np.trace(product) + 2 * np.sqrt(np.linalg.det(product)))
    found = metrics.frechet_distance((np.zeros(2), first), (np.zeros(2), second))
    assert found == pytest.approx(np.trace(first + second) - 2 * root)


def test_frechet_distance_of_one_distribution_with_itself_is_nothing():
    features = np.random.default_rng(0).normal(size=(500, 6))
    features[:, 5] = 0  # a dead feature makes the covariance singular
    same = metrics.statistics(features)
    assert metrics.frechet_distance(same, same) == pytest.approx(0, abs=1e-6)


def test_kernel_distance_is_the_direct_sum(monkeypatch):
    monkeypatch.setattr(metrics, "BLOCK", 7)
    random = np.random.default_rng(0)
    real, fake = random.normal(size=(20, 3)), random.normal(0.5, 2, (15, 3))

    def kernel(x, y):
        return (x @ y / 3 + 1) ** 3

    expected = (
        np.mean([kernel(x, y) for i, x in enumerate(real) for j, y in enumerate(real) if i != j])
        + np.mean([kernel(x, y) for i, x in enumerate(fake) for j, y in enumerate(fake) if i != j])
        - 2 * np.mean([kernel(x, y) for x in real for y in fake])
    )
    assert metrics.kernel_distance(real, fake) == pytest.approx(expected)


def test_kernel_distance_of_equal_distributions_averages_to_nothing():
    random = np.random.default_rng(0)
    found = [metrics.kernel_distance(random.normal(size=(50, 2)), random.normal(size=(50, 2)))
             for _ in range(300)]
    assert abs(np.mean(found)) < 4 * np.std(found) / np.sqrt(300)


def test_precision_and_recall_of_known_overlaps(monkeypatch):
    monkeypatch.setattr(metrics, "BLOCK", 64)
    random = np.random.default_rng(0)
    left = random.uniform(0, 1, (400, 2))
    right = left + [100, 0]
    both = np.concatenate([left[:200], right[:200]])
    assert metrics.precision_recall(left, left) == (1, 1)
    assert metrics.precision_recall(left, right) == (0, 0)
    assert metrics.precision_recall(left, both)[0] == pytest.approx(0.5)  # half are real
    # All of `left` is found again, only the left half of `both` is.
    assert metrics.precision_recall(both, left)[1] == pytest.approx(0.5, abs=0.02)


def test_precision_and_recall_against_a_loop():
    random = np.random.default_rng(3)
    real, fake = random.normal(size=(60, 4)), random.normal(0.7, 1, (50, 4))

    def radius(points, index):
        distances = np.linalg.norm(points - points[index], axis=1)
        return np.sort(distances)[3]

    def inside(point, points):
        return any(np.linalg.norm(point - other) <= radius(points, index)
                   for index, other in enumerate(points))

    precision = np.mean([inside(point, real) for point in fake])
    recall = np.mean([inside(point, fake) for point in real])
    assert metrics.precision_recall(real, fake) == pytest.approx((precision, recall))


def test_nearest_distance_of_a_copy_and_of_an_opposite():
    black, white = np.zeros((1, 4, 4, 1), np.uint8), np.full((1, 4, 4, 1), 255, np.uint8)
    found = nearest_images(np.concatenate([black, white]), black, 1).distances
    np.testing.assert_allclose(found, [[0], [1]], atol=1e-6)


def test_copying_is_seen():
    random = np.random.default_rng(0)
    unseen = random.uniform(0.1, 0.2, 1000)
    copied = np.full(500, 0.001)
    assert metrics.copied_share(copied, unseen) == 1
    assert metrics.nearest_ratio(copied, unseen) < 0.01
    honest = random.uniform(0.1, 0.2, 1000)
    assert metrics.copied_share(honest, unseen) == pytest.approx(0.01, abs=0.01)
    assert metrics.nearest_ratio(honest, unseen) == pytest.approx(1, abs=0.05)


def test_class_metrics_of_known_shares():
    # 60 of class 0 (sure), 40 of class 1 (unsure), none of class 2.
    probabilities = np.array([[0.95, 0.03, 0.02]] * 60 + [[0.2, 0.6, 0.2]] * 40)
    found = metrics.class_metrics(probabilities, np.array([0.5, 0.3, 0.2]))
    assert found == {"classes": 2, "smallest_class": 0.0, "largest_class": 0.6,
                     "imbalance": pytest.approx(0.2), "confident": pytest.approx(0.6)}


@pytest.fixture(scope="module")
def digits(tensorflow):
    """The shipped classifier's evaluator and 2,000 real test digits."""
    from gan.data.datasets import load_dataset
    from gan.evaluate.evaluator import Evaluator

    mnist = load_dataset("mnist")
    return Evaluator(mnist, count=2000), mnist.test_images[:2000], mnist.test_labels[:2000]


def test_shipped_classifier_recognises_the_test_digits(digits):
    evaluator, images, labels = digits
    assert evaluator.features()["accuracy"] >= 0.993
    right = evaluator.extractor.extract(images)[1].argmax(axis=1) == labels
    assert right.mean() >= 0.985  # the first half of the test set is the easier one


def test_every_kind_of_damage_is_measured(digits):
    evaluator, images, labels = digits
    random = np.random.default_rng(0)
    noise = random.normal(0, 40, images.shape)
    blurred = (images + np.roll(images, 1, 1).astype(int) + np.roll(images, 1, 2)
               + np.roll(images, (1, 1), (1, 2))) // 4
    kept = images[labels != 7]
    damaged = {
        "noise": np.clip(images + noise, 0, 255).astype(np.uint8),
        "blur": blurred.astype(np.uint8),
        "dropped class": kept,
        "one image only": np.repeat(images[:40], 50, axis=0),
    }
    real = evaluator.measure(images)
    assert real["precision"] > 0.8 and real["recall"] > 0.8
    found = {name: evaluator.measure(worse) for name, worse in damaged.items()}
    for name, measured in found.items():
        assert measured["frechet"] > 1.5 * real["frechet"], name
    assert found["noise"]["precision"] < real["precision"]
    assert found["one image only"]["recall"] < 0.3 * real["recall"]
    assert found["dropped class"]["classes"] == 9
    assert found["dropped class"]["imbalance"] > 0.09
