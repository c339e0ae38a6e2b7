"""Generative adversarial networks in flat Keras scripts, exported as SavedModels."""

__version__ = "1.12.0"
