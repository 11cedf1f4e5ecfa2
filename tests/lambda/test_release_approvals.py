"""A person approves, or `finish` does: what the registry's approval events begin, and what they must not."""

from typing import Any

CALLBACK, LATER = "26vcYbeWsZ", "Zq81hTf0Pb"
RUN = "arn:aws:sagemaker:eu-west-1:123456789012:pipeline/tally-dev/execution/7pinimwddh3a"


def test_a_persons_approval_releases_and_needs_no_run(releases: Any) -> None:
    old = releases.in_service()
    new = releases.register()
    releases.carried_out(releases.approve(new))
    assert releases.stack.parameters["ModelPackageArn"] == new
    assert releases.stack.updates[-1]["ClientRequestToken"].startswith("approval-2-")
    assert releases.package(new)["CustomerMetadataProperties"]["replaces"] == old
    assert releases.package(new)["ApprovalDescription"].endswith("smoke test counted 3"), "who approved waits for it"
    assert releases.notices() == [
        ("Tally tally-dev: tally-dev/2 is in service", "tally-dev/2 was approved and is in service.")
    ]
    assert releases.sagemaker.answers == []


def test_the_captured_approval_event_is_understood(releases: Any, captured: Any) -> None:
    arn = releases.register("Approved")
    assert releases.deliver(captured("approval"))
    assert releases.stack.parameters["ModelPackageArn"] == arn


def test_approving_an_old_version_again_goes_back_to_it(releases: Any) -> None:
    first = releases.released()
    releases.stack.advance(60)
    second = releases.released(LATER)
    releases.stack.advance(60)
    releases.carried_out(releases.approve(first))
    assert releases.stack.parameters["ModelPackageArn"] == first
    releases.stack.advance(60)
    releases.carried_out(releases.approve(second))
    assert releases.stack.parameters["ModelPackageArn"] == second


def test_the_approval_that_finish_causes_begins_nothing(releases: Any) -> None:
    releases.released()
    event = releases.sagemaker.events[-1]
    assert event["detail"]["UpdatedModelPackageFields"][-1] == "ModelApprovalStatus"
    assert releases.deliver(event)
    assert len(releases.stack.updates) == 1


def test_the_approval_that_finish_causes_begins_nothing_even_if_it_comes_late(releases: Any) -> None:
    first = releases.released()
    late = releases.sagemaker.events[-1]
    releases.stack.advance(60)
    second = releases.released(LATER)
    assert releases.deliver(late)
    assert releases.stack.parameters["ModelPackageArn"] == second
    assert len(releases.stack.updates) == 2
    assert releases.package(first)["ModelApprovalStatus"] == "Approved"


def test_updates_of_an_approved_package_that_are_no_approval_begin_nothing(releases: Any) -> None:
    first = releases.released()
    releases.stack.advance(60)
    releases.released(LATER)
    releases.stack.advance(60)
    releases.sagemaker.update_model_package(ModelPackageArn=first, CustomerMetadataProperties={"note": "kept"})
    assert releases.deliver(releases.sagemaker.events[-1])
    assert len(releases.stack.updates) == 2


def test_an_approval_delivered_twice_releases_once(releases: Any) -> None:
    first = releases.released()
    releases.stack.advance(60)
    releases.released(LATER)
    releases.stack.advance(60)
    event = releases.approve(first)
    assert releases.deliver(event)
    assert releases.deliver(event)
    releases.stack_ends(token=releases.stack.updates[-1]["ClientRequestToken"])
    assert releases.deliver(event)
    assert len(releases.stack.updates) == 3


def test_an_approval_delivered_again_after_the_next_release_goes_not_back(releases: Any) -> None:
    first = releases.register()
    event = releases.approve(first)
    releases.stack.advance(1)  # the event was under way for a while
    releases.carried_out(event)
    releases.stack.advance(60)
    second = releases.released()
    assert releases.deliver(event)
    assert releases.stack.parameters["ModelPackageArn"] == second


def test_what_a_release_remembers_is_no_approval(releases: Any) -> None:
    arn = releases.register()
    assert releases.deliver(releases.approve(arn))
    event = releases.sagemaker.events[-1]
    assert event["detail"]["UpdatedModelPackageFields"] == ["CustomerMetadataProperties"]
    assert releases.deliver(event)
    assert len(releases.stack.updates) == 1


def test_an_approval_of_what_a_run_is_releasing_waits_and_then_asks_for_nothing(releases: Any) -> None:
    arn = releases.register()
    event = releases.approve(arn)
    releases.stack.advance(1)
    assert releases.deliver(releases.callback(arn))
    assert not releases.deliver(event)
    releases.stack_ends()
    assert releases.deliver(event)
    assert len(releases.stack.updates) == 1
    assert [kind for kind, _, _ in releases.sagemaker.answers] == ["Success"]


def test_taking_back_leaves_what_a_person_released_meanwhile(releases: Any) -> None:
    releases.in_service()
    assert releases.deliver(releases.callback(releases.register()))
    releases.endpoint.answer = b"{}"
    releases.stack_ends()
    chosen = releases.register()
    event = releases.approve(chosen)
    releases.start.handler({"Records": [releases.record(event)]})
    releases.stack.end()
    assert releases.deliver_next()
    assert releases.stack.parameters["ModelPackageArn"] == chosen


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
    releases.carried_out(releases.approve(arn))  # the person tries again, and it may
    assert releases.stack.parameters["ModelPackageArn"] == arn
