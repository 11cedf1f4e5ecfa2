"""Non-inferiority against published values, a search over the likelihood, exact binomials and simulation."""

import math

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.stats import binom, norm

from tally.gate.noninferiority import (
    independent_photos,
    judge,
    least_photos,
    lower_bound,
    needed_photos,
    power,
    score,
)
from tally.gate.pairs import Pairs

ALPHA, MARGIN = 0.05, 0.005
counts = st.integers(0, 60)


def pairs(lost: npt.ArrayLike, won: npt.ArrayLike, sizes: npt.ArrayLike) -> Pairs:
    """Groups of `sizes` photos that lose and win so many."""
    b, c, n = (np.asarray(values, dtype=np.int64) for values in (lost, won, sizes))
    return Pairs(both=n - b - c, b=b, c=c, neither=np.zeros_like(n))


def single(lost: int, won: int, photos: int) -> Pairs:
    """Every photo its own group."""
    places = np.arange(photos)
    return pairs(places < lost, (places >= lost) & (places < lost + won), np.ones(photos))


def searched_score(lost: int, won: int, photos: int, margin: float) -> float:
    """The definition: the variance where the likelihood of the table is largest under a gain of -margin."""
    neither = photos - lost - won

    def unlikely(chance: float) -> float:
        cells = ((lost, chance), (won, chance - margin), (neither, 1 - 2 * chance + margin))
        return -sum(number * math.log(max(share, 1e-300)) for number, share in cells if number)

    found = minimize_scalar(unlikely, bounds=(margin, (1 + margin) / 2), method="bounded", options={"xatol": 1e-12})
    return (won - lost + photos * margin) / math.sqrt(photos * (2 * found.x - margin - margin**2))


def test_the_interval_is_that_of_r() -> None:
    """PropCIs::scoreci.mp(25, 28, 618, 0.90), Tango's interval in R, is [-0.0148, 0.0247]."""
    assert lower_bound(25, 28, 618, ALPHA) == pytest.approx(-0.0148, abs=5e-5)
    assert -lower_bound(28, 25, 618, ALPHA) == pytest.approx(0.0247, abs=5e-5)


@given(lost=counts, won=counts, more=st.integers(1, 3000), margin=st.floats(0.001, 0.3))
def test_the_statistic_is_where_the_likelihood_has_its_maximum(lost: int, won: int, more: int, margin: float) -> None:
    photos = lost + won + more
    assert score(lost, won, photos, margin) == pytest.approx(searched_score(lost, won, photos, margin), rel=2e-4)


@given(lost=counts, won=counts, more=st.integers(1, 3000), margin=st.floats(0.001, 0.3))
def test_the_test_says_yes_just_where_the_bound_lies_above_the_margin(
    lost: int, won: int, more: int, margin: float
) -> None:
    found = judge(single(lost, won, lost + won + more), margin)
    if abs(found.lower_bound + margin) > 1e-6:
        assert (found.verdict == "non-inferior") == (found.lower_bound > -margin)
    assert -1 <= found.lower_bound <= found.gain
    assert found.p_value == pytest.approx(float(norm.sf(score(lost, won, lost + won + more, margin))))


@given(lost=counts, won=counts, more=st.integers(1, 3000))
def test_a_lost_photo_never_helps_and_a_won_one_never_harms(lost: int, won: int, more: int) -> None:
    photos = lost + won + more
    p = judge(single(lost, won, photos), MARGIN).p_value
    assert judge(single(lost + 1, won, photos), MARGIN).p_value >= p
    assert score(lost, won + 1, photos, 0.05) >= score(lost, won, photos, 0.05) - 0.05


def test_equal_answers_show_it_from_a_number_of_photos_on() -> None:
    fewest = least_photos(MARGIN, ALPHA)
    assert fewest == 539
    assert judge(single(0, 0, fewest), MARGIN).verdict == "non-inferior"
    too_few = judge(single(0, 0, fewest - 1), MARGIN)
    assert too_few.verdict == "underpowered"
    assert too_few.needed_photos >= fewest


