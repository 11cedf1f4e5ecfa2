"""`make bench QUICK=1`: every part for real, in short windows."""

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from benchmarks.__main__ import DOCS, PARTS
from benchmarks.modules import ROOT
from benchmarks.serving.limit import photos_per_second

pytestmark = pytest.mark.e2e
QUICK = [name for name, part in PARTS.items() if part.quick is not None]
BACKBONE = "shufflenet_v2_x0_5"


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the run left what it found."""
    folder = tmp_path_factory.mktemp("quick")
    unchanged = [(ROOT / name).read_bytes() for name in (DOCS, "cdk.json")]
    command = [sys.executable, "-m", "benchmarks", "--quick", "--out", str(folder)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "model_code")}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    (folder / "printed").write_text(done.stdout)
    assert done.returncode == 0, done.stderr
    assert [(ROOT / name).read_bytes() for name in (DOCS, "cdk.json")] == unchanged
    return folder


def found(out: Path, name: str) -> Any:
    """A part's figures; its table was printed."""
    assert (out / f"{name}.md").read_text() in (out / "printed").read_text()
    return json.loads((out / f"{name}.json").read_text())


@pytest.mark.parametrize("part", [name for name in QUICK if name != "serving"])
def test_every_part_writes_its_tables(out: Path, part: str) -> None:
    for table in PARTS[part].tables:
        assert found(out, table)["machine"]["cpus"] == len(os.sched_getaffinity(0))


def test_our_server_counts_every_photo(out: Path) -> None:
    ours = found(out, f"serving_{BACKBONE}")["entries"]["Tally"]
    assert (ours["failed"], ours["agreement"], len(ours["start"])) == (0, 1.0, 1)
    assert len(Counter(ours["counts"])) > 1, "servers that prepare photos otherwise could not be told apart"
    assert min(ours["rates"]["4"]) > 5
    assert 20 < ours["memory"][0] < 500
    photos = min((out / "serving").glob("photos-*"))  # those of capacity are there, too
    (artifact,) = (out / "models").iterdir()  # one was exported for serving, evaluation and capacity
    assert artifact.name.startswith(f"{BACKBONE}-64-")
    assert photos_per_second(artifact, photos, 0.5, 1) > 5


def test_training_is_measured_from_all_sides(out: Path) -> None:
    training = found(out, "training")
    comparisons = [training[name] for name in ("loader", "step", "ranks")]
    assert {len(figures) for sides in comparisons for figures in sides.values()} == {1}
    assert all(figures[0]["photos_per_second"] > 0 for sides in comparisons for figures in sides.values())
    assert list(training["step"]) == ["shards", "memory"]
    said = (out / "training.md").read_text()
    for words in ("the photos/s of ImageFolder, at", "training steps: ", "| ranks: 1 x "):
        assert words in said


def test_capacity_ends_with_a_rate_that_is_carried_and_charts(out: Path) -> None:
    capacity = found(out, "capacity")
    assert capacity["rate"] > 5
    assert capacity["windows"][-1]["objection"] is None
    assert (out / "capacity.html").read_text().count("<svg") == 4
