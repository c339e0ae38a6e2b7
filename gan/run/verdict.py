"""Verdict on a run: a diagnosis from its metrics and losses, and a hint."""

from typing import NamedTuple

import numpy as np

from gan.common.errors import counted
from gan.evaluate.registry import distance_of
from gan.losses import LOSSES, equilibrium
from gan.training import GRADIENTS, MEASURES

LEAST_STEPS = 900  # about an epoch of MNIST; earlier, healthy runs look like failed ones
WON = 0.97  # discriminator accuracy, and
SURE = 0.15  # of its loss at equilibrium: nothing is left for the generator to learn from
NEAR = 3.0  # times the Fréchet distance of real images that still counts as good
CLOSE = 0.9  # of real samples' precision, recall or good points, likewise
NARROW = 0.3  # of real samples' recall, below which the generator has collapsed, …
FAITHFUL = 0.3  # … provided that it has this share of their precision
MOSTLY_GOOD = 0.6  # of real samples' good points, likewise
OUTSIDE = 0.1  # of their precision or good points, below which almost nothing is of the data
EXPLODED = 1e4  # a loss beyond this has diverged, as has a discriminator's loss of
WORSE_THAN_GUESSING = 10  # times that at equilibrium, which equal logits would reach
BETTER = 0.9  # times the earlier distance: still improving
WORSE = 1.5  # times the best distance: worse again
EARLIER = 0.75  # of the run, from where the trend is taken
LEAST_MEASURED = 4  # measurements, before no improvement is called a standstill
LEAST_SCALE = 2.0**-10  # of the loss in float16; a healthy run stays above 1

HINTS = {
    "diverged": "a lower learning rate (--lr)",
    "early": "--resume with more --epochs",
    "won": "a stronger gradient penalty (--gradient-penalty, --gp-weight) or a lower --lr-d",
    "collapse": "a stronger gradient penalty (--gradient-penalty, --gp-weight) or a lower --lr",
    "outside": "more --epochs, a lower --lr or another --loss",
    "worse": "--keep-best, or a lower --lr",
    "improving": "--resume with more --epochs",
    "behind": "--metrics-interval 1 to see the trend, or more --epochs",
    "settled": "a larger --base-channels or more --epochs, from the start",
}
FINAL = ("good", "unknown", "diverged")  # whether a run has finished or not
LASTING = ("won", "collapse", "outside", "worse")  # what the rest of a run may not repair


class Verdict(NamedTuple):
    """A diagnosis and a hint; the kind is "good", "unknown" or a key of `HINTS`."""

    kind: str
    finding: str
    hint: str = ""

    def __str__(self):
        return f"{self.finding}. Try {self.hint}" if self.hint else self.finding


def verdict_of(rows, real, config):
    """Judge a run by its history, the last row with metrics, beside metrics of real samples."""
    kind, finding = next(_diagnoses(rows, real, config))
    hint = HINTS.get(kind, "")
    if rows[-1]["epoch"] < config.epochs and kind not in FINAL:
        hint = f"--resume; then {hint}" if kind in LASTING else "--resume"
    return Verdict(kind, finding, hint)


class DivergedError(Exception):
    """A quantity is no longer a number; the message names it and the step."""


def checked(measures, step, loss_scale=None):
    """Return measures, float32 [steps, len(MEASURES)]; `DivergedError` for what is not finite.

    Gradients of steps that an overflow of float16 skipped become 0.
    """
    wrong = ~np.isfinite(measures)
    if loss_scale is not None:
        # An overflow of float16 skips the step and halves the scale: no defect.
        measures = measures.copy()
        measures[:, GRADIENTS][wrong[:, GRADIENTS]] = 0
        wrong[:, GRADIENTS] = False
        if loss_scale < LEAST_SCALE:
            raise DivergedError(f"the loss scale fell to {loss_scale:g} by step {step}, as every "
                                "gradient overflows float16")
    if wrong.any():
        first, column = np.argwhere(wrong)[0]
        raise DivergedError(f"{MEASURES[column]} became {measures[first, column]} at step "
                            f"{step - len(measures) + int(first) + 1}")
    return measures


def best_row(rows):
    """Return the first row of the history nearest to the data; None if none was measured."""
    measured = [row for row in rows if distance_of(row) is not None]
    return min(measured, key=distance_of, default=None)


