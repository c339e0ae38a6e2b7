"""Device, precision and memory of this machine; the quiet import of TensorFlow."""

import contextlib
import gc
import importlib.util
import os
import platform
import re
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from gan.common.errors import UserError

TENSOR_CORES = (7, 0)  # the compute capability from which float16 is faster
# Flags of processors that multiply bfloat16 faster than float32, by their vendor. Intel's
# AVX-512 units do not: the default took 1.4 times as long.
BFLOAT16_FLAGS = {"AuthenticAMD": "avx512_bf16", "GenuineIntel": "amx_bf16"}
CONTAINER_LIMITS = ("/sys/fs/cgroup/memory.max",  # files with bytes, or "max"
                    "/sys/fs/cgroup/memory/memory.limit_in_bytes")


class Device(NamedTuple):
    """Where the networks run, and in which number format."""

    name: str  # such as "GPU, NVIDIA H100, compute capability 9.0" or "CPU, 2 cores"
    policy: str  # Keras dtype policy: "float32", "mixed_bfloat16", "mixed_float16"
    why: str  # the reason for the policy, in words
    gpu: bool
    names: tuple[str, ...]  # TensorFlow's name of each replica's device, such as "GPU:0"


def import_tensorflow(verbose):
    """Import TensorFlow, unless `verbose` without the lines it prints while loading."""
    if importlib.util.find_spec("tensorflow") is None:
        raise UserError("TensorFlow is not installed; expected: pip install -r requirements.txt")
    if platform.machine() == "x86_64" and "tensorflow" not in sys.modules:
        # By itself, TensorFlow takes oneDNN's kernels only with AVX-512 VNNI or newer; with AVX2
        # alone they take half the time, too.
        os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    if not verbose:
        os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    gc.disable()  # looking for garbage in what stays takes a sixth of the import's time
    with contextlib.nullcontext() if verbose else hidden_messages():
        import tensorflow as tf

        if not tf.config.list_physical_devices("GPU"):  # the search prints as well
            share_cores()
    gc.freeze()  # later searches for garbage skip what the import made
    gc.enable()
    if not verbose:
        tf.get_logger().setLevel("ERROR")


@contextlib.contextmanager
def hidden_messages():
    """Hide what TensorFlow's C++ parts write to standard error; show it if there is an error."""
    # They write to file descriptor 2 before any log level is read.
    sys.stderr.flush()
    kept = os.dup(2)
    with _temporary_file() as diverted:
        os.dup2(diverted.fileno(), 2)
        try:
            yield
        except (UserError, KeyboardInterrupt):  # nothing in the messages explains these
            raise
        except BaseException:
            diverted.seek(0)
            os.write(kept, diverted.read())
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)


def _temporary_file():
    try:
        return tempfile.TemporaryFile()
    except OSError:  # no space anywhere: what is diverted is lost
        return open(os.devnull, "w+b")


def find_device(mixed_precision, wanted="auto", count=1, local_rank=0):
    """Return the `Device` to use; to be called before anything is computed.

    The options are --mixed-precision, --device and --devices (a processor is split into as many
    devices); `local_rank` numbers the processes of a machine, each with its own GPU.
    """
    import tensorflow as tf

    gpus = [] if wanted == "cpu" else tf.config.get_visible_devices("GPU")
    first = int(wanted.partition(":")[2] or (local_rank if len(gpus) > 1 else 0))
    chosen = gpus[first : first + count]
    if wanted.startswith("gpu") and not chosen:
        raise UserError(f"--device: expected one of the {len(gpus)} GPUs that TensorFlow finds, "
                        f"or cpu, got: {wanted}")
    if gpus and len(chosen) < count:
        raise UserError(f"--devices: expected at most the {len(gpus)} GPUs that TensorFlow finds, "
                        f"got: {first + count}")
    if wanted != "auto" or count > 1 or local_rank:
        tf.config.set_visible_devices(chosen, "GPU")
    if chosen:
        details = tf.config.experimental.get_device_details(chosen[0])
        capability = details.get("compute_capability", (0, 0))
        name = (f"GPU, {details.get('device_name', chosen[0].name)}, "
                f"compute capability {'.'.join(map(str, capability))}")
    else:
        capability, name = None, f"CPU, {cores()} core{'s' * (cores() > 1)}"
        share_cores()  # which the import left out if there is a GPU
        if count > 1:
            tf.config.set_logical_device_configuration(
                tf.config.list_physical_devices("CPU")[0],
                [tf.config.LogicalDeviceConfiguration()] * count)
    policy, why = _choose_policy(mixed_precision, capability)
    names = tuple(f"{'GPU' if chosen else 'CPU'}:{index}" for index in range(count))
    return Device(name, policy, why, bool(chosen), names)


def share_cores():
    """Run two operations at once, each on half of the cores; call before TensorFlow computes."""
    # Most operations are too small for all of the cores.
    os.environ.setdefault("TF_NUM_INTEROP_THREADS", "2")
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", str(max(1, cores() // 2)))


def _choose_policy(mixed_precision, capability):
    if mixed_precision != "auto":
        policy = "float32" if mixed_precision == "off" else f"mixed_{mixed_precision}"
        return policy, "as --mixed-precision says"
    if capability and capability >= TENSOR_CORES:
        return "mixed_float16", "it has tensor cores"
    if (capability is None
            and BFLOAT16_FLAGS.get(processor("vendor_id")) in processor("flags").split()):
        return "mixed_bfloat16", "the processor multiplies it faster"
    return "float32", "nothing shorter is faster here"


def memory_bytes():
    """Return the memory that this process may use: the machine's, or its container's share."""
    limits = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    for path in CONTAINER_LIMITS:
        try:
            limits.append(int(Path(path).read_text()))
        except (OSError, ValueError):
            continue  # not there, or "max"
    return min(limits)


def cores():
    """Return the processor cores that this process may use, where the system tells."""
    usable = getattr(os, "sched_getaffinity", None)
    return len(usable(0)) if usable else os.cpu_count()


def processor(field):
    """Return what Linux says of the processor, such as its "model name"; elsewhere ""."""
    try:
        found = re.search(rf"^{field}\s*: (.*)", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        found = None
    return found[1] if found else ""
