"""Resource types one by one: what is created, changed in place, replaced and deleted, and what is refused."""

import json
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from tests.local.emulator.conftest import Account

ROLE = "arn:aws:iam::123456789012:role/any"
PACKAGE = "arn:aws:sagemaker:eu-west-1:123456789012:model-package/t/1"
GROUP = {"Type": "AWS::EC2::SecurityGroup", "Properties": {"GroupDescription": "jobs", "SecurityGroupEgress": []}}
ALARM = {
    "Type": "AWS::CloudWatch::Alarm",
    "Properties": {
        "AlarmName": "slow",
        "ComparisonOperator": "GreaterThanThreshold",
        "EvaluationPeriods": 1,
        "Namespace": "tests",
        "MetricName": "latency",
        "Period": 60,
        "Statistic": "Sum",
        "Threshold": 1,
    },
}


class Stack:
    """A stack of one test."""

    def __init__(self, account: Account):
        self._account = account
        self._cloudformation = account.client("cloudformation")
        self.name = f"s-{uuid.uuid4().hex[:8]}"
        self._exists = False

    def set(self, resources: dict[str, Any], **sections: Any) -> str:
        """Create or update it; how that ends."""
        act = self._cloudformation.update_stack if self._exists else self._cloudformation.create_stack
        act(StackName=self.name, TemplateBody=json.dumps({"Resources": resources, **sections}))
        self._exists = True
        return self._account.settled(self.name)

    @property
    def reason(self) -> str:
        """Of the newest failure."""
        return self._account.failures(self.name)[0]

    def physical_id(self, logical_id: str) -> str:
        """What Ref gives."""
        found = self._cloudformation.describe_stack_resource(StackName=self.name, LogicalResourceId=logical_id)
        return str(found["StackResourceDetail"]["PhysicalResourceId"])

    def delete(self) -> None:
        """Delete it and wait."""
        self._cloudformation.delete_stack(StackName=self.name)
        waiter = self._cloudformation.get_waiter("stack_delete_complete")
        waiter.wait(StackName=self.name, WaiterConfig={"Delay": 1})


@pytest.fixture
def stack(account: Account) -> Iterator[Stack]:
    made = Stack(account)
    yield made
    made.delete()


def of(type_name: str, **properties: Any) -> dict[str, Any]:
    """A resource."""
    return {"Type": f"AWS::{type_name}", "Properties": properties}


def budget(amount: int, **more: Any) -> dict[str, Any]:
    """A monthly budget."""
    limit = {"Amount": amount, "Unit": "USD"}
    return of(
        "Budgets::Budget",
        Budget={"BudgetName": "month", "BudgetType": "COST", "TimeUnit": "MONTHLY", "BudgetLimit": limit},
        **more,
    )


def test_numbers_that_cloudformation_passes_as_text_arrive_as_numbers(account: Account, stack: Stack) -> None:
    config = of(
        "SageMaker::EndpointConfig",
        EndpointConfigName="typed",
        ProductionVariants=[
            {
                "VariantName": "v",
                "ModelName": {"Fn::GetAtt": ["Model", "ModelName"]},
                "InitialInstanceCount": {"Ref": "Count"},
                "InitialVariantWeight": "0.5",
                "EnableSSMAccess": "true",
            }
        ],
    )
    model = of("SageMaker::Model", ExecutionRoleArn=ROLE, Containers=[{"ModelPackageName": PACKAGE}])
    parameters = {"Count": {"Type": "Number", "Default": 2}}
    assert stack.set({"Model": model, "Config": config}, Parameters=parameters) == "CREATE_COMPLETE", stack.reason
    described = account.client("sagemaker").describe_endpoint_config(EndpointConfigName="typed")
    variant = described["ProductionVariants"][0]
    assert (variant["InitialInstanceCount"], variant["InitialVariantWeight"], variant["EnableSSMAccess"]) == (
        2,
        0.5,
        True,
    )


def test_a_changed_model_is_another_model(account: Account, stack: Stack) -> None:
    def model(package: str) -> dict[str, Any]:
        return of("SageMaker::Model", ExecutionRoleArn=ROLE, Containers=[{"ModelPackageName": package}])

    stack.set({"Model": model(PACKAGE)})
    before = stack.physical_id("Model")
    assert stack.set({"Model": model(PACKAGE.replace("t/1", "t/2"))}) == "UPDATE_COMPLETE"
    assert stack.physical_id("Model") != before
    with pytest.raises(account.client("sagemaker").exceptions.ClientError, match="Could not find Model"):
        account.client("sagemaker").describe_model(ModelName=before.split("/")[-1])


