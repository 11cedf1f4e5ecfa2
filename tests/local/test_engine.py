# ruff: noqa: ARG005 - small lambdas stand for runners and readers
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from local.cache import StepCache, Success, duration_seconds
from local.definition import Definition
from local.engine import Engine
from local.errors import LocalError, StepError, StoppedError
from local.steps.base import ExecutionInfo, StepResult
from local.steps.control import ConditionRunner, FailRunner


@dataclass
class Script:
    """A runner that calls one function per step name and notes the order of starts and ends."""

    functions: dict
    log: list

    def run(self, arguments, context):
        name = context.step.name
        self.log.append(f"+{name}")
        function = self.functions.get(name)
        outputs = function(arguments, context) if function else {}
        self.log.append(f"-{name}")
        return StepResult(outputs or {})


def step(name, arguments=None, **more):
    return {"Name": name, "Type": "Job", "Arguments": arguments or {}, **more}


def engine_for(steps, folder: Path, *, functions=None, log=None, cache=None, listen=None, parameters=None, **more):
    script = Script(functions or {}, log if log is not None else [])
    data = {"Steps": steps, "Parameters": [{"Name": "Mode", "Type": "String", "DefaultValue": "automatic"}]}
    return Engine(
        Definition.parse(data),
        {"Job": script, "Processing": script, "Condition": ConditionRunner(), "Fail": FailRunner()},
        ExecutionInfo("tally", "abc", 0.0),
        parameters=parameters or {},
        folder=folder,
        read_json=lambda uri: {"verdict": "promote"},
        cache=cache,
        listen=listen or (lambda event: None),
        **more,
    )


def statuses(execution):
    return {name: record.status for name, record in execution.steps.items()}


def test_steps_wait_for_what_they_refer_to(tmp_path):
    log = []
    steps = [step("C", {"x": {"Get": "Steps.B.y"}}), step("B", {"x": {"Get": "Steps.A.y"}}), step("A")]
    functions = {"A": lambda a, c: {"y": 1}, "B": lambda a, c: {"y": a["x"] + 1}, "C": lambda a, c: {"y": a["x"]}}
    execution = engine_for(steps, tmp_path, functions=functions, log=log).run()
    assert execution.status == "Succeeded"
    assert log == ["+A", "-A", "+B", "-B", "+C", "-C"]
    assert execution.steps["C"].outputs == {"y": 2}


def test_independent_steps_run_at_the_same_time(tmp_path):
    both = threading.Barrier(2, timeout=5)  # breaks unless the two are inside together
    meet = lambda arguments, context: both.wait() and None  # noqa: E731
    execution = engine_for([step("A"), step("B")], tmp_path, functions={"A": meet, "B": meet}).run()
    assert execution.status == "Succeeded"


def gated(verdict):
    return [
        step("Evaluate", {"verdict": verdict}),
        {
            "Name": "Gate",
            "Type": "Condition",
            "Arguments": {
                "Conditions": [{"Type": "Equals", "LeftValue": {"Get": "Steps.Evaluate.verdict"}, "RightValue": "yes"}],
                "IfSteps": [step("Register"), step("Deploy", {}, DependsOn=["Register"])],
                "ElseSteps": [
                    {
                        "Name": "Refused",
                        "Type": "Fail",
                        "Arguments": {
                            "ErrorMessage": {
                                "Std:Join": {"On": ": ", "Values": ["no", {"Get": "Steps.Evaluate.verdict"}]}
                            }
                        },
                    }
                ],
            },
        },
    ]


def test_a_condition_that_holds_runs_the_if_branch_alone(tmp_path):
    execution = engine_for(gated("yes"), tmp_path, functions={"Evaluate": lambda a, c: a}).run()
    assert execution.status == "Succeeded"
    assert statuses(execution) == {
        "Evaluate": "Succeeded",
        "Gate": "Succeeded",
        "Register": "Succeeded",
        "Deploy": "Succeeded",
        "Refused": "NotReached",
    }


