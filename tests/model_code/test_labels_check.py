"""Labels that were made wrong on purpose must come first in the list for people."""

import csv
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from local.sample_data import generate
from pipeline.metrics import metric_definitions
from tally.data.photos import check_photo
from tally.data.shard_writer import Prepared, write_split
from tally.data.shards import Split
from tally.data.sources import RejectedError, read_source
from tally.labels import COUNTS
from tally.labels_check import (
    Suspects,
    check_labels,
    frozen_features,
    out_of_fold,
    reason_to_skip,
    suspects,
    suspicion,
)
from tally.labels_report import write_suspects
from tally.network import build_network, freeze, load_pretrained
from tally.paths import MlPaths
from tally.settings import TrainingSettings
from tally.training import list_labels
from tests.model_code.jobs import Job, configure, make_channels, prepared
from tests.model_code.test_network import cases
from tests.shared import shared_dir

SETTINGS = TrainingSettings(backbone="mobilenet_v2", image_size=128, freeze="backbone", weights="pretrained", workers=0)


def clusters(photos: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features [n, 16] that tell most labels, labels, and groups of two photos that are nearly the same."""
    random = np.random.default_rng(seed)
    true = np.repeat(random.integers(0, 5, photos // 2), 2)
    features = np.eye(5, 16)[true] * 3 + np.repeat(random.normal(size=(photos // 2, 16)), 2, axis=0)
    return features.astype(np.float32), true, np.repeat(np.arange(photos // 2), 2)


def flipped(true: np.ndarray, share: float, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Labels of which `share` are wrong, and which ones."""
    random = np.random.default_rng(seed)
    wrong = random.random(len(true)) < share
    return np.where(wrong, (true + random.integers(1, 5, len(true))) % 5, true), wrong


def test_changed_labels_come_first() -> None:
    features, true, groups = clusters(600)
    labels, wrong = flipped(true, 0.05)
    found = suspects(out_of_fold(features, labels, groups, 0), labels)
    assert wrong[found.order[:20]].mean() > 0.5, "base rate is 0.05"
    assert found.accuracy > 0.8
    assert found.accuracy <= found.within_one <= 1
    assert found.majority == pytest.approx(np.bincount(labels).max() / 600)


def test_no_photo_is_judged_by_a_model_that_has_seen_its_group() -> None:
    """Groups of twins with random labels: who had seen the twin would know the label."""
    random = np.random.default_rng(3)
    twins = np.repeat(random.normal(size=(150, 60)), 2, axis=0).astype(np.float32)
    labels = np.repeat(random.integers(0, 5, 150), 2)
    probabilities = out_of_fold(twins, labels, np.repeat(np.arange(150), 2), 0)
    assert (probabilities.argmax(axis=1) == labels).mean() < 0.35
    assert np.allclose(probabilities.sum(axis=1), 1, atol=1e-5)


def test_the_same_photos_give_the_same_list_and_a_missing_class_is_no_trouble() -> None:
    features, true, groups = clusters(100)
    labels = np.where(true == 2, 1, true)
    one, two = (out_of_fold(features, labels, groups, 0) for _ in range(2))
    assert np.array_equal(one, two)
    assert (one[:, 2] == 0).all()


def test_suspicion_is_the_margin_times_the_distance() -> None:
    probabilities = np.array(
        [[0.1, 0.0, 0.0, 0.1, 0.8], [0.1, 0.0, 0.0, 0.1, 0.8], [0.2, 0.5, 0.3, 0, 0], [1, 0, 0, 0, 0]]
    )
    seen, score = suspicion(probabilities, np.array([0, 3, 2, 0]))
    assert seen.tolist() == [4, 4, 1, 0]
    assert score == pytest.approx([0.7 * 4, 0.7 * 1, 0.2, 0])
    assert suspects(probabilities, np.array([0, 3, 2, 0])).order.tolist() == [0, 1, 2]


@pytest.mark.parametrize("backbone", cases(["resnet18", "mobilenet_v2", "vgg11", "vit_b_32", "swin_t", "densenet121"]))
def test_features_of_any_backbone_are_one_row_a_photo_whatever_the_head(
    tmp_path: Path, backbone: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_split(tmp_path, prepared(3), split="train", stored_side=40)
    settings = replace(SETTINGS, backbone=backbone, image_size=224 if backbone == "vit_b_32" else 64)
    network = build_network(backbone, 0.0)
    split, cpu = Split.open(tmp_path), torch.device("cpu")
    monkeypatch.setattr("tally.labels_check._SAY_EVERY", -1.0)
    features = frozen_features(network, split, settings, cpu)
    said = capsys.readouterr().out
    assert "photos=3/3" in said
    assert not any(re.search(item["Regex"], said) for item in metric_definitions()), "it would be a metric of the job"
    assert features.shape[0] == 3
    assert 100 < features.shape[1] < 3000
    with torch.no_grad():
        for parameter in getattr(network.classifier, network.head).parameters():
            parameter.normal_()
    assert np.array_equal(frozen_features(network, split, settings, cpu), features)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({}, None),
        ({"freeze": "none"}, ""),
        ({"freeze": "all_but_last_stage"}, ""),
        ({"trial": True}, ""),
        ({"weights": "none"}, "the backbone had random weights"),
        ({"weights": "none", "freeze": "none"}, "the backbone had random weights"),
        ({"weights": "none", "trial": True}, ""),
    ],
)
def test_who_checks_labels_and_why_not(tmp_path: Path, change: dict[str, object], reason: str | None) -> None:
    write_split(tmp_path, prepared(30), split="train", stored_side=40)
    found = reason_to_skip(replace(SETTINGS, **change), [Split.open(tmp_path)])  # type: ignore[arg-type]
    assert found == reason if not reason else found is not None and found.startswith(reason)