def test_a_wrong_member_deep_in_a_request_fails_the_stack(stack: Stack) -> None:
    wrong = of("SageMaker::Model", ExecutionRoleArn=ROLE, Containers=[{"ModelPackage": PACKAGE}])
    assert stack.set({"Model": wrong}) == "ROLLBACK_COMPLETE"
    assert "CreateModel would be rejected" in stack.reason
    assert "ModelPackage" in stack.reason


def test_a_definition_may_lie_in_s3(account: Account, stack: Stack) -> None:
    place = {"Bucket": "somewhere", "Key": "definition.json", "Version": "1"}
    definition = {"PipelineDefinitionS3Location": place}
    pipeline = of("SageMaker::Pipeline", PipelineName="from-s3", RoleArn=ROLE, PipelineDefinition=definition)
    assert stack.set({"P": pipeline}) == "CREATE_COMPLETE"
    pipeline["Properties"]["PipelineDefinition"] = {"PipelineDefinitionBody": '{"Steps": []}'}
    assert stack.set({"P": pipeline}) == "UPDATE_COMPLETE"
    found = account.client("sagemaker").describe_pipeline(PipelineName="from-s3")
    assert found["PipelineDefinition"] == '{"Steps": []}'
    pipeline["Properties"]["PipelineDefinition"] = {}
    assert stack.set({"P": pipeline}) == "UPDATE_ROLLBACK_COMPLETE"
    assert "must have either PipelineDefinitionBody or PipelineDefinitionS3Location" in stack.reason


def test_a_budget_changes_in_place_and_its_notices_replace_it(account: Account, stack: Stack) -> None:
    budgets = account.client("budgets")
    assert stack.set({"B": budget(100)}) == "CREATE_COMPLETE"
    assert stack.set({"B": budget(200)}) == "UPDATE_COMPLETE"
    described = budgets.describe_budget(AccountId="123456789012", BudgetName="month")["Budget"]
    assert described["BudgetLimit"]["Amount"] == "200"
    notice = {"NotificationType": "ACTUAL", "ComparisonOperator": "GREATER_THAN", "Threshold": 80}
    subscribers = [{"SubscriptionType": "EMAIL", "Address": "a@example.com"}]
    noticed = budget(200, NotificationsWithSubscribers=[{"Notification": notice, "Subscribers": subscribers}])
    assert stack.set({"B": noticed}) == "UPDATE_ROLLBACK_COMPLETE"  # of the same name, on AWS as here
    assert "already exists" in stack.reason


def test_a_composite_alarm_must_name_alarms_that_exist(stack: Stack) -> None:
    composite = of("CloudWatch::CompositeAlarm", AlarmName="any", AlarmRule='ALARM("nobody")')
    assert stack.set({"Any": composite, "Slow": ALARM}) == "ROLLBACK_COMPLETE"
    assert (
        "alarms [arn:aws:cloudwatch:eu-west-1:123456789012:alarm:nobody] in the alarm rule do not exist" in stack.reason
    )


def test_a_composite_alarm_follows_its_rule(account: Account, stack: Stack) -> None:
    composite = of("CloudWatch::CompositeAlarm", AlarmName="all", AlarmRule={"Fn::Sub": 'ALARM("${Slow}")'})
    assert stack.set({"Any": composite, "Slow": ALARM}) == "CREATE_COMPLETE"
    composite["Properties"]["AlarmRule"] = {"Fn::Sub": 'NOT ALARM("${Slow}")'}
    assert stack.set({"Any": composite, "Slow": ALARM}) == "UPDATE_COMPLETE"
    found = account.client("cloudwatch").describe_alarms(AlarmNames=["all"], AlarmTypes=["CompositeAlarm"])
    assert [alarm["AlarmRule"] for alarm in found["CompositeAlarms"]] == ['NOT ALARM("slow")']


