"""The API's data plane: who may call it, with which bodies, at which addresses; alarms, firewall, budget beside it."""

import base64
import http.client
import json
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from botocore.exceptions import ClientError

from tests.local.emulator.conftest import Account

STACK = "t-api"


@pytest.fixture(scope="module")
def outputs(account: Account, assembly: Path) -> dict[str, str]:
    return account.deploy(assembly, STACK)


@pytest.fixture(scope="module")
def key(account: Account, outputs: dict[str, str]) -> str:
    return str(account.client("apigateway").get_api_key(apiKey=outputs["KeyId"], includeValue=True)["value"])


def post(
    url: str, body: bytes, key: str | None, host: str | None = None, content_type: str = "application/json"
) -> tuple[int, dict[str, object]]:
    """POST; status and JSON answer."""
    status, _, answer = post_for_headers(url, body, key, host, content_type)
    return status, answer


def post_for_headers(
    url: str, body: bytes, key: str | None, host: str | None = None, content_type: str = "application/json"
) -> tuple[int, http.client.HTTPMessage, dict[str, object]]:
    """POST; status, headers and JSON answer."""
    parts = urlsplit(url)
    headers = {"Content-Type": content_type, **({"x-api-key": key} if key else {})}
    connection = http.client.HTTPConnection("127.0.0.1", parts.port)
    try:
        connection.request("POST", parts.path, body, headers | ({"Host": host} if host else {}))
        answer = connection.getresponse()
        return answer.status, answer.headers, json.loads(answer.read())
    finally:
        connection.close()


def test_a_good_request_with_a_key_reaches_the_function(account: Account, outputs: dict[str, str], key: str) -> None:
    url = account.api_url(outputs["ApiId"], "v1") + "echo"
    assert post(url, b'{"say": "hello"}', key) == (200, {"got": {"say": "hello"}})


def test_the_hosts_form_of_aws_is_answered_too(account: Account, outputs: dict[str, str], key: str) -> None:
    host = f"{outputs['ApiId']}.execute-api.localhost:{account.port}"
    assert post(f"{account.endpoint}/v1/echo", b'{"say": "hello"}', key, host)[0] == 200


@pytest.mark.parametrize("wrong", [None, "not-the-key"])
def test_without_the_key_nobody_gets_in(account: Account, outputs: dict[str, str], wrong: str | None) -> None:
    url = account.api_url(outputs["ApiId"], "v1") + "echo"
    assert post(url, b'{"say": "hello"}', wrong) == (403, {"message": "Forbidden"})


@pytest.mark.parametrize("body", [b"{}", b'{"say": 1}', b"[]"], ids=["missing", "type", "list"])
def test_a_body_that_the_model_forbids_does_not_reach_the_function(
    account: Account, outputs: dict[str, str], key: str, body: bytes
) -> None:
    url = account.api_url(outputs["ApiId"], "v1") + "echo"
    assert post(url, body, key) == (400, {"message": "Invalid request body"})


def test_only_content_types_that_have_a_model_are_held_against_one(
    account: Account, outputs: dict[str, str], key: str
) -> None:
    url = account.api_url(outputs["ApiId"], "v1") + "echo"
    assert post(url, b"hello", key, content_type="text/plain") == (200, {"text": "hello"})
    assert post(url, b"{}", key, content_type="Application/JSON; charset=utf-8")[0] == 400


def test_a_binary_body_arrives_as_it_was_sent(account: Account, outputs: dict[str, str], key: str) -> None:
    url = account.api_url(outputs["ApiId"], "v1") + "echo"
    photo = bytes(range(256))
    status, answer = post(url, photo, key, content_type="image/jpeg")
    assert (status, base64.b64decode(str(answer["base64"]))) == (200, photo)


@pytest.mark.parametrize(
    ("length", "content_type"),
    [(4_718_592, "image/jpeg"), (6_291_456, "text/plain"), (10_485_761, "text/plain")],
    ids=["base64", "text", "gateway"],
)
def test_a_body_that_the_function_cannot_take_is_refused_in_the_apis_own_words(
    account: Account, outputs: dict[str, str], key: str, length: int, content_type: str
) -> None:
    url = account.api_url(outputs["ApiId"], "v1") + "echo"
    status, headers, answer = post_for_headers(url, b"x" * length, key, content_type=content_type)
    assert (status, answer["code"], headers["Retry-After"]) == (413, "too_large", "7")
    assert headers["Content-Type"] == "application/problem+json"
    assert len(str(answer["request_id"])) > 30


def test_a_body_of_four_mebibytes_fits(account: Account, outputs: dict[str, str], key: str) -> None:
    url = account.api_url(outputs["ApiId"], "v1") + "echo"
    status, answer = post(url, b"x" * 4_194_304, key, content_type="image/jpeg")
    assert (status, len(str(answer["base64"]))) == (200, 5_592_408)


@pytest.mark.parametrize("say", ["raise", "nonsense"])
def test_a_function_that_fails_is_answered_for_without_its_stack_trace(
    account: Account, outputs: dict[str, str], key: str, say: str
) -> None:
    url = account.api_url(outputs["ApiId"], "v1") + "echo"
    assert post(url, json.dumps({"say": say}).encode(), key) == (502, {"message": "Internal server error"})


def test_the_function_and_the_caller_see_one_id_of_a_request(
    account: Account, outputs: dict[str, str], key: str
) -> None:
    url = account.api_url(outputs["ApiId"], "v1") + "echo"
    seen = [post_for_headers(url, b'{"say": "id"}', key) for _ in range(2)]
    ids = [answer["id"] for _, _, answer in seen]
    assert [headers["x-amzn-RequestId"] for _, headers, _ in seen] == ids
    assert len(set(ids)) == 2
    _, headers, _ = post_for_headers(url, b'{"say": "raise"}', key)
    assert headers["x-amzn-RequestId"] not in (None, *ids)


def test_what_stands_beside_the_api_can_be_asked_for(account: Account, outputs: dict[str, str]) -> None:
    stage = f"arn:aws:apigateway:eu-west-1::/restapis/{outputs['ApiId']}/stages/v1"
    assert account.client("wafv2").get_web_acl_for_resource(ResourceArn=stage)["WebACL"]["Name"].startswith(STACK)
    alarms = account.client("cloudwatch").describe_alarms(AlarmTypes=["CompositeAlarm", "MetricAlarm"])
    assert len(alarms["MetricAlarms"]) == 2
    assert [alarm["AlarmRule"].count("ALARM(") for alarm in alarms["CompositeAlarms"]] == [2]
    budget = account.client("budgets").describe_budget(AccountId="123456789012", BudgetName=STACK)["Budget"]
    assert budget["BudgetLimit"] == {"Amount": "100", "Unit": "USD"}


def test_all_of_it_is_gone_with_the_stack(account: Account, outputs: dict[str, str]) -> None:
    account.client("cloudformation").delete_stack(StackName=STACK)
    account.wait_for(lambda: not account.client("apigateway").get_rest_apis()["items"])
    stage = f"arn:aws:apigateway:eu-west-1::/restapis/{outputs['ApiId']}/stages/v1"
    account.wait_for(lambda: not account.client("budgets").describe_budgets(AccountId="123456789012").get("Budgets"))
    with pytest.raises(ClientError, match="WAFNonexistentItemException"):
        account.client("wafv2").get_web_acl_for_resource(ResourceArn=stage)
    assert account.client("cloudwatch").describe_alarms(AlarmTypes=["CompositeAlarm"])["CompositeAlarms"] == []
