"""The serving stack's life: no model, a model, a broken one, another one, none again; and types that nobody knows."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.local.emulator.conftest import Account

STACK = "t-serving"
PACKAGE = "arn:aws:sagemaker:eu-west-1:123456789012:model-package/t-serving/{}"
PIPELINE: dict[str, Any] = {
    "Type": "AWS::SageMaker::Pipeline",
    "Properties": {
        "PipelineName": "other",
        "RoleArn": "arn:aws:iam::123456789012:role/any",
        "PipelineDefinition": {"PipelineDefinitionBody": "{}"},
    },
}


@pytest.fixture
def serving(account: Account, assembly: Path) -> Iterator[Account]:
    """The account with the stack, which has no model yet."""
    account.deploy(assembly, STACK)
    yield account
    account.client("cloudformation").delete_stack(StackName=STACK)
    account.wait_for(lambda: "DELETE_COMPLETE" in statuses(account))


def statuses(account: Account) -> list[str]:
    """Statuses of all stacks of that name, the deleted ones too."""
    stacks = account.client("cloudformation").list_stacks()["StackSummaries"]
    found = [item["StackStatus"] for item in stacks if item["StackName"] == STACK]
    return found if all(status == "DELETE_COMPLETE" for status in found) else [s for s in found if "DELETE_C" not in s]


def release(account: Account, package: str, operation: str = "abcdefghij") -> str:
    """Set the stack's parameter as a release does; how that ends."""
    account.client("cloudformation").update_stack(
        StackName=STACK,
        UsePreviousTemplate=True,
        Parameters=[{"ParameterKey": "ModelPackageArn", "ParameterValue": package}],
        ClientRequestToken=operation,
    )
    return account.settled(STACK)


def answer(account: Account) -> str:
    """What the endpoint says to a photo."""
    invoked = account.client("sagemaker-runtime").invoke_endpoint(EndpointName=STACK, Body=b"\xff\xd8 a photo")
    return str(invoked["Body"].read().decode("latin-1"))


def create(account: Account, name: str, resources: dict[str, Any]) -> str:
    """Create a stack of these resources; how that ends."""
    template = json.dumps({"Resources": resources})
    account.client("cloudformation").create_stack(StackName=name, TemplateBody=template)
    return account.settled(name)


def test_a_stack_without_a_model_has_no_endpoint(serving: Account) -> None:
    with pytest.raises(ClientError, match="Could not find"):
        serving.client("sagemaker").describe_endpoint(EndpointName=STACK)
    definition = json.loads(serving.client("sagemaker").describe_pipeline(PipelineName=STACK)["PipelineDefinition"])
    assert definition["Metadata"]["Group"].endswith(f"/{STACK}")


def test_a_release_waits_for_the_endpoint_and_the_next_one_replaces_its_model(serving: Account) -> None:
    assert release(serving, PACKAGE.format(1)) == "UPDATE_COMPLETE"
    assert answer(serving) == f"{PACKAGE.format(1)} got \xff\xd8 a photo"
    assert release(serving, PACKAGE.format(2)) == "UPDATE_COMPLETE"
    assert PACKAGE.format(2) in answer(serving)
    outputs = serving.client("cloudformation").describe_stacks(StackName=STACK)["Stacks"][0]["Outputs"]
    assert [(output["OutputKey"], output["OutputValue"]) for output in outputs] == [("EndpointName", STACK)]


def test_a_model_that_does_not_start_leaves_the_one_before_in_service(serving: Account) -> None:
    release(serving, PACKAGE.format(1))
    assert release(serving, PACKAGE.format("broken"), "klmnopqrst") == "UPDATE_ROLLBACK_COMPLETE"
    assert PACKAGE.format(1) in answer(serving)
    assert "the server did not answer /ping" in serving.failures(STACK)[0]
    events = serving.client("cloudformation").describe_stack_events(StackName=STACK)["StackEvents"]
    failed = [event for event in events if event["ResourceStatus"] == "UPDATE_FAILED"]
    assert [(event["LogicalResourceId"], event["ClientRequestToken"]) for event in failed] == [
        ("Endpoint", "klmnopqrst")
    ]
    parameters = serving.client("cloudformation").describe_stacks(StackName=STACK)["Stacks"][0]["Parameters"]
    assert parameters[0]["ParameterValue"] == PACKAGE.format(1)
    assert release(serving, PACKAGE.format(3)) == "UPDATE_COMPLETE"
    assert PACKAGE.format(3) in answer(serving)


