import json
import time

import pytest
from botocore.exceptions import ClientError

from tests.local import requests
from tests.local.sagemaker.account import ROLE, definition, until

FUNCTION = "arn:aws:lambda:eu-west-1:123456789012:function:tally-dev-champion"
SLEEP = "import time\nprint('loss=0.5', flush=True)\ntime.sleep(60)"


def processing(name, program="print('ok')", **more):
    arguments = {k: v for k, v in requests.processing(program).items() if k != "ProcessingJobName" and v != []}
    return {"Name": name, "Type": "Processing", "Arguments": {**arguments, **more.pop("change", {})}, **more}


def training(name, **more):
    arguments = {k: v for k, v in requests.training().items() if k != "TrainingJobName" and v != []}
    return {"Name": name, "Type": "Training", "Arguments": arguments, **more}


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


def test_a_step_is_seen_with_its_job_while_it_runs_and_one_that_waits_is_not(account, image):
    image.program("import time\ntime.sleep(1)")
    account.create_pipeline(training("Train"), processing("Evaluate", DependsOn=["Train"]))
    execution = account.start()
    steps = until(lambda: s if "Metadata" in (s := account.steps(execution)).get("Train", {}) else None)
    assert set(steps) == {"Train"}
    assert (account.status(execution), steps["Train"]["StepStatus"]) == ("Executing", "Executing")
    job = steps["Train"]["Metadata"]["TrainingJob"]["Arn"].rpartition("/")[2]
    listed = account.sagemaker.list_training_jobs(StatusEquals="InProgress")["TrainingJobSummaries"]
    assert [item["TrainingJobName"].lower() for item in listed] == [job]
    assert account.ended(execution) == "Succeeded"
    described = account.sagemaker.list_pipeline_execution_steps(PipelineExecutionArn=execution)
    assert [step["StepName"] for step in described["PipelineExecutionSteps"]] == ["Evaluate", "Train"]  # newest first
    told = [(d["stepName"], d["currentStepStatus"]) for d in account.told("Execution Step")]
    assert told == [
        ("Train", "Executing"),
        ("Train", "Succeeded"),
        ("Evaluate", "Executing"),
        ("Evaluate", "Succeeded"),
    ]
    statuses = [d["currentPipelineExecutionStatus"] for d in account.told("Execution Status")]
    assert until(lambda: statuses if len(statuses) == 2 else None) == ["Executing", "Succeeded"]


def test_a_failing_step_has_its_reason_and_the_execution_sagemakers(account):
    account.create_pipeline(processing("Preprocess", "raise SystemExit('no photo under the prefix ' + 'x' * 3000)"))
    execution = account.start()
    assert account.ended(execution) == "Failed"
    described = account.sagemaker.describe_pipeline_execution(PipelineExecutionArn=execution)
    assert described["FailureReason"] == "Step failure: One or multiple steps failed."
    step = account.steps(execution)["Preprocess"]
    assert step["StepStatus"] == "Failed"
    assert step["FailureReason"].startswith("AlgorithmError: exit code 1")
    assert len(step["FailureReason"]) == 1024


PARAMETERS = (
    {"Name": "Epochs", "Type": "Integer", "DefaultValue": 3},
    {"Name": "Mode", "Type": "String", "DefaultValue": "fast", "EnumValues": ["fast", "slow"]},
    {"Name": "InputPrefix", "Type": "String"},
)


def test_parameters_are_cast_and_listed(account):
    account.create_pipeline(
        processing("Preprocess", change={"Environment": {"PREFIX": {"Get": "Parameters.InputPrefix"}}}),
        parameters=PARAMETERS,
    )
    execution = account.start(InputPrefix="photos", Epochs="5")
    assert account.ended(execution) == "Succeeded"
    listed = account.sagemaker.list_pipeline_parameters_for_execution(PipelineExecutionArn=execution)
    values = {item["Name"]: item["Value"] for item in listed["PipelineParameters"]}
    assert values == {"Epochs": "5", "Mode": "fast", "InputPrefix": "photos"}


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"InputPrefix": "p", "Epoch": "3"}, "no parameter Epoch; it has Epochs, InputPrefix, Mode"),
        ({"InputPrefix": "p", "Epochs": "many"}, "parameter Epochs is 'many'; it must be of type Integer"),
        ({"InputPrefix": "p", "Mode": "odd"}, "parameter Mode is 'odd'; allowed are fast, slow"),
        ({}, "parameter InputPrefix has no default"),
    ],
    ids=["unknown", "of a wrong type", "not allowed", "missing"],
)
def test_wrong_parameters_are_refused_by_name(account, parameters, message):
    account.create_pipeline(processing("Preprocess"), parameters=PARAMETERS)
    with pytest.raises(ClientError, match=f"ValidationException.*{message}"):
        account.start(**parameters)
    assert account.sagemaker.list_pipeline_executions(PipelineName="p")["PipelineExecutionSummaries"] == []


def test_the_same_token_starts_one_execution(account):
    account.create_pipeline(processing("Preprocess"))
    start = account.sagemaker.start_pipeline_execution
    named = {"PipelineExecutionDisplayName": "photos-of-monday", "PipelineExecutionDescription": "weekly"}
    first = start(PipelineName="p", ClientRequestToken="a" * 32, **named)["PipelineExecutionArn"]
    assert start(PipelineName="p", ClientRequestToken="a" * 32)["PipelineExecutionArn"] == first
    second = start(PipelineName=f"{first.partition('/execution')[0]}", ClientRequestToken="b" * 32)
    assert second["PipelineExecutionArn"] != first
    assert account.ended(first) == account.ended(second["PipelineExecutionArn"]) == "Succeeded"
    described = account.sagemaker.describe_pipeline_execution(PipelineExecutionArn=first)
    assert {key: described[key] for key in named} == named
    listed = account.sagemaker.list_pipeline_executions(PipelineName="p", SortOrder="Ascending")
    assert [item["PipelineExecutionArn"] for item in listed["PipelineExecutionSummaries"]] == [
        first,
        second["PipelineExecutionArn"],
    ]


