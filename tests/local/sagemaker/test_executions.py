import pytest
from botocore.exceptions import ClientError

from tests.local.sagemaker.account import ROLE, definition, processing, training, until

SLEEP = "import time\nprint('loss=0.5', flush=True)\ntime.sleep(60)"


def test_a_step_is_seen_with_its_job_while_it_runs_and_one_that_waits_is_not(account, image):
    image.program("import time\ntime.sleep(1)")
    account.create_pipeline(training("Train"), processing("Evaluate", DependsOn=["Train"]))
    execution = account.start()
    steps = until(lambda: s if "Metadata" in (s := account.steps(execution)).get("Train", {}) else None)
    assert set(steps) == {"Train"}
    assert (account.status(execution), steps["Train"]["StepStatus"]) == ("Executing", "Executing")
    job = steps["Train"]["Metadata"]["TrainingJob"]["Arn"].rpartition("/")[2]
    listed = account.sagemaker.list_training_jobs(StatusEquals="InProgress")["TrainingJobSummaries"]
    assert [item["TrainingJobName"] for item in listed] == [job]
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