def _diagnoses(rows, real, config):
    """Yield (kind, finding) for all that applies, the most telling first."""
    last, measured = rows[-1], [row for row in rows if distance_of(row) is not None]
    shares, shortcomings = _shares(last, real), _shortcomings(last, real)
    short = f"not as good as real samples yet{': ' * bool(shortcomings)}{shortcomings}"

    # The losses.
    losses = last["discriminator_loss"], last["generator_loss"]
    # A Wasserstein critic has no such loss.
    guessing = equilibrium(LOSSES[config.loss]).get("discriminator_loss", 0)
    if max(map(abs, losses)) > EXPLODED or losses[0] > WORSE_THAN_GUESSING * guessing > 0:
        yield "diverged", f"diverged: the losses are {losses[0]:,.4g} and {losses[1]:,.4g}"
    if distance_of(last) is None:
        yield "unknown", "no verdict: the distance from the data could not be measured"

    # What is generated, now.
    if not shortcomings and "good" in shares:
        yield "good", f"good: all {last['modes']} modes, {last['good']:.0%} good points"
    if not shortcomings and {"frechet", "precision", "recall"} <= shares.keys():
        yield "good", (f"good: {shares['frechet']:.2f} times the Fréchet distance of real samples, "
                       f"{shares['precision']:.0%} of their precision, {shares['recall']:.0%} of "
                       "their recall")
    if last["step"] < LEAST_STEPS:
        yield "early", f"too early to judge: step {last['step']:,} of at least {LEAST_STEPS:,}"
    if guessing and last["discriminator_accuracy"] >= WON and losses[0] < SURE * guessing:
        yield "won", (f"the discriminator has won: it tells {last['discriminator_accuracy']:.0%} "
                      "of generated samples from real ones, and the generator learns little from "
                      "it")
    for name in ("modes", "classes"):
        missed = name in last and last[name] < real.get(name, 0)
        if missed and shares.get("good", 1) >= MOSTLY_GOOD:
            yield "collapse", (f"mode collapse: the generator covers {last[name]} of {real[name]} "
                               f"{name}")
    if shares.get("recall", 1) < NARROW and shares.get("precision", 0) >= FAITHFUL:
        yield "collapse", (f"mode collapse: the generator covers {last['recall']:.0%} of the "
                           "data's variety")

    # The trend.
    best = best_row(rows)
    if distance_of(last) > WORSE * distance_of(best):
        yield "worse", f"worse again: epoch {best['epoch']} was better than the last"
    earlier = [row for row in measured if row["step"] <= EARLIER * last["step"]]
    if earlier and distance_of(last) < BETTER * distance_of(earlier[-1]):
        yield "improving", "still improving when it ended"
    inside = shares.get("good", shares.get("precision", 1))
    if last.get("modes") == 0 or inside < OUTSIDE:
        share = "almost nothing" if inside else "nothing"
        yield "outside", f"{share} generated lies in the data: {shortcomings}"
    if len(measured) < LEAST_MEASURED:
        yield "behind", (f"{short} (too early for a trend: {counted(len(measured), 'measurement')} "
                         f"of {LEAST_MEASURED})")
    yield "settled", f"{short}, and no longer improving"


def _shares(last, real):
    """Return metrics as multiples of those of real samples, as far as both are known."""
    shares = {name: last[name] / real[name] for name in ("frechet", "precision", "recall", "good")
              if name in last and real.get(name)}
    if "frechet_ratio" in last:  # of as many generated images as there are real ones
        shares["frechet"] = last["frechet_ratio"]
    return shares


def _shortcomings(last, real):
    """Return in words in which metrics samples fall short of real ones; empty for none."""
    shares, found = _shares(last, real), []
    if "modes" in last and last["modes"] < real.get("modes", 0):
        found.append(f"{last['modes']} of {real['modes']} modes")
    if shares.get("frechet", 0) > NEAR:
        found.append(f"the Fréchet distance is {shares['frechet']:.1f} times that of real samples")
    found += [f"{name} is {shares[name]:.0%} of real samples'"
              for name in ("precision", "recall") if shares.get(name, 1) < CLOSE]
    if shares.get("good", 1) < CLOSE:
        found.append(f"{last['good']:.0%} good points (real {real['good']:.0%})")
    return " and ".join(found) if len(found) < 3 else f"{', '.join(found[:-1])} and {found[-1]}"
