"""Redirects: followed three times at most, each target read, resolved and judged anew, and none of it told."""

import socket
from importlib import import_module
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

remotes: Any = import_module("tests.lambda.remotes")
inside: Any = import_module("tests.lambda.test_api_fetch").INSIDE

PHOTO = b"\xff\xd8\xff photo"
HOST = remotes.HOST
HERE = f"http://{HOST}/a/1.jpg?q=1"
quick = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=500, deadline=None)


@pytest.fixture
def paths(internet: Any) -> Any:
    """`paths[b"/1"] = script` lets the remote behind HOST answer for a path; all others give the photo."""
    scripts: dict[bytes, Any] = {}

    def script(connection: socket.socket, request: bytes) -> None:
        path = request.split(b" ")[1]
        scripts.get(path, remotes.sends(remotes.answer(PHOTO)))(connection, request)

    scripts_remote = internet.site(HOST, script)
    scripts[b"requests"] = scripts_remote.requests
    return scripts


def asked(paths: Any) -> list[bytes]:
    """The paths that HOST was asked for."""
    return [request.split(b" ")[1] for request in paths[b"requests"]]


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"])
def test_a_redirect_is_followed_with_nothing_of_the_first_answer(
    client: Any, internet: Any, paths: Any, status: str
) -> None:
    cookie = (
        f"HTTP/1.1 {status}\r\nSet-Cookie: a=secret; Domain=example.com\r\nLocation: http://other.example.com/2.jpg"
    )
    paths[b"/1.jpg"] = remotes.sends(cookie.encode() + b"\r\nRefresh: 0\r\n\r\n")
    other = internet.site("other.example.com", remotes.sends(remotes.answer(PHOTO)))
    assert client.get() == PHOTO
    (request,) = other.requests
    assert request.startswith(b"GET /2.jpg HTTP/1.1\r\n")
    names = sorted(line.split(b":")[0] for line in request.strip().split(b"\r\n")[1:])
    assert names == [b"Accept", b"Accept-Encoding", b"Connection", b"Host", b"User-Agent"]
    assert internet.resolved == [(HOST, 80), ("other.example.com", 80)], "each hop asks once"


@pytest.mark.parametrize(
    "status", ["300 Multiple Choices", "304 Not Modified", "305 Use Proxy", "306 Unused", "399 No"]
)
def test_other_statuses_of_that_kind_are_not_followed(client: Any, internet: Any, paths: Any, status: str) -> None:
    paths[b"/1.jpg"] = remotes.redirects("/2.jpg", status)
    assert client.refused("remote_status") == f"{HOST} answered {status[:3]} instead of the photo"
    assert asked(paths) == [b"/1.jpg"]


@pytest.mark.parametrize(
    ("location", "path"),
    [
        ("/2.jpg", b"/2.jpg"),
        ("2.jpg", b"/a/2.jpg"),
        ("../2.jpg", b"/2.jpg"),
        ("../../../2.jpg", b"/2.jpg"),
        ("./b/../2.jpg", b"/a/2.jpg"),
        ("?x=2", b"/a/1.jpg?x=2"),
        (f"//{HOST}/2.jpg", b"/2.jpg"),
        (f"http://{HOST}:80/2.jpg#part", b"/2.jpg"),
        (f"HTTP://{HOST.upper()}./2.jpg", b"/2.jpg"),
        (" /2.jpg\t", b"/2.jpg"),
        ("/é.jpg", b"/%C3%A9.jpg"),
        ("/a:b@c.jpg", b"/a:b@c.jpg"),
        (f"/go?to=http://127.0.0.1/&l={'x' * 3000}", b"/go?to=http://127.0.0.1/&l=" + b"x" * 3000),
    ],
)
def test_a_location_is_resolved_against_the_url_that_was_asked(
    client: Any, paths: Any, location: str, path: bytes
) -> None:
    paths[b"/a/1.jpg?q=1"] = remotes.redirects(location)
    assert client.get(HERE) == PHOTO
    assert asked(paths) == [b"/a/1.jpg?q=1", path]


def test_three_redirects_are_followed_and_no_fourth(client: Any, paths: Any) -> None:
    for number in range(9):
        paths[f"/{number}".encode()] = remotes.redirects(f"/{number + 1}")
    detail = client.refused("bad_redirect", f"http://{HOST}/0")
    assert detail == f"{HOST} redirects more than 3 times; give the URL of the photo itself"
    assert asked(paths) == [b"/0", b"/1", b"/2", b"/3"]
    del paths[b"/3"]
    assert client.get(f"http://{HOST}/0") == PHOTO


