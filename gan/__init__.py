"""Generative adversarial networks in flat Keras scripts, exported as SavedModels."""

__version__ = "2.0.0"
