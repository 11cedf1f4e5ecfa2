"""Rules against real training runs: each mistake is made and found, and a healthy run is left in peace."""

import math
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from tally.diagnosis import RULES, Finding, diagnose
from tally.loader import TrainingPhotos
from tests.model_code.watched import network, splits, trained


@pytest.fixture(autouse=True)
def photos_are_at_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """Photos are decoded once: these networks are faster than any loader, and no rule but one is about that."""
    read = TrainingPhotos.__getitem__
    kept: dict[tuple[int, int], Any] = {}

    def once(self: TrainingPhotos, place: tuple[int, int]) -> Any:
        key = (id(self), place[1])
        if key not in kept:
            kept[key] = read(self, place)
        return kept[key]

    monkeypatch.setattr(TrainingPhotos, "__getitem__", once)


def found(record: dict[str, Any]) -> dict[str, Finding]:
    return {finding.rule: finding for finding in diagnose(record).findings}


def test_a_healthy_run_has_no_findings_and_is_told_which_rules_looked(tmp_path: Path) -> None:
    record = trained(tmp_path, data=splits(tmp_path / "data", train=120), epochs=10)
    for epoch in record["watch"]["epochs"]:  # how long a busy machine takes for what is not the question here
        epoch["seconds"]["data"] = 0.1 * epoch["seconds"]["forward"]
    diagnosis = diagnose(record)
    assert not diagnosis.findings
    assert {name for name, _ in diagnosis.unable} == {"ranks wait unevenly", "slow exchange"}
    assert len(diagnosis.quiet) == len(RULES) - 2
    (line,) = diagnosis.lines()
    assert line.startswith(f"diagnosis: {len(RULES)} rules looked; 0 found something; {len(RULES) - 2} found nothing: ")


def test_a_rate_far_too_high_explodes(tmp_path: Path) -> None:
    plain = network(normalised=False)
    record = trained(tmp_path, plain, lr=10.0, clip_norm=0.0, optimizer="sgd")
    assert not record["finished"], "the loss is no number any more, so the job fails"
    findings = found(record)
    assert "not finite in" in findings["exploding gradients"].evidence
    assert (findings["exploding gradients"].setting, findings["exploding gradients"].value) == ("clip_norm", "1")
    assert findings["steps too large"].setting == "lr"
    assert float(findings["steps too large"].value) <= 1e-3


def test_a_rate_too_high_with_clipping_learns_nothing(tmp_path: Path) -> None:
    findings = found(trained(tmp_path, lr=10.0, epochs=3))
    assert findings["loss not decreasing"].setting == "lr"
    assert float(findings["loss not decreasing"].value) <= 1e-2
    assert "steps too large" in findings


def test_a_rate_far_too_low_learns_nothing(tmp_path: Path) -> None:
    findings = found(trained(tmp_path, lr=1e-8, epochs=3))
    assert set(findings) >= {"loss not decreasing", "steps too small"}
    assert 1e-5 < float(findings["loss not decreasing"].value) < 1e-2


def test_ten_sigmoids_in_a_row_let_no_gradient_through(tmp_path: Path) -> None:
    deep = network(*(layer for _ in range(10) for layer in (nn.Linear(16, 16), nn.Sigmoid())))
    finding = found(trained(tmp_path, deep, epochs=2))["vanishing gradients"]
    assert "below 1e-07 in" in finding.evidence
    assert finding.setting == "backbone"


def test_biases_that_kill_are_found_where_they_are(tmp_path: Path) -> None:
    dying = network(nn.Linear(16, 16), nn.ReLU())
    nn.init.constant_(dying.classifier.features[8].bias, -50.0)
    findings = found(trained(tmp_path, dying, epochs=2))
    assert findings["dead units"].evidence.startswith("100% of the units of features.9 gave zero")
    assert (findings["dead units"].setting, findings["dead units"].value) == ("weights", "pretrained")
    assert "got no gradient in the first step" in findings["poor initialisation"].evidence


