"""Arrays and a description in one .npz file that is either whole or refused.

ZIP keeps a CRC-32 of each member, so damage does not go unseen; nothing is
ever unpickled.
"""

import contextlib
import io
import json
import tempfile
import zipfile

import numpy as np

from gan.common.errors import reading
from gan.common.files import atomic_file, parse_json

FORMAT = 1
ABOUT = "about.json"


def write_archive(path, arrays, about):
    """Write arrays and a description.

    Args:
        path: the file; an earlier one stays until the new one is whole.
        arrays: dict of name → NumPy array.
        about: dict for JSON.

    Raises:
        UserError: when it cannot be written.
    """
    with atomic_file(path) as file:
        put_archive(file, arrays, about)


def put_archive(file, arrays, about):
    """Write arrays and a description to an open file."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(ABOUT, json.dumps({"format": FORMAT, **about}))
        for name, array in arrays.items():
            buffer = io.BytesIO()
            np.lib.format.write_array(buffer, np.asarray(array), allow_pickle=False)
            archive.writestr(f"{name}.npy", buffer.getvalue())


def read_archive(path, what):
    """Read what `write_archive` wrote.

    Args:
        path: the file, or one that is open.
        what: it should be, such as "a checkpoint".

    Returns:
        `(arrays, about)`.

    Raises:
        UserError: when it is damaged, compressed, pickled or of another format.
    """
    where = "what arrived" if isinstance(path, io.BytesIO) else path
    with reading(where, what), zipfile.ZipFile(path) as archive:
        if any(info.compress_type != zipfile.ZIP_STORED for info in archive.infolist()):
            raise ValueError("it has compressed parts")  # none are ever written
        about = parse_json(archive.read(ABOUT))
        if about.get("format") != FORMAT:
            raise ValueError("not in this version's format")
        arrays = {name.removesuffix(".npy"):
                  np.lib.format.read_array(io.BytesIO(archive.read(name)), allow_pickle=False)
                  for name in archive.namelist() if name != ABOUT}
    return arrays, about


def write_npz_streamed(path, columns, batches):
    """Write an .npz file from batches of rows.

    Args:
        path: the file, there only when all is written.
        columns: dict of name → (dtype, shape), the shape with all rows.
        batches: iterable of dict of name → array [n, ...], in order.
    """
    with atomic_file(path) as file, contextlib.ExitStack() as stack:
        # Members of a ZIP are written one after the other, so each column is
        # gathered in a file of its own first.
        parts = {name: stack.enter_context(tempfile.TemporaryFile(dir=path.parent))
                 for name in columns}
        for batch in batches:
            for name, rows in batch.items():
                parts[name].write(np.ascontiguousarray(rows, columns[name][0]).data)
        with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
            for name, (dtype, shape) in columns.items():
                with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                    header = {"descr": np.lib.format.dtype_to_descr(np.dtype(dtype)),
                              "fortran_order": False, "shape": shape}
                    np.lib.format.write_array_header_1_0(member, header)
                    parts[name].seek(0)
                    while chunk := parts[name].read(2**22):
                        member.write(chunk)
