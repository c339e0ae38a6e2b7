"""Readers of array files (.npz, .npy, IDX) that unpickle nothing and bound their memory."""

import contextlib
import gzip
import io
import math
import os
import stat
import zipfile
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np

from gan.common.device import memory_bytes
from gan.common.errors import UserError, describe_os_error

MEMORY_FRACTION = 0.4  # of the machine's memory, for all arrays of a data set together
CHUNK = 2**24  # bytes read at a time
HEADER_BYTES = 2**17  # a header may promise 4 GiB of itself; NumPy's have a few hundred bytes
NPZ_NAMES = {"x_train": "images", "y_train": "labels",
             "x_test": "test_images", "y_test": "test_labels"}
IDX_FILES = {
    "images": "train-images*idx3-ubyte*", "labels": "train-labels*idx1-ubyte*",
    "test_images": "t10k-images*idx3-ubyte*", "test_labels": "t10k-labels*idx1-ubyte*",
}
COMPRESSIONS = {zipfile.ZIP_BZIP2: "bzip2", zipfile.ZIP_LZMA: "LZMA"}
FILE_TYPES = {stat.S_IFIFO: "a FIFO", stat.S_IFSOCK: "a socket", stat.S_IFCHR: "a device",
              stat.S_IFBLK: "a device", stat.S_IFDIR: "a folder"}


class Header(NamedTuple):
    """The header of an array in NumPy's format."""

    shape: tuple
    dtype: np.dtype
    order: str  # "C" or "F"
    start: int  # of the data, in bytes

    @property
    def size(self):
        """Bytes of data."""
        return self.dtype.itemsize * math.prod(self.shape)


def require_file(path):
    """Raise a `UserError` unless a path leads to a regular file; opening a FIFO never returns."""
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError as error:
        what = "a link to nothing" if os.path.islink(path) else "no such file"
        raise UserError(f"{path}: expected a file, got {what}") from error
    except (OSError, ValueError) as error:
        reason = describe_os_error(error) if isinstance(error, OSError) else error
        raise UserError(f"{path}: cannot be read: {reason}") from error
    if not stat.S_ISREG(mode):
        kind = FILE_TYPES.get(stat.S_IFMT(mode), "something else")
        raise UserError(f"{path}: expected a file, got {kind}")


def check_memory(size, where):
    """Raise a `UserError` unless arrays of `size` bytes together fit the memory for data."""
    most = MEMORY_FRACTION * memory_bytes()
    if size > most:
        raise UserError(
            f"{where}: expected at most {most / 2**20:,.0f} MiB of arrays together "
            f"({MEMORY_FRACTION:.0%} of this machine's memory), got: {size / 2**20:,.0f} MiB; save "
            "uint8 images [N, H, W, C] alone as .npy, which is read from the disk while training")


def read_npz(path):
    """Read an .npz file with x_train and, optionally, y_train, x_test and y_test.

    Returns:
        dict of "images" (always), "labels", "test_images" and "test_labels" → array.
    """
    found = read_members(path, NPZ_NAMES)
    if "x_train" not in found:
        with _read_errors(path, "an .npz file"), zipfile.ZipFile(path) as archive:
            names = ", ".join(sorted(Path(name).stem for name in archive.namelist()))
        raise UserError(f"{path}: expected an array x_train, got: {names or 'no arrays'}")
    return {NPZ_NAMES[name]: array for name, array in found.items()}


def read_members(path, names):
    """Read those of the named arrays that an .npz file has: dict of name → array.

    Their sizes are compared with the memory before anything is unpacked.
    """
    require_file(path)
    with _read_errors(path, "an .npz file"), zipfile.ZipFile(path) as archive:
        members = {Path(info.filename).stem: info for info in archive.infolist()}
        headers = {name: _member_header(archive, members[name], f"{path}: {name}")
                   for name in names if name in members}
        check_memory(sum(header.size for header in headers.values()), path)
        return {name: _read_member(archive, members[name], header)
                for name, header in headers.items()}


def _member_header(archive, info, where):
    # Python unpacks these two without a limit: 800 bytes of bzip2 can become a GiB at once.
    if info.compress_type in COMPRESSIONS:
        raise UserError(f"{where}: expected an array as np.savez or np.savez_compressed writes it, "
                        f"got one compressed with {COMPRESSIONS[info.compress_type]}; save it anew")
    with archive.open(info) as file:
        return _read_header(file, info.file_size, where)


def _read_member(archive, info, header):
    with archive.open(info) as file:
        file.read(header.start)
        return _array(_read_bytes(file, header.size), header)


