"""Metrics read from a job's log lines by its MetricDefinitions, as CloudWatch does."""

import re
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any


class MetricReader:
    """Feeds on log lines. `on_value(name, value)` sees each value in the order in which it was printed."""

    def __init__(
        self, definitions: Sequence[dict[str, str]], on_value: Callable[[str, float], None] = lambda _name, _value: None
    ):
        self._patterns = [(item["Name"], re.compile(item["Regex"])) for item in definitions]
        self._on_value = on_value
        self._lock = threading.Lock()
        self._last: dict[str, tuple[float, float]] = {}

    def read(self, line: str) -> None:
        """Look for all metrics in one line."""
        for name, pattern in self._patterns:
            match = pattern.search(line)
            value = _number(match[1]) if match else None
            if value is not None:
                with self._lock:
                    self._last[name] = (value, time.time())
                self._on_value(name, value)

    def final(self) -> list[dict[str, Any]]:
        """FinalMetricDataList: the last value of each metric."""
        with self._lock:
            return [{"MetricName": n, "Value": v, "Timestamp": at} for n, (v, at) in sorted(self._last.items())]


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
