"""One deadline for everything that waits."""

import threading
import time
from typing import Any

import pytest


@pytest.fixture
def deadline(load: Any) -> Any:
    (module,) = load("api", "deadline")
    return module


def test_what_is_left_runs_out(deadline: Any) -> None:
    limit = deadline.Deadline(60)
    first = limit.left()
    time.sleep(0.02)
    assert 0 < limit.left() < first <= 60
    limit = deadline.Deadline(0.02)
    time.sleep(0.05)
    with pytest.raises(TimeoutError, match="the deadline has passed"):
        limit.left()
    for seconds in (0, -1):
        with pytest.raises(TimeoutError):
            deadline.Deadline(seconds).left()


def test_a_sooner_deadline_is_never_later(deadline: Any) -> None:
    limit = deadline.Deadline(10)
    assert 4 < limit.sooner(5).left() <= 5
    assert 9 < limit.sooner(60).left() <= 10
    assert 9 < limit.left() <= 10, "the deadline itself stays"
    with pytest.raises(TimeoutError):
        deadline.Deadline(0).sooner(5).left()


def test_work_in_time_gives_its_result_and_its_error(deadline: Any) -> None:
    limit = deadline.Deadline(5)
    assert deadline.in_time(lambda: 3, limit) == 3
    assert deadline.in_time(lambda: None, limit) is None
    for error in (ValueError, SystemExit):

        def fails(error: type[BaseException] = error) -> None:
            raise error("mine")

        with pytest.raises(error, match="mine"):
            deadline.in_time(fails, limit)


def test_work_that_takes_longer_is_left_to_itself(deadline: Any) -> None:
    done = threading.Event()
    began = time.perf_counter()
    with pytest.raises(TimeoutError):
        deadline.in_time(lambda: done.wait(5), deadline.Deadline(0.1))
    assert time.perf_counter() - began < 3
    done.set()


def test_no_work_is_begun_after_the_deadline(deadline: Any) -> None:
    begun: list[int] = []
    with pytest.raises(TimeoutError):
        deadline.in_time(lambda: begun.append(1), deadline.Deadline(0))
    assert begun == []


def test_work_that_is_left_to_itself_never_fills_the_process(deadline: Any) -> None:
    done = threading.Event()
    before = threading.active_count()
    for _ in range(80):
        with pytest.raises(TimeoutError):
            deadline.in_time(lambda: done.wait(60), deadline.Deadline(0.02))
    assert threading.active_count() - before <= 64
    with pytest.raises(TimeoutError, match="too much work"):
        deadline.in_time(lambda: 3, deadline.Deadline(0.3))
    done.set()
    assert deadline.in_time(lambda: 3, deadline.Deadline(5)) == 3, "places become free again"