def test_too_few_groups_are_a_reason(tmp_path: Path) -> None:
    write_split(tmp_path, prepared(8), split="train", stored_side=40)
    assert reason_to_skip(SETTINGS, [Split.open(tmp_path)]) == (
        "the photos have 8 groups, cross-validation wants at least 10"
    )


def test_the_list_and_the_page_tell_what_was_found(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    photos = prepared(40)
    write_split(tmp_path / "train", photos, split="train", stored_side=40)
    split = Split.open(tmp_path / "train")
    true = np.array([COUNTS.index(photo.count) for photo in split.photos])
    probabilities = np.eye(5)[true] * 0.8 + 0.04
    probabilities[7] = [0.02, 0.02, 0.02, 0.9, 0.04]  # labelled 3
    probabilities[10] = [0.02, 0.02, 0.02, 0.04, 0.9]  # labelled 1
    found: Suspects = suspects(probabilities, true)
    write_suspects(tmp_path / "out", found, [("train", split)])
    with (tmp_path / "out" / "suspicious_labels.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["rank"], row["id"], row["label"], row["seen_as"], row["split"]) for row in rows] == [
        ("1", split.photos[10].id, "1", "5", "train"),
        ("2", split.photos[7].id, "3", "4", "train"),
    ]
    assert float(rows[0]["score"]) == pytest.approx(4 * 0.88, abs=1e-4)
    page = (tmp_path / "out" / "labels.html").read_text(encoding="utf-8")
    assert page.count("<figure>") == 2
    assert "95.0%</b>of the labels the checker agrees with" in page
    assert "nothing was removed" in page
    assert not re.search(r"""(src|href)=["'](?!#|data:)""", page), "the report must open without network"


def sample_split(folder: Path, photos: int) -> tuple[Split, np.ndarray]:
    """Photos of the project's generator, 5% of them with another label; which ones, in the order of the split."""
    generate(folder / "raw", photos=photos, seed=7)
    source = read_source(folder / "raw")
    made: list[Prepared] = []
    random, wrong = np.random.default_rng(1), {}
    for entry in source.entries:
        try:
            checked = check_photo(source.root / entry.file, stored_side=160)
        except RejectedError:
            continue
        count = source.label(entry)
        wrong[entry.id] = bool(random.random() < 0.05)
        shift = int(random.integers(1, 5)) if wrong[entry.id] else 0
        label = COUNTS[(COUNTS.index(count) + shift) % 5]
        group = f"block:{int(entry.id) // 20}"
        made.append(Prepared(entry.id, label, group, "", checked.sha256, checked.width, checked.height, checked.jpeg))
    (folder / "train").mkdir()
    write_split(folder / "train", made, split="train", stored_side=160)
    split = Split.open(folder / "train")
    return split, np.array([wrong[photo.id] for photo in split.photos])


@pytest.mark.e2e
def test_of_generated_photos_with_changed_labels_the_top_of_the_list_is_mostly_those(tmp_path: Path) -> None:
    weights = shared_dir("weights/mobilenet_v2_imagenet.pth")
    split, wrong = sample_split(tmp_path, 500)
    network = build_network("mobilenet_v2", 0.0)
    load_pretrained(network, weights)
    freeze(network, "backbone", pretrained=True)
    found = check_labels(network, SETTINGS, [split], torch.device("cpu"))
    at_top = wrong[found.order[:20]].mean()
    print(f"accuracy={found.accuracy:.3f} base={wrong.mean():.3f} top20={at_top:.2f}")
    assert at_top > 5 * wrong.mean()


@pytest.mark.e2e
def test_a_job_that_trains_the_head_leaves_the_list_in_the_model(tmp_path: Path) -> None:
    make_channels(tmp_path)
    weights = tmp_path / "resnet18.pth"
    torch.save(build_network("resnet18", 0.0).classifier.state_dict(), weights)
    configure(tmp_path, backbone="resnet18", freeze="backbone", weights=weights, epochs=1)
    with Job([tmp_path]) as job:
        codes, outputs = job.finish(400)
    assert codes == [0], outputs
    assert "labels_checked=94 contradicted=" in outputs[0]
    assert {"labels.html", "suspicious_labels.csv"} <= {file.name for file in (tmp_path / "model" / "report").iterdir()}


def test_random_weights_are_said_to_be_the_reason(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_split(tmp_path, prepared(30), split="train", stored_side=40)
    split, settings = Split.open(tmp_path), replace(SETTINGS, weights="none")
    list_labels(MlPaths(tmp_path), build_network("resnet18", 0.0), settings, split, split, torch.device("cpu"))
    assert "labels were not checked: the backbone had random weights (weights=none)" in capsys.readouterr().out
    assert not (tmp_path / "model").exists()
