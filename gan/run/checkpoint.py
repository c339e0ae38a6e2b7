"""Checkpoints: the whole state of a run in one file."""

import dataclasses
import functools
import io
import os
import platform
from dataclasses import dataclass

from gan import __version__
from gan.common.device import cores, processor
from gan.common.errors import UserError, reading, warn
from gan.common.files import read_archive, write_archive

KEEP = 2  # checkpoints, so that there is one before the last if that is damaged
CONDITIONS = "conditions/"  # how the names of the conditioning's arrays begin
DESCRIPTION = "step", "config", "dataset", "history", "version", "environment"  # saved as JSON
KERNELS = ("TF_ENABLE_", "TF_XLA_", "XLA_", "ONEDNN_", "DNNL_", "OMP_NUM_", "TF_NUM_", "TF_DETERM",
           "NVIDIA_TF32_")  # how the names of environment variables that choose kernels begin


@dataclass(frozen=True)
class Checkpoint:
    """The state of a run after a step."""

    step: int  # number of steps taken
    config: dict  # the run's options, see `TrainConfig`
    dataset: str  # fingerprint of its data
    history: dict  # see `History.to_dict`
    variables: dict  # name → array, see `TrainState.variables`
    conditions: dict  # name → array, see `Conditioning.to_arrays`
    version: str = __version__  # of this project
    environment: dict = dataclasses.field(default_factory=dict)  # see `environment`

    def save(self, folder):
        """Write the checkpoint into a `RunFolder` and remove all but the newest two."""
        self.write(folder.claim(folder.checkpoints / f"step_{self.step:09d}.npz"))
        for path in list_checkpoints(folder.checkpoints)[KEEP:]:
            if folder.lists(path):
                path.unlink()

    def write(self, path):
        """Write the checkpoint to a file, whole or not at all, or to one that is open."""
        conditions = {CONDITIONS + name: array for name, array in self.conditions.items()}
        write_archive(path, self.variables | conditions,
                      {name: getattr(self, name) for name in DESCRIPTION})

    def to_bytes(self):
        """Return the content of the file, which `load_checkpoint` reads from a `BytesIO`."""
        file = io.BytesIO()
        self.write(file)
        return file.getvalue()


def list_checkpoints(folder):
    """Return the checkpoint files in a folder, the newest first."""
    files = [path for path in folder.glob("step_*.npz") if path.stem[5:].isdecimal()]
    return sorted(files, key=lambda path: int(path.stem[5:]), reverse=True)


def load_newest(folder, warn=warn, option="--resume"):
    """Read the newest whole checkpoint; `warn` is called with a line for each damaged one."""
    files = list_checkpoints(folder)
    if not files:
        raise UserError(f"{option}: expected a checkpoint in {folder}, got a folder without one")
    for path in files:
        try:
            return load_checkpoint(path)
        except UserError as error:
            warn(f"{error}; taking the one before it")
    raise UserError(f"{option}: expected a whole checkpoint in {folder}, got only damaged ones")


def load_checkpoint(path):
    """Read a checkpoint file, or one that is open; a damaged one is refused."""
    arrays, description = read_archive(path, "a checkpoint")
    conditions = {name.removeprefix(CONDITIONS): arrays.pop(name) for name in [*arrays]
                  if name.startswith(CONDITIONS)}
    with reading(path, "a checkpoint"):
        return Checkpoint(**{name: description[name] for name in DESCRIPTION}, variables=arrays,
                          conditions=conditions)


def assign_variables(variables, arrays):
    """Set variables to the arrays of the same names; all of both must fit."""
    expected = {name: f"{variable.dtype.name} {list(variable.shape)}"
                for name, variable in variables.items()}
    found = {name: f"{array.dtype} {list(array.shape)}" for name, array in arrays.items()}
    for name in sorted(expected | found):
        if expected.get(name) != found.get(name):
            raise UserError(f"--resume: expected a checkpoint with the variable {name} "
                            f"{expected.get(name, 'left out')}, got: {found.get(name, 'none')}")
    for name, variable in variables.items():
        variable.assign(arrays[name])


# What the bits of a run depend on besides its options.


@functools.cache
def environment():
    """Return the versions, processors and kernels of this process: dict of name → text."""
    import keras
    import tensorflow as tf

    gpus = [tf.config.experimental.get_device_details(gpu).get("device_name", gpu.name)
            for gpu in tf.config.get_visible_devices("GPU")]
    kernels = {name: value for name, value in os.environ.items() if name.startswith(KERNELS)}
    return {"TensorFlow": tf.__version__, "Keras": keras.__version__,
            "GPU": ", ".join(gpus) or "none", "cores": str(cores()),
            "processor": processor("model name") or platform.processor() or platform.machine(),
            **dict(sorted(kernels.items()))}


def differences(checkpoint, config):
    """Return how this process differs from the one that wrote a checkpoint, as text; or ""."""
    before = {"this project": checkpoint.version, "devices": checkpoint.config.get("devices"),
              **checkpoint.environment}
    now = {"this project": __version__, "devices": config.devices, **environment()}
    return "; ".join(f"{name} {before.get(name, 'not set')} then, {now.get(name, 'not set')} now"
                     for name in before | now if before.get(name) != now.get(name))
