"""Ratios, tables and choices of `make bench-serving`."""

import pytest

from benchmarks.in_turns import ratios
from benchmarks.serving.report import agreement, result, sentences, table
from benchmarks.serving.rounds import Entry, Figures
from benchmarks.serving.servers import SERVERS, Setup

OURS, FLASK, CONTROL, LITSERVE = SERVERS[:4]
CLIENTS = (4, 16)


def figures(rate: float, memory: float, start: float, counts: list[int | None]) -> Figures:
    """Three rounds around `rate`."""
    rates = [rate, 1.1 * rate, 0.9 * rate]
    return Figures(
        "2 x 1",
        rates=dict.fromkeys(CLIENTS, rates),
        p50=dict.fromkeys(CLIENTS, [10.0] * 3),
        p99=dict.fromkeys(CLIENTS, [15.0] * 3),
        memory=[memory] * 3,
        start=[start] * 3,
        counts=counts,
    )


ENTRIES = [
    Entry(OURS, Setup(), headline=True),
    Entry(FLASK, Setup(2, 1), headline=True),
    Entry(FLASK, Setup(), headline=False),
    Entry(CONTROL, Setup(2, 1), headline=True),
    Entry(LITSERVE, Setup(2, 1), headline=True),
]
FOUND = dict(
    zip(
        (entry.name for entry in ENTRIES),
        (
            figures(200, 100, 0.5, [1, 2, 3, None]),
            figures(50, 1000, 8, [1, 2, 3, 4]),
            figures(500, 10, 0.1, [1, 2, 3, 4]),
            figures(160, 200, 0.6, [1, 2, 3, 4]),
            figures(80, 1500, 20, [1, 2, 2, 4]),
        ),
        strict=True,
    )
)


def test_a_ratio_is_taken_within_the_round() -> None:
    assert ratios([10, 20, 60], [5, 5, 20]) == (3.0, 2.0, 4.0)
    with pytest.raises(ValueError, match="zip"):
        ratios([1], [1, 2])


def test_no_answer_agrees_with_nothing() -> None:
    assert agreement([1, 2, None, None], [1, 3, None, 4]) == 0.25


def test_the_headline_is_the_best_tuned_peer_and_never_a_default_or_the_control() -> None:
    found = result(ENTRIES, FOUND, [250.0] * 3)
    assert {clients: best["peer"] for clients, best in found["best_peer"].items()} == dict.fromkeys(CLIENTS, "LitServe")
    assert found["best_peer"][4]["ratio"][0] == pytest.approx(2.5)
    assert found["control"][16][0] == pytest.approx(1.25)
    assert (found["memory"]["peer"], found["start"]["peer"]) == (FLASK.name, FLASK.name)
    assert found["memory"]["ratio"][0] == pytest.approx(0.1)
    assert found["of_the_limit"][4] == pytest.approx((0.8, 0.72, 0.88))
    said = "\n".join(sentences(found))
    assert "2.50 times (2.50 to 2.50) the requests/s of the best peer, LitServe" in said
    assert "80% of the limit" in said
    assert "1 / 10.0 of the memory" in said
    assert "1 / 16.0 of the time to the first answer" in said


def test_the_table_shows_every_entry_with_medians_and_ranges() -> None:
    lines = table(result(ENTRIES, FOUND, [250.0] * 3), CLIENTS).splitlines()
    assert [line.split(" | ")[0].strip("| ") for line in lines[2:-1]] == [entry.name for entry in ENTRIES]
    assert (
        "| 200 (180 to 220) | 200 (180 to 220) | 10 / 15 | 100 (100 to 100) | 0.5 (0.5 to 0.5) | 75.0% | 0 |"
        in lines[2]
    )
    assert len({line.count("|") for line in lines}) == 1


def test_ours_alone_is_a_result_too() -> None:
    found = result(ENTRIES[:1], FOUND | {}, [250.0] * 3)
    assert "best_peer" not in found
    assert sentences(found)
