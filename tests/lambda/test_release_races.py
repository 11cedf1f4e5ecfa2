"""Both release functions where things happen twice, late, at once or in another order than hoped."""

from typing import Any

import pytest

CALLBACK, LATER = "26vcYbeWsZ", "Zq81hTf0Pb"
RUN = "arn:aws:sagemaker:eu-west-1:123456789012:pipeline/tally-dev/execution/7pinimwddh3a"


def released(releases: Any, token: str = CALLBACK) -> str:
    """A package that a run released and `finish` approved; its ARN."""
    arn = str(releases.register())
    assert releases.deliver(releases.callback(arn, token))
    releases.stack.advance(10)
    releases.stack_ends(token=token)
    return arn


def approved(releases: Any, event: dict[str, Any]) -> None:
    """A person's release from the event to its end."""
    assert releases.deliver(event)
    token = releases.stack.updates[-1]["ClientRequestToken"]
    releases.stack.advance(10)
    releases.stack_ends(token=token)


def test_a_message_delivered_twice_releases_once(releases: Any) -> None:
    arn = releases.register()
    message = releases.callback(arn)
    assert releases.deliver(message)
    assert releases.deliver(message)  # while the update runs: not busy, but begun
    releases.stack_ends()
    assert releases.deliver(message)  # and after it
    assert len(releases.stack.updates) == 1
    assert len(releases.sagemaker.answers) == 1
    assert len(releases.endpoint.requests) == 1


def test_an_event_delivered_twice_keeps_the_judgement(releases: Any) -> None:
    arn = released(releases)
    releases.tell()
    assert releases.package(arn)["ModelApprovalStatus"] == "Approved"
    assert [kind for kind, _, _ in releases.sagemaker.answers] == ["Success"]
    assert releases.stack.parameters["ModelPackageArn"] == arn


def test_a_failed_smoke_test_is_not_repeated_against_the_old_model(releases: Any) -> None:
    old = releases.in_service()
    broken = releases.register()
    assert releases.deliver(releases.callback(broken))
    releases.endpoint.answer = b"{}"
    releases.stack_ends()
    releases.endpoint.answer = b'{"count": 2}'
    releases.tell()  # again, the stack still at the broken package
    assert releases.package(broken)["ModelApprovalStatus"] == "Rejected"
    while releases.waiting():
        assert releases.deliver_next()
    releases.stack_ends(token=f"revert-{CALLBACK}")
    releases.tell()  # and again, after it was taken back
    assert releases.package(broken)["ModelApprovalStatus"] == "Rejected"
    assert releases.stack.parameters["ModelPackageArn"] == old
    assert [kind for kind, _, _ in releases.sagemaker.answers] == ["Failure"]
    assert len(releases.stack.updates) == 2


def test_a_persons_approval_releases_and_needs_no_run(releases: Any) -> None:
    old = releases.in_service()
    new = releases.register()
    approved(releases, releases.approve(new))
    assert releases.stack.parameters["ModelPackageArn"] == new
    assert releases.stack.updates[-1]["ClientRequestToken"].startswith("approval-2-")
    assert releases.package(new)["CustomerMetadataProperties"]["replaces"] == old
    assert releases.notices() == [
        ("Tally tally-dev: tally-dev/2 is in service", "tally-dev/2 was approved and is in service.")
    ]
    assert releases.sagemaker.answers == []


def test_the_captured_approval_event_is_understood(releases: Any, captured: Any) -> None:
    arn = releases.register("Approved")
    assert releases.deliver(captured("approval"))
    assert releases.stack.parameters["ModelPackageArn"] == arn


def test_approving_an_old_version_again_goes_back_to_it(releases: Any) -> None:
    first = released(releases)
    releases.stack.advance(60)
    second = released(releases, LATER)
    releases.stack.advance(60)
    approved(releases, releases.approve(first))
    assert releases.stack.parameters["ModelPackageArn"] == first
    releases.stack.advance(60)
    approved(releases, releases.approve(second))
    assert releases.stack.parameters["ModelPackageArn"] == second


