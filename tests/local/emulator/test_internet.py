"""The emulated internet, seen from a deployed function by a fetcher of the standard library; and what is not on it."""

import json
import os
import socket
import ssl
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from local.emulator.internet import server, sites
from tests.local.emulator.conftest import Account
from tests.local.emulator.test_process import create_function

PHOTO = bytes(range(256)) * 8
FETCH = """
import json, urllib.request
def handler(event, _context):
    try:
        with urllib.request.urlopen(event["url"], timeout=event.get("seconds", 5)) as opened:
            return {"status": opened.status, "type": opened.headers["Content-Type"], "length": len(opened.read())}
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"}
"""


@pytest.fixture(scope="module")
def bucket(account: Account) -> str:
    account.client("s3").create_bucket(
        Bucket="photos-of-ours", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"}
    )
    account.client("s3").put_object(Bucket="photos-of-ours", Key="bin 1/a.jpg", Body=PHOTO)
    return "photos-of-ours"


@pytest.fixture(scope="module")
def fetch(account: Account, tmp_path_factory: pytest.TempPathFactory) -> Any:
    create_function(account, tmp_path_factory.mktemp("fetch"), "fetch", FETCH)

    def ask(url: str, seconds: float = 5.0) -> dict[str, Any]:
        payload = json.dumps({"url": url, "seconds": seconds})
        answer = account.client("lambda").invoke(FunctionName="fetch", Payload=payload)
        return dict(json.load(answer["Payload"]))

    return ask


def test_a_function_reads_a_photo_of_a_bucket_over_tls(fetch: Any, bucket: str) -> None:
    found = fetch(f"https://photos.example/{bucket}/bin%201/a.jpg?signed=yes")
    assert found == {"status": 200, "type": "image/jpeg", "length": len(PHOTO)}


@pytest.mark.parametrize("times", [1, 3])
def test_the_photo_is_also_where_redirects_lead(fetch: Any, bucket: str, times: int) -> None:
    assert fetch(f"https://photos.example/moved/{times}/{bucket}/bin%201/a.jpg")["length"] == len(PHOTO)


@pytest.mark.parametrize("path", ["photos-of-ours/none.jpg", "no-such-bucket/a.jpg", "photos-of-ours/", "", "%00/a"])
def test_what_is_no_object_is_not_found(fetch: Any, bucket: str, path: str) -> None:
    assert "404" in fetch(f"https://photos.example/{path}")["error"]


@pytest.mark.parametrize(
    ("url", "error"),
    [
        ("https://nobody.example/", "Name or service not known"),
        ("https://impostor.example/", "Hostname mismatch"),
        ("https://photos.example:8443/", "Connection refused"),
        ("http://photos.example/", "Connection refused"),
        ("https://hostile.example/loop", "infinite loop"),
        ("https://hostile.example/garbage", "BadStatusLine"),
        ("https://hostile.example/short", "IncompleteRead"),
        ("https://hostile.example/headers", "HTTPException: got more than 100 headers"),
    ],
)
def test_what_is_wrong_is_wrong_in_that_way(fetch: Any, url: str, error: str) -> None:
    assert error in fetch(url)["error"]


def test_the_hostile_site_has_every_fault_once() -> None:
    assert len({hostile.path for hostile in sites.HOSTILE}) == len(sites.HOSTILE)
    assert all(name.url.split("/")[2] for name in sites.WRONG_NAMES if name.url.startswith("http"))


@pytest.fixture
def seen(tmp_path: Path) -> Iterator[dict[str, str]]:
    with server.serving(tmp_path, lambda _bucket, _key: PHOTO) as environment:
        yield environment


def run(program: str, environment: dict[str, str]) -> str:
    done = subprocess.run(
        [sys.executable, "-c", program], env={**os.environ, **environment}, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_those_who_are_slow_go_on_for_longer_than_a_fetch_may_take(seen: dict[str, str]) -> None:
    program = (
        "import time, urllib.request\nopened = urllib.request.urlopen('https://hostile.example/slow', timeout=5)\n"
        "began = time.monotonic(); read = opened.read(4); print(len(read), time.monotonic() - began > 0.5)"
    )
    assert run(program, seen) == "4 True"
    program = (
        "import urllib.request\ntry: urllib.request.urlopen('https://hostile.example/silent', timeout=0.5)\n"
        "except TimeoutError: print('late')"
    )
    assert run(program, seen) == "late"


def test_every_other_name_and_address_is_left_alone(seen: dict[str, str]) -> None:
    program = (
        "import socket; print(socket.getaddrinfo('localhost', 80)[0][4][0], socket.getaddrinfo('9.9.9.9', 1)[0][4])"
    )
    here = socket.getaddrinfo("localhost", 80)[0][4][0]
    assert run(program, seen) == f"{here} ('9.9.9.9', 1)"
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        program = f"import socket; print(socket.create_connection(('127.0.0.1', {port})).getpeername()[1])"
        assert run(program, seen) == str(port)


def test_without_its_variable_the_system_is_as_it_was(seen: dict[str, str]) -> None:
    program = "import socket; print(socket.getaddrinfo.__module__, socket.socket.connect.__qualname__)"
    without = {key: value for key, value in seen.items() if key != "TALLY_INTERNET"}
    assert run(program, without) == "socket socket.connect"
    assert run(program, seen) != "socket socket.connect"


def test_the_machines_own_authorities_are_still_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seen: dict[str, str]
) -> None:
    theirs = tmp_path / "theirs.pem"
    theirs.write_bytes(Path(seen["SSL_CERT_FILE"]).read_bytes().split(b"-----BEGIN")[-1].join([b"-----BEGIN", b""]))
    monkeypatch.setenv("SSL_CERT_FILE", str(theirs))
    with server.serving(tmp_path / "second", lambda _bucket, _key: None) as second:
        trusted = Path(second["SSL_CERT_FILE"]).read_bytes()
    assert trusted.startswith(theirs.read_bytes().strip())
    assert trusted.count(b"BEGIN CERTIFICATE") == 2


def test_the_authority_can_vouch_for_the_emulated_domain_alone_and_its_key_is_gone(
    tmp_path: Path, seen: dict[str, str]
) -> None:
    last = Path(seen["SSL_CERT_FILE"]).read_bytes().rpartition(b"-----BEGIN CERTIFICATE-----")
    authority = x509.load_pem_x509_certificate(b"".join(last[1:]))
    limits = authority.extensions.get_extension_for_class(x509.NameConstraints)
    assert limits.critical
    assert limits.value.permitted_subtrees == [x509.DNSName("example")]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["authorities.pem", "site.pem"]
    assert stat.S_IMODE((tmp_path / "site.pem").stat().st_mode) == 0o600
    ssl.create_default_context(cafile=seen["SSL_CERT_FILE"])


def test_a_folder_that_was_on_the_path_stays_there() -> None:
    path = server.variables(1, Path("x"), {"PYTHONPATH": "here"})["PYTHONPATH"]
    assert path.endswith(f"{os.pathsep}here")
