"""Real jobs, seconds long: the comparison; the control with permuted labels, stopped amid it and gone on with."""

import io
import random
from pathlib import Path

import pytest
from PIL import Image, ImageDraw

from benchmarks.recipes_bench import Bench, Choices
from benchmarks.recipes_compare import compare
from benchmarks.recipes_jobs import Jobs
from benchmarks.recipes_progress import Progress
from benchmarks.recipes_report import comparison
from benchmarks.recipes_report import control as control_page
from benchmarks.recipes_shuffled import CHANCE, control
from local.errors import StoppedError
from local.stopping import StopSignal

PHOTOS = 300
EPOCHS = 12
COLOURS = {1: (200, 30, 30), 2: (30, 180, 40), 3: (40, 60, 210), 4: (220, 210, 40), 5: (20, 20, 20)}


def coloured(count: int, seed: int) -> bytes:
    """A JPEG in the colour of its count with a few blots: a network learns such a count in two epochs."""
    chance = random.Random(seed)
    image = Image.new("RGB", (40, 40), COLOURS[count])
    draw = ImageDraw.Draw(image)
    for _ in range(3):
        left, top = chance.randrange(32), chance.randrange(32)
        draw.rectangle((left, top, left + 6, top + 6), fill=tuple(chance.randrange(256) for _ in range(3)))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=92)
    return buffer.getvalue()


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Class folders of photos whose ids are so far apart that each is a bin of its own."""
    folder = tmp_path / "photos"
    for number in range(PHOTOS):
        count = number % 5 + 1
        (folder / str(count)).mkdir(parents=True, exist_ok=True)
        (folder / str(count) / f"{number * 5:05d}.jpg").write_bytes(coloured(count, number))
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
    choices = Choices(photos, backbone="resnet18", image_size=32, epochs=EPOCHS, members=1, seeds=1)
    return Bench(choices, Jobs(tmp_path / "jobs", stop), Progress(said))


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


@pytest.mark.e2e
def test_one_plain_training_meets_every_seed_of_the_default_recipe(tmp_path: Path, photos: Path) -> None:
    choices = Choices(photos, backbone="resnet18", image_size=32, epochs=2, members=2, seeds=2, plain_seeds=1)
    jobs = Jobs(tmp_path / "jobs", StopSignal())
    result = compare(Bench(choices, jobs, Progress(io.StringIO())))
    one, two = result["seeds"]
    assert one["models"]["plain"]["training"] == two["models"]["plain"]["training"]
    assert one["models"]["default"]["training"] != two["models"]["default"]["training"]
    longest = max(row["models"]["default"]["figures"]["seconds"] for row in (one, two))
    as_long = next(claim for claim in result["claims"] if "as long" in claim["name"])
    assert as_long["holds"] == (one["models"]["plain"]["figures"]["seconds"] >= longest)
    assert result["over_seeds"]["plain"]["accuracy"]["deviation"] == 0
    page = comparison(result | {"machine": MACHINE, "code": "abc"})
    assert page.count("| seed 0 | seed 1 |") == 1, "two seeds of the default recipe, one of the plain one"

    started = jobs.started
    assert compare(Bench(choices, jobs, Progress(io.StringIO()))) == result
    assert jobs.started == started


@pytest.mark.e2e
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
    # Five colours are five answers and no more, so by chance one or two of them are right; whether that is chance by
    # the interval, which takes photos for separate draws, is for real photos.
    assert row["baseline_balanced_accuracy"] - row["figures"]["balanced_accuracy"] > 0.3
    low, high = row["interval"]
    assert result["at_chance"] == (low <= CHANCE <= high)
    assert row["refused"]
    assert row["gate"]["verdict"] == "reject"
    assert result["holds"] == result["at_chance"]
    page = control_page(result | {"machine": MACHINE, "code": "abc"})
    assert "| 0    |" in page
    assert ("NO" in page) != result["holds"]

    once_more = bench(tmp_path, photos, io.StringIO(), StopSignal())
    assert control(once_more) == result
    assert once_more.jobs.started == 0


MACHINE = {"processor": "any", "cpus": 1, "memory_gib": 1, "system": "Linux", "python": "3.11", "load": 0.0}
