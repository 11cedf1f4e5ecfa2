"""The emulator as a process: how it starts, what it says when it cannot, and that nothing is left of it."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from local.emulator import children, environment, versions
from local.emulator.client import EmulatorProcess
from local.emulator.errors import EmulatorError
from tests.local.emulator.conftest import _zipped

MODULE = "tests.local.emulator.server"
SLEEPER = "import time\ndef handler(event, _context):\n    time.sleep(event['seconds'])\n    return 'rested'\n"


@pytest.fixture
def emulator(tmp_path: Path) -> EmulatorProcess:
    return EmulatorProcess(tmp_path / "account", module=MODULE)


def create_sleeper(emulator: EmulatorProcess, folder: Path) -> None:
    create_function(emulator, folder, "sleeper", SLEEPER)


def create_function(emulator: EmulatorProcess, folder: Path, name: str, source: str) -> None:
    (folder / "handler.py").write_text(source)
    emulator.client("lambda").create_function(
        FunctionName=name,
        Runtime="python3.13",
        Handler="handler.handler",
        Role=f"arn:aws:iam::{environment.ACCOUNT}:role/any",
        Code={"ZipFile": _zipped(folder)},
        Timeout=60,
    )


def test_a_taken_port_is_named(emulator: EmulatorProcess) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        taken = EmulatorProcess(emulator.folder, port=port, module=MODULE)
        with pytest.raises(
            EmulatorError, match=f"(?s)exit code 1.*port {port} cannot be used.*choose another port"
        ) as caught:
            taken.start()
    assert "Traceback" not in str(caught.value)


def test_an_emulator_ends_with_the_process_it_was_started_for(emulator: EmulatorProcess) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as parent:
        bound = EmulatorProcess(emulator.folder, module=MODULE, arguments=["--parent", str(parent.pid)])
        bound.start()
        process = psutil.Process(bound.pid)
        parent.kill()
    process.wait(10)
    bound.stop()


def test_a_folder_has_one_emulator(emulator: EmulatorProcess) -> None:
    with emulator:
        second = EmulatorProcess(emulator.folder, module=MODULE)
        with pytest.raises(EmulatorError, match="an emulator already runs in"):
            second.start()


def test_it_is_found_again_and_ended_by_another_process(emulator: EmulatorProcess) -> None:
    with pytest.raises(EmulatorError, match="no emulator runs in"):
        EmulatorProcess.attach(emulator.folder)
    emulator.start()
    try:
        code = (
            "import sys; from pathlib import Path; from local.emulator.client import EmulatorProcess\n"
            "found = EmulatorProcess.attach(Path(sys.argv[1])); found.check(); found.stop()"
        )
        subprocess.run(
            [sys.executable, "-c", code, str(emulator.folder)], check=True, env=os.environ | {"PYTHONPATH": "."}
        )
        with pytest.raises(EmulatorError, match="ended by itself"):
            emulator.check()
    finally:
        emulator.stop()


def test_a_sudden_end_is_reported_with_the_end_of_the_log(emulator: EmulatorProcess) -> None:
    with emulator:
        emulator.check()
        os.kill(emulator.pid, signal.SIGKILL)
        with pytest.raises(EmulatorError, match=r"ended by itself \(ended by SIGKILL\)"):  # noqa: PT012
            while True:
                emulator.check()
                time.sleep(0.01)


def test_a_working_function_does_not_outlive_the_emulator(emulator: EmulatorProcess, tmp_path: Path) -> None:
    with emulator:
        create_sleeper(emulator, tmp_path)
        functions = emulator.client("lambda")
        functions.invoke(FunctionName="sleeper", InvocationType="Event", Payload=json.dumps({"seconds": 60}))
        deadline = time.monotonic() + 10
        while len(children.find(emulator.folder)) < 2 and time.monotonic() < deadline:  # the emulator and its worker
            time.sleep(0.05)
        assert len(children.find(emulator.folder)) == 2
        began = time.monotonic()
    assert time.monotonic() - began < 10
    assert children.find(emulator.folder) == []


def test_workers_of_a_killed_emulator_are_ended_by_the_next_one(emulator: EmulatorProcess, tmp_path: Path) -> None:
    emulator.start()
    create_sleeper(emulator, tmp_path)
    functions = emulator.client("lambda")
    functions.invoke(FunctionName="sleeper", Payload=json.dumps({"seconds": 0}))
    functions.invoke(FunctionName="sleeper", InvocationType="Event", Payload=json.dumps({"seconds": 60}))
    worker = next(process for process in children.find(emulator.folder) if process.pid != emulator.pid)
    time.sleep(0.2)  # an idle worker ends with its input; this one is at work
    os.kill(emulator.pid, signal.SIGKILL)
    psutil.Process(emulator.pid).wait(5)
    assert worker.is_running()
    with EmulatorProcess(emulator.folder, module=MODULE):
        assert not worker.is_running()
    emulator.stop()


def test_processes_of_an_emulator_in_a_folder_below_are_left_alone(tmp_path: Path) -> None:
    inner = tmp_path / "inner"
    environment = {**os.environ, children.MARK: str(inner), "TALLY_ML_ROOT": str(inner / "job")}
    with subprocess.Popen(["sleep", "60"], env=environment) as job:
        children.end(tmp_path)
        assert job.poll() is None
        children.end(inner)
        job.wait(5)


def test_nothing_is_left_in_the_folder_for_temporary_files(
    emulator: EmulatorProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (temporary := tmp_path / "temporary").mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    for signal_number in (signal.SIGTERM, signal.SIGKILL):
        emulator.start()
        create_sleeper(emulator, tmp_path)
        emulator.client("lambda").invoke(FunctionName="sleeper", Payload=json.dumps({"seconds": 0}))
        os.kill(emulator.pid, signal_number)
        psutil.Process(emulator.pid).wait(10)
        emulator.stop()
        assert list(temporary.iterdir()) == []
    with emulator:
        assert list((emulator.folder / "temporary").iterdir()) == []
    assert not (emulator.folder / "temporary").exists()


def test_a_persons_own_aws_settings_do_not_reach_the_emulator_or_its_functions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = {"AWS_PROFILE": "work", "AWS_ENDPOINT_URL_S3": "http://localhost:1", "AWS_SESSION_TOKEN": "secret"}
    for name, value in theirs.items():
        monkeypatch.setenv(name, value)
    source = (
        "import os\ndef handler(_event, _context):\n    return {k: v for k, v in os.environ.items() if 'AWS' in k}\n"
    )
    (tmp_path / "handler.py").write_text(source)
    with EmulatorProcess(tmp_path / "account", module=MODULE) as emulator:
        assert not set(theirs) & set(emulator.child_environment)
        create = emulator.client("lambda").create_function
        role = f"arn:aws:iam::{environment.ACCOUNT}:role/any"
        code = {"ZipFile": _zipped(tmp_path)}
        create(FunctionName="tell", Runtime="python3.13", Handler="handler.handler", Role=role, Code=code)
        answer = emulator.client("lambda").invoke(FunctionName="tell")
        seen = json.load(answer["Payload"])
        endpoint = emulator.endpoint
    assert seen["AWS_ENDPOINT_URL"] == endpoint
    assert "AWS_PROFILE" not in seen
    assert "AWS_ENDPOINT_URL_S3" not in seen
    assert seen["AWS_SESSION_TOKEN"] == ""


def test_another_version_of_what_is_mended_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    versions.check()
    monkeypatch.setitem(versions.PINNED, "ministack", "1.5.32")
    with pytest.raises(EmulatorError, match=r"ministack is 1.5.33; local/emulator mends 1.5.32.*make .venv/installed"):
        versions.check()
