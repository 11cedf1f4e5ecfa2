"""The definition itself: the stored copy, the same bytes every time, tokens, and its graph."""

import json
import operator
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pipeline import build, dumps
from pipeline.checks import model
from pipeline.checks.expressions import references
from pipeline.definition import SUMMARY
from pipeline.settings import PipelineSettings, example_settings
from pipeline.steps import ProcessingStep, RegisterStep, TrainingStep, TuningStep
from tests.pipeline.walk import SNAPSHOT, expressions, request, snapshot, step, steps

ROOT = Path(__file__).resolve().parents[2]


def test_the_definition_is_the_stored_one(definition: dict[str, Any]) -> None:
    assert definition == snapshot(), (
        "the pipeline definition changed; when that is meant, store it with\n"
        f"    .venv/bin/python -m pipeline > {SNAPSHOT.relative_to(ROOT)}"
    )


ISOLATED = """
import logging, os, socket, sys

def refuse(*_args, **_kwargs):
    raise AssertionError("the network was used")

socket.socket.connect = socket.socket.connect_ex = socket.getaddrinfo = refuse

before = dict(os.environ), logging.getLogger().handlers[:]

from pipeline import build, dumps
from pipeline.settings import example_settings

sys.stdout.write(dumps(example_settings()))

import boto3

assert (dict(os.environ), logging.getLogger().handlers, boto3.DEFAULT_SESSION) == (*before, None)
forbidden = {"torch", "torchvision", "tally", "aws_cdk", "local"} & {name.partition(".")[0] for name in sys.modules}
assert not forbidden, forbidden
"""


def test_two_processes_without_network_or_credentials_build_the_same_bytes_and_stay_as_they_were(
    definition: dict[str, Any], tmp_path: Path
) -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-W", "error", "-c", ISOLATED],
            cwd=ROOT,
            env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "PYTHONHASHSEED": seed, "TZ": zone, **profile},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for seed, zone, profile in (("1", "UTC", {}), ("4242", "Asia/Tokyo", {"AWS_PROFILE": "does-not-exist"}))
    ]
    results = [process.communicate(timeout=120) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], results
    assert results[0][0] == results[1][0]
    assert json.loads(results[0][0]) == definition


def test_building_twice_in_one_process_gives_the_same_bytes() -> None:
    assert dumps(example_settings()) == dumps(example_settings())


def test_cdk_tokens_pass_through_intact() -> None:
    names = [name for name, value in vars(example_settings()).items() if isinstance(value, str)]
    tokens = {name: f"${{Token[{name.upper()}.{number}]}}" for number, name in enumerate(names, 100)}
    tokens |= {"tuning_strategy": "Bayesian", "weights_uri": "s3://${Token[BUCKET.7]}/weights"}
    lists = {"subnets": ("${Token[SUBNET.8]}",), "security_group_ids": ("${Token[GROUP.9]}",)}
    text = dumps(PipelineSettings(**tokens, **lists))
    unused = {"name", "region", "tuning_strategy"}
    for value in [value for name, value in tokens.items() if name not in unused] + [
        value[0] for value in lists.values()
    ]:
        assert value in text
    assert '"s3:/","${Token[ARTIFACTS_BUCKET' in text


# The graph


def test_every_execution_writes_below_its_own_prefix(definition: dict[str, Any]) -> None:
    places = [
        body["Std:Join"]["Values"]
        for keys, body in expressions(definition)
        if keys[-1] in ("S3Uri", "S3OutputPath") and "Std:Join" in body and "s3:/" in body["Std:Join"]["Values"]
    ]
    assert len(places) == 5 + 3 + 3 + 1  # processing outputs, training outputs, checkpoints, the channel of trials
    for values in places:
        assert values[:4] == ["s3:/", "tally-artifacts", "executions", {"Get": "Execution.PipelineExecutionId"}]
    assert len({json.dumps(values) for values in places}) == len(places) - 1  # Train reads what the trials wrote


def test_the_outputs_of_the_trials_are_a_channel_of_train_without_their_checkpoints(definition: dict[str, Any]) -> None:
    train, trial = (request(step(definition, name)) for name in ("Train", "Tune"))
    channels = {item["ChannelName"]: item["DataSource"]["S3DataSource"] for item in train["InputDataConfig"]}
    assert channels["trials"]["S3DataType"] == "S3Prefix"
    assert channels["trials"]["S3Uri"] == trial["OutputDataConfig"]["S3OutputPath"]
    read, checkpoints = (
        uri["Std:Join"]["Values"] for uri in (channels["trials"]["S3Uri"], trial["CheckpointConfig"]["S3Uri"])
    )
    assert checkpoints[: len(read)] != read  # they would be gigabytes
    # It exists when Train starts: the step waits for a best trial, which is one that completed and left its outputs.
    assert "Tune" in references(train["HyperParameters"])
    assert "trials" not in json.dumps(request(step(definition, "TrainBaseline")))


def test_preprocess_is_cached_by_the_revision_of_its_input(definition: dict[str, Any]) -> None:
    preprocess = step(definition, "Preprocess")
    assert preprocess["CacheConfig"] == {"Enabled": True, "ExpireAfter": "P30D"}
    assert preprocess["Arguments"]["Environment"] == {"TALLY_INPUT_REVISION": {"Get": "Parameters.InputRevision"}}
    keyed = [preprocess["Arguments"][name] for name in ("AppSpecification", "Environment", "ProcessingInputs")]
    assert "Execution." not in json.dumps(keyed)
    assert [name for name in ("CacheConfig",) for _, other in steps(definition) if name in other] == ["CacheConfig"]


