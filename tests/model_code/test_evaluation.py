"""The evaluation job end to end: real split, real archives, real files out."""

import csv
import json
import os
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn import metrics as oracle

from tally.data.shards import Split
from tally.evaluation import main
from tally.evaluation.bootstrap import GroupBootstrap, interval
from tests.model_code.evaluation_jobs import ARGUMENTS, GOOD, MODELS, Job, N, make_job
from tests.model_code.tiny_model import pack, write_model


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Job:
    return make_job(tmp_path_factory.mktemp("ml"), GOOD)


@pytest.fixture(scope="module")
def document(job: Job) -> dict[str, Any]:
    return job.run()


def test_evaluation_json_has_its_documented_shape(job: Job, document: dict[str, Any]) -> None:
    assert document.keys() == {
        "version", "multiclass_classification_metrics", "models", "test", "champion_name", "gate", "groups", "sources",
        "split_check", "drift", "warnings", "model_card",
    }  # fmt: skip
    assert document["version"] == 0
    assert list(document["models"]) == [*MODELS, "majority", "median", "source"]
    split = Split.open(job.paths.processing_input("test"))
    assert document["test"] == {"sha256": split.sha256, "photos": N, "groups": N // 3}
    gate = document["gate"]
    assert gate["verdict"] == "promote"
    assert gate["test"] == "clustered"
    for key in ("reason", "b", "c", "n", "groups", "p_value", "mid_p", "alpha", "gain", "gain_interval", "power"):
        assert key in gate
    assert gate["guards"][0].keys() == {"name", "champion", "challenger", "limit", "holds", "p_value"}
    assert all(isinstance(value, str) and 0 < len(value) <= 256 for value in gate["summary"].values())
    assert gate["summary"]["test_sha256"] == split.sha256
    assert gate["summary"]["champion"] == "baseline"
    assert document["drift"]["notes"][0].startswith("no model is in service yet")


@pytest.mark.parametrize("name", MODELS)
def test_every_models_metrics_equal_sklearns(job: Job, document: dict[str, Any], name: str) -> None:
    found, true, answers = document["models"][name], job.true, job.answers[name]
    precision, recall, f1, _ = oracle.precision_recall_fscore_support(true, answers, average="macro")
    assert found["accuracy"] == pytest.approx(oracle.accuracy_score(true, answers))
    assert (found["macro_precision"], found["macro_recall"], found["macro_f1"]) == pytest.approx(
        (precision, recall, f1)
    )
    assert found["rmse"] == pytest.approx(oracle.root_mean_squared_error(true, answers))
    assert found["quadratic_kappa"] == pytest.approx(oracle.cohen_kappa_score(true, answers, weights="quadratic"))
    assert found["confusion_matrix"] == oracle.confusion_matrix(true, answers).tolist()
    for metric, (low, high) in found["intervals"].items():
        assert low <= found[metric] <= high, metric
    assert 0 < found["latency_ms"] < 500
    assert found["photos_per_second"] > 0


def test_the_contingency_table_is_that_of_the_predictions(job: Job, document: dict[str, Any]) -> None:
    true = np.array(job.true)
    old, new = (np.array(job.answers[name]) == true for name in ("champion", "challenger"))
    gate = document["gate"]
    assert (gate["b"], gate["c"]) == ((old & ~new).sum(), (~old & new).sum())
    assert gate["gain"] == pytest.approx(new.mean() - old.mean())


def test_baselines_that_look_at_no_photo_stand_beside_the_models(job: Job, document: dict[str, Any]) -> None:
    # 120 photos in groups of three: the commonest and the median count are the same whichever group is left out.
    for name, count in (("majority", max(set(job.true), key=job.true.count)), ("median", sorted(job.true)[N // 2])):
        found = document["models"][name]
        assert found["model"] == f"always {count}"
        assert found["accuracy"] == pytest.approx(job.true.count(count) / N)
        assert found["balanced"]["accuracy"] == pytest.approx(1 / 5)
        assert (found["ece"], found["latency_ms"], found["photos_per_second"]) == (None, None, None)
    assert document["models"]["source"]["accuracy"] == document["models"]["majority"]["accuracy"], "one source"
    assert document["sources"]["basis"] == "the test split without the photo's own group"


@pytest.mark.parametrize("name", MODELS)
def test_class_balanced_metrics_equal_sklearns_with_weights(job: Job, document: dict[str, Any], name: str) -> None:
    found, true, answers = document["models"][name]["balanced"], job.true, job.answers[name]
    weights = [1 / true.count(count) for count in true]
    assert found["accuracy"] == pytest.approx(oracle.balanced_accuracy_score(true, answers))
    assert found["macro_f1"] == pytest.approx(oracle.f1_score(true, answers, average="macro", sample_weight=weights))
    assert found["rmse"] == pytest.approx(oracle.root_mean_squared_error(true, answers, sample_weight=weights))
    for metric, (low, high) in found["intervals"].items():
        assert low <= found[metric] <= high, metric
    decoded = document["models"][name]["decodings"]["argmax"]
    for metric in ("accuracy", "rmse", "mae", "within_1"):
        assert decoded[metric] == pytest.approx(document["models"][name][metric])
        assert decoded["balanced"][metric] == pytest.approx(found[metric])


def test_groups_are_counted_by_who_is_right_on_more_of_their_photos(job: Job, document: dict[str, Any]) -> None:
    old, new = ([answer == true for answer, true in zip(job.answers[name], job.true, strict=True)]
                for name in ("champion", "challenger"))  # fmt: skip
    expected = {"challenger_better": 0, "champion_better": 0, "even": 0, "same": 0}
    for group in set(job.groups):
        here = [index for index, name in enumerate(job.groups) if name == group]
        difference = sum(new[index] - old[index] for index in here)
        even = "same" if all(new[index] == old[index] for index in here) else "even"
        expected["challenger_better" if difference > 0 else "champion_better" if difference < 0 else even] += 1
    assert document["groups"] == expected


def test_predictions_have_one_row_a_photo_sorted_by_id(job: Job, document: dict[str, Any]) -> None:
    with (job.output / "predictions.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["id"] for row in rows] == [f"{i:05d}" for i in range(N)]
    assert [int(row["count"]) for row in rows] == job.true
    assert [row["group"] for row in rows] == job.groups
    for name in MODELS:
        assert [int(row[f"{name}_count"]) for row in rows] == job.answers[name]
        total = sum(float(rows[0][f"{name}_p{count}"]) for count in range(1, 6))
        assert total == pytest.approx(1, abs=1e-5)


class Page(HTMLParser):
    """Checks that tags close, and keeps text and the addresses that a browser would fetch."""

    def __init__(self) -> None:
        super().__init__()
        self.text = ""
        self.fetched: list[str] = []
        self.tables = self.pictures = self.charts = 0
        self.ids: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.ids |= {value or "" for name, value in attrs if name == "id"}
        self.tables += tag == "table"
        self.pictures += tag == "img"
        self.charts += tag == "svg"
        self.fetched += [value or "" for name, value in attrs if name in ("src", "href") and value]

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_shows_the_verdict_and_fetches_nothing(job: Job, document: dict[str, Any]) -> None:
    page = Page()
    page.feed((job.output / "evaluation.html").read_text(encoding="utf-8"))
    assert "Promote" in page.text
    assert document["gate"]["reason"] in page.text
    assert (page.tables, page.charts, page.pictures) == (12, 11, 24)
    assert all(address.startswith(("data:", "#")) for address in page.fetched)
    assert {address[1:] for address in page.fetched if address.startswith("#")} <= page.ids


def test_evaluating_twice_is_identical_apart_from_latency(job: Job, document: dict[str, Any]) -> None:
    predictions = (job.output / "predictions.csv").read_bytes()

    def without_latency(found: dict[str, Any]) -> dict[str, Any]:
        found = json.loads(json.dumps(found))
        for model in found["models"].values():
            del model["latency_ms"], model["photos_per_second"]
        found["gate"]["guards"] = [guard for guard in found["gate"]["guards"] if guard["name"] != "latency_ms"]
        return found

    assert without_latency(job.run()) == without_latency(document)
    assert (job.output / "predictions.csv").read_bytes() == predictions


def test_another_seed_moves_only_the_intervals(job: Job, document: dict[str, Any]) -> None:
    found = job.run("--seed", "7")["models"]["challenger"]
    before = document["models"]["challenger"]
    assert found["accuracy"] == before["accuracy"]
    assert found["intervals"] != before["intervals"]


def test_the_same_model_as_its_own_champion_is_not_promoted(tmp_path: Path) -> None:
    job = make_job(tmp_path, GOOD)
    challenger = job.paths.processing_input("challenger") / "model.tar.gz"
    (job.paths.processing_input("champion") / "model.tar.gz").write_bytes(challenger.read_bytes())
    gate = job.run()["gate"]
    assert (gate["verdict"], gate["b"], gate["c"], gate["p_value"]) == ("reject", 0, 0, 1.0)


@pytest.mark.parametrize(("champion", "verdict"), [("baseline", "promote"), ("group/3", "reject")])
def test_recall_is_guarded_for_a_model_in_service_and_not_for_a_baseline_that_has_one_answer(
    tmp_path: Path, champion: str, verdict: str
) -> None:
    job = make_job(tmp_path, GOOD | {"challenger": 0.75}, always={"champion": 1})
    gate = job.run("--champion-name", champion)["gate"]
    assert gate["verdict"] == verdict
    assert [guard["name"] for guard in gate["guards"] if not guard["holds"]] == (
        [] if verdict == "promote" else ["recall_1"]
    )


def test_settings_reach_the_gate(tmp_path: Path) -> None:
    job = make_job(tmp_path, GOOD)
    gate = job.run("--latency-budget-ms", "0.0001")["gate"]
    assert gate["verdict"] == "reject"
    assert gate["reason"].startswith("Guard rail broken: latency_ms")


def test_counts_can_weigh_alike(tmp_path: Path) -> None:
    job = make_job(tmp_path, GOOD)
    by_counts = job.run("--weighting", "counts")
    gate, models = by_counts["gate"], by_counts["models"]
    old, new = (models[name]["balanced"]["accuracy"] for name in ("champion", "challenger"))
    assert (gate["weighting"], gate["test"]) == ("counts", "class-balanced")
    assert gate["gain"] == pytest.approx(new - old)
    page = (job.output / "evaluation.html").read_text(encoding="utf-8")
    assert "Gain, class-balanced" in page
    assert "p (class-balanced test)" in page
    assert "points of class-balanced accuracy" in page
    assert "gain in class-balanced accuracy over" in by_counts["model_card"]


def test_counts_that_weigh_alike_and_are_of_few_groups_are_a_warning(tmp_path: Path) -> None:
    warnings = make_job(tmp_path, GOOD, photos_a_group=8).run("--weighting", "counts")["warnings"]
    (rare,) = [text for text in warnings if "weighs alike" in text]
    assert rare.startswith("every count weighs alike in the gain, and 1 has 12 groups, 2 has 11 groups")
    assert "fewer than 20, so what the challenger loses there may not have been seen" in rare


def test_a_worse_challenger_is_rejected_on_the_page_too(tmp_path: Path) -> None:
    job = make_job(tmp_path, {"challenger": 0.3, "champion": 0.9, "baseline": 0.5}, photos_a_group=1)
    gate = job.run("--max-macro-f1-drop", "1", "--max-recall-drop", "1", "--max-rmse-increase", "4")["gate"]
    assert (gate["verdict"], gate["test"]) == ("reject", "exact")
    assert "The champion stays." in (job.output / "evaluation.html").read_text(encoding="utf-8")


def test_a_model_that_sees_more_than_the_photos_hold_is_a_warning(tmp_path: Path) -> None:
    job = make_job(tmp_path, GOOD)
    pack(write_model(tmp_path / "large", "green", size=64), job.paths.processing_input("champion") / "model.tar.gz")
    _, warning = job.run()["warnings"]
    assert warning.startswith("the test photos are stored with a long side of 32 pixels, the champion sees 64")


def test_a_test_set_of_few_groups_is_a_warning(tmp_path: Path) -> None:
    warnings = make_job(tmp_path, GOOD, photos_a_group=20).run()["warnings"]
    (few,) = [text for text in warnings if "groups" in text]
    assert few.startswith("the test photos are of 6 groups, fewer than 10: intervals mean little, add test photos of")


def test_help_names_every_file_that_is_written(capsys: pytest.CaptureFixture[str], job: Job) -> None:
    job.run()
    with pytest.raises(SystemExit):
        main(["--help"], job.paths)
    told = " ".join(capsys.readouterr().out.split())
    assert {path.name for path in job.output.iterdir() if path.name not in told} == set()
    assert "before a significant fall breaks the guard" in told


def test_the_job_as_a_process_prints_progress_and_the_verdict(tmp_path: Path) -> None:
    job = make_job(tmp_path, GOOD)
    model_code = Path(__file__).resolve().parents[2] / "model_code"
    environment = os.environ | {"TALLY_ML_ROOT": str(job.paths.root), "PYTHONPATH": str(model_code)}
    command = [sys.executable, "-m", "tally", "evaluate", *ARGUMENTS]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert f"progress model=challenger photos={N}/{N} photos_per_second=" in ran.stdout
    assert ran.stdout.splitlines()[-1].startswith("verdict=promote test=clustered p=")


def test_resampling_groups_widens_the_interval_of_photos_that_are_alike() -> None:
    generator = np.random.default_rng(0)
    by_group = np.repeat(generator.random(40), 25)[:, None]  # 40 groups of 25 equal photos
    alike = GroupBootstrap(np.repeat(np.arange(40), 25), seed=1).sums(by_group)[:, 0] / 1000
    alone = GroupBootstrap(np.arange(1000), seed=1).sums(by_group)[:, 0] / 1000
    assert interval(alike).standard_deviation > 3 * interval(alone).standard_deviation
    expected = by_group.std() / np.sqrt(40)
    assert interval(alike).standard_deviation == pytest.approx(expected, rel=0.1)
    assert interval(alike).low < by_group.mean() < interval(alike).high
