"""What the API answers with, as frozen dataclasses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

Decision: TypeAlias = Literal["pass", "fail", "review"]
COUNTS = (1, 2, 3, 4, 5)
_EXPECTED = ("expected_count", "matches", "expected_probability", "decision")


@dataclass(frozen=True, slots=True)
class Model:
    """Which model answered: group and version of its package (None where it came from none), and the first 12
    hexadecimal digits of the SHA-256 of its file."""

    package: str | None
    version: int | None
    file: str


@dataclass(frozen=True, slots=True)
class Timings:
    """Milliseconds in the API's function: until the photo was at hand, until the model had answered, all in all."""

    fetch_ms: float
    model_ms: float
    total_ms: float


@dataclass(frozen=True, slots=True)
class Prediction:
    """What is in one photo. The last four are None where no count was expected.

    `decision`: pass, fail, or review: a person should look. `probabilities`: of each count from 1 to 5.
    """

    count: int
    confidence: float
    probabilities: Mapping[int, float]
    model: Model
    request_id: str
    timings: Timings
    expected_count: int | None = None
    matches: bool | None = None
    expected_probability: float | None = None
    decision: Decision | None = None

    def to_dict(self) -> dict[str, Any]:
        """As in the API's JSON."""
        expected = {name: getattr(self, name) for name in _EXPECTED if getattr(self, name) is not None}
        return {
            "count": self.count,
            "confidence": self.confidence,
            "probabilities": {str(count): share for count, share in self.probabilities.items()},
            **expected,
            "model": {"package": self.model.package, "version": self.model.version, "file": self.model.file},
            "request_id": self.request_id,
            "timings": {name: getattr(self.timings, name) for name in Timings.__slots__},
        }


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a photo was not counted. `code` is stable and for programs, `detail` is for people."""

    status: int
    code: str
    title: str
    detail: str
    request_id: str

    def __str__(self) -> str:
        text = f"{self.status} {self.code}: {self.detail or self.title}"
        return f"{text} (request {self.request_id})" if self.request_id else text

    def to_dict(self) -> dict[str, Any]:
        """As in the API's JSON, without `type`."""
        return {name: getattr(self, name) for name in Problem.__slots__}


@dataclass(frozen=True, slots=True)
class Health:
    """Photos can be counted. `endpoint`: InService, or Updating while a new model is shifted in; `package` and
    `version` are those of the model in service, None where it came from no package."""

    endpoint: str
    package: str | None
    version: int | None
    request_id: str
