"""Finds files with the same bytes without reading all of each: size and tail first, the full hash where those agree."""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from tally.data.grouping import SIDES, Place
from tally.data.sources import Entry, RejectedError

_TAIL = 4096

Fingerprint = tuple[int, bytes]
Key = TypeVar("Key", Fingerprint, str)


def fingerprint(path: Path) -> Fingerprint | None:
    """Size and a hash of the last 4 KiB; None for a file that is empty or unreadable, which its own check will say."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - _TAIL))
            return (size, hashlib.blake2b(file.read(), digest_size=8).digest()) if size else None
    except OSError:
        return None


def full_hash(path: Path) -> str | None:
    """sha256 of the file; None when it is unreadable."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None


def same_key(keys: Iterable[tuple[int, Key | None]]) -> list[list[int]]:
    """Return the indices that share a key, as lists of two and more."""
    by_key: dict[Key, list[int]] = {}
    for index, key in keys:
        if key is not None:
            by_key.setdefault(key, []).append(index)
    return [indices for indices in by_key.values() if len(indices) > 1]


def refuse_duplicates(
    sets: Iterable[Sequence[int]],
    entries: Sequence[Entry],
    places: Mapping[str, Place],
    label: Callable[[Entry], int],
) -> dict[int, RejectedError]:
    """Decide for each set of identical files which one stays; return index -> reason for the others.

    The first id stays, of those in train if there are any: an older champion may have been trained on it. When the
    labels disagree none stays. Files without a usable label are left to their own check.
    """
    refused: dict[int, RejectedError] = {}
    for same in sets:
        labelled: dict[int, int] = {}
        for index in same:
            try:
                labelled[index] = label(entries[index])
            except RejectedError:
                continue
        if len(set(labelled.values())) > 1:
            names = ", ".join(f"{entries[index].file} ({labelled[index]})" for index in sorted(labelled))
            for index in labelled:
                refused[index] = RejectedError("conflicting_labels", f"identical files, several labels: {names}")
        elif labelled:
            first = min(labelled, key=lambda index: (SIDES.index(places[entries[index].id].side), entries[index].id))
            for index in labelled.keys() - {first}:
                refused[index] = RejectedError("duplicate", f"identical to {entries[first].file}")
    return refused
