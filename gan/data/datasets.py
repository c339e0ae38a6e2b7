"""A name or a path → a checked data set in memory."""

import dataclasses
import functools
import gzip
import hashlib
import math
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gan.common.device import memory_bytes
from gan.common.errors import UserError, describe_os_error
from gan.data import toy
from gan.data.pictures import holds_pictures, read_pictures

ASSETS = Path(__file__).parent.parent / "assets"
SIZES = range(16, 129, 4)  # pixels; what the networks can be built for
MEMORY_SHARE = 0.4  # of this machine's, for one array; more is taken for a damaged header
MAX_CLASSES = 1000
FASHION_NAMES = ("T-shirt", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker",
                 "Bag", "Ankle boot")
STACKED = "stacked_mnist"
NAMES = ("mnist", "fashion_mnist", STACKED, *toy.NAMES)  # what is no path
STACKED_COUNT, STACKED_TEST_COUNT = 128_000, 25_600
KNOWN_NAMES = {"76704e3cd579f182": FASHION_NAMES}  # by fingerprint, wherever the files lie
IDX_FILES = {
    "images": "train-images*idx3-ubyte*", "labels": "train-labels*idx1-ubyte*",
    "test_images": "t10k-images*idx3-ubyte*", "test_labels": "t10k-labels*idx1-ubyte*",
}