def test_an_updated_pipeline_leaves_running_executions_alone(account, image):
    image.program("import time\ntime.sleep(1)")
    account.create_pipeline(training("Train"), processing("Evaluate", DependsOn=["Train"]))
    before = account.sagemaker.describe_pipeline(PipelineName="p")["PipelineDefinition"]
    running = account.start()
    account.sagemaker.update_pipeline(PipelineName="p", PipelineDefinition=definition(processing("Other")))
    other = account.start()
    assert account.ended(other) == "Succeeded"
    assert set(account.steps(other)) == {"Other"}
    with pytest.raises(ClientError, match=r"ConflictException.*has 1 running executions"):
        account.sagemaker.delete_pipeline(PipelineName="p")
    assert account.ended(running) == "Succeeded"
    assert set(account.steps(running)) == {"Train", "Evaluate"}
    shown = account.sagemaker.describe_pipeline_definition_for_execution(PipelineExecutionArn=running)
    assert shown["PipelineDefinition"] == before
    account.sagemaker.delete_pipeline(PipelineName="p")
    with pytest.raises(ClientError, match=r"ResourceNotFound.*pipeline/p' does not exist"):
        account.sagemaker.describe_pipeline(PipelineName="p")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not JSON"),
        (definition(processing("A"), processing("A")), "two steps named A"),
        (definition(processing("A", DependsOn=["B"])), "depends on B"),
    ],
    ids=["not JSON", "a step twice", "an unknown step"],
)
def test_a_definition_that_cannot_run_is_refused(account, text, message):
    with pytest.raises(ClientError, match=f"ValidationException.*{message}"):
        account.sagemaker.create_pipeline(PipelineName="p", RoleArn=ROLE, PipelineDefinition=text)


def test_a_definition_may_lie_in_s3(account):
    text = definition(processing("Preprocess"))
    account.put("s3://artifacts/pipeline.json", text.encode())
    place = {"Bucket": "artifacts", "ObjectKey": "pipeline.json"}
    account.sagemaker.create_pipeline(PipelineName="p", RoleArn=ROLE, PipelineDefinitionS3Location=place)
    assert account.sagemaker.describe_pipeline(PipelineName="p")["PipelineDefinition"] == text


def test_stop_ends_the_jobs_of_an_execution(account, image):
    image.program(SLEEP)
    account.create_pipeline(training("Train"), processing("Evaluate", DependsOn=["Train"]))
    execution = account.start()
    until(lambda: account.sagemaker.list_training_jobs(StatusEquals="InProgress")["TrainingJobSummaries"])
    account.sagemaker.stop_pipeline_execution(PipelineExecutionArn=execution)
    assert account.status(execution) in ("Stopping", "Stopped")
    assert account.ended(execution) == "Stopped"
    assert {name: step["StepStatus"] for name, step in account.steps(execution).items()} == {"Train": "Stopped"}
    [job] = account.sagemaker.list_training_jobs()["TrainingJobSummaries"]
    assert job["TrainingJobStatus"] == "Stopped"
    with pytest.raises(ClientError, match=r"ConflictException.*is Stopped"):
        account.sagemaker.stop_pipeline_execution(PipelineExecutionArn=execution)


def test_two_executions_run_at_the_same_time(account, image):
    image.program("import time\ntime.sleep(1)")
    account.create_pipeline(training("Train"))
    both = [account.start(), account.start()]
    until(lambda: len(account.sagemaker.list_training_jobs(StatusEquals="InProgress")["TrainingJobSummaries"]) == 2)
    assert [account.ended(execution) for execution in both] == ["Succeeded", "Succeeded"]


def test_the_parallelism_of_a_pipeline_or_of_a_start_is_kept(account, image):
    image.program("import time\ntime.sleep(0.5)")
    text = definition(training("One"), training("Two"))
    one = {"ParallelismConfiguration": {"MaxParallelExecutionSteps": 1}}
    account.sagemaker.create_pipeline(PipelineName="p", RoleArn=ROLE, PipelineDefinition=text, **one)
    execution = account.start()
    assert account.ended(execution) == "Succeeded"
    steps = account.steps(execution)
    assert steps["One"]["EndTime"] <= steps["Two"]["StartTime"]
    with pytest.raises(ClientError, match="SelectiveExecutionConfig is not emulated"):
        account.sagemaker.start_pipeline_execution(
            PipelineName="p", SelectiveExecutionConfig={"SelectedSteps": [{"StepName": "One"}]}
        )


def test_a_cached_step_names_the_execution_that_it_comes_from(account):
    caching = {"CacheConfig": {"Enabled": True, "ExpireAfter": "P1D"}}
    account.create_pipeline(processing("Preprocess", **caching))
    first, second = account.start(), None
    assert account.ended(first) == "Succeeded"
    second = account.start()
    assert account.ended(second) == "Succeeded"
    before, after = account.steps(first)["Preprocess"], account.steps(second)["Preprocess"]
    assert after["CacheHitResult"] == {"SourcePipelineExecutionArn": first}
    assert after["Metadata"] == before["Metadata"]
    assert len(account.sagemaker.list_processing_jobs()["ProcessingJobSummaries"]) == 1


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
