"""Command-line parsing that the scripts share: plain errors, checked numbers."""

import argparse
import dataclasses
import difflib
import math
import os
import re
import sys

from gan import __version__
from gan.common.errors import UserError

SIDES = range(16, 257)  # pixels, of images that networks can be built for


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
        self.add_argument("--version", action="version", version=f"{self.prog} {__version__}",
                          help="show the version and exit")

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


def folder(text):
    """Argparse type for the name of a folder, in which `~` is the home folder."""
    return _path(text, "a folder")


def file(text):
    """Argparse type for the name of a file, in which `~` is the home folder."""
    return _path(text, "a file")


def _path(text, kind):
    path = os.path.expanduser(text)
    if not text or "\0" in text:
        raise argparse.ArgumentTypeError(f"expected the name of {kind}, got: {text!r}")
    if path.startswith("~"):  # of no user of this machine; a folder ~x is named ./~x
        raise argparse.ArgumentTypeError(
            f"expected the name of {kind}, got: {text!r} (no such home folder)")
    return path


def one_of(choices, kind=str):
    """Return an argparse type for one of the given words, turned into a `kind`."""

    def parse(text):
        if text not in choices:
            raise argparse.ArgumentTypeError(
                f"expected one of {', '.join(choices)}, got: {text!r}"
            )
        return kind(text)

    return parse


def picture_side(text):
    """An argparse type for the side of square pictures in pixels."""
    return whole_number(SIDES[0], SIDES[-1])(text)


def device_name(text):
    """An argparse type for "auto", "cpu", "gpu" or "gpu:N"."""
    if not re.fullmatch(r"auto|cpu|gpu(:\d{1,3})?", text):
        raise argparse.ArgumentTypeError(f"expected auto, cpu, gpu or gpu:N, got: {text!r}")
    return text


def device_count(text):
    """An argparse type for "auto" or a number of devices."""
    return text if text == "auto" else whole_number(1, 1024)(text)


def picture_interval(text):
    """An argparse type for "auto", a number of epochs, or a number of steps such as "500s"."""
    if text == "auto":
        return text
    if not re.fullmatch(r"0*[1-9]\d{0,6}s?", text):
        raise argparse.ArgumentTypeError("expected auto, a number of epochs such as 5, or of steps "
                                         f"such as 500s, got: {text!r}")
    number = int(text.removesuffix("s"))
    return f"{number}s" if text.endswith("s") else number


def option(default, group, help, parse=str, *, metavar=None, fixed=False, points=None,
           filled=False):
    """Declare one option.

    Args:
        default: its value when not given; None means "decided by others".
        points: its value when not given and the data are simulated points, if
            another.
        group: name of its heading in `--help`.
        help: what it does, with its unit.
        parse: function from the command line's text to the checked value;
            `bool` makes a switch.
        metavar: the placeholder in `--help`.
        fixed: whether a run keeps it for life: `--resume` refuses another value.
        filled: whether a run always has a value, even if none was given.
    """
    metadata = {"group": group, "help": help, "parse": parse, "metavar": metavar, "fixed": fixed,
                "points": points, "filled": filled}
    return dataclasses.field(default=default, metadata=metadata)


def choice(default, group, help, choices, **settings):
    """Declare an option that takes one of a few words."""
    return option(
        default, group, help, one_of(choices), metavar="{" + ",".join(choices) + "}", **settings
    )


def parser_of(kind, groups, **settings):
    """Return the `OptionParser` of a dataclass whose fields are `option`s.

    Options that are not given stay out of what it parses, so that a resumed run
    can tell them from those that were given their default.

    Args:
        kind: the dataclass.
        groups: dict of group → what its options decide.
        **settings: of `OptionParser`.
    """
    parser = OptionParser(**settings)
    headings = {name: parser.add_argument_group(f"{name}: {groups[name]}") for name in groups}
    for field in dataclasses.fields(kind):
        add_option(headings[field.metadata["group"]], field)
    return parser


def add_option(parser, field):
    """Add the option that a field declares to a parser or a group of one.

    What is not given stays out of what is parsed.
    """
    about = field.metadata
    given = {"dest": field.name, "default": argparse.SUPPRESS,
             "help": about["help"].replace("%", "%%") + _defaults(field)}
    if about["parse"] is bool:
        given |= {"action": "store_true"}
    else:
        given |= {"type": about["parse"], "metavar": about["metavar"]}
    parser.add_argument("--" + field.name.replace("_", "-"), **given)


def _defaults(field):
    """The default in words, such as " (default: 64; points: 256)"."""
    if field.default is None or field.default is False:
        return ""
    words = [f"{value:g}" if isinstance(value, float) else str(value)
             for value in (field.default, field.metadata["points"]) if value is not None]
    return f" (default: {'; points: '.join(words)})"


def check_saved(kind, saved):
    """Check options that were read from a file like those of a command line.

    Args:
        kind: the dataclass whose fields are `option`s.
        saved: dict of name → value, read from a checkpoint.

    Returns:
        dict of every name → value; what an earlier version did not have is at
        its default, which stands for what that version did.

    Raises:
        UserError: for an option that no command line could have given.
    """
    fields = {field.name: field for field in dataclasses.fields(kind)}
    for name, value in sorted(saved.items()):
        if name not in fields:
            raise UserError(f"--resume: the checkpoint has an unknown option {name}")
        if not _could_be(fields[name], value):
            raise UserError(f"--resume: the checkpoint has no usable {name}, got: {value!r:.60}")
    return {name: saved.get(name, field.default) for name, field in fields.items()}


def _could_be(field, value):
    parse = field.metadata["parse"]
    if parse in (bool, str):
        return type(value) is parse
    if value is None:
        return field.default is None and not field.metadata["filled"]
    try:
        return type(value) in (str, int, float) and parse(str(value)) == value
    except argparse.ArgumentTypeError:
        return False
