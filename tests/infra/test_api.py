"""The API stack: who may call it with what, what is kept out, and what is never written down."""

import json
from typing import Any

import pytest

from infra.constructs.firewall import COUNTED
from tests.infra.conftest import AppOf
from tests.infra.synth import Synthesized, text
from tests.infra.templates import OTHERWISE, at


@pytest.fixture(scope="module")
def other(app_of: AppOf) -> Synthesized:
    return app_of("prod", OTHERWISE)


def methods(made: Synthesized) -> list[dict[str, Any]]:
    found = list(made.resources("api", "AWS::ApiGateway::Method").values())
    assert len(found) == 3
    return found


def test_address_is_that_of_the_stage(dev: Synthesized) -> None:
    assert text(dev.templates["api"]["Outputs"]["Url"]["Value"]).startswith("https://")


def test_callers_need_a_key_with_a_plan(dev: Synthesized) -> None:
    assert {(method["ApiKeyRequired"], method["AuthorizationType"]) for method in methods(dev)} == {(True, "NONE")}
    plan = dev.only("api", "AWS::ApiGateway::UsagePlan")
    assert plan["Throttle"] == {"RateLimit": 20, "BurstLimit": 40}
    assert plan["Quota"] == {"Limit": 20_000, "Period": "DAY"}
    (key,) = dev.resources("api", "AWS::ApiGateway::ApiKey")
    assert dev.only("api", "AWS::ApiGateway::UsagePlanKey")["KeyId"] == {"Ref": key}
    assert dev.templates["api"]["Outputs"]["ApiKeyId"]["Value"] == {"Ref": key}
    assert "Value" not in dev.only("api", "AWS::ApiGateway::ApiKey")  # a key in a template is known to all who read it


def test_callers_sign_where_iam_is_set(other: Synthesized) -> None:
    assert {(method["ApiKeyRequired"], method["AuthorizationType"]) for method in methods(other)} == {
        (False, "AWS_IAM")
    }
    assert not other.resources("api", "AWS::ApiGateway::ApiKey")
    assert "ApiKeyId" not in other.templates["api"]["Outputs"]


def test_function_answers_before_the_gateway_gives_up(dev: Synthesized) -> None:
    (gateway,) = {method["Integration"]["TimeoutInMillis"] for method in methods(dev)}
    for function in dev.resources("api", "AWS::Lambda::Function").values():
        assert function["Timeout"] * 1000 < gateway <= 29_000


def test_stage_is_throttled_traced_and_logged(dev: Synthesized) -> None:
    stage = dev.only("api", "AWS::ApiGateway::Stage")
    (every,) = stage["MethodSettings"]
    assert (every["ResourcePath"], every["HttpMethod"]) == ("/*", "*")
    assert (every["ThrottlingRateLimit"], every["ThrottlingBurstLimit"]) == (20, 40)
    assert (every["LoggingLevel"], every["DataTraceEnabled"]) == ("ERROR", False)
    assert stage["TracingEnabled"] is True
    for function in dev.resources("api", "AWS::Lambda::Function").values():
        assert function["TracingConfig"] == {"Mode": "Active"}


def test_access_log_has_no_secrets(dev: Synthesized) -> None:
    line = json.loads(dev.only("api", "AWS::ApiGateway::Stage")["AccessLogSetting"]["Format"])
    assert {"requestId", "ip", "status", "apiKeyId"} <= line.keys()
    for variable in line.values():
        assert not variable.startswith(("$context.identity.apiKey ", "$context.requestOverride", "$context.authorizer"))
        assert variable not in ("$context.identity.apiKey", "$context.identity.accessKey")
        assert not any(word in variable.lower() for word in ("header", "querystring", "body"))


def test_gateways_own_log_is_ours_before_the_gateway_makes_it(dev: Synthesized) -> None:
    resources = dev.templates["api"]["Resources"]
    (stage,) = (item for item in resources.values() if item["Type"] == "AWS::ApiGateway::Stage")
    (log,) = (
        id_
        for id_, item in dev.resources("api", "AWS::Logs::LogGroup").items()
        if text(item["LogGroupName"]).startswith("API-Gateway-Execution-Logs_<Api")
    )
    account = next(id_ for id_, item in resources.items() if item["Type"] == "AWS::ApiGateway::Account")
    assert {log, account} <= set(stage["DependsOn"])


