"""What the first numbers of a latent vector stand for."""

import numpy as np
import pytest

from gan.config import TrainConfig
from gan.data.clustering import LEVELS, Coordinates, normal_quantiles
from gan.data.conditions import condition_dataset
from gan.data.datasets import Dataset, load_dataset
from tests.conftest import TINY


def curved(count, seed=0):
    """Rows of two clusters whose numbers are skewed, correlated and bent: features, clusters."""
    random = np.random.default_rng(seed)
    clusters = random.integers(0, 2, count)
    first = random.exponential(1, count)
    second = 0.5 * first + random.normal(0, 0.3, count)
    third = first**2 / 3 + random.normal(0, 0.3, count)
    rows = np.stack([first, second, third, random.normal(0, 0.01, count)], axis=1)
    rows[clusters == 1] = rows[clusters == 1][:, [1, 0, 2, 3]] * 3 + 7
    return rows.astype(np.float32), clusters


@pytest.mark.parametrize("group_of", [[0, 1], [0, 0]])
def test_components_are_independent_and_normal_in_each_cluster(group_of):
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


def test_components_of_rows_are_those_that_they_had_in_the_fit():
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
        counts = np.bincount(found[group_of[clusters] == group, 0], minlength=LEVELS)
        assert counts.min() >= 3 and counts.max() <= 4


def test_levels_are_quantiles_of_the_normal_distribution():
    levels = normal_quantiles()
    assert len(levels) == LEVELS and levels.std() == pytest.approx(1, abs=0.01)
    np.testing.assert_allclose(levels, -levels[::-1], atol=1e-6)
    assert levels[128] == pytest.approx(0.0049, abs=1e-4)  # the median is between two


def test_few_or_equal_images_have_fewer_components():
    features, clusters = curved(600)
    groups = np.array([0, 1])
    assert Coordinates(features, clusters, groups, 8).fitted.shape == (600, 2)
    assert Coordinates(features[:100], clusters[:100], groups, 8).fitted.shape == (100, 0)
    same = np.ones((1000, 4), np.float32)
    assert Coordinates(same, np.zeros(1000, int), np.zeros(1, int), 8).fitted.shape == (1000, 0)


def test_components_survive_a_checkpoint():
    mnist = load_dataset("mnist")
    small = Dataset("small", mnist.images[:1000], mnist.labels[:1000], mnist.class_names)
    before = condition_dataset(small, "labels", 2, 0, 8)
    assert before.coordinate_count == 4
    assert before.describe().endswith("within the labels, 4 PCA coordinates each")
    after = type(before).from_arrays(before.to_arrays(), 1000)
    np.testing.assert_array_equal(before.coordinates, after.coordinates)
    assert condition_dataset(small, "none", None, 0, 8).coordinate_count == 0


def test_the_generator_is_given_the_components_and_the_discriminator_told(
        tensorflow, tiny_npz, monkeypatch):
    from gan import training
    from gan.distributed.replica import SINGLE

    config, _ = TrainConfig.from_args(["--dataset", str(tiny_npz), *TINY])
    dataset = load_dataset(config.dataset)
    config = config.for_data(dataset)
    conditioning = condition_dataset(dataset, "labels", 2, 0, config.components)
    trainer, _ = training.build_trainer(config, dataset, conditioning)
    assert conditioning.coordinate_count == 1  # of 320 images
    width = conditioning.vectors.shape[1]
    assert trainer.state.discriminator.output_shape == (None, width + 1)
    assert trainer.state.generator.input_shape == (None, config.latent_dim + width)

    given = []
    inputs = training.generator_inputs

    def record(latents, codes):
        given.append(latents.numpy())
        return inputs(latents, codes)

    monkeypatch.setattr(training, "generator_inputs", record)
    batch = trainer.feed.batch(tensorflow.range(config.batch_size))
    training.train_step(config, trainer.state, SINGLE, *batch)
    expected = normal_quantiles()[conditioning.coordinates[: config.batch_size]]
    np.testing.assert_array_equal(given[0][:, :1], expected)
    assert np.unique(given[0][:, 1:]).size == given[0][:, 1:].size
