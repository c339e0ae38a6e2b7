import gzip
import hashlib
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest

from gan.common.errors import UserError
from gan.data import datasets
from gan.data.datasets import Dataset, load_dataset
from gan.data.pixels import digest_images


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


def test_a_data_set_is_one_entry_of_the_registry(monkeypatch):
    from gan.config import TrainConfig

    mine = Dataset("mine", np.zeros((64, 16, 16, 1), np.uint8))
    monkeypatch.setitem(datasets.DATASETS, "mine", lambda: mine)
    assert load_dataset("mine") is mine
    assert TrainConfig.from_args(["--dataset", "mine"])[0].named
    with pytest.raises(UserError, match="expected mnist, fashion_mnist, .* mine, an existing"):
        load_dataset("other")


GOOD = np.zeros((4, 16, 16), np.uint8)


@pytest.mark.parametrize(("arrays", "expected"), [
    ({"x": GOOD}, "expected an array x_train, got: x"),
    ({"x_train": np.full((4, 16, 16), 7.5)}, "from 7.5 to 7.5; convert with x.round()"),
    ({"x_train": np.full((4, 16, 16), np.nan)}, "expected finite numbers"),
    ({"x_train": np.linspace(-0.4, 0.4, 1024).reshape(4, 16, 16)}, "x.min()"),
    ({"x_train": np.full((4, 16, 16), 4000)}, "from 4000 to 4000; convert with (x // 257)"),
    ({"x_train": np.full((4, 16, 16), -1)}, "got: int64 from -1 to -1"),
    ({"x_train": np.full((4, 16, 16), "a")}, "expected numbers (uint8), got: <U1"),
    ({"x_train": np.zeros((4, 16, 20), np.uint8)}, "expected square images"),
    ({"x_train": np.zeros((4, 16, 16, 2), np.uint8)}, "with C 1 or 3"),
    ({"x_train": np.zeros((4, 256), np.uint8)}, "got: [4, 256]; unfold with x.reshape(-1, 16, 16)"),
    ({"x_train": np.zeros((4, 3, 16, 20), np.uint8)}, "transpose with x.transpose(0, 2, 3, 1)"),
    ({"x_train": np.zeros((16, 16, 3, 4), np.uint8)}, "transpose with x.transpose(3, 0, 1, 2)"),
    ({"x_train": np.zeros((4, 16, 16, 4), np.uint8)}, "with x[..., :3]"),
    ({"x_train": np.zeros((16, 16, 5), np.uint8)}, "if N comes last, transpose with x.transpose(2"),
    ({"x_train": np.zeros((0, 16, 16), np.uint8)}, "N at least 2"),
    ({"x_train": np.zeros((4, 15, 15), np.uint8)}, "a side of 16 to 256 pixels, got: 15"),
    ({"x_train": np.zeros((2, 260, 260), np.uint8)}, "got: 260"),
    ({"x_train": GOOD, "y_train": np.array([0, 1, 1])}, "one for each of 4 images"),
    ({"x_train": GOOD, "y_train": np.array([0, 1, -1, 1])}, "got: -1 to 1"),
    ({"x_train": np.zeros((1001, 16, 16), np.uint8), "y_train": np.arange(1001)},
     "expected at most 1000 classes, got: 1001 different labels"),
    ({"x_train": GOOD, "y_train": np.array([0, 1, 0.5, 1])}, "with fractions"),
    ({"x_train": GOOD, "y_train": np.array([0, 1, np.nan, 1])}, "expected whole numbers"),
    ({"x_train": GOOD, "y_train": np.full((4, 2), 0.5)}, "with y.argmax(axis=1)"),
    ({"x_train": GOOD, "y_train": np.array([0, 1, None, 1])}, "got: Python objects; convert"),
    ({"x_train": GOOD, "x_test": GOOD, "y_train": np.array([3, 7, 3, 7]),
      "y_test": np.array([3, 3, 5, 9])},
     "a.npz: test labels: expected labels that occur among the training labels, got: 5, 9"),
    ({"x_train": np.linspace(0, 1, 1024).reshape(4, 16, 16), "x_test": np.full((4, 16, 16), 7.0)},
     "from 0 to 1 as the training images have, got: 7 to 7"),
    ({"x_train": GOOD, "x_test": np.zeros((4, 20, 20), np.uint8)}, "test images of the training"),
    ({"x_train": np.array([object()] * 4)}, "got: Python objects"),
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
    (idx(GOOD)[:10], "expected 3 sizes in the header"),
    (idx(GOOD)[:-1], "expected 1024 bytes of data, got: 1023"),
    (idx(GOOD) + b"x", "expected 1024 bytes after the header, got: more"),
    (struct.pack(">BBBB3I", 0, 0, 8, 3, 2**31, 2**31, 2**31), "MiB of arrays together"),
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


def test_fingerprints_are_those_of_the_first_version(mnist, tiny_npz):
    # Written down from version 0.1: checkpoints and classifiers are found by them.
    assert mnist.fingerprint == "2a9bac7d365be67d"
    assert load_dataset(str(tiny_npz)).fingerprint == "c25cc63a475c7500"


def test_the_fingerprint_is_the_content_and_not_the_place(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (4, 16, 16)).astype(np.uint8)
    np.savez(tmp_path / "a.npz", x_train=images)
    (tmp_path / "b").mkdir()
    np.savez_compressed(tmp_path / "b" / "c.npz", x_train=images, x_test=images)
    np.save(tmp_path / "d.npy", images)
    (tmp_path / "idx").mkdir()
    (tmp_path / "idx" / "train-images-idx3-ubyte").write_bytes(idx(images))
    found = {load_dataset(str(tmp_path / name)).fingerprint
             for name in ("a.npz", "b/c.npz", "d.npy", "idx")}
    assert len(found) == 1


def test_images_are_hashed_once(monkeypatch, tmp_path):
    calls = []
    monkeypatch.setattr(datasets, "digest_images",
                        lambda images: calls.append(1) or digest_images(images))
    monkeypatch.setattr(datasets, "FASHION_SHAPE", (4, 16, 16, 1))
    np.savez(tmp_path / "a.npz", x_train=GOOD, y_train=np.arange(4))
    data = load_dataset(str(tmp_path / "a.npz"))
    assert data.fingerprint == data.fingerprint and len(calls) == 1


def test_examples_show_the_classes_of_class_rows():
    labels = np.array([0, 1, 2] * 20 + [3], np.int32)
    shades = np.arange(61, dtype=np.uint8).reshape(-1, 1, 1, 1)
    images = np.broadcast_to(shades, (61, 16, 16, 1))
    data = Dataset("a", images, labels, ("a", "b", "c", "d"))
    shown = data.examples(25)[:, 0, 0, 0].tolist()  # five rows of five, two of the first class
    assert [labels[shade] for shade in shown] == [0] * 10 + [1] * 5 + [2] * 5 + [3] * 5
    assert len(set(shown[:20])) == 20  # none twice where there are enough
    assert shown[20:] == [60] * 5  # the only one of its class


def test_examples_are_a_random_choice_and_each_time_the_same():
    images = np.broadcast_to(np.arange(200, dtype=np.uint8).reshape(-1, 1, 1, 1), (200, 16, 16, 1))
    labels = np.repeat(np.arange(2, dtype=np.int32), 100)
    for data in (Dataset("a", images), Dataset("a", images, labels, ("a", "b"))):
        shown = data.examples(100)[:, 0, 0, 0].tolist()
        assert shown == data.examples(100)[:, 0, 0, 0].tolist()
        # Of the first half and of the second, as of a hundred tosses of a coin.
        for part in (shown,) if data.labels is None else (shown[:50], shown[50:]):
            early = sum(shade % 100 < 50 for shade in part) / len(part)
            assert 0.3 < early < 0.7
    assert sorted(Dataset("a", images[:9]).examples(100)[:, 0, 0, 0].tolist()) == list(range(9))
