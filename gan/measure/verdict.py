"""What became of a run, in plain words, from what was measured."""

import math
from typing import NamedTuple

WON = 0.97  # of pairs that the discriminator ranks rightly, …
SURE = 0.15  # … and of its loss when it can only guess: nothing is left to learn from
# The discriminator's loss when it can only guess. A Wasserstein critic that
# wins still has a slope to learn from, so it is left out.
GUESSING = {"nonsaturating": 2 * math.log(2), "minimax": 2 * math.log(2), "lsgan": 0.25,
            "hinge": 2.0, "relativistic": math.log(2)}
NEAR = 3.0  # times the real test images' Fréchet distance that still counts as good
CLOSE = 0.9  # of real samples' precision, recall or good points, likewise
NARROW = 0.3  # of real samples' recall, below which only a part is generated
FAITHFUL = 0.3  # of their precision, from which what is generated is of the data at all
MOSTLY_GOOD = 0.6  # of real good points, likewise
EXPLODED = 1e4  # of a loss: none of the games has such values while it is played
BETTER = 0.9  # times the earlier distance: it was still falling
WORSE = 1.5  # times the best distance: it has risen again
EARLIER = 0.75  # of the run, from where the trend is taken


class Verdict(NamedTuple):
    """A finding and what to try."""

    kind: str  # "good", "won", "collapse", "worse", "improving", "settled" or "diverged"
    finding: str
    advice: str

    def __str__(self):
        return self.finding + (f". {self.advice}" if self.advice else "")


ADVICE = {
    "good": "",
    "won": "Try a higher --gp-weight, a lower --lr-d, or --label-smoothing 0.1; with little data "
           "--augment",
    "collapse": "Try a higher --gp-weight (or --gradient-penalty r1r2), a lower --lr, or "
                "--condition auto",
    "worse": "Try a lower --lr, a higher --gp-weight, or stop earlier with --epochs",
    "improving": "Go on with --resume and twice the --epochs",
    "settled": "Try more --base-channels, more --epochs from the start, or another --gp-weight",
    "diverged": "Try a lower --lr or a higher --gp-weight",
}


def judge(rows, floor, loss):
    """Say what became of a run.

    Args:
        rows: list of dict, the history, one an epoch; the last with metrics.
        floor: dict, the same metrics of real samples that were not trained on;
            empty without any.
        loss: name of the game, see `TrainConfig.loss`.

    Returns:
        A `Verdict`.
    """
    measured = [row for row in rows if "frechet" in row or "good" in row]
    last = measured[-1]
    real = {"precision": 1.0, "recall": 1.0} | floor
    checks = {
        "good": _good(last, real), "diverged": _exploded(last), "won": _won(last, loss),
        "collapse": _collapse(last, real), "worse": _worse(measured),
        "improving": _improving(measured),
    }
    for kind, finding in checks.items():
        if finding:
            return Verdict(kind, finding, ADVICE[kind])
    known = "no trend is known, as one epoch was measured" if len(measured) == 1 else (
        "it has stopped improving")
    return Verdict("settled", f"not as good as real samples yet; {known}", ADVICE["settled"])


def diverged(error, config):
    """Return the `Verdict` of a run that was stopped.

    Args:
        error: what happened, in words.
        config: the run's `TrainConfig`.
    """
    advice = ADVICE["diverged"] + f" than {config.lr_d:g} and {config.gp_weight:g}"
    return Verdict("diverged", f"diverged: {error}", advice)


def _good(last, real):
    if "good" in last:
        if last["modes"] == real["modes"] and last["good"] >= CLOSE * real["good"]:
            return f"good: all {last['modes']} modes, {last['good']:.0%} good points"
    elif "frechet" in real and last["frechet"] <= NEAR * real["frechet"] and all(
        last[name] >= CLOSE * real[name] for name in ("precision", "recall")
    ):
        return (f"good: {last['frechet'] / real['frechet']:.2f} times the Fréchet distance of real "
                f"test images, {last['precision'] / real['precision']:.0%} of their precision, "
                f"{last['recall'] / real['recall']:.0%} of their recall")
    return None


def _exploded(last):
    losses = last["discriminator_loss"], last["generator_loss"]
    if max(map(abs, losses)) > EXPLODED:
        return f"diverged: the losses are {losses[0]:.2g} and {losses[1]:.2g}"
    return None


def _won(last, loss):
    sure = loss in GUESSING and last["discriminator_loss"] < SURE * GUESSING[loss]
    if last["separation"] >= WON and sure:
        return (f"the discriminator has won: it tells {last['separation']:.0%} of generated "
                "samples from real ones, and the generator learns little from it")
    return None


def _collapse(last, real):
    if "good" in last:
        if last["modes"] < real["modes"] and last["good"] >= MOSTLY_GOOD * real["good"]:
            return f"mode collapse: {last['modes']} of {real['modes']} modes are generated"
        return None
    if last.get("classes", real.get("classes", 0)) < real.get("classes", 0):
        return f"mode collapse: {last['classes']} of {real['classes']} classes are generated"
    faithful = last["precision"] >= FAITHFUL * real["precision"]
    if faithful and last["recall"] < NARROW * real["recall"]:
        return (f"mode collapse: what is generated covers {last['recall']:.0%} of the real "
                "images' variety")
    return None


def _distances(measured):
    """The distance from the data at each measurement: smaller is better."""
    return [row["frechet"] if "frechet" in row else 1 - row["good"] for row in measured]


def _worse(measured):
    distances = _distances(measured)
    best = min(distances)
    if distances[-1] > WORSE * best:
        epoch = measured[distances.index(best)]["epoch"]
        return f"it got worse again: epoch {epoch} was better than the last"
    return None


def _improving(measured):
    distances = _distances(measured)
    since = [distance for row, distance in zip(measured, distances, strict=True)
             if row["step"] <= EARLIER * measured[-1]["step"]]
    if since and distances[-1] < BETTER * since[-1]:
        return "still improving when it ended"
    return None
