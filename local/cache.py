"""Step caching: reuse the outputs of an earlier success with the same key attributes.

Which arguments count is AWS's list ("Default cache key attributes by pipeline step type", SageMaker developer guide):
what goes in and what runs on it, never where it runs or where the outputs go.
"""

import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local.errors import LocalError
from local.files import digest, read_json, write_json

_KEYS: dict[str, tuple[str, ...]] = {
    "Processing": ("AppSpecification", "Environment", "ProcessingInputs"),
    "Training": ("AlgorithmSpecification", "CheckpointConfig", "Environment", "HyperParameters", "InputDataConfig"),
    "Tuning": (
        "HyperParameterTuningJobConfig",
        "TrainingJobDefinition.AlgorithmSpecification",
        "TrainingJobDefinition.HyperParameterRanges",
        "TrainingJobDefinition.InputDataConfig",
        "TrainingJobDefinition.StaticHyperParameters",
        "TrainingJobDefinition.TuningObjective",
    ),
}
_DURATION = re.compile(
    r"P?(?:(\d+)Y)?(?:(\d+)M)?(?:(\d+)W)?(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?)?", re.IGNORECASE
)
_KEPT = 3  # successes per step: enough to go back and forth between data sets without keeping every one for ever
_SECONDS = (365 * 86400, 30 * 86400, 7 * 86400, 86400, 3600, 60, 1)


def duration_seconds(text: str) -> float:
    """Read an ISO 8601 duration (`P30D`, `PT1H`, also `30d` and `T16m` as AWS's guide writes them)."""
    match = _DURATION.fullmatch(text)
    if match is None or not any(match.groups()):
        raise LocalError(f"CacheConfig.ExpireAfter is {text!r}; it must be an ISO 8601 duration such as P30D or PT1H")
    return float(sum(int(n) * seconds for n, seconds in zip(match.groups(), _SECONDS, strict=True) if n))


@dataclass(frozen=True)
class Success:
    """What a step left when it succeeded, and in which execution."""

    outputs: Mapping[str, Any]
    metadata: Mapping[str, Any]
    execution_arn: str


class StepCache:
    """Outputs of successful steps in one JSON file. `exists(uri)` says whether an S3 prefix still holds anything."""

    def __init__(self, path: Path, exists: Callable[[str], bool], now: Callable[[], float] = time.time):
        self._path = path
        self._exists = exists
        self._now = now
        self._lock = threading.Lock()
        self._entries: dict[str, dict[str, Any]] = read_json(path, {})

    def find(self, step: str, kind: str, arguments: Mapping[str, Any], expire_after: str) -> Success | None:
        """Return the newest success with the same key, or None."""
        entry = self._entries.get(self._key(step, kind, arguments))
        if entry is None or self._now() - entry["at"] > duration_seconds(expire_after):
            return None
        if not all(self._exists(uri) for uri in _output_uris(entry["outputs"])):
            return None
        return Success(entry["outputs"], entry["metadata"], entry["execution_arn"])

    def store(self, step: str, kind: str, arguments: Mapping[str, Any], success: Success) -> None:
        """Remember a success."""
        key = self._key(step, kind, arguments)
        with self._lock:
            self._entries[key] = {"step": step, "at": self._now(), **vars(success)}
            same = sorted(
                (k for k, e in self._entries.items() if e["step"] == step), key=lambda k: self._entries[k]["at"]
            )
            for old in same[:-_KEPT]:
                del self._entries[old]
            write_json(self._path, self._entries)

    @staticmethod
    def _key(step: str, kind: str, arguments: Mapping[str, Any]) -> str:
        return digest([step, kind, {name: _pick(arguments, name) for name in _KEYS.get(kind, tuple(arguments))}])


def _pick(arguments: Any, path: str) -> Any:
    for name in path.split("."):
        arguments = arguments.get(name) if isinstance(arguments, Mapping) else None
    return arguments


def _output_uris(outputs: Mapping[str, Any]) -> list[str]:
    produced = outputs.get("ProcessingOutputConfig", {}).get("Outputs", [])
    uris = [item["S3Output"]["S3Uri"] for item in produced]
    model = outputs.get("ModelArtifacts", {}).get("S3ModelArtifacts")
    return [*uris, model] if model else uris
