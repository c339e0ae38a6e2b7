"""User errors, the start and end of every command, and lines printed safely."""

import contextlib
import errno
import os
import signal
import sys
import threading

EXIT_SIGNAL = 128  # plus the signal's number, as in a shell
STOP_SIGNALS = signal.SIGINT, signal.SIGTERM, signal.SIGHUP
_abrupt = []  # not empty: see `leave_abruptly`


class UserError(Exception):
    """Wrong input or environment; the message says what was expected and what arrived."""

    exit_code = 2  # of the command


def exit_on_interrupt(name):
    """Let Ctrl-C end a script in one line while it imports its modules."""
    # NumPy would report the KeyboardInterrupt as a broken installation.
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, lambda number, _: _leave_at_once(name, number))


def run_script(name, main):
    """Run `main()` and exit with what it returns: 2 after a `UserError`, in one line.

    The first SIGINT, SIGTERM or SIGHUP raises KeyboardInterrupt, so that temporary files are
    removed, and becomes 128 plus its number; the second ends the process at once.
    """
    _prepare_streams()
    received = []

    def stop(number, _frame):
        if received:
            _leave_at_once(name, number)
        received.append(number)
        # An object whose creation is interrupted may fail to be destroyed; keep quiet about it.
        sys.unraisablehook = lambda _: None
        raise KeyboardInterrupt

    with stop_signals_to(stop):
        code = _outcome(name, main, received)
    if _abrupt:
        os._exit(code or 0)
    raise SystemExit(code)


@contextlib.contextmanager
def stop_signals_to(handler):
    """Let a function handle the stop signals within a `with` block of the main thread."""
    # Python lets no other thread handle them; a program started with nohup keeps ignoring SIGHUP.
    in_main = threading.current_thread() is threading.main_thread()
    former = {number: signal.signal(number, handler) for number in STOP_SIGNALS
              if in_main and signal.getsignal(number) is not signal.SIG_IGN}
    try:
        yield
    finally:
        for number, before in former.items():
            signal.signal(number, before)


def leave_abruptly():
    """Let `run_script` end the process without the cleanup of libraries, which may hang."""
    _abrupt.append(True)


def _outcome(name, main, received):
    try:
        try:
            code = main()
        except SystemExit as done:  # --help, --version
            code = done.code
        sys.stdout.flush()
        return code
    except BrokenPipeError:  # the reader left, as in `generate.py | head`
        _discard_output()
        return EXIT_SIGNAL + signal.SIGPIPE
    except BaseException as error:
        # A library may have turned the KeyboardInterrupt of a signal into another error.
        if received or isinstance(error, KeyboardInterrupt):
            _complain(f"{name}: interrupted")
            return EXIT_SIGNAL + (received[0] if received else signal.SIGINT)
        error = _translated(error)
        if not isinstance(error, UserError):
            raise
        _complain(f"{name}: error: {one_line(error)}")
        return error.exit_code


def _translated(error):
    """Return a `UserError` for a full disk or memory, else the error itself."""
    text, number = str(error), getattr(error, "errno", None)
    # An error that names a file is a `UserError` by now.
    if number in (errno.ENOSPC, errno.EIO) and error.filename is None:
        _discard_output()
        return UserError(f"cannot write to standard output: {describe_os_error(error)}")
    if number == errno.ENAMETOOLONG:
        return UserError(f"{error.filename}: {describe_os_error(error)}")
    if isinstance(error, MemoryError) or type(error).__name__ == "ResourceExhaustedError" or (
            number == errno.ENOMEM or "can't start new thread" in text
            or "failed to map segment" in text):
        return UserError(f"expected more memory than this process may use ({text:.200})")
    return error


def _complain(text):
    try:
        print(text, file=sys.stderr, flush=True)
    except OSError:  # nobody can read it; the exit code remains
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115


def _leave_at_once(name, number):
    try:
        os.write(2, f"{name}: interrupted\n".encode())
    finally:
        os._exit(EXIT_SIGNAL + number)


def _prepare_streams():
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by the caller
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115
        with contextlib.suppress(AttributeError, OSError):  # replaced by a test, or unread
            getattr(sys, name).reconfigure(errors="backslashreplace")  # é in an ASCII terminal


def _discard_output():
    # Python flushes once more at its end, and would complain once more.
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), sys.stdout.fileno())


@contextlib.contextmanager
def reading(path, what):
    """Turn whatever a damaged file causes in a `with` block into a `UserError`.

    `what` it should be is named, such as "the summary of a run".
    """
    try:
        yield
    except (UserError, MemoryError):
        raise
    except OSError as error:
        raise UserError(f"cannot read {path}: {describe_os_error(error)}") from error
    except Exception as error:
        reason = f"{type(error).__name__}: {error!s:.200}"
        raise UserError(f"{path}: expected {what}, got a damaged file ({reason})") from error


def describe_os_error(error):
    """Return the reason of an `OSError` in words: "No space left on device"."""
    return error.strerror or str(error) or type(error).__name__


# Lines that are printed.


def printable(text):
    """Return text with control characters, which a terminal obeys, as escapes: `\\x1b`."""
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode()
        for letter in str(text))


def note(text):
    """Print one line of information to standard output."""
    print(f"note: {one_line(text)}")


def warn(text):
    """Print one line of warning to standard error."""
    print(f"warning: {one_line(text)}", file=sys.stderr)


def one_line(text):
    """Return `text` on one line, with control characters escaped."""
    return printable(" ".join(str(text).split()))


def listed(names, separator=", ", most=5):
    """Return the first names of a list: "a, b, c, d, e and 3 more"."""
    shown, more = separator.join(map(str, names[:most])), len(names) - most
    return f"{shown} and {more} more" if more > 0 else shown


def counted(number, noun):
    """Return a number with its noun, such as "1 cluster" and "2 clusters"."""
    return f"{number:,} {noun}{'s' * (number != 1)}"


def duration(seconds):
    """Return a time such as "8.2 s", "2 min 5 s" or "3 h 12 min"."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"
