"""`make bench-serving`: photos, peers, options, and that what goes wrong is said. Its run: test_quick_run.py."""

import ast
import contextlib
import io
import os
import re
import shlex
import subprocess
import sys
from collections import Counter
from pathlib import Path

import psutil
import pytest
from PIL import Image

from benchmarks.errors import BenchError
from benchmarks.photos import drawn_photos, read_photos, sizes
from benchmarks.serving import environments, rounds
from benchmarks.serving.__main__ import _options, main
from benchmarks.serving.artifact import make_artifact
from benchmarks.serving.environments import environment
from benchmarks.serving.rounds import Bench, Entry, Figures
from benchmarks.serving.servers import SERVERS, Place, Server, Setup, running, tuning_grid
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
    with pytest.raises(BenchError, match=r"has 6 \*.jpg files, 7 are wanted: fewer --photos, or another --data"):
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


SLEEPER = """
import os, pathlib, signal, subprocess, sys, time
stubborn = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"
child = subprocess.Popen([sys.executable, "-c", stubborn], stdout=subprocess.PIPE)
child.stdout.readline()
pathlib.Path("pids").write_text(f"{os.getpid()} {child.pid}")
print("it is mute", flush=True)
"""


@pytest.mark.parametrize("then", ["os._exit(3)", "time.sleep(60)"], ids=["ends by itself", "goes on"])
def test_a_server_that_gives_no_answer_is_named_with_its_log_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, then: str
) -> None:
    monkeypatch.setattr("benchmarks.serving.servers._START_SECONDS", 2.0)
    monkeypatch.setattr("benchmarks.serving.servers._END_SECONDS", 1.0)
    server = Server("Mute", lambda _place, _setup: ([sys.executable, "-c", SLEEPER + then], {}))
    place = Place(HERE, tmp_path, tmp_path / "mute", free_port())
    said = r"Mute \(2 x 1\) gave no answer; its log, .*log.txt, ends: it is mute"
    with pytest.raises(BenchError, match=said), running(server, Setup(2, 1), place, b""):
        pytest.fail("it is no server")
    pids = [int(pid) for pid in (tmp_path / "mute" / "pids").read_text().split()]
    assert len(pids) == 2
    assert not [pid for pid in pids if psutil.pid_exists(pid) and psutil.Process(pid).status() != "zombie"]


def test_variables_of_a_person_tune_no_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WEB_CONCURRENCY", "TS_CONFIG_FILE", "OMP_NUM_THREADS", "BENTOML_CONFIG"):
        monkeypatch.setenv(name, "9")
    monkeypatch.setattr("benchmarks.serving.servers._START_SECONDS", 5.0)
    code = "import os; print(sorted(os.environ))"
    server = Server("Teller", lambda _place, _setup: ([sys.executable, "-c", code], {"OWN": "1"}))
    with pytest.raises(BenchError) as told, running(server, Setup(), Place(HERE, tmp_path, tmp_path, 1), b""):
        pytest.fail("it is no server")
    seen = set(ast.literal_eval(str(told.value).partition("ends: ")[2]))
    assert {"OWN", "BENCH_ARTIFACT", "PATH", "PYTHONPATH"} <= seen
    assert seen <= {"OWN", "BENCH_ARTIFACT", "PATH", "PYTHONPATH", "HOME", "LANG", "LC_ALL", "LC_CTYPE", "TMPDIR"}


GRIDS = {1: [1, 2], 2: [1, 2, 4], 6: [1, 2, 4, 6, 8], 16: [1, 2, 4, 8, 16, 32]}


@pytest.mark.parametrize("cpus", GRIDS)
def test_the_grid_has_a_process_a_cpu_and_twice_as_many(cpus: int) -> None:
    grid = tuning_grid(cpus)
    assert sorted({setup.workers for setup in grid if setup.workers}) == GRIDS[cpus]
    assert {setup.threads for setup in grid} == {1, 2}


def test_a_peer_that_fails_in_a_round_is_left_out_and_the_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    turns: list[str] = []

    def turn(_bench: Bench, entry: Entry, figures: Figures) -> None:
        turns.append(entry.name)
        if entry.name == "LitServe" and turns.count("LitServe") == 2:
            raise BenchError("it fell over")
        figures.rates[4] = [1.0]

    monkeypatch.setattr(rounds, "_turn", turn)
    monkeypatch.setattr(rounds, "_limit", lambda _bench: 9.0)
    bench = Bench(tmp_path, tmp_path, tmp_path, tmp_path, 1.0, 3, (4,), lambda _text: None)
    entries = [Entry(server, Setup(), headline=True) for server in (SERVERS[0], SERVERS[3])]
    missing: list[str] = []
    figures, limits = rounds.measure(bench, entries, missing)
    assert (set(figures), limits, missing) == ({"Tally"}, [9.0] * 3, ["LitServe: it fell over"])
    assert Counter(turns) == {"Tally": 3, "LitServe": 2}


WRONG = {
    "--servers torchserv": "--servers names torchserv; there are bentoml, flask, litserve, torchserve, or none",
    "--rounds 0": "--rounds is 0; it must be at least 1",
    "--seconds nan": "--seconds is nan; it must be at least 0.1",
    "--photos 1 --quick": "--photos is 1; it must be at least 2",
    "--concurrency 4 0": "--concurrency is 0; it must be at least 1",
}


@pytest.mark.parametrize("words", WRONG)
def test_a_wrong_option_is_named_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str], words: str) -> None:
    with contextlib.suppress(SystemExit):
        assert main([*words.split(), "--out", str(tmp_path)]) == 1
    assert WRONG[words] in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_quick_changes_defaults_only() -> None:
    found = _options(["--quick", "--rounds", "3"])
    assert (found.rounds, found.seconds, found.photos) == (3, 2.0, 100)


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


def test_a_network_whose_answers_cannot_be_spread_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match=r"squeezenet1_1 has no linear head, .*; choose another --backbone"):
        make_artifact(tmp_path, drawn_photos(2), "squeezenet1_1", 64, None)


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
