"""`start` of lambda/deploy: what begins a release, and what is refused, put off or left alone."""

from importlib import import_module
from typing import Any

import pytest

fakes: Any = import_module("tests.lambda.fakes")

CALLBACK = "26vcYbeWsZ"
RUN = "arn:aws:sagemaker:eu-west-1:123456789012:pipeline/tally-dev/execution/7pinimwddh3a"


def test_a_run_releases_its_package_with_its_token(releases: Any) -> None:
    old = releases.in_service()
    new = releases.register()
    assert releases.deliver(releases.callback(new))
    (update,) = releases.stack.updates
    assert update["ClientRequestToken"] == CALLBACK
    assert update["UsePreviousTemplate"] is True
    assert releases.stack.parameters["ModelPackageArn"] == new
    package = releases.package(new)
    assert package["CustomerMetadataProperties"] == {
        "verdict": "promote",
        "p_value": "0.003",
        "release": CALLBACK,
        "replaces": old,
        "release_run": RUN,
    }
    assert package["ModelApprovalStatus"] == "PendingManualApproval"
    assert releases.sagemaker.answers == []


def test_the_captured_message_of_a_pipeline_is_understood(releases: Any, captured: Any) -> None:
    arn = releases.register()
    releases.callback(arn)
    assert releases.start.handler(captured("callback"), None) == {"batchItemFailures": []}
    assert releases.stack.parameters["ModelPackageArn"] == arn


def test_the_first_release_replaces_nothing(releases: Any) -> None:
    arn = releases.register()
    assert releases.deliver(releases.callback(arn))
    assert releases.package(arn)["CustomerMetadataProperties"]["replaces"] == "none"


@pytest.mark.parametrize("verdict", ["reject", "underpowered", "Promote"])
def test_a_package_without_a_promoting_verdict_is_refused(releases: Any, verdict: str) -> None:
    arn = releases.register(verdict=verdict)
    assert releases.deliver(releases.callback(arn))
    ((kind, token, reason),) = releases.sagemaker.answers
    assert (kind, token) == ("Failure", CALLBACK)
    assert f"tally-dev/1 has the gate verdict {verdict!r}; only packages with 'promote' go into service" in reason
    assert releases.stack.updates == []


@pytest.mark.parametrize(
    ("arn", "reason"),
    [
        (
            "arn:aws:sagemaker:eu-west-1:123456789012:model-package/tally-dev/99",
            "there is no model package arn:aws:sagemaker:eu-west-1:123456789012:model-package/tally-dev/99; it was "
            "deleted or is of another account or region",
        ),
        ("", "'' is no ARN of a model package"),
    ],
    ids=["deleted", "empty"],
)
def test_an_unknown_package_is_refused(releases: Any, arn: str, reason: str) -> None:
    assert releases.deliver(releases.callback(arn))
    ((kind, _, given),) = releases.sagemaker.answers
    assert kind == "Failure"
    assert given.startswith(reason)


def test_a_package_of_another_group_is_refused(releases: Any) -> None:
    releases.sagemaker.create_model_package_group(ModelPackageGroupName="other")
    arn = releases.register(group="other")
    assert releases.deliver(releases.callback(arn))
    ((_, _, reason),) = releases.sagemaker.answers
    assert "is of the group 'other'; only packages of 'tally-dev' go into service here" in reason
    assert releases.stack.updates == []


def test_a_package_that_a_person_rejected_meanwhile_is_refused(releases: Any) -> None:
    arn = releases.register()
    releases.sagemaker.update_model_package(
        ModelPackageArn=arn, ModelApprovalStatus="Rejected", ApprovalDescription="wrong photos"
    )
    assert releases.deliver(releases.callback(arn))
    assert releases.sagemaker.answers == [("Failure", CALLBACK, "tally-dev/1 was rejected: wrong photos")]


def test_a_busy_stack_is_tried_again_later_and_not_for_ever(releases: Any) -> None:
    releases.stack.begin("exec-cdk-deploy")
    arn = releases.register()
    assert not releases.deliver(releases.callback(arn))
    assert releases.hidden() == 1
    assert releases.sagemaker.answers == []
    assert releases.deliver(releases.callback(arn), attempt=5)
    ((kind, _, reason),) = releases.sagemaker.answers
    assert kind == "Failure"
    assert reason.startswith("the serving stack tally-dev-serving is busy: UPDATE_IN_PROGRESS, after 5 attempts")


