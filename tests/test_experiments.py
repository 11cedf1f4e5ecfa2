"""The experiments run: on drawn photos, with random weights, for seconds; their figures against scikit-learn's."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from sklearn import metrics as oracle

from experiments import ensemble, table, trial
from experiments.measures import measures
from tally.data.shard_writer import write_split
from tally.network import build_network
from tests.model_code.jobs import MODEL_CODE, prepared

ROOT = Path(__file__).resolve().parents[1]
Command = Callable[..., tuple[str, str]]


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs a command in this process, which has torch at hand: what it printed, and what it gave up with."""

    def run(module: ModuleType, *words: object) -> tuple[str, str]:
        monkeypatch.setattr(sys, "argv", [module.__name__, *map(str, words)])
        try:
            module.main()
        except SystemExit as stopped:
            return "", f"{stopped.code} {capsys.readouterr().err}"
        return capsys.readouterr().out, ""

    return run


def inputs(folder: Path, backbone: str) -> list[object]:
    """Options that name photos, random weights and the file of results, all in `folder`."""
    for split, seed in (("train", 1), ("validation", 2)):
        (folder / split).mkdir()
        write_split(folder / split, prepared(60, seed=seed), split=split, stored_side=40)
    torch.save(build_network(backbone, 0.0).classifier.state_dict(), folder / "weights.pth")
    return ["--shards", folder, "--weights", folder / "weights.pth", "--results", folder / "rows.jsonl"]


@pytest.mark.e2e
def test_a_trial_is_a_command_that_prints_its_progress_and_adds_a_row(tmp_path: Path) -> None:
    recipe = ["backbone=squeezenet1_1", "image_size=32", "epochs=2", "batch_size=8"]
    words = ["-m", "experiments.trial", *inputs(tmp_path, "squeezenet1_1"), "--name", "tiny", "--cutmix", "1", *recipe]
    environment = os.environ | {"PYTHONPATH": str(MODEL_CODE)}
    done = subprocess.run(
        [sys.executable, *map(str, words)], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "tiny epoch=1 size=32 loss=" in done.stdout
    row = json.loads((tmp_path / "rows.jsonl").read_text())
    assert row["train_photos"] + row["judged_photos"] == 120
    assert 0 <= row["alone"]["accuracy"] <= 1


def test_the_table_has_a_row_a_name_and_refuses_runs_that_are_not_alike(tmp_path: Path, command: Command) -> None:
    figures = dict.fromkeys(table.COLUMNS, 0.5) | {"recall": [0.5] * 5}
    row = {"name": "tiny", "command": "", "seed": 0, "seconds": 1} | dict.fromkeys(table.VIEWS, figures)
    rows = tmp_path / "rows.jsonl"

    def shown(*changes: dict[str, object]) -> tuple[str, str]:
        rows.write_text("".join(json.dumps(row | change) + "\n" for change in changes))
        return command(table, rows)

    assert "| tiny | 1 | " in shown({})[0]
    assert "| tiny | 1 | " in command(table, rows, "last_weights")[0]
    assert "| tiny | 2 | " in shown({}, {"seed": 1})[0]
    assert "several rows of 'tiny' have one seed" in shown({}, {})[1]
    seed = {"seed": 1, "command": "--name=other --keep 'a folder' seed=1"}
    assert "| tiny | 2 | " in shown({}, seed)[0]
    for other in ("lr=1", "--corn", "--bootstrap 0.1"):
        assert "differ in more" in shown({}, seed | {"command": other})[1]


def test_every_candidate_changes_what_is_learnt_and_a_wrong_value_is_refused(tmp_path: Path, command: Command) -> None:
    given = [*inputs(tmp_path, "squeezenet1_1"), "--name", "tiny"]
    recipe = ["backbone=squeezenet1_1", "image_size=32", "epochs=2", "batch_size=8", "lr=0.003"]
    tried = []
    for options in (
        [],
        ["sam=0.05"],
        ["sampling=natural"],
        ["sampling=natural", "--balanced-softmax"],
        ["--corn"],
        ["--bootstrap", 0.3],
        ["--randaugment", 20],
        ["--head-epochs", 1],
        ["--start-size", 64],
        ["--cutmix", 1],
    ):
        out, gave_up = command(trial, *given, *options, *recipe)
        assert not gave_up
        tried.append(tuple(re.findall(r"loss=(\S+)", out)))
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
        assert told in command(trial, *given, *options, *recipe)[1]


def test_trials_are_asked_together(tmp_path: Path, command: Command) -> None:
    given = [*inputs(tmp_path, "squeezenet1_1"), "--keep", tmp_path]
    recipe = ["backbone=squeezenet1_1", "image_size=32", "epochs=1", "batch_size=8"]
    for seed in (1, 2):
        assert not command(trial, *given, "--name", f"seed-{seed}", f"seed={seed}", *recipe)[1]
    folders = ["--shards", tmp_path, "--kept", tmp_path]
    lines = command(ensemble, *folders, "seed-1", "seed-2", *recipe)[0].splitlines()[2:]
    assert [line.split(" | ")[0] for line in lines] == ["| seed-1", "| seed-2", "| together"]
    rows = [json.loads(line)["alone"] for line in (tmp_path / "rows.jsonl").read_text().splitlines()]
    for row, line in zip(rows, lines, strict=False):
        assert f"{row['log_loss']:.3f}" in line, "what was kept is what was judged"
    for names, told in {
        ("seed-1", "seed-3"): "seed-3.safetensors is not there; run that trial with --keep",
        ("seed-1",): "1 trials are named; name at least two",
        ("seed-1", "seed-2", "backbone=resnet18"): "seed-1.safetensors holds no weights of resnet18",
    }.items():
        assert told in command(ensemble, *folders, *recipe, *names)[1]


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
