"""The evaluation job: both models on the same frozen test photos, the gate's verdict, and a page to look at."""

from tally.evaluation.command import main

__all__ = ["main"]
