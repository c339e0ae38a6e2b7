"""Functions called in a process of their own, beside other work."""

import contextlib
import functools
import multiprocessing
import os
import signal
import sys
import threading

from gan.common.errors import STOP_SIGNALS


def begin(function, *arguments):
    """Call a function in a copy of this process; returns a function that waits for the result.

    Where copies are not safe (beside threads, or not on Linux), that function calls it.
    """
    call = functools.partial(function, *arguments)
    # TensorFlow's threads are not among those that Python knows.
    if sys.platform != "linux" or "tensorflow" in sys.modules or threading.active_count() > 1:
        return call
    copies = multiprocessing.get_context("fork")
    receiver, sender = copies.Pipe(duplex=False)
    copy = copies.Process(target=_send, args=(sender, call), daemon=True)
    try:
        copy.start()
    except OSError:  # no memory for it
        return call
    sender.close()  # so that the end of the copy is the end of the pipe

    def result():
        with receiver:
            try:
                found = receiver.recv()
            except EOFError:  # it failed or was killed; the call here raises what it raised
                found = call()
        copy.join()
        return found

    return result


def _send(sender, call):
    for number in STOP_SIGNALS:  # end at once; the process that waits says that it was stopped
        signal.signal(number, signal.SIG_DFL)
    # Close all other files: the lock of a run must be free as soon as its process has ended, and
    # nothing may wait for a reader that is gone.
    os.closerange(3, sender.fileno())
    os.closerange(sender.fileno() + 1, os.sysconf("SC_OPEN_MAX"))
    with contextlib.suppress(Exception):
        sender.send(call())
