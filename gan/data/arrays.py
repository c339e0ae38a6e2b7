"""Readers of array files (.npz, .npy, IDX) that unpickle nothing and bound their memory."""

import contextlib
import gzip
import math
import os
import re
import zipfile

import numpy as np

from gan.common.device import memory_bytes
from gan.common.errors import UserError, listed, note, reading
from gan.common.files import require_file

MEMORY_FRACTION = 0.4  # of the machine's memory, for all arrays of a data set together
USUAL_NAMES = {  # of arrays; of several, the first is taken
    "images": ("x_train", "train_images", "train_x", "images", "points", "x", "data", "arr_0"),
    "labels": ("y_train", "train_labels", "train_y", "labels", "label", "y", "arr_1"),
    "test_images": ("x_test", "test_images", "test_x"),
    "test_labels": ("y_test", "test_labels", "test_y")}
LEAST_PIXELS = 16**2  # columns of a table, from which on its rows are images
IDX_FILES = {  # MNIST's and EMNIST's names
    f"{part}{kind}": rf"(.*)(?:{names})-{kind}.idx[1-4]-(?:u?byte|short|int|float|double).*"
    for part, names in (("", "train"), ("test_", "t10k|test")) for kind in ("images", "labels")}
IDX_TYPES = {8: ">u1", 9: ">i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}


def check_memory(size, where):
    """Raise a `UserError` unless arrays of `size` bytes together fit the memory for data."""
    most = MEMORY_FRACTION * memory_bytes()
    if size > most:
        raise UserError(
            f"{where}: expected at most {most / 2**20:,.0f} MiB of arrays together "
            f"({MEMORY_FRACTION:.0%} of this machine's memory), got: {size / 2**20:,.0f} MiB; save "
            "uint8 images [N, H, W, C] alone as .npy, which is read from the disk while training")


def read_npz(path, names=()):
    """Read an .npz file: dict of "images", "labels", "test_images", "test_labels" → array.

    With `names`, those of its arrays that are called so: dict of name → array.
    """
    require_file(path)
    with reading(path, "an .npz file of numbers or strings"), zipfile.ZipFile(path) as archive:
        members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
        roles = ({name: name for name in names if name in members} if names
                 else roles_of([*members], path))
        for name in roles.values():
            # Python unpacks others without a limit: 800 bytes of bzip2 can become a GiB at once.
            if members[name].compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise UserError(f"{path}: {name}: expected an array as np.savez or "
                                "np.savez_compressed writes it, got another compression")
        check_memory(sum(members[name].file_size for name in roles.values()), path)
        with np.load(path, allow_pickle=False) as arrays:
            return {role: _numbers(arrays[name], f"{path}: {name}")
                    for role, name in roles.items()}


def roles_of(names, path):
    """Return dict of "images" and, if there are any, "labels", ... → the name of that array."""
    known = {name.lower(): name for name in names}
    roles = {role: known[name] for role, usual in USUAL_NAMES.items() for name in reversed(usual)
             if name in known}
    if len(names) == 1:
        roles = {"images": names[0]}
    if "images" not in roles:
        raise UserError(f"{path}: expected an array x_train (or one of "
                        f"{', '.join(USUAL_NAMES['images'][1:])}), got: "
                        f"{listed(sorted(names)) or 'no arrays'}")
    if roles["images"] != "x_train":
        note(f"{path}: " + ", ".join(f"{role.replace('_', ' ')}: {name}"
                                     for role, name in roles.items()))
    return roles


def read_npy(path):
    """Read an .npy file: dict of "images" → array, mapped if it is larger than the memory."""
    return {"images": map_npy(path, "c", MEMORY_FRACTION * memory_bytes())}


def map_npy(path, mode="r", most=0):
    """Map an .npy file in a mode of `np.memmap`; one of at most so many bytes is read."""
    require_file(path)
    with reading(path, "an .npy file of numbers"):
        array = _numbers(np.load(path, mmap_mode=mode, allow_pickle=False), path)
    return array if array.nbytes > most else np.array(array)


def read_hdf5(path):
    """Read the arrays of an HDF5 file, at any depth; see `read_npz`."""
    import h5py

    found = {}

    def collect(name, item):
        if isinstance(item, h5py.Dataset) and not (item.is_virtual or item.external):
            found[name.rpartition("/")[2]] = item

    with reading(path, "an HDF5 file"), h5py.File(path) as file:
        file.visititems(collect)
        roles = roles_of([*found], path)
        for name in roles.values():
            if not h5py.check_string_dtype(found[name].dtype):
                _numbers(found[name], f"{path}: {name}")
        check_memory(sum(found[name].nbytes for name in roles.values()), path)
        arrays = {role: found[name][()] for role, name in roles.items()}
    return {role: array.astype("S") if array.dtype.kind == "O" else array
            for role, array in arrays.items()}


def read_csv(path):
    """Read a table of numbers: dict of "images" → float64 [N, D], "labels" → [N] if it has some.

    A row is a point, in the columns x and y if there are others, or the pixels of an image.
    """
    check_memory(4 * os.path.getsize(path), path)  # "1," becomes eight bytes
    with reading(path, "a table of numbers"), open(path, encoding="utf-8-sig") as file:
        first = file.readline()
        mark = next((mark for mark in ",;\t" if mark in first), None)
        heading = [name.strip(' "\n').lower() for name in first.split(mark)]
        with contextlib.suppress(ValueError):  # a row like the others
            heading = [float(name) for name in heading] and []
            file.seek(0)
        columns = [heading.index(name) for name in "xy" if name in heading]
        table = np.loadtxt(file, delimiter=mark, ndmin=2, usecols=columns or None)
    count = table.shape[1]
    if count >= LEAST_PIXELS:
        with np.errstate(invalid="ignore"):
            table = table if (table % 1).any() else table.astype(np.int64)
        for place, name in enumerate(heading):
            if name in USUAL_NAMES["labels"]:
                return {"images": np.delete(table, place, axis=1), "labels": table[:, place]}
        return {"images": table}
    if count > 2:
        raise UserError(f"{path}: expected one or two columns, or some with the headings x and y, "
                        f"got: {count} columns{': ' * bool(heading)}{listed(heading)}")
    return {"images": table}


READERS = {".npz": read_npz, ".npy": read_npy, ".csv": read_csv, ".h5": read_hdf5,
           ".hdf5": read_hdf5}


def _numbers(array, where):
    """Return an array if it is one of numbers or strings."""
    if array.dtype.kind not in "buifUS":
        raise UserError(f"{where}: expected numbers, or strings for labels, got: {array.dtype}; "
                        "convert with x.astype('uint8') or y.astype(str) before saving")
    return array


def find_idx_files(folder):
    """Return dict of "images", "labels", ... → path of the IDX file that is named like MNIST's."""
    files = {}
    with reading(folder, "a folder"):
        names = sorted(os.listdir(folder))
    for key, pattern in IDX_FILES.items():
        # Between the words the distribution has a dash, unpacked copies often have a dot.
        found = [match for name in names if (match := re.fullmatch(pattern, name))]
        if len({match[1] for match in found}) > 1:
            raise UserError(f"{folder}: expected one file of {key.replace('_', ' ')}, got: "
                            f"{listed([match[0] for match in found])}; move the others")
        if found:
            files[key] = folder / found[0][0]
    return files


def read_idx_folder(folder):
    """Read a folder of IDX files, plain or gzipped; see `read_npz`."""
    arrays, total = {}, 0
    for key, path in find_idx_files(folder).items():
        require_file(path)
        opened = gzip.open if path.suffix == ".gz" else open
        with reading(path, "an IDX file"), opened(path, "rb") as file:
            # Magic 0 0 type n, then n sizes, then the data, all of them big-endian.
            zeros, (kind, dimensions) = file.read(2), file.read(2)
            if any(zeros):
                raise ValueError("it does not begin with two zeros")
            shape = np.frombuffer(file.read(4 * dimensions), ">u4").tolist()
            dtype = np.dtype(IDX_TYPES[kind])
            size = math.prod(shape) * dtype.itemsize
            total += size
            check_memory(total, path)
            array = np.frombuffer(file.read(size + 1), dtype).reshape(shape)  # no byte too many
        arrays[key] = array.astype(dtype.newbyteorder("="), copy=False)
    return arrays
