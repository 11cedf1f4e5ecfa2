"""Events of the shape that AWS documents for a REST API's proxy integration, see events/README.md."""

import json
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

answers: Any = import_module("tests.lambda.answers")
tests: Any = import_module("tests.lambda.predictions")

EVENTS = Path(__file__).with_name("events")
# As in "Input format of a Lambda function for proxy integration" of API Gateway's Developer Guide.
MEMBERS = {
    *("resource", "path", "httpMethod", "headers", "multiValueHeaders", "queryStringParameters"),
    *("multiValueQueryStringParameters", "pathParameters", "stageVariables", "requestContext", "body"),
    "isBase64Encoded",
}
IDENTITY = {
    *("accessKey", "accountId", "apiKey", "apiKeyId", "caller", "clientCert", "cognitoAuthenticationProvider"),
    *("cognitoAuthenticationType", "cognitoIdentityId", "cognitoIdentityPoolId", "principalOrgId", "sourceIp"),
    *("user", "userAgent", "userArn"),
}


@pytest.mark.parametrize("file", sorted(EVENTS.glob("api_*.json")), ids=lambda file: file.stem)
def test_the_events_have_every_member_of_the_documented_ones(file: Path) -> None:
    event = json.loads(file.read_text())
    assert set(event) == MEMBERS
    assert set(event["requestContext"]["identity"]) == IDENTITY
    assert event["resource"] in answers.DOCUMENT["paths"]


@pytest.mark.parametrize("name", ["api_json", "api_batch", "api_image", "api_iam"])
def test_every_kind_of_request_is_answered(predictions: Any, captured: Any, name: str) -> None:
    predictions.put("photos/1.jpg")
    event = captured(name)
    status, answer, headers = predictions.send(event)
    assert status == 200
    assert answer["request_id"] == event["requestContext"]["requestId"]
    assert headers.get("Idempotency-Key") == event["headers"].get("Idempotency-Key")
    if name == "api_batch":
        assert answer["succeeded"] == 2
        assert [result["prediction"].get("decision") for result in answer["results"]] == ["fail", None]
    else:
        assert answer["count"] == 3
        assert answer.get("decision") == (None if name == "api_iam" else "pass")


def test_an_event_of_nulls_is_a_bad_request(predictions: Any, captured: Any) -> None:
    status, problem, _ = predictions.send(captured("api_nulls"))
    assert (status, problem["code"]) == (400, "bad_request")


@pytest.mark.parametrize("missing", [*sorted(MEMBERS), "everything"])
@pytest.mark.parametrize("name", ["api_json", "api_image"])
def test_an_event_that_lacks_a_member_is_answered_all_the_same(
    predictions: Any, captured: Any, name: str, missing: str
) -> None:
    predictions.put("photos/1.jpg")
    event = {} if missing == "everything" else captured(name)
    event.pop(missing, None)
    status, answer, _ = predictions.send(event)
    assert status in (200, 400, 415)
    if missing not in ("body", "isBase64Encoded", "everything"):
        assert (status, answer["count"]) == (200, 3)
