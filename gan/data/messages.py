"""Lines that reading data prints, safe for a terminal whatever a file is called."""

import sys

from gan.common.errors import printable

LISTED = 5  # files that a message names


def note(text):
    """Print one line of information to standard output."""
    print(f"note: {one_line(text)}")


def warn(text):
    """Print one line of warning to standard error."""
    print(f"warning: {one_line(text)}", file=sys.stderr)


def one_line(text):
    """Return `text` on one line, with control characters and broken names escaped."""
    return printable(" ".join(str(text).split()))


def listed(names, separator=", "):
    """Return the first five of a list of names: "a, b, c, d, e and 3 more"."""
    shown, more = separator.join(map(str, names[:LISTED])), len(names) - LISTED
    return f"{shown} and {more} more" if more > 0 else shown


def counted(number, noun):
    """Return a number with its noun, such as "1 cluster" and "2 clusters"."""
    return f"{number:,} {noun}{'s' * (number != 1)}"
