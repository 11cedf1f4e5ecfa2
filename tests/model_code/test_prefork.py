"""The server's worker processes: they die, are killed, do not start, and nobody else may notice."""

import asyncio
import os
import signal
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tally.cpus import usable_cpus
from tally.prefork import _ANSWER, Answer, _Request, _Worker
from tests.model_code.test_server import free_port, post, request, running, start
from tests.model_code.tiny_model import photo, write_model

FATAL = photo(red=5)
DEADLY = f"""
import os, signal, time
from tally import server
from tally.paths import MlPaths
from tally.predictor import Predictor
sound = Predictor.predict
def predict(self, photo):
    if photo == {FATAL!r}:
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(0.05)
    return sound(self, photo)
Predictor.predict = predict
server.serve(lambda: Predictor.load(MlPaths.from_env().model))
"""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("ml")
    write_model(root / "model")
    return root


@given(st.lists(st.tuples(st.integers(100, 599), st.binary(max_size=20)), max_size=5), st.data())
def test_answers_that_come_in_any_pieces_are_those_that_were_sent(answers: list[Answer], data: st.DataObject) -> None:
    async def received(connection: socket.socket) -> list[Answer]:
        worker = _Worker(0, connection, asyncio.Semaphore(0), lambda _: None)
        futures = [asyncio.get_running_loop().create_future() for _ in answers]
        for future in futures:
            worker.give(_Request(b"", future))
        sent = b"".join(_ANSWER.pack(status, len(body)) + body for status, body in answers)
        while sent:
            length = data.draw(st.integers(1, len(sent)))
            worker.data_received(sent[:length])
            sent = sent[length:]
        return list(await asyncio.wait_for(asyncio.gather(*futures), 1))

    with socket.socket() as connection:
        assert asyncio.run(received(connection)) == answers


def test_there_is_a_worker_for_each_cpu(root: Path) -> None:
    with running(root) as (_, process):
        assert len(psutil.Process(process.pid).children()) == usable_cpus()


def test_only_the_photo_over_which_a_worker_died_fails(root: Path) -> None:
    with running(root, DEADLY) as (port, process), ThreadPoolExecutor(16) as pool:
        counts = [5 if number % 8 == 3 else 1 + number % 4 for number in range(32)]
        found = list(pool.map(lambda count: post(port, photo(red=count)), counts))
        assert [status for status, _ in found] == [500 if count == 5 else 200 for count in counts]
        assert [answer["count"] for status, answer in found if status == 200] == [
            count for count in counts if count < 5
        ]
        assert {answer["code"] for status, answer in found if status == 500} == {"internal_error"}
        assert len(psutil.Process(process.pid).children()) == usable_cpus()
        process.send_signal(signal.SIGTERM)
        log = process.communicate(timeout=10)[1]
        assert process.returncode == 0
        assert log.count("ended by signal 9") == counts.count(5)
        assert "Traceback" not in log


def test_a_worker_that_dies_idle_is_replaced(root: Path) -> None:
    with running(root) as (port, process):
        before = {child.pid for child in psutil.Process(process.pid).children()}
        os.kill(min(before), signal.SIGKILL)
        deadline = time.monotonic() + 10
        while len(after := {child.pid for child in psutil.Process(process.pid).children()} - before) == 0:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert len(after) == 1
        assert [post(port, photo(red=2))[1]["count"] for _ in range(4)] == [2] * 4


def test_a_worker_that_hangs_is_replaced(root: Path) -> None:
    impatient = DEADLY.replace(
        "Predictor.predict =", "from tally import prefork; prefork._ANSWER_SECONDS = 1.0; Predictor.predict ="
    )
    with running(root, impatient) as (port, process), ThreadPoolExecutor(8) as pool:
        workers = psutil.Process(process.pid).children()
        for worker in workers:
            worker.suspend()
        found = list(pool.map(lambda count: post(port, photo(red=count)), [1, 2, 3, 4]))
        assert sorted(status for status, _ in found) == [200] * (4 - len(workers)) + [500] * len(workers)
        assert post(port, photo(red=3))[1]["count"] == 3
        assert not {worker.pid for worker in workers} & {child.pid for child in psutil.Process(process.pid).children()}


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_no_worker_outlives_the_server(root: Path, how: signal.Signals) -> None:
    with running(root) as (port, process):
        workers = psutil.Process(process.pid).children()
        os.kill(workers[0].pid, signal.SIGKILL)  # its successor holds what the server has opened since
        time.sleep(0.3)
        assert post(port, photo(red=2))[0] == 200
        workers = psutil.Process(process.pid).children()
        process.send_signal(how)
        assert process.wait(10) == (0 if how == signal.SIGTERM else -how)
        assert psutil.wait_procs(workers, timeout=5)[1] == []


def test_a_worker_that_does_not_get_ready_is_an_error_before_anything_listens(root: Path) -> None:
    code = """
import sys
from tally.__main__ import main
from tally.predictor import Predictor
def warm_up(self):
    raise MemoryError("no room")
Predictor.warm_up = warm_up
sys.exit(main(["serve"]))
"""
    port = free_port()
    process = start(root, port, code)
    log = process.communicate(timeout=30)[1]
    assert process.returncode == 1
    assert "MemoryError: no room" in log
    assert "error: worker" in log
    with pytest.raises(OSError, match="refused"):
        request(port, "GET", "/ping")