def test_units_that_die_in_training_blame_the_rate(tmp_path: Path) -> None:
    record = trained(tmp_path, network(normalised=False), lr=10.0, epochs=2)
    assert found(record)["dead units"].setting == "lr"


def test_weights_that_saturate_are_found(tmp_path: Path) -> None:
    stiff = network(nn.Linear(16, 16), nn.Tanh())
    nn.init.normal_(stiff.classifier.features[8].weight, std=1000.0)
    finding = found(trained(tmp_path, stiff, epochs=2))["saturated units"]
    assert "features.9 are stuck at a limit" in finding.evidence
    assert finding.setting == "weight_decay"


def test_a_head_that_is_sure_before_it_has_learnt_is_found(tmp_path: Path) -> None:
    sure = network()
    nn.init.normal_(sure.classifier.fc.weight, std=20.0)
    finding = found(trained(tmp_path, sure, epochs=1))["poor initialisation"]
    assert f"guessing costs {math.log(5):.3g}" in finding.evidence


def test_batch_statistics_of_two_photos_are_found(tmp_path: Path) -> None:
    data = splits(tmp_path / "data", train=40)
    finding = found(trained(tmp_path, data=data, batch_size=2, epochs=1))["batch too small"]
    assert finding.evidence.startswith("batch normalisation has statistics of 2 photos")
    assert int(finding.value) >= 8


def test_a_loader_that_is_slow_starves_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = TrainingPhotos.__getitem__

    def slow(self: TrainingPhotos, place: tuple[int, int]) -> Any:
        time.sleep(0.05)  # a disk far away
        return read(self, place)

    monkeypatch.setattr(TrainingPhotos, "__getitem__", slow)
    finding = found(trained(tmp_path, data=splits(tmp_path / "data", train=60), batch_size=5, epochs=1))[
        "starved by input"
    ]
    assert finding.evidence.startswith("the CPUs that train waited for photos in ")
    assert finding.setting in ("workers", "image_size")


def test_few_photos_of_a_count_and_nothing_done_about_it(tmp_path: Path) -> None:
    train, validation = splits(tmp_path / "data", train=200)
    rare = [photo for photo in train.photos if photo.count != 3 or int(photo.id[-3:]) % 50 == 2]
    object.__setattr__(train, "photos", tuple(rare))
    record = trained(tmp_path, data=(train, validation))
    findings = found(record)
    assert "has 4 photos of them and 40 of the most frequent count" in findings["class imbalance"].evidence
    assert (findings["class imbalance"].setting, findings["class imbalance"].value) == ("sampling", "balanced")
    record["settings"]["sampling"] = "balanced"
    assert "class imbalance" not in found(record), "something is done about it"


@pytest.mark.e2e
def test_a_network_that_learns_photos_by_heart_overfits(tmp_path: Path) -> None:
    torch.manual_seed(0)
    rich = network(nn.Linear(16, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU(), features=256)
    train, validation = splits(tmp_path / "data", train=25)
    wrong = [replace(photo, count=1 + photo.count % 5) if n % 3 == 0 else photo for n, photo in enumerate(train.photos)]
    object.__setattr__(train, "photos", tuple(wrong))  # labels that only learning by heart gets right
    findings = found(trained(tmp_path, rich, data=(train, validation), batch_size=25, epochs=60, flip=0.0))
    assert "validation loss rose from" in findings["overfitting"].evidence
    assert findings["overfitting"].setting == "crop_scale"


def test_a_train_split_of_one_count_gives_that_answer_for_all(tmp_path: Path) -> None:
    data = splits(tmp_path / "data", train=300, counts=(4,))
    findings = found(trained(tmp_path, data=data))
    assert findings["one answer for all"].evidence.startswith("100% of validation photos are counted as 4")
    assert findings["class imbalance"].evidence == "no training photo shows 1, 2, 3, 5 objects"
