"""`pipeline.validate` accepts the definition and notices everything that can be broken in it."""

import copy
from collections import Counter
from typing import Any

import pytest
from botocore.validate import ParamValidator

from pipeline.checks import model
from pipeline.checks.expressions import Scope, is_expression
from pipeline.definition import build
from pipeline.settings import example_settings
from pipeline.validate import Problem, validate
from tests.pipeline.mutations import Mutation, mutations
from tests.pipeline.walk import at, snapshot, steps

ALL = list(mutations(snapshot()))


@pytest.mark.parametrize("mutation", ALL, ids=lambda mutation: mutation.id)
def test_every_mutation_is_caught(definition: dict[str, Any], mutation: Mutation) -> None:
    assert validate(mutation.apply(definition))


def test_the_mutations_cover_every_kind_of_mistake() -> None:
    counts = Counter(mutation.kind.partition("-at-")[0].partition("misspell-")[0] for mutation in ALL)
    assert len(ALL) > 800
    assert {"drop", "wrong-type", "not-in-enum", "bad-pattern", "too-long", "below-range", "above-range"} <= set(counts)
    assert {"misspelt", "unknown-dependency", "duplicate-name", "cycle", "dependency-into-branch"} <= set(counts)


SETTINGS = {
    "plain": {},
    "on demand, from scratch": {"spot": False, "pretrained": False},
    "in a VPC with Hyperband": {
        "subnets": ("subnet-1",),
        "security_group_ids": ("sg-1",),
        "tuning_strategy": "Hyperband",
    },
    "own weights": {"weights_uri": "s3://tally-artifacts/weights", "hyperparameters": {"workers": "4"}},
    "CDK tokens": {
        name: f"${{Token[{name}.12]}}"
        for name in ("raw_bucket", "artifacts_bucket", "kms_key", "processing_role", "champion_function_arn", "region")
    },
}


@pytest.mark.parametrize("changes", SETTINGS.values(), ids=SETTINGS.keys())
def test_the_definition_is_valid_whatever_the_settings(changes: dict[str, Any]) -> None:
    assert validate(build(example_settings(**changes))) == []


def test_botocores_own_validator_agrees(definition: dict[str, Any]) -> None:
    scope = Scope(
        {item["Name"]: item for item in definition["Parameters"]}, {step["Name"]: step for _, step in steps(definition)}
    )

    def plain(value: Any) -> Any:
        if is_expression(value):
            known = scope.resolve(value).known
            return known[0] if known else "text"
        if isinstance(value, dict):
            return {key: plain(item) for key, item in value.items()}
        return [plain(item) for item in value] if isinstance(value, list) else value

    jobs = [step for _, step in steps(definition) if step["Type"] in model.JOBS]
    assert len(jobs) == 6
    for step in jobs:
        name = {model.JOBS[step["Type"]][1]: "name"} if step["Type"] != "RegisterModel" else {}
        report = ParamValidator().validate(plain(step["Arguments"]) | name, model.request_shape(step["Type"]))
        assert not report.has_errors(), f"{step['Name']}: {report.generate_report()}"


def broken(definition: dict[str, Any], keys: tuple[str | int, ...], value: Any) -> list[str]:
    changed = copy.deepcopy(definition)
    at(changed, keys[:-1])[keys[-1]] = value
    return [str(problem) for problem in validate(changed)]


TUNE = ("Steps", 2, "Arguments")
CONFIG = (*TUNE, "HyperParameterTuningJobConfig")
LR = (*CONFIG, "ParameterRanges", "ContinuousParameterRanges", 0)
JOB = (*TUNE, "TrainingJobDefinition")
OPTIONS = ("Steps", 0, "Arguments", "AppSpecification", "ContainerArguments")
APPROVAL = ("Steps", 6, "Arguments", "IfSteps", 1, "Arguments")
RULES = [
    ((*JOB, "StoppingCondition"), {"MaxRuntimeInSeconds": 10}, "spot training needs MaxWaitTimeInSeconds"),
    ((*JOB, "EnableManagedSpotTraining"), False, "MaxWaitTimeInSeconds is for spot training only"),
    ((*CONFIG, "HyperParameterTuningJobObjective", "MetricName"), "accuracy", "'accuracy' is none of the metrics"),
    ((*CONFIG, "Strategy"), "Hyperband", "must be Off with Hyperband"),
    ((*CONFIG, "StrategyConfig"), {}, "is for Hyperband only"),
    ((*LR, "MinValue"), "1", "MinValue 1 is not below MaxValue 0.003"),
    ((*LR, "MinValue"), "0", "cannot begin at 0"),
    ((*LR, "MinValue"), "low", "must be numbers"),
    ((*CONFIG, "ParameterRanges", "CategoricalParameterRanges", 0, "Name"), "epochs", "'epochs' occurs 2 times"),
    ((*CONFIG, "ResourceLimits", "MaxParallelTrainingJobs"), 100, "100 parallel jobs are more than the 12 jobs"),
    ((*JOB, "InputDataConfig", 0, "ChannelName"), "validation", "'validation' occurs 2 times"),
    (("Steps", 5, "PropertyFiles", 0, "OutputName"), "report", "'report' is no output of the step: ['evaluation']"),
    (("Steps", 0, "Arguments", "ProcessingJobName"), "tally", "must be left out: the pipeline sets it"),
    (("Steps", 0, "RetryPolicies", 0, "MaxAttempts"), 3, "needs exactly one of MaxAttempts and ExpireAfterMin"),
    (("Steps", 0, "Type"), "Transform", "'Transform' is not one of Processing"),
    (("Parameters", 0, "DefaultValue"), 3, "3 is not of type String"),
    ((*APPROVAL, "Conditions", 0, "RightValue"), "auto", "none of the parameter's values"),
    ((*OPTIONS, 1), {"Get": "Parameters.ImageSize"}, "use .to_string()"),
    (("Steps", 0, "CacheConfig", "ExpireAfter"), "30 days", "does not match"),
]


@pytest.mark.parametrize(("keys", "value", "message"), RULES, ids=[rule[2] for rule in RULES])
def test_a_broken_rule_is_named(definition: dict[str, Any], keys: Any, value: Any, message: str) -> None:
    assert any(message in problem for problem in broken(definition, keys, value))


def test_a_problem_names_step_place_and_reason(definition: dict[str, Any]) -> None:
    changed = copy.deepcopy(definition)
    changed["Steps"][1]["Arguments"]["RoleArn"] = "arn:aws:iam::12:role/tally"
    assert validate(changed) == [
        Problem(
            "TrainBaseline",
            "Arguments.RoleArn",
            r"'arn:aws:iam::12:role/tally' does not match arn:aws[a-z\-]*:iam::\d{12}:role/?[a-zA-Z_0-9+=,.@\-_/]+",
        )
    ]


def test_a_cycle_is_spelt_out(definition: dict[str, Any]) -> None:
    problems = broken(definition, ("Steps", 0, "DependsOn"), ["Train"])
    assert "definition: Steps: wait for each other in a circle: Preprocess -> Train -> Preprocess" in problems


def test_what_is_no_definition_at_all_is_reported_and_not_raised() -> None:
    for nonsense in ({}, {"Steps": "none"}, {"Steps": [1, {}], "Parameters": [2, {}], "Version": "2020-12-01"}):
        assert validate(nonsense)