@dataclass(frozen=True)
class Dataset:
    """Images to learn from, and if there are any, images to compare with.

    Attributes:
        name: short name, for titles.
        images: uint8 [N, H, W, C], H = W, C 1 or 3.
        labels: int32 [N] in [0, len(class_names)), or None.
        class_names: tuple of str, empty without labels.
        test_images: uint8 [M, H, W, C] that no part of training sees, or None.
        test_labels: int32 [M], or None.
    """

    name: str
    images: np.ndarray
    labels: np.ndarray | None = None
    class_names: tuple = ()
    test_images: np.ndarray | None = None
    test_labels: np.ndarray | None = None
    extent = 1.0  # the networks' unit; see `PointDataset`

    @property
    def samples(self):
        """The images, under the name that `PointDataset` has for its points."""
        return self.images

    @property
    def sample_shape(self):
        """(H, W, C) of one image."""
        return self.images.shape[1:]

    def examples(self, count):
        """Return the first images, with labels as many of each class: [count, H, W, C]."""
        if self.labels is None or count < len(self.class_names):
            return self.images[:count]
        share = -(-count // len(self.class_names))
        chosen = [np.flatnonzero(self.labels == number)[:share]
                  for number in range(len(self.class_names))]
        return self.images[np.concatenate(chosen)[:count]]

    @functools.cached_property
    def fingerprint(self):
        """A short hash of the training images and labels."""
        digest = hashlib.sha256(repr(self.images.shape).encode())
        digest.update(np.ascontiguousarray(self.images))
        if self.labels is not None:
            digest.update(np.ascontiguousarray(self.labels))
        return digest.hexdigest()[:16]


def load_dataset(name, image_size=None, channels=None, skip_broken=False):
    """Load a data set.

    Args:
        name: "mnist" (comes with the package), "fashion_mnist" (downloaded once
            by Keras), "stacked_mnist" (three digits as colour planes), one of
            `toy.NAMES`, the path of an .npz file with x_train [N, H, W] or [N, H,
            W, C] uint8 and optionally y_train [N], x_test and y_test, of a folder
            with IDX files under the names of the MNIST distribution, plain or
            gzipped, or of a folder of pictures, see `read_pictures`.
        image_size, channels, skip_broken: for a folder of pictures.

    Returns:
        A checked `Dataset`, or a `PointDataset`.

    Raises:
        UserError: naming the file, what was expected and what arrived.
    """
    for option, value in (("image-size", image_size), ("channels", channels),
                          ("skip-broken", skip_broken)):
        if value and not holds_pictures(Path(name)):
            raise UserError(f"--{option}: expected a --dataset folder of pictures with it, "
                            f"got: {name}")
    if name in toy.NAMES:
        return toy.simulate(name)
    if name == STACKED:
        return _stack(load_dataset("mnist"))
    if name == "mnist":
        return _checked("mnist", ASSETS / "mnist.npz", _read_npz(ASSETS / "mnist.npz"))
    if name == "fashion_mnist":
        return _checked(name, name, _download_fashion_mnist())
    path = Path(name)
    if path.is_dir():
        arrays = (read_pictures(path, image_size, channels, skip_broken) if holds_pictures(path)
                  else _read_idx_folder(path))
        return _checked(path.resolve().name, path, arrays)
    if path.suffix == ".npz" and path.exists():
        return _checked(path.stem, path, _read_npz(path))
    raise UserError(
        f"--dataset: expected {', '.join(NAMES)}, an existing .npz file or a folder "
        f"of pictures or IDX files, got: {name}"
    )


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


def _read_npz(path):
    names = {"x_train": "images", "y_train": "labels",
             "x_test": "test_images", "y_test": "test_labels"}
    try:
        with zipfile.ZipFile(path) as archive:
            members = {Path(info.filename).stem: info for info in archive.infolist()}
            arrays = {
                names[key]: _read_npy(archive, members[key], f"{path}: {key}")
                for key in names if key in members
            }
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {describe_os_error(error)}") from error
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise UserError(f"{path}: expected an .npz file, got a damaged one ({error})") from error
    if "images" not in arrays:
        raise UserError(
            f"{path}: expected an array x_train, got: {', '.join(sorted(members)) or 'no arrays'}"
        )
    return arrays


def _read_npy(archive, info, where):
    """Read one array, after its header has shown that it is worth reading."""
    with archive.open(info) as file:
        try:
            version = np.lib.format.read_magic(file)
            read_header = (np.lib.format.read_array_header_1_0 if version == (1, 0)
                           else np.lib.format.read_array_header_2_0)
            shape, _, dtype = read_header(file)
        except ValueError as error:
            raise UserError(f"{where}: expected a NumPy array, got: {error}") from error
        if dtype.kind not in "ui":
            raise UserError(f"{where}: expected whole numbers (uint8), got: {dtype}")
        size = dtype.itemsize * math.prod(shape)
        if size > _most_bytes() or size != info.file_size - file.tell():
            raise UserError(
                f"{where}: expected {info.file_size - file.tell()} bytes of data as in the file, "
                f"got a header that promises {size}"
            )
    with archive.open(info) as file:
        return np.lib.format.read_array(file, allow_pickle=False)


def _read_idx_folder(folder):
    arrays = {}
    for key, pattern in IDX_FILES.items():
        # The distribution's own names have a dash, unpacked copies often a dot.
        files = sorted(folder.glob(pattern)) or sorted(folder.glob(pattern.replace("*i", "*.i")))
        if files:
            arrays[key] = _read_idx(files[0])
    if "images" not in arrays:
        raise UserError(
            f"{folder}: expected pictures (.png, .jpg, .webp) or IDX files "
            "(train-images-idx3-ubyte, plain or .gz), got a folder without them"
        )
    return arrays


def _read_idx(path):
    """Read an IDX file of unsigned bytes: magic 0 0 8 n, n sizes, the data."""
    opened = gzip.open if path.suffix == ".gz" else open
    try:
        with opened(path, "rb") as file:
            magic = file.read(4)
            if len(magic) < 4 or magic[:3] != b"\0\0\x08" or magic[3] not in (1, 3, 4):
                raise UserError(
                    f"{path}: expected an IDX file of bytes (it starts with 00 00 08), "
                    f"got: {magic.hex(' ') or 'an empty file'}"
                )
            header = file.read(4 * magic[3])
            shape = [int.from_bytes(header[at : at + 4], "big") for at in range(0, len(header), 4)]
            size = math.prod(shape)
            if len(header) < 4 * magic[3] or size > _most_bytes():
                raise UserError(f"{path}: expected sizes in the header, got: {shape}")
            data = _read_at_most(file, size + 1)
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {describe_os_error(error)}") from error
    except (EOFError, zlib.error) as error:
        raise UserError(f"{path}: expected a gzip file, got a damaged one ({error})") from error
    if len(data) != size:
        arrived = "more" if len(data) > size else len(data)
        raise UserError(f"{path}: expected {size} bytes after the header, got: {arrived}")
    return np.frombuffer(data, np.uint8).reshape(shape)


def _most_bytes():
    return MEMORY_SHARE * memory_bytes()


def _read_at_most(file, size, chunk=2**24):
    """Read up to `size` bytes; memory grows with what is there, not with `size`."""
    data = bytearray()
    while len(data) < size and (part := file.read(min(chunk, size - len(data)))):
        data += part
    return data


def _checked(name, path, arrays):
    images = _check_images(arrays["images"], f"{path}: training images")
    labels, class_count = _check_labels(arrays.get("labels"), len(images), f"{path}: labels")
    test_images, test_labels = arrays.get("test_images"), None
    if test_images is not None:
        test_images = _check_images(test_images, f"{path}: test images")
        if test_images.shape[1:] != images.shape[1:]:
            raise UserError(
                f"{path}: expected test images of the training images' shape "
                f"{images.shape[1:]}, got: {test_images.shape[1:]}"
            )
        if labels is not None and "test_labels" in arrays:
            test_labels, _ = _check_labels(
                arrays["test_labels"], len(test_images), f"{path}: test labels", class_count
            )
    numbers = tuple(str(number) for number in range(class_count))
    dataset = Dataset(name, images, labels, arrays.get("class_names") or numbers, test_images,
                      test_labels)
    known = KNOWN_NAMES.get(dataset.fingerprint)
    return dataclasses.replace(dataset, class_names=known) if known else dataset


def _check_images(images, where):
    if images.ndim == 3:
        images = images[..., None]
    if images.dtype != np.uint8:
        raise UserError(f"{where}: expected uint8, got: {images.dtype}")
    shape = images.shape
    if len(shape) != 4 or len(images) < 2 or shape[1] != shape[2] or shape[3] not in (1, 3):
        raise UserError(
            f"{where}: expected square images [N, H, W] or [N, H, W, C] with C 1 or 3 "
            f"and N at least 2, got: {list(shape)}"
        )
    if shape[1] not in SIZES:
        raise UserError(
            f"{where}: expected a side of {SIZES[0]} to {SIZES[-1]} pixels that is a multiple "
            f"of {SIZES.step}, got: {shape[1]}"
        )
    return images


def _check_labels(labels, count, where, classes=None):
    """Return int32 [N] labels and the number of classes."""
    if labels is None:
        return None, 0
    if labels.shape not in ((count,), (count, 1)):
        raise UserError(f"{where}: expected one for each of {count} images, "
                        f"got: {list(labels.shape)}")
    low, high = int(labels.min()), int(labels.max())
    limit = (classes or MAX_CLASSES) - 1
    if low < 0 or high > limit:
        raise UserError(f"{where}: expected numbers from 0 to {limit}, got: {low} to {high}")
    return labels.reshape(-1).astype(np.int32), high + 1
