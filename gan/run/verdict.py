"""What became of a run, in plain words, from what was measured."""

from typing import NamedTuple

from gan.evaluate.equilibrium import ideal_losses
from gan.evaluate.table import distance_of
from gan.run.advice import LEAST_STEPS, advice_for

WON = 0.97  # of pairs that the discriminator ranks rightly, …
SURE = 0.15  # … and of its loss when it can only guess: nothing is left to learn from
NEAR = 3.0  # times the real images' Fréchet distance that still counts as good
CLOSE = 0.9  # of real samples' precision, recall or good points, likewise
NARROW = 0.3  # of real samples' recall, below which only a part is generated
FAITHFUL = 0.3  # of their precision, from which what is generated is of the data at all
MOSTLY_GOOD = 0.6  # of real good points, likewise
EXPLODED = 1e4  # of any loss: none has such values while both networks learn
# Times the discriminator's loss when it can only guess. It could have that one
# by giving all samples the same logit, so one far above it no longer follows
# its gradient.
WORSE_THAN_GUESSING = 10
BETTER = 0.9  # times the earlier distance: it was still falling
WORSE = 1.5  # times the best distance: it has risen again
EARLIER = 0.75  # of the run, from where the trend is taken
LEAST_MEASURED = 4  # epochs, before a distance that does not fall is called a standstill


class Verdict(NamedTuple):
    """A finding and what to try.

    Its kind is "good", "diverged", "early" (too early to tell), "unknown"
    (nothing was measured), "won" (the discriminator), "collapse", "worse",
    "improving", "settled" (no longer improving) or "behind" (not good, and no
    trend is known).
    """

    kind: str
    finding: str
    suggestions: tuple = ()

    def __str__(self):
        options = [str(suggestion) for suggestion in self.suggestions]
        if not options:
            return self.finding
        *first, last = options
        tried = f"{', '.join(first)} or {last}" if first else last
        return f"{self.finding}. Try {tried}"


def verdict_of(rows, reference, config):
    """Say what became of a run.

    Args:
        rows: list of dict, the history, one an epoch; the last with metrics.
        reference: dict, the same metrics of real samples, see `Evaluator.real`.
        config: the run's `TrainConfig`.

    Returns:
        A `Verdict`.
    """
    measured = [row for row in rows if distance_of(row) is not None]
    last = rows[-1]
    checks = [
        ("diverged", lambda: _exploded(last, config)),
        ("unknown", lambda: None if distance_of(last) is not None else
            "no verdict: the distance from the data could not be measured"),
        ("good", lambda: _good(last, reference)),
        ("early", lambda: _early(last)),
        ("won", lambda: _won(last, config)),
        ("collapse", lambda: _collapse(last, reference)),
        ("worse", lambda: _worse(measured)),
        ("improving", lambda: _improving(measured)),
        ("behind", lambda: _without_trend(measured)),
    ]
    for kind, check in checks:
        if finding := check():
            return _verdict(kind, finding, config, last, measured)
    return _verdict("settled", "not as good as real samples yet, and no longer improving",
                    config, last, measured)


def diverged(error, config):
    """Return the `Verdict` of a run that was stopped.

    Args:
        error: what happened, in words.
        config: the run's `TrainConfig`.
    """
    return _verdict("diverged", f"diverged: {error}", config)


def _verdict(kind, finding, config, row=None, measured=()):
    best = min(measured, key=distance_of)["epoch"] if measured else None
    return Verdict(kind, finding, tuple(advice_for(kind, config, row, best)))


def _good(last, real):
    if "good" in last:
        if "good" in real and last["modes"] == real["modes"] and (
                last["good"] >= CLOSE * real["good"]):
            return f"good: all {last['modes']} modes, {last['good']:.0%} good points"
        return None
    if not {"frechet", "precision", "recall"} <= real.keys() & last.keys():
        return None
    share = {name: last[name] / real[name] for name in ("frechet", "precision", "recall")
             if real[name] > 0}
    if len(share) == 3 and share["frechet"] <= NEAR and min(
            share["precision"], share["recall"]) >= CLOSE:
        return (f"good: {share['frechet']:.2f} times the Fréchet distance of real images, "
                f"{share['precision']:.0%} of their precision, {share['recall']:.0%} of their "
                "recall")
    return None


def _exploded(last, config):
    losses = last["discriminator_loss"], last["generator_loss"]
    guessing = ideal_losses(config.loss)["discriminator_loss"]
    if max(map(abs, losses)) > EXPLODED or (
            guessing and losses[0] > WORSE_THAN_GUESSING * guessing):
        return f"diverged: the losses are {losses[0]:,.4g} and {losses[1]:,.4g}"
    return None


def _early(last):
    if last["step"] < LEAST_STEPS:
        return (f"too early to judge: step {last['step']:,} of the {LEAST_STEPS:,} that a verdict "
                "needs")
    return None


def _won(last, config):
    # A Wasserstein critic that wins still has a slope to learn from.
    guessing = ideal_losses(config.loss)["discriminator_loss"]
    if last["separation"] >= WON and last["discriminator_loss"] < SURE * guessing and guessing:
        return (f"the discriminator has won: it tells {last['separation']:.0%} of generated "
                "samples from real ones, and the generator learns little from it")
    return None


def _collapse(last, real):
    if "good" in last:
        if "modes" in real and last["modes"] < real["modes"] and (
                last["good"] >= MOSTLY_GOOD * real["good"]):
            return f"mode collapse: {last['modes']} of {real['modes']} modes are generated"
        return None
    if last.get("classes", real.get("classes", 0)) < real.get("classes", 0):
        return f"mode collapse: {last['classes']} of {real['classes']} classes are generated"
    if not {"precision", "recall"} <= last.keys():
        return None
    faithful = last["precision"] >= FAITHFUL * real.get("precision", 1.0)
    if faithful and last["recall"] < NARROW * real.get("recall", 1.0):
        return (f"mode collapse: what is generated covers {last['recall']:.0%} of the real "
                "images' variety")
    return None


def _worse(measured):
    best = min(measured, key=distance_of)
    if distance_of(measured[-1]) > WORSE * distance_of(best):
        return f"it got worse again: epoch {best['epoch']} was better than the last"
    return None


def _improving(measured):
    since = [row for row in measured if row["step"] <= EARLIER * measured[-1]["step"]]
    if since and distance_of(measured[-1]) < BETTER * distance_of(since[-1]):
        return "still improving when it ended"
    return None


def _without_trend(measured):
    if len(measured) >= LEAST_MEASURED:
        return None
    times = "once" if len(measured) == 1 else f"{len(measured)} times"
    return (f"not as good as real samples yet; too early to tell a trend, as it was measured "
            f"{times} and that takes {LEAST_MEASURED}")
