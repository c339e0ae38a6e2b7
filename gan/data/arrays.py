"""Files of arrays (.npz, .npy, IDX) → arrays, nothing unpickled and no header believed."""

import contextlib
import gzip
import math
import os
import stat
import tokenize
import zipfile
import zlib
from pathlib import Path

import numpy as np

from gan.common.device import memory_bytes
from gan.common.errors import UserError, describe_os_error

MEMORY_FRACTION = 0.4  # of this machine's, for one array; more is taken for a damaged header
NPZ_NAMES = {"x_train": "images", "y_train": "labels",
             "x_test": "test_images", "y_test": "test_labels"}
IDX_FILES = {
    "images": "train-images*idx3-ubyte*", "labels": "train-labels*idx1-ubyte*",
    "test_images": "t10k-images*idx3-ubyte*", "test_labels": "t10k-labels*idx1-ubyte*",
}
KINDS = {stat.S_IFIFO: "a FIFO", stat.S_IFSOCK: "a socket", stat.S_IFCHR: "a device",
         stat.S_IFBLK: "a device", stat.S_IFDIR: "a folder"}


def require_file(path):
    """Raise a `UserError` unless a path leads to an ordinary file.

    To open a FIFO would wait for ever for somebody who writes into it.
    """
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError as error:
        what = "a link to nothing" if os.path.islink(path) else "no such file"
        raise UserError(f"{path}: expected a file, got {what}") from error
    except (OSError, ValueError) as error:
        reason = describe_os_error(error) if isinstance(error, OSError) else error
        raise UserError(f"{path}: cannot be read: {reason}") from error
    if not stat.S_ISREG(mode):
        kind = KINDS.get(stat.S_IFMT(mode), "something else")
        raise UserError(f"{path}: expected a file, got {kind}")


def read_npz(path):
    """Read an .npz file.

    Args:
        path: of a file with x_train and, optionally, y_train, x_test, y_test.

    Returns:
        dict of "images" (always), "labels", "test_images", "test_labels" → array.

    Raises:
        UserError: for a missing, damaged or too large file, or one without x_train.
    """
    require_file(path)
    with _read_errors(path, "an .npz file"), zipfile.ZipFile(path) as archive:
        members = {Path(info.filename).stem: info for info in archive.infolist()}
        arrays = {NPZ_NAMES[key]: _read_member(archive, members[key], f"{path}: {key}")
                  for key in NPZ_NAMES if key in members}
    if "images" not in arrays:
        raise UserError(
            f"{path}: expected an array x_train, got: {', '.join(sorted(members)) or 'no arrays'}"
        )
    return arrays


def read_npy(path):
    """Read an .npy file, an array of images; returns dict of "images" → array.

    One that is larger than the memory for it is mapped, and read when it is used.

    Raises:
        UserError: for a missing or damaged file.
    """
    require_file(path)
    with _read_errors(path, "an .npy file"), open(path, "rb") as file:
        if _check_header(file, os.fstat(file.fileno()).st_size, path, mapped=True):
            return {"images": np.load(path, mmap_mode="c", allow_pickle=False)}
        file.seek(0)
        return {"images": np.lib.format.read_array(file, allow_pickle=False)}


@contextlib.contextmanager
def _read_errors(path, kind):
    try:
        yield
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {describe_os_error(error)}") from error
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError,
            ValueError) as error:
        raise UserError(f"{path}: expected {kind}, got a damaged one ({error})") from error


def _read_member(archive, info, where):
    with archive.open(info) as file:
        _check_header(file, info.file_size, where)
    with archive.open(info) as file:
        return np.lib.format.read_array(file, allow_pickle=False)


def _check_header(file, file_size, where, mapped=False):
    """Raise a `UserError` unless the header of an array shows that it is worth reading.

    Args:
        file: at the array's beginning.
        file_size: bytes of the array with its header.
        where: the array's place, for messages.
        mapped: whether the array may be larger than the memory for it.

    Returns:
        Whether it is.
    """
    try:
        version = np.lib.format.read_magic(file)
        read_header = (np.lib.format.read_array_header_1_0 if version == (1, 0)
                       else np.lib.format.read_array_header_2_0)
        shape, by_columns, dtype = read_header(file)
    except (ValueError, SyntaxError, tokenize.TokenError) as error:  # NumPy parses it as Python
        raise UserError(f"{where}: expected a NumPy array, got: {error}") from error
    if dtype.kind not in "buifUS":
        got = "Python objects" if dtype.hasobject else str(dtype)
        raise UserError(f"{where}: expected numbers, or strings for labels, got: {got}; "
                        "convert with x.astype('uint8') or y.astype(str) before saving")
    size, rest = dtype.itemsize * math.prod(shape), file_size - file.tell()
    large = size > _most_bytes()
    if size != rest or (large and (by_columns or not mapped)):
        raise UserError(f"{where}: expected {rest} bytes of data as in the file, "
                        f"got a header that promises {size}")
    return large


def read_idx_folder(folder):
    """Read a folder with IDX files under the names of the MNIST distribution.

    Returns:
        dict of "images" (always), "labels", "test_images", "test_labels" → array.

    Raises:
        UserError: naming the damaged file, or a folder without any.
    """
    arrays = {}
    for key, pattern in IDX_FILES.items():
        # The distribution's own names have a dash, unpacked copies often a dot.
        files = sorted(folder.glob(pattern)) or sorted(folder.glob(pattern.replace("*i", "*.i")))
        if files:
            arrays[key] = _read_idx(files[0])
    if "images" not in arrays:
        raise UserError(
            f"{folder}: expected pictures (PNG, JPEG, WebP, GIF, BMP, TIFF) or IDX files "
            "(train-images-idx3-ubyte, plain or .gz), got a folder without them"
        )
    return arrays


def _read_idx(path):
    """Read an IDX file of unsigned bytes: magic 0 0 8 n, n sizes, the data."""
    require_file(path)
    opened = gzip.open if path.suffix == ".gz" else open
    with _read_errors(path, "a gzip file"), opened(path, "rb") as file:
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
    if len(data) != size:
        arrived = "more" if len(data) > size else len(data)
        raise UserError(f"{path}: expected {size} bytes after the header, got: {arrived}")
    return np.frombuffer(data, np.uint8).reshape(shape)


def _most_bytes():
    return MEMORY_FRACTION * memory_bytes()


def _read_at_most(file, size, chunk=2**24):
    """Read up to `size` bytes; memory grows with what is there, not with `size`."""
    data = bytearray()
    while len(data) < size and (part := file.read(min(chunk, size - len(data)))):
        data += part
    return data
