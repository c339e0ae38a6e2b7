import gzip
import hashlib
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest

from gan.common.errors import UserError
from gan.data.clustering import PrincipalComponents, k_means
from gan.data.conditioning import condition_dataset
from gan.data.datasets import Dataset, load_dataset
from gan.data.orientation import orientation_histograms


def idx(array):
    """The bytes of an IDX file of unsigned bytes."""
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


@pytest.fixture(scope="module")
def mnist():
    return load_dataset("mnist")


def test_bundled_mnist_is_mnist_byte_for_byte(mnist):
    known = {"images": "6bbc9ace898e44ae57da46a324031adb",
             "labels": "a25bea736e30d166cdddb491f175f624",
             "test_images": "2646ac647ad5339dbf082846283269ea",
             "test_labels": "27ae3e4e09519cfbb04c329615203637"}
    for name, md5 in known.items():
        array = getattr(mnist, name)
        if "images" in name:
            array = array[..., 0]
        assert hashlib.md5(idx(array.astype(np.uint8))).hexdigest() == md5, name


@pytest.mark.parametrize("zipped", [False, True])
def test_idx_folder(tmp_path, zipped):
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (6, 28, 28)).astype(np.uint8)
    labels = np.array([0, 1, 2, 0, 1, 2], np.uint8)
    for name, array in {"train-images-idx3-ubyte": images, "train-labels-idx1-ubyte": labels,
                        "t10k-images-idx3-ubyte": images[:2]}.items():
        data = gzip.compress(idx(array)) if zipped else idx(array)
        (tmp_path / (name + (".gz" if zipped else ""))).write_bytes(data)
    dataset = load_dataset(str(tmp_path))
    np.testing.assert_array_equal(dataset.images[..., 0], images)
    assert dataset.labels.tolist() == [0, 1, 2, 0, 1, 2]
    assert dataset.class_names == ("0", "1", "2")
    assert dataset.test_images.shape == (2, 28, 28, 1) and dataset.test_labels is None


def test_npz_with_colour_and_without_labels(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (4, 16, 16, 3)).astype(np.uint8)
    np.savez_compressed(tmp_path / "a.npz", x_train=images)
    dataset = load_dataset(str(tmp_path / "a.npz"))
    np.testing.assert_array_equal(dataset.images, images)
    assert dataset.labels is None and dataset.class_names == () and dataset.name == "a"


FASHION = Path("/usr/share/datasets/fashion-mnist")  # Debian's dataset-fashion-mnist


@pytest.mark.skipif(not FASHION.exists(), reason="dataset-fashion-mnist is not installed")
def test_fashion_mnist_brings_its_class_names():
    dataset = load_dataset(str(FASHION))
    assert dataset.images.shape == (60000, 28, 28, 1) and len(dataset.test_images) == 10000
    assert (np.bincount(dataset.labels) == 6000).all()
    assert dataset.class_names[7] == "Sneaker" and len(dataset.class_names) == 10


def test_fashion_mnist_that_cannot_be_downloaded_names_the_way_out(monkeypatch, tensorflow):
    import keras

    def fail():
        raise OSError("no route to host")

    monkeypatch.setattr(keras.datasets.fashion_mnist, "load_data", fail)
    with pytest.raises(UserError, match="no route to host.*dataset-fashion-mnist"):
        load_dataset("fashion_mnist")


def test_fashion_mnist_as_keras_loads_it(monkeypatch, tensorflow):
    import keras

    arrays = (GOOD, np.array([0, 1, 1, 0], np.uint8)), (GOOD[:2], np.array([1, 0], np.uint8))
    monkeypatch.setattr(keras.datasets.fashion_mnist, "load_data", lambda: arrays)
    dataset = load_dataset("fashion_mnist")
    assert dataset.name == "fashion_mnist" and dataset.labels.tolist() == [0, 1, 1, 0]
    assert dataset.test_images.shape == (2, 16, 16, 1) and dataset.test_labels.tolist() == [1, 0]


GOOD = np.zeros((4, 16, 16), np.uint8)


@pytest.mark.parametrize(("arrays", "expected"), [
    ({"x": GOOD}, "expected an array x_train, got: x"),
    ({"x_train": GOOD.astype(np.float32)}, "expected whole numbers"),
    ({"x_train": GOOD.astype(np.int64)}, "expected uint8, got: int64"),
    ({"x_train": np.zeros((4, 16, 20), np.uint8)}, "expected square images"),
    ({"x_train": np.zeros((4, 16, 16, 2), np.uint8)}, "with C 1 or 3"),
    ({"x_train": np.zeros((4, 256), np.uint8)}, "expected square images"),
    ({"x_train": np.zeros((0, 16, 16), np.uint8)}, "N at least 2"),
    ({"x_train": np.zeros((4, 18, 18), np.uint8)}, "a multiple of 4, got: 18"),
    ({"x_train": np.zeros((2, 256, 256), np.uint8)}, "got: 256"),
    ({"x_train": GOOD, "y_train": np.array([0, 1, 1])}, "one for each of 4 images"),
    ({"x_train": GOOD, "y_train": np.array([0, 1, -1, 1])}, "got: -1 to 1"),
    ({"x_train": GOOD, "y_train": np.array([0, 1, 9999, 1])}, "from 0 to 999"),
    ({"x_train": GOOD, "x_test": np.zeros((4, 20, 20), np.uint8)}, "test images of the training"),
    ({"x_train": np.array([object()] * 4)}, "expected whole numbers"),
])
def test_wrong_arrays_are_named(tmp_path, arrays, expected):
    path = tmp_path / "a.npz"
    np.savez(path, **arrays)
    with pytest.raises(UserError, match="a.npz") as caught:
        load_dataset(str(path))
    assert expected in str(caught.value)


