"""The search for the highest rate: by itself, against servers whose limits are known, and against our own."""

import asyncio
import json
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.capacity import measure as measuring
from benchmarks.capacity.measure import Plan, measure
from benchmarks.capacity.offer import offer
from benchmarks.capacity.others import Others
from benchmarks.capacity.search import confirmed, highest
from benchmarks.capacity.windows import Window, percentile
from benchmarks.errors import BenchError
from benchmarks.serving.servers import SERVERS, Running
from local.jobs.workspace import free_port
from tests.benchmarks.test_serving_load import PHOTOS, Server, ask, counted
from tests.model_code.tiny_model import photo, write_model

BUDGET = 500.0


@given(st.floats(1, 1000), st.floats(0.02, 50), st.floats(0.005, 0.3))
def test_the_limit_is_found_to_the_resolution(limit: float, start: float, resolution: float) -> None:
    asked: list[float] = []

    def holds(rate: float) -> bool:
        asked.append(rate)
        return rate <= limit

    found = highest(holds, limit * start, resolution)
    assert found <= limit <= found * (1 + resolution) * 1.000001
    assert found in asked
    assert len(asked) < 35


@pytest.mark.parametrize(("holds", "said"), [(True, "even .* is carried"), (False, "even .* is not carried")])
def test_a_limit_that_is_not_there_is_said(holds: bool, said: str) -> None:
    with pytest.raises(BenchError, match=f"no limit found: {said}"):
        highest(lambda _rate: holds, 10.0, 0.02)


def test_a_rate_that_long_windows_refute_is_lowered_a_little() -> None:
    assert confirmed(lambda _rate: True, 100.0, 0.02) == 100.0
    assert confirmed(lambda rate: rate < 95, 100.0, 0.05) == pytest.approx(100 / 1.05**2)
    with pytest.raises(BenchError, match=r"100/s held in short windows and 87\.1/s not in a long one"):
        confirmed(lambda rate: rate < 80, 100.0, 0.02)


def window(latencies: tuple[float, ...] = (10.0,) * 100, failed: int = 0, backlog: int = 0) -> Window:
    return Window(100.0, 1.0, latencies, failed, backlog, lag_ms=0.1, client_cpus=0.2)


OBJECTIONS = [
    (window(), None),
    (window(failed=1), "1 of 101 requests failed"),
    (window(latencies=(), failed=0), "0 of 0 requests failed"),
    (window((10.0,) * 99 + (501.0,)), None),
    (window((10.0,) * 98 + (501.0,) * 2), "p99 501 ms is above 500 ms"),
    (window(backlog=8), None),
    (window(backlog=9), "the backlog grew by 9 of 100 requests"),
    (window((10.0,) * 1000, backlog=20), None),
    (window((10.0,) * 1000, backlog=21), "the backlog grew by 21 of 1000 requests"),
]


@pytest.mark.parametrize(("it", "expected"), OBJECTIONS, ids=[str(said) for _, said in OBJECTIONS])
def test_what_an_instance_does_not_carry(it: Window, expected: str | None) -> None:
    assert it.objection(BUDGET) == expected
    assert it.as_dict(BUDGET)["objection"] == expected


@pytest.mark.parametrize(("share", "expected"), [(0.5, 50), (0.99, 99), (0.991, 100), (1.0, 100), (0.01, 1)])
def test_percentiles_are_values_that_were_measured(share: float, expected: float) -> None:
    assert percentile(range(100, 0, -1), share) == expected


def offered(server: Server, rate: float, seconds: float = 1.0) -> Window:
    async def asked(port: int) -> Window:
        found = await offer(port, PHOTOS, rate, seconds, seed=0, warm=0.2)
        await asyncio.sleep(0.1)  # the server sees that connections are closed
        return found

    found = ask(server, asked)
    assert isinstance(found, Window)
    return found


def test_requests_come_at_their_rate_whatever_the_server_does() -> None:
    server = Server(counted, delay=0.05)
    found = offered(server, 100.0)
    assert len(found.latencies) == 100
    assert found.failed == 0
    assert 50 <= found.p50 < 100
    assert abs(found.backlog) <= 12
    assert 4 <= server.connections < 40, "connections are kept"
    assert Window.read(json.loads(json.dumps(found.__dict__))) == found