def test_the_champion_is_looked_up_only_after_training(definition: dict[str, Any]) -> None:
    assert step(definition, "FindChampion")["DependsOn"] == ["Train"]
    assert set(references(step(definition, "Evaluate")["Arguments"])) == {
        "Preprocess",
        "TrainBaseline",
        "Train",
        "FindChampion",
    }


def test_only_a_promotion_registers_and_only_automatic_approval_deploys(definition: dict[str, Any]) -> None:
    gate, approval = (step(definition, name)["Arguments"] for name in ("Gate", "Approval"))
    assert [item["Name"] for item in gate["IfSteps"]] == ["Register", "Approval"]
    assert [item["Name"] for item in gate["ElseSteps"]] == ["Refused"]
    assert gate["Conditions"][0]["RightValue"] == "promote"
    assert [item["Name"] for item in approval["IfSteps"]] == ["Deploy"]
    assert approval["ElseSteps"] == []
    assert step(definition, "Register")["Arguments"]["ModelApprovalStatus"] == "PendingManualApproval"
    assert "gate.reason" in json.dumps(step(definition, "Refused"))


def test_parameters_declare_closed_sets_and_only_the_revision_has_no_default(definition: dict[str, Any]) -> None:
    parameters = {item["Name"]: item for item in definition["Parameters"]}
    assert [name for name, item in parameters.items() if "DefaultValue" not in item] == ["InputRevision"]
    closed = {name for name, item in parameters.items() if "EnumValues" in item}
    types = {name for name in parameters if name.endswith("InstanceType")}
    assert closed == {"ApprovalMode", "GateWeighting", "LowPrecision"} | types
    used = {body["Get"] for _, body in expressions(definition) if "Get" in body}
    assert {f"Parameters.{name}" for name in parameters} <= used


# A misspelt property


@pytest.mark.parametrize(
    ("kind", "path"),
    [
        (ProcessingStep, "ProcessingOutputConfg"),
        (TrainingStep, "ModelArtifacts.S3ModelArtifact"),
        (TuningStep, "BestTrainingJob.TunedHyperparameters"),
        (RegisterStep, "ModelPackageARN"),
    ],
    ids=lambda value: value if isinstance(value, str) else value.__name__,
)
def test_a_misspelt_property_fails_when_the_definition_is_built(kind: Any, path: str) -> None:
    made = kind("Step", {})
    with pytest.raises(AttributeError):
        operator.attrgetter(path)(made.properties)


def test_an_output_that_a_step_does_not_have_is_named() -> None:
    made = ProcessingStep("Preprocess", {"ProcessingOutputConfig": {"Outputs": [{"OutputName": "train"}]}})
    with pytest.raises(KeyError, match="step 'Preprocess' has no output 'trian'; it has train"):
        made.output_uri("trian")


def test_steps_offer_the_properties_of_the_api_they_call() -> None:
    for kind in (ProcessingStep, TrainingStep, TuningStep, RegisterStep):
        assert tuple(kind.shapes) == model.JOBS[kind.step_type.value][2]


def test_the_package_carries_the_whole_summary_of_the_gate(definition: dict[str, Any]) -> None:
    metadata = step(definition, "Register")["Arguments"]["CustomerMetadataProperties"]
    assert list(metadata) == list(SUMMARY)
    assert {value["Std:JsonGet"]["Path"] for value in metadata.values()} == {f"gate.summary.{name}" for name in SUMMARY}


def test_the_price_of_an_hour_reaches_preprocess_where_there_is_one(definition: dict[str, Any]) -> None:
    def options(found: dict[str, Any]) -> list[Any]:
        given: list[Any] = step(found, "Preprocess")["Arguments"]["AppSpecification"]["ContainerArguments"]
        return given

    priced = build(example_settings(preprocess_instance_price=0.46))
    assert options(priced) == [*options(definition), "--instance-price", "0.46"]


def test_the_package_takes_its_model_card_from_the_evaluation(definition: dict[str, Any]) -> None:
    card = step(definition, "Register")["Arguments"]["ModelCard"]
    assert card["ModelCardContent"]["Std:JsonGet"]["Path"] == "model_card"
    assert card["ModelCardStatus"] == "Draft"
    options = step(definition, "Evaluate")["Arguments"]["AppSpecification"]["ContainerArguments"]
    told = {name: options[options.index(f"--training-{name}") + 1] for name in ("arn", "image", "data")}
    assert told["arn"] == {"Get": "Steps.Train.TrainingJobArn"}
    assert told["image"] == {"Get": "Steps.Train.AlgorithmSpecification.TrainingImage"}
    assert told["data"] == {"Get": "Steps.Preprocess.ProcessingOutputConfig.Outputs['train'].S3Output.S3Uri"}


def test_the_definition_stays_within_the_quotas_of_property_files(definition: dict[str, Any]) -> None:
    """As "SageMaker Pipelines Quotas" of the developer guide has them."""
    assert sum("Std:JsonGet" in body for _, body in expressions(definition)) <= 200
    assert sum(len(item.get("PropertyFiles", [])) for _, item in steps(definition)) <= 10
