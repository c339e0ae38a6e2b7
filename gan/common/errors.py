"""Errors that a user can mend, and how a script begins and ends.

Only what every Python process holds anyway is imported here: this is the first
module that a script imports, and answers Ctrl-C while the others are loaded.
"""

import contextlib
import errno
import os
import signal
import sys

EXIT_WRONG_INPUT = 2
EXIT_SIGNAL = 128  # plus the signal's number, as shells count
BROKEN_PIPE = 13  # SIGPIPE, which Windows lacks
STOP_SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)


_abrupt = []  # not empty: see `leave_abruptly`


class UserError(Exception):
    """Wrong input or an environment that cannot serve it.

    The message is one line: what is wrong, what was expected, what arrived.

    Attributes:
        exit_code: of a script that ends with it.
    """

    exit_code = EXIT_WRONG_INPUT


def exit_on_interrupt(name):
    """Let Ctrl-C end the process in one line while a script imports its modules.

    A KeyboardInterrupt leaves a half-finished import as some other error; NumPy
    takes it for a bad installation. Nothing is open yet that must be closed.

    Args:
        name: the script's name, written before the message.
    """
    def leave(number, _frame):
        _leave_at_once(name, number)

    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, leave)


def run_script(name, main):
    """Run `main()` and turn its outcome into an exit code.

    A `UserError` becomes one line on standard error and its exit code, 2. The first
    SIGINT, SIGTERM or SIGHUP raises KeyboardInterrupt, so that temporary files
    are removed, and becomes exit code 128 plus its number; the second ends the
    process at once. Every other exception is a defect of this project and keeps
    its traceback.

    Args:
        name: the script's name, written before the message.
        main: a function of no arguments that returns an exit code or None.
    """
    _prepare_streams()
    received, former = [], {}

    def stop(number, _frame):
        if received:
            _leave_at_once(name, number)
        received.append(number)
        # An object whose making is interrupted may fail to be destroyed: not worth a word.
        sys.unraisablehook = lambda _: None
        raise KeyboardInterrupt

    for number in STOP_SIGNALS:
        # A program started with nohup keeps ignoring SIGHUP.
        if signal.getsignal(number) is not signal.SIG_IGN:
            former[number] = signal.signal(number, stop)
    try:
        code = _outcome(name, main, received)
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
    if _abrupt:
        os._exit(code or 0)
    raise SystemExit(code)


def leave_abruptly():
    """Let `run_script` end the process without what libraries do at the end of one."""
    _abrupt.append(True)


def _outcome(name, main, received):
    """Return the exit code of `main`, after one line for what went wrong."""
    try:
        try:
            code = main()
        except SystemExit as done:  # --help, --version
            code = done.code
        _flush_output()
        return code
    except BrokenPipeError:  # the reader left, as in `generate.py | head`
        _discard_output()
        return EXIT_SIGNAL + BROKEN_PIPE
    except BaseException as error:
        # Whatever a signal's KeyboardInterrupt was turned into on its way here.
        if received or isinstance(error, KeyboardInterrupt):
            _complain(f"{name}: interrupted")
            return EXIT_SIGNAL + (received[0] if received else signal.SIGINT)
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EIO) and (
                error.filename is None):  # of a file it is a UserError by now
            _discard_output()
            error = UserError(f"cannot write to standard output: {describe_os_error(error)}")
        if _is_out_of_memory(error):
            error = UserError(f"expected more memory than this process may use ({error!s:.200})")
        if not isinstance(error, UserError):
            raise
        message = printable(" ".join(str(error).split()))
        _complain(f"{name}: error: {message}")
        return error.exit_code


@contextlib.contextmanager
def reading(path, what):
    """Turn whatever the content of a file of this program can cause into a `UserError`.

    Our own files may be damaged or written by somebody else. Whoever uses their
    content within this block needs no checks beyond those that give wrong results.

    Args:
        path: the file, named in the message.
        what: it should be, such as "the summary of a run".
    """
    try:
        yield
    except UserError:
        raise
    except OSError as error:
        raise UserError(f"cannot read {path}: {describe_os_error(error)}") from error
    except Exception as error:
        reason = f"{type(error).__name__}: {error!s:.200}"
        raise UserError(f"{path}: expected {what}, got a damaged file ({reason})") from error


def printable(text):
    """Return text that does nothing to a terminal but show.

    Control characters, and bytes of a file name that are no text, become
    escapes such as `\\x1b`.

    Args:
        text: anything that `str` takes, such as a path.
    """
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode()
        for letter in str(text)
    )


def _is_out_of_memory(error):
    """Whether Python, TensorFlow, a thread or a library asked for memory in vain."""
    return (isinstance(error, MemoryError) or type(error).__name__ == "ResourceExhaustedError"
            or "can't start new thread" in str(error) or "failed to map segment" in str(error)
            or (isinstance(error, OSError) and error.errno == errno.ENOMEM))


def describe_os_error(error):
    """Return the reason of an `OSError` in words: "No space left on device"."""
    return error.strerror or str(error) or type(error).__name__


def _complain(text):
    try:
        print(text, file=sys.stderr, flush=True)
    except OSError:  # nobody can read it; the exit code stays
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115


def _leave_at_once(name, number):
    try:
        os.write(2, f"{name}: interrupted\n".encode())
    finally:
        os._exit(EXIT_SIGNAL + number)


def _prepare_streams():
    """Make the standard streams take whatever is printed."""
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by the caller, as with `>&-`
            # This takes its number too, which the next opened file would get,
            # and with it what TensorFlow's C++ parts print.
            setattr(sys, name, open(os.devnull, "r" if name == "stdin" else "w"))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.reconfigure(errors="backslashreplace")  # é in an ASCII terminal
        except (AttributeError, OSError):  # replaced by a test, or a pipe that nobody reads
            continue


def _flush_output():
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        _discard_output()
        raise UserError(f"cannot write to standard output: {describe_os_error(error)}") from error


def _discard_output():
    # Python flushes once more at its end, and would complain once more.
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
