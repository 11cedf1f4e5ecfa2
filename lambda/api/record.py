"""What is written down about a request: one line of JSON, which CloudWatch also reads as metrics.

The embedded metric format asks for the members of `_aws`; metrics and dimensions are members beside it. Hosts and
buckets are named, for they say who fails; whole addresses, queries, keys, headers and bodies are not, for they may hold
secrets. Of an error its type and its place in the code are told and not its words, which may repeat any of these.
"""

import os
import time
import traceback
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from problems import ProblemError
from settings import SettingsError

NAMESPACE = "Tally/Api"
_FOLDER = Path(__file__).parent
_UNITS = {
    "Requests": "Count",
    "Photos": "Count",
    "Rejects": "Count",
    "Bytes": "Bytes",
    "FetchMs": "Milliseconds",
    "ModelMs": "Milliseconds",
    "TotalMs": "Milliseconds",
}


@dataclass
class Outcome:
    """What became of one photo: an `answer` or a `problem`, and what it took. Times in ms, None where not begun."""

    kind: str
    place: str = ""  # host or bucket
    size: int | None = None  # bytes
    fetch_ms: float | None = None
    model_ms: float | None = None
    answer: dict[str, Any] | None = None
    problem: ProblemError | None = None

    @contextmanager
    def timed(self, phase: str) -> Iterator[None]:
        """Takes the time of a `phase` ("fetch_ms" or "model_ms"), of one that fails as well."""
        began = time.perf_counter()
        try:
            yield
        finally:
            setattr(self, phase, elapsed(began))


@dataclass
class Record:
    """Gathers what the line says. `problem` is that of the whole request, where no photo came to it."""

    request_id: str
    began: float = field(default_factory=time.perf_counter)
    outcomes: list[Outcome] = field(default_factory=list)
    problem: ProblemError | None = None

    def milliseconds(self) -> float:
        """How long the request has been worked on."""
        return elapsed(self.began)

    def lines(self, status: int) -> list[dict[str, Any]]:
        """The line of a request that is answered with `status`.

        Photos of a batch may fail for several reasons, and a line counts for one `Code` only: each further reason has a
        short line of its own, of the event "rejects".
        """
        problems = [outcome.problem for outcome in self.outcomes if outcome.problem]
        if self.problem:
            problems.append(self.problem)
        codes = Counter(problem.code for problem in problems)
        (code, rejects), *others = codes.most_common() or [("", 0)]
        metrics: dict[str, Any] = {
            "Requests": 1,
            "Photos": len(self.outcomes),
            "Rejects": rejects,
            "TotalMs": self.milliseconds(),
        }
        for name, member in (("Bytes", "size"), ("FetchMs", "fetch_ms"), ("ModelMs", "model_ms")):
            values = [getattr(outcome, member) for outcome in self.outcomes]
            if known := [value for value in values if value is not None]:
                metrics[name] = known
        facts = {
            "status": status,
            "codes": dict(codes),
            "causes": sorted({cause(problem) for problem in problems} - {""}),
            "sources": dict(Counter(outcome.kind for outcome in self.outcomes)),
            "places": sorted({outcome.place for outcome in self.outcomes} - {""}),
            "counts": [outcome.answer["count"] for outcome in self.outcomes if outcome.answer],
            "models": sorted({_model(outcome.answer["model"]) for outcome in self.outcomes if outcome.answer}),
            "trace_id": _trace_id(),
        }
        told = {name: fact for name, fact in facts.items() if fact not in ("", {}, [])}
        first = self._line("prediction", metrics, code) | told
        return [first, *(self._line("rejects", {"Rejects": count}, other) for other, count in others)]

    def _line(self, event: str, metrics: Mapping[str, Any], code: str) -> dict[str, Any]:
        sets = [_directive(["Environment"], list(metrics))]
        if code:
            sets.append(_directive(["Environment", "Code"], ["Rejects"]))
        return {
            "event": event,
            "request_id": self.request_id,
            "Environment": os.environ.get("ENVIRONMENT") or "unknown",
            **({"Code": code} if code else {}),
            **metrics,
            "_aws": {"Timestamp": int(time.time() * 1000), "CloudWatchMetrics": sets},
        }


def elapsed(began: float) -> float:
    """Milliseconds since a moment of time.perf_counter()."""
    return round(1000 * (time.perf_counter() - began), 2)


def internal(error: Exception) -> ProblemError:
    """The problem that a caller sees of an error of ours; the error is its cause."""
    detail = "the request could not be answered; the log has the reason under the request id"
    problem = ProblemError("internal_error", detail)
    problem.__cause__ = error
    return problem


def cause(problem: ProblemError) -> str:
    """What led to a problem: the errors' types, their codes where AWS gave one, and where in our code; or nothing."""
    told: list[str] = []
    error = problem.__cause__
    while error is not None and len(told) < 5:
        told.append(_error(error))
        error = error.__cause__
    return " from ".join(told)


def _error(error: BaseException) -> str:
    name = type(error).__name__
    if isinstance(error, SettingsError):
        return f"{name}: {error}"
    response = getattr(error, "response", None)
    if isinstance(response, Mapping):  # botocore's ClientError
        name = f"{name} {str(response.get('Error', {}).get('Code'))[:60]}"
    return f"{name} at {_where(error)}" if error.__traceback__ else name


def _where(error: BaseException) -> str:
    """The last lines of ours that an error came through, and the one that raised it."""
    lines = [(Path(frame.f_code.co_filename), number) for frame, number in traceback.walk_tb(error.__traceback__)]
    ours = [line for line in lines if line[0].parent == _FOLDER][-3:]
    shown = ours if lines[-1] in ours else [*ours, lines[-1]]
    return " > ".join(f"{path.name}:{number}" for path, number in shown)


def _directive(dimensions: list[str], names: Sequence[str]) -> dict[str, Any]:
    metrics = [{"Name": name, "Unit": _UNITS[name]} for name in names]
    return {"Namespace": NAMESPACE, "Dimensions": [dimensions], "Metrics": metrics}


def _model(model: Mapping[str, Any]) -> str:
    return f"{model['package']}/{model['version']}" if model["package"] else str(model["file"])


def _trace_id() -> str:
    """X-Ray's id, by which the line is found from the trace; the header of the event could be anybody's."""
    parts = dict(part.partition("=")[::2] for part in os.environ.get("_X_AMZN_TRACE_ID", "").split(";"))
    return parts.get("Root", "")
