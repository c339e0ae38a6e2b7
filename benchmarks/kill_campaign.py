"""Kill runs at random moments, resume them, and compare with a run never killed.

    python benchmarks/kill_campaign.py --kills 100

Each run is killed several times with SIGKILL, at moments drawn over all that a process does:
starting, training, writing. It must end with the weights, the history, the pictures and the
export of an uninterrupted run, bit for bit.
"""

import os
import random
import signal
import tempfile
import time
from pathlib import Path

from campaign import TINY, differences, finish, leftovers, preload, start, write_data
from common import parser, report

KILLS_A_RUN = 10
EPOCHS = 30


def phase(folder, log):
    """Say what a process was doing when it was killed, from what it left."""
    partial = [path for path in leftovers(folder) if not path.endswith(".lock")]
    if partial:
        return f"writing below {Path(partial[0]).parent.name}"
    return "training or between two files" if "output" in log.read_text() else "starting"


def one_run(folder, arguments, chance, longest, phases):
    """Kill and resume a run until it has been killed often enough, then let it finish."""
    folder.mkdir()
    log, kills = folder.with_suffix(".log"), 0
    while True:
        log.write_text("")
        again = ["--resume"] if list((folder / "checkpoints").glob("*.npz")) else []
        process = start("train_gan", again or arguments, folder, log)
        if kills < KILLS_A_RUN:
            time.sleep(chance.uniform(0, longest))
            os.kill(process, signal.SIGKILL)  # it may be over, but is not yet waited for
        code = finish(process)
        if code != -signal.SIGKILL:  # finished, perhaps before the last blow
            return kills, [f"exit code {code}: {log.read_text()[-300:]}"] if code else None
        kills += 1
        phases[phase(folder, log)] = phases.get(phase(folder, log), 0) + 1


def main():
    """Run the campaign and print what survived."""
    options = parser(__doc__)
    options.add_argument("--kills", type=int, default=100)
    options.add_argument("--seed", type=int, default=0)
    options = options.parse_args()
    preload()
    chance, phases, wrong, killed, runs = random.Random(options.seed), {}, 0, 0, 0
    with tempfile.TemporaryDirectory() as temporary:
        home = Path(temporary)
        write_data(home / "data.npz")
        arguments = ["--dataset", home / "data.npz", *TINY, "--epochs", EPOCHS]
        (home / "whole").mkdir()
        began = time.monotonic()
        if finish(start("train_gan", arguments, home / "whole", home / "whole.log")):
            raise SystemExit((home / "whole.log").read_text())
        longest = time.monotonic() - began
        while killed < options.kills:
            runs += 1
            folder = home / f"run{runs}"
            kills, failed = one_run(folder, arguments, chance, longest / 3, phases)
            killed += kills
            found = failed or differences(home / "whole", folder) + leftovers(folder)
            wrong += bool(found)
            print(f"run {runs}: killed {kills} times, {killed} in all; "
                  f"{found or 'identical, nothing left over'}", flush=True)
            if failed:  # and would again
                break
    report(f"{killed} kills of {runs} runs of {EPOCHS} epochs (seed {options.seed}): "
           f"{runs - wrong} of {runs} runs identical to the uninterrupted one",
           ["killed while", "times"], sorted(phases.items()), options)
    raise SystemExit(1 if wrong else 0)


if __name__ == "__main__":
    main()
