"""`make bench-serving`, in short: our server alone, for real; and what goes wrong is said."""

import io
import json
import os
import re
import shlex
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from PIL import Image

from benchmarks.serving import environments
from benchmarks.serving.environments import environment
from benchmarks.serving.errors import BenchError
from benchmarks.serving.limit import photos_per_second
from benchmarks.serving.photos import drawn_photos, read_photos, sizes
from benchmarks.serving.servers import SERVERS, Place, Server, Setup, running
from local.jobs.workspace import free_port
from tests.model_code.jobs import MODEL_CODE

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(sys.executable)


def test_drawn_photos_are_of_the_usual_size_and_always_the_same() -> None:
    photos = drawn_photos(10)
    assert photos == drawn_photos(10)
    assert len(set(photos)) == 10
    usual = sizes(photos)
    assert (usual["width"], 300 < usual["height"] < 420, 40_000 < usual["bytes"] < 80_000) == (477, True, True)


def test_photos_of_a_folder_are_spread_over_it_and_must_be_enough_and_whole(tmp_path: Path) -> None:
    for number in range(6):
        Image.new("RGB", (40 + number, 40)).save(tmp_path / f"{number}.jpg")
    widths = [Image.open(io.BytesIO(photo)).width for photo in read_photos(tmp_path, 3)]
    assert widths == [40, 42, 44]
    with pytest.raises(BenchError, match=r"has 6 \*.jpg files, 7 are wanted: name another folder with --data"):
        read_photos(tmp_path, 7)
    (tmp_path / "4.jpg").write_bytes(b"no photo")
    with pytest.raises(BenchError, match=r"4.jpg cannot be counted: the body is no image"):
        read_photos(tmp_path, 3)


def test_a_peer_that_cannot_be_installed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "absent.txt").write_text("tally-has-no-such-package==1 ; python_version < '3'\n./nowhere\n")
    monkeypatch.setattr(environments, "REQUIREMENTS", tmp_path)
    with pytest.raises(BenchError, match=r"(?s)environment of absent cannot be made: .*nowhere"):
        environment("absent", tmp_path / "made")
    assert not (tmp_path / "made" / "absent" / "installed.txt").exists()


@pytest.mark.parametrize("code", ["print('it is'); raise SystemExit(3)", "import time; time.sleep(60)"])
def test_a_server_that_gives_no_answer_is_named_with_its_log_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    monkeypatch.setattr("benchmarks.serving.servers._START_SECONDS", 1.0)
    server = Server("Mute", lambda _place, _setup: ([sys.executable, "-c", code], {}))
    place = Place(HERE, tmp_path, tmp_path / "mute", free_port())
    said = "Mute \\(2 x 1\\) gave no answer; its log, .*log.txt, ends: " + ("it is" if "print" in code else "")
    with pytest.raises(BenchError, match=said), running(server, Setup(2, 1), place, b""):
        pytest.fail("it is no server")


@pytest.mark.parametrize(
    "server", [server for server in SERVERS if server.requirements], ids=lambda server: server.name
)
def test_every_peer_is_pinned_in_the_version_that_its_list_names(server: Server) -> None:
    folder = environments.REQUIREMENTS
    asked, pinned = ((folder / f"{server.requirements}.{kind}").read_text() for kind in ("in", "txt"))
    named = [line.split()[0] for line in asked.splitlines() if "==" in line]
    assert named
    assert set(named) <= set(pinned.splitlines())
    common = {line for line in (ROOT / "requirements" / "train.txt").read_text().splitlines() if "torch" in line[:12]}
    assert {line for line in pinned.splitlines() if line.startswith(("torch==", "torchvision=="))} <= common


@pytest.mark.e2e
def test_our_server_alone(tmp_path: Path) -> None:
    words = ["--backbone", "squeezenet1_1", "--image-size", "64", "--photos", "20", "--rounds", "2", "--seconds", "1"]
    command = [sys.executable, "-m", "benchmarks.serving", *words, "--servers", "none", "--out", str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": str(MODEL_CODE)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "squeezenet1_1 has no linear head" in done.stderr
    command[command.index("squeezenet1_1")] = "shufflenet_v2_x0_5"
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "round 2 of 2, Tally: " in done.stderr
    found = json.loads((tmp_path / "serving_shufflenet_v2_x0_5.json").read_text())
    ours = found["entries"]["Tally"]
    assert (ours["failed"], ours["agreement"], len(ours["start"])) == (0, 1.0, 2)
    assert len(Counter(ours["counts"])) > 1, "servers that prepare photos otherwise could not be told apart"
    assert min(ours["rates"]["4"]) > 5
    assert 20 < ours["memory"][0] < 500
    assert (tmp_path / "serving_shufflenet_v2_x0_5.md").read_text() == done.stdout
    folder = tmp_path / "serving"
    one = photos_per_second(folder / "shufflenet_v2_x0_5", folder / "photos", 1.0, 1)
    assert one > 5


def test_make_passes_every_option() -> None:
    words = ["DATA=it's", "BACKBONE=resnet50", "QUICK=1", "SERVERS=flask"]
    make = ["make", "--no-print-directory", "-n", "bench-serving", *words]
    done = subprocess.run(make, cwd=ROOT, capture_output=True, text=True, check=True)
    before, _, options = done.stdout.replace("\\\n", " ").partition("benchmarks.serving")
    assert "PYTHONPATH=model_code" in before
    given = ["--data", "it's", "--backbone", "resnet50", "--servers", "flask", "--quick"]
    assert shlex.split(options) == given
    said = subprocess.run(
        [sys.executable, "-m", "benchmarks.serving", "--help"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(MODEL_CODE)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    variables = re.findall(r"[A-Z_]+", (ROOT / "Makefile").read_text().split("SERVING_VARIABLES :=")[1].split("\n")[0])
    options_of_make = {f"--{name.lower().replace('_', '-')}" for name in variables} | {"--quick", "--concurrency"}
    assert set(re.findall(r"^  (--[a-z-]+)", said, re.M)) == options_of_make