def test_rules_of_a_security_group_come_and_go(account: Account, stack: Stack) -> None:
    rule = of(
        "EC2::SecurityGroupIngress",
        GroupId={"Fn::GetAtt": ["Group", "GroupId"]},
        SourceSecurityGroupId={"Fn::GetAtt": ["Group", "GroupId"]},
        IpProtocol="-1",
        Description="jobs talk to each other",
    )
    out = of(
        "EC2::SecurityGroupEgress",
        GroupId={"Fn::GetAtt": ["Group", "GroupId"]},
        DestinationSecurityGroupId={"Fn::GetAtt": ["Group", "GroupId"]},
        IpProtocol="-1",
    )
    assert stack.set({"Group": GROUP, "Rule": rule, "Out": out}) == "CREATE_COMPLETE"
    group = stack.physical_id("Group")

    def pairs(direction: str) -> list[str]:
        described = account.client("ec2").describe_security_groups(GroupIds=[group])["SecurityGroups"][0]
        return [pair["GroupId"] for rule in described[direction] for pair in rule["UserIdGroupPairs"]]

    assert (pairs("IpPermissions"), pairs("IpPermissionsEgress")) == ([group], [group])
    rule["Properties"]["Description"] = "instances of one job talk to each other"
    assert stack.set({"Group": GROUP, "Rule": rule, "Out": out}) == "UPDATE_COMPLETE"
    assert stack.set({"Group": GROUP}) == "UPDATE_COMPLETE"
    assert (pairs("IpPermissions"), pairs("IpPermissionsEgress")) == ([], [])


def test_a_guard_passes_to_another_web_acl(account: Account, stack: Stack) -> None:
    def acl(name: str) -> dict[str, Any]:
        visibility = {"CloudWatchMetricsEnabled": True, "MetricName": name, "SampledRequestsEnabled": False}
        return of(
            "WAFv2::WebACL", Name=name, Scope="REGIONAL", DefaultAction={"Allow": {}}, VisibilityConfig=visibility
        )

    stage = "arn:aws:apigateway:eu-west-1::/restapis/abc/stages/v1"

    def guarded_by(logical_id: str) -> dict[str, Any]:
        return of("WAFv2::WebACLAssociation", ResourceArn=stage, WebACLArn={"Fn::GetAtt": [logical_id, "Arn"]})

    acls = {"One": acl("one"), "Two": acl("two")}
    firewall = account.client("wafv2")
    assert stack.set({**acls, "Guard": guarded_by("One")}) == "CREATE_COMPLETE"
    assert firewall.get_web_acl_for_resource(ResourceArn=stage)["WebACL"]["Name"] == "one"
    assert stack.set({**acls, "Guard": guarded_by("Two")}) == "UPDATE_COMPLETE"
    assert firewall.get_web_acl_for_resource(ResourceArn=stage)["WebACL"]["Name"] == "two"


def test_a_guard_of_no_web_acl_fails(stack: Stack) -> None:
    guard = of("WAFv2::WebACLAssociation", ResourceArn="arn:aws:x", WebACLArn="arn:aws:wafv2:eu-west-1:123456789012:x")
    assert stack.set({"Guard": guard}) == "ROLLBACK_COMPLETE"
    assert stack.reason.startswith("AWS::WAFv2::WebACLAssociation: ")


def test_a_scaling_policy_belongs_to_its_target(account: Account, stack: Stack) -> None:
    def target(most: int) -> dict[str, Any]:
        return of(
            "ApplicationAutoScaling::ScalableTarget",
            MinCapacity=1,
            MaxCapacity=most,
            ResourceId="endpoint/scaled/variant/AllTraffic",
            ScalableDimension="sagemaker:variant:DesiredInstanceCount",
            ServiceNamespace="sagemaker",
        )

    assert stack.set({"Target": target(2)}) == "CREATE_COMPLETE"
    identity = "endpoint/scaled/variant/AllTraffic|sagemaker:variant:DesiredInstanceCount|sagemaker"
    assert stack.physical_id("Target") == identity
    assert stack.set({"Target": target(3)}) == "UPDATE_COMPLETE"
    assert stack.physical_id("Target") == identity


def test_an_executed_change_set_is_answered_when_its_stack_has_settled(account: Account) -> None:
    cloudformation, name = account.client("cloudformation"), f"s-{uuid.uuid4().hex[:8]}"
    handle = of("CloudFormation::WaitConditionHandle")
    wait = of("CloudFormation::WaitCondition", Handle={"Ref": "Handle"}, Timeout="1", Count=1)  # nobody signals
    template = json.dumps({"Resources": {"Handle": handle, "Wait": wait}})
    made = cloudformation.create_change_set(
        StackName=name, ChangeSetName="first", ChangeSetType="CREATE", TemplateBody=template
    )
    cloudformation.execute_change_set(ChangeSetName=made["Id"])
    (found,) = cloudformation.describe_stacks(StackName=name)["Stacks"]
    assert found["StackStatus"] == "ROLLBACK_COMPLETE"
    cloudformation.delete_stack(StackName=name)
