"""What each image is conditioned on, and the classes on a sheet."""

import dataclasses

import numpy as np
import pytest

from gan.common.errors import UserError
from gan.data.conditions import Conditioning, condition_dataset
from gan.data.datasets import Dataset, class_rows, load_dataset


@pytest.fixture(scope="module")
def mnist():
    return load_dataset("mnist")


def test_conditions_by_label_keep_to_their_label(mnist):
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


def test_conditions_without_labels(mnist):
    bare = Dataset("bare", mnist.images[:1000])
    found = condition_dataset(bare, "clusters", 256, seed=0)
    assert found.class_of is None and found.count <= 100  # ten images a cluster at least
    assert condition_dataset(bare, "none", None, seed=0).count == 1
    with pytest.raises(UserError, match="has no labels, got: labels"):
        condition_dataset(bare, "labels", None, seed=0)
    assert condition_dataset(bare, "clusters", 2000, seed=0).count <= 62


def test_code_names_the_condition_its_group_and_all():
    parts = np.array([[0, 3, 5], [1, 3, 5], [2, 4, 5]])
    found = Conditioning(np.array([0, 1, 2]), np.full(3, 1 / 3), parts, "labels", parts[:, 1] - 3)
    assert found.vectors.tolist() == [[1, 0, 0, 1, 0, 1], [0, 1, 0, 1, 0, 1], [0, 0, 1, 0, 1, 1]]


def test_conditions_survive_a_checkpoint(mnist):
    small = Dataset("small", mnist.images[:300], mnist.labels[:300], mnist.class_names)
    for kind in ("labels", "clusters", "none"):
        before = condition_dataset(small, kind, 12, seed=0)
        after = type(before).from_arrays(before.to_arrays(), 300)
        np.testing.assert_array_equal(before.cluster_labels, after.cluster_labels)
        np.testing.assert_array_equal(before.probabilities, after.probabilities)
        np.testing.assert_array_equal(before.vectors, after.vectors)
        assert before.describe() == after.describe()
        assert (before.class_of is None) == (after.class_of is None)


def test_the_description_has_singular_and_plural():
    whole = condition_dataset(Dataset("a", np.zeros((4, 16, 16, 1), np.uint8)), "clusters", 1, 0)
    for count, words in ((0, "images"), (1, "images, 1 PCA coordinate each"),
                         (2, "images, 2 PCA coordinates each")):
        coordinates = np.zeros((4, count), np.uint8) if count else None
        described = dataclasses.replace(whole, coordinates=coordinates).describe()
        assert described == f"1 cluster of all {words}"


@pytest.mark.parametrize("damage", [
    {"conditions/probabilities": np.zeros(3)}, {"conditions/probabilities": np.full(1, -1.0)},
    {"conditions/probabilities": np.full(1, np.nan)},
    {"conditions/vector_indices": np.zeros(1, int)},
    {"conditions/cluster_labels": np.full(4, 9)}, {"conditions/kind": np.array("other")},
    {"conditions/coordinates": np.zeros((3, 2), np.uint8)},
    {"conditions/coordinates": np.zeros((4, 51), np.uint8)},
    {"conditions/coordinates": np.zeros((4, 2), np.int32)}])
def test_damaged_conditions_are_refused(damage):
    whole = condition_dataset(Dataset("a", np.zeros((4, 16, 16, 1), np.uint8)), "none", None, 0)
    with pytest.raises(UserError, match="with the conditions of 4 samples"):
        Conditioning.from_arrays(whole.to_arrays() | damage, 4)


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


@pytest.mark.parametrize(("classes", "count"), [
    (10, 100), (10, 20), (2, 16), (4, 100), (7, 49), (1, 9), (100, 100)])
def test_rows_of_counts_that_divide_are_as_long_as_each_other(classes, count):
    expected = np.arange(classes).repeat(count // classes)
    np.testing.assert_array_equal(class_rows(np.arange(classes), count), expected)


@pytest.mark.parametrize(("classes", "count", "rows"), [
    (7, 64, [0, 0, 1, 2, 3, 4, 5, 6]),
    (7, 100, [0, 0, 1, 1, 2, 2, 3, 4, 5, 6]),
    (3, 100, [0, 0, 0, 0, 1, 1, 1, 2, 2, 2]),
    (2, 9, [0, 0, 1]),
])
def test_each_row_of_a_sheet_shows_one_class(classes, count, rows):
    columns = round(count**0.5)
    found = class_rows(np.arange(classes), count).reshape(-1, columns)
    np.testing.assert_array_equal(found, np.repeat(np.array(rows)[:, None], columns, axis=1))


def test_the_last_row_of_a_sheet_may_be_short():
    # 20 pictures in five columns and four rows; three classes.
    assert class_rows([0, 1, 2], 20).tolist() == [0] * 10 + [1] * 5 + [2] * 5
    # 22: five columns, five rows, the last of two.
    assert class_rows([0, 1, 2], 22).tolist() == [0] * 10 + [1] * 10 + [2] * 2


def test_more_classes_than_rows_or_pictures():
    assert class_rows(np.arange(10), 64).tolist() == sorted(list(range(10)) * 6 + [0, 1, 2, 3])
    assert class_rows(np.arange(100), 4).tolist() == [0, 25, 50, 75]
    assert class_rows([3, 7, 7], 4).tolist() == [3, 3, 7, 7]
