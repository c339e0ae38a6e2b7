#!/usr/bin/env python3
"""Train a generator and a discriminator against each other: python train_gan.py --help"""

if __name__ == "__main__":
    from gan.common.errors import exit_on_interrupt

    exit_on_interrupt("train_gan.py")

from gan.common.errors import run_script
from gan.run.clock import Timers
from gan.run.options import parse_options


def main(argv=None):
    """Train as a command line says (None: the process's own); returns the exit code."""
    timers = Timers()
    config, given = parse_options(argv)

    from gan.runner import run

    return run(config, given, timers)


if __name__ == "__main__":
    run_script("train_gan.py", main)
