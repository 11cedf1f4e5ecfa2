"""Who lives on which side: properties that hold for any ids, and for the real ones."""

import csv
import re
from collections import Counter
from collections.abc import Mapping

from hypothesis import given, settings
from hypothesis import strategies as st

from tally.data.grouping import SIDES, Place, parse_id, place_all, place_by_block, place_by_group
from tests.shared import shared_dir

PREFIXES = ("", "0", "000", "a", "IMG_", "bin-7-", "é", "٣", "１", " ", "-")


@st.composite
def crowded_ids(draw: st.DrawFn) -> set[str]:
    """Ids in dense runs, with several prefixes and with leading zeros, where borders are likely."""
    ids: set[str] = set()
    for _ in range(draw(st.integers(1, 4))):
        prefix = draw(st.sampled_from(PREFIXES))
        start = draw(st.one_of(st.integers(0, 2000), st.integers(0, 10**40)))
        for step in draw(st.sets(st.integers(0, 60), min_size=1, max_size=25)):
            ids.add(prefix + str(start + step).zfill(draw(st.integers(1, 6))))
    return ids | draw(st.sets(st.text(max_size=4), max_size=3))


@st.composite
def grouped_ids(draw: st.DrawFn) -> tuple[set[str], dict[str, str]]:
    """Ids of which some have an explicit group that does not follow the numbers."""
    ids = draw(crowded_ids())
    chosen = draw(st.sets(st.sampled_from(sorted(ids))))
    return ids, {key: draw(st.sampled_from("abcdefghijklmnop")) for key in sorted(chosen)}


def facing_neighbours(places: Mapping[str, Place]) -> list[tuple[str, str]]:
    """Pairs of usable ids at most 2 apart on different sides, found without the code under test."""
    by_number: dict[tuple[str, int], list[str]] = {}
    for key, place in places.items():
        match = re.fullmatch(r"(.*?)([0123456789]+)", key, re.DOTALL)
        if match and not place.guard:
            by_number.setdefault((match[1], int(match[2])), []).append(key)
    return [
        (one, other)
        for (prefix, number), keys in by_number.items()
        for step in (0, 1, 2)
        for one in keys
        for other in by_number.get((prefix, number + step), [])
        if places[one].side != places[other].side
    ]


@given(crowded_ids())
def test_ids_at_most_two_apart_never_face_each_other(ids: set[str]) -> None:
    assert facing_neighbours(place_all(ids, {})) == []


@given(grouped_ids())
def test_explicit_groups_do_not_let_neighbours_face_each_other_either(data: tuple[set[str], dict[str, str]]) -> None:
    ids, groups = data
    assert facing_neighbours(place_all(ids, groups)) == []


@given(grouped_ids(), crowded_ids())
def test_more_photos_never_move_a_photo(data: tuple[set[str], dict[str, str]], more: set[str]) -> None:
    ids, groups = data
    before, after = place_all(ids, groups), place_all(ids | more, groups)
    assert all(after[key].side == before[key].side and after[key].group == before[key].group for key in ids)
    assert all(after[key].guard for key in ids if before[key].guard)


@given(crowded_ids(), crowded_ids())
def test_without_groups_more_photos_change_nothing_at_all(ids: set[str], more: set[str]) -> None:
    after = place_all(ids | more, {})
    assert all(after[key] == place for key, place in place_all(ids, {}).items())


@given(grouped_ids())
def test_an_explicitly_grouped_train_photo_is_never_set_aside(data: tuple[set[str], dict[str, str]]) -> None:
    ids, groups = data
    places = place_all(ids, groups)
    assert not [key for key in groups if places[key].guard and places[key].side == "train"]


@given(st.integers(0, 10**30), st.sampled_from(PREFIXES))
def test_a_group_lies_on_one_side(number: int, prefix: str) -> None:
    first = number // 20 * 20
    places = [place_by_block(f"{prefix}{first + step}") for step in range(20)]
    assert len({(place.group, place.side) for place in places}) == 1


def test_ids_that_differ_in_leading_zeros_are_two_photos_of_one_block() -> None:
    places = place_all(["01044", "1044"], {})
    assert len(places) == 2
    assert places["01044"] == places["1044"]


def test_only_ascii_digits_make_a_number() -> None:
    assert parse_id("bin٣") is None
    assert parse_id("bin²") is None
    assert parse_id("٣12") == ("٣", 12)
    assert parse_id("12a") is None
    assert parse_id("") is None


def test_an_id_without_digits_is_a_group_of_its_own() -> None:
    assert place_by_block("shelf").group == "id:shelf"


def test_sides_take_80_10_10_percent_of_blocks() -> None:
    sides = Counter(place_by_block(str(number)).side for number in range(0, 200_000, 20))
    assert sides == {"train": 8000, "validation": 1000, "test": 1000}


def test_sides_take_about_80_10_10_percent_of_explicit_groups_and_of_names() -> None:
    for place in (place_by_group, place_by_block):
        sides = Counter(place(f"group-{number}x").side for number in range(10_000))
        assert 7850 < sides["train"] < 8150
        assert 900 < sides["validation"] < 1100
        assert 900 < sides["test"] < 1100


def test_borders_cost_less_than_a_twentieth_of_the_photos() -> None:
    places = [place_by_block(str(number)) for number in range(20_000)]
    guard = [place for place in places if place.guard]
    assert len(guard) < 1000
    assert "test" not in {place.side for place in guard}


def test_the_split_is_the_same_for_ever() -> None:
    """A change here moves photos between sides: every champion would be judged on photos it was trained on."""
    blocks = "".join(place_by_block(str(20 * block + 10)).side[1] for block in range(40))
    assert blocks == "errrrrrarrrarrrrrrerrrrarrrrrerrerrrrrra"
    groups = "".join(place_by_group(str(group)).side[1] for group in range(40))
    assert groups == "rarrrrrrrrerrrrrarrrrrrerrrrrrrrerrrarra"


@settings(max_examples=5)
@given(st.randoms())
def test_the_order_of_the_photos_does_not_matter(random: object) -> None:
    ids = [str(number) for number in range(300)]
    groups = {key: str(int(key) % 7) for key in ids[100:200]}
    shuffled = list(ids)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert place_all(shuffled, groups) == place_all(ids, groups)


def test_no_real_neighbours_face_each_other_with_and_without_groups() -> None:
    with (shared_dir("abid") / "labels.csv").open(newline="") as file:
        groups = {row["image_id"]: row["group"] for row in csv.DictReader(file)}
    for explicit in ({}, groups):
        places = place_all(groups, explicit)
        assert facing_neighbours(places) == []
        used = Counter(place.side for place in places.values() if not place.guard)
        assert sum(used.values()) > 0.95 * len(groups)
        assert used["validation"] > 400
        assert used["test"] > 400
        assert set(used) == set(SIDES)


def test_without_guard_real_neighbours_would_face_each_other() -> None:
    """The proof above is not empty."""
    with (shared_dir("abid") / "labels.csv").open(newline="") as file:
        ids = [row["image_id"] for row in csv.DictReader(file)]
    unguarded = {key: Place(place.group, place.side) for key, place in place_all(ids, {}).items()}
    assert len(facing_neighbours(unguarded)) > 50
