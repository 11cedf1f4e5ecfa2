"""Starting, finding, watching and stopping runs."""

import io
import json
from typing import Any

import pytest

from ops import runs
from ops.account import Account
from ops.errors import OpsError
from ops.watch import EXIT_CODES, table, watch
from tests.ops.fakes import BEGAN, FakeSageMaker, step


@pytest.fixture
def sagemaker(account: Account) -> FakeSageMaker:
    fake = FakeSageMaker()
    account._clients["sagemaker"] = fake
    return fake


def watched(account: Account, arn: str) -> tuple[runs.Run, str]:
    stream = io.StringIO()
    run = watch(account, arn, stream, every=0)
    return run, stream.getvalue()


def test_steps_appear_as_they_change_in_order_with_times_and_reasons(
    account: Account, sagemaker: FakeSageMaker
) -> None:
    tune = {
        "Metadata": {"TuningJob": {"Arn": "arn:aws:sagemaker:eu-west-1:123456789012:hyper-parameter-tuning-job/tune-1"}}
    }
    arn = sagemaker.run(
        "abc",
        ("Executing", [step("Preprocess", "Executing", 0)]),
        ("Executing", [step("Preprocess", "Succeeded", 0, 12.5), step("Tune", "Executing", 13, **tune)]),
        (
            "Failed",
            [
                step("Preprocess", "Succeeded", 0, 12.5),
                step("Tune", "Failed", 13, 20, FailureReason="ClientError: no photo", **tune),
            ],
        ),
    )
    run, text = watched(account, arn)
    assert [line.split("] ", 1)[1] for line in text.splitlines()] == [
        "Preprocess: Executing",
        "Preprocess: Succeeded in 12.5 s",
        "Tune: Executing: 3 of 12 trials done, 2 running",
        "Tune: Failed in 7.0 s: ClientError: no photo",
        "run abc: failed: a step failed",
    ]
    assert EXIT_CODES[run.outcome] == 1


def test_a_refusal_of_the_gate_is_no_failure(account: Account, sagemaker: FakeSageMaker) -> None:
    refused = step("Refused", "Failed", 5, 5, Metadata={"Fail": {"ErrorMessage": "The gate says reject: no gain"}})
    arn = sagemaker.run("abc", ("Failed", [step("Gate", "Succeeded", 4, 5), refused]))
    run, text = watched(account, arn)
    assert (run.outcome, EXIT_CODES[run.outcome]) == ("refused", 0)
    assert "Refused: refused in 0.0 s: The gate says reject: no gain" in text


def test_a_failed_job_beside_a_refusal_is_a_failure(account: Account, sagemaker: FakeSageMaker) -> None:
    refused = step("Refused", "Failed", 5, 5, Metadata={"Fail": {"ErrorMessage": "no"}})
    arn = sagemaker.run("abc", ("Failed", [step("Train", "Failed", 1, 2), refused]))
    assert watched(account, arn)[0].outcome == "failed"


@pytest.mark.parametrize(
    ("status", "outcome", "exit_code"), [("Succeeded", "succeeded", 0), ("Stopped", "stopped", 130)]
)
def test_the_exit_code_says_how_it_ended(
    account: Account, sagemaker: FakeSageMaker, status: str, outcome: str, exit_code: int
) -> None:
    run, _ = watched(account, sagemaker.run("abc", (status, [])))
    assert (run.outcome, EXIT_CODES[run.outcome]) == (outcome, exit_code)


def test_the_table_shows_cached_steps_and_what_runs(account: Account, sagemaker: FakeSageMaker) -> None:
    from rich.console import Console

    cached = {"CacheHitResult": {"SourcePipelineExecutionArn": "arn:aws:sagemaker:eu-west-1:1:pipeline/a"}}
    arn = sagemaker.run("abc", ("Executing", [step("Preprocess", "Succeeded", 0, 1, **cached)]))
    stream = io.StringIO()
    Console(file=stream, width=100).print(table(runs.describe(account, arn)))
    assert "abc: running on photos" in stream.getvalue()
    assert stream.getvalue().splitlines()[-1].split() == ["Preprocess", "cached", "1"]


def test_the_run_of_an_upload_is_the_new_one_on_its_prefix(account: Account, sagemaker: FakeSageMaker) -> None:
    old = sagemaker.run("old", ("Succeeded", []))
    known = {run.arn for run in runs.runs(account)}
    assert known == {old}
    calls = iter(
        [
            lambda: None,
            lambda: sagemaker.run("foreign", ("Executing", []), InputPrefix="elsewhere"),
            lambda: sagemaker.run("mine", ("Executing", []), InputPrefix="photos"),
        ]
    )
    sagemaker.on_list = lambda: next(calls)()
    assert runs.wait_for_start(account, "photos/", known, every=0).endswith("/execution/mine")