def test_the_approval_that_finish_causes_begins_nothing(releases: Any) -> None:
    released(releases)
    event = releases.sagemaker.events[-1]
    assert event["detail"]["UpdatedModelPackageFields"][-1] == "ModelApprovalStatus"
    assert releases.deliver(event)
    assert len(releases.stack.updates) == 1


def test_the_approval_that_finish_causes_begins_nothing_even_if_it_comes_late(releases: Any) -> None:
    first = released(releases)
    late = releases.sagemaker.events[-1]
    releases.stack.advance(60)
    second = released(releases, LATER)
    assert releases.deliver(late)
    assert releases.stack.parameters["ModelPackageArn"] == second
    assert len(releases.stack.updates) == 2
    assert releases.package(first)["ModelApprovalStatus"] == "Approved"


def test_updates_of_an_approved_package_that_are_no_approval_begin_nothing(releases: Any) -> None:
    first = released(releases)
    releases.stack.advance(60)
    released(releases, LATER)
    releases.stack.advance(60)
    releases.sagemaker.update_model_package(ModelPackageArn=first, CustomerMetadataProperties={"note": "kept"})
    assert releases.deliver(releases.sagemaker.events[-1])
    assert len(releases.stack.updates) == 2


def test_an_approval_delivered_twice_releases_once(releases: Any) -> None:
    first = released(releases)
    releases.stack.advance(60)
    released(releases, LATER)
    releases.stack.advance(60)
    event = releases.approve(first)
    assert releases.deliver(event)
    assert releases.deliver(event)
    releases.stack_ends(token=releases.stack.updates[-1]["ClientRequestToken"])
    assert releases.deliver(event)
    assert len(releases.stack.updates) == 3


def test_an_approval_that_was_withdrawn_begins_nothing(releases: Any) -> None:
    arn = releases.register()
    event = releases.approve(arn)
    releases.sagemaker.update_model_package(ModelPackageArn=arn, ModelApprovalStatus="Rejected")
    assert releases.deliver(event)
    assert releases.stack.updates == []


def test_a_person_who_approves_while_a_run_releases_has_the_last_word(releases: Any) -> None:
    old = releases.in_service()
    new = releases.register()
    assert releases.deliver(releases.callback(new))
    releases.stack.advance(5)
    event = releases.approve(old)
    assert not releases.deliver(event)
    releases.stack.advance(5)
    releases.stack.end()  # finish has not judged yet
    assert releases.deliver(event)
    assert releases.stack.parameters["ModelPackageArn"] == old
    releases.tell()  # now it is told of the run's release
    ((kind, token, reason),) = releases.sagemaker.answers
    assert (kind, token) == ("Failure", CALLBACK)
    assert reason == ("tally-dev/2 was replaced by tally-dev/1 before its smoke test; approve it to release it again")
    assert releases.package(new)["ModelApprovalStatus"] == "PendingManualApproval"


def test_a_run_replaces_only_the_model_it_was_compared_with(releases: Any) -> None:
    first = releases.register(champion="baseline")
    assert releases.deliver(releases.callback(first))
    releases.stack_ends()
    releases.stack.advance(60)
    second, third = releases.register(champion="tally-dev/1"), releases.register(champion="tally-dev/1")
    assert releases.deliver(releases.callback(second, LATER))
    releases.stack_ends(token=LATER)
    releases.stack.advance(60)
    assert releases.deliver(releases.callback(third, "another1ru"))
    assert releases.sagemaker.answers[-1] == (
        "Failure",
        "another1ru",
        "tally-dev/3 was compared with tally-dev/1, but tally-dev/2 is in service now; run the pipeline again, or "
        "approve the package to release it all the same",
    )
    approved(releases, releases.approve(third))
    assert releases.stack.parameters["ModelPackageArn"] == third


