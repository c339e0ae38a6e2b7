"""Arrays and labels of every usual kind, and what stands in their place."""

import gzip
import io
import os
import pickle
import struct
import tracemalloc
import zipfile

import numpy as np
import pytest

from gan.common.errors import UserError
from gan.data.datasets import load_dataset

BYTES = np.random.default_rng(0).integers(0, 256, (6, 16, 16, 3)).astype(np.uint8)
BYTES[0, 0, 0], BYTES[0, 0, 1] = 0, 255
LABELS = np.array([3, 7, 7, 3, 3, 7])


@pytest.fixture
def load(tmp_path):
    """A function that saves arrays as .npz and loads the data set."""
    def save_and_load(**arrays):
        np.savez(tmp_path / "a.npz", **arrays)
        return load_dataset(str(tmp_path / "a.npz"))

    return save_and_load


def test_an_array_larger_than_memory_is_mapped(tmp_path, monkeypatch):
    np.save(tmp_path / "a.npy", BYTES)
    held = load_dataset(str(tmp_path / "a.npy"))
    monkeypatch.setattr("gan.data.arrays.MEMORY_FRACTION", 1e-9)
    mapped = load_dataset(str(tmp_path / "a.npy"))
    assert isinstance(mapped.images, np.memmap) and not isinstance(held.images, np.memmap)
    np.testing.assert_array_equal(mapped.images, BYTES)
    assert mapped.fingerprint == held.fingerprint
    np.savez(tmp_path / "a.npz", x_train=BYTES)
    with pytest.raises(UserError, match="a.npz: expected at most 0 MiB of arrays together"):
        load_dataset(str(tmp_path / "a.npz"))
    np.save(tmp_path / "a.npy", BYTES / 255)
    with pytest.raises(UserError, match="save uint8 images"):  # its bytes would not fit either
        load_dataset(str(tmp_path / "a.npy"))


@pytest.mark.parametrize("kind", ["npz", "idx", "idx.gz"])
def test_arrays_that_fit_one_by_one_but_not_together_are_refused_unread(tmp_path, monkeypatch,
                                                                        kind):
    images = BYTES[..., 0].copy()
    path = tmp_path / ("a.npz" if kind == "npz" else "data")
    if kind == "npz":
        np.savez(path, x_train=images, x_test=images)
    else:
        path.mkdir()
        for name in ("train-images-idx3-ubyte", "t10k-images-idx3-ubyte"):
            content = struct.pack(">4B3I", 0, 0, 8, 3, *images.shape) + images.tobytes()
            if kind == "idx.gz":
                name, content = f"{name}.gz", gzip.compress(content)
            (path / name).write_bytes(content)
    monkeypatch.setattr("gan.data.arrays.MEMORY_FRACTION", 1)
    monkeypatch.setattr("gan.data.arrays.memory_bytes", lambda: 2 * images.nbytes)
    assert len(load_dataset(str(path)).test_images) == 6
    monkeypatch.setattr("gan.data.arrays.memory_bytes", lambda: 2 * images.nbytes - 1)
    monkeypatch.setattr("gan.data.arrays._read_bytes", None)
    with pytest.raises(UserError, match="of arrays together"):
        load_dataset(str(path))


