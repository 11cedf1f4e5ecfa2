"""How much the source says about the count, against scipy."""

import numpy as np
import pytest
from scipy.stats import contingency

from tally.data.association import TellTale, cramers_v, source_effect, tell_tale_sources

TABLES = [
    [[10, 20, 30, 5, 5], [30, 5, 10, 20, 5], [7, 7, 7, 7, 7]],
    [[100, 0, 0, 0, 0], [0, 50, 50, 50, 50]],
    [[1, 2], [3, 4]],
]


@pytest.mark.parametrize("table", TABLES)
def test_cramers_v_is_scipys(table: list[list[int]]) -> None:
    expected = contingency.association(np.array(table), method="cramer")
    assert cramers_v(np.array(table)) == pytest.approx(expected)


def test_empty_rows_and_columns_do_not_count() -> None:
    assert cramers_v(np.array([[5, 0, 1], [0, 0, 0], [1, 0, 5]])) == pytest.approx(
        cramers_v(np.array([[5, 1], [1, 5]]))
    )


@pytest.mark.parametrize("table", [[[3, 4, 5]], [[3], [4]], [[0, 0], [1, 2]], [[0, 0], [0, 0]]])
def test_one_source_or_one_count_tells_nothing(table: list[list[int]]) -> None:
    assert cramers_v(np.array(table)) == 0


def test_a_source_that_gives_the_count_away_is_named_with_its_effect() -> None:
    even = {(name, count): 20 for name in ("a", "b", "c") for count in range(1, 6)}
    effect = source_effect(even | {("odd", 3): 100})
    assert effect is not None
    assert list(effect.apart) == ["odd"]
    assert effect.cramers_v == pytest.approx(
        contingency.association(np.array([[20] * 5] * 3 + [[0, 0, 100, 0, 0]]), method="cramer")
    )
    assert effect.guess_with_source == pytest.approx((3 * 20 + 100) / 400)
    assert effect.guess_without == pytest.approx(160 / 400)


def test_equal_mixes_have_no_effect_and_a_source_of_few_photos_is_not_named() -> None:
    even = {(name, count): 20 for name in ("a", "b") for count in range(1, 6)}
    effect = source_effect(even | {("tiny", 1): 8})
    assert effect is not None
    assert effect.apart == {}
    assert source_effect(even).cramers_v == pytest.approx(0)  # type: ignore[union-attr]


def test_one_source_alone_is_no_question() -> None:
    assert source_effect({("", 1): 5, ("", 2): 5}) is None
    assert source_effect({("a", 1): 5, ("b", 1): 5}) is None


def test_a_count_that_comes_from_one_source_is_told_and_a_large_source_is_not() -> None:
    large = {("large", count): 95 for count in range(1, 6)} | {("small", count): 5 for count in range(1, 6)}
    assert tell_tale_sources(large) == []
    assert tell_tale_sources(large | {("small", 2): 0}) == [], "all of the twos are from where nearly all photos are"
    odd = {("even", count): 100 for count in (1, 2, 4, 5)} | {("even", 3): 10, ("odd", 3): 90}
    assert tell_tale_sources(odd) == [TellTale(3, "odd", 90, 100, 90 / 500)]
    assert tell_tale_sources({}) == []
