"""Steps that are no jobs, and the end of an emulator in the middle of all kinds."""

import json
import time

import pytest
from botocore.exceptions import ClientError

from tests.local.sagemaker.account import training, until

FUNCTION = "arn:aws:lambda:eu-west-1:123456789012:function:tally-dev-champion"
SLEEP = "import time\nprint('loss=0.5', flush=True)\ntime.sleep(60)"


def function(name="Find", **more):
    outputs = [{"OutputName": "champion_name", "OutputType": "String"}]
    body = {"Type": "Lambda", "FunctionArn": FUNCTION, "OutputParameters": outputs, "Arguments": {"group": "tally"}}
    return {"Name": name, **body, **more}


def callback(queue, name="Deploy", **more):
    outputs = [{"OutputName": "endpoint_name", "OutputType": "String"}]
    return {
        "Name": name,
        "Type": "Callback",
        "SqsQueueUrl": queue,
        "OutputParameters": outputs,
        "Arguments": {"model_package_arn": "arn:1"},
        **more,
    }


@pytest.fixture
def queue(account):
    return account.sqs.create_queue(QueueName="release")["QueueUrl"]


def test_a_lambda_step_calls_the_function_and_shows_what_it_answered(account):
    events = []
    account.functions[FUNCTION] = lambda event: events.append(event) or {"champion_name": "tally/3"}
    account.create_pipeline(function())
    execution = account.start()
    assert account.ended(execution) == "Succeeded"
    assert events == [{"group": "tally"}]
    assert account.steps(execution)["Find"]["Metadata"]["Lambda"] == {
        "Arn": FUNCTION,
        "OutputParameters": [{"Name": "champion_name", "Value": "tally/3"}],
    }


def test_a_lambda_that_raises_or_is_missing_fails_the_step(account):
    account.create_pipeline(function())
    missing = account.start()
    assert account.ended(missing) == "Failed"
    assert f"{FUNCTION} cannot be called" in account.steps(missing)["Find"]["FailureReason"]

    def fail(_event):
        raise LookupError("the endpoint is being created")

    account.functions[FUNCTION] = fail
    raising = account.start()
    assert account.ended(raising) == "Failed"
    assert account.steps(raising)["Find"]["FailureReason"] == "LookupError: the endpoint is being created"


def test_a_callback_step_waits_for_the_answer_to_its_token(account, queue):
    account.create_pipeline(callback(queue))
    execution = account.start()
    message = account.receive(queue)
    assert (message["pipelineExecutionArn"], message["status"]) == (execution, "Executing")
    shown = account.steps(execution)["Deploy"]["Metadata"]["Callback"]
    assert (shown["CallbackToken"], shown["SqsQueueUrl"]) == (message["token"], queue)
    answer = account.sagemaker.send_pipeline_execution_step_success
    outputs = [{"Name": "endpoint_name", "Value": "tally-dev"}]
    assert answer(CallbackToken=message["token"], OutputParameters=outputs)["PipelineExecutionArn"] == execution
    assert account.ended(execution) == "Succeeded"
    assert account.steps(execution)["Deploy"]["Metadata"]["Callback"]["OutputParameters"] == outputs
    with pytest.raises(ClientError, match=f"ResourceNotFound.*{message['token']}"):
        answer(CallbackToken=message["token"])


def test_a_callback_that_is_answered_with_a_failure_fails_the_step(account, queue):
    account.create_pipeline(callback(queue))
    execution = account.start()
    token = account.receive(queue)["token"]
    account.sagemaker.send_pipeline_execution_step_failure(CallbackToken=token, FailureReason="the smoke test failed")
    assert account.ended(execution) == "Failed"
    assert account.steps(execution)["Deploy"]["FailureReason"] == "the smoke test failed"


@pytest.mark.parametrize("answered", [True, False], ids=["answered", "nobody answers"])
def test_a_stop_is_told_to_whoever_a_callback_waits_for(account, queue, answered):
    account.create_pipeline(callback(queue))
    execution = account.start()
    token = account.receive(queue)["token"]
    account.sagemaker.stop_pipeline_execution(PipelineExecutionArn=execution)
    message = account.receive(queue)
    assert (message["token"], message["status"]) == (token, "Stopping")
    assert account.status(execution) == "Stopping"
    assert account.steps(execution)["Deploy"]["StepStatus"] == "Stopping"
    began = time.monotonic()
    if answered:
        account.sagemaker.send_pipeline_execution_step_failure(CallbackToken=token, FailureReason="stopped")
    assert account.ended(execution) == "Stopped"
    assert (time.monotonic() - began < 1.5) is answered  # 3 seconds of patience otherwise


def test_conditions_registrations_and_refusals_show_what_they_are(account):
    account.sagemaker.create_model_package_group(ModelPackageGroupName="tally")
    register = {
        "Name": "Register",
        "Type": "RegisterModel",
        "Arguments": {
            "ModelPackageGroupName": "tally",
            "InferenceSpecification": {
                "Containers": [{"Image": "serve:1", "ModelDataUrl": "s3://artifacts/model.tar.gz"}],
                "SupportedContentTypes": ["image/jpeg"],
                "SupportedResponseMIMETypes": ["application/json"],
            },
        },
    }
    refused = {"Name": "Refused", "Type": "Fail", "Arguments": {"ErrorMessage": "the gate says reject"}}
    gate = {
        "Name": "Gate",
        "Type": "Condition",
        "Arguments": {
            "Conditions": [{"Type": "Equals", "LeftValue": {"Get": "Parameters.V"}, "RightValue": "promote"}],
            "IfSteps": [register],
            "ElseSteps": [refused],
        },
    }
    account.create_pipeline(gate, parameters=({"Name": "V", "Type": "String", "DefaultValue": "promote"},))
    promoted, rejected = account.start(), account.start(V="reject")
    assert (account.ended(promoted), account.ended(rejected)) == ("Succeeded", "Failed")
    steps = account.steps(promoted)
    assert steps["Gate"]["Metadata"] == {"Condition": {"Outcome": "True"}}
    assert steps["Register"]["Metadata"]["RegisterModel"]["Arn"].endswith("model-package/tally/1")
    steps = account.steps(rejected)
    assert steps["Refused"]["Metadata"] == {"Fail": {"ErrorMessage": "the gate says reject"}}
    assert steps["Refused"]["FailureReason"] == "the gate says reject"


def test_closing_ends_executions_and_their_jobs_at_once(account, image, queue):
    image.program(SLEEP)
    account.create_pipeline(training("Train"), callback(queue))
    execution = account.start()
    until(lambda: account.sagemaker.list_training_jobs(StatusEquals="InProgress")["TrainingJobSummaries"])
    account.receive(queue)
    began = time.monotonic()
    account.service.close()
    assert time.monotonic() - began < 3
    assert account.status(execution) == "Stopped"
    record = json.loads(
        (account.folder / "executions" / execution.rpartition("/")[2] / "execution.json").read_text("utf-8")
    )
    assert record["reason"] == "the emulator ends"