def test_a_model_that_loses_more_is_inferior_and_a_small_set_cannot_say() -> None:
    assert judge(single(900, 500, 40_000), MARGIN).verdict == "inferior"
    unsure = judge(single(30, 20, 473), MARGIN)
    assert unsure.verdict == "underpowered"
    assert unsure.needed_photos > 20_000
    assert unsure.as_dict()["gain"] == pytest.approx(-10 / 473)


def test_power_and_number_of_photos_agree_and_hold_in_simulation() -> None:
    wanted, discordant = 0.8, 0.04
    photos = math.ceil(needed_photos(discordant, MARGIN, ALPHA, wanted))
    assert power(photos, discordant, MARGIN, ALPHA) >= wanted > power(photos - 2, discordant, MARGIN, ALPHA)
    tables = np.random.default_rng(0).multinomial(photos, [discordant / 2, discordant / 2, 1 - discordant], 2000)
    shown = [score(lost, won, photos, MARGIN) > norm.isf(ALPHA) for lost, won, _ in tables.tolist()]
    assert np.mean(shown) == pytest.approx(wanted, abs=0.03)


@pytest.mark.parametrize("discordant", [0.02, 0.1])
def test_a_loss_of_just_the_margin_passes_as_rarely_as_promised(discordant: float) -> None:
    photos, lost = 4000, (discordant + MARGIN) / 2
    passed = 0.0
    for b in range(photos):  # exact: every table that the smaller cell makes likely, by the two binomials
        weight = binom.pmf(b, photos, lost)
        if weight < 1e-7:
            continue
        c = np.arange(0, 400)
        chances = binom.pmf(c, photos - b, (lost - MARGIN) / (1 - lost))
        passed += weight * sum(
            chance
            for won, chance in zip(c.tolist(), chances, strict=True)
            if chance > 1e-9 and score(b, won, photos, MARGIN) > norm.isf(ALPHA)
        )
    assert passed == pytest.approx(ALPHA, abs=0.01)


def test_photos_of_a_group_that_agree_are_worth_one() -> None:
    alike = pairs([0, 5, 0, 5] + [0] * 196, [5, 0, 5, 0] + [0] * 196, [5] * 200)
    assert independent_photos(alike) == pytest.approx(1000 / (105 / 21))
    assert independent_photos(single(10, 10, 1000)) == 1000
    assert independent_photos(pairs([0] * 200, [0] * 200, [5] * 200)) == pytest.approx(200), "nothing says otherwise"
    apart = pairs([1] * 20 + [0] * 180, [1] * 20 + [0] * 180, [5] * 200)
    assert independent_photos(apart) == 1000, "never more than there are"
    assert judge(pairs([0], [0], [5000]), MARGIN).verdict == "underpowered", "one group says nothing of others"


def test_groups_that_agree_keep_the_promise_too() -> None:
    """Groups of four whose photos win or lose together, and a true loss of the margin."""
    chance = np.random.default_rng(1)
    groups, lost = 1000, 0.03
    passed = 0
    for _ in range(1000):
        b, c = chance.multinomial(groups, [lost, lost - MARGIN, 1 - 2 * lost + MARGIN])[:2]
        sizes = np.full(groups, 4)
        places = np.arange(groups)
        found = judge(pairs(4 * (places < b), 4 * ((places >= b) & (places < b + c)), sizes), MARGIN)
        passed += found.verdict == "non-inferior"
    assert passed / 1000 <= 0.07, "0.05 and two standard errors"


@pytest.mark.parametrize(("margin", "alpha"), [(0, 0.05), (1, 0.05), (0.005, 0), (0.005, 1), (math.nan, 0.05)])
def test_a_margin_or_level_that_means_nothing_is_refused(margin: float, alpha: float) -> None:
    with pytest.raises(ValueError, match="must be between 0 and 1"):
        judge(single(1, 1, 10), margin, alpha)


def test_weighed_photos_are_refused() -> None:
    weighed = Pairs.of([0, 1], [0, 1], [0, 0], ["a", "b"], weighed=True)
    with pytest.raises(ValueError, match="without weights"):
        judge(weighed, MARGIN)
