"""`make bench-preprocess`, in short: each piece for real, the run with made-up figures; and what goes wrong is said."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from benchmarks.errors import BenchError
from benchmarks.photos import drawn_photos
from benchmarks.preprocess import __main__ as command
from benchmarks.preprocess import limit, prepare
from benchmarks.preprocess.job import run_job
from tally.data.photos import check_photo
from tests.model_code.tiny_model import photo

PHOTOS = 40


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prepare.draw(tmp_path_factory.mktemp("photos"), PHOTOS)


def test_drawn_photos_lie_in_the_layout_of_the_bucket_and_a_part_has_the_first(folder: Path) -> None:
    part = prepare.first(folder, 10)
    assert [file.read_bytes() for file in sorted((part / "bin-images").iterdir())] == drawn_photos(10)
    assert len(list((part / "metadata").iterdir())) == 10
    assert prepare.first(folder, 10) == part  # again is no error


def test_photos_of_ones_own_are_taken_and_too_few_are_refused(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    for number in range(4):
        (data / f"{number}.jpg").write_bytes(photo(red=1 + number, side=80))
    source = prepare.take(tmp_path / "out", data, 4)
    assert len(list((source / "bin-images").iterdir())) == 4
    with pytest.raises(BenchError, match=r"has 4 \*\.jpg files, 5 are wanted"):
        prepare.take(tmp_path / "out", data, 5)


def test_the_limit_makes_what_the_job_stores(folder: Path) -> None:
    """Else it would be the limit of something else."""
    file = min((folder / "bin-images").iterdir())
    stored = limit.shrink(200, file)
    assert stored == check_photo(file, stored_side=200).jpeg
    with Image.open(io.BytesIO(stored)) as small:
        assert max(small.size) == 200


def test_the_limit_is_that_of_all_photos_once(folder: Path) -> None:
    assert limit.photos_per_second(folder, 200, 2) > 10


def test_a_job_is_a_process_whose_workers_memory_counts(folder: Path) -> None:
    found = run_job(folder, 64, memory=True)
    assert found["photos"] == PHOTOS  # none is set aside
    assert found["photos_per_second"] == pytest.approx(PHOTOS / found["seconds"])
    assert 30 < found["mib"] < 1000
    assert {row["photos"] for row in found["projection"]} == {PHOTOS, 535_000}


def test_a_job_that_fails_says_why(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match=r"(?s)Preprocess failed: .*no such folder"):
        run_job(tmp_path / "nothing", 64, memory=False)


def figures(*seconds: float, photos: int, mib: float | None = None) -> list[dict[str, Any]]:
    row = {"instances": 1, "photos_per_second": 700.0, "hours": 0.2, "instance_hours": 0.2, "cost": None}
    return [
        {"seconds": one, "photos_per_second": photos / one, "projection": [{"photos": photos, **row}]}
        | ({"mib": mib} if mib else {})
        for one in seconds
    ]


FOUND = {
    command._LIMIT: [{"photos_per_second": 1000.0}, {"photos_per_second": 1000.0}],
    "job, 500 photos": figures(1.5, 1.0, photos=500),
    "job, 1000 photos": figures(2.0, 1.5, photos=1000),
    "job, 2500 photos": figures(3.5, 3.0, photos=2500),
    "job, 5000 photos": figures(6.0, 5.5, photos=5000),
    "memory, 500 photos": figures(2, 2, photos=500, mib=100),
    "memory, 5000 photos": figures(7, 7, photos=5000, mib=110),
}
NUMBERS = [500, 1000, 2500, 5000]


def test_what_is_said_are_ratios_within_rounds() -> None:
    assert command.said(FOUND, NUMBERS) == [
        "from start to end, 87% (83% to 91%) of the limit",
        "each further photo, from 500 to 5000: 100% (100% to 100%) of the limit",
        "time is linear in photos where this is 1: a photo from 2500 to 5000 takes 1.00 times as long as one from "
        "500 to 2500",
        "memory on 5000 photos is 1.10 times (1.10 to 1.10) that on 500",
        "the job says, projection: 5,000 photos like these take hours 0.2 on 1 instances",
    ]
    assert "| job, 500 photos | 417 (333 to 500) | 1.25 (1.00 to 1.50) | 100 (100 to 100) |" in command.table(
        FOUND, NUMBERS
    )


def test_a_run_asks_every_side_and_writes_what_it_found(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, ...]] = []

    def answer(module: str, *words: str) -> str:
        asked.append((module, *words))
        if module.endswith("prepare"):
            numbers = words[words.index("--numbers") + 1 :]
            folders = {number: f"photos-{number}" for number in numbers}
            return json.dumps({"folders": folders, "sizes": {"width": 4, "height": 3, "bytes": 1000}})
        number = int(words[1].rpartition("-")[2])
        return json.dumps(figures(1 + number / 1000, photos=number, mib=100.0)[0])

    monkeypatch.setattr(command, "run_module", answer)
    assert command.main(["--photos", "1000", "--rounds", "2", "--out", str(tmp_path)]) == 0
    sides = json.loads((tmp_path / "preprocess.json").read_text())["sides"]
    assert {name: len(found) for name, found in sides.items()} == dict.fromkeys(
        [command._LIMIT, *(command.job(n) for n in (100, 200, 500, 1000)), command.held(100), command.held(1000)], 2
    )
    assert capsys.readouterr().out == (tmp_path / "preprocess.md").read_text()
    memory = [words for words in asked if "--memory" in words]
    assert {words[2] for words in memory} == {"photos-100", "photos-1000"}
    assert {words[2] for words in asked if words[0].endswith("limit")} == {"photos-1000"}


def test_too_few_photos_are_refused_before_anything_runs(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        command.main(["--photos", "399"])
    assert "--photos is 399; it must be at least 400" in capsys.readouterr().err
