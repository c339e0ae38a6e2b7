"""Where a run writes, and that no two runs write there at once."""

import contextlib
import dataclasses
import errno
import json
import os
import shutil
import stat
import sys
from pathlib import Path

from gan.common.errors import UserError, describe_os_error
from gan.common.files import NO_WAIT, make_folder, write_text
from gan.common.leftovers import finish_replacements
from gan.drawing.images import read_png, write_png
from gan.metadata import METADATA
from gan.run.checkpoint import BEST, list_checkpoints
from gan.run.ownership import EPOCH_PICTURE, EVENTS, foreign_in_export, is_own_file

try:
    import fcntl
except ImportError:  # Windows has no flock; two runs in one folder go unnoticed there
    fcntl = None

LOCK = ".train_gan.lock"
NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)  # a link may lead to somebody else's file


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

    def own_files(self):
        """Return the existing files that a run wrote here, by name and content.

        Pictures of version 1.0 bear no mark; where the real samples bear none,
        beside other files of a run and not behind a link, their names are enough.
        """
        found = [path for path in self._candidates() if is_own_file(path)]
        pictures = [*self._pictures(), self.loss_curves]
        if found and not self.images.is_symlink() and self.real_samples not in found:
            found += [path for path in pictures if path.is_file() and path not in found]
        if self.gif.exists() and is_own_file(self.gif):
            found.append(self.gif)
        return found

    def mark_pictures(self):
        """Give the pictures of a run of version 1.0 the mark, so that it can be continued."""
        unmarked = [path for path in self.own_files()
                    if path.suffix == ".png" and not is_own_file(path)]
        # The real samples last: until they bear the mark, the others need none.
        for path in sorted(unmarked, key=lambda path: path == self.real_samples):
            write_png(path, read_png(path))

    def holds_run(self):
        """Whether anything lies here that a run would be missed for.

        What is written before the first step is not: it is made again.
        """
        begun = {self.config, self.report, self.real_samples, self.images / "epoch_0000.png",
                 self.checkpoints / "step_000000000.npz"}
        begun |= {*self._events(), *self.images.glob("epoch_0000_step_*.png")}
        own = self.own_files()
        # A report alone is of a run elsewhere.
        return (self._is_export() or own == [self.report]
                or any(path not in begun for path in own))

    def check(self):
        """Refuse a folder in which a run would get in the way of somebody else's files.

        Raises:
            UserError: naming the first file that this project did not write and
                that has the place or the name of one that a run writes.
        """
        for path in (self.images, self.checkpoints, self.tensorboard):
            if (path.exists() or path.is_symlink()) and not path.is_dir():
                raise UserError(f"{path}: expected a folder or nothing, got a file or a broken "
                                "link; move it, or choose another --outdir")
        own = set(self.own_files())
        fresh = not own and not self._is_export()
        theirs = [path for path in self._candidates(everything=fresh) if path not in own]
        if self.export.exists() or self.export.is_symlink():
            theirs += [self.export] if not self.export.is_dir() else filter(
                None, [foreign_in_export(self.export)])
        if theirs:
            raise UserError(f"{theirs[0]}: train_gan.py did not write this and would get in its "
                            "way; move it, or choose another --outdir")

    def _is_export(self):
        return (self.export / METADATA).is_file()

    def _pictures(self):
        return [path for path in sorted(self.images.glob("epoch_*.png"))
                if EPOCH_PICTURE.fullmatch(path.name)] + [self.real_samples]

    def _events(self):
        return [path for path in self.tensorboard.glob("*")
                if path.name.endswith(EVENTS)]

    def _candidates(self, everything=False):
        """Existing paths with the names of a run's files.

        Args:
            everything: also other files in the folders that are a run's alone.
        """
        names = [self.config, self.summary, self.history, self.loss_curves, self.report,
                 *self._pictures(), *list_checkpoints(self.checkpoints), self.best, *self._events()]
        if everything:
            names += self.images.glob("epoch_*.png")
            names += [path for folder in (self.checkpoints, self.tensorboard)
                      for path in sorted(folder.glob("*")) if not path.name.startswith(".")]
        return [path for path in names if path.exists() or path.is_symlink()]

    @contextlib.contextmanager
    def locked(self):
        """Create the folder and keep other runs out of it.

        The system frees the lock of a process that ended in any way. On network
        file systems it works where `flock` does (NFS since Linux 2.6.12); where
        it does not, a warning says so.

        Raises:
            UserError: when it cannot be written or another process runs here.
        """
        made = [path for path in (self.path, *self.path.parents) if not path.exists()]
        make_folder(self.path, "--outdir")
        lock = self._acquire()
        try:
            export = Path(os.path.realpath(self.export))  # written beside it, if it is a link
            for folder in {self.path, self.images, self.checkpoints, export.parent}:
                finish_replacements(folder)
            yield
        finally:
            with contextlib.suppress(OSError):  # the folder may be gone or full
                (self.path / LOCK).unlink()
            os.close(lock)
            with contextlib.suppress(OSError):  # what a run has written to is not empty
                for path in made:
                    path.rmdir()

    def _acquire(self):
        path = self.path / LOCK
        while True:
            try:
                lock = os.open(path, os.O_RDWR | os.O_CREAT | NO_FOLLOW | NO_WAIT, 0o666)
            except OSError as error:
                if os.path.lexists(path):  # a link, a folder, another user's
                    raise _not_a_lock(path) from error
                raise UserError(f"cannot write {path}: {describe_os_error(error)}") from error
            owner = _owner_in(lock)
            if owner is None:
                os.close(lock)
                raise _not_a_lock(path)
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

    def training_process(self):
        """Return the number of the process that says it trains here; None if none does."""
        try:
            lock = os.open(self.path / LOCK, os.O_RDONLY | NO_FOLLOW | NO_WAIT)
        except OSError:
            return None
        try:
            return int(_owner_in(lock) or 0) or None
        finally:
            os.close(lock)

    def write_config(self, config, changes):
        """Write config.json.

        Args:
            config: `TrainConfig`.
            changes: list of dict, the options that were changed on resuming.
        """
        changed = {"changes": changes} if changes else {}
        write_text(self.config, json.dumps(dataclasses.asdict(config) | changed, indent=2) + "\n")

    def clear(self):
        """Delete the run that lies here; other files stay.

        Raises:
            UserError: naming what cannot be removed.
        """
        try:
            for path in self.own_files():
                path.unlink()
            if self._is_export() and foreign_in_export(self.export) is None:
                target = self.export.resolve()
                shutil.rmtree(target)
                if self.export.is_symlink():  # a link stays one
                    target.mkdir()
        except OSError as error:
            raise UserError(f"--overwrite: cannot remove {error.filename}: "
                            f"{describe_os_error(error)}") from error


def _not_a_lock(path):
    return UserError(f"{path}: train_gan.py did not write this and would get in its way; "
                     "move it, or choose another --outdir")


def _owner_in(lock):
    """Return the process number in an open lock, "" in an empty one, None if it is no lock."""
    state = os.fstat(lock)
    if not stat.S_ISREG(state.st_mode) or state.st_nlink > 1:  # also by another name
        return None
    owner = os.read(lock, 32)
    return owner.decode() if owner.isdigit() or not owner else None
