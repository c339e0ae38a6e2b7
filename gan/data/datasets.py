"""A name or a path → a checked data set."""

import os
from pathlib import Path

import numpy as np

from gan.common.errors import UserError
from gan.data import toy
from gan.data.arrays import read_idx_folder, read_npy, read_npz, require_file
from gan.data.dataset import Dataset, ShardedDataset
from gan.data.fingerprint import digest_images, fingerprint_of
from gan.data.labels import number_labels, number_test_labels
from gan.data.layout import holds_pictures
from gan.data.names import NAMES, SIMULATED, STACKED
from gan.data.pictures import read_pictures
from gan.data.pixels import to_pixels
from gan.data.shard_index import is_sharded, read_index

ASSETS = Path(__file__).parent.parent / "assets"
FASHION_NAMES = ("T-shirt", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker",
                 "Bag", "Ankle boot")
FASHION_FINGERPRINT, FASHION_SHAPE = "76704e3cd579f182", (60_000, 28, 28, 1)
READERS = {".npz": read_npz, ".npy": read_npy}
STACKED_COUNT, STACKED_TEST_COUNT = 128_000, 25_600


def load_dataset(name, image_size=None, channels=None, skip_broken=False, fit="crop"):
    """Load a data set.

    Args:
        name: "mnist" (comes with the package), "fashion_mnist" (downloaded once
            by Keras), "stacked_mnist" (three digits as colour planes), one of
            `SIMULATED`, the path of an .npz file with x_train and optionally
            y_train, x_test and y_test, of an .npy file of images (see `to_pixels`
            and `number_labels` for what is understood), of a folder with IDX
            files under the names of the MNIST distribution, plain or gzipped, of
            a folder of shards, see `gan.data.shards`, or of a folder of pictures,
            see `read_pictures`.
        image_size, channels, skip_broken, fit: for a folder of pictures.

    Returns:
        A checked `Dataset`, or a `PointDataset`.

    Raises:
        UserError: naming the file, what was expected and what arrived.
    """
    path = Path(name)
    if name not in NAMES and not os.path.lexists(path):
        raise UserError(_expected(name))
    sharded = name not in NAMES and is_sharded(path)
    pictures = name not in NAMES and not sharded and holds_pictures(path)
    if pictures:
        return _dataset(path.resolve().name, path,
                        read_pictures(path, image_size, channels, skip_broken, fit))
    dataset = ShardedDataset.of(path, read_index(path)) if sharded else _load(name, path)
    # A complete configuration has the size of whatever was loaded.
    given = {"image-size": image_size, "channels": channels, "skip-broken": skip_broken or None,
             "fit": None if fit == "crop" else fit}
    shape = dataset.sample_shape
    own = {"image-size": shape[0], "channels": shape[-1]} if len(shape) == 3 else {}
    for option, value in given.items():
        if value not in (None, own.get(option)):
            raise UserError(f"--{option}: expected a --dataset folder of pictures with it, "
                            f"got: {name}")
    return dataset


def _load(name, path):
    """Load anything but a folder of pictures or shards."""
    if name in SIMULATED:
        return toy.simulate(name)
    if name == STACKED:
        return _stack(load_dataset("mnist"))
    if name == "mnist":
        return _dataset("mnist", ASSETS / "mnist.npz", read_npz(ASSETS / "mnist.npz"))
    if name == "fashion_mnist":
        return _dataset(name, name, _download_fashion_mnist())
    if os.path.isdir(path):
        return _dataset(path.resolve().name, path, read_idx_folder(path))
    if os.path.lexists(path):
        require_file(path)
        read = READERS.get(path.suffix.lower())
        if read:
            return _dataset(path.stem, path, read(path))
    raise UserError(_expected(name))


def _expected(name):
    """Return what `--dataset` may be, and what it is."""
    missing = "" if os.path.lexists(name) else " (no such file or folder)"
    return (f"--dataset: expected {', '.join(NAMES)}, an existing .npz or .npy file or a folder "
            f"of pictures, shards or IDX files, got: {name}{missing}")


def _stack(mnist):
    """Three random digits as the red, green and blue plane (Metz et al. 2017)."""
    random = np.random.default_rng(0)
    train, test = (
        np.concatenate([images[random.integers(len(images), size=count)] for _ in range(3)], axis=3)
        for images, count in ((mnist.images, STACKED_COUNT),
                              (mnist.test_images, STACKED_TEST_COUNT))
    )
    return Dataset(STACKED, train, test_images=test)


def _download_fashion_mnist():
    from gan.common.device import import_tensorflow

    import_tensorflow(verbose=False)
    import keras

    try:
        train, test = keras.datasets.fashion_mnist.load_data()
    except Exception as error:  # Keras wraps some of the network's errors and not others
        raise UserError(
            f"--dataset fashion_mnist: cannot be downloaded ({error}); expected a network, or "
            "a folder with its IDX files instead of the name, such as "
            "/usr/share/datasets/fashion-mnist of Debian's package dataset-fashion-mnist"
        ) from error
    return {"images": train[0], "labels": train[1], "test_images": test[0], "test_labels": test[1]}


def _dataset(name, path, arrays):
    """Check arrays (a dict as `read_npz` returns it) and make a `Dataset` of them."""
    trained = arrays["images"].dtype
    images, scale = to_pixels(arrays["images"], f"{path}: training images")
    settings = {"images_digest": arrays.get("images_digest")}
    if "labels" in arrays:
        settings["labels"], values = number_labels(
            arrays["labels"], len(images), f"{path}: labels")
        settings["class_names"] = tuple(map(str, values))
    if "test_images" in arrays:
        tests, _ = to_pixels(arrays["test_images"], f"{path}: test images", (trained, scale))
        if tests.shape[1:] != images.shape[1:]:
            raise UserError(
                f"{path}: expected test images of the training images' shape "
                f"{images.shape[1:]}, got: {tests.shape[1:]}"
            )
        settings["test_images"] = tests
        if "labels" in arrays and "test_labels" in arrays:
            settings["test_labels"] = number_test_labels(
                arrays["test_labels"], len(tests), f"{path}: test labels", values)
    if images.shape == FASHION_SHAPE and "labels" in arrays:
        settings["images_digest"] = digest_images(images)
        fingerprint = fingerprint_of(settings["images_digest"], settings["labels"])
        if fingerprint == FASHION_FINGERPRINT:
            settings["class_names"] = FASHION_NAMES
    return Dataset(name, images, **settings)
