"""Manifest of a folder: the files that a run wrote there, each listed before it is written."""

import contextlib
import hashlib
import os
import re
import secrets
from pathlib import Path

from gan.common.errors import UserError, describe_os_error
from gan.common.files import open_own, write_text

MANIFEST = "manifest.txt"
FIRST_LINE = "# Run {} wrote these files, and replaces or deletes no others.\n"
LINE = re.compile(r"(?:([0-9a-f]{64})  )?(.*)", re.DOTALL)  # as `sha256sum` writes them
PATTERN = re.compile(FIRST_LINE.format("([0-9a-f]{32})").replace(".", r"\.").rstrip())


def in_the_way(path):
    """Return the `UserError` for a path that a run needs and no manifest lists."""
    return UserError(f"{path}: train_gan.py did not write this and would get in its way; move it, "
                     "or choose another --outdir")


class Manifest:
    """Names of the files that a run wrote into one folder, with checksums once it has ended.

    A manifest speaks for its own folder only: it moves with the folder, and a name
    in it that leads elsewhere is ignored, whoever put it there.

    Attributes:
        path: of the manifest.
        run: random identifier of the run; "" while there is no manifest.
        names: dict of name → SHA-256, or None for a file that is being written.
    """

    def __init__(self, folder):
        """Read the manifest in a folder.

        Raises:
            UserError: when a file of that name is no manifest, or a link.
        """
        self.path = Path(folder) / MANIFEST
        self.run, self.names, self._added = "", {}, set()
        lines = self._read().splitlines(keepends=True)
        if lines:
            match = PATTERN.fullmatch(lines[0].rstrip("\n"))
            if match is None:
                raise in_the_way(self.path)
            self.run = match[1]
        for line in lines[1:]:
            checksum, name = LINE.fullmatch(line.rstrip("\n")).groups()
            # The last line has no end if the process was killed while it wrote it.
            if _is_plain(name) and line.endswith("\n"):
                self.names[name] = checksum

    def lists(self, path):
        """Return whether a path is that of a listed file, unchanged since, and no link."""
        if path.name not in self.names or not path.is_file() or path.is_symlink():
            return False
        return self.names[path.name] in (None, checksum_of(path))

    def begin(self, run):
        """Write the manifest if there is none yet: it belongs to the run of this identifier."""
        if not os.path.lexists(self.path):
            write_text(self.path, FIRST_LINE.format(run))
            self.run = run

    def add(self, name):
        """List a file that is about to be written; its name is given without the folder."""
        if _is_plain(name) and self.names.get(name, "") is not None:
            self._append(name)
            self.names[name] = None
            self._added.add(name)

    def seal(self):
        """Add the checksums of the files that this process has written."""
        for name in sorted(self._added):
            path = self.path.with_name(name)
            if self.lists(path):
                self.names[name] = checksum_of(path)
                self._append(f"{self.names[name]}  {name}")
        self._added.clear()

    def _append(self, line):
        try:
            with open(open_own(self.path, os.O_RDWR | os.O_APPEND), "r+b", buffering=0) as file:
                content = file.read()
                file.truncate(content.rfind(b"\n") + 1)  # see `__init__`
                file.write(os.fsencode(line) + b"\n")
                os.fsync(file.fileno())
        except OSError as error:
            raise UserError(f"cannot write {self.path}: {describe_os_error(error)}") from error

    def delete(self):
        """Delete the manifest; the run keeps its identifier for the next one."""
        self.path.unlink(missing_ok=True)
        self.names = {}
        self._added.clear()

    def _read(self):
        try:
            with open(open_own(self.path), "rb") as file:
                return os.fsdecode(file.read())
        except FileNotFoundError:
            return ""
        except OSError as error:
            raise in_the_way(self.path) from error


def new_run():
    """Return a random identifier, which nobody else can put into a manifest beforehand."""
    return secrets.token_hex(16)


def checksum_of(path):
    """Return the SHA-256 of a file; "" if it cannot be read."""
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""


@contextlib.contextmanager
def claimed(path):
    """List a file that another command writes within a `with` block, if its folder is a run's.

    Args:
        path: the file.
    """
    manifest = None
    with contextlib.suppress(UserError):  # somebody else's manifest.txt
        manifest = Manifest(Path(path).parent)
    if not manifest or not manifest.run:
        yield
        return
    manifest.add(Path(path).name)
    yield
    manifest.seal()


def is_listed(path):
    """Return whether the manifest beside a file lists it."""
    path = Path(path)
    with contextlib.suppress(UserError):
        return Manifest(path.parent).lists(path)
    return False


def _is_plain(name):
    """Whether a name stays in its folder and on its line."""
    return (name not in (".", "..", MANIFEST) and os.path.basename(name) == name
            and name.splitlines() == [name] and "\0" not in name)
