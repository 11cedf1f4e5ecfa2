"""The release stack: who may change the model in service, by which road, and what happens to a message that fails."""

import json

from tests.infra.conftest import AppOf
from tests.infra.synth import Synthesized, actions_of, text

ROLES = ("StartRole", "FinishRole")


def test_a_release_can_change_the_serving_stack_and_no_other(dev: Synthesized) -> None:
    for role in ROLES:
        for statement in dev.statements("release", role):
            if any(action.startswith("cloudformation:") for action in actions_of(statement)):
                assert text(statement["Resource"]).endswith(":stack/tally-dev-serving/*")
    changing = {
        role
        for role in ROLES
        for statement in dev.statements("release", role)
        if "cloudformation:UpdateStack" in actions_of(statement)
    }
    assert changing == {"StartRole"}


def test_a_release_cannot_choose_a_role_or_touch_resources_itself(dev: Synthesized) -> None:
    """CloudFormation works with the role that cdk deploy gave the stack; these functions may not pass another."""
    actions = {action for role in ROLES for each in dev.statements("release", role) for action in actions_of(each)}
    assert "iam:PassRole" not in actions
    assert {action for action in actions if action.startswith("sagemaker:")} == {
        "sagemaker:DescribeModelPackage",
        "sagemaker:DescribePipelineExecution",
        "sagemaker:InvokeEndpoint",
        "sagemaker:ListModelPackages",
        "sagemaker:SendPipelineExecutionStepFailure",
        "sagemaker:SendPipelineExecutionStepSuccess",
        "sagemaker:UpdateModelPackage",
    }


def test_a_release_marks_packages_of_its_own_group_and_answers_its_own_pipeline(dev: Synthesized) -> None:
    ends = {
        "sagemaker:UpdateModelPackage": ":model-package/tally-dev/*",
        "sagemaker:SendPipelineExecutionStepSuccess": ":pipeline/tally-dev/execution/*",
        "sagemaker:InvokeEndpoint": ":endpoint/tally-dev",
    }
    for role in ROLES:
        for action, end in ends.items():
            (statement,) = [each for each in dev.statements("release", role) if action in actions_of(each)]
            assert text(statement["Resource"]).endswith(end)


def test_the_end_of_an_update_of_the_serving_stack_calls_finish(dev: Synthesized) -> None:
    rules = dev.resources("release", "AWS::Events::Rule").values()
    (rule,) = [each for each in rules if each["EventPattern"]["source"] == ["aws.cloudformation"]]
    detail = rule["EventPattern"]["detail"]
    assert detail["status-details"] == {
        "status": ["UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE", "UPDATE_ROLLBACK_FAILED"]
    }
    prefix = text(detail["stack-id"][0]["prefix"])
    assert prefix == (
        "arn:<AWS::Partition>:cloudformation:<AWS::Region>:<AWS::AccountId>:stack/tally-dev-serving/"
    )  # with the slash, or tally-dev-serving2 would be another's release
    (target,) = rule["Targets"]
    assert text(target["Arn"]).startswith("<Finish")
    assert text(target["DeadLetterConfig"]["Arn"]).startswith("<DeadLetters")


def test_approving_a_package_asks_for_its_release(dev: Synthesized) -> None:
    rules = dev.resources("release", "AWS::Events::Rule")
    ((name, rule),) = [each for each in rules.items() if each[1]["EventPattern"]["source"] == ["aws.sagemaker"]]
    assert rule["EventPattern"]["detail"] == {
        "ModelPackageGroupName": ["tally-dev"],
        "ModelApprovalStatus": ["Approved"],
    }
    (target,) = rule["Targets"]
    queue = target["Arn"]["Fn::GetAtt"][0]
    assert dev.resources("release", "AWS::SQS::Queue")[queue]["QueueName"] == "tally-dev-release"
    policies = dev.resources("release", "AWS::SQS::QueuePolicy").values()
    (policy,) = [each for each in policies if each["Queues"] == [{"Ref": queue}]]
    allowed = [each for each in policy["PolicyDocument"]["Statement"] if each["Effect"] == "Allow"]
    assert [each["Condition"] for each in allowed] == [{"ArnEquals": {"aws:SourceArn": {"Fn::GetAtt": [name, "Arn"]}}}]


def test_a_release_waits_its_turn_and_is_never_lost(dev: Synthesized, app_of: AppOf) -> None:
    queues = {each["QueueName"]: each for each in dev.resources("release", "AWS::SQS::Queue").values()}
    queue = queues["tally-dev-release"]
    source = dev.only("release", "AWS::Lambda::EventSourceMapping")
    assert source["BatchSize"] == 1
    assert source["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    functions = {each["FunctionName"]: each for each in dev.resources("release", "AWS::Lambda::Function").values()}
    start = functions["tally-dev-release-start"]
    assert queue["VisibilityTimeout"] >= 6 * start["Timeout"]
    variables = start["Environment"]["Variables"]
    attempts, every = int(variables["MAX_ATTEMPTS"]), int(variables["BUSY_RETRY_SECONDS"])
    assert queue["RedrivePolicy"]["maxReceiveCount"] > attempts  # start answers the pipeline before SQS gives up
    assert queue["MessageRetentionPeriod"] > attempts * every
    bake = app_of("dev").only("serving", "AWS::SageMaker::Endpoint")["DeploymentConfig"]["BlueGreenUpdatePolicy"]
    assert attempts * every > bake["MaximumExecutionTimeoutInSeconds"]  # the release before it is over by then
    dead = text(queue["RedrivePolicy"]["deadLetterTargetArn"])
    assert dead.startswith("<DeadLetters")
    assert text(functions["tally-dev-release-finish"]["DeadLetterConfig"]["TargetArn"]) == dead


def test_queues_are_encrypted_and_refuse_plain_connections(dev: Synthesized) -> None:
    queues = dev.resources("release", "AWS::SQS::Queue")
    assert all("Key" in json.dumps(each["KmsMasterKeyId"]) for each in queues.values())
    for name in queues:
        (policy,) = [
            each
            for each in dev.resources("release", "AWS::SQS::QueuePolicy").values()
            if {"Ref": name} in each["Queues"]
        ]
        denied = [each["Condition"] for each in policy["PolicyDocument"]["Statement"] if each["Effect"] == "Deny"]
        assert denied == [{"Bool": {"aws:SecureTransport": "false"}}]


def test_functions_find_what_they_work_on(dev: Synthesized) -> None:
    for function in dev.resources("release", "AWS::Lambda::Function").values():
        variables = function["Environment"]["Variables"]
        assert variables["STACK_NAME"] == "tally-dev-serving"
        assert variables["ENDPOINT_NAME"] == variables["MODEL_PACKAGE_GROUP"] == "tally-dev"
        assert {"TOPIC_ARN", "QUEUE_URL"} <= variables.keys()
