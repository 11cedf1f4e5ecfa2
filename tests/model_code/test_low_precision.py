"""The int8 copy beside the exported model: when it is made, when it serves, and that what serves is what was judged."""

import json
from pathlib import Path
from typing import Any

import pytest

from tally import low_precision
from tally.data.shard_writer import write_split
from tally.data.shards import Split
from tally.errors import TallyError
from tally.evaluation.unpack import unpack_model
from tally.gate.noninferiority import NonInferiority, judge
from tally.gate.pairs import Pairs
from tally.low_precision import LEAST_SPEEDUP, decide, lower_precision
from tally.predictor import Predictor
from tally.settings import TrainingSettings
from tests.model_code.convolutions import SIDE, write_network
from tests.model_code.jobs import prepared
from tests.model_code.tiny_model import pack


@pytest.fixture(scope="module")
def splits(tmp_path_factory: pytest.TempPathFactory) -> tuple[Split, Split]:
    found = []
    for name, photos in (("train", 40), ("validation", 200)):
        directory = tmp_path_factory.mktemp(name)
        write_split(directory, prepared(photos, len(found)), split=name, stored_side=40)
        found.append(Split.open(directory))
    return found[0], found[1]


def lowered(directory: Path, splits: tuple[Split, Split], **settings: Any) -> dict[str, Any] | None:
    given = {"low_precision": "int8", "accuracy_margin": 0.1, "image_size": SIDE} | settings
    return lower_precision(directory, TrainingSettings(**given), *splits)


def files(directory: Path) -> set[str]:
    return {file.name for file in directory.iterdir()}


def test_off_is_off(tmp_path: Path, splits: tuple[Split, Split]) -> None:
    before = (write_network(tmp_path) / "model.json").read_bytes()
    assert lowered(tmp_path, splits, low_precision="off") is None
    assert (tmp_path / "model.json").read_bytes() == before


def test_auto_does_not_try_where_validation_could_never_show_it(tmp_path: Path, splits: tuple[Split, Split]) -> None:
    record = lowered(write_network(tmp_path), splits, low_precision="auto", accuracy_margin=0.005)
    reason = "not tried: 200 validation photos cannot show a loss below 0.5 points, it takes at least 539"
    assert record == {"serves": "fp32", "reason": reason}
    assert files(tmp_path) == {"model.onnx", "model.json"}
    description = json.loads((tmp_path / "model.json").read_text())
    assert (description["precision"], description["low_precision"]) == ("fp32", record)


def test_a_copy_that_is_good_and_fast_serves(
    tmp_path: Path, splits: tuple[Split, Split], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(low_precision, "LEAST_SPEEDUP", 1e-3)  # of so small a network
    plain = Predictor.load(write_network(tmp_path / "model"))
    record = lowered(tmp_path / "model", splits, low_precision="auto")
    assert record is not None
    assert record["serves"] == "int8", record["reason"]
    assert "low_precision serves=int8: " in capsys.readouterr().out
    assert record["judged"]["verdict"] == "non-inferior"
    assert record["judged"]["photos"] == 200
    assert record["same_counts"] > 0.9
    for figures in record["models"].values():
        assert figures["bytes"] > 1000
        assert figures["latency_ms"] > 0
    json.dumps(record, allow_nan=False)
    assert files(tmp_path / "model") == {"model.onnx", "model.int8.onnx", "model.json"}

    served = Predictor.load(tmp_path / "model")
    assert served.model != plain.model, "an answer names the file that gave it"
    assert (tmp_path / "model" / "model.int8.onnx").stat().st_size == record["models"]["int8"]["bytes"]
    unpacked = unpack_model(pack(tmp_path / "model", tmp_path / "model.tar.gz"), tmp_path / "unpacked")
    assert Predictor.load(unpacked).model == served.model, "Evaluate judges what the endpoint serves"
    (tmp_path / "model" / "model.int8.onnx").unlink()
    with pytest.raises(TallyError, match=r"cannot read the model .*model\.int8\.onnx"):
        Predictor.load(tmp_path / "model")


def test_a_copy_that_is_not_much_faster_is_not_kept(
    tmp_path: Path, splits: tuple[Split, Split], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(low_precision, "LEAST_SPEEDUP", 1e3)
    plain = Predictor.load(write_network(tmp_path))
    record = lowered(tmp_path, splits)
    assert record is not None
    assert (record["serves"], set(record["models"])) == ("fp32", {"fp32", "int8"})
    assert "which is below 1000" in record["reason"]
    assert files(tmp_path) == {"model.onnx", "model.json"}
    assert Predictor.load(tmp_path).model == plain.model


def test_a_network_that_cannot_be_made_int8_serves_as_it_is(
    tmp_path: Path, splits: tuple[Split, Split], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("no kernel for this")

    monkeypatch.setattr(low_precision, "choose_layers", broken)
    record = lowered(write_network(tmp_path), splits)
    assert record == {"serves": "fp32", "reason": "no int8 model could be made: no kernel for this"}
    assert Predictor.load(tmp_path).description["precision"] == "fp32"


def table(lost: int, won: int, photos: int) -> NonInferiority:
    answers = [0] * photos
    plain = [1] * won + [0] * (photos - won)
    int8 = [0] * (photos - lost) + [1] * lost
    return judge(Pairs.of(answers, plain, int8, [str(number) for number in range(photos)]), 0.005)


@pytest.mark.parametrize(
    ("lost", "won", "photos", "speedup", "serves", "words"),
    [
        (5, 6, 5000, 2.0, "int8", "2.00 times as fast, accuracy -0.10 points at the least"),
        (5, 6, 5000, 1.5, "fp32", f"int8 is 1.50 times as fast, which is below {LEAST_SPEEDUP}"),
        (200, 100, 9000, 9.0, "fp32", "int8 may be 0.5 points less accurate or more"),
        (20, 20, 473, 9.0, "fp32", "473 validation photos cannot show that int8 loses less than 0.5 points"),
    ],
    ids=["good", "slow", "worse", "too few photos"],
)
def test_what_serves_and_why(lost: int, won: int, photos: int, speedup: float, serves: str, words: str) -> None:
    found, reason = decide(table(lost, won, photos), speedup)
    assert found == serves
    assert words in reason
