"""Finds photos that are nearly the same, by their difference hashes, in near-linear time.

Two 64-bit numbers that differ in at most d bits agree in whole blocks: cut into d + m blocks, at least m of them are
equal. So for every choice of m blocks the hashes are sorted by these blocks, and only those that agree there are
compared in full (Manku, Jain, Das Sarma: "Detecting near-duplicates for web crawling", WWW 2007).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt

DISTANCE = 5
"""Most bits of 64 in which the hashes of two near-duplicates may differ, for the rows' and the columns' hash each.
Of 1,500 copies of 250 real photos (50-130% of the size, JPEG quality 35-80) 97% stay within 5; of 10.7 million pairs of
4,637 different photos none comes that near, and one within 6: half a million photos give some thousand pairs by chance,
and the list begins with the nearest."""

_BLOCKS = DISTANCE + 3
"""8 blocks of 8 bits, of which at least 3 agree: 56 sorts, each comparing only what shares 24 bits."""

WINDOW = 1000
"""Most photos of one bucket that each photo is compared with. Thousands of photos that share a bucket are pictures of
nothing (a covered lens); what is left out is counted."""

MOST_PAIRS = 1_000_000
"""Pairs at most, so that memory is bounded whatever the photos; what is left out is counted."""

Hashes = npt.NDArray[np.uint64]
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class NearPairs:
    """`first` < `second` [m]: positions of the photos; `distance` [m]: bits of 128 in which they differ.

    `left_out`: comparisons that were not made, or pairs not kept, because too many photos are alike.
    """

    first: Integers
    second: Integers
    distance: Integers
    left_out: int

    def __len__(self) -> int:
        return len(self.first)


def find_near_pairs(rows_hash: Hashes, columns_hash: Hashes, distance: int = DISTANCE) -> NearPairs:
    """Return pairs of photos whose hashes [n] differ in at most `distance` (0-5) bits each.

    Of photos with the very same hashes each is paired with the first only, and of two such sets the first of each
    with all of the other: a thousand copies give a thousand pairs, not half a million. Still, of two near-duplicates
    of different kinds (labels, sides of the split) at least one is in a pair of different kinds: either one differs
    from the first of the other's set, or else the other one differs from the first of its own.
    """
    if not 0 <= distance <= DISTANCE:
        raise ValueError(f"distance is {distance}; it must be from 0 to {DISTANCE}")
    both = np.stack([rows_hash, columns_hash], axis=1) if len(rows_hash) else np.zeros((0, 2), dtype=np.uint64)
    unique, inverse, sizes = np.unique(both, axis=0, return_inverse=True, return_counts=True)
    members = np.argsort(inverse.reshape(-1), kind="stable")
    ends = np.cumsum(sizes)
    starts = ends - sizes

    near, left_out = _near(unique, distance)
    pairs = [_copies(members, starts, ends, np.nonzero(sizes > 1)[0])]
    pairs += [_between(members, starts, ends, a, b) for a, b in near.tolist()]
    joined = np.unique(np.sort(np.concatenate([np.zeros((0, 2), dtype=np.int64), *pairs]), axis=1), axis=0)
    first, second = joined[:, 0], joined[:, 1]
    differ = np.bitwise_count(rows_hash[first] ^ rows_hash[second]).astype(np.int64)
    differ += np.bitwise_count(columns_hash[first] ^ columns_hash[second])
    return NearPairs(first, second, differ, left_out)


def _near(unique: npt.NDArray[np.uint64], distance: int) -> tuple[Integers, int]:
    """Pairs [m, 2] of different hashes within `distance`, and how many comparisons were left out."""
    rows, columns = np.ascontiguousarray(unique[:, 0]), np.ascontiguousarray(unique[:, 1])
    pairs = np.zeros((0, 2), dtype=np.int64)
    left_out = 0
    for mask in _masks():
        keys = rows & mask
        order = np.argsort(keys, kind="stable")
        keys, sorted_rows, sorted_columns = keys[order], rows[order], columns[order]
        at, found, room = np.arange(len(keys)), [pairs], MOST_PAIRS - len(pairs)
        for step in range(1, WINDOW + 1):
            at = at[: np.searchsorted(at, len(keys) - step)]
            at = at[keys[at] == keys[at + step]]
            if not len(at):
                break
            close = at[np.bitwise_count(sorted_rows[at] ^ sorted_rows[at + step]) <= distance]
            close = close[np.bitwise_count(sorted_columns[close] ^ sorted_columns[close + step]) <= distance]
            left_out += max(0, len(close) - room)
            close = close[:room]
            room -= len(close)
            found.append(np.stack([order[close], order[close + step]], axis=1))
        pairs = np.unique(np.sort(np.concatenate(found), axis=1), axis=0)
        left_out += _beyond_the_window(keys)
    return pairs, left_out


def _masks() -> Iterator[np.uint64]:
    """One for each choice of the blocks that agree."""
    bits = 64 // _BLOCKS
    for blocks in combinations(range(_BLOCKS), _BLOCKS - DISTANCE):
        yield np.uint64(sum(((1 << bits) - 1) << (bits * block) for block in blocks))


def _beyond_the_window(keys: Hashes) -> int:
    sizes = np.diff(np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1], [True]]))) if len(keys) else keys
    more = np.maximum(sizes.astype(np.int64) - 1 - WINDOW, 0)
    return int((more * (more + 1) // 2).sum())


def _copies(members: Integers, starts: Integers, ends: Integers, sets: Integers) -> Integers:
    """Each photo of a set of equal hashes with the first of it."""
    pairs = [(members[starts[at]], other) for at in sets for other in members[starts[at] + 1 : ends[at]]]
    return np.array(pairs, dtype=np.int64).reshape(-1, 2)


def _between(members: Integers, starts: Integers, ends: Integers, a: int, b: int) -> Integers:
    """The first of either set with all of the other."""
    left, right = members[starts[a] : ends[a]], members[starts[b] : ends[b]]
    pairs = [(left[0], other) for other in right] + [(other, right[0]) for other in left[1:]]
    return np.array(pairs, dtype=np.int64)
