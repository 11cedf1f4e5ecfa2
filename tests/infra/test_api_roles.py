"""What the two functions of the API may do: each permission is listed here, and there is no other."""

import re
from pathlib import Path

import pytest

from tests.infra.conftest import ENVIRONMENTS, AppOf
from tests.infra.synth import Synthesized, actions_of, text
from tests.infra.templates import OTHERWISE, listed

SAGEMAKER = "arn:<AWS::Partition>:sagemaker:<AWS::Region>:<AWS::AccountId>"
RAW = "arn:<AWS::Partition>:s3:::tally-{env}-raw-<AWS::AccountId>-<AWS::Region>"

ALWAYS = {
    ("xray:PutTelemetryRecords", "*"),
    ("xray:PutTraceSegments", "*"),
    ("kms:Decrypt", "<tally-{env}-data:ExportsOutputFnGetAttKeyArn>"),  # photos and environment variables: one key
}
PREDICTIONS = ALWAYS | {
    ("logs:CreateLogStream", "<FunctionLog.Arn>"),
    ("logs:PutLogEvents", "<FunctionLog.Arn>"),
    ("sagemaker:InvokeEndpoint", f"{SAGEMAKER}:endpoint/tally-{{env}}"),
}
ABOUT = ALWAYS | {
    ("logs:CreateLogStream", "<AboutLog.Arn>"),
    ("logs:PutLogEvents", "<AboutLog.Arn>"),
    ("sagemaker:DescribeEndpoint", f"{SAGEMAKER}:endpoint/tally-{{env}}"),
    ("sagemaker:DescribeEndpointConfig", f"{SAGEMAKER}:endpoint-config/*"),
    ("sagemaker:DescribeModel", f"{SAGEMAKER}:model/*"),
}


def may_read(*places: str) -> set[tuple[str, str]]:
    return {(action, place) for place in places for action in ("s3:GetObject", "s3:GetObjectVersion")}


def allowed(made: Synthesized, role: str) -> set[tuple[str, str]]:
    """Every action on every resource of the role's policies; it has no other policies and no conditions."""
    (properties,) = (item for id_, item in made.resources("api", "AWS::IAM::Role").items() if id_.startswith(role))
    assert not {"Policies", "ManagedPolicyArns", "PermissionsBoundary"} & properties.keys()
    statements = made.statements("api", role)
    for statement in statements:
        assert statement.keys() - {"Sid"} == {"Effect", "Action", "Resource"}
        assert statement["Effect"] == "Allow"
    return {
        (action, _without_hashes(text(resource)))
        for statement in statements
        for action in actions_of(statement)
        for resource in listed(statement["Resource"])
    }


def _without_hashes(resource: str) -> str:
    """Without what CDK puts behind logical ids."""
    return re.sub(r"(?<=[a-z])[0-9A-F]{8}(?=[.>A])", "", resource)


def named(pairs: set[tuple[str, str]], env: str) -> set[tuple[str, str]]:
    return {(action, resource.replace("{env}", env)) for action, resource in pairs}


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_counting_may_ask_the_endpoint_read_the_photos_and_nothing_else(app_of: AppOf, environment: str) -> None:
    expected = named(PREDICTIONS | may_read(f"{RAW}/photos/*"), environment)
    assert allowed(app_of(environment), "FunctionRole") == expected


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_speaking_about_the_api_may_look_at_the_endpoint_and_nothing_else(app_of: AppOf, environment: str) -> None:
    assert allowed(app_of(environment), "AboutRole") == named(ABOUT, environment)


def test_places_are_those_of_the_settings_and_the_same_in_the_function(app_of: AppOf) -> None:
    other = app_of("prod", OTHERWISE)  # nothing in the raw bucket, one place elsewhere
    place = "arn:<AWS::Partition>:s3:::photos-of-others/bins/*"
    assert allowed(other, "FunctionRole") == named(PREDICTIONS | may_read(place), "prod")
    assert variables(other)["S3_SOURCES"] == "photos-of-others/bins/"
    assert text(variables(app_of("dev"))["S3_SOURCES"]) == "tally-dev-raw-<AWS::AccountId>-<AWS::Region>/photos/"


def test_no_place_at_all_is_no_permission_to_read(tailored: Synthesized) -> None:
    assert allowed(tailored, "FunctionRole") == named(PREDICTIONS, "dev")
    assert variables(tailored)["S3_SOURCES"] == ""


def variables(made: Synthesized, function: str = "api") -> dict[str, object]:
    functions = made.resources("api", "AWS::Lambda::Function").values()
    (found,) = (item for item in functions if item["FunctionName"].endswith(f"-{function}"))
    values: dict[str, object] = found["Environment"]["Variables"]
    return values


def test_settings_reach_the_functions(dev: Synthesized, app_of: AppOf) -> None:
    assert {name: value for name, value in variables(dev).items() if name != "S3_SOURCES"} == {
        "ENVIRONMENT": "tally-dev",
        "ENDPOINT_NAME": "tally-dev",
        "ALLOW_HTTP": "false",
        "PASS_PROBABILITY": "0.8",
        "FAIL_PROBABILITY": "0.05",
    }
    other = variables(app_of("prod", OTHERWISE))
    assert (other["ALLOW_HTTP"], other["PASS_PROBABILITY"], other["FAIL_PROBABILITY"]) == ("true", "1", "0.1")
    assert variables(dev, "about") == {"ENDPOINT_NAME": "tally-dev"}


def test_both_functions_are_one_asset_that_holds_code_and_document(dev: Synthesized) -> None:
    functions = dev.resources("api", "AWS::Lambda::Function").values()
    assert {item["Handler"] for item in functions} == {"handler.handler", "about.handler"}
    (key,) = {item["Code"]["S3Key"] for item in functions}
    files = {path.name for path in Path(dev.directory, f"asset.{key.removesuffix('.zip')}").iterdir()}
    assert {"handler.py", "openapi.json"} <= files
    assert not {name for name in files if name.startswith((".", "__"))}


def test_only_the_gateways_own_routes_may_call_the_functions(dev: Synthesized) -> None:
    """Neither other APIs nor the console's test button, which asks for no key."""
    (stage,) = dev.resources("api", "AWS::ApiGateway::Stage")
    names = {id_: item["FunctionName"] for id_, item in dev.resources("api", "AWS::Lambda::Function").items()}
    permissions = dev.resources("api", "AWS::Lambda::Permission").values()
    assert {item["Principal"] for item in permissions} == {"apigateway.amazonaws.com"}
    assert sorted(
        (names[item["FunctionName"]["Fn::GetAtt"][0]], text(item["SourceArn"]).split("/", 1)[1]) for item in permissions
    ) == [
        ("tally-dev-about", f"<{stage}>/GET/health"),
        ("tally-dev-about", f"<{stage}>/GET/openapi.json"),
        ("tally-dev-api", f"<{stage}>/POST/predictions"),
    ]
