"""The configuration of a training run, from a command line or from a checkpoint."""

import dataclasses
from dataclasses import dataclass

from gan.common.options import parser_of
from gan.data import names
from gan.defaults import complete
from gan.option_rules import check_combination
from gan.train_options import GROUPS, TrainOptions


@dataclass(frozen=True)
class TrainConfig(TrainOptions):
    """All options of one training run; `TrainOptions` declares them."""

    @classmethod
    def from_arguments(cls, arguments=None):
        """Parse a command line.

        Args:
            arguments: list of strings; None takes the process's own.

        Returns:
            `(config, given)`: the configuration, and the set of the names of
            the options that were given rather than left at their default.

        Raises:
            UserError: naming the option, what was expected and what arrived.
        """
        given = vars(make_parser().parse_args(arguments))
        defaults = POINTS if given.get("dataset") in names.SIMULATED else {}
        config = cls(**{**defaults, **given})
        check_combination(config, set(given))
        return complete(config), set(given)

    @property
    def simulated(self):
        """Whether the data are simulated points."""
        return self.dataset in names.SIMULATED

    @property
    def named(self):
        """Whether the data set is known by its name, so that `dataset` is no path."""
        return self.dataset in names.NAMES


# What is not given has these values where the data are simulated points.
POINTS = {field.name: field.metadata["points"] for field in dataclasses.fields(TrainConfig)
          if field.metadata["points"] is not None}


def make_parser():
    """Return the parser of the command line."""
    return parser_of(
        TrainConfig, GROUPS, prog="train_gan.py",
        description="Train a generator and a discriminator against each other, save a picture "
        "for every epoch, and export the generator as a SavedModel.",
        epilog="Options may be spelled with underscores: --batch_size is --batch-size.",
    )
