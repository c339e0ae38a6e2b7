"""Data sets of every name, of arrays and labels of every type, and what stands in their place."""

import gzip
import hashlib
import io
import os
import pickle
import re
import struct
import zipfile
from pathlib import Path
from unittest import mock

import h5py
import keras
import numpy as np
import pytest

from gan.data import datasets
from gan.data.arrays import map_npy
from gan.data.datasets import Dataset, load_dataset
from gan.run.options import parse_options
from tests.conftest import assert_error, assert_refused, noise

BYTES = np.random.default_rng(0).integers(0, 256, (6, 16, 16, 3)).astype(np.uint8)
BYTES[0, 0, 0], BYTES[0, 0, 1] = 0, 255
GOOD = np.zeros((4, 16, 16), np.uint8)
LABELS = np.array([3, 7, 7, 3, 3, 7])


def idx(array, kind=8):
    """The bytes of an IDX file, by default of unsigned bytes."""
    head = struct.pack(f">BBBB{array.ndim}I", 0, 0, kind, array.ndim, *array.shape)
    return head + array.astype(array.dtype.newbyteorder(">")).tobytes()


def write_idx(path, array, kind=8):
    content = idx(array, kind)
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


@pytest.fixture
def load(tmp_path):
    """A function that saves arrays as .npz and loads the data set."""
    def save_and_load(**arrays):
        np.savez(tmp_path / "a.npz", **arrays)
        return load_dataset(str(tmp_path / "a.npz"))

    return save_and_load


@pytest.mark.parametrize(("kind", "name", "dtype"), [
    (8, "-idx{}-ubyte", "u1"), (8, ".idx{}-ubyte", "u1"), (8, ".idx{}-ubyte.gz", "u1"),
    (9, "-idx{}-byte", "i1"), (11, "-idx{}-short", "i2"), (12, "-idx{}-int", "i4"),
    (13, "-idx{}-float.gz", "f4"), (14, "-idx{}-double", "f8")])
def test_idx_files_of_every_type(tmp_path, kind, name, dtype):
    images = np.arange(512).reshape(2, 16, 16) % (128 if dtype == "i1" else 256)
    for part, array in (("images", images), ("labels", np.array([100, 9]))):
        path = tmp_path / f"train-{part}{name.format(array.ndim)}"
        write_idx(path, array.astype(dtype), kind)
    write_idx(tmp_path / "t10k-images-idx3-ubyte", images[:1].astype("u1"))
    data = load_dataset(str(tmp_path))
    np.testing.assert_array_equal(data.images[..., 0], images)
    assert data.class_names == ("9", "100") and data.labels.tolist() == [1, 0]
    assert data.test_images.shape == (1, 16, 16, 1)  # a single one will do
    assert data.test_labels is None


def test_emnist_has_longer_names_and_lies_on_its_side(tmp_path):
    labels = np.array([1, 2, 26, 1, 2, 1], np.uint8)
    for part in ("train", "test"):
        for kind, array in (("images-idx3", BYTES[..., 0]), ("labels-idx1", labels)):
            (tmp_path / f"emnist-letters-{part}-{kind}-ubyte").write_bytes(idx(array))
    data = load_dataset(str(tmp_path), transpose=True)
    np.testing.assert_array_equal(data.images[..., 0], BYTES[..., 0].transpose(0, 2, 1))
    np.testing.assert_array_equal(data.test_images, data.images)
    assert data.class_names == ("1", "2", "26") and len(data.test_labels) == 6
    (tmp_path / "emnist-digits-train-images-idx3-ubyte").write_bytes(idx(BYTES[..., 0]))
    assert_refused(tmp_path, "expected one file of images, got: emnist-digits-.*move the others")


@pytest.mark.parametrize("names", [
    ("images", "labels"), ("train_images", "train_labels"), ("X", "y"), ("arr_0", "arr_1"),
    ("deep/x_train", "y_train"), ("anything", None)])
