"""A trained network whose features are compared, in a file with its statistics."""

import sys
from typing import NamedTuple

from gan.common.archive import read_archive, write_archive
from gan.common.errors import UserError

STATISTICS = ("statistics/mean", "statistics/covariance")


class TrainedNetwork(NamedTuple):
    """What is kept of a network.

    Attributes:
        weights: list of arrays, in the network's order.
        accuracy: how well it does on images that it was not trained on, in [0, 1].
        statistics: mean [D] and covariance [D, D] of the training images' features.
    """

    weights: list
    accuracy: float
    statistics: tuple


def save_network(path, network, fingerprint, recipe):
    """Write a network with the fingerprint of its data.

    Args:
        path: the file.
        network: with the attributes of a `TrainedNetwork`.
        fingerprint: of the data that it was trained on.
        recipe: number, how it was trained.

    Raises:
        UserError: when it cannot be written.
    """
    arrays = {f"weights/{index:02d}": array for index, array in enumerate(network.weights)}
    arrays |= dict(zip(STATISTICS, network.statistics, strict=True))
    write_archive(path, arrays, {"dataset": fingerprint, "accuracy": network.accuracy,
                                 "recipe": recipe})


def load_network(path, fingerprint, recipe=None):
    """Read a network.

    Args:
        path: the file.
        fingerprint: of the data that it must have been trained on.
        recipe: how it must have been trained; None: in any way.

    Returns:
        A `TrainedNetwork`, or None if there is none, it is another, or it is damaged.
    """
    if not path.exists():
        return None
    try:
        arrays, metadata = read_archive(path, "a network")
        if metadata["dataset"] != fingerprint or recipe not in (None, metadata.get("recipe")):
            return None
        statistics = tuple(arrays.pop(name) for name in STATISTICS)
        weights = [arrays[name] for name in sorted(arrays)]
        accuracy = float(metadata["accuracy"])
        if not 0 <= accuracy <= 1:
            raise ValueError(f"its accuracy is {accuracy}")
        return TrainedNetwork(weights, accuracy, statistics)
    except (UserError, KeyError, TypeError, ValueError) as error:
        print(f"warning: {path} is damaged ({error}); making it anew", file=sys.stderr)
        return None
