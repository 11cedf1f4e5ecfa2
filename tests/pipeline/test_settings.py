"""Wrong settings are refused with the key, the value and what is allowed."""

from typing import Any

import pytest

from pipeline import build
from pipeline.parameters import DEFAULT_BATCH_SIZE
from pipeline.search import FINE_TUNING, FROM_SCRATCH, Choice, SearchSpace, Span
from pipeline.settings import Limits, example_settings

WRONG: list[tuple[dict[str, Any], str]] = [
    ({"kms_key": ""}, "pipeline setting 'kms_key' is empty"),
    ({"name": "a b"}, "pipeline setting 'name' is 'a b'; it must be letters, digits and inner hyphens"),
    (
        {"champion_function_arn": "arn:aws:lambda:us-east-1:123456789012:function:champion"},
        "'champion_function_arn' lies in us-east-1, the pipeline in eu-central-1; a pipeline reaches",
    ),
    ({"subnets": ("subnet-1",)}, "give both or neither"),
    ({"security_group_ids": ("sg-1",)}, "give both or neither"),
    ({"tuning_strategy": "Grid"}, "'tuning_strategy' is 'Grid'; it must be one of"),
    ({"weights_uri": "s3://b/w", "pretrained": False}, "'weights_uri' is set but 'pretrained' is false"),
    ({"hyperparameters": {"lr": "1", "epochs": "2"}}, r"sets \['epochs', 'lr'\], which the pipeline itself decides"),
]


@pytest.mark.parametrize(("changes", "message"), WRONG, ids=[message for _, message in WRONG])
def test_a_wrong_setting_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        example_settings(**changes)


def test_limits_are_at_least_one() -> None:
    with pytest.raises(ValueError, match="limit 'train_hours' is 0; it must be at least 1"):
        Limits(train_hours=0)


@pytest.mark.parametrize(
    ("ranges", "message"),
    [
        ({"lr": Span(0.0, 1.0, logarithmic=True)}, "'lr' is .*; a logarithmic range needs 0 < low < high"),
        ({"emd": Span(1.0, 1.0)}, "'emd' is .*; a range needs low < high"),
        ({"freeze": Choice(())}, "'freeze' has 0 choices"),
        ({"batch_size": Choice(tuple(range(31)))}, "'batch_size' has 31 choices"),
        ({"batch_size": Span(32, 128)}, "'batch_size' is a range; it must be choices: ranks have to divide each"),
        ({}, "has 0 hyperparameters; it must have 1 to 30"),
    ],
    ids=[
        "zero in a logarithmic range",
        "an empty range",
        "no choice",
        "too many choices",
        "batches",
        "nothing to search",
    ],
)
def test_a_search_space_that_sagemaker_would_refuse_is_refused(ranges: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SearchSpace(ranges)


def test_what_is_searched_cannot_be_fixed_as_well() -> None:
    space = SearchSpace({"emd": Span(0.0, 1.0)})
    example_settings(hyperparameters={"lr": "1"}, search_space=space)
    with pytest.raises(ValueError, match=r"sets \['emd'\], which the pipeline itself decides"):
        example_settings(hyperparameters={"emd": "1"}, search_space=space)


def test_the_search_space_depends_on_pretrained_weights() -> None:
    assert example_settings().space is FINE_TUNING
    assert example_settings(pretrained=False).space is FROM_SCRATCH


WRONG_PARAMETERS: list[tuple[dict[str, Any], str]] = [
    ({"Epoch": 3}, r"'parameters' sets 'Epoch', which has no default; there are: InputPrefix, Backbone, "),
    ({"InputRevision": "a"}, "sets 'InputRevision', which has no default"),  # the same for every run: a stale cache
    ({"Epochs": "3"}, "Epochs is '3'; it must be a whole number from 1 to 10000"),
    ({"Epochs": 2.5}, "Epochs is 2.5; it must be a whole number"),
    ({"Epochs": 0}, "Epochs is 0; it must be a whole number from 1 to 10000"),
    ({"Seed": True}, "Seed is True; it must be a whole number"),
    ({"GateAlpha": "low"}, "GateAlpha is 'low'; it must be a number above 0 and below 1"),
    ({"GateAlpha": 2}, "GateAlpha is 2; it must be a number above 0 and below 1"),
    ({"LatencyBudgetMs": float("inf")}, "LatencyBudgetMs is inf; it must be a number above 0"),
    ({"Backbone": 18}, "Backbone is 18; it must be one of the 80 that pipeline/parameters.py lists, such as resnet18"),
    ({"Backbone": "resnet19"}, "Backbone is 'resnet19'; .*; did you mean resnet18?"),
    ({"TrainInstanceType": "ml.p3.2xlarge"}, r"is 'ml.p3.2xlarge'; it must be one of: ml\.g4dn"),
    ({"Backbone": "vit_b_16"}, "ImageSize is 160; with Backbone vit_b_16 it must be 224"),
    ({"HpoJobs": 2}, "HpoParallelism is 3; it must be at most HpoJobs, which is 2"),
    ({"TrainInstanceCount": 3}, "TrainInstanceCount is 3: 3 ranks cannot share a batch of 32 photos"),
    (
        {"TrainInstanceType": "ml.p4d.24xlarge", "TrainInstanceCount": 8},
        "TrainInstanceCount is 8 with 8 GPUs each: 64 ranks cannot share a batch of 32",
    ),
    ({"ApprovalMode": "never"}, "it must be one of: automatic, manual"),
]


@pytest.mark.parametrize(("parameters", "message"), WRONG_PARAMETERS, ids=[message for _, message in WRONG_PARAMETERS])
def test_a_wrong_default_of_a_parameter_is_refused(parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build(example_settings(parameters=parameters))


SEARCHED_ELSEWHERE = SearchSpace({"lr": Span(1e-4, 1e-2)})


@pytest.mark.parametrize(
    ("fixed", "size"), [({}, DEFAULT_BATCH_SIZE), ({"batch_size": "16"}, 16)], ids=["default", "fixed"]
)
def test_ranks_share_the_batch_that_is_not_searched(fixed: dict[str, str], size: int) -> None:
    message = f"3 ranks cannot share a batch of {size} photos, which the search leaves as it is; .* must divide {size}"
    with pytest.raises(ValueError, match=message):
        build(
            example_settings(
                search_space=SEARCHED_ELSEWHERE, hyperparameters=fixed, parameters={"TrainInstanceCount": 3}
            )
        )


def test_a_batch_that_is_fixed_fits_as_many_ranks_as_divide_it() -> None:
    fixed, parameters = {"batch_size": "48"}, {"TrainInstanceCount": 3}
    build(example_settings(search_space=SEARCHED_ELSEWHERE, hyperparameters=fixed, parameters=parameters))


def test_defaults_of_parameters_replace_those_of_the_pipeline_and_nothing_else(definition: dict[str, Any]) -> None:
    changes = {"Epochs": 3, "MaxRecallDrop": 1, "Backbone": "resnet50", "EvaluateInstanceType": "ml.c5.2xlarge"}
    changed = build(example_settings(parameters=changes))
    before, after = (
        {item["Name"]: item.get("DefaultValue") for item in each["Parameters"]} for each in (definition, changed)
    )
    assert after == before | {**changes, "MaxRecallDrop": 1.0}
    assert isinstance(after["MaxRecallDrop"], float)  # SageMaker refuses a whole number as the default of a Float
    assert changed["Steps"] == definition["Steps"]
