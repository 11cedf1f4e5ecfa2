import json
import threading
import time

import pytest

from local.callbacks import Callbacks
from local.definition import Definition
from local.errors import StepError, StoppedError
from local.steps.base import ExecutionInfo, StepContext
from local.steps.callback import CallbackRunner
from local.steps.jobs import job_runners
from local.steps.lambdas import LambdaFunction, LambdaRunner
from local.steps.register import RegisterRunner
from local.stopping import StopSignal
from tests.local.requests import processing, training

FUNCTION = "arn:aws:lambda:eu-west-1:123456789012:function:f"


@pytest.fixture
def context_for(tmp_path):
    def make(**body) -> StepContext:
        step = Definition.parse({"Steps": [{"Name": "Step", "Type": "T", "Arguments": {}, **body}]}).steps["Step"]
        folder = tmp_path / "step"
        folder.mkdir(exist_ok=True)
        return StepContext(ExecutionInfo("tally", "abc123abc123", 0.0), step, folder, StopSignal(), lambda _event: None)

    return make


@pytest.fixture
def function_for(tmp_path):
    def make(source: str, **more) -> LambdaRunner:
        folder = tmp_path / "function"
        folder.mkdir(exist_ok=True)
        (folder / "handler.py").write_text(source)
        (folder / "helper.py").write_text("NAME = 'helper beside the handler'")
        return LambdaRunner({FUNCTION: LambdaFunction(folder, **more)})

    return make


def outputs(*names):
    return {"FunctionArn": FUNCTION, "OutputParameters": [{"OutputName": n, "OutputType": "String"} for n in names]}


def test_a_lambda_handler_gets_the_arguments_its_environment_and_its_own_modules(
    function_for, context_for, monkeypatch
):
    monkeypatch.setenv("AWS_PROFILE", "a person's own")
    runner = function_for(
        """
import os
import helper
def handler(event, context):
    return {"a": event["x"] * 2, "b": os.environ["TABLE"], "c": helper.NAME, "d": os.environ.get("AWS_PROFILE"), "e": 1}
""",
        environment={"TABLE": "t1"},
    )
    result = runner.run({"x": 21}, context_for(**outputs("a", "b", "c", "d")))
    assert result.outputs == {"OutputParameters": {"a": 42, "b": "t1", "c": "helper beside the handler", "d": None}}


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (
            "def handler(event, context): raise LookupError('group tally is unknown')",
            "LookupError: group tally is unknown",
        ),
        ("def handler(event, context): return {'b': 1}", "without the declared output a"),
        ("import os\ndef handler(event, context): os._exit(9)", "exit code 9 and no answer"),
        ("import no_such_module", "No module named 'no_such_module'"),
        ("import time\ndef handler(event, context): time.sleep(60)", "ran past its 1 seconds"),
    ],
    ids=["raises", "forgets an output", "dies", "does not import", "takes too long"],
)
def test_a_lambda_that_does_not_answer_fails_the_step_with_its_reason(function_for, context_for, source, message):
    with pytest.raises(StepError, match=message):
        function_for(source, timeout_seconds=1.0).run({}, context_for(**outputs("a")))


def test_an_unknown_function_is_named(function_for, context_for):
    with pytest.raises(StepError, match="no Lambda function arn:other"):
        function_for("").run({}, context_for(FunctionArn="arn:other"))


@pytest.fixture
def callback(cloud):
    """A callback runner, its registry of tokens, and a function that reads the queue."""
    url = cloud.create_queue("deploy")
    callbacks = Callbacks()

    def receive():
        while True:
            for message in cloud.clients.sqs.receive_message(QueueUrl=url).get("Messages", []):
                return json.loads(message["Body"])
            time.sleep(0.02)

    def runner(seconds):
        return CallbackRunner(cloud.clients.sqs, callbacks, seconds)

    return runner, callbacks, receive, {"SqsQueueUrl": url, "OutputParameters": [{"OutputName": "endpoint_name"}]}