def test_waiting_for_others_counts() -> None:
    """A closed loop would see 20 ms each; callers see the queue of a server that carries half of what comes."""
    turn = asyncio.Lock()

    class OneByOne(Server):
        async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while True:
                try:
                    head = await reader.readuntil(b"\r\n\r\n")
                except (OSError, asyncio.IncompleteReadError):
                    break
                await reader.readexactly(int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0]))
                async with turn:
                    await asyncio.sleep(0.02)
                writer.write(b"HTTP/1.1 200 x\r\nContent-Length: 0\r\n\r\n")
            writer.close()

    found = offered(OneByOne(counted), 100.0)
    assert found.p50 > 300
    assert found.backlog > 30
    assert "p99" in (found.objection(250.0) or "")


def test_what_is_refused_has_failed() -> None:
    found = offered(Server(lambda _body: (503, b"busy")), 50.0)
    assert (found.latencies, found.failed) == ((), 50)
    assert found.as_dict(BUDGET)["p99_ms"] is None


def test_no_server_is_no_answer() -> None:
    found = asyncio.run(offer(free_port(), PHOTOS, 20.0, 0.5, seed=0, warm=0.1))
    assert not found.latencies
    assert found.failed == 10


def test_what_others_take_of_the_cpus_is_seen_and_what_we_take_is_not() -> None:
    burn = "import time\nend = time.monotonic() + 60\nwhile time.monotonic() < end: pass"
    with (
        subprocess.Popen([sys.executable, "-c", burn]) as ours,
        subprocess.Popen([sys.executable, "-c", burn]) as other,
    ):
        try:
            both = Others(psutil.Process())  # with its children: all of them are ours
            without = Others(psutil.Process(ours.pid))
            began = psutil.Process(other.pid).cpu_times().user, time.monotonic()
            time.sleep(1.0)
            seen, unseen = without.since(), both.since()
            taken = (psutil.Process(other.pid).cpu_times().user - began[0]) / (time.monotonic() - began[1])
            assert seen - unseen > 0.7 * taken > 0.05
        finally:
            ours.kill()
            other.kill()


def test_a_window_that_others_disturb_is_offered_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    taken = iter([0.0, 0.5, 0.0, 0.5, 0.0, 0.5, 0.0, 0.05, 0.0, 0.5])  # of two looks a window
    failed = iter([3, 3, 3, 3, 0])
    said = [json.dumps(vars(window(failed=number))) for number in failed]
    answers = iter(said)
    monkeypatch.setattr(measuring.Others, "_taken", lambda _self: (0.0, 0.0))
    monkeypatch.setattr(measuring.Others, "since", lambda _self: next(taken))
    monkeypatch.setattr(measuring, "run_module", lambda *_words, **_options: next(answers))
    plan = Plan(tmp_path, tmp_path, tmp_path, BUDGET, 1.0, 0.1, 1, 3, 0, lambda _text: None)
    windows: list[Window] = []
    process = psutil.Process()
    ask = measuring._asked(plan, Running(SERVERS[0], 1, process, 0.1, tmp_path), windows)
    assert not ask(100.0, 1.0)
    assert [one.other_cpus for one in windows] == [0.5, 0.5, 0.5], "three times, and then it is believed"
    assert not ask(100.0, 1.0)
    assert len(windows) == 4, "once, for nobody disturbed it"
    assert ask(100.0, 1.0)
    assert len(windows) == 5, "once, for it was carried all the same"


@pytest.mark.e2e
def test_our_own_server_carries_a_rate_and_not_much_more(tmp_path: Path) -> None:
    write_model(tmp_path / "artifact" / "model")
    (tmp_path / "photos").mkdir()
    for count in range(1, 4):
        (tmp_path / "photos" / f"{count}.jpg").write_bytes(photo(red=count, side=1600))
    said: list[str] = []
    plan = Plan(
        artifact=tmp_path / "artifact",
        photos=tmp_path / "photos",
        folder=tmp_path / "server",
        budget_ms=250.0,
        seconds=0.5,
        resolution=0.6,
        starts=1,
        attempts=1,
        seed=0,
        say=said.append,
    )
    found = measure(plan)
    assert found.held.objection(250.0) is None
    assert found.held is found.windows[-1]
    assert found.held.seconds == 2.0
    assert [window for window in found.windows if window.objection(250.0)], "a rate that it does not carry was tried"
    assert 5 < found.held.rate < 3 * found.busy_rate
    assert all(0 <= window.other_cpus <= found.cpus + 1 for window in found.windows)
    assert 0.1 < found.starts[0] < 60
    assert len(found.alone_ms) > 5
    assert len(said) == 2 + len(found.windows)
