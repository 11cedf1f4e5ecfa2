"""What Evaluate refuses, in words that say what to do."""

import json
from pathlib import Path

import pytest

from tally.errors import TallyError
from tally.evaluation import main
from tally.paths import MlPaths
from tests.model_code.evaluation_jobs import ARGUMENTS, GOOD, MODELS, make_job
from tests.model_code.tiny_model import description, pack, write_model


@pytest.mark.parametrize("name", MODELS)
def test_a_missing_model_is_refused(tmp_path: Path, name: str) -> None:
    job = make_job(tmp_path, GOOD)
    (job.paths.processing_input(name) / "model.tar.gz").unlink()
    with pytest.raises(TallyError, match=rf"no model at .*{name}/model\.tar\.gz"):
        job.run()
    assert not (job.output / "evaluation.json").exists()


def test_a_model_of_another_format_is_refused(tmp_path: Path) -> None:
    job = make_job(tmp_path, GOOD)
    directory = write_model(tmp_path / "other")
    (directory / "model.json").write_text(json.dumps(description() | {"format": "keras"}), encoding="utf-8")
    pack(directory, job.paths.processing_input("champion") / "model.tar.gz")
    with pytest.raises(TallyError, match=r"model\.json: format is 'keras'"):
        job.run()


def test_a_missing_test_split_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TallyError, match="test: no prepared photos here"):
        main(ARGUMENTS, MlPaths(tmp_path))


def test_a_photo_that_cannot_be_decoded_is_named(tmp_path: Path) -> None:
    job = make_job(tmp_path, GOOD)
    directory = job.paths.processing_input("test")
    (manifest,) = directory.glob("manifest-*.jsonl")
    lines = [json.loads(line) for line in manifest.read_text(encoding="utf-8").splitlines()]
    lines[4]["size"] //= 2
    manifest.write_text("".join(f"{json.dumps(line)}\n" for line in lines), encoding="utf-8")
    with pytest.raises(TallyError, match="test photo 00004: the photo is damaged"):
        job.run()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["--alpha", "2"], "gate setting alpha is 2.0"), (["--seed", "-1"], "--seed is -1; it must not be negative")],
)
def test_a_setting_out_of_range_is_refused_before_anything_runs(
    tmp_path: Path, arguments: list[str], message: str
) -> None:
    with pytest.raises(TallyError, match=message):
        main([*ARGUMENTS, *arguments], MlPaths(tmp_path))


def test_an_output_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    job = make_job(tmp_path, GOOD)
    job.output.parent.mkdir(parents=True)
    job.output.write_text("a file where the folder should be", encoding="utf-8")
    with pytest.raises(TallyError, match=r"cannot write the evaluation to .*evaluation"):
        main(ARGUMENTS, job.paths)
