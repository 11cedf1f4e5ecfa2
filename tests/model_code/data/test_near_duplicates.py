"""The search for near-duplicates against comparing everything with everything."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from tally.data import near_duplicates
from tally.data.near_duplicates import DISTANCE, find_near_pairs

Hashes = np.ndarray


def brute_force(rows: Hashes, columns: Hashes) -> set[tuple[int, int]]:
    return {
        (a, b)
        for a in range(len(rows))
        for b in range(a + 1, len(rows))
        if int(rows[a] ^ rows[b]).bit_count() <= DISTANCE and int(columns[a] ^ columns[b]).bit_count() <= DISTANCE
    }


def flip(value: int, bits: list[int]) -> int:
    for bit in bits:
        value ^= 1 << bit
    return value


def pairs_of(rows: Hashes, columns: Hashes) -> set[tuple[int, int]]:
    found = find_near_pairs(rows, columns)
    assert found.complete
    return set(zip(found.first.tolist(), found.second.tolist(), strict=True))


words = st.integers(0, 2**64 - 1)
near = st.tuples(st.integers(0, 5), st.lists(st.integers(0, 63), max_size=7), st.lists(st.integers(0, 63), max_size=7))


@given(st.lists(st.tuples(words, words), min_size=6, max_size=6), st.lists(near, max_size=24))
@settings(max_examples=60)
def test_pairs_of_different_hashes_are_those_of_brute_force(
    seeds: list[tuple[int, int]], others: list[tuple[int, list[int], list[int]]]
) -> None:
    made = {*seeds, *((flip(seeds[at][0], a), flip(seeds[at][1], b)) for at, a, b in others)}
    both = np.array(sorted(made), dtype=np.uint64)
    assert pairs_of(both[:, 0], both[:, 1]) == brute_force(both[:, 0], both[:, 1])


@given(
    arrays.arrays(np.uint64, st.integers(0, 30), elements=st.sampled_from([0, 1, 3, 2**63, 2**64 - 1, 0xFF])),
    st.lists(st.integers(0, 2), min_size=30, max_size=30),
)
@settings(max_examples=60)
def test_every_conflict_among_copies_shows_in_a_listed_pair(rows: Hashes, kinds: list[int]) -> None:
    columns = np.zeros_like(rows)
    listed = pairs_of(rows, columns)
    everything = brute_force(rows, columns)
    assert listed <= everything
    conflicts = {photo for pair in listed for photo in pair if kinds[pair[0]] != kinds[pair[1]]}
    for first, second in everything:
        assert {first, second} & {photo for pair in listed for photo in pair}
        if kinds[first] != kinds[second]:
            assert {first, second} & conflicts


def test_the_distance_is_that_of_both_hashes() -> None:
    rows, columns = np.array([0, 0b111, 2**63], dtype=np.uint64), np.array([0, 0b11, 0], dtype=np.uint64)
    found = find_near_pairs(rows, columns)
    assert list(zip(found.first.tolist(), found.second.tolist(), found.distance.tolist(), strict=True)) == [
        (0, 1, 5),
        (0, 2, 1),
        (1, 2, 6),
    ]


def test_a_thousand_copies_give_a_thousand_pairs() -> None:
    same = np.full(1001, 7, dtype=np.uint64)
    assert len(find_near_pairs(same, same)) == 1000


def test_photos_that_are_left_uncompared_are_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(near_duplicates, "WINDOW", 3)
    rows, columns = np.arange(6, dtype=np.uint64), np.zeros(6, dtype=np.uint64)  # all agree in all blocks but one
    found = find_near_pairs(rows, columns)
    assert (len(found), len(brute_force(rows, columns))) == (12, 15)
    assert not found.complete


def test_a_window_that_reaches_the_last_photo_leaves_nothing_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(near_duplicates, "WINDOW", 5)
    rows = np.arange(6, dtype=np.uint64)
    assert len(pairs_of(rows, np.zeros_like(rows))) == 15


@pytest.mark.parametrize(("most", "complete"), [(14, False), (15, True)])
def test_more_pairs_than_are_kept_are_told_of(monkeypatch: pytest.MonkeyPatch, most: int, complete: bool) -> None:
    monkeypatch.setattr(near_duplicates, "MOST_PAIRS", most)
    rows = np.arange(6, dtype=np.uint64)
    found = find_near_pairs(rows, np.zeros_like(rows))
    assert (len(found), found.complete) == (most, complete)


@pytest.mark.parametrize("most", [10, 24, 50])
def test_copies_count_as_pairs_too(monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    """Six hashes five times each: 24 pairs of copies, and 9 for each of the 15 pairs of hashes."""
    rows = np.repeat(np.arange(6, dtype=np.uint64), 5)
    assert len(pairs_of(rows, np.zeros_like(rows))) == 24 + 15 * 9
    monkeypatch.setattr(near_duplicates, "MOST_PAIRS", most)
    found = find_near_pairs(rows, np.zeros_like(rows))
    assert most - 9 < len(found) <= most
    assert not found.complete


def test_ten_times_the_photos_take_not_much_more_than_ten_times_as_long() -> None:
    """Comparing all with all would take a hundred times as long."""
    random = np.random.default_rng(0)

    def seconds(photos: int) -> float:
        rows, columns = random.integers(0, 2**64, (2, photos), dtype=np.uint64)
        rows[:50], columns[:50] = rows[50:100], columns[50:100]
        started = time.process_time()
        assert len(find_near_pairs(rows, columns)) == 50
        return time.process_time() - started

    seconds(1000)
    few, many = min(seconds(10_000) for _ in range(2)), seconds(100_000)
    assert many < 40 * few
