"""Packages and releases by hand, against moto's registry and CloudFormation."""

from collections.abc import Callable
from typing import Any

import pytest

from ops.account import Account
from ops.errors import OpsError
from ops.packages import package, packages, previous
from ops.release import release
from tests.ops.conftest import register, serve


def update(account: Account, arn: str, **values: Any) -> None:
    account.client("sagemaker").update_model_package(ModelPackageArn=arn, **values)


class Releaser:
    """What the deployed release functions do when a package is approved; hears what the person is told."""

    def __init__(self, act: Callable[[], None]):
        self.act = act
        self.said: list[str] = []

    def __call__(self, text: str) -> None:
        self.said.append(text)
        if text.endswith("the release begins"):
            self.act()


def history(account: Account) -> list[tuple[str, str]]:
    """Records the approvals sent from now on."""
    sent: list[tuple[str, str]] = []

    def note(params: dict[str, Any], **_: Any) -> None:
        sent.append((params["ModelPackageArn"][-1], params["ModelApprovalStatus"]))

    account.client("sagemaker").meta.events.register("provide-client-params.sagemaker.UpdateModelPackage", note)
    return sent


@pytest.mark.usefixtures("group")
def test_packages_are_listed_newest_first_with_what_the_gate_said(account: Account) -> None:
    first, _ = register(account), register(account, verdict=None)
    serve(account, first)
    second, one = packages(account)
    assert (one.version, one.verdict, one.metadata["gain"], one.in_service) == (1, "promote", "0.03871", True)
    assert (second.version, second.verdict, second.in_service) == (2, "", False)
    assert [item.version for item in packages(account, 1)] == [2]


