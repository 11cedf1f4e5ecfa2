"""The checks of requests against openapi.json, held against a validator of the whole standard."""

import re
from collections.abc import Iterator
from importlib import import_module
from types import ModuleType
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

answers: Any = import_module("tests.lambda.answers")

DOCUMENT = answers.DOCUMENT
SCHEMAS = DOCUMENT["components"]["schemas"]
MANY = settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def schema(load: Any) -> ModuleType:
    (module,) = load("api", "schema")
    return module


def schemas(value: Any, name: str = "") -> Iterator[dict[str, Any]]:
    """Every schema within one."""
    yield value
    for part in [*value.get("properties", {}).values(), *value.get("oneOf", ())]:
        yield from schemas(part)
    if "items" in value:
        yield from schemas(value["items"])


def every_schema() -> Iterator[dict[str, Any]]:
    for value in SCHEMAS.values():
        yield from schemas(value)
    for path in DOCUMENT["paths"].values():
        for operation in path.values():
            for parameter in operation.get("parameters", ()):
                yield from schemas(parameter["schema"])
            for content in operation.get("requestBody", {}).get("content", {}).values():
                yield from schemas(content["schema"])


def test_the_document_uses_no_keyword_that_is_not_checked(schema: ModuleType) -> None:
    found = set().union(*every_schema())
    assert found <= schema.KEYWORDS | schema.ANNOTATIONS
    assert found >= schema.KEYWORDS  # and none is checked that is not used


def test_what_is_not_checked_stands_beside_nothing_that_is(schema: ModuleType) -> None:
    for value in every_schema():
        if "$ref" in value:
            assert set(value) == {"$ref"}  # what stood beside it would be passed over
        assert value.get("additionalProperties", False) is False
        if "pattern" in value:
            assert re.fullmatch(r"\^[^|]*\$", value["pattern"])  # as a whole, never a part


# Values near those of the document: its members with right and wrong contents, and anything.
NAMES = ["image_url", "s3_uri", "version_id", "expected_count", "images", "index", "status", "prediction", "decision"]
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 8),
    st.integers(),
    st.floats(allow_nan=False),
    st.sampled_from([1.0, 3.0, 5.0, 5.5, 1e300, "", "x", "x" * 1100, "x" * 1101, "x" * 2048, "x" * 2049, "pass"]),
    st.text(max_size=5),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=18),
        st.dictionaries(st.one_of(st.sampled_from(NAMES), st.text(max_size=3)), inner, max_size=4),
    ),
    max_leaves=20,
)
PHOTOS = st.one_of(
    st.fixed_dictionaries({"image_url": SCALARS}, optional={"expected_count": SCALARS}),
    st.fixed_dictionaries({"s3_uri": SCALARS}, optional={"expected_count": SCALARS, "version_id": SCALARS}),
    st.fixed_dictionaries({}, optional={"image_url": SCALARS, "s3_uri": SCALARS, "size": SCALARS}),
)
REQUESTS = st.one_of(
    PHOTOS, st.fixed_dictionaries({"images": st.lists(st.one_of(PHOTOS, VALUES), max_size=18)}), VALUES
)


@MANY
@given(value=REQUESTS)
@example(value={"image_url": "x", "expected_count": True})
@example(value={"image_url": "x", "expected_count": 3.0})
@example(value={"image_url": "x", "expected_count": float("inf")})
@example(value={"images": [{"image_url": "x"}] * 16})
@example(value={"images": [{"image_url": "x"}] * 17})
@example(value={"images": [{"image_url": "x", "s3_uri": "y"}]})
@example(value={"images": {"0": {"image_url": "x"}}})
def test_a_request_is_valid_here_when_it_is_valid_by_the_standard(schema: ModuleType, value: Any) -> None:
    wanted = {"$ref": "#/components/schemas/PredictionRequest"}
    message = schema.fault(value, wanted, DOCUMENT)
    assert (message is None) == answers.of_schema(wanted).is_valid(value)
    if message is not None:
        assert message.isascii()
        assert "\n" not in message
        assert len(message) < 300


@MANY
@given(name=st.sampled_from(sorted(SCHEMAS)), value=VALUES)
def test_values_of_every_schema_are_judged_as_by_the_standard(schema: ModuleType, name: str, value: Any) -> None:
    wanted = {"$ref": f"#/components/schemas/{name}"}
    assert (schema.fault(value, wanted, DOCUMENT) is None) == answers.of_schema(wanted).is_valid(value)


