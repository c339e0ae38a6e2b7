"""Features, principal components and clusters of images."""

import numpy as np
import pytest

from gan.data.clustering import (
    ClusterFeatures,
    PrincipalComponents,
    k_means,
    orientation_histograms,
    thumbnails,
)
from gan.data.datasets import load_dataset


@pytest.fixture(scope="module")
def mnist():
    return load_dataset("mnist")


def test_principal_components_are_those_of_the_singular_value_decomposition():
    images = np.random.default_rng(0).integers(0, 256, (50, 4, 4, 1)).astype(np.uint8)
    flat = images.reshape(50, -1).astype(np.float64)
    _, singular, axes = np.linalg.svd(flat - flat.mean(axis=0), full_matrices=False)
    found = PrincipalComponents(images, 3).project(images)
    expected = (flat - flat.mean(axis=0)) @ axes[:3].T
    np.testing.assert_allclose(np.abs(found), np.abs(expected), atol=0.02)
    np.testing.assert_allclose(np.square(found).sum(axis=0), singular[:3] ** 2, rtol=1e-4)


def test_edges_of_a_bar_point_across_it():
    images = np.zeros((2, 32, 32, 1), np.uint8)
    images[0, :, 13:15] = 255  # upright: edges point right (0) and left (4)
    images[1, 13:15, :] = 255  # lying: edges point down (2) and up (6)
    found = orientation_histograms(images).reshape(2, 8, 8, 8)
    middle = np.square(found[:, 2:6, 2:6]).sum(axis=(1, 2))  # away from the picture's rim
    np.testing.assert_allclose(middle[0, [0, 4]], middle[0].sum() / 2, rtol=1e-5)
    np.testing.assert_allclose(middle[1, [2, 6]], middle[1].sum() / 2, rtol=1e-5)


def test_a_slanted_edge_is_shared_between_two_directions():
    # A ramp whose gradient points 22.5 degrees down from the right, between 0 and 1.
    rows, columns = np.mgrid[:32, :32]
    angle = np.pi / 8
    ramp = 5.5 * (np.cos(angle) * columns + np.sin(angle) * rows)
    found = orientation_histograms(ramp.astype(np.uint8)[None, ..., None]).reshape(8, 8, 8)
    shares = np.square(found[2:6, 2:6]).sum(axis=(0, 1))
    assert shares[0] == pytest.approx(shares[1], rel=0.1)
    assert shares[:2].sum() > 0.8 * shares.sum()


def test_clusters_of_edges_know_digits_better_than_clusters_of_pixels(mnist):
    def purity(features):
        points = PrincipalComponents(features, 50).project(features)
        found = k_means(points, 64, np.random.default_rng(0))
        return sum(np.bincount(labels[found == cluster], minlength=10).max()
                   for cluster in range(64)) / len(labels)

    images, labels = mnist.images[:6000], mnist.labels[:6000]
    assert purity(orientation_histograms(images)) > purity(images) + 0.05


def test_k_means_finds_separate_clouds():
    random = np.random.default_rng(0)
    truth = random.integers(0, 5, 500)
    points = (np.eye(5)[truth] * 10 + random.normal(0, 0.3, (500, 5))).astype(np.float32)
    found = k_means(points, 5, np.random.default_rng(1))
    assert len({(a, b) for a, b in zip(truth, found, strict=True)}) == 5  # a renaming


@pytest.mark.parametrize("shade", [0, 77])
@pytest.mark.parametrize("count", [2, 3, 40])
def test_identical_images_have_one_feature_and_one_cluster(count, shade):
    images = np.full((count, 16, 16, 1), shade, np.uint8)
    features = ClusterFeatures(images).fitted
    np.testing.assert_array_equal(features, np.zeros((count, 50), np.float32))
    assert len(set(k_means(features, count, np.random.default_rng(0)).tolist())) == 1


def test_more_clusters_than_different_points():
    points = np.array([[0, 0], [5, 5]], np.float32).repeat(10, axis=0)
    found = k_means(points, 6, np.random.default_rng(0))
    assert len(set(found[:10].tolist())) == len(set(found[10:].tolist())) == 1
    assert found[0] != found[10]


@pytest.mark.parametrize("size", [16, 50])
def test_thumbnails_are_mean_colours(size):
    images = np.random.default_rng(0).integers(0, 256, (3, size, size, 3)).astype(np.uint8)
    found = thumbnails(images).reshape(3, 4, 4, 3)
    edges = np.arange(5) * size // 4
    for row in range(4):
        for column in range(4):
            cell = images[:, edges[row] : edges[row + 1], edges[column] : edges[column + 1]]
            np.testing.assert_allclose(found[:, row, column], cell.mean(axis=(1, 2)) / 255,
                                       rtol=1e-5)


def test_images_in_colour_are_told_apart_by_colour_and_by_edges():
    random, count = np.random.default_rng(0), 200
    red, upright = random.integers(0, 2, (2, count)).astype(bool)
    images = np.zeros((count, 16, 16, 3), np.uint8)
    images[upright, :, 6:10] = 120  # the same edges whatever the colour
    images[~upright, 6:10] = 120
    images[red, ..., 0] += 60
    images[~red, ..., 2] += 60
    clusters = k_means(ClusterFeatures(images).fitted, 4, np.random.default_rng(0))
    kinds = 2 * red + upright
    assert len({(kind, cluster) for kind, cluster in zip(kinds, clusters, strict=True)}) == 4
