"""Writing large arrays without holding them."""

import contextlib
import tempfile
import zipfile

import numpy as np

from gan.files import atomic_file


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
