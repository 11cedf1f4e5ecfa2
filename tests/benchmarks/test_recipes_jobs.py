"""What is kept of jobs: never done twice, done again where something else goes in, and named where it is damaged."""

import os
import re
import shutil
from pathlib import Path

import pytest
from PIL import Image

from benchmarks.recipes_jobs import Jobs, Splits, raw_photos
from local.errors import LocalError
from local.stopping import StopSignal


def test_a_copy_of_the_photos_is_the_same_photos_and_another_photo_is_not(tmp_path: Path) -> None:
    for number in range(30):
        (folder := tmp_path / "photos" / str(number % 5 + 1)).mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (40, 40), (8 * number, 90, 160)).save(folder / f"{number * 100:05d}.jpg")
    jobs = Jobs(tmp_path / "jobs", StopSignal())

    def prepared(folder: Path) -> Splits:
        return jobs.preprocess(raw_photos(folder, None, None), 32, print)

    first, copy = prepared(tmp_path / "photos"), tmp_path / "copy"
    assert first.photos("train")
    shutil.copytree(tmp_path / "photos", copy)
    changed = copy / "1" / "00000.jpg"
    os.utime(changed, (1, 1))
    assert prepared(copy) == first
    assert jobs.started == 1

    Image.new("RGB", (40, 40), (9, 90, 160)).save(changed)
    assert prepared(copy) != first
    assert jobs.started == 2


@pytest.mark.parametrize("damage", ["", "{}", "[]", '{"settings": {}, "best_epoch": 0}'])
def test_damage_to_what_is_kept_of_a_training_names_the_folder_to_delete(tmp_path: Path, damage: str) -> None:
    jobs = Jobs(tmp_path, StopSignal())
    folder = tmp_path / f"training-{jobs.key('train', {}, 'photos', None)}"
    (folder / "tree" / "model").mkdir(parents=True)
    for name, content in {"done.json": "{}", "attempts.jsonl": "", "tree/model/training.json": damage}.items():
        (folder / name).write_text(content)
    with pytest.raises(LocalError, match=f"training in {re.escape(str(folder))} is damaged .*; delete that folder"):
        jobs.train("seed 0", {}, Splits(tmp_path, "photos"), None, print)


@pytest.mark.parametrize("damage", ["{}", "[]", '{"models": {}}'])
def test_damage_to_what_is_kept_of_an_evaluation_names_the_folder_to_delete(tmp_path: Path, damage: str) -> None:
    jobs = Jobs(tmp_path, StopSignal())
    folder = tmp_path / f"evaluation-{jobs.key('evaluate', [], {}, 'photos')}"
    written = folder / "tree" / "processing" / "output" / "evaluation" / "evaluation.json"
    written.parent.mkdir(parents=True)
    written.write_text(damage)
    (folder / "done.json").write_text("{}")
    with pytest.raises(LocalError, match=f"evaluation in {re.escape(str(folder))} is damaged; delete that folder"):
        jobs.evaluate([], Splits(tmp_path, "photos"), {}, print)
