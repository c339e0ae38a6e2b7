"""Functions called in a forked process, before TensorFlow is imported."""

import contextlib
import fcntl
import os
import signal
import subprocess
import sys
import time

import pytest

from gan.common.processes import start

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forks on Linux")
START = """
import os, signal, threading
from gan.common.processes import start
here = os.getpid()
"""


def printed(script):
    """Return what a Python process prints that runs a script; it must not fail or warn."""
    done = subprocess.run([sys.executable, "-c", START + script], capture_output=True, text=True,
                          timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.strip()


def test_a_child_computes():
    assert printed("print(start(lambda: os.getpid() == here)())") == "False"


def test_what_a_child_raises_is_raised_here():
    assert printed("""
wait = start(int, "many")
try:
    wait()
except ValueError as error:
    print(error)""") == "invalid literal for int() with base 10: 'many'"


def test_a_child_that_is_killed_leaves_the_call_to_this_process():
    assert printed("""
def kill_child():
    if os.getpid() != here:
        os.kill(os.getpid(), signal.SIGKILL)
    return "computed here"
print(start(kill_child)())""") == "computed here"


def test_beside_a_thread_this_process_computes():
    assert printed("""
stop = threading.Event()
threading.Thread(target=stop.wait).start()
print(start(lambda: os.getpid() == here)())
stop.set()""") == "True"


def test_without_memory_for_a_child_this_process_computes():
    assert printed("""
def fail():
    raise OSError(12, "Cannot allocate memory")
os.fork = fail
print(start(lambda: os.getpid() == here)())""") == "True"


def test_a_child_that_is_not_waited_for_is_stopped_quietly():
    assert printed("""
import time
from gan.common.errors import run_script
def main():
    start(time.sleep, 30)
    time.sleep(0.5)
    return 0
run_script("test", main)""") == ""


def test_beside_tensorflow_this_process_computes(tensorflow):
    assert start(os.getpid)() == os.getpid()


def test_a_lock_ends_with_its_process_and_not_with_the_child(tmp_path):
    path = tmp_path / "lock"
    script = f"""
import fcntl, time
lock = open({str(path)!r}, "w")
fcntl.flock(lock, fcntl.LOCK_EX)
start(time.sleep, 20)
os.kill(here, signal.SIGKILL)"""
    done = subprocess.run([sys.executable, "-c", START + script], stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL, timeout=60)
    assert done.returncode == -signal.SIGKILL
    began = time.monotonic()
    while time.monotonic() < began + 10:
        with open(path) as lock, contextlib.suppress(BlockingIOError):
            return fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        time.sleep(0.01)
    pytest.fail("the child keeps the lock")
