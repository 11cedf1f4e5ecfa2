"""The API's JSON to dataclasses. Members that are not known here are ignored: the API may gain some."""

from __future__ import annotations

import math
from typing import Any

from tally_client.models import COUNTS, Decision, Health, Model, Prediction, Problem, Timings

_DECISIONS: dict[str, Decision] = {"pass": "pass", "fail": "fail", "review": "review"}


def prediction(body: Any) -> Prediction:
    """A Prediction. ValueError names what is not as the API's document says."""
    answer = Members(body)
    probabilities, model, timings = answer.object("probabilities"), answer.object("model"), answer.object("timings")
    expected = answer.has("expected_count")
    return Prediction(
        count=answer.whole("count"),
        confidence=answer.number("confidence"),
        probabilities={count: probabilities.number(str(count)) for count in COUNTS},
        model=Model(model.text_or_none("package"), model.whole_or_none("version"), model.text("file")),
        request_id=answer.text("request_id"),
        timings=Timings(timings.number("fetch_ms"), timings.number("model_ms"), timings.number("total_ms")),
        expected_count=answer.whole("expected_count") if expected else None,
        matches=answer.flag("matches") if expected else None,
        expected_probability=answer.number("expected_probability") if expected else None,
        decision=_decision(answer.text("decision")) if expected else None,
    )


def results(body: Any, photos: int) -> list[Prediction | Problem]:
    """A batch's results in the order of its photos. ValueError also when there are more or fewer than `photos`."""
    items = Members(body).value("results")
    if not isinstance(items, list) or len(items) != photos:
        raise ValueError(f"results is no list of {photos}")
    found: list[Prediction | Problem] = []
    for index, item in enumerate(items):
        result = Members(item)
        if result.whole("index") != index:
            raise ValueError(f"results[{index}] has the index {result.whole('index')}")
        if result.has("prediction"):
            found.append(prediction(result.value("prediction")))
        else:
            found.append(problem(result.value("problem"), result.whole("status")))
    return found


def problem(body: Any, status: int) -> Problem:
    """A Problem; `status` is HTTP's. ValueError when it is none of the API's."""
    answer = Members(body)
    detail = answer.text("detail") if answer.has("detail") else ""
    return Problem(status, answer.text("code"), answer.text("title"), detail, answer.text("request_id"))


def health(body: Any) -> Health:
    """A Health. ValueError names what is not as the API's document says."""
    answer = Members(body)
    if answer.text("status") != "ok":
        raise ValueError(f"status is {answer.text('status')!r}, not 'ok'")
    model = answer.object("model")
    package, version = model.text_or_none("package"), model.whole_or_none("version")
    return Health(answer.text("endpoint"), package, version, answer.text("request_id"))


def document(body: Any) -> dict[str, Any]:
    """An OpenAPI document. ValueError for anything else."""
    if not isinstance(body, dict) or "openapi" not in body:
        raise ValueError("it is no OpenAPI document")
    return body


def _decision(text: str) -> Decision:
    if text not in _DECISIONS:
        raise ValueError(f"decision is {text!r}, not one of {', '.join(_DECISIONS)}")
    return _DECISIONS[text]


class Members:
    """Reads the members of a JSON object; ValueError names the one that is missing or of another type."""

    def __init__(self, body: Any):
        if not isinstance(body, dict):
            raise ValueError("it is no JSON object")
        self._body = body

    def has(self, name: str) -> bool:
        """Whether there is such a member."""
        return name in self._body

    def value(self, name: str) -> Any:
        """A member of any type."""
        if name not in self._body:
            raise ValueError(f"it has no member {name}")
        return self._body[name]

    def object(self, name: str) -> Members:
        """A member that is an object."""
        found = self.value(name)
        if not isinstance(found, dict):
            raise ValueError(f"{name} is no object")
        return Members(found)

    def text(self, name: str) -> str:
        """A member that is text."""
        found = self.value(name)
        if not isinstance(found, str):
            raise ValueError(f"{name} is no text")
        return found

    def text_or_none(self, name: str) -> str | None:
        """A member that is text or null."""
        return None if self.value(name) is None else self.text(name)

    def whole(self, name: str) -> int:
        """A member that is a whole number."""
        found = self.value(name)
        if isinstance(found, bool) or not isinstance(found, int):
            raise ValueError(f"{name} is no whole number")
        return found

    def whole_or_none(self, name: str) -> int | None:
        """A member that is a whole number or null."""
        return None if self.value(name) is None else self.whole(name)

    def number(self, name: str) -> float:
        """A member that is a finite number."""
        found = self.value(name)
        if isinstance(found, bool) or not isinstance(found, int | float) or not math.isfinite(found):
            raise ValueError(f"{name} is no number")
        return float(found)

    def flag(self, name: str) -> bool:
        """A member that is true or false."""
        found = self.value(name)
        if not isinstance(found, bool):
            raise ValueError(f"{name} is neither true nor false")
        return found
