"""How often a step is tried again, by its RetryPolicies."""

import time
from collections.abc import Callable, Sequence

from local.definition import RetryPolicy

_DEFAULT_ATTEMPTS = 5  # SageMaker's, when a policy names neither attempts nor an expiry


class Retries:
    """Counts one step's attempts. The first policy that names a failure and is not used up decides."""

    def __init__(self, policies: Sequence[RetryPolicy], now: Callable[[], float] = time.monotonic):
        self._policies = policies
        self._used = [0] * len(policies)
        self._now = now
        self._started = now()

    def wait_after(self, kind: str | None) -> float | None:
        """Seconds to wait before the next attempt after a failure of this kind; None when it is final."""
        for index, policy in enumerate(self._policies):
            if kind in policy.exceptions and not self._spent(index, policy):
                self._used[index] += 1
                return policy.interval_seconds * policy.backoff ** (self._used[index] - 1)
        return None

    def _spent(self, index: int, policy: RetryPolicy) -> bool:
        if policy.expire_seconds is not None and self._now() - self._started > policy.expire_seconds:
            return True
        attempts = policy.attempts
        if attempts is None:
            attempts = _DEFAULT_ATTEMPTS if policy.expire_seconds is None else None
        return attempts is not None and self._used[index] >= attempts