def test_an_update_that_somebody_begins_a_moment_before_counts_as_busy(releases: Any) -> None:
    arn = releases.register()
    releases.stack.before_update = lambda: releases.stack.begin("exec-cdk-deploy")
    assert not releases.deliver(releases.callback(arn))
    assert releases.sagemaker.answers == []


@pytest.mark.parametrize(
    ("status", "remedy"),
    [
        ("UPDATE_ROLLBACK_FAILED", "run `aws cloudformation continue-update-rollback --stack-name tally-dev-serving`"),
        ("ROLLBACK_COMPLETE", "its first deployment never ended well. Delete it, deploy it again"),
        ("DELETE_FAILED", "deploy it again"),
    ],
)
def test_a_stuck_stack_is_reported_with_the_remedy(releases: Any, status: str, remedy: str) -> None:
    releases.stack.end(status)
    assert releases.deliver(releases.callback(releases.register()))
    ((kind, _, reason),) = releases.sagemaker.answers
    assert kind == "Failure"
    assert f"the serving stack tally-dev-serving is {status}" in reason
    assert remedy in reason


def test_a_missing_stack_is_reported(releases: Any) -> None:
    releases.stack.status = ""
    assert releases.deliver(releases.callback(releases.register()))
    ((_, _, reason),) = releases.sagemaker.answers
    assert reason == "the serving stack tally-dev-serving does not exist: deploy it first"


def test_a_package_in_service_already_is_smoke_tested_and_approved(releases: Any) -> None:
    arn = releases.in_service()
    releases.sagemaker.update_model_package(ModelPackageArn=arn, ModelApprovalStatus="PendingManualApproval")
    assert releases.deliver(releases.callback(arn))
    outputs = {"endpoint_name": "tally-dev", "model_package_arn": arn}
    assert releases.sagemaker.answers == [("Success", CALLBACK, outputs)]
    assert releases.package(arn)["ModelApprovalStatus"] == "Approved"
    assert len(releases.endpoint.requests) == 1
    assert releases.stack.updates == []


def test_a_broken_package_in_service_already_is_a_failure(releases: Any) -> None:
    arn = releases.in_service()
    releases.endpoint.answer = b"{}"
    assert releases.deliver(releases.callback(arn))
    ((kind, _, reason),) = releases.sagemaker.answers
    assert kind == "Failure"
    assert "is in service already and fails the smoke test: the endpoint answered b'{}'" in reason
    assert [subject for subject, _ in releases.notices()] == [
        "Tally tally-dev: the model in service fails the smoke test"
    ]


def test_a_refusal_that_is_no_ones_turn_is_told_and_not_retried(releases: Any) -> None:
    arn = releases.register()
    message = releases.callback(arn)
    releases.sagemaker.runs.clear()
    assert releases.deliver({**message, "pipelineExecutionArn": "arn:aws:none"})
    ((kind, _, reason),) = releases.sagemaker.answers
    assert kind == "Failure"
    assert reason.startswith("the release could not be started: ")


def test_throttling_is_tried_again(releases: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    arn = releases.register()

    def throttled(**_: Any) -> None:
        raise fakes.refusal("DescribeStacks", "Throttling", "Rate exceeded")

    monkeypatch.setattr(releases.stack, "describe_stacks", throttled)
    assert not releases.deliver(releases.callback(arn))
    monkeypatch.undo()


@pytest.mark.parametrize("body", ["no json", "[]", '{"hello": 1}', '{"token": "short", "status": "Executing"}'])
def test_a_message_of_somebody_else_is_dropped_with_a_notice(releases: Any, body: str) -> None:
    assert releases.deliver(body)
    ((subject, text),) = releases.notices()
    assert subject == "Tally tally-dev: a message of the release queue was dropped"
    assert "only pipelines, approval events and release-finish may send to it" in text


def test_a_missing_variable_is_named(releases: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STACK_NAME")
    with pytest.raises(ValueError, match="STACK_NAME is not set; deploy the release stack again"):
        releases.deliver({})
