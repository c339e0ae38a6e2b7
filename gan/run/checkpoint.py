"""The whole state of a run in one file that is either good or refused."""

import re
from pathlib import Path

import numpy as np

from gan.common.archive import read_archive, write_archive
from gan.common.errors import UserError

CHECKS = {  # what the description of a checkpoint must hold
    "step": lambda value: type(value) is int and 0 <= value < 2**53,
    "config": lambda value: isinstance(value, dict),
    "policy": lambda value: value in ("float32", "mixed_bfloat16", "mixed_float16"),
    "dataset": lambda value: isinstance(value, str),
    "history": lambda value: isinstance(value, dict),
}
KEEP = 2  # checkpoints; the one before the last is there when the last is damaged


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
    write_archive(folder / f"step_{about['step']:09d}.npz", arrays, about)
    for path in list_checkpoints(folder)[KEEP:]:
        path.unlink(missing_ok=True)


def list_checkpoints(folder):
    """Return the checkpoint files in a folder, the newest first."""
    files = [path for path in Path(folder).glob("step_*.npz")
             if re.fullmatch(r"step_\d{9,}", path.stem)]
    return sorted(files, key=checkpoint_step, reverse=True)


def checkpoint_step(path):
    """The step after which a checkpoint was written, from its name."""
    return int(path.stem.removeprefix("step_"))


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
            arrays, about = read_archive(path)
            if all(name in about and fits(about[name]) for name, fits in CHECKS.items()):
                return arrays, about
            warn(f"{path} is not a checkpoint; taking the one before it")
        except UserError as error:
            warn(f"{path}: {error}; taking the one before it")
    raise UserError(f"--resume: expected a whole checkpoint in {folder}, got only damaged ones")


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
