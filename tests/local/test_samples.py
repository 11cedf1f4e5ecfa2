"""Sample photos are drawn aside: all of them or an error, and nothing goes on when nobody waits any more."""

import time
from pathlib import Path

import psutil
import pytest

from local.errors import LocalError
from local.samples import sample_photos
from local.settings import RunSettings


class Said:
    def __init__(self):
        self.lines = []

    def say(self, text):
        self.lines.append(text)


def test_they_are_drawn_once(tmp_path):
    settings, said = RunSettings(build=tmp_path, sample_photos=20), Said()
    for _ in range(2):
        with sample_photos(settings, said) as drawn:
            folder = drawn()
            assert len(list((folder / "bin-images").iterdir())) == 20
    assert len(said.lines) == 1
    assert [path.name for path in folder.parent.iterdir()] == ["20-photos-seed-0"]


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "sample").write_text("in the way")
    with (
        sample_photos(RunSettings(build=tmp_path, sample_photos=20), Said()) as drawn,
        pytest.raises(
            LocalError, match=r"(?s)sample photos in .*20-photos-seed-0.partial could not be drawn: .*sample"
        ),
    ):
        drawn()


def drawing(build):
    return [
        process for process in psutil.process_iter(["cmdline"]) if str(build) in " ".join(process.info["cmdline"] or [])
    ]


def run_that_fails(build):
    with sample_photos(RunSettings(build=build, sample_photos=5000), Said()):
        while not list(build.rglob("*.jpg")):
            time.sleep(0.02)
        for process in drawing(build):
            assert process.nice() > psutil.Process().nice(), "the deployment, which takes longer, comes first"
            group = Path(f"/proc/{process.pid}/autogroup")
            if group.exists() and (weight := group.read_text()):  # empty where Linux was told to do without
                assert weight.endswith(" nice 15\n")
        raise RuntimeError("deployment failed")


def test_drawing_ends_with_a_run_that_fails(tmp_path):
    with pytest.raises(RuntimeError, match="deployment failed"):
        run_that_fails(tmp_path)
    deadline = time.monotonic() + 10  # what was told to end may take a moment
    while left := drawing(tmp_path):
        assert time.monotonic() < deadline, left
        time.sleep(0.05)
    assert not (tmp_path / "sample" / "5000-photos-seed-0").exists()
