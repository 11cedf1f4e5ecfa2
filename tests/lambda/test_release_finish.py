"""`finish` of lambda/deploy: a release that has ended is judged, answered, and taken back when it does not work."""

import json
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

fakes: Any = import_module("tests.lambda.fakes")

CALLBACK = "26vcYbeWsZ"
RUN = "arn:aws:sagemaker:eu-west-1:123456789012:pipeline/tally-dev/execution/7pinimwddh3a"


def begun(releases: Any) -> str:
    """A release of a run that is under way; the package's ARN."""
    arn = str(releases.register())
    assert releases.deliver(releases.callback(arn))
    return arn


def model_error(status: int, message: str) -> Exception:
    fields = {"OriginalStatusCode": status, "OriginalMessage": message}
    error: Exception = fakes.refusal(
        "InvokeEndpoint", "ModelError", "Received server error from primary", 424, **fields
    )
    return error


def test_a_release_that_works_is_approved_and_reported(releases: Any) -> None:
    arn = begun(releases)
    releases.stack_ends()
    outputs = {"endpoint_name": "tally-dev", "model_package_arn": arn}
    assert releases.sagemaker.answers == [("Success", CALLBACK, outputs)]
    package = releases.package(arn)
    assert package["ModelApprovalStatus"] == "Approved"
    assert package["ApprovalDescription"].endswith("smoke test counted 3")
    assert package["CustomerMetadataProperties"]["verdict"] == "promote"
    assert releases.notices() == []


def test_the_captured_event_of_cloudformation_is_understood(releases: Any, captured: Any) -> None:
    begun(releases)
    releases.stack.end()
    releases.finish.handler(captured("stack_status"), None)
    assert [kind for kind, _, _ in releases.sagemaker.answers] == ["Success"]


def test_the_smoke_test_sends_the_photo_of_the_folder(releases: Any) -> None:
    begun(releases)
    releases.stack_ends()
    (request,) = releases.endpoint.requests
    assert request["EndpointName"] == "tally-dev"
    assert request["ContentType"] == "image/jpeg"
    assert request["Body"] == (Path(releases.finish.__file__).parent / "smoke.jpg").read_bytes()
    assert request["Body"].startswith(b"\xff\xd8\xff")


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b'{"count": 0}', "the endpoint answered b'{\"count\": 0}' where a count from 1 to 5 should be"),
        (b'{"count": true}', "where a count from 1 to 5 should be"),
        (b'{"count": "3"}', "where a count from 1 to 5 should be"),
        (b"<html>", "where a count from 1 to 5 should be"),
        (model_error(500, '{"code": "internal_error"}'), 'the model answered 500: {"code": "internal_error"}'),
        (
            fakes.refusal("InvokeEndpoint", "ServiceUnavailable", "no capacity", 503),
            "the endpoint answered ServiceUnavailable: no capacity",
        ),
    ],
    ids=["count 0", "true", "a text", "no JSON", "500", "unavailable"],
)
def test_a_model_that_does_not_count_is_rejected_and_taken_back(releases: Any, answer: Any, reason: str) -> None:
    old = releases.in_service()
    broken = begun(releases)
    releases.endpoint.answer = answer
    releases.stack_ends()
    ((kind, token, given),) = releases.sagemaker.answers
    assert (kind, token) == ("Failure", CALLBACK)
    assert given.startswith("tally-dev/2 failed the smoke test and is taken out of service: ")
    assert reason in given
    package = releases.package(broken)
    assert package["ModelApprovalStatus"] == "Rejected"
    assert reason in package["ApprovalDescription"]
    assert releases.deliver_next()
    assert releases.stack.parameters["ModelPackageArn"] == old
    assert releases.stack.updates[-1]["ClientRequestToken"] == f"revert-{CALLBACK}"
    releases.stack_ends(token=f"revert-{CALLBACK}")
    assert [subject for subject, _ in releases.notices()] == [
        "Tally tally-dev: tally-dev/2 failed its smoke test",
        "Tally tally-dev: the release was taken back",
    ]


def test_a_broken_first_model_leaves_no_endpoint(releases: Any) -> None:
    begun(releases)
    releases.endpoint.answer = b"{}"
    releases.stack_ends()
    assert releases.deliver_next()
    assert releases.stack.parameters["ModelPackageArn"] == ""
    releases.stack_ends(token=f"revert-{CALLBACK}")
    assert releases.notices()[-1] == ("Tally tally-dev: the release was taken back", "In service again: no model.")


def test_taking_back_waits_for_a_busy_stack(releases: Any) -> None:
    old = releases.in_service()
    begun(releases)
    releases.endpoint.answer = b"{}"
    releases.stack_ends()
    releases.stack.begin("exec-cdk-deploy")
    assert not releases.deliver_next()
    releases.stack.end()
    revert = releases.finish.Revert(CALLBACK, releases.stack.parameters["ModelPackageArn"], old, releases.stack.now)
    assert releases.deliver(revert.body())
    assert releases.stack.parameters["ModelPackageArn"] == old