@pytest.mark.parametrize("circle", [["/0"], ["/1", "/0"], ["/1", "/2", "/1"], ["#x"], [""]], ids=str)
def test_a_circle_is_noticed(client: Any, paths: Any, circle: list[str]) -> None:
    for number, location in enumerate(circle):
        paths[f"/{number}".encode()] = remotes.redirects(location)
    assert "redirects in a circle; give" in client.refused("bad_redirect", f"http://{HOST}/0")
    assert len(asked(paths)) == len(circle)


@pytest.mark.parametrize(
    ("answer", "how"),
    [
        (b"", "without saying where to"),
        (b"Location: /2.jpg\r\nLocation: http://other.example.com/\r\n", "to several places at once"),
    ],
    ids=["no Location", "two Locations"],
)
def test_a_redirect_to_no_one_place_is_refused(client: Any, paths: Any, answer: bytes, how: str) -> None:
    paths[b"/1.jpg"] = remotes.sends(b"HTTP/1.1 302 Found\r\n" + answer + b"\r\n")
    assert client.refused("bad_redirect") == f"{HOST} redirects {how}; give the URL of the photo itself"
    assert asked(paths) == [b"/1.jpg"]


BEYOND = "target-of-the-redirect.example"


@pytest.mark.parametrize(
    "location",
    [
        "file:///proc/self/environ",
        "file://localhost/etc/passwd",
        "FILE:/etc/passwd",
        "ftp://" + BEYOND + "/",
        "gopher://" + BEYOND + ":11211/_stats",
        "dict://" + BEYOND + "/",
        "data:image/png;base64,AAAA",
        "javascript:alert(1)",
        "ws://" + BEYOND + "/",
        "about:blank",
        "x:y",
        "http://user@" + BEYOND + "/",
        "http://user:secret@" + BEYOND + "/",
        "http://" + BEYOND + "@127.0.0.1/",
        "//" + BEYOND + "@127.0.0.1/",
        "http://" + BEYOND + "\\@127.0.0.1/",
        "http://" + BEYOND + "\\.example.com/",
        "\\\\" + BEYOND + "/",
        "/\\" + BEYOND + "/",
        "/\t/" + BEYOND + "/",
        "\t//\t" + BEYOND + "/",
        "http://\t" + BEYOND + "/",
        "ht\ttp://" + BEYOND + "/",
        "/2.jpg\x0b",
        "/a b.jpg",
        "/\x00",
        "/\x7f",
        "http:" + BEYOND,
        "http:/" + BEYOND,
        "http:///" + BEYOND,
        "http:////" + BEYOND,
        "///" + BEYOND,
        "////" + BEYOND,
        "http://",
        "http://:80/",
        "//",
        "http://" + BEYOND + ":22/",
        "http://" + BEYOND + ":6379/",
        "http://" + BEYOND + ":443/",
        "https://" + BEYOND + ":80/",
        "http://127.0.0.1:9001/2018-06-01/runtime/invocation/next",
        "http://2852039166/latest/meta-data/",
        "http://0x7f.1/",
        "http://0251.0376.0251.0376/",
        "http://127.1/",
        "http://[fe80::1%25eth0]/",
        "http://[::1/",
        "http://%6c%6fcalhost/",
        "http://exa mple.com/",
        "http://①②⑦.0.0.1/",
        "http://127。0。0。1/",
        "http://straße.example/",
        b"http://\xff\xfe.example/",
        b"/\xff.jpg",
        "/" + "x" * 8200,
    ],
    ids=lambda location: str(location)[:60],
)
def test_what_is_no_url_of_a_caller_is_none_of_a_redirect(
    client: Any, internet: Any, paths: Any, location: str | bytes
) -> None:
    paths[b"/1.jpg"] = remotes.redirects(location)
    detail = client.refused("bad_redirect")
    assert detail == f"{HOST} redirects to what is no URL that may be fetched from; give the URL of the photo itself"
    assert internet.resolved == [(HOST, 80)]
    assert internet.connected == [(remotes.PUBLIC, 80)]


