"""Tally: the code that runs inside the training and serving containers."""

__version__ = "0.1.0"
