"""Which files this project wrote: the only ones that it ever replaces or removes.

Each kind of file that a run leaves can be told from somebody else's file of the
same name by its content: the layout of a checkpoint, the columns of a history,
the checksums of an export, a text that PNG and GIF files carry unseen, the first line of a report.
"""

import json
import re
from pathlib import Path

from PIL import Image

from gan.drawing.images import SOFTWARE
from gan.metadata import METADATA, checksums

OPTIONS = {"dataset", "latent_dim", "base_channels", "gp_interval", "num_samples"}  # in config.json
SUMMARY = {"verdict", "metrics", "seconds", "command"}  # in summary.json
HISTORY = b"epoch,step,seconds,images_per_second,"  # how history.csv begins
REPORT = ('<!doctype html>\n<html lang="en">\n'
          '<meta name="generator" content="train_gan.py report">\n')  # how report.html begins
EVENTS = ".gan"  # how the names of event files end
EPOCH_PICTURE = re.compile(r"epoch_(\d{4,})(?:_step_(\d{9,}))?\.png")
CHECKPOINT = re.compile(r"step_\d{9,}\.npz|best\.npz")


def is_own_file(path):
    """Whether a file is one that this project wrote, by its name and its content.

    Args:
        path: an existing file.

    Returns:
        bool; an empty file counts as own, as nothing is lost with it.
    """
    path = Path(path)
    if path.is_symlink() or not path.is_file():  # or a folder, a FIFO, a device
        return False
    try:
        if path.stat().st_size == 0:
            return True
        if path.name == "config.json":
            return _has_keys(path, OPTIONS)
        if path.name == "summary.json":
            return _has_keys(path, SUMMARY)
        if path.suffix == ".html":
            return _starts_with(path, REPORT.encode())
        if path.name == "history.csv":
            return _starts_with(path, HISTORY)
        if CHECKPOINT.fullmatch(path.name):
            return is_archive(path)
        if path.suffix in (".png", ".gif"):
            return bears_mark(path)
        return path.name.endswith(EVENTS) and _is_events(path)
    except OSError:
        return False


def is_archive(path):
    """Whether a file begins as `write_archive` begins one, be it damaged further on."""
    with open(path, "rb") as file:
        start = file.read(64)
    return start.startswith(b"PK\x03\x04") and start[30:].startswith(b"about.json")


def bears_mark(path):
    """Whether a PNG or GIF file says that this project made it."""
    try:
        with Image.open(path, formats=["PNG", "GIF"]) as picture:
            said = picture.info.get("Software", picture.info.get("comment", ""))
    except Exception:  # every decoder has errors of its own
        return False
    return said in (SOFTWARE, SOFTWARE.encode())


def foreign_in_export(folder):
    """Return the first file in an export's folder that is not as exported, or None.

    Args:
        folder: an existing folder.
    """
    folder = Path(folder)
    metadata = folder / METADATA
    if metadata.exists() and not metadata.is_file():  # a FIFO would never end
        return metadata
    try:
        known = dict(json.loads(metadata.read_text())["sha256"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        if metadata.exists():
            return metadata
        known = {}
    return next((folder / name for name, checksum in checksums(folder).items()
                 if known.get(name) != checksum), None)


def _is_events(path):
    """Whether a file begins as TensorFlow begins its event files."""
    with open(path, "rb") as file:
        return b"brain.Event:" in file.read(64)


def _has_keys(path, names):
    try:
        content = json.loads(path.read_text())
    except (ValueError, RecursionError):
        return False
    return isinstance(content, dict) and content.keys() >= names


def _starts_with(path, start):
    with open(path, "rb") as file:
        return file.read(len(start)) == start
