"""Folder of a run: its paths, its lock, and the manifest of the files that it wrote."""

import contextlib
import fcntl
import functools
import os
import re
from pathlib import Path

from gan.common.errors import UserError, describe_os_error, warn
from gan.common.files import atomic_file, checksum, make_folder, open_own

LOCK, MANIFEST = ".train_gan.lock", "manifest.txt"
HEADER = "# train_gan.py wrote these files, and replaces or deletes no others.\n"
LINE = re.compile(r"^(?:([0-9a-f]{64})  )?([^\n\0]+)\n", re.MULTILINE)  # as `sha256sum` writes it
IN_SUBFOLDERS = re.compile(
    r"generated_images/(epoch_\d{4,}(_step_\d{9,})?|real_samples)\.png"
    r"|checkpoints/(step_\d{9,}|best)\.npz|tensorboard/[^/]+\.gan|exported_model/.+")
# What is written before the first step, and can be written again.
BEGUN = re.compile(
    r"log\.txt|config\.json|report\.html|generated_images/(real_samples|epoch_0000.*)\.png"
    r"|checkpoints/step_0+\.npz|tensorboard/.+")


class RunFolder:
    """The paths below `--outdir`, and what may be done with them."""

    def __init__(self, outdir):
        self.path = Path(outdir)
        self.images = self.path / "generated_images"
        self.real_samples = self.images / "real_samples.png"
        self.history = self.path / "history.csv"
        self.steps = self.path / "steps.csv"
        self.log = self.path / "log.txt"
        self.loss_curves = self.path / "loss_curves.png"
        self.report = self.path / "report.html"
        self.config = self.path / "config.json"
        self.summary = self.path / "summary.json"
        self.checkpoints = self.path / "checkpoints"
        self.best = self.checkpoints / "best.npz"  # with --keep-best
        self.export = self.path / "exported_model"
        self.tensorboard = self.path / "tensorboard"
        self.manifest = self.path / MANIFEST
        self._subfolders = self.images, self.checkpoints, self.tensorboard, self.export
        self._written = set()  # names of the files of this process

    @functools.cached_property
    def names(self):
        """The manifest: dict of relative path → SHA-256, or None for a file being written.

        What no run writes, or what leads out of the folder, is not of the run, whoever listed it.
        """
        try:
            with open(open_own(self.manifest), "rb") as file:
                content = os.fsdecode(file.read())
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise in_the_way(self.manifest) from error
        if not content.startswith(HEADER):
            raise in_the_way(self.manifest)
        return {name: checksum or None for checksum, name in LINE.findall(content, len(HEADER))
                if ("/" not in name and name != MANIFEST) or IN_SUBFOLDERS.fullmatch(name)}

    def lists(self, path):
        """Return whether a file is in the manifest, unchanged since, and no link."""
        return self._holds(path) and not any(
            folder in path.parents for folder in self._foreign_links)

    def _holds(self, path):
        name = self._name(path)
        if name not in self.names or not path.is_file():
            return False
        top, below, rest = name.partition("/")
        folder = path.parents[rest.count("/")] if below else self.path
        if path.resolve() != folder.resolve() / (rest or top):
            return False
        return self.names[name] is None or self.names[name] == _checksum(path)

    @functools.cached_property
    def _foreign_links(self):
        """Subfolders that are links, unless all that lies behind them is of this run alone."""
        found = []
        for folder in filter(Path.is_symlink, self._subfolders):
            target = Path(os.path.realpath(folder))  # which may be a loop of links
            files = (path for path in folder.rglob("[!.]*") if not path.is_dir())
            if any((place / MANIFEST).exists() for place in (target, target.parent)) or not all(
                    map(self._holds, files)):
                found.append(folder)
        return found

    def claim(self, path):
        """List a file that is about to be written and return its path; refuse a foreign one."""
        for place in (path, *path.parents):
            if place in self._foreign_links:
                raise in_the_way(place)
        if os.path.lexists(path) and not self.lists(path):
            raise in_the_way(path)
        self._add(path)
        return path

    def own_files(self):
        """Return the existing files that the manifest lists."""
        return [path for path in (self.path / name for name in self.names) if self.lists(path)]

    def holds_run(self):
        """Return whether there is anything here that a run would be missed for."""
        return not all(BEGUN.fullmatch(self._name(path)) for path in self.own_files())

    def check(self):
        """Refuse a folder in which a run would get in the way of somebody else's files."""
        own = {*self.own_files()}
        theirs = [path for path in self._subfolders if os.path.lexists(path) and not path.is_dir()]
        theirs += self._foreign_links
        if theirs := theirs or [path for path in self._candidates() if path not in own]:
            raise in_the_way(theirs[0])

    def _candidates(self):
        """Return existing paths with the names of a run's files."""
        found = [self.config, self.history, self.steps, self.log, self.summary, self.loss_curves,
                 self.report]
        for folder in self._subfolders:
            found += [path for path in sorted(folder.rglob("*"))
                      if IN_SUBFOLDERS.fullmatch(self._name(path))
                      and (folder != self.export or path.is_symlink() or not path.is_dir())]
        return filter(os.path.lexists, found)

    def clear(self):
        """Delete the files that the manifest lists, then the manifest; other files stay."""
        try:
            for path in self.own_files():
                path.unlink()
            self.manifest.unlink(missing_ok=True)
        except OSError as error:
            raise UserError(f"--overwrite: cannot remove {error.filename}: "
                            f"{describe_os_error(error)}") from error
        self.names.clear()
        self._written.clear()
        for folder in (*sorted(self.export.rglob("*"), reverse=True), self.export):
            with contextlib.suppress(OSError):  # a link, or not empty
                folder.rmdir()

    # The manifest: a name is listed before its file is written.

    def _name(self, path):
        return path.relative_to(self.path).as_posix()

    def _add(self, path):
        name = self._name(path)
        if "\n" in name:  # a line would hold two
            return
        if self.names.get(name, "") is not None:
            self._list({name: None})
        self._written.add(name)

    def _seal(self):
        """List the checksums of the files that this process has written."""
        found = {name: _checksum(self.path / name) for name in sorted(self._written)
                 if (self.path / name).parent != self.checkpoints  # these have their own
                 and self._holds(self.path / name)}
        self._list({name: checksum for name, checksum in found.items() if checksum})
        self._written.clear()

    def _list(self, entries):
        """Write the manifest with these entries, beside what other commands listed meanwhile."""
        if not entries:
            return
        known = vars(self).pop("names")
        self.names = known | self.names | entries
        lines = [f"{checksum}  {name}\n" if checksum else f"{name}\n"
                 for name, checksum in self.names.items()]
        with atomic_file(self.manifest) as file:
            file.write(os.fsencode("".join([HEADER, *lines])))

    # The lock, which the system frees when its process has ended in any way.

    @contextlib.contextmanager
    def locked(self):
        """Create the folder and keep other runs out of it."""
        made = [path for path in (self.path, *self.path.parents) if not path.exists()]
        make_folder(self.path, "--outdir")
        path = self.path / LOCK
        try:
            handle = open_own(path, os.O_RDWR | os.O_CREAT)
        except OSError as error:
            if os.path.lexists(path):  # a link, a folder, another user's
                raise in_the_way(path) from error
            raise UserError(f"cannot write {path}: {describe_os_error(error)}") from error
        with open(handle, "r+b", buffering=0) as lock:
            self._acquire(lock, path)
            try:
                yield
            finally:
                with contextlib.suppress(UserError):  # the disk is full: the names will do
                    self._seal()
                with contextlib.suppress(OSError):  # the folder may be gone, or not empty
                    path.unlink()
                    for folder in made:
                        folder.rmdir()

    def _acquire(self, lock, path):
        owner, state = lock.read(32), os.fstat(lock.fileno())
        if state.st_nlink > 1 or owner.strip(b"0123456789"):
            raise in_the_way(path)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not path.exists() or state.st_ino != path.lstat().st_ino:
                raise BlockingIOError  # its owner has removed it just now
        except BlockingIOError as error:
            raise UserError(
                f"--outdir: expected a folder that no other run writes to, got: {self.path} "
                f"(process {owner.decode() or 'unknown'} is training there)") from error
        except OSError as error:
            warn(f"{self.path} lies on a file system without locks; a second run there would go "
                 f"unnoticed ({describe_os_error(error)})")
        with contextlib.suppress(OSError):  # full: the lock holds without the number
            lock.truncate(0)
            os.pwrite(lock.fileno(), str(os.getpid()).encode(), 0)

    def in_training(self):
        """Return whether another process trains here."""
        with (contextlib.suppress(OSError),  # no lock, or a file system without them
              open(open_own(self.path / LOCK), "rb") as lock):
            try:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return lock.read(32) != str(os.getpid()).encode()
        return False


@contextlib.contextmanager
def claimed(path):
    """List a file that another command writes in a `with` block, if its folder is a run's."""
    folder = RunFolder(Path(path).parent)
    with contextlib.suppress(UserError):  # somebody else's manifest.txt
        if folder.manifest.exists():
            folder._add(Path(path))
    yield
    folder._seal()


def is_listed(path):
    """Return whether the manifest beside a file lists it."""
    with contextlib.suppress(UserError):
        return RunFolder(Path(path).parent).lists(Path(path))
    return False


def in_the_way(path):
    """Return the `UserError` for a path that a run needs and no manifest lists."""
    return UserError(f"{path}: train_gan.py did not write this and would get in its way; move it, "
                     "or choose another --outdir")


def _checksum(path):
    """Return the SHA-256 of a file; "" if it cannot be read."""
    with contextlib.suppress(OSError):
        return checksum(path)
    return ""