@pytest.mark.parametrize("suffix", ["npz", "h5"])
def test_arrays_of_other_names(tmp_path, names, suffix, capsys):
    labels = {names[1]: LABELS.astype(str).astype("S"), "seeds": np.arange(6)}
    arrays = {names[0]: BYTES} | (labels if names[1] else {})
    path = tmp_path / f"a.{suffix}"
    if suffix == "npz":
        np.savez(path, **{name.removeprefix("deep/"): array for name, array in arrays.items()})
    else:
        with h5py.File(path, "w") as file:
            file.update(arrays)
    data = load_dataset(str(path))
    np.testing.assert_array_equal(data.images, BYTES)
    assert data.class_names == (("3", "7") if names[1] else ())
    assert (f"images: {names[0]}" in capsys.readouterr().out) == (names[0] != "deep/x_train")


def test_hdf5_files_are_bounded_and_lead_nowhere(tmp_path):
    np.save(tmp_path / "secret.npy", BYTES)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["other"] = h5py.ExternalLink("secret.h5", "images")
        file.create_dataset("x_train", (6, 16, 16), "u1",
                            external=[(str(tmp_path / "secret.npy"), 0, 6 * 256)])
    assert_refused(tmp_path / "a.h5", "expected an array x_train.*got: no arrays")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x_train"] = BYTES
        file.create_dataset("y_train", (10**9, 9), "f8", compression="gzip")
    assert_refused(tmp_path / "a.h5", "MiB of arrays together")
    (tmp_path / "a.h5").write_bytes(b"\x89HDF" + bytes(100))
    assert_refused(tmp_path / "a.h5", "cannot read .*a.h5")


def test_an_array_alone_is_mapped_if_it_is_larger_than_memory(tmp_path, monkeypatch):
    path = tmp_path / "photos.NPY"
    with open(path, "wb") as file:
        np.save(file, BYTES)
    held = load_dataset(str(path))
    monkeypatch.setattr("gan.data.arrays.MEMORY_FRACTION", 1e-9)
    mapped = load_dataset(str(path))
    assert isinstance(mapped.images, np.memmap) and not isinstance(held.images, np.memmap)
    for data in (held, mapped):
        np.testing.assert_array_equal(data.images, BYTES)
        assert data.name == "photos" and data.labels is None and data.class_names == ()
    assert mapped.fingerprint == held.fingerprint
    np.save(tmp_path / "a.npy", BYTES / 255)
    assert_refused(tmp_path / "a.npy", "save uint8 images")  # its bytes would not fit either


@pytest.mark.parametrize("kind", ["npz", "idx", "idx.gz"])
def test_arrays_that_fit_alone_but_not_together_are_refused_unread(tmp_path, monkeypatch, kind):
    images, path = BYTES[..., 0].astype(np.int16), tmp_path / "a.npz"
    if kind == "npz":
        np.savez(path, x_train=images, x_test=images)
    else:
        path = tmp_path
        for part in ("train", "t10k"):
            write_idx(path / f"{part}-images-idx3-short{kind[3:]}", images, 11)
    monkeypatch.setattr("gan.data.arrays.MEMORY_FRACTION", 1)
    together = 2 * (images.nbytes + (128 if kind == "npz" else 0))  # a header each
    monkeypatch.setattr("gan.data.arrays.memory_bytes", lambda: together)
    assert len(load_dataset(str(path)).test_images) == 6
    monkeypatch.setattr("gan.data.arrays.memory_bytes", lambda: together - 1)
    monkeypatch.setattr("gan.data.arrays.np.load", None)
    assert_refused(path, "of arrays together")


