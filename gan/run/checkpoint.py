"""Checkpoints: the whole state of a run in one file that is either good or refused."""

import dataclasses
import functools
import io
import os
import platform
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gan import __version__
from gan.common.device import cores
from gan.common.errors import UserError
from gan.common.files import read_archive, write_archive

BEST = "best.npz"  # the checkpoint of the best epoch, with --keep-best
KEEP = 2  # checkpoints, so that there is one before the last if that is damaged
CONDITIONS = "conditions/"  # how the names of the conditioning's arrays begin
DESCRIPTION = {"step": int, "config": dict, "dataset": str, "history": dict, "version": str,
               "environment": dict}  # what is saved as JSON
KERNELS = ("TF_ENABLE_", "TF_XLA_", "XLA_", "ONEDNN_", "DNNL_", "OMP_NUM_", "TF_NUM_", "TF_DETERM",
           "NVIDIA_TF32_")  # how the names of environment variables that choose kernels begin


@dataclass(frozen=True)
class Checkpoint:
    """The state of a run after a step.

    Attributes:
        step: number of steps taken.
        config: dict, the run's options, see `TrainConfig`.
        dataset: fingerprint of its data.
        history: dict, see `History.to_dict`.
        variables: dict of name → array, see `TrainState.variables`.
        conditions: dict of name → array, see `Conditioning.to_arrays`.
        version: of this project.
        environment: dict, see `environment`.
    """

    step: int
    config: dict
    dataset: str
    history: dict
    variables: dict
    conditions: dict
    version: str = __version__
    environment: dict = dataclasses.field(default_factory=dict)

    def save(self, folder):
        """Write the checkpoint into a `RunFolder` and remove all but the newest two.

        Raises:
            UserError: when it cannot be written; earlier checkpoints stay.
        """
        self.write(folder.claim(folder.checkpoints / f"step_{self.step:09d}.npz"))
        for path in list_checkpoints(folder.checkpoints)[KEEP:]:
            if folder.lists(path):
                path.unlink(missing_ok=True)

    def write(self, path):
        """Write the checkpoint to a file, whole or not at all."""
        write_archive(path, *self._content())

    def to_bytes(self):
        """Return the content of the file, which `load_checkpoint` reads from a `BytesIO`."""
        file = io.BytesIO()
        write_archive(file, *self._content())
        return file.getvalue()

    def _content(self):
        return (self.variables | self.conditions,
                {name: getattr(self, name) for name in DESCRIPTION})


def list_checkpoints(folder):
    """Return the checkpoint files in a folder, the newest first."""
    files = [path for path in Path(folder).glob("step_*.npz")
             if re.fullmatch(r"step_\d{9,}", path.stem)]
    return sorted(files, key=lambda path: int(path.stem.removeprefix("step_")), reverse=True)


def load_newest(folder, warn):
    """Read the newest checkpoint that is whole.

    Args:
        folder: the checkpoint folder.
        warn: function of a message, called for each damaged file passed over.

    Returns:
        A `Checkpoint`.

    Raises:
        UserError: when there is none, or none is whole.
    """
    files = list_checkpoints(folder)
    if not files:
        raise UserError(f"--resume: expected a checkpoint in {folder}, got a folder without one")
    for path in files:
        try:
            return load_checkpoint(path)
        except UserError as error:
            warn(f"{error}; taking the one before it")
    raise UserError(f"--resume: expected a whole checkpoint in {folder}, got only damaged ones")


def load_checkpoint(path):
    """Read a checkpoint file, or one that is open.

    Raises:
        UserError: when it is damaged or no checkpoint.
    """
    arrays, description = read_archive(path, "a checkpoint")
    for name, kind in DESCRIPTION.items():
        if type(description.get(name)) is not kind or (name == "step" and description[name] < 0):
            raise UserError(f"{path}: expected a checkpoint, got a damaged file (its {name})")
    conditions = {name: array for name, array in arrays.items() if name.startswith(CONDITIONS)}
    variables = {name: array for name, array in arrays.items() if name not in conditions}
    return Checkpoint(**{name: description[name] for name in DESCRIPTION}, variables=variables,
                      conditions=conditions)


def take_checkpoint(state, conditioning, config, fingerprint, history):
    """Return the `Checkpoint` of a run as it is now.

    Args:
        state: `TrainState`.
        conditioning: `Conditioning` of the training samples.
        config: `TrainConfig`.
        fingerprint: of the data set.
        history: `History`.
    """
    return Checkpoint(
        step=int(state.step), config=dataclasses.asdict(config), dataset=fingerprint,
        history=history.to_dict(),
        variables={name: value.numpy() for name, value in state.variables().items()},
        conditions=conditioning.to_arrays(), environment=environment(),
    )


@functools.cache
def environment():
    """Return what the bits of a run depend on besides its options: dict of name → text."""
    import keras
    import tensorflow as tf

    gpus = [tf.config.experimental.get_device_details(gpu).get("device_name", gpu.name)
            for gpu in tf.config.get_visible_devices("GPU")]
    kernels = {name: value for name, value in os.environ.items() if name.startswith(KERNELS)}
    return {"TensorFlow": tf.__version__, "Keras": keras.__version__,
            "GPU": ", ".join(gpus) or "none", "processor": _processor(), "cores": str(cores()),
            **dict(sorted(kernels.items()))}


def _processor():
    try:
        found = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    except OSError:  # not Linux
        found = None
    return found[1] if found else platform.processor() or platform.machine()


def differences(checkpoint, config):
    """Return how this process differs from the one that wrote a checkpoint, as text; or "".

    Args:
        checkpoint: `Checkpoint`.
        config: `TrainConfig` of this process.
    """
    before = {"this project": checkpoint.version, "devices": checkpoint.config.get("devices"),
              **checkpoint.environment}
    now = {"this project": __version__, "devices": config.devices, **environment()}
    return "; ".join(f"{name} {before.get(name, 'not set')} then, {now.get(name, 'not set')} now"
                     for name in before | now if before.get(name) != now.get(name))


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