def test_logs_of_other_apis_survive_destroy(dev: Synthesized) -> None:
    """The account has one role for the logs of all its APIs: this one, after the deployment."""
    resources = dev.templates["api"]["Resources"]
    for id_, item in resources.items():
        if id_.startswith("AccountLogging"):
            assert item["Type"] == "AWS::IAM::Policy" or item["DeletionPolicy"] == "Retain", id_


def rules(made: Synthesized) -> dict[str, dict[str, Any]]:
    acl = made.only("api", "AWS::WAFv2::WebACL")
    return {rule["Name"]: rule for rule in acl["Rules"]}


def test_firewall_guards_the_stage(dev: Synthesized) -> None:
    association = dev.only("api", "AWS::WAFv2::WebACLAssociation")
    (acl,) = dev.resources("api", "AWS::WAFv2::WebACL")
    (stage,) = dev.resources("api", "AWS::ApiGateway::Stage")
    assert association["WebACLArn"] == {"Fn::GetAtt": [acl, "Arn"]}
    assert stage in text(association["ResourceArn"])


def test_firewall_blocks_floods_and_known_attacks(dev: Synthesized) -> None:
    made = rules(dev)
    assert made["PerAddress"]["Action"] == {"Block": {}}
    assert made["PerAddress"]["Statement"]["RateBasedStatement"]["Limit"] == 1000
    managed = {name for name, rule in made.items() if rule.get("OverrideAction") == {"None": {}}}
    assert managed == {
        "AWSManagedRulesAmazonIpReputationList",
        "AWSManagedRulesCommonRuleSet",
        "AWSManagedRulesKnownBadInputsRuleSet",
    }


def test_firewall_lets_photos_and_addresses_through(dev: Synthesized) -> None:
    """Rules that would block what the API is for only count; each has its reason, and no other rule is weakened."""
    for name, rule in rules(dev).items():
        overrides = at(rule, "Statement.ManagedRuleGroupStatement.RuleActionOverrides") or []
        assert {item["Name"]: item["ActionToUse"] for item in overrides} == {
            counted: {"Count": {}} for counted in COUNTED.get(name, {})
        }
    assert {"SizeRestrictions_BODY", "GenericRFI_BODY", "GenericLFI_BODY"} <= COUNTED[
        "AWSManagedRulesCommonRuleSet"
    ].keys()


def test_firewall_keeps_keys_out_of_its_log(dev: Synthesized) -> None:
    logging = dev.only("api", "AWS::WAFv2::LoggingConfiguration")
    redacted = json.dumps(logging["RedactedFields"])
    assert all(name in redacted for name in ("x-api-key", "authorization", "QueryString"))
    (destination,) = logging["LogDestinationConfigs"]
    (log,) = (
        id_
        for id_, item in dev.resources("api", "AWS::Logs::LogGroup").items()
        if str(item["LogGroupName"]).startswith("aws-waf-logs-")  # WAF takes no other name
    )
    assert f"<{log}>" in text(destination)
    visible = [rule["VisibilityConfig"]["SampledRequestsEnabled"] for rule in rules(dev).values()]
    assert not any(visible)


def test_own_domain_has_the_same_paths(other: Synthesized) -> None:
    domain = other.only("api", "AWS::ApiGateway::DomainName")
    assert (domain["DomainName"], domain["SecurityPolicy"]) == ("count.example.com", "TLS_1_2")
    assert other.only("api", "AWS::ApiGateway::BasePathMapping")["BasePath"] == "v1"
    assert other.only("api", "AWS::ApiGateway::RestApi")["DisableExecuteApiEndpoint"] is True
    assert other.templates["api"]["Outputs"]["Url"]["Value"] == "https://count.example.com/v1/"
