"""Command-line parser, option types, and options declared as dataclass fields."""

import argparse
import ast
import contextlib
import dataclasses
import difflib
import importlib.util
import math
import os
import re
import sys
import textwrap
from pathlib import Path

from gan import __version__
from gan.common.errors import UserError

SIDES = range(16, 513)  # pixels, of images that networks can be built for
SHOWN = 60  # characters of a wrong value that its message repeats
MAX_RANGE, MAX_LISTED = 10**9, 10**7  # seeds
COLUMNS, INDENT = 80, 12  # of what a run prints


class OptionParser(argparse.ArgumentParser):
    """An `ArgumentParser` with one-line errors, where `--batch_size` is `--batch-size`."""

    def __init__(self, **settings):
        super().__init__(
            allow_abbrev=False,
            formatter_class=lambda prog: argparse.HelpFormatter(prog, max_help_position=28),
            **settings,
        )
        self.add_argument("--version", action="version", version=f"{self.prog} {__version__}",
                          help="show the version and exit")

    def parse_args(self, args=None, namespace=None):
        args = [_with_dashes(str(text)) for text in (sys.argv[1:] if args is None else args)]
        namespace, unknown = super().parse_known_args(args, namespace)
        if unknown:
            self.error(self._explain_unknown(unknown[0]))
        return namespace

    def _explain_unknown(self, text):
        name = text.split("=")[0]
        known = [key for key in self._option_string_actions if key.startswith("--")]
        close = difflib.get_close_matches(name, known, n=1, cutoff=0.75)
        hint = f"did you mean {close[0]}?" if close else "see --help"
        return f"unknown option: {name:.{SHOWN}} ({hint})"

    def error(self, message):
        raise UserError(re.sub(r"^argument (\S+?)(/\S+)?: ", r"\1: ", message))


def _with_dashes(text):
    """`--batch_size=8` → `--batch-size=8`; anything else stays as it is."""
    if not text.startswith("--"):
        return text
    name, equals, value = text.partition("=")
    return name.replace("_", "-") + equals + value


def say(heading, text):
    """Print text beside a heading, wrapped between words to 80 columns."""
    print(textwrap.fill(text, COLUMNS, initial_indent=f"{heading:{INDENT}}",
                        subsequent_indent=" " * INDENT, break_long_words=False,
                        break_on_hyphens=False), flush=True)


def say_parts(parts):
    """Print parts side by side, those beyond 80 columns on indented lines of their own."""
    text = "  ".join(part.replace(" ", "\0") for part in parts)  # not to be broken there
    print(textwrap.fill(text, COLUMNS, subsequent_indent=" " * INDENT, break_long_words=False,
                        break_on_hyphens=False).replace("\0", " "), flush=True)


def flag(name):
    """The option of a field: "gp_weight" → "--gp-weight"."""
    return "--" + name.replace("_", "-")


# Types of arguments: functions from the command line's text to the checked value.


def whole_number(minimum, maximum=2**63 - 1):
    """Return an argparse type for a whole number from `minimum` to `maximum`."""
    return _number(int, "a whole number", minimum, maximum)


def real_number(minimum, maximum=math.inf):
    """Return an argparse type for a finite number from `minimum` to `maximum`."""
    return _number(float, "a number", minimum, maximum)


def number_range(text):
    """An argparse type for "bits" or two numbers, the lower first: "0,4095"."""
    with contextlib.suppress(ValueError):
        low, high = (0, 1) if text == "bits" else map(float, text.split(","))
        if -math.inf < low < high < math.inf:
            return text
    raise _wrong("two numbers, the lower first, such as 0,4095", text)


def image_size(text):
    """An argparse type for a side, "64" → 64, or width x height, "64x48", which stays a text."""
    match = re.fullmatch(r"(\d{1,9})(?:x(\d{1,9}))?", text)
    width, height = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
    if width not in SIDES or height not in SIDES:
        raise _wrong(f"a side or WIDTHxHEIGHT from {SIDES[0]} to {SIDES[-1]}", text)
    return size_of((height, width))


def size_of(shape):
    """Return the image size of a shape (H, W, …), as `image_size` does."""
    height, width = shape[:2]
    return height if height == width else f"{width}x{height}"


def sides_of(size):
    """Return the width and the height of an image size: 64 → (64, 64), "64x48" → (64, 48)."""
    return tuple(map(int, size.split("x"))) if isinstance(size, str) else (size, size)


def shape_in_words(shape):
    """Return an image's shape (H, W, C) in words, the width first as in `--image-size`."""
    height, width, channels = shape
    return f"{width} x {height} x {channels}"


