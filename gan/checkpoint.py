"""The whole state of a run in one file that is either good or refused.

A checkpoint is an uncompressed .npz: one array per variable, and a JSON text
with everything else. ZIP keeps a CRC-32 of each member, and the names, shapes
and types are compared with what the run expects, so damage does not go unseen.
Nothing is unpickled.
"""

import io
import json
import re
import zipfile
import zlib
from pathlib import Path

import numpy as np

from gan.errors import UserError, describe_os_error
from gan.files import atomic_file

KEEP = 2  # checkpoints; the one before the last is there when the last is damaged
FORMAT = 1
ABOUT = "about.json"


def save_checkpoint(folder, arrays, about):
    """Write a checkpoint and remove all but the newest two.

    Args:
        folder: the checkpoint folder.
        arrays: dict of name → NumPy array.
        about: dict for JSON, with the "step" that names the file.

    Raises:
        UserError: when it cannot be written; earlier checkpoints stay.
    """
    folder = Path(folder)
    with atomic_file(folder / f"step_{about['step']:09d}.npz") as file:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
            archive.writestr(ABOUT, json.dumps({"format": FORMAT, **about}))
            for name, array in arrays.items():
                buffer = io.BytesIO()
                np.lib.format.write_array(buffer, np.asarray(array), allow_pickle=False)
                archive.writestr(f"{name}.npy", buffer.getvalue())
    for path in list_checkpoints(folder)[KEEP:]:
        path.unlink(missing_ok=True)


def list_checkpoints(folder):
    """Return the checkpoint files in a folder, the newest first."""
    files = [path for path in Path(folder).glob("step_*.npz")
             if re.fullmatch(r"step_\d{9,}", path.stem)]
    return sorted(files, key=lambda path: int(path.stem[5:]), reverse=True)


def load_newest(folder, warn):
    """Read the newest checkpoint that is whole.

    Args:
        folder: the checkpoint folder.
        warn: function of a message, called for each damaged file passed over.

    Returns:
        `(arrays, about)` as they were saved.

    Raises:
        UserError: when there is none, or none is whole.
    """
    files = list_checkpoints(folder)
    if not files:
        raise UserError(f"--resume: expected a checkpoint in {folder}, got a folder without one")
    for path in files:
        try:
            return _read(path)
        except _Damaged as error:
            warn(f"{path} is damaged ({error}); taking the one before it")
    raise UserError(f"--resume: expected a whole checkpoint in {folder}, got only damaged ones")


class _Damaged(Exception):
    """A file that is not a checkpoint as `save_checkpoint` writes it."""


def _read(path):
    try:
        with zipfile.ZipFile(path) as archive:
            about = json.loads(archive.read(ABOUT))
            names = [name for name in archive.namelist() if name != ABOUT]
            arrays = {
                name.removesuffix(".npy"): np.lib.format.read_array(
                    io.BytesIO(archive.read(name)), allow_pickle=False
                )
                for name in names
            }
    except OSError as error:
        raise _Damaged(describe_os_error(error)) from error
    except (zipfile.BadZipFile, zlib.error, ValueError, KeyError, EOFError, MemoryError,
            NotImplementedError, RuntimeError) as error:
        raise _Damaged(str(error)) from error
    if not isinstance(about, dict) or about.get("format") != FORMAT:
        raise _Damaged("not this version's format")
    return arrays, about


def assign_variables(variables, arrays):
    """Set variables to saved values; all of both must fit.

    Args:
        variables: dict of name → `tf.Variable`.
        arrays: dict of name → array, of the same names, shapes and types.

    Raises:
        UserError: naming the first that is missing, left over or of another shape.
    """
    if variables.keys() != arrays.keys():
        name = min(variables.keys() ^ arrays.keys())
        where = "lacks" if name in variables else "has an unknown"
        raise UserError(f"--resume: the checkpoint {where} variable {name}")
    for name, variable in variables.items():
        expected = (tuple(variable.shape), variable.dtype.as_numpy_dtype)
        if expected != (arrays[name].shape, arrays[name].dtype.type):
            raise UserError(
                f"--resume: expected {name} of shape {expected[0]} and type "
                f"{np.dtype(expected[1])}, got: {arrays[name].shape} {arrays[name].dtype}"
            )
    for name, variable in variables.items():
        variable.assign(arrays[name])
