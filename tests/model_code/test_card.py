"""The model card: SageMaker's schema as it is published, and the figures of this model in it."""

import json
import shutil
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tally.evaluation.card import Jobs, card_text, read_training
from tests.model_code.evaluation_jobs import GOOD, Job, make_job
from tests.model_code.tiny_model import description, pack, write_model

SCHEMA = json.loads((Path(__file__).parent / "fixtures" / "model_package_model_card.schema.json").read_text())
VALIDATOR = jsonschema.Draft7Validator(SCHEMA)
ARN = "arn:aws:sagemaker:eu-west-1:123456789012"
TOLD = {
    "training-arn": f"{ARN}:training-job/train-1",
    "training-image": "123456789012.dkr.ecr.eu-west-1.amazonaws.com/tally:train",
    "training-data": "s3://artifacts/executions/e1/Preprocess/train",
}
TRAINED = description() | {
    "git_commit": "abc123",
    "settings": {"lr": 0.001, "softening": 1.5, "emd": 0.0, "weights": "", "freeze": "early"},
    "photos": {"train": 900, "validation": 100},
    "calibration": {
        "temperatures": [1.5, 1.25, 1, 1, 1],
        "biases": [1.0, 0, 0, 0, 0],
        "temperature": 1.25,
        "ece_before": 0.11,
        "ece_tempered": 0.07,
        "ece_after": 0.03,
    },
    "train_sha256": "a" * 64,
    "validation_sha256": "b" * 64,
    "counts_by_source": {"abid": [100, 100, 10, 100, 100], "new": [5, 5, 190, 5, 5]},
    "versions": {"tally": "1.0"},
    "training_job": "train-1",
    "precision": "int8",
    "low_precision": {"serves": "int8", "reason": "2.50 times as fast, accuracy -0.21 points at the least"},
}
RECORD = {
    "best_epoch": 1,
    "history": [{"validation_accuracy": 0.25, "validation_loss": None}, {"validation_accuracy": 0.5}],
}


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Job:
    """An evaluation whose challenger has a full model.json and training.json, as SageMaker lays it out."""
    root = tmp_path_factory.mktemp("ml")
    made = make_job(root, GOOD)
    model = write_model(root / "trained", "red")
    (model / "model.json").write_text(json.dumps(TRAINED))
    shutil.move(model / "model.onnx", model / "model.int8.onnx")
    shutil.copy(write_model(root / "other", "blue") / "model.onnx", model)  # must not be judged
    (model / "training.json").write_text(json.dumps(RECORD))
    pack(model, made.paths.processing_input("challenger") / "model.tar.gz")
    inputs = [
        {"InputName": name, "S3Input": {"S3Uri": f"s3://artifacts/executions/e1/{name}"}}
        for name in ("test", "challenger", "champion", "baseline")
    ]
    made.paths.processing_config.mkdir(parents=True)
    config = {"ProcessingJobArn": f"{ARN}:processing-job/evaluate-1", "ProcessingInputs": inputs}
    (made.paths.processing_config / "processingjobconfig.json").write_text(json.dumps(config))
    return made


@pytest.fixture(scope="module")
def document(job: Job) -> dict[str, Any]:
    return job.run(*(part for name, value in TOLD.items() for part in (f"--{name}", value)))


