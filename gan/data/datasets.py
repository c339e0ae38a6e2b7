"""Data sets by name or path: what is learned from, and what it is compared with."""

import dataclasses
import functools
import itertools
import math
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gan.common.errors import UserError
from gan.common.files import require_file
from gan.data.arrays import READERS, find_idx_files, read_idx_folder, read_npz
from gan.data.layout import RECORDS
from gan.data.pixels import digest_images, find_background, number_labels, to_pixels
from gan.data.points import DISTRIBUTIONS, Box, Modes, are_points, points_from_arrays, simulate
from gan.data.shards import ShardedImages, is_sharded, map_labels, read_index

ASSETS = Path(__file__).parent.parent / "assets"
MNIST = ASSETS / "mnist.npz"
FASHION_NAMES = ("T-shirt", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker",
                 "Bag", "Ankle boot")
FASHION_FINGERPRINT, FASHION_SHAPE = "76704e3cd579f182", (60_000, 28, 28, 1)
SAMPLE_IMAGES, SAMPLE_BYTES = 65_536, 2**30  # at most, that stand for images in shards
SMALL = 32  # pixels, up to which grayscale images are small drawings
PICTURE_OPTIONS = ("image_size", "channels", "fit", "resample", "frames", "skip_broken")
# Options of how data are read, and the --dataset that each needs.
READ_OPTIONS = {**dict.fromkeys(PICTURE_OPTIONS, "folder of pictures"),
                "range": "of arrays or pictures", "transpose": "of arrays"}


@dataclass(frozen=True)
class Dataset:
    """Images or points to learn from, and if there are any, others to compare with."""

    name: str
    images: np.ndarray  # uint8 [N, H, W, C], C 1, 3 or 4, or points, float32 [N, D], D 1 or 2
    labels: np.ndarray | None = None  # int32 [N] in [0, len(class_names))
    class_names: tuple = ()
    test_images: np.ndarray | None = None  # as `images`, unseen in training
    test_labels: np.ndarray | None = None  # int32 [M]
    images_digest: object = dataclasses.field(default=None, repr=False, compare=False)
    original: str | None = None  # fingerprint of the data set that was written as these shards
    facts: dict = dataclasses.field(default_factory=dict, repr=False)  # see `read_pictures`
    box: Box | None = None  # of points
    modes: Modes | None = None  # of simulated points
    streamed = False  # whether the images are read from the disk whatever their size

    @property
    def sample(self):
        """The data set in memory that is measured with."""
        return self

    @property
    def sample_shape(self):
        return self.images.shape[1:]

    def examples(self, count):
        """Return samples to be shown, [count, ...], the classes as in `class_rows`."""
        if self.box and self.test_images is not None:
            return self.test_images[:count]
        images, labels = self.sample.images, self.sample.labels
        order = np.random.default_rng(0).permutation(len(images))
        if labels is None:
            return images[order[:count]]
        chosen = class_rows(labels, count)
        of_class = {number: itertools.cycle(order[labels[order] == number]) for number in {*chosen}}
        return images[[next(of_class[number]) for number in chosen]]

    @functools.cached_property
    def background(self):
        """The even `Background` of the images, or None."""
        return None if self.box else find_background(self.sample.images)

    @functools.cached_property
    def fingerprint(self):
        """A short hash of the training samples and labels, whatever their path and format."""
        digest = (self.images_digest or digest_images(self.images)).copy()
        if self.labels is not None:
            digest.update(np.ascontiguousarray(self.labels))
        return digest.hexdigest()[:16]