def read_npy(path):
    """Read an .npy file: dict of "images" → array, mapped if it is larger than the memory."""
    require_file(path)
    with _read_errors(path, "an .npy file"), open(path, "rb") as file:
        header = _read_header(file, os.fstat(file.fileno()).st_size, path)
        if header.size > MEMORY_FRACTION * memory_bytes():
            return {"images": _map(file, header, "c")}
        file.seek(header.start)
        return {"images": _array(_read_bytes(file, header.size), header)}


def map_npy(path):
    """Map an .npy file into memory, read-only."""
    require_file(path)
    with _read_errors(path, "an .npy file"), open(path, "rb") as file:
        header = _read_header(file, os.fstat(file.fileno()).st_size, path)
        return _map(file, header, "r")


def _map(file, header, mode):
    if not header.size:
        return np.empty(header.shape, header.dtype)  # nothing cannot be mapped
    return np.memmap(file, header.dtype, mode, header.start, header.shape, header.order)


@contextlib.contextmanager
def _read_errors(path, kind):
    try:
        yield
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {describe_os_error(error)}") from error
    except MemoryError as error:
        raise UserError(f"{path}: cannot be read: not enough memory") from error
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError,
            ValueError, OverflowError) as error:
        raise UserError(f"{path}: expected {kind}, got a damaged one ({error})") from error


def _read_header(file, file_size, where):
    """Return the `Header` of an array of numbers or strings that fills `file_size` bytes."""
    start = io.BytesIO(file.read(HEADER_BYTES))
    try:
        version = np.lib.format.read_magic(start)
        read = (np.lib.format.read_array_header_1_0 if version == (1, 0)
                else np.lib.format.read_array_header_2_0)
        shape, by_columns, dtype = read(start)
    except Exception as error:  # NumPy parses the header as Python
        raise UserError(f"{where}: expected a NumPy array, got: {error}") from error
    if dtype.kind not in "buifUS":
        got = "Python objects" if dtype.hasobject else str(dtype)
        raise UserError(f"{where}: expected numbers, or strings for labels, got: {got}; "
                        "convert with x.astype('uint8') or y.astype(str) before saving")
    header = Header(shape, dtype, "F" if by_columns else "C", start.tell())
    if header.size != file_size - header.start:
        raise UserError(f"{where}: expected {file_size - header.start} bytes of data as in the "
                        f"file, got a header that promises {header.size}")
    return header


def _array(data, header):
    return np.ndarray(header.shape, header.dtype, data, order=header.order)


def _read_bytes(file, size):
    """Read `size` bytes as uint8; memory is used as data arrives, whatever was promised."""
    data = np.empty(size, np.uint8)
    view, read = memoryview(data), 0
    while read < size:
        count = file.readinto(view[read : read + CHUNK])
        if not count:
            raise EOFError(f"expected {size} bytes of data, got: {read}")
        read += count
    return data


def read_idx_folder(folder):
    """Read a folder of IDX files that are named like MNIST's, plain or gzipped; see `read_npz`."""
    files = {}
    for key, pattern in IDX_FILES.items():
        # The distribution's own names have a dash, unpacked copies often a dot.
        found = sorted(folder.glob(pattern)) or sorted(folder.glob(pattern.replace("*i", "*.i")))
        if found:
            files[key] = found[0]
    if "images" not in files:
        raise UserError(
            f"{folder}: expected pictures (PNG, JPEG, WebP, GIF, BMP, TIFF) or IDX files "
            "(train-images-idx3-ubyte, plain or .gz), got a folder without them"
        )
    shapes = {key: _read_idx(path, _idx_shape) for key, path in files.items()}
    names = ", ".join(path.name for path in files.values())
    check_memory(sum(map(math.prod, shapes.values())), f"{folder}: {names}")
    return {key: _read_idx(path, _idx_array) for key, path in files.items()}


def _read_idx(path, read):
    require_file(path)
    opened = gzip.open if path.suffix == ".gz" else open
    with _read_errors(path, "an IDX file"), opened(path, "rb") as file:
        return read(file, path)


def _idx_shape(file, path):
    """Read the header of an IDX file of unsigned bytes: magic 0 0 8 n, then n sizes."""
    magic = file.read(4)
    if len(magic) < 4 or magic[:3] != b"\0\0\x08" or magic[3] not in (1, 3, 4):
        raise UserError(
            f"{path}: expected an IDX file of bytes (it starts with 00 00 08), "
            f"got: {magic.hex(' ') or 'an empty file'}"
        )
    header = file.read(4 * magic[3])
    if len(header) < 4 * magic[3]:
        raise UserError(f"{path}: expected {magic[3]} sizes in the header, got the file's end")
    return tuple(int.from_bytes(header[at : at + 4], "big") for at in range(0, len(header), 4))


def _idx_array(file, path):
    shape = _idx_shape(file, path)
    data = _read_bytes(file, math.prod(shape))
    if file.read(1):
        raise UserError(f"{path}: expected {len(data)} bytes after the header, got: more")
    return data.reshape(shape)