@pytest.mark.parametrize("compression", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_compressions_that_python_unpacks_without_a_limit_are_refused(tmp_path, compression):
    with zipfile.ZipFile(tmp_path / "a.npz", "w", compression) as archive:
        archive.writestr("x_train.npy", NPY.getvalue())
    assert_refused(tmp_path / "a.npz", "a.npz: x_train: .*got another compression")


class Bomb:
    """What unpickling must not build."""

    def __reduce__(self):
        return pytest.fail, ("unpickled",)


BOMBS = np.array([Bomb()] * 4, object)


@pytest.mark.parametrize(("name", "save"), [
    ("a.npy", lambda path: np.save(path, BOMBS)),
    ("a.npz", lambda path: np.savez(path, x_train=BYTES[:4], y_train=BOMBS)),
    # What np.load takes for one, whatever the file's name.
    ("a.npy", lambda path: path.write_bytes(pickle.dumps(Bomb())))])
def test_nothing_is_unpickled(tmp_path, name, save):
    save(tmp_path / name)
    assert_refused(tmp_path / name, "expected an .np[yz] file of numbers")


NPY = io.BytesIO()
np.save(NPY, BYTES)
IDX = "train-images-idx3-ubyte"


@pytest.mark.parametrize(("name", "content", "expected"), [
    *[("a.npy", content, "expected an .npy file of numbers, got a damaged") for content in (
        b"", NPY.getvalue()[:-57],
        # A bracket that is not closed: NumPy's parser ends in an error of Python's tokenizer.
        NPY.getvalue().replace(b"16, 3), }", b"16, 3L  }"),
        NPY.getvalue().replace(b"(6, ", b"(9999999999, "))],  # more than any memory
    *[(IDX, content, "expected an IDX file, got a damaged file") for content in (
        b"", b"hello world", idx(GOOD)[:10], idx(GOOD)[:-1], idx(GOOD) + b"x",
        b"\1" + idx(GOOD)[1:])],
    (IDX, struct.pack(">BBBB3I", 0, 0, 8, 3, 2**31, 2**31, 2**31), "MiB of arrays together"),
    (IDX + ".gz", gzip.compress(idx(BYTES[..., 0]), mtime=0)[:-20], "got a damaged file"),
    (IDX + ".gz", gzip.compress(idx(GOOD), mtime=0)[:30] + b"x" * 40, "CRC check failed"),
    (IDX + ".gz", b"not gzip", "Not a gzipped file"),
    *[("a.zip", content, "expected a zip archive, got a damaged file") for content in (
        b"", b"PK\3\4", b"text")]])
def test_damaged_files_are_named(tmp_path, name, content, expected):
    path = tmp_path / "data" / name
    path.parent.mkdir()
    path.write_bytes(content)
    assert_refused(path.parent if name.startswith(IDX) else path, f"{name}.*{expected}")


@pytest.mark.parametrize("make", [
    os.mkfifo, lambda path: os.symlink("/dev/zero", path), lambda path: os.symlink("/no/file", path)
], ids=["FIFO", "device", "broken link"])
@pytest.mark.parametrize("name", ["a.npz", "a.npy", "a.png", "idx/train-images-idx3-ubyte"])
def test_what_is_no_file_is_refused_and_not_waited_for(tmp_path, make, name):
    (tmp_path / "idx").mkdir()
    make(tmp_path / name)
    assert_refused(tmp_path / name.partition("/")[0],
                   "expected a file, got nothing or a broken link, a folder, a")
    assert_error("expected a file", map_npy, tmp_path / name)


HIGH = np.concatenate([BYTES, BYTES], axis=1)  # images need not be square


@pytest.mark.parametrize("images", [
    HIGH / 255, (HIGH / 127.5 - 1).astype(np.float32), HIGH.astype(np.float64),
    HIGH.astype(np.uint16), HIGH.transpose(0, 3, 1, 2), (HIGH / 255).transpose(0, 3, 1, 2),
], ids=["unit", "signed", "float bytes", "uint16", "channels first", "channels first, unit"])
def test_images_of_other_types_become_bytes_and_it_is_said(load, images, capsys):
    data = load(x_train=images, x_test=images[1:4])
    np.testing.assert_array_equal(data.images, HIGH)
    np.testing.assert_array_equal(data.test_images, HIGH[1:4])
    assert data.images.dtype == np.uint8 and data.images.flags.c_contiguous
    lines = capsys.readouterr().out.splitlines()
    assert all(line.startswith("note: ") for line in lines)
    assert ("uint8" in lines[-1]) == (images.dtype != np.uint8)
    assert ("[N, C, H, W] [6, 3, 32, 16] became" in lines[0]) == (images.shape[1] == 3)


@pytest.mark.parametrize(("most", "white"), [(1000, 1023), (4000, 4095), (60_000, 65_535)])
@pytest.mark.parametrize("dtype", [np.uint16, np.int32])
def test_integers_are_scaled_by_the_bits_that_they_need(load, most, white, dtype, capsys):
    values = np.linspace(0, most, 1024).reshape(4, 16, 16).astype(dtype)
    data = load(x_train=values, x_test=values // 2)
    np.testing.assert_array_equal(data.images[..., 0], np.rint(values * (255 / white)))
    np.testing.assert_array_equal(data.test_images[..., 0], np.rint(values // 2 * (255 / white)))
    assert f"from 0 to {white} became uint8" in capsys.readouterr().out


@pytest.mark.parametrize("values", [np.linspace(-1000, 3000, 1024), np.arange(1024)])
def test_a_range_says_what_becomes_black_and_white(tmp_path, values):
    values = values.reshape(4, 16, 16)
    np.save(tmp_path / "a.npy", values)
    found = load_dataset(str(tmp_path / "a.npy"), range="100,900").images[..., 0]
    expected = np.rint((np.clip(values, 100, 900) - 100) * (255 / 800))
    np.testing.assert_allclose(found, expected, atol=1)
    assert found.min() == 0 and found.max() == 255
    if values.min() < 0:
        assert_refused(tmp_path / "a.npy", "say with --range LOW,HIGH what becomes black and")


def test_rows_of_pixels_are_images_and_truth_values_black_and_white(load, capsys):
    truth = (BYTES[..., 0] > 99).reshape(6, 256)
    found = load(x_train=truth, x_test=truth).images[..., 0]
    np.testing.assert_array_equal(found, 255 * truth.reshape(6, 16, 16))
    assert "rows [6, 256] became images [N, 16, 16]" in capsys.readouterr().out


@pytest.mark.parametrize(("scale", "labeled"), [(1, True), (1, False), (1 / 255, False)])
def test_a_table_of_pixels_has_an_image_a_row(tmp_path, scale, labeled):
    pixels = BYTES[..., 0].reshape(6, 256) * scale
    table = np.concatenate([LABELS[:, None], pixels], axis=1) if labeled else pixels
    heading = ",".join([*["label"] * labeled, *(f"pixel{place}" for place in range(256))])
    np.savetxt(tmp_path / "train.csv", table, "%.9g", ",", header=heading, comments="")
    data = load_dataset(str(tmp_path / "train.csv"))
    np.testing.assert_array_equal(data.images, BYTES[..., :1])
    assert data.class_names == (("3", "7") if labeled else ())


@pytest.mark.parametrize("dtype", [np.uint8, np.int32])
@pytest.mark.parametrize("most", [1, 15])
def test_values_of_fewer_bits_are_black_and_it_is_said(load, tmp_path, dtype, most, capsys):
    images = (BYTES[..., 0] > 99).astype(dtype) * most
    np.testing.assert_array_equal(load(x_train=images).images[..., 0], images)
    assert f"no value is above {most}, where 255 is white" in capsys.readouterr().err
    assert load_dataset(str(tmp_path / "a.npz"), range=f"0,{most}").images.max() == 255


@pytest.mark.parametrize(("labels", "names", "numbers"), [
    (LABELS, ("3", "7"), [0, 1, 1, 0, 0, 1]),
    (LABELS.astype(np.float16), ("3", "7"), [0, 1, 1, 0, 0, 1]),
    (LABELS.astype(np.uint64)[:, None], ("3", "7"), [0, 1, 1, 0, 0, 1]),
    (LABELS == 7, ("0", "1"), [0, 1, 1, 0, 0, 1]),
    (np.eye(8, dtype=np.float32)[LABELS], ("3", "7"), [0, 1, 1, 0, 0, 1]),
    (np.array(["dog", "cat", "cat", "ape", "dog", "cat"]), ("ape", "cat", "dog"),
     [2, 1, 1, 0, 2, 1]),
    (np.array([b"dog", b"cat", b"cat", "\xe4".encode(), b"dog", b"cat"]), ("cat", "dog", "\xe4"),
     [1, 0, 0, 2, 1, 0])])
def test_labels_are_numbered_without_gaps_and_named(load, labels, names, numbers):
    data = load(x_train=BYTES, y_train=labels, x_test=BYTES[1:4], y_test=labels[1:4])
    assert data.class_names == names
    assert data.labels.tolist() == numbers and data.test_labels.tolist() == numbers[1:4]
    assert data.labels.dtype == data.test_labels.dtype == np.int32


@pytest.mark.parametrize(("arrays", "expected"), [
    ({"a": GOOD, "b": GOOD}, "expected an array x_train (or one of train_images, "),
    ({"x_train": np.full((4, 16, 16), 7.5)}, "from 7.5 to 7.5; say with --range"),
    ({"x_train": np.full((4, 16, 16), np.nan)}, "float64 from nan to nan"),
    ({"x_train": np.full((4, 16, 16), -1)}, "got: int64 from -1 to -1"),
    ({"x_train": np.full((4, 16, 16), "a")}, "expected numbers (uint8), got: <U1"),
    ({"x_train": np.zeros((4, 16, 16, 2), np.uint8)}, "with C 1, 3 or 4"),
    ({"x_train": np.zeros((4, 257), np.uint8)}, "expected images [N, H, W]"),
    ({"x_train": np.full((4, 16, 16), 70_000)}, "integers of up to 16 bits from 0 up"),
    ({"x_train": np.zeros((0, 16, 16), np.uint8)}, "N at least 2"),
    ({"x_train": np.zeros((2, 513, 16), np.uint8)}, "sides of 16 to 512 pixels, got: 16 x 513"),
    ({"x_train": np.linspace(0, 1, 1024).reshape(4, 16, 16), "x_test": np.full((4, 16, 16), 7.0)},
     "from 0 to 1 as the training images have, got: 7 to 7"),
    ({"x_train": GOOD, "x_test": np.zeros((4, 20, 20), np.uint8)}, "test images of the training"),
    ({"x_train": GOOD, "y_train": np.array([0, 1, 1])}, "one for each of 4 images"),
    ({"x_train": GOOD, "y_train": np.array([0, 1, -1, 1])}, "int64 from -1 to 1"),
    ({"x_train": GOOD, "y_train": np.array([0, 1, np.nan, 1])}, "what is measured is no class"),
    ({"x_train": GOOD, "y_train": np.eye(4, 40, dtype=int) * 2 - 1}, "keep one column, such as y"),
    ({"x_train": GOOD, "y_train": np.full((4, 2), 0.5)}, "with y.argmax(axis=1)"),
    ({"x_train": np.zeros((1001, 16, 16), np.uint8), "y_train": np.arange(1001)}, "1000 classes"),
    ({"x_train": GOOD, "x_test": GOOD, "y_train": np.array([3, 7, 3, 7]),
      "y_test": np.array([3, 3, 5, 9])},
     "test labels: expected labels that occur among the training labels, got: 5, 9")])
def test_wrong_arrays_are_named(load, arrays, expected):
    assert_error(f"a.npz.*{re.escape(expected)}", load, **arrays)


def test_bundled_mnist_is_mnist_byte_for_byte(mnist):
    known = {"images": "6bbc9ace898e44ae57da46a324031adb",
             "labels": "a25bea736e30d166cdddb491f175f624",
             "test_images": "2646ac647ad5339dbf082846283269ea",
             "test_labels": "27ae3e4e09519cfbb04c329615203637"}
    for name, md5 in known.items():
        array = getattr(mnist, name).squeeze().astype(np.uint8)
        assert hashlib.md5(idx(array)).hexdigest() == md5, name


FASHION = Path("/usr/share/datasets/fashion-mnist")  # Debian's dataset-fashion-mnist


@pytest.mark.skipif(not FASHION.exists(), reason="dataset-fashion-mnist is not installed")
def test_fashion_mnist_brings_its_class_names():
    dataset = load_dataset(str(FASHION))
    assert dataset.images.shape == (60000, 28, 28, 1) and len(dataset.test_images) == 10000
    assert (np.bincount(dataset.labels) == 6000).all()
    assert dataset.class_names[7] == "Sneaker" and len(dataset.class_names) == 10


def test_fashion_mnist_is_loaded_by_keras_or_the_way_out_named(monkeypatch):
    arrays = (GOOD, np.array([0, 1, 1, 0], np.uint8)), (GOOD[:2], np.array([1, 0], np.uint8))
    monkeypatch.setattr(keras.datasets.fashion_mnist, "load_data", lambda: arrays)
    dataset = load_dataset("fashion_mnist")
    assert dataset.name == "fashion_mnist" and dataset.labels.tolist() == [0, 1, 1, 0]
    assert dataset.test_images.shape == (2, 16, 16, 1) and dataset.test_labels.tolist() == [1, 0]
    monkeypatch.setattr(keras.datasets.fashion_mnist, "load_data",
                        mock.Mock(side_effect=OSError("no route to host")))
    assert_refused("fashion_mnist", "no route to host.*dataset-fashion-mnist")


def test_a_data_set_is_one_entry_of_the_registry(monkeypatch):
    mine = Dataset("mine", np.zeros((64, 16, 16, 1), np.uint8))
    monkeypatch.setitem(datasets.DATASETS, "mine", lambda: mine)
    assert load_dataset("mine") is mine
    assert parse_options(["--dataset", "mine"])[0].named
    assert_refused("other", "expected mnist, fashion_mnist, .* mine, an existing")


def test_the_fingerprint_is_the_content_and_not_the_place(tmp_path):
    images = noise(4)[..., 0]
    np.savez(tmp_path / "a.npz", x_train=images)
    (tmp_path / "b").mkdir()
    np.savez_compressed(tmp_path / "b" / "c.npz", x_train=images, x_test=images)
    np.save(tmp_path / "d.npy", np.asfortranarray(images))
    (tmp_path / "idx").mkdir()
    (tmp_path / "idx" / "train-images-idx3-ubyte").write_bytes(idx(images))
    found = {load_dataset(str(tmp_path / name)).fingerprint
             for name in ("a.npz", "b/c.npz", "d.npy", "idx")}
    assert found == {Dataset("a", images[..., None]).fingerprint}
    changed = images.copy()
    changed[3, 15, 15] ^= 1  # a single bit
    assert Dataset("a", changed[..., None]).fingerprint not in found
    assert Dataset("a", images[..., None], np.zeros(4, np.int32)).fingerprint not in found


def test_examples_are_a_random_choice_by_class_and_each_time_the_same():
    images = np.broadcast_to(np.arange(201, dtype=np.uint8).reshape(-1, 1, 1, 1), (201, 16, 16, 1))
    labels = np.append(np.repeat(np.arange(2, dtype=np.int32), 100), 2)
    for data in (Dataset("a", images), Dataset("a", images, labels, ("a", "b", "c"))):
        shown = data.examples(100)[:, 0, 0, 0].tolist()
        assert shown == data.examples(100)[:, 0, 0, 0].tolist()
        # Of the first half and of the second, as of a hundred tosses of a coin.
        assert 0.3 < sum(shade % 100 < 50 for shade in shown[:70]) / 70 < 0.7
    # Four rows of ten, three of ten, and the only image of its class three times ten.
    assert [labels[shade] for shade in shown] == [0] * 40 + [1] * 30 + [2] * 30
    assert len(set(shown[:70])) == 70 and shown[70:] == [200] * 30
    assert sorted(Dataset("a", images[:9]).examples(100)[:, 0, 0, 0].tolist()) == list(range(9))
