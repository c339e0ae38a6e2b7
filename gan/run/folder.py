"""Folder of a run: its paths, its lock, and the manifests of the files that it wrote."""

import contextlib
import dataclasses
import errno
import hashlib
import os
import re
import secrets
import shutil
import sys
from pathlib import Path

from gan.common.errors import UserError, describe_os_error
from gan.common.files import (
    make_folder,
    make_folders,
    open_own,
    remove_leftovers,
    write_json,
    write_text,
)
from gan.metadata import METADATA, foreign_in_export, run_of
from gan.run.checkpoint import BEST, list_checkpoints

try:
    import fcntl
except ImportError:  # Windows has no flock; two runs in one folder go unnoticed there
    fcntl = None

LOCK, MANIFEST = ".train_gan.lock", "manifest.txt"
FIRST_LINE = "# Run {} wrote these files, and replaces or deletes no others."
LINE = re.compile(r"(?:([0-9a-f]{64})  )?(.*)", re.DOTALL)  # as `sha256sum` writes it
EVENTS = ".gan"  # how the names of event files end
EPOCH_PICTURE = re.compile(r"epoch_(\d{4,})(?:_step_(\d{9,}))?\.png")


class RunFolder:
    """The paths below `--outdir`, and what may be done with them."""

    def __init__(self, outdir):
        """
        Args:
            outdir: the folder; it need not exist yet.
        """
        self.path = Path(outdir)
        self.images = self.path / "generated_images"
        self.real_samples = self.images / "real_samples.png"
        self.history = self.path / "history.csv"
        self.loss_curves = self.path / "loss_curves.png"
        self.report = self.path / "report.html"
        self.config = self.path / "config.json"
        self.summary = self.path / "summary.json"
        self.checkpoints = self.path / "checkpoints"
        self.best = self.checkpoints / BEST
        self.export = self.path / "exported_model"
        self.gif = self.path / "training.gif"
        self.tensorboard = self.path / "tensorboard"
        self._subfolders = self.images, self.checkpoints, self.tensorboard
        self._manifests = {}  # by folder
        self._own_links = set()  # links to folders that this run wrote to

    @property
    def run(self):
        """Random identifier of the run, which its manifests and its export hold."""
        root = self._manifest(self.path)
        root.run = root.run or secrets.token_hex(16)
        return root.run

    def lists(self, path):
        """Return whether a file of the run is in its manifest."""
        return self._manifest(path.parent).lists(path)

    def claim(self, path):
        """List a file of the run that is about to be written.

        Args:
            path: in the run's folder, or in that of its pictures, checkpoints or events.

        Returns:
            The path.

        Raises:
            UserError: when a file lies there that the run did not write.
        """
        folder, manifest = path.parent, self._manifest(path.parent)
        if not self._is_own(folder):
            raise in_the_way(folder)
        if os.path.lexists(path) and not manifest.lists(path):
            raise in_the_way(path)
        make_folders(folder)
        self._manifest(self.path).begin(self.run)
        manifest.begin(self.run)
        manifest.add(path.name)
        return path

    def own_files(self):
        """Return the existing files that the manifests list."""
        found = []
        for folder in (self.path, *self._subfolders):
            manifest = self._manifest(folder)
            if self._is_own(folder):
                found += [folder / name for name in manifest.names
                          if manifest.lists(folder / name)]
        return found

    def holds_run(self):
        """Return whether there is anything here that a run would be missed for.

        What is written before the first step is not: it can be written again.
        """
        begun = {self.config, self.report, self.real_samples, self.images / "epoch_0000.png",
                 self.checkpoints / "step_000000000.npz"}
        begun |= {*self._events(), *self.images.glob("epoch_0000_step_*.png")}
        return self._is_export() or any(path not in begun for path in self.own_files())

    def check(self):
        """Refuse a folder in which a run would get in the way of somebody else's files.

        Raises:
            UserError: naming the first unlisted file in the place of one that a run writes.
        """
        for path in self._subfolders:
            if os.path.lexists(path) and not path.is_dir():
                raise UserError(f"{path}: expected a folder or nothing, got a file or a broken "
                                "link; move it, or choose another --outdir")
        own = set(self.own_files())
        fresh = not own and not self._is_export()
        theirs = [path for path in self._candidates(everything=fresh) if path not in own]
        if os.path.lexists(self.export):
            theirs += [self.export] if not self.export.is_dir() else filter(
                None, [foreign_in_export(self.export)])
        theirs += [path for path in (*self._subfolders, self.export) if not self._is_own(path)]
        if theirs:
            raise in_the_way(theirs[0])
        for folder in {self.images, self.checkpoints, self.export.resolve().parent}:
            remove_leftovers(folder)

    def clear(self):
        """Delete the files that the manifests list, then the manifests; other files stay.

        Raises:
            UserError: naming what cannot be removed.
        """
        try:
            for path in self.own_files():
                path.unlink()
            if self._is_export() and self._is_own(self.export) and (
                    foreign_in_export(self.export) is None):
                target = self.export.resolve()
                shutil.rmtree(target)
                if self.export.is_symlink():  # a link stays one
                    target.mkdir()
            for folder in (*self._subfolders, self.path):
                if self._is_own(folder):
                    self._manifest(folder).delete()
        except OSError as error:
            raise UserError(f"--overwrite: cannot remove {error.filename}: "
                            f"{describe_os_error(error)}") from error

    def write_config(self, config, changes):
        """Write config.json.

        Args:
            config: `TrainConfig`.
            changes: list of dict, the options that were changed on resuming.
        """
        changed = {"changes": changes} if changes else {}
        write_json(self.claim(self.config), dataclasses.asdict(config) | changed)

    @contextlib.contextmanager
    def locked(self):
        """Create the folder and keep other runs out of it.

        The system frees the lock of a process that ended in any way. On network file
        systems it works where `flock` does; where it does not, a warning says so.

        Raises:
            UserError: when it cannot be written or another process runs here.
        """
        made = [path for path in (self.path, *self.path.parents) if not path.exists()]
        make_folder(self.path, "--outdir")
        lock = self._acquire()
        try:
            remove_leftovers(self.path)
            yield
        finally:
            with contextlib.suppress(UserError):  # the disk is full: the names will do
                self._manifest(self.path).seal()
            with contextlib.suppress(OSError):  # the folder may be gone or full
                (self.path / LOCK).unlink()
            os.close(lock)
            with contextlib.suppress(OSError):  # a folder that a run wrote to is not empty
                for path in made:
                    path.rmdir()

    def training_process(self):
        """Return the number of the process that says it trains here; None if none does."""
        try:
            lock = open_own(self.path / LOCK)
        except OSError:
            return None
        try:
            return int(_owner_in(lock) or 0) or None
        finally:
            os.close(lock)

    def _acquire(self):
        path = self.path / LOCK
        while True:
            try:
                lock = open_own(path, os.O_RDWR | os.O_CREAT)
            except OSError as error:
                if os.path.lexists(path):  # a link, a folder, another user's
                    raise in_the_way(path) from error
                raise UserError(f"cannot write {path}: {describe_os_error(error)}") from error
            owner = _owner_in(lock)
            if owner is None:
                os.close(lock)
                raise in_the_way(path)
            try:
                if fcntl:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
                    print(f"warning: {self.path} lies on a file system without locks; a second "
                          f"run there would go unnoticed ({describe_os_error(error)})",
                          file=sys.stderr)
                    return lock
                os.close(lock)
                raise UserError(
                    f"--outdir: expected a folder that no other run writes to, got: {self.path} "
                    f"(process {owner or 'unknown'} is training there)"
                ) from error
            # The former owner may have removed the file between the two calls.
            with contextlib.suppress(FileNotFoundError):
                if os.fstat(lock).st_ino == path.lstat().st_ino:
                    with contextlib.suppress(OSError):  # full: the lock holds without the number
                        os.ftruncate(lock, 0)
                        os.pwrite(lock, str(os.getpid()).encode(), 0)
                    return lock
            os.close(lock)

    def _is_own(self, folder):
        """Whether a folder of the run is no link, or one to a folder that this run wrote to."""
        if folder == self.path or not folder.is_symlink():
            return True
        if folder not in self._own_links:
            target = folder.resolve()
            run = run_of(folder) if folder == self.export else self._manifest(folder).run
            # A copy of a run has its identifier, and must not reach into the original.
            if not run or run != self._manifest(self.path).run or any(
                    (place / self.config.name).exists() for place in (target, target.parent)):
                return False
            self._own_links.add(folder)
        return True

    def _manifest(self, folder):
        if folder not in self._manifests:
            self._manifests[folder] = Manifest(folder)
        return self._manifests[folder]

    def _is_export(self):
        return (self.export / METADATA).is_file()

    def _events(self):
        return [path for path in self.tensorboard.glob("*") if path.name.endswith(EVENTS)]

    def _candidates(self, everything):
        """Return existing paths with the names of a run's files.

        Args:
            everything: also other files in the folders that are a run's alone.
        """
        pictures = [path for path in sorted(self.images.glob("epoch_*.png"))
                    if everything or EPOCH_PICTURE.fullmatch(path.name)]
        names = [self.config, self.summary, self.history, self.loss_curves, self.report,
                 *pictures, self.real_samples, *list_checkpoints(self.checkpoints), self.best,
                 *self._events()]
        if everything:
            names += [path for folder in (self.checkpoints, self.tensorboard)
                      for path in sorted(folder.glob("*"))
                      if not path.name.startswith(".") and path.name != MANIFEST]
        return [path for path in names if os.path.lexists(path)]