def test_npz_header_that_promises_too_much(tmp_path):
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w") as archive, archive.open("x_train.npy", "w") as file:
        np.lib.format.write_array_header_1_0(
            file, {"descr": "|u1", "fortran_order": False, "shape": (10**9, 28, 28)})
        file.write(b"\0" * 1000)
    with pytest.raises(UserError, match="promises 784000000000"):
        load_dataset(str(path))


@pytest.mark.parametrize(("content", "expected"), [
    (b"", "an empty file"),
    (b"hello world", "it starts with 00 00 08"),
    (idx(GOOD)[:10], "expected sizes in the header"),
    (idx(GOOD)[:-1], "expected 1024 bytes after the header, got: 1023"),
    (idx(GOOD) + b"x", "expected 1024 bytes after the header, got: more"),
    (struct.pack(">BBBB3I", 0, 0, 8, 3, 2**31, 2**31, 2**31), "expected sizes in the header"),
])
def test_damaged_idx_files_are_named(tmp_path, content, expected):
    (tmp_path / "train-images-idx3-ubyte").write_bytes(content)
    with pytest.raises(UserError, match="train-images-idx3-ubyte") as caught:
        load_dataset(str(tmp_path))
    assert expected in str(caught.value)


@pytest.mark.parametrize("damage", [lambda data: data[:-20], lambda data: data[:60] + b"x" * 40,
                                    lambda data: b"not gzip"])
def test_damaged_gzip_is_named(tmp_path, damage):
    random = np.random.default_rng(0).integers(0, 256, (4, 16, 16)).astype(np.uint8)
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(damage(gzip.compress(idx(random))))
    with pytest.raises(UserError, match="train-images-idx3-ubyte.gz"):
        load_dataset(str(tmp_path))


def test_fingerprint_sees_one_changed_bit():
    images = np.zeros((4, 16, 16, 1), np.uint8)
    changed = images.copy()
    changed[3, 15, 15] = 1
    prints = {Dataset("a", images).fingerprint, Dataset("a", changed).fingerprint,
              Dataset("a", images, np.zeros(4, np.int32)).fingerprint}
    assert len(prints) == 3
    assert Dataset("b", images.copy()).fingerprint in prints


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


def test_conditions_by_label_keep_to_their_label(mnist):
    small = Dataset("small", mnist.images[:2000], mnist.labels[:2000], mnist.class_names)
    found = condition_dataset(small, "auto", 4, seed=0)
    assert found.count == 40
    np.testing.assert_array_equal(found.class_of[found.ids], small.labels)
    np.testing.assert_allclose(found.probabilities, np.bincount(found.ids) / 2000, rtol=1e-6)
    again = condition_dataset(small, "labels", 4, seed=0)
    np.testing.assert_array_equal(found.ids, again.ids)
    assert (condition_dataset(small, "labels", 4, seed=1).ids != found.ids).any()


def test_conditions_without_labels(mnist):
    bare = Dataset("bare", mnist.images[:1000])
    found = condition_dataset(bare, "auto", None, seed=0)
    assert found.class_of is None and found.count <= 100  # ten images a cluster at least
    assert condition_dataset(bare, "none", None, seed=0).count == 1
    with pytest.raises(UserError, match="has no labels, got: labels"):
        condition_dataset(bare, "labels", None, seed=0)
    with pytest.raises(UserError, match="--clusters: expected at most 1000"):
        condition_dataset(bare, "clusters", 2000, seed=0)


def test_code_names_the_condition_its_group_and_all():
    from gan.data.conditioning import Conditioning

    parts = np.array([[0, 3, 5], [1, 3, 5], [2, 4, 5]])
    found = Conditioning(np.array([0, 1, 2]), np.full(3, 1 / 3), parts, "labels", parts[:, 1] - 3)
    assert found.codes.tolist() == [[1, 0, 0, 1, 0, 1], [0, 1, 0, 1, 0, 1], [0, 0, 1, 0, 1, 1]]


def test_conditions_survive_a_checkpoint(mnist):
    small = Dataset("small", mnist.images[:300], mnist.labels[:300], mnist.class_names)
    for kind in ("labels", "clusters", "none"):
        before = condition_dataset(small, kind, None, seed=0)
        after = type(before).from_arrays(before.to_arrays(), 300)
        np.testing.assert_array_equal(before.ids, after.ids)
        np.testing.assert_array_equal(before.probabilities, after.probabilities)
        np.testing.assert_array_equal(before.codes, after.codes)
        assert before.describe() == after.describe()
        assert (before.class_of is None) == (after.class_of is None)
