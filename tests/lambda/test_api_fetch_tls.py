"""Encrypted connections: whose certificate is accepted, which host is asked for, and no way back to none."""

import socket
import ssl
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

remotes: Any = import_module("tests.lambda.remotes")

PHOTO = b"\xff\xd8\xff photo"
HOST = remotes.HOST
GIVES = remotes.sends(remotes.answer(PHOTO))
URL = f"https://{HOST}/1.jpg"


@pytest.fixture
def authority(tmp_path: Path, client: Any) -> Any:
    """One that the fetcher's own context, made anew, trusts beside the system's."""
    return remotes.Authority(tmp_path, client.module.tls_context.__wrapped__)


@pytest.fixture
def asked(authority: Any, internet: Any) -> list[str | None]:
    """The names that HOST, which has a good certificate, was asked for by the handshake (SNI)."""
    names: list[str | None] = []
    context = authority.server(HOST, "93.184.216.34", "2606:2800:220:1::1")
    context.sni_callback = lambda _socket, name, _context: names.append(name)
    internet.at("2606:2800:220:1::1", GIVES, context)
    internet.name(HOST, [remotes.PUBLIC])
    internet.at(remotes.PUBLIC, GIVES, context)
    return names


@pytest.mark.parametrize("host", [HOST, HOST.upper(), f"{HOST}."])
def test_the_name_in_the_url_is_asked_for_and_certified(
    client: Any, internet: Any, authority: Any, asked: Any, host: str
) -> None:
    assert client.get(f"https://{host}/1.jpg", tls=authority.context) == PHOTO
    assert asked == [HOST]
    assert (internet.resolved, internet.connected) == ([(HOST, 443)], [(remotes.PUBLIC, 443)])


def test_a_name_in_letters_is_certified_in_punycode(client: Any, internet: Any, authority: Any) -> None:
    internet.site("xn--bcher-kva.example", GIVES, authority.server("xn--bcher-kva.example"))
    assert client.get("https://bücher.example/", tls=authority.context) == PHOTO


@pytest.mark.parametrize("host", ["93.184.216.34", "[2606:2800:220:1::1]"])
def test_an_address_is_certified_as_one_and_sent_as_no_name(client: Any, authority: Any, asked: Any, host: str) -> None:
    assert client.get(f"https://{host}/1.jpg", tls=authority.context) == PHOTO
    assert asked == [None]


@pytest.mark.parametrize(
    ("server", "reason"),
    [
        ({"names": ["other.example.com"]}, "is for another host"),
        ({"names": ["*.photos.example.com", "example.com", "*.com"]}, "is for another host"),
        ({"names": [remotes.PUBLIC]}, "is for another host"),
        ({"names": [], "common_name": HOST}, "is for another host"),
        ({"names": [HOST], "expired": True}, "has expired"),
        ({"names": [HOST], "vouches_for_itself": True}, "vouches for itself"),
    ],
    ids=["other", "wildcards", "address", "common name", "expired", "self-signed"],
)
def test_no_other_certificate_is_accepted(
    client: Any, internet: Any, authority: Any, server: dict[str, Any], reason: str
) -> None:
    remote = internet.site(HOST, GIVES, authority.server(*server.pop("names"), **server))
    detail = client.refused("fetch_failed", URL, tls=authority.context)
    assert detail == f"{HOST} could not be fetched from: its certificate {reason}"
    assert remote.requests == [], "the path is not told to a stranger"


def test_an_authority_that_the_system_does_not_know_is_not_accepted(client: Any, internet: Any, authority: Any) -> None:
    remote = internet.site(HOST, GIVES, authority.server(HOST))
    detail = client.refused("fetch_failed", URL)  # with the fetcher's own context
    assert detail == f"{HOST} could not be fetched from: its certificate is signed by an unknown authority"
    assert remote.requests == []


def test_an_address_needs_a_certificate_for_itself(client: Any, internet: Any, authority: Any) -> None:
    internet.at("1.1.1.1", GIVES, authority.server(HOST))
    detail = client.refused("fetch_failed", "https://1.1.1.1/", tls=authority.context)
    assert detail == "1.1.1.1 could not be fetched from: its certificate is for another address"


