"""What the campaigns of faults share: tiny data, and runs in forked processes.

TensorFlow is imported once, in the parent, which never computes with it; each
run is a fork of it. That saves the seconds of the import, and a killed fork is
as dead as any process.
"""

import contextlib
import json
import os
import signal
import sys
import traceback
from pathlib import Path

import numpy as np
from common import ROOT

TINY = ["--base-channels", "4", "--latent-dim", "8", "--batch-size", "16", "--num-samples", "9",
        "--mixed-precision", "off", "--clusters", "2"]


def write_data(path, count=320, size=16, seed=0):
    """Write an .npz file of noisy squares with two classes."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, 2, count)
    images = random.integers(0, 60, (count, size, size)).astype(np.uint8)
    images[labels == 1, 4:12, 4:12] = 220
    np.savez(path, x_train=images, y_train=labels)


def preload():
    """Import what runs need, without computing anything yet."""
    from gan.common.device import import_tensorflow

    import_tensorflow(verbose=False)
    import gan.convert  # noqa: F401
    import gan.loop  # noqa: F401 - with Keras and matplotlib
    import gan.playground.__main__  # noqa: F401
    import gan.report.__main__  # noqa: F401
    import generate  # noqa: F401
    import make_gif  # noqa: F401
    import train_gan  # noqa: F401


def start(script, arguments, folder, log=os.devnull, seconds=0):
    """Start a script's (a module's) `main` in a fork in a folder; returns the process id.

    After some seconds, unless 0, SIGALRM ends it.
    """
    sys.stdout.flush()
    process = os.fork()
    if process:
        return process
    code = 99  # an escape through another error would run the parent's code
    try:
        signal.alarm(seconds)
        os.chdir(folder)
        file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(file, 1)
        os.dup2(file, 2)
        sys.argv = [str(ROOT / (script.replace(".", "/") + ".py")), *map(str, arguments)]
        from gan.common.errors import run_script

        run_script(script if "." in script else f"{script}.py", sys.modules[script].main)
    except SystemExit as done:
        code = done.code or 0
    except BaseException:
        code = 1
        with contextlib.suppress(Exception):
            traceback.print_exc()
    finally:
        with contextlib.suppress(Exception):  # it may be closed, or nobody reads it
            sys.stdout.flush()
        os._exit(code if isinstance(code, int) else 1)


def finish(process):
    """Wait for a fork; returns its exit code, negative for a signal."""
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def leftovers(folder):
    """Return what a run has not cleaned up after itself."""
    return [str(path) for path in Path(folder).rglob("*")
            if path.name.startswith(".gan-partial-") or path.name == ".train_gan.lock"]


def traces(folder):
    """Return dict of name → bytes of all that a finished run left but its times.

    Of the export these are its variables, as the files of equal exports may differ.
    """
    from tensorflow.python.training.py_checkpoint_reader import NewCheckpointReader

    from gan.run.checkpoint import load_newest
    from gan.run.history import TIMED

    state = load_newest(folder / "checkpoints", print)
    reader = NewCheckpointReader(str(folder / "exported_model/variables/variables"))
    arrays = {**state.variables, **state.conditions, **{
        f"exported {name}": reader.get_tensor(name)
        for name in reader.get_variable_to_shape_map() if name.startswith("variables/")}}
    rows = [{name: value for name, value in row.items() if name not in TIMED}
            for row in state.history["rows"]]
    about = json.loads((folder / "exported_model/assets.extra/gan.json").read_text())
    return {**{name: np.asarray(array).tobytes() for name, array in arrays.items()},
            **{path.name: path.read_bytes() for path in folder.glob("generated_images/*.png")},
            "history": json.dumps(rows).encode(), "metrics": json.dumps(about["metrics"]).encode()}


def differences(first, second):
    """Return the names of what differs between two finished runs; times may."""
    one, other = traces(first), traces(second)
    return sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))
