"""One instance as a queue: what comes first is counted first, by one of several workers; too many are sent away."""

from collections.abc import Sequence
from dataclasses import dataclass
from heapq import heappop, heappush, heapreplace

import numpy as np

from benchmarks.capacity.arrivals import poisson

WAITING = 32
"""Requests at hand per worker from which the server answers 503 (`tally.server`)."""


@dataclass(frozen=True)
class Model:
    """What is known of an instance: a worker a CPU, and how long a worker takes for a photo, in seconds.

    `services` are drawn from, each as likely as another.
    """

    workers: int
    services: tuple[float, ...]
    waiting: float = WAITING  # per worker

    @classmethod
    def measured(cls, workers: int, alone_ms: Sequence[float], most: float) -> "Model":
        """Times of requests that came one by one, scaled so that all workers together answer `most` a second.

        Alone a request has the machine to itself; under load workers share its memory, its caches and its CPUs with
        the process that feeds them. The measured spread is kept, the mean is that under load.
        """
        factor = workers / most / (float(np.mean(alone_ms)) / 1000)
        return cls(workers, tuple(factor * value / 1000 for value in alone_ms))

    @property
    def most(self) -> float:
        """Requests per second of an instance that is never idle."""
        return self.workers / float(np.mean(self.services))


class Instance:
    """The state of one: exact for any service times, because what waits is served in the order of its arrival.

    Times are seconds and must not go back.
    """

    def __init__(self, model: Model) -> None:
        self._room = model.waiting * model.workers
        self._free = [0.0] * model.workers  # when each worker is next idle, a heap
        self._leaving: list[float] = []  # when each request at hand is answered, a heap

    def at_hand(self, now: float) -> int:
        """Requests that wait or are being counted."""
        while self._leaving and self._leaving[0] <= now:
            heappop(self._leaving)
        return len(self._leaving)

    def ask(self, now: float, service: float) -> float | None:
        """Seconds until the answer to a request that comes now and takes a worker `service`; None: it is sent away."""
        if self.at_hand(now) >= self._room:
            return None
        done = max(now, self._free[0]) + service
        heapreplace(self._free, done)
        heappush(self._leaving, done)
        return done - now


def alone(model: Model, rate: float, seconds: float, seed: int) -> tuple[list[float], int]:
    """Latencies in seconds of one instance that is offered `rate` a second, and how many it sent away."""
    chance = np.random.default_rng(seed)
    arrivals = poisson([(rate, seconds)], chance)
    services = chance.choice(np.array(model.services), size=len(arrivals))
    instance, found = Instance(model), []
    for now, service in zip(arrivals.tolist(), services.tolist(), strict=True):
        found.append(instance.ask(now, service))
    answered = [latency for latency in found if latency is not None]
    return answered, len(found) - len(answered)