def test_a_first_model_that_does_not_start_leaves_no_endpoint(serving: Account) -> None:
    assert release(serving, PACKAGE.format("broken")) == "UPDATE_ROLLBACK_COMPLETE"
    with pytest.raises(ClientError, match="Could not find"):
        serving.client("sagemaker").describe_endpoint(EndpointName=STACK)
    assert release(serving, PACKAGE.format(1)) == "UPDATE_COMPLETE"


def test_an_empty_parameter_takes_the_endpoint_away(serving: Account) -> None:
    release(serving, PACKAGE.format(1))
    assert release(serving, "") == "UPDATE_COMPLETE"
    with pytest.raises(ClientError, match="not found"):
        answer(serving)


def test_the_same_model_again_is_no_update(serving: Account) -> None:
    release(serving, PACKAGE.format(1))
    with pytest.raises(ClientError, match="No updates are to be performed"):
        release(serving, PACKAGE.format(1))


def test_a_busy_stack_takes_no_release(serving: Account) -> None:
    release(serving, PACKAGE.format(1))
    update = serving.client("cloudformation").update_stack
    wanted = [{"ParameterKey": "ModelPackageArn", "ParameterValue": PACKAGE.format(2)}]
    update(StackName=STACK, UsePreviousTemplate=True, Parameters=wanted)
    with pytest.raises(ClientError, match="UPDATE_IN_PROGRESS state and cannot be updated"):
        update(StackName=STACK, UsePreviousTemplate=True, Parameters=wanted)
    assert serving.settled(STACK) == "UPDATE_COMPLETE"


def test_a_cancelled_release_goes_back(serving: Account) -> None:
    release(serving, PACKAGE.format(1))
    cloudformation = serving.client("cloudformation")
    wanted = [{"ParameterKey": "ModelPackageArn", "ParameterValue": PACKAGE.format(2)}]
    cloudformation.update_stack(StackName=STACK, UsePreviousTemplate=True, Parameters=wanted)
    cloudformation.cancel_update_stack(StackName=STACK)
    assert serving.settled(STACK) == "UPDATE_ROLLBACK_COMPLETE"
    assert PACKAGE.format(1) in answer(serving)


def test_a_type_that_nobody_emulates_is_refused_by_name(account: Account) -> None:
    with pytest.raises(ClientError, match=r"Unrecognized resource types: \[AWS::SageMaker::MonitoringSchedule\]"):
        create(account, "unknown-type", {"Watch": {"Type": "AWS::SageMaker::MonitoringSchedule", "Properties": {}}})


def test_a_property_that_would_be_dropped_fails_the_stack(account: Account) -> None:
    wrong = json.loads(json.dumps(PIPELINE))
    wrong["Properties"]["PipelineColour"] = "red"
    assert create(account, "unknown-property", {"P": wrong}) == "ROLLBACK_COMPLETE"
    assert account.failures("unknown-property")[0] == (
        "AWS::SageMaker::Pipeline: the emulator does not know PipelineColour (CreatePipeline has no such member)"
    )


def test_what_sagemaker_refuses_is_the_stacks_reason(account: Account) -> None:
    assert create(account, "first", {"P": PIPELINE}) == "CREATE_COMPLETE"
    assert create(account, "second", {"P": PIPELINE}) == "ROLLBACK_COMPLETE"
    assert "exists already (Service: sagemaker, Error Code: ResourceInUse)" in account.failures("second")[0]
    cloudformation = account.client("cloudformation")
    cloudformation.delete_stack(StackName="first")
    cloudformation.get_waiter("stack_delete_complete").wait(StackName="first", WaiterConfig={"Delay": 1})
    assert create(account, "third", {"P": PIPELINE}) == "CREATE_COMPLETE"
