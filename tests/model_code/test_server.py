"""The endpoint as a real process on a real socket."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tally.predictor import Limits
from tests.model_code.test_predictor import encoded, png_header_only
from tests.model_code.tiny_model import photo, write_model

MODEL_CODE = Path(__file__).resolve().parents[2] / "model_code"
LIMIT = Limits().max_bytes


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def start(root: Path, port: int, code: str = "", **variables: str) -> subprocess.Popen[str]:
    """Start `python -m tally serve`, or `code` in its place."""
    environment = (
        os.environ
        | variables
        | {
            "TALLY_ML_ROOT": str(root),
            "TALLY_BIND_HOST": "127.0.0.1",
            "SAGEMAKER_BIND_TO_PORT": str(port),
            "PYTHONPATH": str(MODEL_CODE),
        }
    )
    command = [sys.executable, "-c", code] if code else [sys.executable, "-m", "tally", "serve"]
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)


def wait_until_ready(process: subprocess.Popen[str], port: int) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if request(port, "GET", "/ping")[0] == 200:
                return
        except OSError:
            time.sleep(0.05)
    process.kill()
    pytest.fail(f"the server did not get ready: {process.communicate()[1]}")


@contextmanager
def running(root: Path, code: str = "", **variables: str) -> Iterator[tuple[int, subprocess.Popen[str]]]:
    port = free_port()
    process = start(root, port, code, **variables)
    try:
        wait_until_ready(process, port)
        yield port, process
    finally:
        process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("ml")
    write_model(root / "model")
    return root


@pytest.fixture(scope="module")
def port(root: Path) -> Iterator[int]:
    with running(root) as (port, _):
        yield port


def request(
    port: int, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None, chunked: bool = False
) -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request(method, path, body, headers or {}, encode_chunked=chunked)
        response = connection.getresponse()
        text = response.read()
        return response.status, json.loads(text) if text else None
    finally:
        connection.close()


def post(port: int, body: bytes, content_type: str = "image/jpeg") -> tuple[int, Any]:
    return request(port, "POST", "/invocations", body, {"Content-Type": content_type})


@pytest.mark.parametrize("format", ["jpeg", "png", "webp"])
def test_a_photo_is_counted(port: int, format: str) -> None:
    status, answer = post(port, photo(red=3, format=format.upper()), f"image/{format}")
    assert status == 200
    assert answer.keys() == {"count", "confidence", "probabilities", "model", "package"}
    assert answer["package"] is None  # this model came from no package
    assert answer["count"] == 3
    assert answer["confidence"] == answer["probabilities"]["3"]
    assert list(answer["probabilities"]) == ["1", "2", "3", "4", "5"]


def test_a_content_type_with_parameters_in_capitals_is_understood(port: int) -> None:
    assert post(port, photo(red=2), "Image/JPEG; charset=binary")[0] == 200


JPEG = photo(red=2, side=64)


@pytest.mark.parametrize(
    ("body", "content_type", "status", "code"),
    [
        (b"", "image/jpeg", 400, "empty"),
        (JPEG[:200], "image/jpeg", 422, "undecodable"),
        (b"text", "image/jpeg", 415, "unsupported_format"),
        (encoded(Image.new("L", (9, 9)), "GIF"), "image/png", 415, "unsupported_format"),
        (png_header_only(10_000, 10_000), "image/png", 422, "too_many_pixels"),
        (JPEG, "image/gif", 415, "unsupported_content_type"),
        (JPEG, "application/json", 415, "unsupported_content_type"),
        (JPEG, "", 415, "unsupported_content_type"),
        (b"x" * (LIMIT + 1), "image/jpeg", 413, "too_large"),
        (b"x" * (3 * LIMIT), "image/jpeg", 413, "too_large"),
    ],
    ids=[
        "empty", "truncated", "text", "gif", "100 megapixels", "gif type", "json type", "no type", "a byte too large",
        "three times too large",
    ],
)  # fmt: skip
def test_bad_requests_get_their_4xx_as_json(port: int, body: bytes, content_type: str, status: int, code: str) -> None:
    found, answer = post(port, body, content_type)
    assert (found, answer["code"]) == (status, code)
    assert answer.keys() == {"code", "message"}
    assert post(port, photo(red=1))[1]["count"] == 1  # and it still serves


def test_a_missing_content_type_is_refused(port: int) -> None:
    status, answer = request(port, "POST", "/invocations", JPEG)
    assert (status, answer["code"]) == (415, "unsupported_content_type")


def test_unknown_paths_and_methods_are_json_too(port: int) -> None:
    assert request(port, "GET", "/nothing") == (404, {"code": "not_found", "message": "Not Found"})
    status, answer = request(port, "GET", "/invocations")
    assert (status, answer["code"]) == (405, "method_not_allowed")
    assert request(port, "POST", "/ping") == (405, answer)


def test_a_refused_method_is_told_which_there_are(port: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    for path, allowed in (("/ping", "GET, HEAD"), ("/invocations", "POST")):
        connection.request("DELETE", path)
        response = connection.getresponse()
        response.read()
        assert (response.status, response.headers["allow"]) == (405, allowed)
    connection.request("HEAD", "/ping")
    assert connection.getresponse().status == 200
    connection.close()


def test_a_chunked_body_without_content_length_is_counted(port: int) -> None:
    body = photo(red=5)
    pieces = (body[i : i + 100] for i in range(0, len(body), 100))
    headers = {"Content-Type": "image/jpeg", "Transfer-Encoding": "chunked"}
    status, answer = request(port, "POST", "/invocations", pieces, headers, chunked=True)
    assert (status, answer["count"]) == (200, 5)


def test_an_endless_body_without_content_length_is_cut_off_while_it_arrives(port: int) -> None:
    chunk = b"x" * 65536
    frame = b"%x\r\n%s\r\n" % (len(chunk), chunk)
    head = b"POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Type: image/jpeg\r\nTransfer-Encoding: chunked\r\n\r\n"
    sent = 0
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(head)
        try:
            while sent < 20 * LIMIT:  # it never says that it is done
                connection.sendall(frame)
                sent += len(chunk)
        except OSError:
            pass
    assert 4 * LIMIT <= sent < 8 * LIMIT  # what sockets buffer comes on top
    assert request(port, "GET", "/ping")[0] == 200


def test_concurrent_requests_each_get_their_own_answer(port: int) -> None:
    counts = [1 + i % 5 for i in range(40)]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda count: post(port, photo(red=count))[1]["count"], counts))
    assert found == counts


def test_one_connection_serves_many_requests_even_after_refusals(port: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    for body, content_type, status in [
        (JPEG, "image/jpeg", 200),
        (JPEG, "image/gif", 415),
        (b"", "image/png", 400),
    ] * 2:
        connection.request("POST", "/invocations", body, {"Content-Type": content_type})
        response = connection.getresponse()
        response.read()
        assert response.status == status
    connection.close()


SLOW = """
import time
from tally import server
from tally.paths import MlPaths
from tally.predictor import Predictor
fast, warm_up = Predictor.predict, Predictor.warm_up
def predict(self, photo):
    time.sleep(1)
    return fast(self, photo)