def test_a_fail_step_ends_the_execution_with_its_message(tmp_path):
    execution = engine_for(gated("worse"), tmp_path, functions={"Evaluate": lambda a, c: a}).run()
    assert execution.status == "Failed"
    assert execution.reason == "step Refused: no: worse"
    assert statuses(execution)["Deploy"] == "NotReached"
    assert [item["StepName"] for item in execution.describe_steps()] == ["Evaluate", "Gate", "Refused"]


def fail(reason, kind=None):
    def function(arguments, context):
        raise StepError(reason, kind)

    return function


def wait_for_stop(arguments, context):
    if not context.stop.wait(10):
        raise AssertionError("nobody stopped this step")
    raise StoppedError


def test_a_failing_step_stops_the_running_ones_and_starts_no_others(tmp_path):
    functions = {"A": fail("disk on fire"), "B": wait_for_stop}
    steps = [step("A"), step("B"), step("C", DependsOn=["B"])]
    execution = engine_for(steps, tmp_path, functions=functions).run()
    assert statuses(execution) == {"A": "Failed", "B": "Stopped", "C": "NotReached"}
    assert execution.reason == "step A: disk on fire"


def test_an_unexpected_error_of_a_runner_is_a_failed_step_with_its_traceback(tmp_path):
    execution = engine_for([step("A")], tmp_path, functions={"A": lambda a, c: 1 // 0}).run()
    assert "ZeroDivisionError" in execution.reason
    assert "test_engine.py" in execution.reason


def test_an_unknown_type_of_step_fails_with_the_known_ones(tmp_path):
    execution = engine_for([{"Name": "A", "Type": "Quantum", "Arguments": {}}], tmp_path).run()
    assert "step A is of type Quantum; this runner knows Condition, Fail, Job, Processing" in execution.reason


def test_no_more_steps_run_at_a_time_than_the_parallelism_allows(tmp_path):
    log = []
    engine = engine_for([step("A"), step("B"), step("C")], tmp_path, log=log, parallel=1)
    assert engine.run().status == "Succeeded"
    assert log == ["+A", "-A", "+B", "-B", "+C", "-C"]


def test_stop_ends_running_steps_and_the_execution(tmp_path):
    engine = engine_for([step("A"), step("B", DependsOn=["A"])], tmp_path, functions={"A": wait_for_stop})
    threading.Timer(0.2, engine.stop, ["stopped by a person"]).start()
    execution = engine.run()
    assert (execution.status, execution.reason) == ("Stopped", "stopped by a person")
    assert statuses(execution) == {"A": "Stopped", "B": "NotReached"}


def policy(kinds, **more):
    return {"ExceptionType": kinds, "IntervalSeconds": 0.01, "BackoffRate": 2.0, **more}


def test_a_failure_that_a_policy_names_is_tried_again_in_a_folder_of_its_own(tmp_path):
    seen = []

    def flaky(arguments, context):
        seen.append((context.attempt, context.folder.name, context.job_name))
        if len(seen) < 3:
            raise StepError("no capacity", "SageMaker.CAPACITY_ERROR")
        return {}

    events = []
    steps = [step("A", RetryPolicies=[policy(["SageMaker.CAPACITY_ERROR"], MaxAttempts=5)])]
    execution = engine_for(steps, tmp_path, functions={"A": flaky}, listen=events.append).run()
    assert execution.status == "Succeeded"
    assert [item[:2] for item in seen] == [(1, "A"), (2, "A-attempt-2"), (3, "A-attempt-3")]
    assert len({item[2] for item in seen}) == 3
    assert [event.kind for event in events] == ["started", "retry", "retry", "succeeded"]


@pytest.mark.parametrize(
    ("kind", "attempts"),
    [("SageMaker.CAPACITY_ERROR", 3), ("SageMaker.JOB_INTERNAL_ERROR", 1), (None, 1)],
    ids=["named: two more attempts", "not named", "the job's own failure"],
)
def test_a_failure_is_tried_as_often_as_its_policy_says(tmp_path, kind, attempts):
    log = []
    steps = [step("A", RetryPolicies=[policy(["SageMaker.CAPACITY_ERROR"], MaxAttempts=2)])]
    execution = engine_for(steps, tmp_path, functions={"A": fail("x", kind)}, log=log).run()
    assert execution.status == "Failed"
    assert len(log) == attempts


def test_a_policy_without_attempts_expires(tmp_path):
    log = []
    steps = [step("A", RetryPolicies=[policy(["Step.THROTTLING"], ExpireAfterMin=0.3 / 60)])]
    started = time.monotonic()
    engine_for(steps, tmp_path, functions={"A": fail("x", "Step.THROTTLING")}, log=log).run()
    assert 0.2 < time.monotonic() - started < 3
    assert len(log) > 3


def cached_step(arguments, **more):
    return {
        "Name": "Prep",
        "Type": "Processing",
        "Arguments": arguments,
        "CacheConfig": {"Enabled": True, "ExpireAfter": "P1D", **more},
    }


def arguments(output="one", revision="r1"):
    return {
        "AppSpecification": {"ImageUri": "a"},
        "Environment": {"REVISION": revision},
        "ProcessingOutputConfig": {"Outputs": [{"OutputName": "o", "S3Output": {"S3Uri": f"s3://b/{output}"}}]},
    }


def test_a_step_with_the_same_key_attributes_reuses_the_earlier_outputs(tmp_path):
    log = []

    def execute(**changes):
        cache = StepCache(tmp_path / "steps.json", exists=lambda uri: True)
        functions = {"Prep": lambda a, c: a}
        return engine_for(
            [cached_step(arguments(**changes))], tmp_path, functions=functions, log=log, cache=cache
        ).run()

    execute()
    again = execute(output="two")  # where outputs go is no part of the key
    assert again.steps["Prep"].cached
    assert again.steps["Prep"].outputs["ProcessingOutputConfig"]["Outputs"][0]["S3Output"]["S3Uri"] == "s3://b/one"
    assert log == ["+Prep", "-Prep"]
    assert not execute(revision="r2").steps["Prep"].cached
    assert execute(revision="r1").steps["Prep"].cached


def test_a_failure_is_never_reused(tmp_path):
    cache = StepCache(tmp_path / "steps.json", exists=lambda uri: True)
    engine_for([cached_step(arguments())], tmp_path, functions={"Prep": fail("x")}, cache=cache).run()
    assert cache.find("Prep", "Processing", arguments(), "P1D") is None


def test_a_success_expires_and_counts_only_while_its_outputs_exist(tmp_path):
    now = [0.0]
    there = [True]
    cache = StepCache(tmp_path / "steps.json", exists=lambda uri: there[0], now=lambda: now[0])
    cache.store("Prep", "Processing", arguments(), Success(arguments(), {}, "arn:1"))
    assert cache.find("Prep", "Processing", arguments(), "PT1H")
    there[0] = False
    assert cache.find("Prep", "Processing", arguments(), "PT1H") is None
    there[0], now[0] = True, 3601.0
    assert cache.find("Prep", "Processing", arguments(), "PT1H") is None
    assert cache.find("Prep", "Processing", arguments(), "PT2H")


@pytest.mark.parametrize(
    ("text", "seconds"), [("P30D", 2592000), ("PT1H", 3600), ("30dT5h", 2610000), ("T16m", 960), ("P1M", 2592000)]
)
def test_durations_are_read_as_aws_writes_them(text, seconds):
    assert duration_seconds(text) == seconds


def test_a_duration_that_is_none_is_refused():
    with pytest.raises(LocalError, match="ExpireAfter is 'soon'"):
        duration_seconds("soon")


@pytest.mark.parametrize("kind", ["started", "succeeded"])
def test_a_listener_that_raises_fails_the_step_and_nothing_hangs(tmp_path, kind):
    def listen(event):
        if event.kind == kind and event.step == "A":
            raise OSError("no space to save the state")

    engine = engine_for([step("A"), step("B", DependsOn=["A"])], tmp_path, listen=listen)
    done = threading.Thread(target=engine.run, daemon=True)
    done.start()
    done.join(10)
    assert not done.is_alive()
    assert engine.execution.steps["A"].status == "Failed"
    assert "no space to save the state" in engine.execution.steps["A"].reason
