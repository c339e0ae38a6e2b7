"""What to try after a run, in options that the run could have been given.

Each suggestion is checked by parsing it together with the run's own options:
one that is refused, or that changes nothing, is not made.
"""

import dataclasses
import math
from typing import NamedTuple

from gan.common.errors import UserError
from gan.config import TrainConfig
from gan.defaults import LITTLE_DATA
from gan.evaluate.equilibrium import CROSS_ENTROPY
from gan.option_rules import continued, flag

STRONGER, WEAKER = 4, 1 / 3  # factors of the penalty's weight and of the rates
MOST_WEIGHT = 100.0  # of the penalty; a stronger one has runs diverge by itself
# A little less than an epoch of MNIST: before, runs that end well look like failed ones.
LEAST_STEPS = 900
# What belongs to a process or a place rather than to what is learned.
NOT_LEARNING = {"resume", "overwrite", "dry_run", "verbose", "outdir", "max_minutes"}


class Suggestion(NamedTuple):
    """Options to try and what to say of them."""

    options: tuple  # of str, as on a command line
    note: str = ""

    def __str__(self):
        return " ".join(self.options) + (f" ({self.note})" if self.note else "")


def arguments_of(config):
    """Return the options that make a `TrainConfig`, as on a command line.

    Args:
        config: a `TrainConfig`, resolved or not.

    Returns:
        list of str; what follows from other options is left out.
    """
    follows = {"lr_g": config.lr, "lr_d": config.lr}
    skipped = set(NOT_LEARNING)
    if config.gradient_penalty == "none":
        skipped |= {"gp_weight", "gp_interval"}
    found = []
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if field.name in skipped or value is None or value is False or (
                value == follows.get(field.name)):
            continue
        name = flag(field.name)
        found += [name] if value is True else [f"{name}={value}"]
    return found


def advice_for(kind, config, row=None, best_epoch=None):
    """Return what to try.

    Args:
        kind: of the verdict, see `Verdict`.
        config: the run's `TrainConfig`.
        row: the last row of the history, if any.
        best_epoch: the number of the best epoch, after a run that got worse.

    Returns:
        list of `Suggestion`, all of which can be followed.
    """
    made = {
        "won": [_penalty(config), _rate(config, "lr_d"), _critic(config), _smoothing(config),
                _augment(config, row)],
        "collapse": [_penalty(config), _rates(config), _condition(config)],
        "worse": [_rates(config), _penalty(config), _stop_at(best_epoch)],
        "improving": [_go_on(config, row)],
        "behind": [_watch(config), _longer(config), _penalty(config)],
        "settled": [_larger(config), _longer(config), _penalty(config)],
        "early": [_go_on(config, row)],
        "diverged": [_rates(config), _penalty(config)],
    }.get(kind, [])
    return [suggestion for suggestion in made if suggestion and can_be_followed(suggestion, config)]


def can_be_followed(suggestion, config):
    """Return whether a run may be given these options too, and is another with them."""
    try:
        own, _ = TrainConfig.from_arguments(arguments_of(config))
        if suggestion.options[0] == "--resume":
            resumed, given = TrainConfig.from_arguments(suggestion.options)
            continued(resumed, dataclasses.asdict(config), given)
            return True
        changed, _ = TrainConfig.from_arguments([*arguments_of(config), *suggestion.options])
    except UserError:
        return False
    return changed != own


def _penalty(config):
    """A stronger gradient penalty, or one at all."""
    if config.gradient_penalty == "none":
        return Suggestion(("--gradient-penalty", "r1r2"))
    if config.gradient_penalty == "wgan-gp" or config.gp_weight is None:
        return None
    weight = min(max(STRONGER * config.gp_weight, 0.1), MOST_WEIGHT)
    if weight <= config.gp_weight:
        return None
    return Suggestion(("--gp-weight", f"{weight:.2g}"), f"now {config.gp_weight:g}")


def _rate(config, name):
    rate = getattr(config, name) or config.lr
    return Suggestion((flag(name), f"{WEAKER * rate:.1g}"), f"now {rate:g}")


def _rates(config):
    """Lower rates of both networks."""
    if {config.lr_g, config.lr_d} <= {None, config.lr}:
        return _rate(config, "lr")
    both = _rate(config, "lr_g"), _rate(config, "lr_d")
    return Suggestion(both[0].options + both[1].options,
                      f"now {config.lr_g or config.lr:g} and {config.lr_d or config.lr:g}")


def _critic(config):
    return Suggestion(("--n-critic", "1"), f"now {config.n_critic}")


def _smoothing(config):
    if config.label_smoothing or config.loss not in CROSS_ENTROPY:
        return None
    return Suggestion(("--label-smoothing", "0.1"))


def _augment(config, row):
    images = row["step"] * config.batch_size / max(row["epoch"], 1) if row else LITTLE_DATA
    little = config.augment == "none" and images < LITTLE_DATA
    return Suggestion(("--augment", "adaptive")) if little else None


def _condition(config):
    return Suggestion(("--condition", "auto")) if config.condition == "none" else None


def _stop_at(epoch):
    return Suggestion(("--epochs", str(epoch)), "the best so far") if epoch else None


def _go_on(config, row):
    """Continue this run: to its end if it was cut short, otherwise further."""
    if not row:
        return None
    # The last row of a run that was cut short has steps of the epoch after it, too.
    per_epoch = row.get("steps_per_epoch") or row["step"] / max(row["epoch"], 1)
    needed = math.ceil(LEAST_STEPS / per_epoch)
    if row["epoch"] < config.epochs and needed <= config.epochs:
        return Suggestion(("--resume",), f"on to epoch {config.epochs}")
    return Suggestion(("--resume", "--epochs", str(max(2 * config.epochs, needed))))


def _watch(config):
    if config.metrics_interval:
        return None
    return Suggestion(("--metrics-interval", "1"), "to see whether it still improves")


def _larger(config):
    return Suggestion(("--base-channels", str(2 * config.base_channels)),
                      f"now {config.base_channels}")


def _longer(config):
    return Suggestion(("--epochs", str(2 * config.epochs)), "from the start")