@pytest.mark.parametrize("compression", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
@pytest.mark.parametrize("damaged", [False, True])
def test_compressions_that_python_unpacks_without_a_limit_are_refused(tmp_path, compression,
                                                                      damaged):
    array = io.BytesIO()
    np.save(array, BYTES)
    with zipfile.ZipFile(tmp_path / "a.npz", "w", compression) as archive:
        archive.writestr("x_train.npy", array.getvalue())
    content = bytearray((tmp_path / "a.npz").read_bytes())
    if damaged:
        content[60:90] = bytes(30)
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(UserError, match="a.npz: x_train: .*got one compressed with"):
        load_dataset(str(tmp_path / "a.npz"))


def test_a_header_of_gigabytes_is_not_read(tmp_path):
    with (zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as archive,
          archive.open("x_train.npy", "w") as file):
        file.write(b"\x93NUMPY\x02\x00" + (2**28).to_bytes(4, "little"))
        for _ in range(2**4):
            file.write(b" " * 2**24)
    tracemalloc.start()
    with pytest.raises(UserError, match="a.npz: x_train: expected a NumPy array"):
        load_dataset(str(tmp_path / "a.npz"))
    assert tracemalloc.get_traced_memory()[1] < 2**22
    tracemalloc.stop()


class Bomb:
    """What unpickling must not build."""

    def __reduce__(self):
        return os.mkdir, ("unpickled",)


@pytest.mark.parametrize("place", ["npy", "npz", "pickle", "member"])
def test_nothing_is_unpickled(tmp_path, monkeypatch, place):
    monkeypatch.chdir(tmp_path)
    bomb = np.array([Bomb()] * 4, object)
    path = tmp_path / ("a.npz" if place in ("npz", "member") else "a.npy")
    if place == "npy":
        np.save(path, bomb)
    elif place == "npz":
        np.savez(path, x_train=BYTES[:4], y_train=bomb)
    elif place == "pickle":  # what np.load takes for one, whatever the file's name
        path.write_bytes(pickle.dumps(Bomb()))
    else:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("x_train.npy", pickle.dumps(Bomb()))
    with pytest.raises(UserError, match="expected numbers|expected a NumPy array"):
        load_dataset(str(path))
    assert not (tmp_path / "unpickled").exists()


@pytest.mark.parametrize("images", [
    BYTES / 255, (BYTES / 255).astype(np.float32), BYTES / 127.5 - 1,
    (BYTES / 127.5 - 1).astype(np.float32), BYTES.astype(np.float64), BYTES.astype(np.int64),
    BYTES.astype(np.uint16), BYTES.transpose(0, 3, 1, 2), (BYTES / 255).transpose(0, 3, 1, 2),
], ids=["unit64", "unit32", "signed64", "signed32", "bytes64", "int64", "uint16", "chw", "chwunit"])
def test_images_of_other_kinds_become_bytes_and_it_is_said(load, images, capsys):
    data = load(x_train=images, x_test=images[1:4])
    np.testing.assert_array_equal(data.images, BYTES)
    np.testing.assert_array_equal(data.test_images, BYTES[1:4])
    assert data.images.dtype == np.uint8 and data.images.flags.c_contiguous
    lines = capsys.readouterr().out.splitlines()
    assert all(line.startswith("note: ") for line in lines)
    assert ("uint8" in lines[-1]) == (images.dtype != np.uint8)
    assert ("[N, C, H, W] [6, 3, 16, 16] became" in lines[0]) == (images.shape[1] == 3)


def test_bytes_are_taken_without_a_word(load, capsys):
    load(x_train=BYTES, x_test=BYTES)
    assert capsys.readouterr() == ("", "")


def test_truth_values_are_black_and_white(load):
    truth = BYTES[..., 0] > 99
    np.testing.assert_array_equal(load(x_train=truth).images[..., 0], np.where(truth, 255, 0))


@pytest.mark.parametrize("kind", [np.uint8, np.int32])
def test_zeros_and_ones_are_black_and_it_is_said(load, kind, capsys):
    images = (BYTES[..., 0] > 99).astype(kind)
    np.testing.assert_array_equal(load(x_train=images).images[..., 0], images)
    assert "no value is above 1, where 255 is white" in capsys.readouterr().err


def test_test_images_take_the_scale_of_the_training_images(load):
    dark = np.full((3, 16, 16, 3), 0.5)  # alone it would be taken for [0, 1]
    data = load(x_train=BYTES / 127.5 - 1, x_test=dark)
    assert (data.test_images == 191).all()  # (0.5 + 1) * 127.5 = 191.25


@pytest.mark.parametrize(("labels", "names", "numbers"), [
    (LABELS, ("3", "7"), [0, 1, 1, 0, 0, 1]),
    (LABELS.astype(np.float16), ("3", "7"), [0, 1, 1, 0, 0, 1]),
    (LABELS.astype(np.uint64)[:, None], ("3", "7"), [0, 1, 1, 0, 0, 1]),
    (LABELS * 1000, ("3000", "7000"), [0, 1, 1, 0, 0, 1]),
    (LABELS == 7, ("0", "1"), [0, 1, 1, 0, 0, 1]),
    (np.eye(8, dtype=np.float32)[LABELS], ("3", "7"), [0, 1, 1, 0, 0, 1]),
    (np.eye(8, dtype=bool)[LABELS], ("3", "7"), [0, 1, 1, 0, 0, 1]),
    (np.array(["dog", "cat", "cat", "ape", "dog", "cat"]), ("ape", "cat", "dog"),
     [2, 1, 1, 0, 2, 1]),
    (np.array([b"dog", b"cat", b"cat", "\xe4".encode(), b"dog", b"cat"]), ("cat", "dog", "\xe4"),
     [1, 0, 0, 2, 1, 0]),
    (np.array([0, 1, 2, 2, 1, 0]), ("0", "1", "2"), [0, 1, 2, 2, 1, 0]),
])
def test_labels_are_numbered_without_gaps_and_named(load, labels, names, numbers):
    data = load(x_train=BYTES, y_train=labels, x_test=BYTES, y_test=labels)
    assert data.class_names == names
    assert data.labels.tolist() == data.test_labels.tolist() == numbers
    assert data.labels.dtype == data.test_labels.dtype == np.int32


def test_test_labels_are_numbered_as_the_training_labels(load):
    data = load(x_train=BYTES, y_train=LABELS, x_test=BYTES[:2], y_test=np.array([7, 7]))
    assert data.test_labels.tolist() == [1, 1]
    with pytest.raises(UserError, match="that occur among the training labels, got: cat$"):
        load(x_train=BYTES, y_train=LABELS, x_test=BYTES[:2], y_test=np.array(["cat", "cat"]))


def test_npy_of_images(tmp_path):
    np.save(tmp_path / "photos.npy", BYTES)
    data = load_dataset(str(tmp_path / "photos.npy"))
    np.testing.assert_array_equal(data.images, BYTES)
    assert data.name == "photos" and data.labels is None
    np.save(tmp_path / "f.NPY", np.asfortranarray(BYTES))
    (tmp_path / "f.NPY.npy").rename(tmp_path / "f.NPY")
    np.testing.assert_array_equal(load_dataset(str(tmp_path / "f.NPY")).images, BYTES)


@pytest.mark.parametrize(("content", "expected"), [
    (b"", "expected a NumPy array"),
    (b"no array", "expected a NumPy array"),
    ("cut", "expected 4551 bytes of data as in the file, got a header that promises 4608"),
])
def test_damaged_npy_is_named(tmp_path, content, expected):
    np.save(tmp_path / "a.npy", BYTES)
    whole = (tmp_path / "a.npy").read_bytes()
    (tmp_path / "a.npy").write_bytes(whole[:-57] if content == "cut" else content)
    with pytest.raises(UserError, match="a.npy: ") as caught:
        load_dataset(str(tmp_path / "a.npy"))
    assert expected in str(caught.value)


def make_fifo(path):
    os.mkfifo(path)


def make_device(path):
    os.symlink("/dev/zero", path)


def make_broken_link(path):
    os.symlink("/no/such/file", path)


def make_circle(path):
    os.symlink(path, path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="FIFOs are POSIX")
@pytest.mark.parametrize(("make", "expected"), [
    (make_fifo, "expected a file, got a FIFO"), (make_device, "expected a file, got a device"),
    (make_broken_link, "got a link to nothing"), (make_circle, "cannot be read: Too many levels")])
@pytest.mark.parametrize("name", ["a.npz", "a.npy", "a.png", "idx/train-images-idx3-ubyte"])
def test_what_is_no_file_is_refused_and_not_waited_for(tmp_path, make, expected, name):
    (tmp_path / "idx").mkdir()
    make(tmp_path / name)
    with pytest.raises(UserError) as caught:
        load_dataset(str(tmp_path / name.partition("/")[0]))
    assert expected in str(caught.value)


def test_a_header_that_is_no_python_is_named(tmp_path):
    path = tmp_path / "x.npy"
    np.save(path, np.zeros((3, 16, 16), np.uint8))
    # A bracket that is not closed: NumPy's parser ends in an error of Python's tokenizer.
    path.write_bytes(path.read_bytes().replace(b"(3, 16, 16), }", b"(3L, 16, 16  }"))
    with pytest.raises(UserError, match="x.npy: expected a NumPy array, got: "):
        load_dataset(str(path))
