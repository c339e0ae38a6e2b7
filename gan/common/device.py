"""What this machine computes with: TensorFlow without its noise, device, precision."""

import contextlib
import ctypes
import gc
import importlib.util
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from gan.common.errors import UserError

TENSOR_CORES = (7, 0)  # the compute capability from which float16 is faster
# TensorFlow takes oneDNN's kernels by itself where the processor has AVX-512 VNNI or newer. With
# AVX2 alone they take half the time, too.
X86 = ("x86_64", "AMD64")
UNKNOWN_MEMORY = 4 * 2**30  # bytes taken for granted where the system does not tell
CONTAINER_LIMITS = ("/sys/fs/cgroup/memory.max",  # files with bytes, or "max"
                    "/sys/fs/cgroup/memory/memory.limit_in_bytes")
BFLOAT16_FLAGS = {"avx512_bf16", "amx_bf16"}  # of processors that multiply it


class Device(NamedTuple):
    """Where the networks run, and in which number format."""

    name: str  # such as "NVIDIA H100, 79 GiB" or "CPU, 2 cores"
    policy: str  # Keras dtype policy: "float32", "mixed_bfloat16", "mixed_float16"
    why: str  # the reason for the policy, in words
    gpu: bool


def import_tensorflow(verbose):
    """Import TensorFlow, by default without the lines it prints while loading.

    Its C++ parts write to file descriptor 2 before any log level is read, so
    the descriptor is diverted for the time of the import; what was written is
    shown if the import fails.

    Args:
        verbose: let TensorFlow print.

    Raises:
        UserError: when TensorFlow is not installed.
    """
    if importlib.util.find_spec("tensorflow") is None:
        raise UserError("TensorFlow is not installed; expected: pip install -r requirements.txt")
    if platform.machine() in X86:
        os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    if verbose:
        with without_collection():
            import tensorflow  # noqa: F401
        return
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    with hidden_messages(), without_collection():
        import tensorflow as tf

        tf.config.list_physical_devices()  # the device search prints as well
        tf.get_logger().setLevel("ERROR")


@contextlib.contextmanager
def without_collection():
    """Do not search what is imported for garbage, now or later: it stays, and there is much."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if enabled:
            gc.enable()


@contextlib.contextmanager
def hidden_messages():
    """Hide what TensorFlow's C++ parts write to standard error; show it if there is an error."""
    sys.stderr.flush()
    kept = os.dup(2)
    with _scratch_file() as diverted:
        os.dup2(diverted.fileno(), 2)
        try:
            yield
        except BaseException:
            diverted.seek(0)
            os.write(kept, diverted.read())
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)


def _scratch_file():
    try:
        return tempfile.TemporaryFile()
    except OSError:  # no space anywhere: what is diverted is lost
        return open(os.devnull, "w+b")


def use_gpu(local_index):
    """Hide all GPUs from TensorFlow but that of one of the processes on this machine.

    Args:
        local_index: which of them.

    Raises:
        UserError: when there is no such GPU.
    """
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    # Where a scheduler has given each process a GPU, it sees only that.
    index = local_index if len(gpus) > 1 else 0
    if index >= len(gpus):
        raise UserError(f"--devices: expected at most the {len(gpus)} GPUs that TensorFlow finds "
                        f"on this machine, got: {local_index + 1}")
    tf.config.set_visible_devices(gpus[index], "GPU")


def find_device(mixed_precision, wanted="auto"):
    """Choose the device that TensorFlow uses and the precision to use on it.

    To be called before anything is computed.

    Args:
        mixed_precision: "auto", "float16", "bfloat16" or "off".
        wanted: "auto" (the first GPU if there is one), "cpu", "gpu" or, where
            there are several, "gpu:1" and so on.

    Returns:
        A `Device`.

    Raises:
        UserError: when there is no such GPU.
    """
    import tensorflow as tf

    gpus = tf.config.get_visible_devices("GPU")
    index = int(wanted.partition(":")[2] or 0)
    if wanted.startswith("gpu") and index >= len(gpus):
        raise UserError(f"--device: expected one of the {len(gpus)} GPUs that TensorFlow finds, "
                        f"or cpu, got: {wanted}")
    gpus = [] if wanted == "cpu" else gpus[index : index + 1]
    if wanted != "auto":
        tf.config.set_visible_devices(gpus, "GPU")
    if gpus:
        details = tf.config.experimental.get_device_details(gpus[0])
        capability = details.get("compute_capability", (0, 0))
        name = (f"GPU, {details.get('device_name', gpus[0].name)}{_gpu_memory(index)}, "
                f"compute capability {'.'.join(map(str, capability))}")
    else:
        capability, name = None, "CPU, 1 core" if cores() == 1 else f"CPU, {cores()} cores"
    if mixed_precision != "auto":
        policy = "float32" if mixed_precision == "off" else f"mixed_{mixed_precision}"
        why = "as --mixed-precision says"
    elif gpus and capability >= TENSOR_CORES:
        policy, why = "mixed_float16", "it has tensor cores"
    elif not gpus and BFLOAT16_FLAGS & _processor_flags():
        policy, why = "mixed_bfloat16", "the processor multiplies it"
    else:
        policy, why = "float32", "nothing shorter is faster here"
    return Device(name, policy, why, bool(gpus))


def memory_bytes():
    """The memory that this process may use: the machine's, or its container's share.

    4 GiB where the system does not tell.
    """
    limits = [_machine_memory() or UNKNOWN_MEMORY]
    for path in CONTAINER_LIMITS:
        try:
            limits.append(int(Path(path).read_text()))
        except (OSError, ValueError):
            continue  # not there, or "max"
    return min(limits)


def _machine_memory():
    """The machine's memory in bytes, or 0 where the system does not tell."""
    try:
        return max(0, os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    except (AttributeError, ValueError, OSError):  # Windows has no `sysconf`
        status = _MemoryStatus(length=ctypes.sizeof(_MemoryStatus))
    try:
        told = ctypes.windll.kernel32.GlobalMemoryStatusEx(ctypes.byref(status))
        return status.total if told else 0
    except (AttributeError, OSError):
        return 0


class _MemoryStatus(ctypes.Structure):
    """What `GlobalMemoryStatusEx` fills, MEMORYSTATUSEX in Windows' sysinfoapi.h."""

    _fields_ = [("length", ctypes.c_uint32), ("load_percent", ctypes.c_uint32),
                ("total", ctypes.c_uint64), ("rest", ctypes.c_uint64 * 6)]


def cores():
    """The processor cores that this process may use, where the system tells."""
    usable = getattr(os, "sched_getaffinity", None)
    return len(usable(0)) if usable else os.cpu_count()


def _gpu_memory(index):
    """A GPU's memory in words, which TensorFlow does not tell."""
    command = ["nvidia-smi", "--query-gpu=memory.total", "--format=csv,noheader,nounits",
               f"--id={index}"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
        return f", {int(done.stdout) / 1024:.0f} GiB"
    except (OSError, ValueError, subprocess.SubprocessError):
        return ""


def _processor_flags():
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("flags"):
                return set(line.split())
    except OSError:
        pass  # not Linux
    return set()
