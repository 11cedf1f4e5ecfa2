"""What the training jobs are sent: hyperparameters, search space, weights."""

from pipeline.definition import build
from pipeline.search import Choice, SearchSpace, Span
from pipeline.settings import example_settings
from tests.pipeline.walk import request, step


def test_hyperband_stops_jobs_itself() -> None:
    config = step(build(example_settings(tuning_strategy="Hyperband")), "Tune")["Arguments"]
    tuning = config["HyperParameterTuningJobConfig"]
    assert (tuning["Strategy"], tuning["TrainingJobEarlyStoppingType"]) == ("Hyperband", "Off")
    assert tuning["StrategyConfig"]["HyperbandStrategyConfig"] == {
        "MinResource": 1,
        "MaxResource": {"Get": "Parameters.HpoEpochs"},
    }


def test_without_pretrained_weights_nothing_is_frozen_and_steps_are_plain() -> None:
    definition = build(example_settings(pretrained=False))
    for name in ("TrainBaseline", "Train"):
        assert step(definition, name)["Arguments"]["HyperParameters"]["weights"] == "none"
        assert step(definition, name)["Arguments"]["HyperParameters"]["sam"] == "0"
    assert step(definition, "TrainBaseline")["Arguments"]["HyperParameters"]["freeze"] == "none"
    ranges = step(definition, "Tune")["Arguments"]["HyperParameterTuningJobConfig"]["ParameterRanges"]
    assert {"Name": "freeze", "Values": ["none"]} in ranges["CategoricalParameterRanges"]


def test_what_is_tuned_and_trained_takes_sharpness_aware_steps_unless_told_otherwise() -> None:
    for settings, expected in ((example_settings(), "0.05"), (example_settings(hyperparameters={"sam": "0.1"}), "0.1")):
        definition = build(settings)
        tune = step(definition, "Tune")["Arguments"]["TrainingJobDefinition"]["StaticHyperParameters"]
        assert tune["sam"] == expected
        assert step(definition, "Train")["Arguments"]["HyperParameters"]["sam"] == expected
        assert step(definition, "TrainBaseline")["Arguments"]["HyperParameters"]["sam"] == "0"
    searched = build(example_settings(search_space=SearchSpace({"sam": Span(0.01, 0.2, logarithmic=True)})))
    assert "sam" not in step(searched, "Tune")["Arguments"]["TrainingJobDefinition"]["StaticHyperParameters"]
    assert "Get" in step(searched, "Train")["Arguments"]["HyperParameters"]["sam"]


def test_weights_of_ones_own_arrive_as_a_channel() -> None:
    definition = build(example_settings(weights_uri="s3://bucket/weights"))
    for name in ("TrainBaseline", "Tune", "Train"):
        channels = {item["ChannelName"]: item for item in request(step(definition, name))["InputDataConfig"]}
        assert set(channels) - {"trials"} == {"train", "validation", "weights"}
        assert channels["weights"]["DataSource"]["S3DataSource"]["S3Uri"] == "s3://bucket/weights"


def test_fixed_hyperparameters_and_a_search_space_reach_every_training_job() -> None:
    space = SearchSpace({"lr": Span(0.1, 1.0), "emd": Span(1e-9, 1.0, logarithmic=True), "batch_size": Choice((8,))})
    definition = build(example_settings(hyperparameters={"workers": "0"}, search_space=space))
    tune = step(definition, "Tune")["Arguments"]
    assert tune["TrainingJobDefinition"]["StaticHyperParameters"]["workers"] == "0"
    values = step(definition, "Train")["Arguments"]["HyperParameters"]
    assert values["workers"] == "0"
    best = "Steps.Tune.BestTrainingJob.TunedHyperParameters"
    assert {name: values[name] for name in space.names} == {name: {"Get": f"{best}['{name}']"} for name in space.names}
    ranges = tune["HyperParameterTuningJobConfig"]["ParameterRanges"]
    assert {"Name": "batch_size", "Values": ["8"]} in ranges["CategoricalParameterRanges"]
    assert [(item["MinValue"], item["ScalingType"]) for item in ranges["ContinuousParameterRanges"]] == [
        ("0.1", "Linear"),
        ("1e-09", "Logarithmic"),
    ]


def test_a_range_between_whole_numbers_tries_whole_numbers_only() -> None:
    space = SearchSpace({"lr": Span(0.1, 1), "warmup_epochs": Span(1, 20, logarithmic=True)})
    tune = step(build(example_settings(search_space=space)), "Tune")["Arguments"]
    ranges = tune["HyperParameterTuningJobConfig"]["ParameterRanges"]
    assert ranges["IntegerParameterRanges"] == [
        {"Name": "warmup_epochs", "MinValue": "1", "MaxValue": "20", "ScalingType": "Logarithmic"}
    ]
    assert [item["Name"] for item in ranges["ContinuousParameterRanges"]] == ["lr"]