def test_a_callback_step_succeeds_with_the_outputs_that_its_token_was_answered_with(callback, context_for):
    runner, callbacks, receive, body = callback
    seen = []

    def answer():
        message = receive()
        seen.append(message)
        callbacks.success(message["token"], {"endpoint_name": "tally"})

    thread = threading.Thread(target=answer)
    thread.start()
    result = runner(20).run({"model_package_arn": "arn:1"}, context_for(**body))
    thread.join()
    assert result.outputs == {"OutputParameters": {"endpoint_name": "tally"}}
    assert seen[0]["arguments"] == {"model_package_arn": "arn:1"}
    assert seen[0]["pipelineExecutionArn"].endswith("pipeline/tally/execution/abc123abc123")
    assert len(seen[0]["token"]) == 10
    assert seen[0]["token"].isalnum()


def test_a_callback_step_fails_with_the_reason_that_its_token_was_answered_with(callback, context_for):
    runner, callbacks, receive, body = callback
    thread = threading.Thread(target=lambda: callbacks.failure(receive()["token"], "the smoke test failed"))
    thread.start()
    with pytest.raises(StepError, match="the smoke test failed"):
        runner(20).run({}, context_for(**body))
    thread.join()


def test_a_callback_that_nobody_answers_times_out_and_its_token_is_closed(callback, context_for):
    runner, callbacks, receive, body = callback
    with pytest.raises(StepError, match=r"nobody answered the callback token within 0\.3 seconds"):
        runner(0.3).run({}, context_for(**body))
    with pytest.raises(KeyError, match="no callback step waits"):
        callbacks.success(receive()["token"], {})


def test_a_callback_step_can_be_stopped(callback, context_for):
    runner, _, _, body = callback
    context = context_for(**body)
    threading.Timer(0.2, context.stop.set, ["enough"]).start()
    with pytest.raises(StoppedError):
        runner(30).run({}, context)


PACKAGE = {
    "ModelPackageGroupName": "tally",
    "ModelApprovalStatus": "PendingManualApproval",
    "InferenceSpecification": {
        "Containers": [{"Image": "serve:1", "ModelDataUrl": "s3://artifacts/model.tar.gz"}],
        "SupportedContentTypes": ["image/jpeg"],
        "SupportedResponseMIMETypes": ["application/json"],
    },
    "CustomerMetadataProperties": {"verdict": "promote"},
}


def test_a_registered_package_answers_with_its_description(cloud, context_for):
    cloud.clients.sagemaker.create_model_package_group(ModelPackageGroupName="tally")
    result = RegisterRunner(cloud.clients.sagemaker).run(PACKAGE, context_for())
    assert result.outputs["ModelPackageArn"].endswith(":model-package/tally/1")
    assert result.outputs["ModelApprovalStatus"] == "PendingManualApproval"
    assert json.dumps(result.outputs)  # times are numbers, as they travel


def test_registering_in_a_group_that_does_not_exist_fails_the_step(cloud, context_for):
    with pytest.raises(StepError, match="Model Package Group does not exist"):
        RegisterRunner(cloud.clients.sagemaker).run(PACKAGE, context_for())


def test_a_request_that_aws_would_reject_is_rejected_before_anything_runs(workspace_for, context_for):
    request = training(HyperParameters={"epochs": 3})
    del request["TrainingJobName"]
    with pytest.raises(StepError, match=r"CreateTrainingJob would be rejected.*HyperParameters\.epochs, value: 3"):
        job_runners(workspace_for("print(1)"))["Training"].run(request, context_for())


def test_a_job_step_fails_with_the_jobs_reason_and_stops_when_asked(workspace_for, context_for):
    runner = job_runners(workspace_for())["Processing"]
    request = processing("raise SystemExit('no photos')")
    del request["ProcessingJobName"]
    with pytest.raises(StepError, match="no photos"):
        runner.run(request, context_for())
    context = context_for()
    context.stop.set("enough")
    with pytest.raises(StoppedError):
        runner.run(request, context)


def test_a_service_that_cannot_be_reached_is_a_failure_that_policies_may_retry(workspace_for, context_for, cloud):
    runner = job_runners(workspace_for())["Processing"]
    request = processing("", inputs={"photos": "s3://no-such-bucket/photos"})
    del request["ProcessingJobName"]
    with pytest.raises(StepError, match="NoSuchBucket") as caught:
        runner.run(request, context_for())
    assert caught.value.kind is None  # the bucket's name is wrong: trying again does not help
