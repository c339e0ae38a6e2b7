"""Where a run writes, and that no two runs write there at once."""

import contextlib
import errno
import os
import shutil
import sys
from pathlib import Path

from gan.checkpoint import checkpoint_step, list_checkpoints
from gan.errors import UserError, describe_os_error
from gan.files import finish_replacements, make_folder

try:
    import fcntl
except ImportError:  # Windows has no flock; two runs in one folder go unnoticed there
    fcntl = None

LOCK = ".train_gan.lock"


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
        self.config = self.path / "config.json"
        self.checkpoints = self.path / "checkpoints"
        self.export = self.path / "exported_model"
        self.gif = self.path / "training.gif"
        self.tensorboard = self.path / "tensorboard"

    def holds_run(self):
        """Whether a run lies here that has taken a step."""
        return any(checkpoint_step(path) > 0 for path in list_checkpoints(self.checkpoints))

    @contextlib.contextmanager
    def locked(self):
        """Create the folder and keep other runs out of it.

        The system frees the lock of a process that ended in any way. On network
        file systems it works where `flock` does (NFS since Linux 2.6.12); where
        it does not, a warning says so.

        Raises:
            UserError: when it cannot be written or another process runs here.
        """
        make_folder(self.path, "--outdir")
        lock = self._acquire()
        try:
            for folder in (self.path, self.images, self.checkpoints):
                finish_replacements(folder)
            yield
        finally:
            with contextlib.suppress(OSError):  # the folder may be gone or full
                (self.path / LOCK).unlink()
            os.close(lock)

    def _acquire(self):
        path = self.path / LOCK
        while True:
            try:
                lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
            except OSError as error:
                raise UserError(f"cannot write {path}: {describe_os_error(error)}") from error
            try:
                if fcntl:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
                    print(f"warning: {self.path} lies on a file system without locks; a second "
                          f"run there would go unnoticed ({describe_os_error(error)})",
                          file=sys.stderr)
                    return lock
                owner = os.read(lock, 32).decode(errors="replace").strip() or "unknown"
                os.close(lock)
                raise UserError(
                    f"--outdir: expected a folder that no other run writes to, got: {self.path} "
                    f"(process {owner} is training there)"
                ) from error
            # The former owner may have removed the file between the two calls.
            if path.exists() and os.fstat(lock).st_ino == path.stat().st_ino:
                with contextlib.suppress(OSError):  # full: the lock holds without the number
                    os.ftruncate(lock, 0)
                    os.write(lock, str(os.getpid()).encode())
                return lock
            os.close(lock)

    def clear(self):
        """Delete the run that lies here; other files stay."""
        for folder in (self.checkpoints, self.export, self.tensorboard):
            shutil.rmtree(folder, ignore_errors=True)
        files = [self.history, self.loss_curves, self.config, self.gif, self.real_samples]
        for path in [*files, *self.images.glob("epoch_*.png")]:
            path.unlink(missing_ok=True)
