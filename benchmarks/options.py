"""What options of every benchmark have in common."""

import math
from argparse import ArgumentParser, Namespace


def at_least(parser: ArgumentParser, options: Namespace, **least: float) -> None:
    """End with an error for the first of the named options, where it is given, that is less, no number or infinite."""
    for name, bound in least.items():
        value = getattr(options, name)
        if value is not None and not bound <= value < math.inf:
            allowed = "a finite number" if value == math.inf else f"at least {bound}"
            parser.error(f"--{name.replace('_', '-')} is {value}; it must be {allowed}")
