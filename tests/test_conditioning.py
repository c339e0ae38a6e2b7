"""What each image is conditioned on, and how: clusters, coordinates and classes in a grid."""

from unittest import mock

import numpy as np
import pytest
import tensorflow as tf

from gan import training
from gan.data import conditions
from gan.data.conditions import (
    HELD_OUT_SPREAD,
    Conditioning,
    Coordinates,
    condition_dataset,
    k_means,
    normal_quantiles,
    orientation_histograms,
)
from gan.data.datasets import Dataset, class_rows, load_dataset
from gan.distributed.replica import SINGLE
from gan.sampling import SPREAD, conditions_from_seeds
from tests.conftest import assert_error, build, noise


def test_conditions_by_label_keep_to_their_label_and_do_without(mnist):
    small = Dataset("small", mnist.images[:2000], mnist.labels[:2000], mnist.class_names)
    found = condition_dataset(small, "labels", 4, seed=0)
    assert found.count == 40
    np.testing.assert_array_equal(found.class_of[found.cluster_labels], small.labels)
    np.testing.assert_allclose(
        found.probabilities, np.bincount(found.cluster_labels) / 2000, rtol=1e-6)
    again = condition_dataset(small, "labels", 4, seed=0)
    np.testing.assert_array_equal(found.cluster_labels, again.cluster_labels)
    most = condition_dataset(small, "labels", 2000, seed=0)
    assert np.bincount(most.class_of).tolist() == [  # sixteen images a cluster at least
        count // 16 for count in np.bincount(small.labels)]
    other = condition_dataset(small, "labels", 4, seed=1)
    assert (other.cluster_labels != found.cluster_labels).any()
    bare = Dataset("bare", mnist.images[:1000])
    found = condition_dataset(bare, "clusters", 2000, seed=0)
    assert found.class_of is None and found.count <= 125  # eight images a cluster at least
    assert condition_dataset(bare, "none", None, seed=0).count == 1


def test_the_vector_has_a_place_for_the_cluster_its_group_and_all():
    parts = np.array([[0, 3, 5], [1, 3, 5], [2, 4, 5]])
    found = Conditioning(np.array([0, 1, 2]), np.full(3, 1 / 3), parts, "labels", parts[:, 1] - 3)
    assert found.vectors.tolist() == [[1, 0, 0, 1, 0, 1], [0, 1, 0, 1, 0, 1], [0, 0, 1, 0, 1, 1]]


@pytest.mark.parametrize(("kind", "components", "words"), [
    ("labels", 8, "20 clusters within the labels, 4 PCA coordinates each"),
    ("clusters", 1, "2 clusters of all images, 1 PCA coordinate each"),
    ("clusters", 0, "2 clusters of all images"), ("none", 8, "none")])
def test_conditions_survive_a_checkpoint(mnist, kind, components, words):
    small = Dataset("small", mnist.images[:1000], mnist.labels[:1000], mnist.class_names)
    before = condition_dataset(small, kind, 2, 0, components)
    after = Conditioning.from_arrays(before.to_arrays(), 1000)
    np.testing.assert_equal(vars(after), vars(before))
    assert before.describe() == after.describe() == words


@pytest.mark.parametrize("name", ["cluster_labels", "coordinates"])
def test_conditions_of_other_samples_are_refused(name):
    data = Dataset("a", np.zeros((4, 16, 16, 1), np.uint8))
    arrays = condition_dataset(data, "none", None, 0).to_arrays()
    whole = arrays.pop(name)
    for damaged in (arrays, arrays | {name: whole[:3]}):
        assert_error("expected the conditions of 4 samples", Conditioning.from_arrays, damaged, 4)


@pytest.mark.parametrize("kind", ["labels", "clusters", "none"])
@pytest.mark.parametrize("shade", [0, 200])
@pytest.mark.parametrize("count", [2, 3, 50])
def test_identical_images_share_one_condition_a_class(count, shade, kind):
    images = np.full((count, 16, 16, 3), shade, np.uint8)
    labels = (np.arange(count) % 2).astype(np.int32)
    found = condition_dataset(Dataset("a", images, labels, ("a", "b")), kind, 12, seed=0)
    assert found.count == (2 if kind == "labels" else 1)
    assert len(found.cluster_labels) == count and found.probabilities.sum() == pytest.approx(1)
    assert np.isfinite(found.vectors).all() and len(found.vectors) == found.count


@pytest.mark.parametrize(("classes", "count", "expected"), [
    # Counts that the classes divide.
    (range(10), 100, np.arange(10).repeat(10)), (range(10), 20, np.arange(10).repeat(2)),
    (range(7), 49, np.arange(7).repeat(7)), ([0], 9, [0] * 9),
    # One class a row, and the first classes have a row more.
    (range(7), 64, np.repeat([0, 0, 1, 2, 3, 4, 5, 6], 8)),
    (range(3), 100, np.repeat([0, 0, 0, 0, 1, 1, 1, 2, 2, 2], 10)), ([0, 1], 9, [0] * 6 + [1] * 3),
    # The last row may be short: five columns and four or five rows.
    (range(3), 20, [0] * 10 + [1] * 5 + [2] * 5), (range(3), 22, [0] * 10 + [1] * 10 + [2] * 2),
    # More classes than rows, or than images.
    (range(10), 64, sorted([*range(10)] * 6 + [0, 1, 2, 3])), (range(100), 4, [0, 25, 50, 75]),
    ([3, 7, 7], 4, [3, 3, 7, 7])])
def test_rows_of_a_sample_grid(classes, count, expected):
    np.testing.assert_array_equal(class_rows(list(classes), count), expected)


@pytest.mark.parametrize("first", [0, 10**6, 2**62, 2**63 - 1000])
def test_consecutive_seeds_have_each_condition_as_often_as_in_the_data(first):
    seeds = tf.range(1000, dtype=tf.int64) + first
    probabilities = np.array([0.01, 0.0, 0.3, 0.49, 0.2, 0.0], np.float32)
    found = conditions_from_seeds(seeds, probabilities).numpy()
    assert np.abs(np.bincount(found, minlength=6) - 1000 * probabilities).max() <= 3
    assert not {1, 5} & {*found} and np.abs(np.diff(found)).mean() > 0.5  # in no order
    # The seed with the last place of all.
    last = np.uint64(pow(SPREAD, -1, 2**64) * (2**63 - 1) % 2**64).astype(np.int64)
    assert conditions_from_seeds(tf.constant([last]), probabilities / 3) == [4]
    of_one = conditions_from_seeds(seeds, 3 * np.eye(6, dtype=np.float32)[np.arange(1000) % 6])
    assert of_one.numpy().tolist() == [place % 6 for place in range(1000)]


def test_generator_and_discriminator_see_the_coordinates(tiny_npz, monkeypatch):
    trainer = build(tiny_npz, "--clusters", 2)
    config = trainer.config
    conditioning = condition_dataset(load_dataset(str(tiny_npz)), "labels", 2, 0, config.components)
    assert conditioning.coordinates.shape[1] == 1  # of 320 images
    width = conditioning.vectors.shape[1]
    assert trainer.state.discriminator.output_shape == (None, width + 1)
    assert trainer.state.generator.input_shape == (None, config.latent_dim + width)

    inputs = mock.Mock(side_effect=training.generator_inputs)
    monkeypatch.setattr(training, "generator_inputs", inputs)
    batch = trainer.feed.batch(tf.range(config.batch_size))
    training.train_step(config, trainer.state, SINGLE, *batch)
    expected = normal_quantiles()[conditioning.coordinates[: config.batch_size]] / HELD_OUT_SPREAD
    latents = inputs.call_args_list[0].args[0].numpy()
    np.testing.assert_array_equal(latents[:, :1], expected)
    assert np.unique(latents[:, 1:]).size == latents[:, 1:].size


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
    # Few or equal images have fewer coordinates.
    features, clusters, groups = features[:600], clusters[:600], np.array([0, 1])
    assert Coordinates(features, clusters, groups, 8).fitted.shape == (600, 2)
    assert Coordinates(features[:100], clusters[:100], groups, 8).fitted.shape == (100, 0)
    same = np.ones((1000, 4), np.float32)
    assert Coordinates(same, np.zeros(1000, int), np.zeros(1, int), 8).fitted.shape == (1000, 0)


def test_coordinates_of_held_out_images_spread_more_than_those_fitted(mnist):
    images = mnist.images[mnist.labels == 1]
    features = conditions.ClusterFeatures(images, np.arange(len(images))).fitted
    fitted, held_out = features[:6000], features[6000:]
    clusters = k_means(fitted, 24, np.random.default_rng(0))
    found = Coordinates(fitted, clusters, np.zeros(24, int), 12)
    centers = conditions.means_of(fitted, clusters)
    nearest = conditions.distances(held_out, centers).argmin(axis=1)
    assert normal_quantiles()[found.fitted].std() == pytest.approx(1, abs=0.01)
    spread = normal_quantiles()[found.of(held_out, nearest)].std()
    assert spread == pytest.approx(HELD_OUT_SPREAD, abs=0.02)


def test_images_of_small_clusters_are_spread_over_the_normal_distribution_together():
    random = np.random.default_rng(0)
    features = random.normal(size=(8 * 200, 4)).astype(np.float32)
    clusters, group_of = np.repeat(np.arange(8), 200), np.repeat([0, 1], 4)
    found = Coordinates(features, clusters, group_of, 4).fitted
    for group in (0, 1):
        # 800 images over 256 levels: three or four on each.
        counts = np.bincount(found[group_of[clusters] == group, 0], minlength=conditions.LEVELS)
        assert counts.min() >= 3 and counts.max() <= 4


def test_values_far_from_all_others_keep_to_the_levels_of_their_group():
    values = np.float32([[-1e4], [0], [1e4], [-1e4], [0], [1e4]] * 256)
    groups = np.repeat([0, 1], 3).tolist() * 256
    keys = conditions._keys(values, np.array(groups))
    order = np.argsort(keys, axis=1)
    keys = np.take_along_axis(keys, order, axis=1)
    levels = conditions._quantized(keys, order, np.array(groups),
                                   conditions._bounds(keys, np.array(groups)))
    np.testing.assert_array_equal(levels.reshape(256, 2, 3), [[[42, 127, 212]] * 2] * 256)
