"""Functions called in a forked process, beside other work."""

import contextlib
import functools
import multiprocessing
import os
import signal
import sys
import threading

from gan.common.errors import STOP_SIGNALS


def start(function, *arguments):
    """Call a function in a forked process; returns a function that waits for the result.

    Where a fork is not safe (with other threads, or not on Linux), that function makes the call.
    """
    call = functools.partial(function, *arguments)
    # Python does not count TensorFlow's threads.
    if sys.platform != "linux" or "tensorflow" in sys.modules or threading.active_count() > 1:
        return call
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    child = context.Process(target=_send, args=(sender, call), daemon=True)
    try:
        child.start()
    except OSError:  # no memory for it
        return call
    sender.close()  # so that the pipe ends with the child

    def result():
        with receiver:
            try:
                found = receiver.recv()
            except EOFError:  # the child failed or was killed; the call here raises its error
                found = call()
        child.join()
        return found

    return result


def _send(sender, call):
    for number in STOP_SIGNALS:  # end without a word; the parent reports the signal
        signal.signal(number, signal.SIG_DFL)
    # Close all other files: the lock of a run is to end with the parent, and so is the pipe.
    os.closerange(3, sender.fileno())
    os.closerange(sender.fileno() + 1, os.sysconf("SC_OPEN_MAX"))
    with contextlib.suppress(Exception):
        sender.send(call())
