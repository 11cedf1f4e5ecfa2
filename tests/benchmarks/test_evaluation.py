"""`make bench-evaluation`, in short: its sides for real, the run with made-up figures."""

import json
from pathlib import Path

import pytest

from benchmarks.evaluation import __main__ as command
from benchmarks.evaluation import prepare
from benchmarks.evaluation.score import KINDS, measure
from tally.data.shards import Split
from tests.model_code.tiny_model import write_model, write_test_split

N = 45


def test_every_side_gives_the_same_answers(tmp_path: Path) -> None:
    counts = [1 + number % 5 for number in range(N)]
    folder = write_test_split(tmp_path / "test", counts, counts, counts, counts, [str(n) for n in range(N)])
    model = write_model(tmp_path / "model", sharpness=3000.0)
    found = {kind: measure(kind, model, Split.open(folder)) for kind in KINDS}
    assert len({figure["answers"] for figure in found.values()}) == 1
    assert all(figure["photos_per_second"] > 0 for figure in found.values())


@pytest.mark.e2e
def test_a_split_and_a_model_are_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["--folder", str(tmp_path), "--models", str(tmp_path / "models"), "--backbone", "shufflenet_v2_x0_5"]
    monkeypatch.setattr("sys.argv", ["prepare", *words, "--image-size", "64", "--photos", "64"])
    assert prepare.main() == 0
    made = json.loads(capsys.readouterr().out.splitlines()[-1])
    written = (Path(made["model"]) / "model.onnx").stat().st_mtime_ns
    assert prepare.main() == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1]) == made
    assert (Path(made["model"]) / "model.onnx").stat().st_mtime_ns == written, "the same was made again"
    assert [path.name for path in (tmp_path / "models").iterdir()] == [Path(made["model"]).parent.name]
    monkeypatch.setattr("sys.argv", ["prepare", *words, "--image-size", "32", "--photos", "64"])
    assert prepare.main() == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["model"] != made["model"]
    found = measure("ours", Path(made["model"]), Split.open(Path(made["split"])))
    assert found["answers"] == measure("turns", Path(made["model"]), Split.open(Path(made["split"])))["answers"]


def test_a_run_compares_speeds_and_answers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def answer(module: str, *words: str) -> str:
        if module.endswith("prepare"):
            return json.dumps({"split": "split", "model": "model"})
        kind = words[-1]
        speed = {"ours": 90.0, "turns": 60.0, "network": 100.0}[kind]
        return json.dumps({"photos_per_second": speed, "answers": "other" if kind == "network" else "same"})

    monkeypatch.setattr(command, "run_module", answer)
    assert command.main(["--rounds", "2", "--out", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert printed == (tmp_path / "evaluation.md").read_text()
    for said in (
        "- 1.50 times (1.50 to 1.50) the photos/s of decoding and network in turns",
        "- 90% (90% to 90%) of the network alone",
        "| ours: each thread decodes a batch and runs it | 90 (90 to 90) | yes |",
        "| limit: the network alone | 100 (100 to 100) | no |",
    ):
        assert said in printed
    assert len(json.loads((tmp_path / "evaluation.json").read_text())["sides"]["ours"]) == 2


def test_too_few_photos_are_refused_before_anything_runs(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        command.main(["--photos", "63"])
    assert "--photos is 63; it must be at least 64" in capsys.readouterr().err