class Manifest:
    """Names of the files that a run wrote into one folder, with checksums once it has ended.

    A manifest covers its own folder only: it moves with the folder, and a name in it that
    leads elsewhere is ignored, whoever put it there.

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
        try:
            with open(open_own(self.path), "rb") as file:
                first, *lines = os.fsdecode(file.read()).splitlines(keepends=True) or [""]
        except FileNotFoundError:
            return
        except OSError as error:
            raise in_the_way(self.path) from error
        match = re.fullmatch(FIRST_LINE.format(r"([0-9a-f]{32})") + "\n", first)
        if match is None:
            raise in_the_way(self.path)
        self.run = match[1]
        for line in lines:
            checksum, name = LINE.fullmatch(line.rstrip("\n")).groups()
            # The last line has no end if the process was killed while writing it.
            if _is_plain(name) and line.endswith("\n"):
                self.names[name] = checksum

    def lists(self, path):
        """Return whether a path is a listed file, unchanged since, and no link."""
        if path.name not in self.names or not path.is_file() or path.is_symlink():
            return False
        return self.names[path.name] in (None, _checksum(path))

    def begin(self, run):
        """Write the manifest if there is none yet, for the run of this identifier."""
        if not os.path.lexists(self.path):
            self.run = run
            write_text(self.path, "\n".join([FIRST_LINE.format(run), *self.names]) + "\n")

    def add(self, name):
        """List a file that is about to be written, by its name without the folder."""
        if _is_plain(name) and self.names.get(name, "") is not None:
            self._append(name)
            self.names[name] = None
            self._added.add(name)

    def seal(self):
        """Add the checksums of the files that this process has written."""
        for name in sorted(self._added):
            path = self.path.with_name(name)
            if self.lists(path):
                self.names[name] = _checksum(path)
                self._append(f"{self.names[name]}  {name}")
        self._added.clear()

    def delete(self):
        """Delete the manifest; the run keeps its identifier for the next one."""
        self.path.unlink(missing_ok=True)
        self.names = {}
        self._added.clear()

    def _append(self, line):
        try:
            with open(open_own(self.path, os.O_RDWR | os.O_APPEND), "r+b", buffering=0) as file:
                content = file.read()
                file.truncate(content.rfind(b"\n") + 1)  # without the start of a line
                file.write(os.fsencode(line) + b"\n")
                os.fsync(file.fileno())
        except OSError as error:
            raise UserError(f"cannot write {self.path}: {describe_os_error(error)}") from error


@contextlib.contextmanager
def claimed(path):
    """List a file that another command writes in a `with` block, if its folder is a run's."""
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
    with contextlib.suppress(UserError):
        return Manifest(Path(path).parent).lists(Path(path))
    return False


def in_the_way(path):
    """Return the `UserError` for a path that a run needs and no manifest lists."""
    return UserError(f"{path}: train_gan.py did not write this and would get in its way; move it, "
                     "or choose another --outdir")


def _is_plain(name):
    """Whether a name stays in its folder and on its line."""
    return (name not in (".", "..", MANIFEST) and os.path.basename(name) == name
            and name.splitlines() == [name] and "\0" not in name)


def _checksum(path):
    """Return the SHA-256 of a file; "" if it cannot be read."""
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""


def _owner_in(lock):
    """Return the process number in an open lock, "" in an empty one, None if it is no lock."""
    if os.fstat(lock).st_nlink > 1:  # it has another name elsewhere
        return None
    owner = os.read(lock, 32)
    return owner.decode() if owner.isdigit() or not owner else None
