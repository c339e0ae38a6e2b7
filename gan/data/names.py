"""The data sets that are known by name; anything else is a path."""

from gan.data.toy import NAMES as SIMULATED

STACKED = "stacked_mnist"
IMAGES = ("mnist", "fashion_mnist", STACKED)
NAMES = (*IMAGES, *SIMULATED)
