"""The emulator as seen by whoever needs it: started in a session of its own, ready, ended for certain."""

import contextlib
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import boto3
import botocore.session
import psutil
from botocore.config import Config

from local.emulator import children, environment
from local.emulator.errors import EmulatorError
from local.emulator.process import RUNNING, read_running

REPOSITORY = Path(__file__).resolve().parents[2]
LOG = "emulator.log"
_START_SECONDS = 60.0
_STOP_SECONDS = 60.0  # jobs are given time to end
_LAST_LINES = 15
_CONFIG = Config(retries={"max_attempts": 2, "mode": "standard"}, max_pool_connections=16)


class EmulatorProcess:
    """An emulated account. `folder` holds its log and state; use as a context manager, or `start` and later, also from
    another process, `EmulatorProcess.attach(folder).stop()`.
    """

    def __init__(self, folder: Path, *, port: int = 0, arguments: Sequence[str] = (), module: str = "local.emulator"):
        self.folder = folder.resolve()
        self.port = port
        self._command = [sys.executable, "-m", module, "--port", str(port), "--state", str(self.folder), *arguments]
        self._started: subprocess.Popen[str] | None = None
        self._pid: int | None = None

    @classmethod
    def attach(cls, folder: Path) -> "EmulatorProcess":
        """The emulator that runs in `folder`; EmulatorError when none does."""
        said = read_running(folder.resolve())
        if said is None or not _is_emulator(said["pid"], folder.resolve()):
            raise EmulatorError(f"no emulator runs in {folder}; start one first (make up)")
        emulator = cls(folder, port=said["port"])
        emulator._pid = said["pid"]
        return emulator

    def __enter__(self) -> "EmulatorProcess":
        self.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self.stop()

    @property
    def endpoint(self) -> str:
        """Its address, for AWS_ENDPOINT_URL."""
        return environment.endpoint_url(self.port)

    @property
    def pid(self) -> int:
        """Its process. EmulatorError when it was not started."""
        if self._pid is None:
            raise EmulatorError(f"the emulator in {self.folder} was not started")
        return self._pid

    @property
    def environment(self) -> dict[str, str]:
        """Variables that point boto3, the AWS CLI and the CDK CLI here."""
        return environment.variables(self.port)

    @property
    def child_environment(self) -> dict[str, str]:
        """The whole environment of a child process: this one's without its AWS settings, and `environment`."""
        return environment.for_children(self.port)

    @property
    def log(self) -> Path:
        """What it and its Lambda functions have to complain about."""
        return self.folder / LOG

    def api_url(self, api_id: str, stage: str) -> str:
        """Base address of a REST API's stage, with end slash. AWS's own form, API_ID.execute-api..., is a name that
        only some resolvers find below localhost."""
        return f"{self.endpoint}/restapis/{api_id}/{stage}/_user_request_/"

    def client(self, service: str) -> Any:
        """A boto3 client of the emulated account; a profile in this process's environment is not looked at."""
        own = botocore.session.Session(session_vars={"profile": (None, None, None, None)})
        return boto3.Session(botocore_session=own).client(
            service,
            endpoint_url=self.endpoint,
            region_name=environment.REGION,
            aws_access_key_id=environment.ACCOUNT,
            aws_secret_access_key="local",  # noqa: S106 - opens nothing
            aws_session_token="",
            config=_CONFIG,
        )

    def start(self) -> None:
        """Return once it answers; EmulatorError with the end of its log when it does not."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with self.log.open("w") as log:
            self._started = subprocess.Popen(
                self._command,
                cwd=REPOSITORY,
                env={**os.environ, children.MARK: str(self.folder)},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,  # a Ctrl-C in the terminal is for whoever started it
            )
        try:
            self.port = self._wait_until_ready(self._started)
        except BaseException:
            self.stop()
            raise
        self._pid = self._started.pid

    def detach(self) -> None:
        """Leave it running when this program ends; `attach` finds it again."""
        if self._started is not None:
            if self._started.stdout:
                self._started.stdout.close()
            self._started.returncode = 0  # nobody waits for it any more, and Popen need not warn of that
            self._started = None

    def check(self) -> None:
        """EmulatorError with the end of its log when it has ended by itself."""
        if self._started is not None and self._started.poll() is not None:
            raise EmulatorError(f"the emulator ended by itself ({_how(self._started.returncode)}){self._last_lines()}")
        if self._started is None and (self._pid is None or not _is_emulator(self._pid, self.folder)):
            raise EmulatorError(f"the emulator in {self.folder} has ended{self._last_lines()}")

    def stop(self) -> None:
        """End it and every process it started: asked first, killed if need be."""
        pid = self._started.pid if self._started else self._pid
        if pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
            if not self._ended(pid, _STOP_SECONDS):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                self._ended(pid, _STOP_SECONDS)
        children.end(self.folder)
        (self.folder / RUNNING).unlink(missing_ok=True)
        self._started = self._pid = None

    def _ended(self, pid: int, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self._started is None and not _is_running(pid):
                return True
            if self._started is not None and self._started.poll() is not None:
                if self._started.stdout:
                    self._started.stdout.close()
                return True
            time.sleep(0.02)
        return False

    def _wait_until_ready(self, process: subprocess.Popen[str]) -> int:
        assert process.stdout is not None  # noqa: S101 - Popen was asked for a pipe
        line = ""
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            if selector.select(_START_SECONDS):
                line = process.stdout.readline()
        if line.startswith("ready "):
            return int(line.strip().rsplit(":", 1)[1])
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(1)
        how = "takes a minute" if process.poll() is None else _how(process.returncode)
        raise EmulatorError(f"the emulator did not start ({how}){self._last_lines()}")

    def _last_lines(self) -> str:
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        return "\n  ".join([f"; the end of {self.log}:", *lines[-_LAST_LINES:]]) if lines else ""


def _is_running(pid: int) -> bool:
    """False too for one that has ended and whose parent has not asked how."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _is_emulator(pid: int, folder: Path) -> bool:
    """Whether the process is that emulator: a number may have passed to another process since it was written."""
    return any(process.pid == pid for process in children.find(folder))


def _how(code: int) -> str:
    return f"exit code {code}" if code >= 0 else f"ended by {signal.Signals(-code).name}"
