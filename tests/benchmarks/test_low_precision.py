"""The comparison of a model with its int8 copy runs, on a tiny network and drawn photos."""

import json
from pathlib import Path

import pytest

from benchmarks.low_precision import main
from benchmarks.photos import drawn_photos
from tally.data.shard_writer import write_split
from tests.model_code.convolutions import write_network
from tests.model_code.jobs import prepared


def test_both_are_compared_and_served_in_turn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_network(tmp_path / "model")
    for name, photos in (("train", 10), ("judged", 20)):
        (tmp_path / name).mkdir()
        write_split(tmp_path / name, prepared(photos), split=name, stored_side=40)
    (tmp_path / "photos").mkdir()
    for number, photo in enumerate(drawn_photos(3)):
        (tmp_path / "photos" / f"{number}.jpg").write_bytes(photo)
    options = [f"--{name}={tmp_path / name}" for name in ("model", "train", "judged", "photos")]
    assert main([*options, "--number=3", "--rounds=1", "--seconds=0.3"]) == 0
    printed = capsys.readouterr().out.strip().splitlines()
    table = [line for line in printed if line.startswith("|")]
    assert [line.split(" | ")[0] for line in table[2:]] == ["| fp32", "| int8"]
    assert any("the requests/s of fp32, 4 clients" in line for line in printed)
    assert any(line.startswith("fp32 would serve: 20 validation photos cannot show") for line in printed)
    found = json.loads(printed[-1])
    assert found["requests_per_second"].keys() == {"fp32", "int8"}
    assert found["layers"] == 3
    assert min(found["milliseconds"]["int8"].values()) > 0
    assert {file.name for file in (tmp_path / "model").iterdir()} == {"model.onnx", "model.json"}, "left as it was"


def test_a_model_that_is_not_there_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = [f"--{name}={tmp_path / name}" for name in ("model", "train", "judged", "photos")]
    assert main(options) == 1
    assert "model.onnx" in capsys.readouterr().err
