"""What a person who runs the benchmark can mend."""


class BenchError(Exception):
    """The message names what is wrong, the value and the remedy."""
