import os
import sys
import time
from pathlib import Path

import psutil
import pytest

from local.memory import MemoryMeter
from local.processes import Process, marked, run_together
from local.stopping import StopSignal

GRANDCHILD = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True)
print("child", child.pid, flush=True)
"""


@pytest.fixture
def start(tmp_path: Path):
    started = []

    def start_program(program: str, name: str = "algo-1", **more) -> Process:
        environment = {**os.environ, "TALLY_ML_ROOT": str(tmp_path / name)}
        log = tmp_path / "logs" / f"{name}.log"
        more.setdefault("meter", MemoryMeter())
        process = Process([sys.executable, "-c", program], environment=environment, folder=tmp_path, log=log, **more)
        started.append(process)
        return process

    yield start_program
    for process in started:
        process.finish()


def test_output_goes_to_the_log_and_to_the_listener_line_by_line(start, tmp_path):
    lines = []
    process = start("import sys; print('one'); print('two', file=sys.stderr)", on_line=lines.append)
    assert run_together([process], stop=StopSignal(), max_seconds=20, grace_seconds=1) == ("completed", [])
    assert sorted(lines) == ["one", "two"]
    assert sorted((tmp_path / "logs" / "algo-1.log").read_text().split()) == ["one", "two"]


def test_a_failing_instance_ends_its_peer(start):
    failing = start("raise SystemExit(3)", "algo-1")
    waiting = start("import time; time.sleep(60)", "algo-2")
    started = time.monotonic()
    ending, failed = run_together([failing, waiting], stop=StopSignal(), max_seconds=30, grace_seconds=5)
    assert (ending, failed) == ("failed", [failing])
    assert (failing.exit_text(), waiting.exit_text()) == ("exit code 3", "ended by SIGTERM")
    assert time.monotonic() - started < 5


def test_a_process_that_ignores_sigterm_is_killed_after_the_grace_period(start):
    lines = []
    program = "import signal, time; signal.signal(15, signal.SIG_IGN); print('ready', flush=True); time.sleep(60)"
    process = start(program, on_line=lines.append)
    while not lines:
        time.sleep(0.02)
    stop = StopSignal()
    stop.set("test")
    assert run_together([process], stop=stop, max_seconds=30, grace_seconds=0.3)[0] == "stopped"
    assert process.exit_text() == "ended by SIGKILL"


def test_a_job_that_runs_too_long_is_ended(start):
    process = start("import time; time.sleep(60)")
    assert run_together([process], stop=StopSignal(), max_seconds=0.3, grace_seconds=2)[0] == "timeout"


def test_what_an_instance_leaves_behind_in_a_session_of_its_own_is_ended_with_it(start, tmp_path):
    lines = []
    process = start(GRANDCHILD, on_line=lines.append)
    assert run_together([process], stop=StopSignal(), max_seconds=20, grace_seconds=1)[0] == "completed"
    child = int(lines[0].split()[1])
    gone, alive = psutil.wait_procs([psutil.Process(child)] if psutil.pid_exists(child) else [], timeout=2)
    assert not alive, gone
    assert marked(str(tmp_path / "algo-1")) == []


def test_the_peak_of_memory_counts_children(start):
    hold = "b = bytearray(80_000_000); import time; time.sleep(1.6)"
    run = MemoryMeter()
    job = MemoryMeter(run)
    process = start(f"import subprocess, sys; subprocess.run([sys.executable, '-c', {hold!r}])", meter=job)
    run_together([process], stop=StopSignal(), max_seconds=20, grace_seconds=1)
    assert 80 < job.peak_mb == run.peak_mb


def test_the_peak_of_several_is_the_most_that_they_held_at_the_same_time():
    run = MemoryMeter()
    one, two = MemoryMeter(run), MemoryMeter(run)
    one.hold(1, 3_000_000)
    two.hold(2, 2_000_000)
    one.hold(1, 0)
    two.hold(2, 4_000_000)
    assert (one.peak_mb, two.peak_mb, run.peak_mb) == (3, 4, 5)