def test_a_run_that_never_begins_names_the_function_to_look_at(account: Account, sagemaker: FakeSageMaker) -> None:
    with pytest.raises(OpsError, match=r"no run on photos began within 0 s .* log of function tally-dev-trigger"):
        runs.wait_for_start(account, "photos", set(), seconds=0, every=0)


def test_a_run_is_found_by_id_name_or_as_the_newest(account: Account, sagemaker: FakeSageMaker) -> None:
    with pytest.raises(OpsError, match="pipeline tally-dev has not run yet"):
        runs.resolve(account, None)
    first, second = sagemaker.run("a1", ("Stopped", [])), sagemaker.run("b2", ("Executing", []))
    assert [runs.resolve(account, text) for text in (None, "a1", "run-a1", first)] == [second, first, first, first]
    with pytest.raises(OpsError, match="pipeline tally-dev has no run zzz; `runs` lists them"):
        runs.resolve(account, "zzz")


def test_an_unknown_arn_says_what_to_check(account: Account, sagemaker: FakeSageMaker) -> None:
    with pytest.raises(OpsError, match="execution nope does not exist: is environment dev deployed in eu-west-1"):
        runs.describe(account, "arn:aws:sagemaker:eu-west-1:123456789012:pipeline/tally-dev/execution/nope")


def test_a_running_run_is_stopped_and_an_ended_one_is_not(account: Account, sagemaker: FakeSageMaker) -> None:
    arn = sagemaker.run("abc", ("Executing", []))
    runs.stop(account, arn)
    assert sagemaker.stopped == [arn]
    with pytest.raises(OpsError, match=r"run done has ended \(Succeeded\); there is nothing to stop"):
        runs.stop(account, sagemaker.run("done", ("Succeeded", [])))


def test_the_list_tells_a_refusal_from_a_failure(account: Account, sagemaker: FakeSageMaker) -> None:
    refused = step("Refused", "Failed", 5, 5, Metadata={"Fail": {"ErrorMessage": "no"}})
    sagemaker.run("a", ("Failed", [step("Train", "Failed", 1, 2)]))
    sagemaker.run("b", ("Failed", [refused]))
    assert [(run.id, run.outcome) for run in runs.recent(account, 10)] == [("b", "refused"), ("a", "failed")]
    assert runs.recent(account, 1)[0].started == BEGAN


class _Trigger:
    """The trigger function behind Lambda's Invoke."""

    def __init__(self, **answer: Any):
        self.answer = answer
        self.event: dict[str, Any] = {}

    def invoke(self, FunctionName: str, Payload: bytes) -> dict[str, Any]:  # noqa: N803  # boto3's names
        self.event = json.loads(Payload)
        body = json.dumps(self.answer.pop("result")).encode()
        return {"Payload": io.BytesIO(body), **self.answer, "Name": FunctionName}


@pytest.fixture
def training_stack(account: Account) -> None:
    from tests.ops.conftest import template

    topic = {"Topic": {"Type": "AWS::SNS::Topic", "Properties": {"TopicName": "training"}}}
    account.client("cloudformation").create_stack(
        StackName="tally-dev-training", TemplateBody=template(topic, TriggerFunction="tally-dev-trigger")
    )


@pytest.mark.usefixtures("training_stack")
def test_start_sends_prefix_and_parameters_to_the_trigger(account: Account) -> None:
    trigger = _Trigger(result={"pipelineExecutionArn": "arn:run", "prefix": "photos", "revision": "r"})
    account._clients["lambda"] = trigger
    assert runs.start(account, "photos/", {"Epochs": "3"}, "a trial") == "arn:run"
    assert trigger.event == {"prefix": "photos", "parameters": {"Epochs": "3"}, "name": "a trial"}


@pytest.mark.usefixtures("training_stack")
def test_what_the_trigger_refuses_is_said(account: Account) -> None:
    account._clients["lambda"] = _Trigger(
        result={"errorMessage": "s3://raw/photos/ holds nothing", "errorType": "TriggerError"},
        FunctionError="Unhandled",
    )
    with pytest.raises(OpsError, match="no run was started on photos: s3://raw/photos/ holds nothing"):
        runs.start(account, "photos")


@pytest.mark.parametrize("text", ["Epochs", "=3", "gate-alpha=1"])
def test_a_parameter_without_value_or_name_is_refused(text: str) -> None:
    with pytest.raises(OpsError, match=f"--parameter {text}: write NAME=VALUE, for example GateAlpha=0.01"):
        runs.parse_parameters([text])


def test_parameters_may_hold_equal_signs() -> None:
    assert runs.parse_parameters(["A=b=c", "Epochs=3"]) == {"A": "b=c", "Epochs": "3"}
