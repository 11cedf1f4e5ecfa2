"""What failed in passing is tried again, never past the deadline."""

from types import ModuleType
from typing import Any

import pytest


@pytest.fixture
def retries(load: Any) -> ModuleType:
    (module,) = load("api", "retries")
    return module


class Attempts:
    """Fails in passing so many times, then answers."""

    def __init__(self, retries: ModuleType, failures: int) -> None:
        self._retries = retries
        self._failures = failures
        self.made = 0

    def __call__(self) -> str:
        self.made += 1
        if self.made <= self._failures:
            raise self._retries.PassingError(LookupError(f"failure {self.made}"))
        return "done"


def test_the_first_success_ends_it(retries: ModuleType) -> None:
    attempts, pauses = Attempts(retries, 2), list[float]()
    assert retries.with_retries(attempts, retries.Deadline(60), pauses.append) == "done"
    assert (attempts.made, len(pauses)) == (3, 2)


def test_after_the_last_attempt_its_error_is_raised(retries: ModuleType) -> None:
    attempts, pauses = Attempts(retries, 99), list[float]()
    with pytest.raises(LookupError, match="failure 4"):
        retries.with_retries(attempts, retries.Deadline(60), pauses.append)
    assert (attempts.made, len(pauses)) == (4, 3)


def test_an_error_that_stays_is_not_tried_again(retries: ModuleType) -> None:
    made = []

    def attempt() -> None:
        made.append(1)
        raise LookupError("for good")

    with pytest.raises(LookupError, match="for good"):
        retries.with_retries(attempt, retries.Deadline(60), made.append)
    assert made == [1]


@pytest.mark.parametrize("seconds", [0, 0.3])
def test_without_time_for_another_attempt_there_is_none(retries: ModuleType, seconds: float) -> None:
    attempts, pauses = Attempts(retries, 1), list[float]()
    with pytest.raises(LookupError, match="failure 1"):
        retries.with_retries(attempts, retries.Deadline(seconds), pauses.append)
    assert (attempts.made, pauses) == (1, [])


def test_pauses_are_drawn_between_nothing_and_a_limit_that_doubles(retries: ModuleType) -> None:
    rounds = []
    for _ in range(300):
        pauses = list[float]()
        retries.with_retries(Attempts(retries, 3), retries.Deadline(60), pauses.append)
        rounds.append(pauses)
    for column, longest in zip(zip(*rounds, strict=True), (0.25, 0.5, 1.0), strict=True):
        assert 0 <= min(column) < 0.1 * longest  # 300 draws miss a tenth once in 10^13 times
        assert 0.9 * longest < max(column) <= longest
