"""The experiments run: on drawn photos, with random weights, for seconds; their figures against scikit-learn's."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn import metrics as oracle

from experiments import trial
from experiments.measures import measures
from tally.data.shard_writer import write_split
from tally.network import build_network
from tests.model_code.jobs import MODEL_CODE, prepared

ROOT = Path(__file__).resolve().parents[1]


def run(*words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", *map(str, words)]
    environment = os.environ | {"PYTHONPATH": str(MODEL_CODE)}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def inputs(folder: Path, backbone: str) -> list[object]:
    """Options that name photos, random weights and the file of results, all in `folder`."""
    for split, seed in (("train", 1), ("validation", 2)):
        (folder / split).mkdir()
        write_split(folder / split, prepared(60, seed=seed), split=split, stored_side=40)
    torch.save(build_network(backbone, 0.0).classifier.state_dict(), folder / "weights.pth")
    return ["--shards", folder, "--weights", folder / "weights.pth", "--results", folder / "rows.jsonl"]


def test_a_trial_adds_a_row_and_the_table_shows_it(tmp_path: Path) -> None:
    given = inputs(tmp_path, "squeezenet1_1")
    recipe = ["backbone=squeezenet1_1", "image_size=32", "epochs=2", "batch_size=8"]
    done = run("experiments.trial", *given, "--name", "tiny", "--cutmix", "1", *recipe)
    assert done.returncode == 0, done.stderr
    row = json.loads((tmp_path / "rows.jsonl").read_text())
    assert row["train_photos"] + row["judged_photos"] == 120
    assert 0 <= row["alone"]["accuracy"] <= 1
    assert "| tiny | 1 | " in run("experiments.table", tmp_path / "rows.jsonl", "last_weights").stdout
    again = json.dumps(row) + "\n"
    for change, told in (
        ({}, "several rows of 'tiny' have one seed"),
        ({"seed": 1, "command": "lr=1"}, "differ in more"),
    ):
        (tmp_path / "two.jsonl").write_text(again + json.dumps(row | change) + "\n")
        done = run("experiments.table", tmp_path / "two.jsonl")
        assert done.returncode == 1
        assert told in done.stderr
    (tmp_path / "two.jsonl").write_text(again + json.dumps(row | {"seed": 1}) + "\n")
    assert "| tiny | 2 | " in run("experiments.table", tmp_path / "two.jsonl").stdout


def test_every_candidate_changes_what_is_learnt_and_a_wrong_value_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    given = inputs(tmp_path, "resnet18")
    recipe = ["backbone=resnet18", "image_size=32", "epochs=2", "batch_size=8", "lr=0.003"]

    def losses(*options: object) -> tuple[str, ...]:
        monkeypatch.setattr(sys, "argv", ["trial", *map(str, given), "--name", "tiny", *map(str, options), *recipe])
        trial.main()
        return tuple(re.findall(r"loss=(\S+)", capsys.readouterr().out))

    tried = [
        losses(*options)
        for options in (
            [],
            ["sampling=natural"],
            ["sampling=natural", "--balanced-softmax"],
            ["--corn"],
            ["--bootstrap", 0.3],
            ["--randaugment", 20],
            ["--head-epochs", 1],
            ["--start-size", 64],
            ["--cutmix", 1],
        )
    ]
    assert len(set(tried)) == len(tried)
    for options, told in (
        (["--corn", "--keep", tmp_path], "leave it out with --corn"),
        (["--share", "1.0"], "--share is 1.0; it must be"),
        (["--cutmix", "-1.0"], "--cutmix is -1.0; it must be"),
        (["--start-size", "5"], "--start-size is 5; it must be"),
        (["--randaugment", "31"], "--randaugment is 31; it must be"),
        (["patience=3"], "'patience' is 3; a trial ignores it, so leave it at 0"),
        (["--balanced-softmax"], "sampling is balanced; --balanced-softmax needs sampling=natural"),
    ):
        with pytest.raises(SystemExit) as stopped:
            losses(*options)
        assert told in f"{stopped.value} {capsys.readouterr().err}"


def test_trials_are_asked_together(tmp_path: Path) -> None:
    given = inputs(tmp_path, "resnet18")
    recipe = ["backbone=resnet18", "image_size=32", "epochs=1", "batch_size=8"]
    for seed in (1, 2):
        done = run("experiments.trial", *given, "--keep", tmp_path, "--name", f"seed-{seed}", f"seed={seed}", *recipe)
        assert done.returncode == 0, done.stderr
    done = run("experiments.ensemble", "--shards", tmp_path, "--kept", tmp_path, "seed-1", "seed-2", *recipe)
    assert done.returncode == 0, done.stderr
    shown = [line.split(" | ")[0] for line in done.stdout.splitlines()[2:]]
    assert shown == ["| seed-1", "| seed-2", "| together"]
    rows = [json.loads(line)["alone"] for line in (tmp_path / "rows.jsonl").read_text().splitlines()]
    for row, line in zip(rows, done.stdout.splitlines()[2:], strict=False):
        assert f"{row['log_loss']:.3f}" in line, "what was kept is what was judged"
    for names, told in {
        ("seed-1", "seed-3"): "seed-3.safetensors is not there; run that trial with --keep",
        ("seed-1",): "1 trials are named; name at least two",
        ("seed-1", "seed-2", "backbone=squeezenet1_1"): "seed-1.safetensors holds no weights of squeezenet1_1",
    }.items():
        refused = run("experiments.ensemble", "--shards", tmp_path, "--kept", tmp_path, *recipe, *names)
        assert told in refused.stderr
        assert "Traceback" not in refused.stderr


def test_figures_are_those_of_scikit_learn_with_balanced_weights() -> None:
    random = np.random.default_rng(0)
    true = random.choice(5, 400, p=(0.35, 0.16, 0.1, 0.15, 0.24))
    logits = np.eye(5)[true] + random.normal(size=(400, 5))
    found, weights = measures(logits, true), 1 / np.bincount(true)[true]
    seen = logits.argmax(axis=1)
    assert found["accuracy"] == pytest.approx(oracle.balanced_accuracy_score(true, seen))
    assert found["macro_f1"] == pytest.approx(oracle.f1_score(true, seen, average="macro", sample_weight=weights))
    squared = oracle.mean_squared_error(true, seen, sample_weight=weights)
    assert found["rmse_argmax"] == pytest.approx(np.sqrt(squared))
    assert found["recall"] == pytest.approx(oracle.recall_score(true, seen, average=None))
