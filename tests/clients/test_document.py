"""The client and the API's document agree: jsonschema and the document judge what the client sends and reads."""

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from jsonschema.protocols import Validator

from tally_client import BATCH, BODY_LIMIT, ApiProblem, Client, Photo, Prediction, UsageError, photos, reading
from tally_client.client import _idempotency
from tally_client.models import COUNTS
from tally_client.waiting import TRANSIENT
from tests.clients.server import ANSWER, EXPECTED, HEALTH, Server, batch, problem

DOCUMENT = json.loads((Path(__file__).parents[2] / "lambda" / "api" / "openapi.json").read_text())
SCHEMAS = DOCUMENT["components"]["schemas"]
POST = DOCUMENT["paths"]["/predictions"]["post"]


@cache
def schema(name: str) -> Validator:
    """Judges one of the document's schemas."""
    return Draft202012Validator({**DOCUMENT, "$ref": f"#/components/schemas/{name}"})


share = st.floats(0, 1)
count = st.integers(1, 5)
milliseconds = st.floats(0, 1e6)
text = st.text(max_size=20)
file = st.from_regex(r"[0-9a-f]{12}", fullmatch=True)
model = st.fixed_dictionaries({"package": st.none() | text, "version": st.none() | st.integers(1), "file": file})
common = {
    "count": count,
    "confidence": share,
    "probabilities": st.fixed_dictionaries({str(n): share for n in COUNTS}),
    "model": model,
    "request_id": text,
    "timings": st.fixed_dictionaries({"fetch_ms": milliseconds, "model_ms": milliseconds, "total_ms": milliseconds}),
}
expected = {
    "expected_count": count,
    "matches": st.booleans(),
    "expected_probability": share,
    "decision": st.sampled_from(["pass", "fail", "review"]),
}
predictions = st.fixed_dictionaries(common) | st.fixed_dictionaries(common | expected)
problems = st.fixed_dictionaries(
    {"type": text, "title": text, "code": text, "request_id": text},
    optional={"status": st.integers(400, 599), "detail": text},
)


@given(predictions)
def test_every_prediction_of_the_document_is_read_and_nothing_of_it_is_lost(answer: dict[str, Any]) -> None:
    schema("Prediction").validate(answer)
    assert reading.prediction(answer).to_dict() == answer


@given(problems, st.integers(400, 599))
def test_every_problem_of_the_document_is_read(body: dict[str, Any], status: int) -> None:
    schema("Problem").validate(body)
    found = reading.problem(body, status)
    assert (found.status, found.code, found.title, found.request_id) == (
        status, body["code"], body["title"], body["request_id"],
    )  # fmt: skip
    assert found.detail == body.get("detail", "")


@given(st.lists(predictions | problems.map(lambda body: {**body, "status": 404}), min_size=1, max_size=16))
def test_every_batch_of_the_document_is_read_in_order(items: list[dict[str, Any]]) -> None:
    body = batch(*items)
    schema("BatchAnswer").validate(body)
    found = reading.results(body, len(items))
    assert [isinstance(item, Prediction) for item in found] == ["count" in item for item in items]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=8,
)


@given(body=predictions, member=st.sampled_from(sorted(common | expected)), value=json_values)
def test_no_answer_that_the_document_forbids_crashes_the_reader(
    body: dict[str, Any], member: str, value: object
) -> None:
    for wrong in (body | {member: value}, {name: item for name, item in body.items() if name != member}, value):
        try:
            found = reading.prediction(wrong)
        except ValueError:
            continue
        assert isinstance(found, Prediction)


def test_the_health_of_the_document_is_read() -> None:
    schema("Health").validate(HEALTH)
    assert reading.health(HEALTH).version == 7
    assert reading.health(HEALTH | {"model": {"package": None, "version": None}}).package is None
    with pytest.raises(ValueError, match="status is 'ill', not 'ok'"):
        reading.health(HEALTH | {"status": "ill"})


def test_the_answers_of_these_tests_are_the_documents() -> None:
    for answer in (ANSWER, ANSWER | EXPECTED):
        schema("Prediction").validate(answer)


places = st.builds(Photo, image_url=st.text(min_size=1, max_size=2048), expected_count=st.none() | count) | st.builds(
    Photo,
    s3_uri=st.text(min_size=1, max_size=1100),
    version_id=st.none() | st.text(min_size=1, max_size=1024),
    expected_count=st.none() | count,
)


@given(places)
def test_what_the_client_sends_for_one_photo_is_as_the_document_says(photo: Photo) -> None:
    schema("PredictionRequest").validate(json.loads(photos.json_body(photo)))


@given(st.lists(places, min_size=1, max_size=BATCH))
def test_what_the_client_sends_for_several_is_as_the_document_says(several: list[Photo]) -> None:
    schema("PredictionRequest").validate(json.loads(photos.json_body(several)))


@given(st.text(max_size=300) | st.from_regex(r"[!-~]{1,300}", fullmatch=True))
def test_the_client_takes_the_idempotency_keys_that_the_document_takes(key: str) -> None:
    (parameter,) = [item for item in POST["parameters"] if item["name"] == "Idempotency-Key"]
    valid = re.search(parameter["schema"]["pattern"].replace("$", r"\Z"), key) is not None
    try:
        assert _idempotency(key) == {"idempotency-key": key}
        assert valid
    except UsageError:
        assert not valid


def test_limits_are_those_of_the_document() -> None:
    assert SCHEMAS["Batch"]["properties"]["images"]["maxItems"] == BATCH
    bounds = SCHEMAS["PhotoByUrl"]["properties"]["expected_count"]
    assert tuple(range(bounds["minimum"], bounds["maximum"] + 1)) == COUNTS
    bodies = {
        kind: item["schema"] for kind, item in POST["requestBody"]["content"].items() if kind != "application/json"
    }
    assert set(bodies) == {"image/jpeg", "image/png", "image/webp"}
    assert all(f"{BODY_LIMIT // 1024**2} MiB" in item["description"] for item in bodies.values())


@pytest.mark.parametrize("item", DOCUMENT["x-problems"], ids=lambda item: item["code"])
@pytest.mark.usefixtures("waits")
def test_every_problem_of_the_document_reaches_the_caller(server: Server, tally: Client, item: dict[str, Any]) -> None:
    server.scripts = [problem(item["status"], item["code"])]
    with pytest.raises(ApiProblem) as caught:
        tally.predict(s3_uri="s3://b/k")
    assert (caught.value.status, caught.value.code) == (item["status"], item["code"])
    assert (len(server.requests) > 1) == (item["status"] in TRANSIENT)