@pytest.mark.usefixtures("group")
def test_a_package_says_whether_it_has_a_model_card(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    """moto keeps no cards, so its answer is completed."""
    arn, client = register(account), account.client("sagemaker")
    describe = client.describe_model_package
    for content, expected in (('{"intended_uses":{}}', True), ("", False)):
        card = {"ModelCard": {"ModelCardContent": content, "ModelCardStatus": "Draft"}}
        monkeypatch.setattr(client, "describe_model_package", lambda card=card, **request: describe(**request) | card)
        assert package(account, arn).has_card is expected


@pytest.mark.usefixtures("group")
def test_approving_waits_until_the_model_is_in_service_and_tested(account: Account) -> None:
    arn = register(account)
    sent = history(account)

    def deploy() -> None:
        serve(account, arn)
        update(account, arn, ModelApprovalStatus="Approved", ApprovalDescription="in service; smoke test passed")

    releaser = Releaser(deploy)
    done = release(account, 1, releaser, every=0)
    assert (done.in_service, done.description) == (True, "in service; smoke test passed")
    assert sent[0] == ("1", "Approved")
    assert releaser.said == ["version 1 is approved; the release begins", "tally-dev-serving: UPDATE_COMPLETE"]


@pytest.mark.usefixtures("group")
def test_a_former_champion_is_taken_back_first_so_that_its_approval_is_an_event(account: Account) -> None:
    old, new = register(account, status="Approved"), register(account)
    serve(account, new)
    sent = history(account)
    release(account, old, Releaser(lambda: None), wait=False)
    assert sent == [("1", "PendingManualApproval"), ("1", "Approved")]


@pytest.mark.usefixtures("group")
def test_a_refused_release_ends_with_the_reason(account: Account) -> None:
    arn = register(account)
    refuse = Releaser(
        lambda: update(account, arn, ModelApprovalStatus="Rejected", ApprovalDescription="smoke test: no count")
    )
    with pytest.raises(OpsError, match="version 1 was refused: smoke test: no count"):
        release(account, 1, refuse, every=0)


@pytest.mark.usefixtures("group")
def test_a_model_that_fails_its_smoke_test_is_not_reported_as_released(account: Account) -> None:
    arn = register(account)
    releaser = Releaser(lambda: serve(account, arn))

    def say(text: str) -> None:
        releaser(text)
        if text.endswith("UPDATE_COMPLETE"):  # in service; finish looks at it a moment later
            update(account, arn, ModelApprovalStatus="Rejected", ApprovalDescription="failed the smoke test")

    with pytest.raises(OpsError, match="version 1 was refused: failed the smoke test"):
        release(account, 1, say, every=0, smoke_seconds=5)


@pytest.mark.usefixtures("group")
def test_a_model_in_service_that_nobody_refuses_is_released(account: Account) -> None:
    arn = register(account)
    assert release(account, 1, Releaser(lambda: serve(account, arn)), every=0, smoke_seconds=0.2).in_service


@pytest.mark.usefixtures("group")
def test_a_release_that_could_not_begin_ends_with_the_reason(account: Account) -> None:
    arn = register(account)
    give_up = Releaser(
        lambda: update(
            account, arn, ModelApprovalStatus="PendingManualApproval", ApprovalDescription="the stack is busy"
        )
    )
    with pytest.raises(OpsError, match="version 1 was not released: the stack is busy"):
        release(account, 1, give_up, every=0)


@pytest.mark.usefixtures("group")
@pytest.mark.parametrize(("verdict", "shown"), [("reject", "reject"), (None, "missing")])
def test_a_package_that_the_gate_did_not_promote_is_not_approved(
    account: Account, verdict: str | None, shown: str
) -> None:
    register(account, verdict=verdict)
    with pytest.raises(OpsError, match=f"version 1 cannot be released: the gate's verdict on it is {shown}"):
        release(account, 1, print)
    assert package(account, 1).approval == "PendingManualApproval"


@pytest.mark.usefixtures("group")
def test_what_is_in_service_already_is_left_alone(account: Account) -> None:
    arn = register(account)
    serve(account, arn)
    sent, said = history(account), Releaser(lambda: None)
    assert release(account, 1, said).in_service
    assert (sent, said.said) == ([], ["version 1 is in service already"])


@pytest.mark.usefixtures("group")
def test_a_release_that_takes_too_long_says_where_to_look(account: Account) -> None:
    register(account)
    with pytest.raises(OpsError, match="version 1 is not over after 0 s; it goes on without this command: "):
        release(account, 1, Releaser(lambda: None), seconds=0, every=0)


@pytest.mark.usefixtures("group")
def test_an_unknown_version_names_those_there_are(account: Account) -> None:
    with pytest.raises(OpsError, match="tally-dev has no version 7; it is empty: no run has promoted a model yet"):
        package(account, 7)
    register(account), register(account)
    with pytest.raises(OpsError, match="tally-dev has no version 7; the newest are 2, 1"):
        package(account, "7")
    with pytest.raises(OpsError, match="'newest' is no version of a model package; give its number, for example 7"):
        package(account, "newest")


@pytest.mark.usefixtures("group")
def test_the_previous_model_is_the_one_that_was_replaced(account: Account) -> None:
    with pytest.raises(OpsError, match="no model is in service in dev, so there is none to roll back from"):
        previous(account)
    old, new = register(account), register(account)
    update(account, old, CustomerMetadataProperties={"replaces": "none"})
    update(account, new, CustomerMetadataProperties={"replaces": old})
    serve(account, new)
    assert previous(account).version == 1
    serve(account, old)
    with pytest.raises(OpsError, match="version 1, which is in service, replaced no other model; name the version"):
        previous(account)


def test_without_the_stack_there_is_no_package(account: Account) -> None:
    with pytest.raises(OpsError, match="stack tally-dev-serving does not exist in account 123456789012"):
        packages(account)


@pytest.mark.usefixtures("serving_stack")
def test_without_the_group_the_stack_that_makes_it_is_named(account: Account) -> None:
    with pytest.raises(OpsError, match="stack tally-dev-training does not exist"):
        packages(account)