@dataclass(frozen=True)
class ShardedDataset(Dataset):
    """Images that stay on the disk, `ShardedImages`, and are read while training."""

    folder: Path | None = None
    index: dict | None = dataclasses.field(default=None, repr=False)  # see docs/data.md
    streamed = True

    @classmethod
    def of(cls, folder):
        index = read_index(folder)
        return cls(index["name"], ShardedImages(folder, index),
                   class_names=tuple(index["class_names"]),
                   original=index.get("source", {}).get("fingerprint"), folder=folder,
                   index=index, **map_labels(folder, index))

    def stored_conditions(self, kind, clusters, components):
        """Return the path of the conditions in the shards if they are these, else None."""
        stored = self.index.get("conditions") or {}
        same = (kind, clusters) == (stored.get("kind"), stored.get("clusters"))
        return self.folder / stored["file"] if same and components <= stored["components"] else None

    @property
    def fingerprint(self):
        return self.index["fingerprint"]

    @functools.cached_property
    def sample(self):
        """A `Dataset` of the first images, a fair sample as their order is random."""
        size = self.images.nbytes // len(self.images)
        count = min(len(self.images), SAMPLE_IMAGES, SAMPLE_BYTES // size)
        whole = count == len(self.images)
        return Dataset(
            self.name, self.images[:count],
            None if self.labels is None else np.asarray(self.labels[:count]), self.class_names,
            self.test_images, self.test_labels, original=self.original if whole else None)


def is_picture_folder(name):
    """Whether `--dataset` names a folder of pictures, or a file that holds some."""
    if name in DATASETS:
        return False
    if os.path.isdir(name):
        return not is_sharded(name) and "images" not in find_idx_files(Path(name))
    return os.path.isfile(name) and (
        name.lower().endswith(".zip") or RECORDS.fullmatch(os.path.basename(name)) is not None)


def options_for(name):
    """Return the names of those of the `READ_OPTIONS` that apply to what `--dataset` names."""
    if name in DATASETS or is_sharded(name):
        return set()
    return {"range", *PICTURE_OPTIONS} if is_picture_folder(name) else {"range", "transpose"}


def load_dataset(name, **options):
    """Load a `Dataset` by its name in `DATASETS` or its path.

    Of the options those count that apply to it: see `read_pictures` and, for arrays, `to_pixels`.
    """
    if name in DATASETS:
        return DATASETS[name]()
    path, known = Path(name), options_for(name)
    options = {option: value for option, value in options.items() if option in known}
    title = path.resolve().name if path.is_dir() else path.stem
    if is_sharded(path):
        return ShardedDataset.of(path)
    if is_picture_folder(name):
        from gan.data.pictures import read_pictures  # Pillow is not needed before

        return from_arrays(title, path, read_pictures(path, **options))
    if path.is_dir():
        return from_arrays(title, path, read_idx_folder(path), **options)
    if os.path.lexists(path):
        require_file(path)
        if read := READERS.get(path.suffix.lower()):
            return from_arrays(title, path, read(path), **options)
    missing = "" if os.path.lexists(path) else " (no such file or folder)"
    raise UserError(
        f"--dataset: expected {', '.join(DATASETS)}, an existing file ({', '.join(READERS)}), "
        "pictures in a folder or a .zip, .parquet or .tfrecord file, or a folder of shards or IDX "
        f"files, got: {path}{missing}")


def from_arrays(name, path, arrays, range="bits", transpose=False):
    """Return the data set of arrays, a dict as `read_npz` returns it."""
    if are_points(arrays["images"].shape):
        return Dataset(name, **points_from_arrays(path, arrays))
    trained = arrays["images"].dtype
    images, scale = to_pixels(arrays["images"], f"{path}: training images", None, range, transpose)
    settings = {"images_digest": arrays.get("images_digest"), "facts": arrays.get("facts", {})}
    if "labels" in arrays:
        settings["labels"], values = number_labels(
            arrays["labels"], len(images), f"{path}: labels")
        settings["class_names"] = tuple(map(str, values))
    if "test_images" in arrays:
        tests, _ = to_pixels(arrays["test_images"], f"{path}: test images", (trained, scale), range,
                             transpose)
        if tests.shape[1:] != images.shape[1:]:
            raise UserError(f"{path}: expected test images of the training images' shape "
                            f"{images.shape[1:]}, got: {tests.shape[1:]}")
        settings["test_images"] = tests
        if "labels" in arrays and "test_labels" in arrays:
            settings["test_labels"], _ = number_labels(
                arrays["test_labels"], len(tests), f"{path}: test labels", values)
    dataset = Dataset(name, images, **settings)
    if images.shape == FASHION_SHAPE and dataset.fingerprint == FASHION_FINGERPRINT:
        return dataclasses.replace(dataset, class_names=FASHION_NAMES)
    return dataset


def _load_fashion_mnist():
    from gan.common.device import import_tensorflow

    import_tensorflow(verbose=False)
    import keras

    try:
        train, test = keras.datasets.fashion_mnist.load_data()
    except Exception as error:  # Keras wraps some of the network's errors and not others
        raise UserError(
            f"--dataset fashion_mnist: cannot be downloaded ({error}); expected a network, or "
            "a folder with its IDX files instead of the name, such as /usr/share/datasets/"
            "fashion-mnist of Debian's package dataset-fashion-mnist") from error
    return from_arrays("fashion_mnist", "fashion_mnist", {
        "images": train[0], "labels": train[1], "test_images": test[0], "test_labels": test[1]})


def are_pictures(shape):
    """Whether images of a shape (H, W, C) are in color or larger than 32 pixels."""
    return shape[2] > 1 or max(shape[:2]) > SMALL


def class_rows(classes, count):
    """Choose the class of each image in a sample grid of ceil(sqrt(count)) columns.

    `classes`, int [K], may be repeated. Returns int [count], sorted.
    """
    classes = np.unique(classes)
    if count < len(classes):  # classes at even steps
        return classes[np.arange(count) * len(classes) // count]
    columns = math.ceil(math.sqrt(count))
    rows = -(-count // columns)
    if count % len(classes) == 0 or rows < len(classes):
        return np.sort(np.resize(classes, count))
    # Each row shows one class, and the first classes have a row more.
    return np.sort(np.resize(classes, rows)).repeat(columns)[:count]


# The data sets with a name; anything else is a path.
DATASETS = {"mnist": lambda: from_arrays("mnist", MNIST, read_npz(MNIST)),
            "fashion_mnist": _load_fashion_mnist,
            **{name: lambda name=name: Dataset(name, **simulate(name)) for name in DISTRIBUTIONS}}
