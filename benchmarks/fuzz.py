"""Feed damaged and hostile input to the scripts, in hostile surroundings.

    python benchmarks/fuzz.py --count 2000
    python benchmarks/fuzz.py --count 20 --only links --only FIFOs --verbose

Every input goes through the real `main` of a script, in a process of its own.
It must end within a minute with success or with exit code 2 and one line, in
bounded memory, and without a traceback or a control character. What it refuses
it leaves as it was; what belongs to somebody else stays as it was in any case.
"""

import os
import random
import shutil
import signal
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import fuzz_damage as damage
import fuzz_folders as folders
import fuzz_settings as settings
from campaign import TINY, finish, leftovers, preload, start, write_data
from common import parser, report
from fuzz_trial import changed, controls, damaged, data_line, state_of

SECONDS = 60
MOST_MIB = 1200  # of a process, TensorFlow included
TOLD = ("warning", "note")  # how a line begins that tells of what was left out


class Outcome(NamedTuple):
    """How a trial ended."""

    code: int
    text: str  # what was printed
    folder: Path  # the input's


def finishes_whole(trial, outcome):
    """What is there after success can be read."""
    return damaged(outcome.folder) if outcome.code == 0 else None


def trains_or_refuses(trial, outcome):
    """Training ends with an export, or is refused before its first step."""
    if outcome.code == 0 and not (outcome.folder / "exported_model/saved_model.pb").is_file():
        return "no export"
    if outcome.code == 2 and not (outcome.folder / "exported_model").exists() and (
            outcome.folder / "history.csv").exists():
        return f"refused after training: {outcome.text[-300:]}"
    return finishes_whole(trial, outcome)


def sees_images(trial, outcome):
    """The images and classes are those that the layout means, or it is said what was done."""
    found = data_line(outcome.text)
    told = any(line.startswith(TOLD) for line in outcome.text.splitlines())
    if outcome.code or told or trial.expected in (None, found):
        return None
    layout = sorted(str(path.relative_to(outcome.folder)) for path in outcome.folder.rglob("*")
                    if path.is_dir())
    return f"expected (images, classes) {trial.expected}, got {found}, of {layout}"


def finds_data(trial, outcome):
    """The data that a run was trained on are accepted, others refused."""
    if trial.expected not in (None, outcome.code):
        return f"expected exit code {trial.expected}, got {outcome.code}: {outcome.text[-300:]}"
    return finishes_whole(trial, outcome)


class Kind(NamedTuple):
    """A class of input."""

    make: object  # function of (folder, chance, made) that makes one and returns its `Trial`
    weight: int  # of all inputs, relative to the others
    check: object = None  # function of (trial, outcome) that returns what is wrong, or None


KINDS = {
    ".npz": Kind(damage.npz_input, 3),
    "IDX and gz": Kind(damage.idx_input, 3),
    "picture folder": Kind(damage.picture_input, 4),
    "bomb": Kind(damage.bomb_input, 2),
    "checkpoint, config.json": Kind(damage.resumed_input, 3),
    "export, gan.json": Kind(damage.export_input, 3),
    "report": Kind(damage.report_input, 2),
    "epoch picture": Kind(damage.gif_input, 2),
    "command line": Kind(damage.command_line, 3),
    "other people's files": Kind(folders.foreign_input, 4),
    "traces of a run": Kind(folders.trace_input, 2),
    "links": Kind(folders.link_input, 3),
    "FIFOs, sockets, devices": Kind(folders.special_input, 3),
    "folder layouts": Kind(folders.layout_input, 4, sees_images),
    "closed streams": Kind(settings.stream_input, 3, finishes_whole),
    "encodings, names": Kind(settings.encoding_input, 4),
    "tiny and degenerate data": Kind(settings.degenerate_input, 1, trains_or_refuses),
    "moved data": Kind(settings.moved_input, 2, finds_data),
}


def run_one(kind, folder, chance, made):
    """Make one input and run it; returns (exit code, what is wrong)."""
    trial = KINDS[kind].make(folder, chance, made)
    for number, (script, arguments) in enumerate([(trial.script, trial.arguments), *trial.then]):
        code, found = run_step(trial, script, arguments, folder, first=number == 0)
        if not found and number == 0 and KINDS[kind].check:
            text = (folder.parent / "log").read_text(errors="replace")
            found = KINDS[kind].check(trial, Outcome(code, text, folder))
        if found or code:
            shown = " ".join([script, *map(str, arguments)]).encode("ascii", "backslashreplace")
            kept = [os.path.relpath(path, folder) for path in sorted(trial.theirs)[:3]]
            details = f"[{shown.decode()}; expected {trial.expected}; not to be changed: {kept}]"
            return code, f"{found} {details}" if found else None
    return code, None