def test_taking_back_that_fails_wakes_people(releases: Any) -> None:
    old = releases.in_service()
    begun(releases)
    releases.endpoint.answer = b"{}"
    releases.stack_ends()
    releases.notices()
    assert releases.deliver_next()
    assert releases.stack.parameters["ModelPackageArn"] == old
    releases.stack.resource("Endpoint", "UPDATE_FAILED", "no capacity")
    releases.stack_ends("UPDATE_ROLLBACK_COMPLETE", token=f"revert-{CALLBACK}")
    ((subject, text),) = releases.notices()
    assert subject == "Tally tally-dev: a model that failed its smoke test is still in service"
    assert "Endpoint: no capacity. Approve the version that should serve" in text


def test_taking_back_gives_up_with_a_notice(releases: Any) -> None:
    releases.in_service()
    broken = begun(releases)
    releases.endpoint.answer = b"{}"
    releases.stack_ends()
    releases.notices()
    releases.stack.begin("exec-cdk-deploy")
    assert releases.deliver_next(attempt=5)
    ((subject, text),) = releases.notices()
    assert subject == "Tally tally-dev: a model that failed its smoke test is still in service"
    assert text.startswith(f"{broken} could not be taken back: the serving stack tally-dev-serving is busy")


def test_a_rolled_back_release_is_reported_with_the_first_reason(releases: Any) -> None:
    old = releases.in_service()
    arn = begun(releases)
    alarm = "One or more alarms went off during the deployment: tally-dev-5xx"
    releases.stack.resource(
        "Endpoint",
        "UPDATE_FAILED",
        f'Resource handler returned message: "{alarm}" (RequestToken: 4a1b, HandlerErrorCode: GeneralServiceException)',
    )
    releases.stack.resource("Policy", "UPDATE_FAILED", "Resource update cancelled")
    releases.stack.resource("Target", "CREATE_FAILED", "what came of it")
    releases.stack_ends("UPDATE_ROLLBACK_COMPLETE")
    assert releases.sagemaker.answers == [
        ("Failure", CALLBACK, f"tally-dev/2 did not go into service: Endpoint: {alarm}")
    ]
    package = releases.package(arn)
    assert package["ModelApprovalStatus"] == "Rejected"
    assert alarm in package["ApprovalDescription"]
    assert releases.stack.parameters["ModelPackageArn"] == old
    ((_, text),) = releases.notices()
    assert text.endswith("In service: tally-dev/1.")
    assert releases.endpoint.requests == []


def test_a_long_reason_is_cut_for_the_pipeline_and_whole_in_the_registry(releases: Any) -> None:
    arn = begun(releases)
    reason = "The primary container did not pass the ping health check.\n" + "Please check the logs. " * 20
    releases.stack.resource("Endpoint", "CREATE_FAILED", reason)
    releases.stack_ends("UPDATE_ROLLBACK_COMPLETE")
    ((_, _, given),) = releases.sagemaker.answers
    assert len(given) <= 256
    assert given.startswith("tally-dev/1 did not go into service: Endpoint: The primary container did not pass")
    assert given.endswith("...")
    assert releases.package(arn)["ApprovalDescription"].count("Please check the logs.") == 20


def test_a_stack_that_could_not_go_back_is_reported_with_the_remedy(releases: Any) -> None:
    begun(releases)
    releases.stack.resource("Endpoint", "UPDATE_FAILED", "no capacity")
    releases.stack_ends("UPDATE_ROLLBACK_FAILED")
    ((_, _, reason),) = releases.sagemaker.answers
    assert "aws cloudformation continue-update-rollback --stack-name tally-dev-serving" in reason
    assert reason.endswith("Endpoint: no capacity")


@pytest.mark.parametrize("token", ["exec-0b1c2d3e", None, "Console-UpdateStack-7f59c3cf"])
def test_operations_that_are_no_release_are_left_alone(releases: Any, token: str | None) -> None:
    arn = releases.in_service()
    for status in ("UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE"):
        releases.tell(status, token)
    assert releases.endpoint.requests == []
    assert releases.notices() == []
    assert releases.package(arn)["ModelApprovalStatus"] == "Approved"


def test_another_stack_is_left_alone(releases: Any) -> None:
    begun(releases)
    releases.tell(stack=fakes.STACK_ID.replace("tally-dev-serving", "tally-dev-serving-2"))
    assert releases.sagemaker.answers == []


def test_a_token_that_expired_is_a_notice_and_no_error(releases: Any, capsys: pytest.CaptureFixture[str]) -> None:
    arn = begun(releases)
    releases.sagemaker.open_tokens.clear()
    releases.stack_ends()
    assert releases.package(arn)["ModelApprovalStatus"] == "Approved"
    ((subject, text),) = releases.notices()
    assert subject == "Tally tally-dev: a pipeline did not wait for its release any more"
    assert text.startswith("tally-dev/1 is in service. The pipeline step that asked could not be told")
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert any(line["event"] == "callback token closed" for line in lines)
    assert not any(CALLBACK in str(line) for line in lines), "tokens are secrets"


def test_a_package_that_is_gone_still_answers_the_run(releases: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    begun(releases)
    releases.stack.resource("Endpoint", "UPDATE_FAILED", "the model package does not exist")
    monkeypatch.setattr(
        releases.sagemaker, "list_model_packages", lambda **_: {"ModelPackageSummaryList": []}, raising=False
    )
    releases.stack_ends("UPDATE_ROLLBACK_COMPLETE")
    ((kind, _, reason),) = releases.sagemaker.answers
    assert kind == "Failure"
    assert reason == "the package did not go into service: Endpoint: the model package does not exist"
    monkeypatch.undo()
