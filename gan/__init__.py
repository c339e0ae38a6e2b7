"""Generative adversarial networks in Keras: `gan.train("mnist", epochs=3).show()`."""

import importlib

__version__ = "2.16.0"
__all__ = ["Loss", "Run", "TrainConfig", "UserError", "load", "train"]
# Imported when they are used: TensorFlow takes seconds.
_MODULES = {"Loss": "gan.losses", "Run": "gan.interface", "TrainConfig": "gan.config",
            "UserError": "gan.common.errors", "load": "gan.interface", "train": "gan.interface"}


def __getattr__(name):
    if name not in _MODULES:
        raise AttributeError(f"module 'gan' has no attribute {name!r}")
    return getattr(importlib.import_module(_MODULES[name]), name)


def __dir__():
    return [*globals(), *__all__]
