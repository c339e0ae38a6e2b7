"""Features of images, their clusters, and coordinates within these."""

import numpy as np
import pytest

from gan.data import conditions
from gan.data.conditions import Coordinates, k_means, normal_quantiles, orientation_histograms
from tests.conftest import noise


def test_principal_components_are_those_of_the_singular_value_decomposition():
    images = noise(50, size=4)
    flat = images.reshape(50, -1).astype(np.float64)
    _, singular, axes = np.linalg.svd(flat - flat.mean(axis=0), full_matrices=False)
    found = conditions.PrincipalComponents(images, 3).project(images)
    expected = (flat - flat.mean(axis=0)) @ axes[:3].T
    np.testing.assert_allclose(np.abs(found), np.abs(expected), atol=0.02)
    np.testing.assert_allclose(np.square(found).sum(axis=0), singular[:3] ** 2, rtol=1e-4)


def test_edges_point_across_a_bar_and_slanted_ones_in_two_directions():
    images = np.zeros((2, 32, 32, 1), np.uint8)
    images[0, :, 13:15] = 255  # upright: edges point right (0) and left (4)
    images[1, 13:15, :] = 255  # lying: edges point down (2) and up (6)
    found = orientation_histograms(images).reshape(2, 8, 8, 8)
    middle = np.square(found[:, 2:6, 2:6]).sum(axis=(1, 2))  # away from the picture's rim
    np.testing.assert_allclose(middle[0, [0, 4]], middle[0].sum() / 2, rtol=1e-5)
    np.testing.assert_allclose(middle[1, [2, 6]], middle[1].sum() / 2, rtol=1e-5)
    # A ramp whose gradient points 22.5 degrees down from the right, between 0 and 1.
    rows, columns = np.mgrid[:32, :32]
    angle = np.pi / 8
    ramp = 5.5 * (np.cos(angle) * columns + np.sin(angle) * rows)
    found = orientation_histograms(ramp.astype(np.uint8)[None, ..., None]).reshape(8, 8, 8)
    shares = np.square(found[2:6, 2:6]).sum(axis=(0, 1))
    assert shares[0] == pytest.approx(shares[1], rel=0.1)
    assert shares[:2].sum() > 0.8 * shares.sum()


def test_k_means_finds_separate_clouds():
    random = np.random.default_rng(0)
    truth = random.integers(0, 5, 500)
    points = (np.eye(5)[truth] * 10 + random.normal(0, 0.3, (500, 5))).astype(np.float32)
    found = k_means(points, 5, np.random.default_rng(1))
    assert len({(a, b) for a, b in zip(truth, found, strict=True)}) == 5  # a renaming


@pytest.mark.parametrize("size", [16, 50])
def test_thumbnails_are_mean_colors(size):
    images = noise(3, size=size, channels=3)
    found = conditions.thumbnails(images).reshape(3, 4, 4, 3)
    edges = np.arange(5) * size // 4
    for row, column in np.ndindex(4, 4):
        cell = images[:, edges[row] : edges[row + 1], edges[column] : edges[column + 1]]
        np.testing.assert_allclose(found[:, row, column], cell.mean((1, 2)) / 255, rtol=1e-5)


def test_images_in_color_are_told_apart_by_color_and_by_edges():
    random, count = np.random.default_rng(0), 200
    red, upright = random.integers(0, 2, (2, count)).astype(bool)
    images = np.zeros((count, 16, 16, 3), np.uint8)
    images[upright, :, 6:10] = 120  # the same edges whatever the color
    images[~upright, 6:10] = 120
    images[red, ..., 0] += 60
    images[~red, ..., 2] += 60
    features = conditions.ClusterFeatures(images, np.arange(count)).fitted
    clusters = k_means(features, 4, np.random.default_rng(0))
    kinds = 2 * red + upright
    assert len({(kind, cluster) for kind, cluster in zip(kinds, clusters, strict=True)}) == 4


def curved(count, seed=0):
    """Rows of two clusters that are skewed, correlated and bent: features, clusters."""
    random = np.random.default_rng(seed)
    clusters = random.integers(0, 2, count)
    first = random.exponential(1, count)
    second = 0.5 * first + random.normal(0, 0.3, count)
    third = first**2 / 3 + random.normal(0, 0.3, count)
    rows = np.stack([first, second, third, random.normal(0, 0.01, count)], axis=1)
    rows[clusters == 1] = rows[clusters == 1][:, [1, 0, 2, 3]] * 3 + 7
    return rows.astype(np.float32), clusters


@pytest.mark.parametrize("group_of", [[0, 1], [0, 0]])
def test_coordinates_are_independent_and_normal_in_each_cluster(group_of):
    features, clusters = curved(20_000)
    found = normal_quantiles()[Coordinates(features, clusters, np.array(group_of), 3).fitted]
    assert found.shape == (20_000, 3)
    for cluster in (0, 1):
        own = found[clusters == cluster]
        np.testing.assert_allclose(own.mean(axis=0), 0, atol=0.05)
        np.testing.assert_allclose(np.cov(own.T), np.eye(3), atol=0.06)
        # Bent, they would be uncorrelated, and yet their squares would not.
        squares = np.corrcoef(np.square(own).T)
        np.testing.assert_allclose(squares, np.eye(3), atol=0.1)
        # Of a normal vector: the length's square has a variance of 2 D.
        assert np.square(own).sum(axis=1).var() == pytest.approx(6, rel=0.15)


def test_coordinates_of_rows_are_those_that_they_had_in_the_fit():
    features, clusters = curved(3_000)
    fitted = Coordinates(features, clusters, np.array([0, 1]), 2)
    np.testing.assert_array_equal(fitted.of(features[:50], clusters[:50]), fitted.fitted[:50])
    others, of_others = curved(3_000, seed=1)
    values = normal_quantiles()[fitted.of(others, of_others)]
    np.testing.assert_allclose(np.cov(values.T), np.eye(2), atol=0.1)


def test_images_of_small_clusters_are_spread_over_the_normal_distribution_together():
    random = np.random.default_rng(0)
    features = random.normal(size=(8 * 200, 4)).astype(np.float32)
    clusters, group_of = np.repeat(np.arange(8), 200), np.repeat([0, 1], 4)
    found = Coordinates(features, clusters, group_of, 4).fitted
    for group in (0, 1):
        # 800 images over 256 levels: three or four on each.
        counts = np.bincount(found[group_of[clusters] == group, 0], minlength=conditions.LEVELS)
        assert counts.min() >= 3 and counts.max() <= 4


def test_few_or_equal_images_have_fewer_coordinates():
    features, clusters = curved(600)
    groups = np.array([0, 1])
    assert Coordinates(features, clusters, groups, 8).fitted.shape == (600, 2)
    assert Coordinates(features[:100], clusters[:100], groups, 8).fitted.shape == (100, 0)
    same = np.ones((1000, 4), np.float32)
    assert Coordinates(same, np.zeros(1000, int), np.zeros(1, int), 8).fitted.shape == (1000, 0)