@pytest.fixture(scope="module")
def card(document: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(document["model_card"])
    return found


def metrics(group: dict[str, Any]) -> dict[str, Any]:
    return {item["name"]: item for item in group["metric_data"]}


def test_the_fixture_is_a_schema_that_refuses_something() -> None:
    jsonschema.Draft7Validator.check_schema(SCHEMA)
    assert not VALIDATOR.is_valid({"model_overview": {"model_id": "x"}})
    assert not VALIDATOR.is_valid({"intended_uses": {"risk_rating": "None"}})
    assert not VALIDATOR.is_valid({"business_details": {"business_problem": "x" * 2049}})
    assert not VALIDATOR.is_valid({"evaluation_details": [{"name": "x", "metric_groups": [{"name": "y"}]}]})
    metric = {"name": "a", "type": "bar_chart", "value": []}
    group = {"name": "y", "metric_data": [metric]}
    assert not VALIDATOR.is_valid({"evaluation_details": [{"name": "x", "metric_groups": [group]}]})
    metric["value"] = [1.0]
    assert VALIDATOR.is_valid({"evaluation_details": [{"name": "x", "metric_groups": [group]}]})


def test_the_card_is_valid_one_line_of_ascii_and_far_below_the_limits(document: dict[str, Any], card: Any) -> None:
    assert [error.message for error in VALIDATOR.iter_errors(card)] == []
    text = document["model_card"]
    assert text.isascii()
    assert "\n" not in text
    assert len(text) < 20_000  # of 100,000
    assert len(json.dumps(document)) < 1_000_000  # of the 2 MB of a property file
    # The page has `function` beside `properties`, where a validator does not look: held against its definition here.
    objective = card["training_details"]["objective_function"]
    assert set(objective) == {"function", "notes"}
    jsonschema.validate(objective["function"], SCHEMA["definitions"]["objective_function"])
    assert len(objective["notes"]) <= 1024


def test_the_same_card_lies_beside_the_evaluation_for_people(job: Job, card: Any) -> None:
    assert json.loads((job.output / "model_card.json").read_text()) == card


def test_training_details_are_those_of_this_model(card: dict[str, Any]) -> None:
    details = card["training_details"]["training_job_details"]
    assert details["training_arn"] == TOLD["training-arn"]
    assert details["training_environment"] == {"container_image": [TOLD["training-image"]]}
    assert details["training_datasets"] == [TOLD["training-data"]]
    values = {item["name"]: item["value"] for item in details["user_provided_hyper_parameters"]}
    assert values == {"lr": "0.001", "softening": "1.5", "emd": "0.0", "freeze": "early"}  # an empty one is refused
    found = {item["name"]: item["value"] for item in details["user_provided_training_metrics"]}
    assert found["best epoch: validation_accuracy"] == 0.5
    assert (found["calibration: ece_tempered"], found["calibration: ece_after"]) == (0.07, 0.03)
    observations = card["training_details"]["training_observations"]
    assert "900 training and 100 validation photos" in observations
    assert "scaled by a temperature and a bias" in observations
    assert card["model_overview"] == {
        "model_creator": "Tally, commit abc123",
        "model_artifact": ["s3://artifacts/executions/e1/challenger"],
    }


def test_evaluation_details_are_the_figures_of_the_evaluation(card: Any, document: dict[str, Any]) -> None:
    by_name = {item["name"].partition(":")[0]: item for item in card["evaluation_details"]}
    assert by_name.keys() == document["models"].keys()  # every baseline too
    challenger, model = by_name["challenger"], document["models"]["challenger"]
    assert challenger["evaluation_job_arn"] == f"{ARN}:processing-job/evaluate-1"
    assert challenger["datasets"] == ["s3://artifacts/executions/e1/test"]
    assert challenger["evaluation_observation"].startswith(f"Verdict: promote. {document['gate']['reason']}")
    assert challenger["metadata"]["p_value"] == document["gate"]["summary"]["p_value"]
    groups = {group["name"]: metrics(group) for group in challenger["metric_groups"]}
    whole = groups["All test photos"]
    for name, key in {
        "Accuracy": "accuracy",
        "Class-balanced accuracy (mean recall)": "macro_recall",
        "Macro-F1": "macro_f1",
        "RMSE, objects": "rmse",
        "Within 1 object": "within_1",
        "Expected calibration error": "ece",
    }.items():
        low, high = model["intervals"][key]
        assert whole[name]["value"] == pytest.approx(model[key], rel=1e-5)
        assert whole[name]["notes"] == f"95% interval {low:.4f} to {high:.4f}, bootstrap over groups"
    assert groups["By count"]["Recall by count"]["value"] == pytest.approx(
        [model["per_class"][str(count)]["recall"] for count in range(1, 6)], rel=1e-5
    )
    assert groups["By count"]["Confusion matrix: rows true, columns predicted"]["value"] == model["confusion_matrix"]
    assert groups["Gate"]["verdict"]["value"] == "promote"
    assert groups["Gate"]["p_value"]["value"] == pytest.approx(document["gate"]["p_value"], rel=1e-5)
    baseline = metrics(by_name["majority"]["metric_groups"][0])
    assert baseline["Accuracy"]["value"] == pytest.approx(document["models"]["majority"]["accuracy"], rel=1e-5)
    assert "Expected calibration error" not in baseline


def test_the_card_says_what_the_model_computes_in_and_why(card: Any, document: dict[str, Any]) -> None:
    told = "int8: 2.50 times as fast, accuracy -0.21 points at the least"
    assert card["additional_information"]["custom_details"]["precision"] == told
    older = json.loads(card_text(document, description(), {}, Jobs()))
    assert older["additional_information"]["custom_details"]["precision"] == "fp32"


def test_caveats_name_the_weakest_count_and_one_that_its_source_gives_away(card: Any, document: dict[str, Any]) -> None:
    text = card["additional_information"]["caveats_and_recommendations"]
    rows = document["models"]["challenger"]["per_class"].values()
    worst = min(rows, key=lambda row: row["recall"])
    assert text.startswith(
        f"Weakest on {worst['count']} objects: recall {worst['recall']:.2f} on {worst['photos']} test"
    )
    assert "Of the 200 training photos with 3 objects 190 are from one source (new), which has 34% of all" in text
    assert "with 1 objects" not in text


def test_one_large_source_gives_no_count_away(document: dict[str, Any]) -> None:
    told = TRAINED | {"counts_by_source": {"large": [95, 95, 100, 95, 95], "small": [5, 5, 0, 5, 5]}}
    card = json.loads(card_text(document, told, RECORD, Jobs()))
    assert "from one source" not in card["additional_information"]["caveats_and_recommendations"]


def test_the_card_of_an_ensemble_tells_the_figures_of_the_ensemble(document: dict[str, Any]) -> None:
    judged = {"accuracy": 0.55, "loss": 1.2, "macro_f1": 0.5, "rmse": 1.0}
    ensemble = {"together": judged, "members": [judged | {"accuracy": 0.5}] * 3}
    card = json.loads(card_text(document, TRAINED, RECORD | {"ensemble": ensemble}, Jobs()))
    assert [error.message for error in VALIDATOR.iter_errors(card)] == []
    details = card["training_details"]
    assert "An ensemble of 3 networks, the mean of their logits;" in details["training_observations"]
    found = {item["name"]: item["value"] for item in details["training_job_details"]["user_provided_training_metrics"]}
    assert found["ensemble: validation_accuracy"] == 0.55
    assert not [name for name in found if name.startswith("best epoch")]


def test_the_card_says_how_photos_were_drawn_and_steps_taken(document: dict[str, Any]) -> None:
    told = TRAINED | {"settings": {**TRAINED["settings"], "sampling": "balanced", "mixup": 0.4, "sam": 0.05}}
    notes = json.loads(card_text(document, told, RECORD, Jobs()))["training_details"]["objective_function"]["notes"]
    assert "Every count came equally often. Every second batch was of photos laid over each other" in notes
    assert "Answers are turned back from softened labels into probabilities of counts." in notes
    assert "Steps were sharpness-aware (SAM, radius 0.05)." in notes


def test_an_evaluation_by_hand_of_a_bare_model_has_a_smaller_card_of_the_same_schema(tmp_path: Path) -> None:
    card = json.loads(make_job(tmp_path, GOOD).run()["model_card"])
    assert list(VALIDATOR.iter_errors(card)) == []
    assert "model_artifact" not in card["model_overview"]
    assert "training_arn" not in card["training_details"]["training_job_details"]
    assert card["evaluation_details"][0]["datasets"] == []


def test_whatever_a_model_is_called_the_card_keeps_to_the_schema(document: dict[str, Any]) -> None:
    long = 'a "quoted" – name\\' * 400
    grown = json.loads(json.dumps(document))
    grown["models"]["challenger"]["model"] = grown["champion_name"] = grown["gate"]["reason"] = long
    grown["warnings"] = [long] * 9
    grown["gate"]["summary"] = dict.fromkeys(grown["gate"]["summary"], long)
    row = document["sources"]["rows"][0]
    grown["sources"]["rows"] = [row | {"source": f"{long}{number}"} for number in range(300)]
    told = TRAINED | {
        "settings": {f"setting_{number}": long for number in range(300)},
        "counts_by_source": {long: [9] * 5, "other": [0] * 5},
        "versions": {long: long},
    }
    text = card_text(grown, told, {"best_epoch": -1, "history": []}, Jobs(training_data="s3://b/" + "k" * 200))
    card = json.loads(text)
    assert list(VALIDATOR.iter_errors(card)) == []
    assert len(card["training_details"]["training_job_details"]["user_provided_hyper_parameters"]) == 100
    assert text.isascii()
    assert len(text) <= 100_000


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"not an archive"])
def test_a_model_without_a_readable_record_of_its_training_still_gets_a_card(tmp_path: Path, content: bytes) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "model.json").write_text("{}")
    (folder / "training.json").write_bytes(content)
    archive = tmp_path / "model.tar.gz"
    if content == b"not an archive":
        archive.write_bytes(content)
    elif content:
        pack(folder, archive)
    assert read_training(archive) == {}
