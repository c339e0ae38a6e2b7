"""Command-line parsing that the scripts share: plain errors, checked numbers."""

import argparse
import difflib
import math
import re
import sys

from gan.errors import UserError


class OptionParser(argparse.ArgumentParser):
    """An `ArgumentParser` whose errors are one line and whose options may be
    spelled with underscores (`--batch_size` is `--batch-size`)."""

    def __init__(self, **settings):
        super().__init__(
            allow_abbrev=False,
            formatter_class=lambda prog: argparse.HelpFormatter(
                prog, max_help_position=34, width=100
            ),
            **settings,
        )

    def parse_args(self, args=None, namespace=None):
        """Parse `args` (default: the process's); an error is a `UserError`."""
        args = [_with_dashes(text) for text in (sys.argv[1:] if args is None else args)]
        namespace, unknown = super().parse_known_args(args, namespace)
        if unknown:
            self.error(self._explain_unknown(unknown[0]))
        return namespace

    def _explain_unknown(self, text):
        name = text.split("=")[0]
        known = [key for key in self._option_string_actions if key.startswith("--")]
        close = difflib.get_close_matches(name, known, n=1, cutoff=0.75)
        hint = f"did you mean {close[0]}?" if close else "see --help"
        return f"unknown option: {name} ({hint})"

    def error(self, message):
        raise UserError(re.sub(r"^argument (\S+?)(/\S+)?: ", r"\1: ", message))


def _with_dashes(text):
    """`--batch_size=8` → `--batch-size=8`; anything else stays as it is."""
    if not text.startswith("--"):
        return text
    name, equals, value = text.partition("=")
    return name.replace("_", "-") + equals + value


def whole_number(minimum, maximum=2**63 - 1):
    """Return an argparse type for a whole number from `minimum` to `maximum`."""
    return _number(int, "a whole number", minimum, maximum)


def real_number(minimum, maximum=math.inf):
    """Return an argparse type for a finite number from `minimum` to `maximum`."""
    return _number(float, "a number", minimum, maximum)


def _number(kind, name, minimum, maximum):
    bounded = maximum not in (math.inf, 2**63 - 1)
    expected = f"{name} from {minimum} to {maximum}" if bounded else f"{name} of at least {minimum}"

    def parse(text):
        try:
            value = kind(text)
        except (TypeError, ValueError):
            value = math.nan
        if not (math.isfinite(value) and minimum <= value <= maximum):
            raise argparse.ArgumentTypeError(f"expected {expected}, got: {text!r}")
        return value

    return parse


def one_of(choices):
    """Return an argparse type for one of the given words."""

    def parse(text):
        if text not in choices:
            raise argparse.ArgumentTypeError(
                f"expected one of {', '.join(choices)}, got: {text!r}"
            )
        return text

    return parse
