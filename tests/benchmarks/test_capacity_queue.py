"""One instance as a queue: by hand, and against what queueing theory says of it."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.capacity.arrivals import of_a_window, poisson
from benchmarks.capacity.instance import WAITING, Instance, Model, alone
from tally import server

REQUESTS = 300_000
PATIENT = math.inf


def erlang_c(servers: int, load: float) -> float:
    """The chance that a request of an M/M/c queue waits; `load` is arrivals times the mean service (Kleinrock, 3.5)."""
    terms = [load**number / math.factorial(number) for number in range(servers)]
    last = load**servers / math.factorial(servers) * servers / (servers - load)
    return last / (sum(terms) + last)


def offered(model: Model, rate: float, services: np.ndarray) -> list[float | None]:
    """The answers of an instance to so many requests at random moments."""
    chance, instance = np.random.default_rng(7), Instance(model)
    arrivals = np.cumsum(chance.exponential(1 / rate, len(services)))
    return [instance.ask(now, service) for now, service in zip(arrivals.tolist(), services.tolist(), strict=True)]


def mean_wait(model: Model, rate: float, services: np.ndarray) -> float:
    latencies = offered(model, rate, services)
    assert None not in latencies
    return float(np.mean(np.array(latencies) - services))


@pytest.mark.parametrize(("servers", "busy"), [(1, 0.5), (1, 0.8), (2, 0.8), (4, 0.9)])
def test_waiting_is_that_of_an_m_m_c_queue(servers: int, busy: float) -> None:
    services = np.random.default_rng(3).exponential(1.0, REQUESTS)
    rate = busy * servers
    expected = erlang_c(servers, rate) / (servers - rate)
    assert mean_wait(Model(servers, (1.0,), PATIENT), rate, services) == pytest.approx(expected, rel=0.06)


@pytest.mark.parametrize("busy", [0.3, 0.6, 0.9])
def test_waiting_with_services_of_one_length_is_that_of_an_m_d_1_queue(busy: float) -> None:
    expected = busy / (2 * (1 - busy))  # Pollaczek and Khinchine
    assert mean_wait(Model(1, (1.0,), PATIENT), busy, np.ones(REQUESTS)) == pytest.approx(expected, rel=0.05)


def test_waiting_with_any_services_follows_pollaczek_and_khinchine() -> None:
    services = np.random.default_rng(5).choice([0.2, 0.6, 2.2], REQUESTS)
    mean, second = services.mean(), (services**2).mean()
    rate = 0.7 / mean
    expected = rate * second / (2 * (1 - rate * mean))
    assert mean_wait(Model(1, (1.0,), PATIENT), rate, services) == pytest.approx(expected, rel=0.05)


@pytest.mark.parametrize("busy", [0.7, 1.0, 1.4])
def test_so_many_are_sent_away_as_by_an_m_m_1_k_queue(busy: float) -> None:
    room = 5
    services = np.random.default_rng(3).exponential(1.0, REQUESTS)
    found = offered(Model(1, (1.0,), room), busy, services)
    expected = 1 / (room + 1) if busy == 1 else (1 - busy) * busy**room / (1 - busy ** (room + 1))
    assert found.count(None) / REQUESTS == pytest.approx(expected, rel=0.05)


def test_one_worker_counts_one_photo_after_another_and_refuses_when_full() -> None:
    instance = Instance(Model(1, (1.0,), waiting=2))
    assert instance.ask(0.0, 1.0) == 1.0
    assert instance.ask(0.5, 1.0) == 1.5
    assert instance.ask(0.9, 1.0) is None  # two are at hand
    assert instance.ask(1.0, 1.0) == 2.0  # the first has just been answered
    assert (instance.at_hand(1.0), instance.at_hand(2.5), instance.at_hand(3.0)) == (2, 1, 0)
    assert instance.ask(10.0, 0.25) == 0.25


def test_a_photo_goes_to_the_worker_that_is_idle_first() -> None:
    instance = Instance(Model(2, (1.0,)))
    assert [instance.ask(now, service) for now, service in [(0, 5), (0, 1), (0, 1), (0, 1)]] == [5, 1, 2, 3]


def test_room_is_that_of_the_server() -> None:
    assert WAITING == server._WAITING
    instance = Instance(Model(2, (1.0,)))
    answers = [instance.ask(0.0, 1.0) for _ in range(2 * WAITING + 1)]
    assert [number for number, answer in enumerate(answers) if answer is None] == [2 * WAITING]
    assert answers[-2] == WAITING


def test_the_model_of_an_instance_has_the_measured_spread_and_throughput() -> None:
    model = Model.measured(2, [8.0, 10.0, 12.0], 160.0)
    assert model.services == pytest.approx((0.010, 0.0125, 0.015))
    assert model.most == pytest.approx(160.0)
    latencies, refused = alone(model, 240.0, 60.0, seed=1)
    assert len(latencies) / 60 == pytest.approx(160, rel=0.02)
    assert refused / 60 == pytest.approx(80, rel=0.1)
    assert alone(model, 240.0, 60.0, seed=1) == (latencies, refused)


@given(st.lists(st.tuples(st.floats(0.01, 50), st.floats(0.1, 20)), max_size=5), st.integers(0, 1000))
def test_arrivals_ascend_within_their_phases(phases: list[tuple[float, float]], seed: int) -> None:
    found = poisson(phases, np.random.default_rng(seed)).tolist()
    assert found == sorted(found)
    assert all(0 <= moment <= sum(seconds for _, seconds in phases) for moment in found)
    assert found == poisson(phases, np.random.default_rng(seed)).tolist()


def test_arrivals_are_a_poisson_process_of_each_phases_rate() -> None:
    phases = [(100.0, 200.0), (1000.0, 100.0), (10.0, 500.0)]
    found = poisson(phases, np.random.default_rng(1))
    ends = list(itertools.accumulate(seconds for _, seconds in phases))
    counts = np.histogram(found, [0, *ends])[0]
    for (rate, seconds), number in zip(phases, counts, strict=True):
        assert abs(number - rate * seconds) < 4 * math.sqrt(rate * seconds)
    gaps = np.diff(found[found < 200])
    # Of an exponential distribution mean and deviation are the same.
    assert (gaps.mean(), gaps.std()) == pytest.approx((0.01, 0.01), rel=0.05)


def test_no_phases_have_no_arrivals() -> None:
    assert poisson([], np.random.default_rng(0)).tolist() == []


@given(st.floats(0.1, 500), st.floats(0.1, 20), st.integers(0, 1000))
def test_a_window_has_just_the_requests_of_its_rate(rate: float, seconds: float, seed: int) -> None:
    found = of_a_window(rate, seconds, np.random.default_rng(seed)).tolist()
    assert len(found) == round(rate * seconds)
    assert found == sorted(found)
    assert all(0 <= moment <= seconds for moment in found)