@pytest.mark.parametrize("address", inside)
def test_a_redirect_leads_nowhere_inside(client: Any, internet: Any, paths: Any, address: str) -> None:
    written = f"[{address}]" if ":" in address else address
    internet.name(BEYOND, [remotes.PUBLIC, address])
    for number, target in enumerate([f"http://{written}/", f"//{written}/", f"http://{BEYOND}/"]):
        paths[b"/%d" % number] = remotes.redirects(target)
        detail = client.refused("address_not_public", f"http://{HOST}/{number}")
        assert detail == f"a host that {HOST} redirects to is not on the public internet; upload the photo"
    paths[b"/late"] = remotes.redirects("/0")  # not even after one that is harmless
    client.refused("address_not_public", f"http://{HOST}/late")
    assert set(internet.connected) == {(remotes.PUBLIC, 80)}


def test_a_name_that_moves_inside_between_two_hops_is_refused(client: Any, internet: Any, paths: Any) -> None:
    paths[b"/1.jpg"] = remotes.redirects("/2.jpg")
    internet.name(HOST, [remotes.PUBLIC], ["169.254.169.254"])
    assert client.refused("address_not_public") == f"{HOST} is not on the public internet; upload the photo"
    assert internet.resolved == [(HOST, 80)] * 2
    assert internet.connected == [(remotes.PUBLIC, 80)]


@pytest.mark.parametrize(
    ("script", "code", "detail"),
    [
        (None, "host_not_found", "has no address"),
        (remotes.sends(remotes.answer(b"", "404 Not Found")), "url_not_found", "there is nothing there (404)"),
        (remotes.sends(remotes.answer(b"", "500 Oh")), "remote_status", "answered 500 instead of the photo"),
        (remotes.sends(b"SSH-2.0-x\r\n"), "fetch_failed", "could not be fetched from: it does not speak HTTP"),
        (remotes.sends(4.0), "fetch_timeout", "did not deliver the photo in time"),
        (remotes.redirects("file:///"), "bad_redirect", "redirects to what is no URL"),
    ],
    ids=["unknown", "404", "500", "ssh", "silence", "redirect"],
)
def test_what_goes_wrong_beyond_is_said_without_naming_where(
    client: Any, internet: Any, paths: Any, script: Any, code: str, detail: str
) -> None:
    paths[b"/1.jpg"] = remotes.redirects(f"http://{BEYOND}/internal?key=secret")
    if script:
        internet.site(BEYOND, script)
    said = client.refused(code, seconds=1.0 if code == "fetch_timeout" else 10.0)
    assert detail in said
    assert HOST in said
    assert BEYOND not in said
    assert "secret" not in said


def test_all_hops_share_one_deadline(client: Any, paths: Any) -> None:
    for number in range(3):
        location = f"HTTP/1.1 302 Found\r\nLocation: /{number + 1}\r\n\r\n".encode()
        paths[f"/{number}".encode()] = remotes.sends(0.3, location)
    client.refused("fetch_timeout", f"http://{HOST}/0", seconds=0.7)
    assert len(asked(paths)) <= 3


def test_the_body_of_a_redirect_is_not_read(client: Any, paths: Any) -> None:
    paths[b"/1.jpg"] = remotes.drips(b"HTTP/1.1 302 Found\r\nLocation: /2.jpg\r\n\r\n", b"x" * 1000, 0.01)
    assert client.get() == PHOTO


LOCATIONS = st.text(st.sampled_from("/\\?#@:.[]%-_~ abhtps0179é。＠\t"), max_size=25)


@given(location=LOCATIONS | st.text(max_size=25) | LOCATIONS.map("http://{}".format) | LOCATIONS.map("//{}".format))
@quick
def test_any_location_is_a_target_as_strict_as_a_callers_or_refused(load: Any, location: str) -> None:
    redirects, urls = load("api", "redirects", "urls")
    here = urls.read_url("https://photos.example.com/a/1.jpg?q=1", allow_http=True)
    try:
        header = location.encode().decode("iso-8859-1")
        target = redirects.follow([here], [header], allow_http=True)
    except (urls.ProblemError, UnicodeEncodeError) as problem:
        assert getattr(problem, "code", "bad_redirect") == "bad_redirect"  # noqa: PT017
        return
    assert target.scheme == "https"
    assert urls.read_url(target.url, allow_http=False, longest=20_000) == target
    if not location.strip(" \t").startswith("//") and not location.strip(" \t").lower().startswith("https://"):
        assert target.host == here.host, "only a whole URL, or one without its scheme, leads to another host"
