"""Functions called in a copy of the process, which TensorFlow must not have been imported in."""

import contextlib
import fcntl
import os
import signal
import subprocess
import sys
import time

import pytest

from gan.common.background import begin

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="copies are made on Linux")
START = """
import os, signal, threading
from gan.common.background import begin
here = os.getpid()
"""


def printed(script):
    """Return what a Python process prints that runs a script; it must not fail or warn."""
    done = subprocess.run([sys.executable, "-c", START + script], capture_output=True, text=True,
                          timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.strip()


def test_a_copy_computes():
    assert printed("print(begin(lambda: os.getpid() == here)())") == "False"


def test_what_a_copy_raises_is_raised_here():
    assert printed("""
wait = begin(int, "many")
try:
    wait()
except ValueError as error:
    print(error)""") == "invalid literal for int() with base 10: 'many'"


def test_a_copy_that_is_killed_leaves_the_call_to_this_process():
    assert printed("""
def kill_copy():
    if os.getpid() != here:
        os.kill(os.getpid(), signal.SIGKILL)
    return "computed here"
print(begin(kill_copy)())""") == "computed here"


def test_beside_a_thread_this_process_computes():
    assert printed("""
stop = threading.Event()
threading.Thread(target=stop.wait).start()
print(begin(lambda: os.getpid() == here)())
stop.set()""") == "True"


def test_without_memory_for_a_copy_this_process_computes():
    assert printed("""
def fail():
    raise OSError(12, "Cannot allocate memory")
os.fork = fail
print(begin(lambda: os.getpid() == here)())""") == "True"


def test_a_copy_that_is_not_waited_for_is_stopped_quietly():
    assert printed("""
import time
from gan.common.errors import run_script
def main():
    begin(time.sleep, 30)
    time.sleep(0.5)
    return 0
run_script("test", main)""") == ""


def test_beside_tensorflow_this_process_computes(tensorflow):
    assert begin(os.getpid)() == os.getpid()


def test_a_lock_ends_with_its_process_and_not_with_the_copy(tmp_path):
    path = tmp_path / "lock"
    script = f"""
import fcntl, time
lock = open({str(path)!r}, "w")
fcntl.flock(lock, fcntl.LOCK_EX)
begin(time.sleep, 20)
os.kill(here, signal.SIGKILL)"""
    done = subprocess.run([sys.executable, "-c", START + script], stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL, timeout=60)
    assert done.returncode == -signal.SIGKILL
    began = time.monotonic()
    while time.monotonic() < began + 10:
        with open(path) as lock, contextlib.suppress(BlockingIOError):
            return fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        time.sleep(0.01)
    pytest.fail("the copy keeps the lock")
