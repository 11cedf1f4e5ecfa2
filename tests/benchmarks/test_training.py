"""`make bench-training`: what it compares, and that what goes wrong is said. Its run: test_quick_run.py."""

import itertools
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import torch

from benchmarks.errors import BenchError
from benchmarks.in_turns import in_turns, ratios
from benchmarks.training import ranks, step
from benchmarks.training.__main__ import main, sentences, table
from benchmarks.training.prepare import ORIGINALS, SHARDS, VALIDATION, write
from tally.data.shards import Split
from tally.ranks import Ranks
from tally.settings import TrainingSettings
from tests.model_code.jobs import QUICK
from tests.model_code.tiny_model import photo


def test_every_side_comes_once_a_round_in_an_order_that_changes() -> None:
    asked: list[str] = []
    sides = {name: lambda name=name: asked.append(name) or len(asked) for name in "abc"}
    found = in_turns(sides, 6)
    turns = [tuple(asked[first : first + 3]) for first in range(0, 18, 3)]
    assert all(set(turn) == set("abc") for turn in turns)
    assert len(set(turns)) > 1
    assert [found[name][1] for name in turns[1]] == [4, 5, 6]  # values stand where their round does
    assert ratios([2, 9, 4], [1, 3, 4]) == (2, 1, 3)


def test_ratios_are_ours_over_theirs() -> None:
    def figures(*rates: float, cpu: float = 1.0) -> list[dict[str, float]]:
        return [{"photos_per_second": rate, "cpu_ms": cpu} for rate in rates]

    found = {
        "loader": {"ours, 2 workers": figures(300, 100), "imagefolder, 2 workers": figures(100, 50, cpu=4)},
        "step": {"shards": figures(9, 9), "memory": figures(10, 10)},
        "ranks": {"1 x 2": figures(10, 20), "2 x 1": figures(9, 19)},
    }
    assert sentences(found) == [
        "loader, 2 workers: 2.50 times (2.00 to 3.00) the photos/s of ImageFolder, at 0.25 of the CPU time a photo",
        "training steps: 0.90 times (0.90 to 0.90) those in memory",
        "ranks x threads, 2 x 1: 0.93 times (0.90 to 0.95) those of 1 x 2",
    ]
    assert "| loader: ours, 2 workers | 200 (100 to 300) | 1.00 (1.00 to 1.00) |" in table(found)


def test_photos_are_there_as_they_come_and_as_preprocess_stores_them(tmp_path: Path) -> None:
    photos = [photo(red=1 + number % 5, side=300 + number) for number in range(60)]
    write(tmp_path, photos, 160)
    assert (tmp_path / ORIGINALS / "3" / "00007.jpg").read_bytes() == photos[7]
    split = Split.open(tmp_path / SHARDS)
    assert len(split) == 60
    assert {max(stored.width, stored.height) for stored in split.photos} == {200}
    assert len(Split.open(tmp_path / VALIDATION)) == 50


def test_photos_from_shards_and_from_memory_take_turns_in_one_training(tmp_path: Path) -> None:
    write(tmp_path, [photo(red=1 + number % 5, side=64) for number in range(12)], 32)
    split = Split.open(tmp_path / SHARDS)
    settings = TrainingSettings(image_size=32, batch_size=4, workers=0)
    turns = step.Turns(split, settings, Ranks(0, 1, torch.device("cpu")))
    batches = list(itertools.islice(turns, 17))
    assert {tuple(pixels.shape) for pixels, _ in batches} == {(4, 32, 32, 3)}
    pixels = [pixels.numpy().tobytes() for pixels, _ in batches]
    shards, memory = (pixels[:4] + pixels[8:12], pixels[4:8] + pixels[12:16])
    assert len(set(shards)) == 8  # decoded and changed anew in every epoch of three batches
    assert memory == (memory[:3] * 3)[:8]
    assert turns.steps == {"shards": 4, "memory": 4}  # the first turns do not count
    assert all(seconds > 0 for seconds in turns.seconds.values())


def test_what_loader_processes_did_during_the_other_turn_does_not_count(tmp_path: Path) -> None:
    write(tmp_path, [photo(red=1 + number % 5, side=64) for number in range(12)], 32)
    settings = TrainingSettings(image_size=32, batch_size=4, workers=2)
    turns = step.Turns(Split.open(tmp_path / SHARDS), settings, Ranks(0, 1, torch.device("cpu")))
    list(itertools.islice(turns, 4 * (8 + 8) + 1))  # two processes prefetch four batches each
    assert turns.steps == {"shards": 8, "memory": 8}


def test_a_job_stands_still_between_its_turns_and_an_epoch_in_which_it_stood_does_not_count(tmp_path: Path) -> None:
    epochs = "".join(
        f"print('epoch=0 seconds={s} photos_per_second={r}', flush=True);" for s, r in ((0, 5), (9, 1), (0, 7))
    )
    command = [sys.executable, "-c", f"print('epochs=3');{epochs}import time; time.sleep(60)"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        job = ranks.Job(process, "the job", tmp_path / "errors")
        try:
            assert job.epoch() == 5
            while psutil.Process(process.pid).status() != psutil.STATUS_STOPPED:
                time.sleep(0.01)
            assert job.epoch() == 7
        finally:
            job.end()
    assert process.returncode == -signal.SIGTERM


def test_a_job_that_fails_says_why(tmp_path: Path) -> None:
    write(tmp_path, [photo(red=1 + number % 5, side=64) for number in range(10)], 32)
    with pytest.raises(BenchError, match=r"(?s)job with 1 ranks failed: .*fewer than batch_size"):
        ranks.photos_per_second(tmp_path, {"backbone": QUICK["backbone"]}, [1], 1, print)


def test_too_few_photos_are_refused_before_anything_runs(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--photos", "99"])
    assert "--photos is 99; it must be at least 100" in capsys.readouterr().err