def test_the_context_that_is_used_checks_everything(client: Any, asked: Any) -> None:
    context = client.module.tls_context()
    assert context is client.module.tls_context(), "made once: it reads a file of authorities"
    assert context.check_hostname
    assert context.verify_mode == ssl.CERT_REQUIRED
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2
    assert not context.hostname_checks_common_name
    assert client.fetcher().tls is client.module.tls_context


def test_no_other_protocol_is_agreed_on_than_the_one_that_is_spoken(client: Any, internet: Any, authority: Any) -> None:
    agreed: list[str | None] = []

    def script(connection: ssl.SSLSocket, request: bytes) -> None:
        agreed.append(connection.selected_alpn_protocol())
        GIVES(connection, request)

    server = authority.server(HOST)
    server.set_alpn_protocols(["h2", "http/1.1"])
    internet.site(HOST, script, server)
    assert client.get(URL, tls=authority.context) == PHOTO
    assert agreed == ["http/1.1"]


def test_a_remote_that_speaks_no_encryption_is_named(client: Any, internet: Any) -> None:
    internet.site(HOST, GIVES)
    assert client.refused("fetch_failed", URL).endswith("no encrypted connection could be made")


def test_a_photo_that_is_cut_short_by_somebody_on_the_way_is_no_photo(
    client: Any, internet: Any, authority: Any
) -> None:
    def cut(connection: ssl.SSLSocket, _request: bytes) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n" + PHOTO)  # no length: it ends when the connection does
        connection.shutdown(socket.SHUT_WR)  # without the encryption's goodbye

    def whole(connection: ssl.SSLSocket, _request: bytes) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n" + PHOTO)
        connection.unwrap()

    internet.site(HOST, cut, authority.server(HOST))
    detail = client.refused("fetch_failed", URL, tls=authority.context)
    assert detail.endswith("it broke off before the photo was complete")
    internet.site(HOST, whole, authority.server(HOST))
    assert client.get(URL, tls=authority.context) == PHOTO


def test_a_slow_remote_is_cut_off_behind_encryption_too(client: Any, internet: Any, authority: Any) -> None:
    drips = remotes.drips(b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n", b"x", 0.05)
    internet.site(HOST, drips, authority.server(HOST))
    client.refused("fetch_timeout", URL, seconds=0.5, tls=authority.context)


def test_a_handshake_that_trickles_is_cut_off(client: Any, internet: Any) -> None:
    internet.site(HOST, remotes.drips(b"\x16\x03\x03\x40\x00", b"\x02", 0.05))  # the length of a long record, and so on
    client.refused("fetch_timeout", URL, seconds=0.5)


def test_encryption_is_not_given_up_by_a_redirect(client: Any, internet: Any, authority: Any) -> None:
    internet.site(HOST, remotes.redirects(f"http://{HOST}/2.jpg"), authority.server(HOST))
    detail = client.refused("bad_redirect", URL, tls=authority.context, allow_http=True)
    assert detail == f"{HOST} redirects from https to http; give the URL of the photo itself"
    assert internet.connected == [(remotes.PUBLIC, 443)]
    client.refused("bad_redirect", URL, tls=authority.context, allow_http=False)


def test_encryption_is_taken_up_by_a_redirect(client: Any, internet: Any, authority: Any) -> None:
    internet.site(HOST, remotes.redirects("https://other.example.com/2.jpg"))
    internet.site("other.example.com", GIVES, authority.server("other.example.com"))
    assert client.get(f"http://{HOST}/1.jpg", tls=authority.context) == PHOTO
    assert [port for _, port in internet.connected] == [80, 443]


def test_each_hop_is_certified_and_a_strange_one_is_not_named(client: Any, internet: Any, authority: Any) -> None:
    internet.site(HOST, remotes.redirects("https://secret.example.net/2.jpg"), authority.server(HOST))
    strange = internet.site("secret.example.net", GIVES, authority.server("another.example.net"))
    detail = client.refused("fetch_failed", URL, tls=authority.context)
    reason = "its certificate is for another host"
    assert detail == f"a host that {HOST} redirects to could not be fetched from: {reason}"
    assert strange.requests == []
