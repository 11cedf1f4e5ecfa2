"""The definition and the containers' code agree: options, hyperparameters, metrics, and what the gate writes."""

import re
from collections.abc import Callable
from dataclasses import fields
from typing import Any

import pytest

from pipeline.definition import SUMMARY
from pipeline.metrics import METRICS, OBJECTIVE, metric_definitions
from pipeline.parameters import BACKBONES, DEFAULT_BATCH_SIZE, OF_ONE_SIZE, THEIR_SIZE, table
from pipeline.search import FINE_TUNING, FROM_SCRATCH, Choice
from tally.data.preprocess import PreprocessSettings
from tally.errors import TallyError
from tally.gate import GateSettings, decide
from tally.network import build_network, check_size
from tally.settings import FREEZE, LOW_PRECISION, TrainingSettings
from tests.pipeline.walk import steps

# As `tally.trainer` prints it; the numbers are in every form that `:.6g` has.
LINE = (
    "epoch=3 train_loss=1.2345 train_accuracy=0.4321 train_macro_f1=0.41 train_rmse=1.1 validation_loss=1.3e-05 "
    "validation_accuracy=0.44 validation_macro_f1=0.4 validation_rmse=1.05 photos_per_second=210.5 lr=1e-05 "
    "seconds=+12 best_validation_accuracy=0.4511"
)


def arguments(definition: dict[str, Any], name: str) -> dict[str, Any]:
    return next(step["Arguments"] for _, step in steps(definition) if step["Name"] == name)


def test_every_number_of_an_epoch_line_is_a_metric_and_is_read_exactly() -> None:
    printed = dict(part.split("=") for part in LINE.split())
    read = {item["Name"]: re.findall(item["Regex"], LINE) for item in metric_definitions()}
    assert read == {name: [value] for name, value in printed.items() if name != "epoch"}


def test_the_epoch_line_of_the_trainer_has_these_metrics() -> None:
    from tally.outcome import EpochResult

    names = [field.name for field in fields(EpochResult)]
    line = EpochResult(**dict.fromkeys(names, 0.125)).line()
    for item in metric_definitions():
        assert re.findall(item["Regex"], line) == ["0.125"], item["Name"]
    assert ["epoch", *METRICS] == names


def test_tuning_maximises_the_best_validation_accuracy(definition: dict[str, Any]) -> None:
    config = arguments(definition, "Tune")["HyperParameterTuningJobConfig"]
    assert config["HyperParameterTuningJobObjective"] == {"Type": "Maximize", "MetricName": OBJECTIVE}
    assert OBJECTIVE == "best_validation_accuracy"


def test_every_hyperparameter_is_one_that_training_knows(definition: dict[str, Any]) -> None:
    known = {field.name for field in fields(TrainingSettings)}
    tune = arguments(definition, "Tune")
    searched = {
        item["Name"] for items in tune["HyperParameterTuningJobConfig"]["ParameterRanges"].values() for item in items
    }
    static = set(tune["TrainingJobDefinition"]["StaticHyperParameters"])
    train = set(arguments(definition, "Train")["HyperParameters"])
    assert train == searched | static | {"members", "low_precision", "accuracy_margin"}, (
        "trials train one network in fp32"
    )
    assert train | set(arguments(definition, "TrainBaseline")["HyperParameters"]) <= known


@pytest.mark.parametrize("space", [FINE_TUNING, FROM_SCRATCH], ids=["fine tuning", "from scratch"])
def test_training_accepts_every_end_of_the_search_space(space: Any) -> None:
    for name, item in space.ranges.items():
        for text in item.ends():
            read = getattr(TrainingSettings.from_hyperparameters({name: text}), name)
            assert type(read)(text) == read


def test_the_batch_that_ranks_share_by_default_is_the_trainers() -> None:
    assert TrainingSettings().batch_size == DEFAULT_BATCH_SIZE


def test_the_search_can_choose_every_freezing_but_that_of_the_baseline() -> None:
    """The measured recipe freezes early layers: a search without that choice could never come to it."""
    choices = FINE_TUNING.ranges["freeze"]
    assert isinstance(choices, Choice)
    assert sorted(choices.values) == sorted(set(FREEZE) - {"backbone"})


def test_the_search_can_choose_the_trainers_own_defaults() -> None:
    """What docs/experiments.md measured must be able to come out of the pipeline."""
    for name, item in FINE_TUNING.ranges.items():
        default = getattr(TrainingSettings(), name)
        assert default in item.values if isinstance(item, Choice) else item.low <= default <= item.high, name


