import hashlib
from pathlib import Path
from unittest import mock

import keras
import numpy as np
import pytest

from gan.data import datasets
from gan.data.datasets import Dataset, load_dataset
from gan.run.options import parse_options
from tests.conftest import assert_refused, noise
from tests.test_array_files import GOOD, idx


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