def _number(kind, name, minimum, maximum):
    bounded = maximum not in (math.inf, 2**63 - 1)
    expected = f"{name} from {minimum} to {maximum}" if bounded else f"{name} of at least {minimum}"

    def parse(text):
        try:
            value = kind(text)
        except (TypeError, ValueError):
            value = math.nan
        if not minimum <= value <= maximum or value == math.inf:
            raise _wrong(expected, text)
        return value

    return parse


def _wrong(expected, text, why=""):
    return argparse.ArgumentTypeError(f"expected {expected}, got: {text!r:.{SHOWN}}{why}")


def folder(text, kind="a folder"):
    """Argparse type for the name of a folder, in which `~` is the home folder."""
    path = os.path.expanduser(text)
    if not text or "\0" in text:
        raise _wrong(f"the name of {kind}", text)
    if text != text.encode(errors="replace").decode():
        raise _wrong(f"the name of {kind} in UTF-8", text)  # TensorFlow writes to no other
    if path.startswith("~"):  # of no user of this machine; a folder ~x is named ./~x
        raise _wrong(f"the name of {kind}", text, " (no such home folder)")
    return path


def file(text):
    """Argparse type for the name of a file, in which `~` is the home folder."""
    return folder(text, "a file")


def one_of(choices, kind=str):
    """Return an argparse type for one of some words (a tuple, or a function returning one)."""

    def parse(text):
        words = choices() if callable(choices) else choices
        if text not in words:
            raise _wrong(f"one of {', '.join(words)}", text)
        return kind(text)

    return parse


def registered(module, table):
    """Return the keys of a registry, such as LOSSES of gan.losses, without starting TensorFlow."""
    if loaded := sys.modules.get(module):  # entries may have been added
        return tuple(getattr(loaded, table))
    for node in ast.parse(Path(importlib.util.find_spec(module).origin).read_text()).body:
        if isinstance(node, ast.Assign) and node.targets[0].id == table:
            return tuple(map(ast.literal_eval, node.value.keys))
    raise LookupError(f"{module} has no {table}")


def seed_list(text):
    """Argparse type: "0,3,8-15" → the list of numbers; one range stays a `range`."""
    parts = []
    for part in text.split(","):
        match = re.fullmatch(r"(\d{1,18})(?:-(\d{1,18}))?", part.strip())
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if last < first or last - first >= MAX_RANGE:
            raise _wrong("numbers and ranges such as 0,3,8-15", text)
        parts.append(range(first, last + 1))
    if len(parts) == 1:
        return parts[0]
    if sum(map(len, parts)) > MAX_LISTED:
        raise argparse.ArgumentTypeError(f"expected at most {MAX_LISTED:,} seeds in a list")
    return [seed for part in parts for seed in part]


def device_name(text):
    """An argparse type for "auto", "cpu", "gpu" or "gpu:N"."""
    if not re.fullmatch(r"auto|cpu|gpu(:\d{1,3})?", text):
        raise _wrong("auto, cpu, gpu or gpu:N", text)
    return text


def device_count(text):
    """An argparse type for "auto" or a number of devices."""
    return text if text == "auto" else whole_number(1, 1024)(text)


# Options declared as fields of a dataclass.


def option(default, group, help, parse=str, *, metavar=None, fixed=False):
    """Declare one option: `default` is None or "auto" where a rule decides.

    Args:
        parse: function from the command line's text to the checked value; `bool`: a switch.
        fixed: whether a run keeps it for life: `--resume` refuses another value.
    """
    metadata = {"group": group, "help": help, "parse": parse, "metavar": metavar, "fixed": fixed}
    return dataclasses.field(default=default, metadata=metadata)


def choice(default, group, help, choices, **settings):
    """Declare an option that takes one of some words, see `one_of`."""
    return option(default, group, help, one_of(choices), metavar=choices, **settings)


def add_option(parser, field, default=""):
    """Add the option that a field declares to a parser; `default` in words: "default: 64"."""
    about = field.metadata
    words = about["help"] + (f" ({default})" if default else "")
    given = {"dest": field.name, "default": argparse.SUPPRESS, "help": words.replace("%", "%%")}
    if about["parse"] is bool:
        given |= {"action": "store_true"}
    else:
        metavar = about["metavar"] or {int: "N", float: "X"}.get(field.type)
        metavar = metavar() if callable(metavar) else metavar
        if isinstance(metavar, tuple):
            metavar = "{" + ",".join(metavar) + "}"
        given |= {"type": about["parse"], "metavar": metavar}
    parser.add_argument(flag(field.name), **given)


def check_value(field, value):
    """Raise `UserError` unless a command line can give a field this value."""
    parse = field.metadata["parse"]
    try:
        if type(value) is parse if parse in (bool, str) else parse(str(value)) == value:
            return
        wrong = f"expected {field.metadata['help']}, got: {value!r:.{SHOWN}}"
    except argparse.ArgumentTypeError as error:
        wrong = str(error)
    raise UserError(f"{field.name}: {wrong}")
