"""What one window of offered load showed, and whether an instance carries such a load."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

IN_BUDGET = 0.99
"""The share of requests that must be answered within the budget: its p99."""
_GROWTH = 0.02  # of the requests of a window that may come without being answered within it
_FEW = 8  # and so many by chance, however short the window


@dataclass(frozen=True)
class Window:
    """Requests that came at `rate` a second for `seconds`.

    `latencies` are ms from the moment a request should have been sent to its answer with status 200; `failed` is all
    others. `backlog` is how many more were unanswered at the end than at the beginning. `lag_ms` (p99) says how late
    requests were sent, which latencies include. `client_cpus` is what the client took of the CPUs that it shares with
    the server, `other_cpus` what neither of them took.
    """

    rate: float
    seconds: float
    latencies: tuple[float, ...]
    failed: int
    backlog: int
    lag_ms: float
    client_cpus: float
    other_cpus: float = 0.0

    @classmethod
    def read(cls, said: Mapping[str, Any]) -> "Window":
        """From the JSON of `benchmarks.capacity.offer`."""
        return cls(**{**said, "latencies": tuple(said["latencies"])})

    @property
    def p50(self) -> float:
        """Milliseconds."""
        return percentile(self.latencies, 0.5)

    @property
    def p99(self) -> float:
        """Milliseconds."""
        return percentile(self.latencies, IN_BUDGET)

    @property
    def mean(self) -> float:
        """Milliseconds."""
        return float(np.mean(self.latencies))

    def objection(self, budget_ms: float) -> str | None:
        """Why an instance does not carry this load; None where it does."""
        requests = len(self.latencies) + self.failed
        if self.failed or not self.latencies:
            return f"{self.failed} of {requests} requests failed"
        if self.p99 > budget_ms:
            return f"p99 {self.p99:.0f} ms is above {budget_ms:g} ms"
        if self.backlog > max(_FEW, _GROWTH * requests):
            return f"the backlog grew by {self.backlog} of {requests} requests"
        return None

    def as_dict(self, budget_ms: float) -> dict[str, Any]:
        """For the JSON file, without the single latencies."""
        answered = bool(self.latencies)
        return {
            "rate": round(self.rate, 2),
            "seconds": self.seconds,
            "requests": len(self.latencies) + self.failed,
            "failed": self.failed,
            "backlog": self.backlog,
            "p50_ms": round(self.p50, 2) if answered else None,
            "p99_ms": round(self.p99, 2) if answered else None,
            "mean_ms": round(self.mean, 2) if answered else None,
            "lag_p99_ms": round(self.lag_ms, 2),
            "client_cpus": round(self.client_cpus, 3),
            "other_cpus": round(self.other_cpus, 3),
            "objection": self.objection(budget_ms),
        }


def percentile(values: Sequence[float], share: float) -> float:
    """The value that `share` of the values do not exceed."""
    return float(np.percentile(values, 100 * share, method="inverted_cdf"))
