"""Both release functions where things happen twice, late, at once or in another order than hoped."""

from typing import Any

import pytest

CALLBACK, LATER = "26vcYbeWsZ", "Zq81hTf0Pb"
RUN = "arn:aws:sagemaker:eu-west-1:123456789012:pipeline/tally-dev/execution/7pinimwddh3a"


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
    arn = releases.released()
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
    releases.carried_out(releases.approve(third))
    assert releases.stack.parameters["ModelPackageArn"] == third


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
    releases.carried_out(releases.approve(new))
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
