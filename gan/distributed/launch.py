"""`--devices N`: the same command as N processes on this machine."""

import ctypes
import json
import os
import signal
import socket
import subprocess
import sys
import time

from gan.common.errors import STOP_SIGNALS
from gan.distributed.meeting import name_of

POLL_SECONDS = 0.1
GRACE_SECONDS = 8  # for the others to end by themselves when one has died
DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG of Linux' prctl


def processes_for(wanted):
    """Return how many processes `--devices` asks for: all GPUs with "auto", else 1."""
    if wanted != "auto":
        return wanted
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return max(1, len([name for name in visible.split(",") if name.strip() not in ("", "-1")]))
    try:
        listed = subprocess.run(["nvidia-smi", "--list-gpus"], capture_output=True, text=True,
                                timeout=10, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return 1
    return max(1, sum(line.startswith("GPU ") for line in listed.splitlines()))


def launch(count):
    """Run this command in so many processes and wait for all of them.

    The first to die takes the others with it. Signals are passed on to all.

    Args:
        count: number of processes.

    Returns:
        The exit code: the chief's, or that of the first that failed before it.
    """
    addresses = free_addresses(count)
    children = []
    former = {number: signal.signal(number, lambda number, _: _pass_on(children, number))
              for number in STOP_SIGNALS if signal.getsignal(number) is not signal.SIG_IGN}
    try:
        for index in range(count):
            task = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
            # Of a group of their own, or Ctrl-C would reach them twice.
            children.append(subprocess.Popen(
                [sys.executable, *sys.argv], env=os.environ | {"TF_CONFIG": json.dumps(task)},
                process_group=0, preexec_fn=_die_with_parent))
        return _wait(children)
    finally:
        _pass_on(children, signal.SIGKILL)
        for number, handler in former.items():
            signal.signal(number, handler)


def _wait(children):
    """Wait for all to end; returns the exit code."""
    first, deadline = None, None
    while any(child.poll() is None for child in children):
        failed = [index for index, child in enumerate(children) if child.poll()]
        if failed and first is None:
            first, deadline = failed[0], time.monotonic() + GRACE_SECONDS
            _complain(first, children)
        if deadline and time.monotonic() > deadline:  # stopped, or busy with something else
            _pass_on(children, signal.SIGKILL)
        time.sleep(POLL_SECONDS)
    codes = [child.returncode for child in children]
    if first is None:
        first = next((index for index, code in enumerate(codes) if code), 0)
        _complain(first, children)
    chief = codes[0]
    code = chief if chief > 0 else codes[first]
    return code if code >= 0 else 128 - code


def _complain(index, children):
    """Say which process a signal ended: it could not."""
    code = children[index].returncode
    if code < 0:
        name = signal.Signals(-code).name
        print(f"train_gan.py: {name_of(index, len(children))} was ended by {name}",
              file=sys.stderr, flush=True)


def _pass_on(children, number):
    for child in children:
        if child.poll() is None:
            child.send_signal(number)


def free_addresses(count):
    """Return so many "host:port" of this machine at which nobody listens."""
    servers = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    addresses = [f"127.0.0.1:{server.getsockname()[1]}" for server in servers]
    for server in servers:
        server.close()
    return addresses


def _die_with_parent():
    if sys.platform == "linux":  # else they would train on when the launcher is killed
        ctypes.CDLL(None).prctl(DIE_WITH_PARENT, signal.SIGTERM)
