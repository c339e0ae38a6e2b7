"""Errors that a user can mend, and how a script reports them."""

import signal
import sys

EXIT_WRONG_INPUT = 2


class UserError(Exception):
    """Wrong input or an environment that cannot serve it.

    The message is one line: what is wrong, what was expected, what arrived.
    """


def run_script(name, main):
    """Run `main()` and turn its outcome into an exit code.

    A `UserError` becomes one line on standard error and exit code 2; an
    interrupt before anything was started, exit code 130. Every other exception
    is a defect of this project and keeps its traceback.

    Args:
        name: the script's name, written before the message.
        main: a function of no arguments that returns an exit code or None.
    """
    try:
        code = main()
        sys.stdout.flush()
    except UserError as error:
        message = " ".join(str(error).split())
        print(f"{name}: error: {message}", file=sys.stderr)
        code = EXIT_WRONG_INPUT
    except KeyboardInterrupt:
        print(f"{name}: interrupted", file=sys.stderr)
        code = 128 + signal.SIGINT
    except BrokenPipeError:  # the reader left, as in `generate.py | head`
        sys.stderr.close()
        code = 128 + signal.SIGPIPE
    raise SystemExit(code)


def describe_os_error(error):
    """Return the reason of an `OSError` in words: "No space left on device"."""
    return error.strerror or str(error) or type(error).__name__