def run_step(trial, script, arguments, folder, first):
    """Run one command of a trial; returns (exit code, what is wrong)."""
    log = folder.parent / "log"
    log.write_text("")
    before, left = state_of(folder.parent), leftovers(folder)
    outside = set(folder.parent.iterdir())
    process = start(script, arguments, folder.parent / trial.place, log, trial.before,
                    trial.environment)
    code, memory = wait(process)
    if code is None:
        return code, memory
    text = log.read_bytes().decode(trial.encoding, "replace")
    if code not in (trial.codes if first else (0, 2)):
        return code, f"exit code {code}: {text[-600:]}"
    errors = [line for line in text.splitlines() if ": error: " in line]
    if "Traceback" in text or (code == 2 and len(errors) != 1 and not trial.silent):
        return code, f"not one line: {text[-600:]}"
    if controls(text):
        return code, f"control characters {controls(text)}: {text[-300:]}"
    if memory > 1024 * MOST_MIB:
        return code, f"{memory // 1024} MiB"
    after = state_of(folder.parent)
    lost = changed(before, after, trial.theirs) or (
        changed(before, after, before.keys() - {str(log)}) if code == 2 else [])
    if lost:
        return code, f"changed {lost[:3]}, exit code {code}: {text[-300:]}"
    if set(leftovers(folder)) - set(left):
        return code, f"left {set(leftovers(folder)) - set(left)}"
    written = set(folder.parent.iterdir()) - outside
    return code, f"wrote {written}" if written else None


def wait(process):
    """Wait for a process; returns its exit code and its KiB, or None and why it was killed."""
    began, pages = time.monotonic(), Path(f"/proc/{process}/statm")
    while True:
        done, status, usage = os.wait4(process, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status), usage.ru_maxrss
        mib = int(pages.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 2**20
        late = time.monotonic() - began > SECONDS
        if late or mib > 2 * MOST_MIB:  # before it takes all that the machine has
            os.kill(process, signal.SIGKILL)
            os.wait4(process, 0)
            return None, f"no end after {SECONDS} s" if late else f"{mib} MiB and more"
        time.sleep(0.01)


def make_run(made):
    """Make what the inputs are made of: data, and a finished run with all that it leaves."""
    write_data(made / "data.npz")
    (made / "run").mkdir()
    for script, arguments in (
        ("train_gan", ["--dataset", made / "data.npz", *TINY, "--epochs", 2, "--tensorboard"]),
        ("make_gif", []),
    ):
        if finish(start(script, arguments, made / "run", made / "run.log")):
            raise SystemExit((made / "run.log").read_text())


def remove(home):
    """Remove a folder, also what is closed to its owner."""
    for place, inner, _ in os.walk(home):
        for name in inner:
            path = os.path.join(place, name)
            if not os.path.islink(path):
                os.chmod(path, 0o700)
    shutil.rmtree(home)


def main():
    """Run the campaign and print what came of it."""
    options = parser(__doc__.split("\n")[0])
    options.add_argument("--count", type=int, default=600)
    options.add_argument("--only", action="append", default=[], metavar="TEXT",
                         help="only kinds of input with this in their name; may be repeated")
    options.add_argument("--verbose", action="store_true", help="show what each run printed")
    options.add_argument("--seed", type=int, default=0)
    options = options.parse_args()
    preload()
    chosen = [kind for kind in KINDS
              if not options.only or any(text in kind for text in options.only)]
    # One of each, then another of those with a larger weight, and so on.
    order = [kind for number in range(4) for kind in chosen if KINDS[kind].weight > number]
    results, wrong = {kind: [0, 0, 0] for kind in chosen}, []
    with tempfile.TemporaryDirectory() as temporary:
        made = Path(temporary)
        os.environ["XDG_CACHE_HOME"] = str(made / "cache")
        make_run(made)
        for number in range(options.count):
            kind = order[number % len(order)]
            chance = random.Random(options.seed * 10**6 + number)
            home = made / "home"
            (home / "work").mkdir(parents=True)
            code, found = run_one(kind, home / "work", chance, made)
            if options.verbose:
                print(number, kind, code, ascii((home / "log").read_text(errors="replace")[-200:]))
            results[kind][0] += code == 0 and not found
            results[kind][1] += code != 0 and not found
            results[kind][2] += bool(found)
            if found:
                wrong.append((number, kind, found))
                print(number, kind, ascii(found), flush=True)
            remove(home)
    rows = [[kind, sum(counts), *counts] for kind, counts in results.items()]
    report(f"{options.count} hostile inputs (seed {options.seed}), {len(wrong)} of them a defect",
           ["input", "tried", "accepted", "refused in one line", "defects"], rows, options)
    raise SystemExit(1 if wrong else 0)


if __name__ == "__main__":
    main()
