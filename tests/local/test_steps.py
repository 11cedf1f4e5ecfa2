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
from local.stopping import StopSignal
from tests.local.requests import processing, training


@pytest.fixture
def context_for(tmp_path):
    def make(**body) -> StepContext:
        step = Definition.parse({"Steps": [{"Name": "Step", "Type": "T", "Arguments": {}, **body}]}).steps["Step"]
        folder = tmp_path / "step"
        folder.mkdir(exist_ok=True)
        return StepContext(ExecutionInfo("tally", "abc123abc123", 0.0), step, folder, StopSignal(), lambda _event: None)

    return make


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
        return CallbackRunner(cloud.clients.sqs, callbacks, seconds, stopping_seconds=0.5)

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


def test_a_callback_whose_queue_is_gone_fails_with_the_queues_name(callback, context_for):
    runner, _, _, body = callback
    gone = f"{body['SqsQueueUrl']}-gone"
    with pytest.raises(StepError, match=f"could not be sent to {gone}"):
        runner(20).run({}, context_for(**{**body, "SqsQueueUrl": gone}))


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
