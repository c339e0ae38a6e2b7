"""Let every write of a run fail in turn, and see what survives.

    python benchmarks/failing_disk.py

A run of four epochs is first done on a whole disk, and its operations on files
counted. Then the same run, over a finished one of two epochs, is continued once
for each operation, which fails with "No space left on device" together with all
that come after it. The script must end with one line that names the file, and
checkpoints and export must be whole: those of before, or newer ones.
"""

import errno
import os
import shutil
import tempfile
from pathlib import Path

from campaign import TINY, differences, finish, leftovers, preload, start, write_data
from common import parser, report

CALLS = ("open", "fsync", "replace", "rename", "mkdir")


def fail_from(number, counted=None):
    """Make the `number`-th and all later writing calls of `os` fail.

    Args:
        number: counted from 1; 0: none fails.
        counted: file that the number of calls is written to.
    """
    seen = [0]

    def wrap(name, call):
        def wrapped(path, *arguments, **settings):
            flags = arguments[0] if arguments else settings.get("flags", 0)
            if name != "open" or flags & (os.O_WRONLY | os.O_RDWR):
                seen[0] += 1
                if counted:
                    counted.write_text(str(seen[0]))
                if number and seen[0] >= number:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return call(path, *arguments, **settings)
        setattr(os, name, wrapped)

    for name in CALLS:
        wrap(name, getattr(os, name))


def survives(folder, log, before):
    """Return what is wrong after a failure: nothing, if checkpoints and export are whole."""
    from gan.metadata import read_metadata, verify
    from gan.run.checkpoint import load_newest

    found = []
    lines = log.read_text().splitlines()
    errors = [line for line in lines if "error:" in line]
    if len(errors) != 1 or "Traceback" in log.read_text():
        found.append(f"no single line of error: {lines[-3:]}")
    elif "No space left on device" not in errors[0]:
        found.append(f"another reason: {errors[0]}")
    step = load_newest(folder / "checkpoints", found.append).step
    if step < before:
        found.append(f"checkpoint of step {step}")
    export = folder / "exported_model"
    verify(export, read_metadata(export))
    return found


def main():
    """Run the campaign and print what survived."""
    options = parser(__doc__).parse_args()
    preload()
    wrong, tried, finished = [], 0, 0
    with tempfile.TemporaryDirectory() as temporary:
        home = Path(temporary)
        write_data(home / "data.npz")
        (home / "begun").mkdir()
        arguments = ["--dataset", home / "data.npz", *TINY, "--epochs", 2]
        if finish(start("train_gan", arguments, home / "begun", home / "begun.log")):
            raise SystemExit((home / "begun.log").read_text())
        go_on = ["--resume", "--epochs", 4]
        shutil.copytree(home / "begun", home / "whole")
        if finish(start("train_gan", go_on, home / "whole", home / "whole.log",
                        lambda: fail_from(0, home / "count"))):
            raise SystemExit((home / "whole.log").read_text())
        count = int((home / "count").read_text())
        for number in range(1, count + 1):
            folder, log = home / "run", home / "run.log"
            shutil.rmtree(folder, ignore_errors=True)
            log.unlink(missing_ok=True)
            shutil.copytree(home / "begun", folder)
            code = finish(start("train_gan", go_on, folder, log, lambda at=number: fail_from(at)))
            tried += 1
            found = [] if code == 2 else [f"exit code {code}"]
            found += survives(folder, log, 40)
            if not found:  # with room again, it goes on as if nothing had been
                finish(start("train_gan", go_on, folder, log))
                found = differences(home / "whole", folder) + leftovers(folder)
            finished += not found
            if found:
                wrong.append((number, found))
                print(number, found, flush=True)
    report(f"A disk that is full from the n-th write on: {finished} of {tried} runs kept a whole "
           "checkpoint and export, named the file, and went on to the same end",
           ["failing write", "what was wrong"], wrong, options)
    raise SystemExit(1 if wrong else 0)


if __name__ == "__main__":
    main()
