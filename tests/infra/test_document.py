"""What API Gateway has of the API's document: its routes, its request model and its problems, and nothing else."""

import json
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.constructs.problems import CODES, RETRY_AFTER
from infra.constructs.request_models import draft4
from infra.document import JSON, binary_media_types, document, routes
from tests.infra.synth import Synthesized, text

URL, URI = "https://example.com/a.jpg", "s3://bucket/a.jpg"
(PREDICT,) = (route for route in routes() if route.operation == "predict")

BODIES: list[tuple[Any, bool]] = [
    ({"image_url": URL}, True),
    ({"image_url": URL, "expected_count": 3}, True),
    ({"image_url": URL, "expected_count": 3.0}, True),  # an integer in JSON Schema of today, none in draft 4
    ({"image_url": URL, "expected_count": 3.5}, False),
    ({"image_url": URL, "expected_count": 6}, False),
    ({"image_url": URL, "expected_count": True}, False),
    ({"s3_uri": URI}, True),
    ({"s3_uri": URI, "version_id": "3"}, True),
    ({"image_url": URL, "version_id": "3"}, False),
    ({"images": [{"image_url": URL}, {"s3_uri": URI, "expected_count": 1}]}, True),
    ({"images": [{"s3_uri": URI}] * 16}, True),
    ({"images": [{"s3_uri": URI}] * 17}, False),
    ({"images": []}, False),
    ({"images": [{"images": [{"s3_uri": URI}]}]}, False),
    ({"images": [{"s3_uri": URI}], "expected_count": 2}, False),
    ({}, False),
    ({"image_url": URL, "s3_uri": URI}, False),
    ({"image_url": URL, "model": "mine"}, False),
    ({"image_url": 7}, False),
    ({"image_url": ""}, False),
    ({"image_url": "https://example.com/" + "a" * 2048}, False),
    ([{"image_url": URL}], False),
    (None, False),
]


def model(made: Synthesized) -> dict[str, Any]:
    schema: dict[str, Any] = made.only("api", "AWS::ApiGateway::Model")["Schema"]
    return schema


def documented(body: Any) -> bool:
    """Whether the document itself takes the body: JSON Schema 2020-12, references and all."""
    schema = {**PREDICT.bodies[JSON], "components": document()["components"]}
    return bool(jsonschema.Draft202012Validator(schema).is_valid(body))


@pytest.mark.parametrize(("body", "allowed"), BODIES, ids=lambda value: json.dumps(value)[:50])
def test_the_model_takes_what_the_document_takes(dev: Synthesized, body: Any, allowed: bool) -> None:
    assert documented(body) is allowed
    assert jsonschema.Draft4Validator(model(dev)).is_valid(body) is allowed


def test_the_template_has_the_model_as_it_is_made(dev: Synthesized) -> None:
    jsonschema.Draft4Validator.check_schema(model(dev))
    head = {"$schema": "http://json-schema.org/draft-04/schema#", "title": "Prediction"}
    assert model(dev) == {**head, **draft4(PREDICT.bodies[JSON])}


def _values() -> st.SearchStrategy[Any]:
    """Bodies near those that are allowed, about a quarter of which are, and others of their members."""
    near = [
        st.fixed_dictionaries({name: st.sampled_from([URL, "x", ""])}, optional={"expected_count": st.integers(0, 6)})
        for name in ("image_url", "s3_uri")
    ]
    batch = st.fixed_dictionaries({"images": st.lists(st.one_of(near), max_size=17)})
    scalars = (
        st.none() | st.booleans() | st.integers(-1, 7) | st.sampled_from([1.0, 2.5, "", "x", URL, URI, "y" * 2049])
    )
    names = st.sampled_from(["image_url", "s3_uri", "version_id", "expected_count", "images", "other"])
    members = st.dictionaries(names, scalars, max_size=3)
    return st.one_of(*near, batch, st.dictionaries(names, scalars | st.lists(members, max_size=3), max_size=3))


