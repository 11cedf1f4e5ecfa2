"""Measures of drift against scipy, by hand, and by simulation."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial import distance as oracle

from tally.data.looks import ROW
from tally.data.profile import Profile, profile_of
from tally.evaluation.drift import compare, jensen_shannon, population_stability_index, psi_by_chance


def test_the_stability_index_is_the_one_computed_by_hand() -> None:
    before, after = np.array([50, 30, 20]), np.array([100, 80, 20])
    # (.5 - .5) ln 1 + (.4 - .3) ln(.4 / .3) + (.1 - .2) ln(.1 / .2)
    assert population_stability_index(before, after) == pytest.approx(0.1 * 0.2876820724 + 0.1 * 0.6931471806)


def test_an_empty_bin_counts_as_half_a_photo_and_one_that_is_empty_in_both_not_at_all() -> None:
    before, after = np.array([9, 0, 1]), np.array([9, 0, 0])
    old, new = np.array([9.5, 1.5]) / 11, np.array([9.5, 0.5]) / 10
    expected = ((new - old) * np.log(new / old)).sum()
    assert population_stability_index(before, after) == pytest.approx(expected)
    assert population_stability_index(np.array([4, 0, 6]), np.array([8, 0, 12])) == pytest.approx(0)


@given(st.integers(2, 12).flatmap(lambda n: st.tuples(*[st.lists(st.integers(1, 999), min_size=n, max_size=n)] * 2)))
def test_distances_are_scipys_symmetric_and_never_negative(pair: tuple[list[int], list[int]]) -> None:
    one, other = (np.array(numbers) for numbers in pair)
    assert jensen_shannon(one, other) == pytest.approx(oracle.jensenshannon(one, other, base=2), nan_ok=False)
    assert population_stability_index(one, other) == pytest.approx(population_stability_index(other, one))
    assert population_stability_index(one, other) >= 0


def test_what_chance_makes_of_the_index_is_exceeded_by_five_in_a_hundred_samples_without_drift() -> None:
    random = np.random.default_rng(0)
    shares = np.array([0.4, 0.3, 0.2, 0.1])
    before, after = random.multinomial(400, shares, 3000), random.multinomial(150, shares, 3000)
    above = [
        population_stability_index(old, new) > psi_by_chance(old, new) for old, new in zip(before, after, strict=True)
    ]
    assert 0.03 < np.mean(above) < 0.07


def grouped_profile(random: np.random.Generator, groups: int, each: int) -> Profile:
    """Photos of one kind; those of a group share 60% of the variance of their brightness, and their source."""
    numbers = np.repeat(np.arange(groups), each)
    rows = np.zeros(len(numbers), dtype=ROW)
    rows["width"], rows["height"] = 400, 300
    shared = random.normal(0, 0.6**0.5, groups)[numbers]
    rows["brightness"] = 120 + 30 * (shared + random.normal(0, 0.4**0.5, len(numbers)))
    rows["contrast"], rows["blur"] = random.normal(40, 5, len(numbers)), 200
    sources = [f"site-{source}" for source in random.integers(0, 3, groups)[numbers].tolist()]
    return profile_of(random.integers(1, 6, len(numbers)).tolist(), sources, rows, 40, numbers)


def test_groups_of_photos_that_are_alike_do_not_look_like_drift() -> None:
    random = np.random.default_rng(1)
    deliveries = [grouped_profile(random, 30, 10) for _ in range(200)]
    pairs = list(zip(deliveries[::2], deliveries[1::2], strict=True))
    assert np.mean([bool(compare("x", "x", *pair).drifted()) for pair in pairs]) <= 0.05
    ungrouped = [tuple(replace(profile, worth=None) for profile in pair) for pair in pairs]
    assert np.mean([bool(compare("x", "x", *pair).drifted()) for pair in ungrouped]) > 0.5, "as independent photos"


def test_chance_is_shared_by_the_features_of_a_comparison() -> None:
    random = np.random.default_rng(2)
    shares = np.array([0.4, 0.3, 0.2, 0.1])
    alarms = 0
    for _ in range(400):
        samples = random.multinomial(300, shares, (7, 2))
        alarms += any(population_stability_index(*pair) > psi_by_chance(*pair, features=7) for pair in samples)
    assert alarms / 400 < 0.07
