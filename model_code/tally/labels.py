"""The counts a photo can have, in the one order that every tensor and table uses."""

COUNTS: tuple[int, ...] = (1, 2, 3, 4, 5)


def class_index(count: int) -> int:
    """Return the position of `count` in probability vectors; ValueError when it is not 1-5."""
    return COUNTS.index(count)