@settings(max_examples=300, deadline=None)
@given(body=_values())
def test_model_and_document_agree_on_every_body(body: Any) -> None:
    schema = draft4(PREDICT.bodies[JSON])
    assert jsonschema.Draft4Validator(schema).is_valid(body) is documented(body)


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        ({"type": "integer", "exclusiveMinimum": 0}, "'exclusiveMinimum'"),  # a boolean in draft 4
        ({"properties": {"a": {"const": 1}}}, "'const'"),
        ({"oneOf": [{"items": {"prefixItems": []}}]}, "'prefixItems'"),
        ({"type": ["string", "null"]}, "only one"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_keyword_that_draft_4_reads_otherwise_is_refused(schema: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=r"openapi\.json") as caught:
        draft4(schema)
    assert said in str(caught.value)


def test_a_schema_that_contains_itself_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    schemas = document()["components"]["schemas"]
    monkeypatch.setitem(schemas, "Photo", {"items": {"$ref": "#/components/schemas/Photo"}})
    with pytest.raises(ValueError, match="the schema Photo contains itself"):
        draft4({"$ref": "#/components/schemas/Photo"})


def test_routes_are_those_of_the_document_and_each_has_its_function(dev: Synthesized) -> None:
    resources = dev.resources("api", "AWS::ApiGateway::Resource")
    names = {id_: item["FunctionName"] for id_, item in dev.resources("api", "AWS::Lambda::Function").items()}
    made = {}
    for method in dev.resources("api", "AWS::ApiGateway::Method").values():
        path = resources[method["ResourceId"]["Ref"]]["PathPart"]
        (function,) = (name for id_, name in names.items() if f"<{id_}.Arn>" in text(method["Integration"]["Uri"]))
        made[f"{method['HttpMethod']} {path}"] = function
    assert made == {
        "POST predictions": "tally-dev-api",
        "GET health": "tally-dev-about",
        "GET openapi.json": "tally-dev-about",
    }
    assert {f"{route.method} {route.path}" for route in routes()} == made.keys()
    assert dev.only("api", "AWS::ApiGateway::Stage")["StageName"] == "v1"


def test_json_bodies_are_checked_before_the_function_runs(dev: Synthesized) -> None:
    (name, made), *_ = dev.resources("api", "AWS::ApiGateway::Model").items()
    (validator, checks), *_ = dev.resources("api", "AWS::ApiGateway::RequestValidator").items()
    assert (checks["ValidateRequestBody"], checks["ValidateRequestParameters"]) == (True, True)
    assert made["ContentType"] == "application/json"
    for method in dev.resources("api", "AWS::ApiGateway::Method").values():
        assert method["RequestValidatorId"] == {"Ref": validator}
        # other media types have no model, so API Gateway passes them to the function, which judges them
        expected = {"application/json": {"Ref": name}} if method["HttpMethod"] == "POST" else None
        assert method.get("RequestModels") == expected


def test_photos_in_the_body_reach_the_function_unharmed(dev: Synthesized) -> None:
    """API Gateway reads what is not listed as UTF-8, which no photo survives."""
    assert binary_media_types() == ["image/jpeg", "image/png", "image/webp"]
    assert dev.only("api", "AWS::ApiGateway::RestApi")["BinaryMediaTypes"] == binary_media_types()


def answers(made: Synthesized) -> dict[str, dict[str, Any]]:
    """Gateway responses by type."""
    responses = made.resources("api", "AWS::ApiGateway::GatewayResponse").values()
    return {item["ResponseType"]: item for item in responses}


def test_every_answer_of_the_gateway_is_a_problem_of_the_document(dev: Synthesized) -> None:
    problems = {problem["code"]: problem for problem in document()["x-problems"]}
    schema = {**document()["components"]["schemas"]["Problem"], "components": document()["components"]}
    assert answers(dev).keys() == {*CODES, "DEFAULT_4XX", "DEFAULT_5XX"}
    for kind, response in answers(dev).items():
        body = json.loads(response["ResponseTemplates"]["application/json"])
        jsonschema.Draft202012Validator(schema).validate(body)
        problem = problems[body["code"]]
        assert body["type"] == f"urn:tally:problem:{body['code']}"
        assert body["request_id"] == "$context.requestId"
        assert str(body.get("status")) == response.get("StatusCode", "None")
        if not kind.startswith("DEFAULT"):
            assert body.keys() == {"type", "title", "status", "code", "detail", "request_id"}
            assert body["status"] == problem["status"]
        parameters = response["ResponseParameters"]
        assert parameters["gatewayresponse.header.Content-Type"] == "'application/problem+json'"
        assert parameters["gatewayresponse.header.Cache-Control"] == "'no-store'"


def test_the_document_names_the_gateway_for_exactly_what_it_answers() -> None:
    assert {problem["code"] for problem in document()["x-problems"] if "gateway" in problem["by"]} == set(
        CODES.values()
    )


def test_whoever_is_too_fast_is_told_how_long_to_wait(dev: Synthesized) -> None:
    waits = {
        kind: item["ResponseParameters"].get("gatewayresponse.header.Retry-After")
        for kind, item in answers(dev).items()
    }
    assert {kind: wait for kind, wait in waits.items() if wait} == {"THROTTLED": "'1'", "QUOTA_EXCEEDED": "'3600'"}
    too_fast = {problem["code"] for problem in document()["x-problems"] if problem["status"] == 429}
    assert too_fast == RETRY_AFTER.keys()


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("REQUEST_TOO_LARGE", "4 MiB"),
        (
            "BAD_REQUEST_BODY",
            "image_url (a text of up to 2048 characters) or s3_uri (up to 1100, with version_id of up to 1024",
        ),
        ("BAD_REQUEST_BODY", "expected_count (a whole number from 1 to 5)"),
        ("BAD_REQUEST_BODY", "images, a list of 1 to 16 such objects"),
        ("INVALID_API_KEY", "x-api-key"),
        ("UNSUPPORTED_MEDIA_TYPE", "image/webp"),
        ("WAF_FILTERED", "firewall"),
    ],
)
def test_details_say_what_to_do(dev: Synthesized, kind: str, said: str) -> None:
    assert said in json.loads(answers(dev)[kind]["ResponseTemplates"]["application/json"])["detail"]


def test_details_can_stand_outside_of_the_document_and_in_a_template(dev: Synthesized) -> None:
    for response in answers(dev).values():
        template = response["ResponseTemplates"]["application/json"]
        assert "this document" not in template
        assert not set("`#") & set(template.replace("openapi.json", ""))
        assert template.count("$") == 1  # API Gateway would read another one as a variable


def test_a_changed_answer_or_model_is_deployed(dev: Synthesized) -> None:
    """Or API Gateway goes on with those of the last deployment."""
    resources = dev.templates["api"]["Resources"]
    (deployment,) = (item for item in resources.values() if item["Type"] == "AWS::ApiGateway::Deployment")
    for kind in ("AWS::ApiGateway::GatewayResponse", "AWS::ApiGateway::Model", "AWS::ApiGateway::Method"):
        assert dev.resources("api", kind).keys() <= set(deployment["DependsOn"])
