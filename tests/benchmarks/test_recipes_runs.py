"""Real jobs, seconds long: the control with permuted labels, stopped in the middle and gone on with."""

import io
from pathlib import Path

import pytest

from benchmarks.recipes_bench import Bench, Choices
from benchmarks.recipes_jobs import Jobs
from benchmarks.recipes_progress import Progress
from benchmarks.recipes_report import control as control_page
from benchmarks.recipes_shuffled import CHANCE, control
from local.errors import StoppedError
from local.stopping import StopSignal
from tests.model_code.jobs import bright_squares

PHOTOS = 420
EPOCHS = 6


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Photos that a network learns to count in seconds, as class folders; ids far apart are bins of their own."""
    folder = tmp_path / "photos"
    for number in range(PHOTOS):
        count = number % 5 + 1
        (folder / str(count)).mkdir(parents=True, exist_ok=True)
        (folder / str(count) / f"{number * 5:05d}.jpg").write_bytes(bright_squares(count, number))
    return folder


class Stopping(io.StringIO):
    """Asks to stop once a line holds `word`."""

    def __init__(self, stop: StopSignal, word: str) -> None:
        super().__init__()
        self._stop, self._word = stop, word

    def write(self, text: str) -> int:
        if self._word in text:
            self._stop.set("the test says so")
        return super().write(text)


def bench(tmp_path: Path, photos: Path, said: io.StringIO, stop: StopSignal) -> Bench:
    choices = Choices(photos, backbone="resnet18", image_size=32, epochs=EPOCHS, seeds=1)
    return Bench(choices, Jobs(tmp_path / "jobs", stop), Progress(said))


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


def test_permuted_labels_are_refused_also_when_the_control_was_stopped_on_the_way(tmp_path: Path, photos: Path) -> None:
    stop = StopSignal()
    said = Stopping(stop, f"permuted labels: epoch 1 of {EPOCHS}")
    with pytest.raises(StoppedError, match="seed 0, permuted labels"):
        control(bench(tmp_path, photos, said, stop))

    again = io.StringIO()
    result = control(bench(tmp_path, photos, again, StopSignal()))
    assert "baseline: kept from before" in again.getvalue()
    assert "seed 0, permuted labels: resumed epoch=" in again.getvalue()
    (row,) = result["seeds"]
    # Trained on true labels the same network counts: what makes the difference is the labels.
    assert row["baseline_balanced_accuracy"] > 0.5
    assert row["at_chance"]
    assert abs(row["figures"]["balanced_accuracy"] - CHANCE) < 0.2
    assert row["refused"]
    assert row["gate"]["verdict"] == "reject"
    assert result["holds"]
    page = control_page(result | {"machine": MACHINE, "code": "abc"})
    assert "| 0    |" in page
    assert "NO" not in page

    once_more = bench(tmp_path, photos, io.StringIO(), StopSignal())
    assert control(once_more) == result
    assert once_more.jobs.started == 0


MACHINE = {"processor": "any", "cpus": 1, "memory_gib": 1, "system": "Linux", "python": "3.11", "load": 0.0}