def slow_warm_up(self):
    time.sleep({warm_up})
    warm_up(self)
Predictor.predict, Predictor.warm_up = predict, slow_warm_up
server.serve(lambda: Predictor.load(MlPaths.from_env().model))
"""


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_a_server_that_is_ended_finishes_the_request_at_hand_and_exits_with_0(root: Path, how: signal.Signals) -> None:
    with running(root, SLOW.format(warm_up=0)) as (port, process), ThreadPoolExecutor(1) as pool:
        answer = pool.submit(post, port, photo(red=4))
        time.sleep(0.4)
        process.send_signal(how)
        assert answer.result()[1]["count"] == 4
        assert process.wait(10) == 0
        with pytest.raises(OSError, match="refused"):
            request(port, "GET", "/ping")


def test_who_would_have_to_wait_for_longer_than_the_server_lasts_may_ask_again(root: Path) -> None:
    short = SLOW.format(warm_up=0).replace(
        "from tally import server\n", "from tally import server\nserver.DRAIN_SECONDS = 0.2\n"
    )
    with running(root, short) as (port, process), ThreadPoolExecutor(1) as pool:
        answer = pool.submit(post, port, photo(red=4))
        time.sleep(0.4)
        process.send_signal(signal.SIGTERM)
        assert answer.result() == (503, {"code": "busy", "message": "this server is ending: try again"})
        assert "Traceback" not in process.communicate(timeout=10)[1]
        assert process.returncode == 0


def test_ping_is_not_answered_before_the_model_has_run(root: Path) -> None:
    port = free_port()
    started = time.monotonic()
    process = start(root, port, SLOW.format(warm_up=1.5))
    try:
        wait_until_ready(process, port)
        assert time.monotonic() - started > 1.5
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    finally:
        process.kill()
        process.communicate()


PACKAGES = "arn:aws:sagemaker:eu-west-1:123456789012:model-package"


@pytest.mark.parametrize(
    ("arn", "package"),
    [
        (f"{PACKAGES}/tally-dev/7", "tally-dev/7"),
        (f"{PACKAGES}/Group-2/12345".replace("aws:", "aws-us-gov:", 1), "Group-2/12345"),
        ("", None),
    ],
)
def test_answers_name_the_models_package(root: Path, arn: str, package: str | None) -> None:
    with running(root, TALLY_MODEL_PACKAGE=arn) as (port, _):
        assert post(port, JPEG)[1]["package"] == package


@pytest.mark.parametrize(
    ("port", "package", "message"),
    [
        (8080, "", "cannot read the model's description"),
        ("http", "", "SAGEMAKER_BIND_TO_PORT is 'http'"),
        (8080, "tally-dev/7", "TALLY_MODEL_PACKAGE is 'tally-dev/7'"),
        (8080, f"{PACKAGES}/tally-dev", "with its version"),
        (8080, f"{PACKAGES}/tally-dev/0", "with its version"),
    ],
    ids=["no model", "port is no number", "package is no ARN", "package without a version", "package of version 0"],
)
def test_a_start_up_error_says_what_is_wrong(tmp_path: Path, port: Any, package: str, message: str) -> None:
    process = start(tmp_path, port, TALLY_MODEL_PACKAGE=package)
    error = process.communicate(timeout=30)[1]
    assert process.returncode == 1
    assert message in error
    assert "Traceback" not in error


@pytest.mark.parametrize("host", ["127.0.0.1", "no.such.host.invalid"])
def test_a_place_where_it_cannot_listen_is_named_before_the_model_is_read(tmp_path: Path, host: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        environment = {**os.environ, "TALLY_ML_ROOT": str(tmp_path), "PYTHONPATH": str(MODEL_CODE)}
        environment |= {"TALLY_BIND_HOST": host, "SAGEMAKER_BIND_TO_PORT": str(port)}
        done = subprocess.run(
            [sys.executable, "-m", "tally", "serve"], env=environment, capture_output=True, text=True, timeout=30
        )
    assert done.returncode == 1
    assert f"error: cannot listen on {host}, port {port} (" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_server_needs_neither_torch_nor_matplotlib_nor_scipy() -> None:
    code = "import sys, tally.server; print(*({'torch', 'matplotlib', 'scipy', 'jinja2'} & sys.modules.keys()))"
    environment = os.environ | {"PYTHONPATH": str(MODEL_CODE)}
    found = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == ""


def test_a_bug_is_a_500_without_its_details(root: Path) -> None:
    broken = SLOW.format(warm_up=0).replace("time.sleep(1)", "raise RuntimeError('secret')")
    with running(root, broken) as (port, process):
        status, answer = post(port, JPEG)
        assert (status, answer["code"]) == (500, "internal_error")
        assert "secret" not in json.dumps(answer)
        process.send_signal(signal.SIGTERM)
        assert "secret" in process.communicate(timeout=10)[1]


def test_more_waiting_photos_than_memory_holds_are_sent_away(root: Path) -> None:
    crowded = SLOW.format(warm_up=0).replace(
        "from tally import server\n", "from tally import server\nserver._WAITING = 1\n"
    )
    with running(root, crowded) as (port, _), ThreadPoolExecutor(16) as pool:
        found = list(pool.map(lambda _: post(port, JPEG), range(16)))
        assert {status for status, _ in found} == {200, 503}
        assert {answer["code"] for status, answer in found if status == 503} == {"busy"}
        assert request(port, "GET", "/ping")[0] == 200


HEAD = b"POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Type: image/jpeg\r\nContent-Length: 1000\r\n\r\n"
IMPATIENT = SLOW.format(warm_up=0).replace(
    "from tally import server\n", "from tally import server\nserver._WAITING, server._BODY_SECONDS = 1, {seconds}\n"
)


def begin(port: int) -> socket.socket:
    """A request whose body stops in the middle."""
    connection = socket.create_connection(("127.0.0.1", port), timeout=20)
    connection.sendall(HEAD + b"x" * 500)
    return connection


def test_a_body_that_does_not_end_is_given_up_and_its_connection_closed(root: Path) -> None:
    with running(root, IMPATIENT.format(seconds=0.5)) as (port, _):
        with begin(port) as connection:
            began = time.monotonic()
            answer = b"".join(iter(lambda: connection.recv(4096), b""))  # until the server hangs up
            assert 0.3 < time.monotonic() - began < 5
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert json.loads(answer.split(b"\r\n\r\n")[1])["code"] == "slow_body"
        assert post(port, photo(red=2))[1]["count"] == 2


def test_bodies_that_take_their_time_keep_nobody_out(root: Path) -> None:
    with running(root, IMPATIENT.format(seconds=20)) as (port, _):
        slow = [begin(port) for _ in range(32)]
        assert post(port, photo(red=2))[1]["count"] == 2
        for connection in slow:
            connection.close()


def test_a_client_that_hangs_up_is_no_error_of_the_server(root: Path) -> None:
    with running(root, IMPATIENT.format(seconds=20)) as (port, process):
        for _ in range(3):
            begin(port).close()
        assert post(port, photo(red=2))[1]["count"] == 2
        process.send_signal(signal.SIGTERM)
        assert "Traceback" not in process.communicate(timeout=10)[1]