def test_the_gate_parameters_default_to_the_gates_own_values(definition: dict[str, Any]) -> None:
    defaults = {item["Name"]: item.get("DefaultValue") for item in definition["Parameters"]}
    gate = GateSettings()
    assert {
        "weighting": defaults["GateWeighting"],
        "alpha": defaults["GateAlpha"],
        "gain_that_matters": defaults["GainThatMatters"],
        "max_macro_f1_drop": defaults["MaxMacroF1Drop"],
        "max_recall_drop": defaults["MaxRecallDrop"],
        "max_rmse_increase": defaults["MaxRmseIncrease"],
        "latency_budget_ms": defaults["LatencyBudgetMs"],
    }.items() <= vars(gate).items()


GATE = {
    "GateAlpha": "alpha",
    "GainThatMatters": "gain_that_matters",
    "MaxMacroF1Drop": "max_macro_f1_drop",
    "MaxRecallDrop": "max_recall_drop",
    "MaxRmseIncrease": "max_rmse_increase",
    "LatencyBudgetMs": "latency_budget_ms",
}
WHERE: list[tuple[str, str | float]] = [
    (name, value) for name in GATE for value in (-1e-9, 0.0, 1e-9, 0.5, 1.0, 1 + 1e-9, 4.0, 4 + 1e-9, 1e9)
]
GATE["GateWeighting"] = "weighting"
WHERE += [("GateWeighting", value) for value in ("photos", "counts", "groups", "")]


@pytest.mark.parametrize(("name", "value"), WHERE, ids=lambda value: str(value))
def test_a_gate_parameter_is_refused_exactly_where_the_gate_would_refuse_it(name: str, value: str | float) -> None:
    def accepts(take: Callable[[], object], error: type[Exception]) -> bool:
        try:
            take()
        except error:
            return False
        return True

    by_gate = accepts(lambda: GateSettings(**{GATE[name]: value}), TallyError)  # type: ignore[arg-type]
    assert accepts(lambda: table()[name].check(value), ValueError) == by_gate


@pytest.mark.parametrize("name", ["ImageSize", "Epochs", "Seed"])
def test_training_accepts_the_ends_of_a_parameter_and_nothing_beyond(name: str) -> None:
    parameter, key = table()[name], "image_size" if name == "ImageSize" else name.lower()
    for value in (parameter.low, parameter.high):
        TrainingSettings.from_hyperparameters({key: str(int(value))})
    for value in (parameter.low - 1, parameter.high + 1):
        with pytest.raises(TallyError, match=key):
            TrainingSettings.from_hyperparameters({key: str(int(value))})


def test_training_takes_the_low_precision_that_a_run_may_ask_for_and_no_other() -> None:
    parameters = table()
    assert parameters["LowPrecision"].choices == LOW_PRECISION
    margin = parameters["AccuracyMargin"]
    assert margin.default == TrainingSettings().accuracy_margin
    for value in (margin.low, margin.high):
        TrainingSettings.from_hyperparameters({"accuracy_margin": str(value)})
    for value in (margin.low / 2, margin.high * 2):
        with pytest.raises(TallyError, match="accuracy_margin"):
            TrainingSettings.from_hyperparameters({"accuracy_margin": str(value)})


def test_the_backbones_are_those_of_torchvision() -> None:
    from torchvision import models

    assert sorted(BACKBONES) == models.list_models(module=models)


@pytest.mark.parametrize("name", [*OF_ONE_SIZE, "inception_v3", "swin_t", "mobilenet_v2", "resnet18"])
def test_backbones_of_one_size_are_those_that_refuse_the_default(name: str) -> None:
    import torch

    with torch.device("meta"):  # shapes without numbers
        network = build_network(name, dropout=0)
        if name in OF_ONE_SIZE:
            check_size(network, THEIR_SIZE)
            with pytest.raises(TallyError, match=name):
                check_size(network, TrainingSettings().image_size)
        else:
            check_size(network, TrainingSettings().image_size)


def test_the_default_size_is_the_same_everywhere() -> None:
    default = table()["ImageSize"].default
    assert default == TrainingSettings().image_size == PreprocessSettings().image_size


def test_what_the_definition_reads_from_the_verdict_is_there() -> None:
    verdict = decide([0, 1], [0, 0], [0, 1], ["a", "b"], latency_ms=(1.0, 1.0), settings=GateSettings())
    assert {"verdict", "reason"} <= set(verdict.as_dict())
    added_by_the_evaluation = {"test_sha256", "champion", "challenger_model"}
    assert set(SUMMARY) - added_by_the_evaluation == set(verdict.summary())
