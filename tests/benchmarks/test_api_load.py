"""The load against a server that answers as told: every kind is sent, every wrong answer and all growth is found."""

import io
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import psutil
import pytest

from benchmarks import api_load
from benchmarks.api_place import ABOUT, ACCOUNT, API
from benchmarks.api_requests import Kind, Place, Request, good, hostile
from benchmarks.memory_watch import Held, MemoryWatch
from infra.document import document

PLACE = Place("http://127.0.0.1:1/", "secret-key", "bucket", ("photos/a.jpg",), b"\xff\xd8\xff")
PROBLEM = {"code": "bad_request", "request_id": "1"}
KIND = Kind("any", lambda _n: Request(), 400, "bad_request")


@pytest.mark.parametrize(
    ("kind", "status", "content_type", "answer", "said"),
    [
        (KIND, 400, "application/problem+json", PROBLEM, None),
        (KIND, 500, "application/problem+json", PROBLEM, "answered 500 instead of 400"),
        (KIND, 200, "application/json", {}, "answered 200 instead of 400"),
        (KIND, 400, "application/json", PROBLEM, "without a whole problem"),
        (KIND, 400, "application/problem+json", {"code": "bad_request"}, "without a whole problem"),
        (KIND, 400, "application/problem+json", {**PROBLEM, "code": "bad_url"}, "bad_url instead of bad_request"),
        (Kind("any", lambda _n: Request()), 200, "application/json", {"count": 3}, None),
        (
            Kind("any", lambda _n: Request(), items=(200, 404)),
            200,
            "application/json",
            {"results": [{"status": 200}, {"status": 200}]},
            r"answered \(200, 200\) instead of \(200, 404\)",
        ),
    ],
)
def test_an_answer_is_held_against_what_it_must_be(
    kind: Kind, status: int, content_type: str, answer: Any, said: str | None
) -> None:
    complaint = kind.complaint(status, content_type, json.dumps(answer).encode())
    if said is None:
        assert complaint is None
    else:
        with pytest.raises(AssertionError, match=said):
            raise AssertionError(complaint)


def test_an_answer_that_is_no_json_is_wrong() -> None:
    assert "no JSON object" in str(KIND.complaint(400, "application/problem+json", b"<html>"))


def test_kinds_have_names_of_their_own_and_codes_of_the_document() -> None:
    kinds = [*good(PLACE), *hostile(PLACE)]
    assert len({kind.name for kind in kinds}) == len(kinds)
    statuses = {problem["code"]: problem["status"] for problem in document()["x-problems"]}
    assert all(statuses[kind.code] == kind.status for kind in hostile(PLACE) if kind.code)
    assert all(kind.code for kind in hostile(PLACE))


class Server(ThreadingHTTPServer):
    """Answers every request with 200 and remembers the keys that came."""

    daemon_threads = True
    request_queue_size = 128  # with the usual 5, some of sixteen callers at once are turned away on a busy machine

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.keys: set[str | None] = set()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        self.server.keys.add(self.headers["x-api-key"])
        self.rfile.read(int(self.headers.get("content-length", 0)))
        self.send_response(200)
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    do_GET = do_DELETE = do_POST  # noqa: N815 - as http.server calls them

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield running
        running.shutdown()


@pytest.mark.parametrize("concurrency", [2, 16])
def test_every_kind_is_sent_and_every_wrong_answer_is_counted(server: Server, concurrency: int) -> None:
    place = Place(f"http://127.0.0.1:{server.server_address[1]}/", "secret-key", "b", ("photos/a.jpg",), b"photo")
    results = api_load.load(place, seconds=0.5, concurrency=concurrency, seed=0)
    kinds = [*good(place), *hostile(place)]
    assert set(results.seconds) == {kind.name for kind in kinds}
    assert server.keys == {"secret-key", "wrong", None}
    refused = {kind.name for kind in kinds if kind.status != 200 or kind.items}
    assert {complaint.split(": ")[0] for complaint in results.complaints} == refused
    assert set(results.statuses) == {200}


def test_no_answer_is_a_complaint() -> None:
    results = api_load.load(PLACE, seconds=0.2, concurrency=2, seed=0)
    assert results.complaints
    assert all("got no answer" in complaint for complaint in results.complaints)
    assert set(results.statuses) == {0}


def results(requests: int) -> api_load.Results:
    made = api_load.Results()
    made.seconds["photo"] = [0.001 * number for number in range(1, requests + 1)]
    made.statuses[200] = requests
    return made


@pytest.mark.parametrize(
    ("name", "growth", "samples", "said"),
    [
        (API, 7.0, 100, None),
        (API, 9.0, 100, "function api grew by 9.0 MiB"),
        (API, 9.0, 20, None),
        (ABOUT, 9.0, 100, "function about grew by 9.0 MiB"),
        (ACCOUNT, 15.0, 100, None),
        (ACCOUNT, 16.0, 100, "emulated account grew by 16.0 MiB"),
    ],
)
def test_memory_that_grows_is_wrong(name: str, growth: float, samples: int, said: str | None) -> None:
    held = {name: [Held(50.0, 50.0 + by, 90.0, samples) for by in (0.0, growth, 30.0)]}
    found = api_load.wrong(results(1000), held)
    assert len(found) == (0 if said is None else 1)
    assert said is None or found[0].startswith(said)


def test_the_report_has_every_kind_with_its_percentiles_and_all_memory() -> None:
    printed = io.StringIO()
    api_load.report(results(100), {API: [Held(50.0, 51.5, 60.0, 90)]}, 10.0, printed)
    lines = [line.split() for line in printed.getvalue().splitlines()]
    assert ["photo", "100", "50", "90", "99", "100"] in lines
    assert ["function", "api", "1", "50.0", "51.5", "60.0"] in lines
    assert "100 requests in 10 s, 10.0 a second" in printed.getvalue()


def test_percentiles_are_values_that_were_seen() -> None:
    assert api_load.percentile([3.0, 1.0, 2.0], 0.5) == 2.0
    assert api_load.percentile([3.0, 1.0, 2.0], 1.0) == 3.0
    assert api_load.percentile([1.0], 0.99) == 1.0


def test_a_process_that_grows_is_seen_to_grow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.memory_watch._EVERY", 0.05)
    program = "import time\nheld = []\nwhile True: held.append(b'x' * 2_000_000); time.sleep(0.05)"
    with (
        subprocess.Popen([sys.executable, "-c", program]) as growing,
        MemoryWatch(lambda: [("growing", psutil.Process(growing.pid)), ("this", psutil.Process())]) as watch,
    ):
        time.sleep(2.0)
        growing.kill()
    (held,) = watch.held()["growing"]
    assert held.growth > 10
    assert held.most >= held.late
    assert watch.held()["this"][0].growth < held.growth


def test_processes_that_were_there_for_a_moment_are_left_out() -> None:
    with MemoryWatch(lambda: [("this", psutil.Process())]) as watch:
        pass
    assert watch.held() == {}