LIMITS = st.integers(-3, 3)
SMALL = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(
            ["object", "array", "string", "boolean", "null", "integer", "number", ["string", "null"], ["integer"]]
        ),
        "enum": st.lists(st.sampled_from([0, 1, True, False, "a", None, 1.0]), min_size=1, max_size=3),
        "minimum": LIMITS,
        "maximum": LIMITS,
        "minLength": st.integers(0, 3),
        "maxLength": st.integers(0, 3),
        "minItems": st.integers(0, 3),
        "maxItems": st.integers(0, 3),
        "pattern": st.sampled_from(["^a+$", "^[!-~]{1,3}$"]),
        "required": st.lists(st.sampled_from("ab"), unique=True),
        "additionalProperties": st.booleans(),
    },
)
NESTED = st.recursive(
    SMALL,
    lambda inner: st.one_of(
        st.fixed_dictionaries({"oneOf": st.lists(inner, min_size=1, max_size=3)}),
        st.builds(lambda outer, item: {**outer, "items": item}, SMALL, inner),
        st.builds(lambda outer, a, b: {**outer, "properties": {"a": a, "b": b}}, SMALL, inner, inner),
    ),
    max_leaves=5,
)
PLAIN = st.recursive(
    st.one_of(st.sampled_from([0, 1, 1.0, 2.5, -1, True, False, None, "", "a", "aaaa", "b"]), st.integers()),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.sampled_from("abc"), inner, max_size=3)),
    max_leaves=8,
)


@MANY
@given(wanted=NESTED, value=PLAIN)
def test_schemas_of_these_keywords_mean_what_the_standard_says(
    schema: ModuleType, wanted: dict[str, Any], value: Any
) -> None:
    assert (schema.fault(value, wanted, DOCUMENT) is None) == answers.of_schema(wanted).is_valid(value)


def test_a_line_end_after_the_pattern_is_not_let_pass(schema: ModuleType) -> None:
    assert schema.fault("key\n", {"pattern": "^[!-~]{1,255}$"}, DOCUMENT, "it") == "it must match ^[!-~]{1,255}$"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ([], "the body is a list; it must be an object"),
        (None, "the body is null; it must be an object"),
        ("x", "the body is a text; it must be an object"),
        (3, "the body is 3; it must be an object"),
        ({}, "the body must have exactly one of image_url, s3_uri and images; it has none of them"),
        (
            {"image_url": "x", "s3_uri": "y"},
            "the body must have exactly one of image_url, s3_uri and images; it has image_url and s3_uri",
        ),
        (
            {"expected_count": 3},
            "the body must have exactly one of image_url, s3_uri and images; it has none of them",
        ),
        (
            {"image_url": "x", "size": 3},
            "the body has the unknown member 'size'; there are image_url and expected_count",
        ),
        (
            {"image_url": "x", "version_id": "1"},
            "the body has the unknown member 'version_id'; there are image_url and expected_count",
        ),
        (
            {"images": [], "expected_count": 3},
            "images is empty",
        ),
        (
            {"images": [{"image_url": "x"}], "expected_count": 3},
            "the body has the unknown member 'expected_count'; there are images",
        ),
        ({"image_url": 7}, "image_url is 7; it must be a text"),
        ({"image_url": None}, "image_url is null; it must be a text"),
        ({"s3_uri": ""}, "s3_uri is empty"),
        ({"image_url": "x" * 2049}, "image_url has 2049 characters; it may have 2048"),
        ({"image_url": "x", "expected_count": 0}, "expected_count is 0; it must be from 1 to 5"),
        ({"image_url": "x", "expected_count": True}, "expected_count is true; it must be a whole number"),
        ({"image_url": "x", "expected_count": 2.5}, "expected_count is 2.5; it must be a whole number"),
        ({"image_url": "x", "expected_count": "3"}, "expected_count is a text; it must be a whole number"),
        ({"images": {}}, "images is an object; it must be a list"),
        ({"images": [{"image_url": "x"}] * 17}, "images has 17 items; it may have 16"),
        (
            {"images": [{"image_url": "x"}, {"s3_uri": "y", "expected_count": 9}]},
            "images[1].expected_count is 9; it must be from 1 to 5",
        ),
        (
            {"images": [{"images": []}]},
            "images[0] must have exactly one of image_url and s3_uri; it has none of them",
        ),
        (
            {"image_url": "x", "é\n" * 50: 3},
            r"the body has the unknown member '\xe9\n\xe9\n\xe9\n\xe9\n\xe9\n\xe9\n...; there are image_url and "
            "expected_count",
        ),
        ({"image_url": "x", "expected_count": 10**100}, f"expected_count is 1{'0' * 36}...; it must be from 1 to 5"),
    ],
)
def test_a_message_names_the_member_and_what_it_must_be(schema: ModuleType, body: Any, message: str) -> None:
    assert schema.fault(body, {"$ref": "#/components/schemas/PredictionRequest"}, DOCUMENT) == message


@pytest.mark.parametrize(
    ("value", "wanted", "message"),
    [
        ("no", {"enum": ["pass", "fail"]}, "it is 'no'; it must be one of 'pass', 'fail'"),
        ("x", {"minLength": 2}, "it has 1 characters; it must have 2"),
        ([1], {"minItems": 2}, "it has 1 items; it must have 2"),
        (1, {"minimum": 2}, "it is 1; it must be at least 2"),
        (3, {"maximum": 2}, "it is 3; it must be at most 2"),
        ({}, {"required": ["a"]}, "it lacks the member a"),
        (1, {"oneOf": [{"minimum": 0}, {"maximum": 2}]}, "it can be read in more than one way"),
    ],
)
def test_every_keyword_has_its_message(schema: ModuleType, value: Any, wanted: dict[str, Any], message: str) -> None:
    assert schema.fault(value, wanted, DOCUMENT, "it") == message