def test_a_persons_approval_without_a_verdict_is_rejected_with_a_notice(releases: Any) -> None:
    arn = releases.register(verdict="reject")
    assert releases.deliver(releases.approve(arn))
    package = releases.package(arn)
    assert package["ModelApprovalStatus"] == "Rejected"
    assert "has the gate verdict 'reject'" in package["ApprovalDescription"]
    ((subject, _),) = releases.notices()
    assert subject == "Tally tally-dev: an approved model did not go into service"


def test_a_persons_approval_that_a_stuck_stack_cannot_take_waits_for_another(releases: Any) -> None:
    releases.stack.end("UPDATE_ROLLBACK_FAILED")
    arn = releases.register()
    assert releases.deliver(releases.approve(arn))
    package = releases.package(arn)
    assert package["ModelApprovalStatus"] == "PendingManualApproval"
    assert "continue-update-rollback" in package["ApprovalDescription"]
    ((_, text),) = releases.notices()
    assert "continue-update-rollback" in text


def test_a_persons_release_that_fails_is_rejected_and_told(releases: Any) -> None:
    arn = releases.register()
    assert releases.deliver(releases.approve(arn))
    releases.stack.resource("Endpoint", "CREATE_FAILED", "no capacity")
    releases.stack_ends("UPDATE_ROLLBACK_COMPLETE", token=releases.stack.updates[-1]["ClientRequestToken"])
    assert releases.package(arn)["ModelApprovalStatus"] == "Rejected"
    ((subject, text),) = releases.notices()
    assert subject == "Tally tally-dev: the release of tally-dev/1 failed"
    assert text == "tally-dev/1 did not go into service: Endpoint: no capacity. In service: no model."
    releases.stack.advance(60)
    approved(releases, releases.approve(arn))  # the person tries again, and it may
    assert releases.stack.parameters["ModelPackageArn"] == arn


def stopping(releases: Any, arguments: Any) -> dict[str, Any]:
    releases.sagemaker.runs[RUN] = "Stopping"
    return {"token": CALLBACK, "pipelineExecutionArn": RUN, "arguments": arguments, "status": "Stopping"}


@pytest.mark.parametrize("arguments", [None, {"model_package_group": "tally-dev"}], ids=["none", "some"])
def test_a_stopped_run_cancels_its_update_and_blames_nobody(releases: Any, arguments: Any) -> None:
    old = releases.in_service()
    new = releases.register()
    assert releases.deliver(releases.callback(new))
    assert releases.deliver(stopping(releases, arguments))
    assert releases.stack.cancelled == [f"cancel-{CALLBACK}"]
    assert releases.sagemaker.answers == [
        ("Failure", CALLBACK, "stopped: its update of the serving stack is rolled back")
    ]
    releases.stack_ends("UPDATE_ROLLBACK_COMPLETE", token=CALLBACK)  # whichever token the rollback's event carries
    releases.tell("UPDATE_ROLLBACK_COMPLETE", f"cancel-{CALLBACK}")
    assert releases.package(new)["ModelApprovalStatus"] == "PendingManualApproval"
    assert releases.stack.parameters["ModelPackageArn"] == old
    assert releases.notices() == []
    releases.stack.advance(60)
    approved(releases, releases.approve(new))
    assert releases.stack.parameters["ModelPackageArn"] == new


def test_a_stop_leaves_the_update_of_somebody_else_alone(releases: Any) -> None:
    arn = releases.register()
    releases.stack.begin("exec-cdk-deploy")
    assert not releases.deliver(releases.callback(arn))
    message = stopping(releases, {})
    assert releases.deliver(message)
    assert releases.stack.cancelled == []
    assert releases.sagemaker.answers == [("Failure", CALLBACK, "stopped: no update of the stack was running")]


def test_a_release_put_off_is_dropped_when_its_run_was_stopped_meanwhile(releases: Any) -> None:
    message = releases.callback(releases.register())
    assert releases.deliver(stopping(releases, None))
    assert releases.deliver(message)
    assert releases.stack.updates == []
    assert len(releases.sagemaker.answers) == 1
    assert releases.notices() == []
