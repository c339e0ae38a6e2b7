"""What each image is conditioned on, and the classes in a sample grid."""

from unittest import mock

import numpy as np
import pytest
import tensorflow as tf

from gan import training
from gan.data.conditions import Conditioning, condition_dataset, normal_quantiles
from gan.data.datasets import Dataset, class_rows, load_dataset
from gan.distributed.replica import SINGLE
from gan.sampling import SPREAD, conditions_from_seeds
from tests.conftest import assert_error, build


def test_conditions_by_label_keep_to_their_label_and_do_without(mnist):
    small = Dataset("small", mnist.images[:2000], mnist.labels[:2000], mnist.class_names)
    found = condition_dataset(small, "labels", 4, seed=0)
    assert found.count == 40
    np.testing.assert_array_equal(found.class_of[found.cluster_labels], small.labels)
    np.testing.assert_allclose(
        found.probabilities, np.bincount(found.cluster_labels) / 2000, rtol=1e-6)
    again = condition_dataset(small, "labels", 4, seed=0)
    np.testing.assert_array_equal(found.cluster_labels, again.cluster_labels)
    other = condition_dataset(small, "labels", 4, seed=1)
    assert (other.cluster_labels != found.cluster_labels).any()
    bare = Dataset("bare", mnist.images[:1000])
    found = condition_dataset(bare, "clusters", 256, seed=0)
    assert found.class_of is None and found.count <= 100  # ten images a cluster at least
    assert condition_dataset(bare, "none", None, seed=0).count == 1
    assert condition_dataset(bare, "clusters", 2000, seed=0).count <= 62


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
    assert conditioning.coordinate_count == 1  # of 320 images
    width = conditioning.vectors.shape[1]
    assert trainer.state.discriminator.output_shape == (None, width + 1)
    assert trainer.state.generator.input_shape == (None, config.latent_dim + width)

    inputs = mock.Mock(side_effect=training.generator_inputs)
    monkeypatch.setattr(training, "generator_inputs", inputs)
    batch = trainer.feed.batch(tf.range(config.batch_size))
    training.train_step(config, trainer.state, SINGLE, *batch)
    expected = normal_quantiles()[conditioning.coordinates[: config.batch_size]]
    latents = inputs.call_args_list[0].args[0].numpy()
    np.testing.assert_array_equal(latents[:, :1], expected)
    assert np.unique(latents[:, 1:]).size == latents[:, 1:].size
