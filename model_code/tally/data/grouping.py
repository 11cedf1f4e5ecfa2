"""Which photos belong together, and on which side of the split they live: a pure function of ids and groups.

Neighbouring ids are often one bin before and after a pick, so a photo's side never depends on the photo itself, nor on
what else is in the data. Two roads lead to a side:

- no explicit group: an id is `<prefix><digits>`; its number lies in a block of 20, ten blocks form a cycle, and a hash
  of prefix and cycle picks one block for test and one for validation. At a border between two sides the two nearest
  numbers of the less precious side are set aside (`guard`), so ids at most 2 apart never face each other.
- an explicit group: the hash of the group decides. Groups do not follow the numbers, so where photos at most 2 apart
  land on different sides the one nearer to evaluation is set aside, never the one in train: an older champion may have
  been trained on it.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

SIDES: tuple[str, ...] = ("train", "validation", "test")
"""From the least to the most precious."""

REACH = 2
"""Ids at most this far apart may show the same bin."""

BLOCK = 20
CYCLE = 10

# Changing the salt moves every photo: champions would be judged on photos they were trained on.
_SALT = "tally/split/1"
_ID = re.compile(r"(.*?)([0-9]+)", re.ASCII | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a photo lives. `guard`: set aside because it is too near to another side, never used."""

    group: str
    side: str
    guard: bool = False


def parse_id(photo_id: str) -> tuple[str, int] | None:
    """Split an id into prefix and number (the run of ASCII digits at its end); None without digits at the end."""
    match = _ID.fullmatch(photo_id)
    return (match[1], int(match[2])) if match else None


def place_by_block(photo_id: str) -> Place:
    """Place a photo that has no explicit group."""
    parsed = parse_id(photo_id)
    if parsed is None:
        return Place(f"id:{photo_id}", _hashed_side("id", photo_id))
    prefix, number = parsed
    side = _block_side(prefix, number)
    neighbours = (_block_side(prefix, number + step) for step in range(-REACH, REACH + 1) if number + step >= 0)
    guard = any(SIDES.index(other) > SIDES.index(side) for other in neighbours)
    return Place(f"block:{prefix}{number // BLOCK}", side, guard)


def place_by_group(group: str) -> Place:
    """Place a photo of an explicit group, before its neighbours are looked at."""
    return Place(f"csv:{group}", _hashed_side("csv", group))


def place_all(ids: Iterable[str], groups: Mapping[str, str]) -> dict[str, Place]:
    """Place every photo. `groups` holds the explicit group of those ids that have one.

    Only ids and groups decide, not whether a photo turns out to be usable, so every instance of a job comes to the same
    answer without talking to the others. More photos can set a photo aside; they never move one to another side.
    """
    places = {key: place_by_group(groups[key]) if key in groups else place_by_block(key) for key in ids}
    if groups:
        _guard_neighbours(places)
    return places


def _guard_neighbours(places: dict[str, Place]) -> None:
    by_number: dict[tuple[str, int], list[str]] = {}
    for key, place in places.items():
        parsed = parse_id(key)
        if parsed is not None and not place.guard:
            by_number.setdefault(parsed, []).append(key)
    aside: list[str] = []
    for (prefix, number), keys in by_number.items():
        near = [key for step in range(-REACH, REACH + 1) for key in by_number.get((prefix, number + step), ())]
        least = min(SIDES.index(places[key].side) for key in near)
        aside += [key for key in keys if SIDES.index(places[key].side) > least]
    for key in aside:
        places[key] = Place(places[key].group, places[key].side, guard=True)


def _block_side(prefix: str, number: int) -> str:
    cycle, position = divmod(number // BLOCK, CYCLE)
    test, validation = _drawn_blocks(prefix, cycle)
    return {test: "test", validation: "validation"}.get(position, "train")


@lru_cache(maxsize=4096)
def _drawn_blocks(prefix: str, cycle: int) -> tuple[int, int]:
    """Positions of the test and the validation block in a cycle; cached since a cycle holds up to 200 photos."""
    draw = stable_hash("cycle", prefix, str(cycle))
    test = draw % CYCLE
    return test, (test + 1 + draw // CYCLE % (CYCLE - 1)) % CYCLE


def _hashed_side(kind: str, name: str) -> str:
    return {0: "test", 1: "validation"}.get(stable_hash(kind, name) % 10, "train")


def stable_hash(*words: str) -> int:
    """A 64-bit number that is the same on every machine and in every release."""
    # Length prefixes keep ("a", "bc") and ("ab", "c") apart; lone surrogates stand for file names that are not UTF-8.
    text = "".join(f"{len(word)}:{word}" for word in (_SALT, *words))
    return int.from_bytes(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:8], "big")
