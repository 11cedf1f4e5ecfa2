"""Pass, fail or review, by two thresholds that cannot contradict the count."""

from types import ModuleType
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st


@pytest.fixture
def decisions(load: Any) -> ModuleType:
    (module,) = load("api", "decisions")
    return module


@pytest.mark.parametrize(
    ("probability", "decision"),
    [(1.0, "pass"), (0.8, "pass"), (0.7999, "review"), (0.0501, "review"), (0.05, "fail"), (0.0, "fail")],
)
def test_both_thresholds_belong_to_the_decision(decisions: ModuleType, probability: float, decision: str) -> None:
    assert decisions.Thresholds().decide(probability) == decision


@pytest.mark.parametrize("value", [0.5, 0.0, -1.0, 1.01, float("nan"), float("inf")])
def test_a_threshold_to_pass_must_be_above_half(decisions: ModuleType, value: float) -> None:
    with pytest.raises(ValueError, match=r"PASS_PROBABILITY is .*; set api\.pass_probability to more than 0\.5"):
        decisions.Thresholds(pass_probability=value)


@pytest.mark.parametrize("value", [0.2, 1.0, -0.01, float("nan")])
def test_a_threshold_to_fail_must_be_below_a_fifth(decisions: ModuleType, value: float) -> None:
    with pytest.raises(ValueError, match=r"FAIL_PROBABILITY is .*; set api\.fail_probability to .* less than 0\.2"):
        decisions.Thresholds(fail_probability=value)


PASS = st.floats(0.5, 1, exclude_min=True)
FAIL = st.floats(0, 0.2, exclude_max=True)
WEIGHTS = st.lists(st.integers(0, 1000), min_size=5, max_size=5).filter(any)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(weights=WEIGHTS, expected=st.integers(1, 5), high=PASS, low=FAIL)
def test_what_passes_matches_and_what_fails_does_not(
    decisions: ModuleType, weights: list[int], expected: int, high: float, low: float
) -> None:
    numbers = [weight / sum(weights) for weight in weights]
    counted = {
        "count": numbers.index(max(numbers)) + 1,
        "probabilities": {str(count): number for count, number in enumerate(numbers, start=1)},
    }
    said = decisions.verify(expected, counted, decisions.Thresholds(high, low))
    assert said["expected_count"] == expected
    assert said["matches"] == (counted["count"] == expected)
    assert said["expected_probability"] == numbers[expected - 1]
    if said["decision"] == "pass":
        assert said["matches"]
    if said["decision"] == "fail":
        assert not said["matches"]
