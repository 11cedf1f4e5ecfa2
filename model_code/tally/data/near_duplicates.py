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
nothing (a covered lens)."""

MOST_PAIRS = 1_000_000
"""Pairs at most, so that memory is bounded whatever the photos."""

Hashes = npt.NDArray[np.uint64]
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class NearPairs:
    """`first` < `second` [m]: positions of the photos; `distance` [m]: bits of 128 in which they differ.

    `complete` is False when too many photos are alike: pairs may be missing.
    """

    first: Integers
    second: Integers
    distance: Integers
    complete: bool

    def __len__(self) -> int:
        return len(self.first)


def find_near_pairs(rows_hash: Hashes, columns_hash: Hashes) -> NearPairs:
    """Return pairs of photos whose hashes [n] differ in at most DISTANCE bits each, MOST_PAIRS of them at most.

    Of photos with the very same hashes each is paired with the first only, and of two such sets the first of each
    with all of the other: a thousand copies give a thousand pairs, not half a million. Still, of two near-duplicates
    of different kinds (labels, sides of the split) at least one is in a pair of different kinds: either one differs
    from the first of the other's set, or else the other one differs from the first of its own.
    """
    both = np.stack([rows_hash, columns_hash], axis=1) if len(rows_hash) else np.zeros((0, 2), dtype=np.uint64)
    unique, inverse, sizes = np.unique(both, axis=0, return_inverse=True, return_counts=True)
    members = np.argsort(inverse.reshape(-1), kind="stable")
    ends = np.cumsum(sizes)
    starts = ends - sizes

    near, complete = _near(unique)
    copies = _copies(members, starts, ends, np.nonzero(sizes > 1)[0])
    fits = len(copies) + np.cumsum(sizes[near].sum(axis=1) - 1) <= MOST_PAIRS
    complete = complete and len(copies) <= MOST_PAIRS and bool(fits.all())
    pairs = [copies[:MOST_PAIRS], *(_between(members, starts, ends, a, b) for a, b in near[fits].tolist())]
    joined = np.unique(np.sort(np.concatenate(pairs), axis=1), axis=0)
    first, second = joined[:, 0], joined[:, 1]
    differ = np.bitwise_count(rows_hash[first] ^ rows_hash[second]).astype(np.int64)
    differ += np.bitwise_count(columns_hash[first] ^ columns_hash[second])
    return NearPairs(first, second, differ, complete)


def _near(unique: npt.NDArray[np.uint64]) -> tuple[Integers, bool]:
    """Pairs [m, 2] of different hashes within DISTANCE, and whether these are all."""
    rows, columns = np.ascontiguousarray(unique[:, 0]), np.ascontiguousarray(unique[:, 1])
    found = np.zeros(0, dtype=np.int64)  # smaller * n + larger position of each pair, in order
    complete = True
    for mask in _masks():
        keys = rows & mask
        order = np.argsort(keys, kind="stable")
        keys, sorted_rows, sorted_columns = keys[order], rows[order], columns[order]
        at, fresh, room = np.arange(len(keys)), [found], MOST_PAIRS - len(found)
        for step in range(1, WINDOW + 2):
            at = at[: np.searchsorted(at, len(keys) - step)]
            at = at[keys[at] == keys[at + step]]
            if not len(at):
                break
            if step > WINDOW:
                complete = False
                break
            close = at[np.bitwise_count(sorted_rows[at] ^ sorted_rows[at + step]) <= DISTANCE]
            close = close[np.bitwise_count(sorted_columns[close] ^ sorted_columns[close + step]) <= DISTANCE]
            one, other = order[close], order[close + step]
            codes = np.minimum(one, other) * len(unique) + np.maximum(one, other)
            codes = codes[~_among(codes, found)]
            complete = complete and len(codes) <= room
            fresh.append(codes[:room])
            room -= len(fresh[-1])
        found = np.sort(np.concatenate(fresh))
    return np.stack(np.divmod(found, max(1, len(unique))), axis=1), complete


def _among(codes: Integers, ordered: Integers) -> npt.NDArray[np.bool_]:
    """Which of `codes` are in `ordered`; numpy's isin would sort both at every step."""
    at = np.searchsorted(ordered, codes)
    there: npt.NDArray[np.bool_] = np.append(ordered, -1)[at] == codes
    return there


def _masks() -> Iterator[np.uint64]:
    """One for each choice of the blocks that agree."""
    bits = 64 // _BLOCKS
    for blocks in combinations(range(_BLOCKS), _BLOCKS - DISTANCE):
        yield np.uint64(sum(((1 << bits) - 1) << (bits * block) for block in blocks))


def _copies(members: Integers, starts: Integers, ends: Integers, sets: Integers) -> Integers:
    """Each photo of a set of equal hashes with the first of it."""
    pairs = [(members[starts[at]], other) for at in sets for other in members[starts[at] + 1 : ends[at]]]
    return np.array(pairs, dtype=np.int64).reshape(-1, 2)


def _between(members: Integers, starts: Integers, ends: Integers, a: int, b: int) -> Integers:
    """The first of either set with all of the other."""
    left, right = members[starts[a] : ends[a]], members[starts[b] : ends[b]]
    pairs = [(left[0], other) for other in right] + [(other, right[0]) for other in left[1:]]
    return np.array(pairs, dtype=np.int64)
