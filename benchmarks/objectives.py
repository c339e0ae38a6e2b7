"""Every loss and stabiliser on the ring and on a short MNIST run.

    python benchmarks/objectives.py --epochs 1

Each row is a run of `train_gan.py` with its own options and otherwise the
defaults; the figures are those of its last epoch.
"""

import csv
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from common import ROOT, parser, report

NO_PENALTY = ["--gradient-penalty", "none"]
ROWS = {
    "nonsaturating (default)": [],
    "minimax": ["--loss", "minimax"],
    "lsgan": ["--loss", "lsgan"],
    "hinge": ["--loss", "hinge"],
    "wgan": ["--loss", "wgan"],
    "relativistic": ["--loss", "relativistic"],
    "wgan, wgan-gp 10": ["--loss", "wgan", "--gradient-penalty", "wgan-gp", "--gp-weight", "10"],
    "wgan, wgan-gp 10, 5 critic steps": [
        "--loss", "wgan", "--gradient-penalty", "wgan-gp", "--gp-weight", "10",
        "--gp-interval", "1", "--n-critic", "5"],
    "no penalty": NO_PENALTY,
    "no penalty, label smoothing 0.1": [*NO_PENALTY, "--label-smoothing", "0.1"],
    "no penalty, minimax": [*NO_PENALTY, "--loss", "minimax"],
    "no penalty, hinge, spectral norm": [*NO_PENALTY, "--loss", "hinge", "--spectral-norm"],
    "r1": ["--gradient-penalty", "r1"],
    "spectral norm and r1r2": ["--spectral-norm"],
    "dropout 0.3": ["--dropout", "0.3"],
    "augment": ["--augment", "adaptive"],
}


def run(arguments):
    """Run `train_gan.py`; returns its metrics, with the discriminator accuracy, and its verdict."""
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run([sys.executable, str(ROOT / "train_gan.py"), "--outdir", folder,
                               *arguments], capture_output=True, text=True)
        if done.returncode:
            return None, done.stderr.strip()[-120:]
        summary = json.loads((Path(folder) / "summary.json").read_text())
        with (Path(folder) / "history.csv").open() as file:
            accuracy = list(csv.DictReader(file))[-1]["discriminator_accuracy"]
        found = {**summary["metrics"]["generated"], "discriminator_accuracy": float(accuracy)}
        return found, summary["verdict"]["finding"]


def main():
    """Run all rows and print the table."""
    options = parser(__doc__.split("\n")[0])
    options.add_argument("--epochs", default="1", help="of the MNIST runs (default: 1)")
    options = options.parse_args()
    rows = []
    for name, arguments in ROWS.items():
        row = [name]
        if "--augment" in arguments:
            row += ["images only", ""]
        else:
            last, _ = run(["--dataset", "ring", *arguments])
            row += [last["modes"], f"{last['good']:.1%}"] if last else ["stopped", ""]
        last, verdict = run(["--epochs", options.epochs, *arguments])
        row += ([f"{last['frechet']:.2f}"]
                + [f"{last[column]:.2f}" for column in (
                    "precision", "recall", "discriminator_accuracy")]
                if last else [verdict, "", "", ""])
        rows.append(row)
        print(*row, verdict, sep=" | ", flush=True)
    report(f"Losses and stabilisers: ring, and MNIST after {options.epochs} epochs",
           ["options", "ring: modes", "good points", "MNIST: Fréchet distance", "precision",
            "recall", "discriminator_accuracy"], rows, options)


if __name__ == "__main__":
    main()
