"""Kill runs at random moments, resume them, and compare with a run never killed.

    python benchmarks/kill_campaign.py --kills 100
    python benchmarks/kill_campaign.py --kills 30 --processes 2     # on Linux

Each run is killed several times with SIGKILL, at moments drawn over all that a
process does: starting, training, writing. It must end with the weights, the
history, the pictures and the export of an uninterrupted run, bit for bit. With
several processes a run, the one that is killed is drawn as well: one of those
that train, or the one that has started them.
"""

import contextlib
import os
import random
import signal
import tempfile
import time
from pathlib import Path

from campaign import TINY, differences, finish, leftovers, preload, start, write_data
from common import parser, report

from gan.distributed.replica import EXIT_LOST

KILLS_A_RUN = 10
EPOCHS = 30


def phase(folder, log):
    """Say what a process was doing when it was killed, from what it left."""
    partial = [Path(path) for path in leftovers(folder) if ".gan-partial-" in path]
    if partial:
        return "writing " + {
            "checkpoints": "a checkpoint", "generated_images": "a picture",
        }.get(partial[0].parent.name, "the export" if partial[0].is_dir() else
              "history, curves or configuration")
    return "training or between two files" if "output" in log.read_text() else "starting"


def family(process):
    """Return a process and those that it has started: list of process ids."""
    try:
        started = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    except OSError:  # not Linux, or over
        started = []
    return [process, *map(int, started)]


def strike(process, processes, chance):
    """Kill one of a run's processes and wait until all have ended.

    Returns:
        `(code, name)`: the exit code of the run, and what was killed.
    """
    members = family(process) if processes > 1 else [process]
    victim = chance.randrange(len(members))
    with contextlib.suppress(ProcessLookupError):
        os.kill(members[victim], signal.SIGKILL)
    code = finish(process)
    while any(Path(f"/proc/{member}").exists() for member in members[1:]):
        time.sleep(0.1)
    return code, ("process" if processes == 1 else
                  "launcher" if victim == 0 else "chief" if victim == 1 else "follower")


def one_run(folder, arguments, processes, chance, longest, phases):
    """Kill and resume a run until it has been killed often enough, then let it finish."""
    folder.mkdir()
    log, kills = folder.with_suffix(".log"), 0
    while True:
        log.write_text("")
        again = ["--resume"] if list((folder / "checkpoints").glob("*.npz")) else []
        process = start("train_gan", [*(again or arguments), "--devices", processes], folder, log)
        if kills < KILLS_A_RUN:
            time.sleep(chance.uniform(0, longest))
            code, victim = strike(process, processes, chance)
        else:
            code = finish(process)
        if code in (-signal.SIGKILL, 128 + signal.SIGKILL, EXIT_LOST) and kills < KILLS_A_RUN:
            kills += 1
            name = f"{victim}, {phase(folder, log)}"
            phases[name] = phases.get(name, 0) + 1
        else:  # finished, perhaps before the last blow
            return kills, [f"exit code {code}: {log.read_text()[-300:]}"] if code else None


def main():
    """Run the campaign and print what survived."""
    options = parser(__doc__.split("\n")[0])
    options.add_argument("--kills", type=int, default=100)
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--processes", type=int, default=1, help="that train together")
    options = options.parse_args()
    preload()
    chance, phases, wrong, killed, runs = random.Random(options.seed), {}, [], 0, 0
    with tempfile.TemporaryDirectory() as temporary:
        home = Path(temporary)
        write_data(home / "data.npz")
        arguments = ["--dataset", home / "data.npz", *TINY, "--epochs", EPOCHS]
        (home / "whole").mkdir()
        began = time.monotonic()
        if finish(start("train_gan", [*arguments, "--devices", options.processes], home / "whole",
                        home / "whole.log")):
            raise SystemExit((home / "whole.log").read_text())
        longest = time.monotonic() - began
        while killed < options.kills:
            runs += 1
            folder = home / f"run{runs}"
            kills, failed = one_run(folder, arguments, options.processes, chance, longest / 3,
                                    phases)
            killed += kills
            found = failed or differences(home / "whole", folder) + leftovers(folder)
            if found:
                wrong.append((runs, found))
            print(f"run {runs}: killed {kills} times, {killed} in all; "
                  f"{found or 'identical, nothing left over'}", flush=True)
    report(f"{killed} kills of {runs} runs of {EPOCHS} epochs in {options.processes} "
           f"processes (seed {options.seed}): "
           f"{runs - len(wrong)} of {runs} runs identical to the uninterrupted one",
           ["killed", "times"], sorted(phases.items()), options)
    raise SystemExit(1 if wrong else 0)


if __name__ == "__main__":
    main()
