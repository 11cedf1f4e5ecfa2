"""Fetching from public addresses only, whatever a name resolves to, and with nothing that this process knows."""

import functools
import ipaddress
import socket
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

remotes: Any = import_module("tests.lambda.remotes")
registries: Any = import_module("tests.lambda.registries")

PHOTO = b"\xff\xd8\xff" + bytes(range(256)) * 400
HOST = remotes.HOST
quick = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200, deadline=None)


@pytest.fixture
def site(internet: Any) -> Any:
    """A remote that gives the photo to whoever asks."""
    return internet.site(HOST, remotes.sends(remotes.answer(PHOTO)))


def test_a_photo_is_fetched_with_nothing_but_what_it_needs(client: Any, site: Any, internet: Any) -> None:
    assert client.get(f"http://{HOST}/1.jpg?X-Signature=a%2Fb#part") == PHOTO
    (request,) = site.requests
    head, *headers, end, rest = request.decode().split("\r\n")
    assert (head, end, rest) == ("GET /1.jpg?X-Signature=a%2Fb HTTP/1.1", "", "")
    assert sorted(headers) == [
        "Accept-Encoding: identity",
        "Accept: image/jpeg, image/png, image/webp, */*;q=0.1",
        "Connection: close",
        f"Host: {HOST}",
        "User-Agent: tally",
    ]
    assert internet.resolved == [(HOST, 80)]
    assert internet.connected == [(remotes.PUBLIC, 80)]


def test_a_name_in_letters_is_resolved_and_asked_for_in_punycode(client: Any, internet: Any) -> None:
    remote = internet.site("xn--bcher-kva.example", remotes.sends(remotes.answer(PHOTO)))
    assert client.get("http://Bücher.example./é.jpg") == PHOTO
    assert remote.requests[0].startswith(b"GET /%C3%A9.jpg HTTP/1.1\r\n")
    assert b"\r\nHost: xn--bcher-kva.example\r\n" in remote.requests[0]
    assert internet.resolved == [("xn--bcher-kva.example", 80)]


@pytest.mark.parametrize("host", ["93.184.216.34", "2606:2800:220:1::1"])
def test_an_address_in_the_url_is_connected_to_without_asking_a_resolver(client: Any, internet: Any, host: str) -> None:
    remote = internet.at(host, remotes.sends(remotes.answer(PHOTO)))
    written = f"[{host}]" if ":" in host else host
    assert client.get(f"http://{written}/") == PHOTO
    assert f"\r\nHost: {written}\r\n".encode() in remote.requests[0]
    assert (internet.resolved, internet.connected) == ([], [(host, 80)])


# The best known ones, in every way to write them into IPv6; and the first of every network that is not public.
FAMOUS = """
127.0.0.1 127.0.0.53 10.0.0.1 172.31.0.1 192.168.1.1 100.100.100.200 169.254.169.254 169.254.169.253 169.254.170.2
169.254.170.23 192.0.0.192 168.63.129.16 255.255.255.255 224.0.0.251
:: ::1 ::7f00:1 ::ffff:127.0.0.1 ::ffff:169.254.169.254 ::ffff:0:10.0.0.1 ::ffff:93.184.216.34 64:ff9b::a9fe:a9fe
64:ff9b::7f00:1 64:ff9b:1::a00:1 2002:7f00:1:: 2002:a9fe:a9fe::1 2002:a00:1::1 2001:0:a9fe:a9fe::
2001:0:5db8:d822:8000:63bf:80ff:fffe 2a00:1450:4001::5efe:a00:1 fe80::1 fec0::1 fd00:ec2::254 fd00:ec2::23 fc00::1
ff02::1 ff0e::1 100::1 4000::1 5f00::1
"""
INSIDE = [*FAMOUS.split(), *(str(ipaddress.ip_network(network)[0]) for network in (*registries.V4, *registries.V6))]


@pytest.mark.parametrize("address", INSIDE)
@pytest.mark.parametrize("scheme", ["https", "http"])
def test_no_way_leads_inside(client: Any, internet: Any, scheme: str, address: str) -> None:
    internet.name(HOST, [address])
    detail = client.refused("address_not_public", f"{scheme}://{HOST}/latest/meta-data/")
    assert detail == f"{HOST} is not on the public internet; upload the photo"
    for first, second in ([address, remotes.PUBLIC], [remotes.PUBLIC, address]):
        internet.name(HOST, [first, second])  # mixed records: refused whichever would be connected to
        client.refused("address_not_public", f"{scheme}://{HOST}/")
    written = f"[{address}]" if ":" in address else address
    client.refused("address_not_public", f"{scheme}://{written}/")
    assert internet.connected == []


@pytest.mark.parametrize("found", ["fe80::1%eth0", "2606:2800:220:1::1%2", "", "localhost", "127.1", "0x7f.1", "\x00"])
def test_what_a_resolver_finds_must_be_an_address(client: Any, internet: Any, found: str) -> None:
    internet.name(HOST, [remotes.PUBLIC, found])
    with pytest.raises(client.problem) as caught:
        client.get()
    assert caught.value.code == "address_not_public"
    assert internet.connected == []


ADDRESSES = st.integers(0, 2**32 - 1).map(ipaddress.IPv4Address).map(str) | st.sampled_from(INSIDE)
ADDRESSES |= st.integers(2**125, 2**126 - 1).map(ipaddress.IPv6Address).map(str)


@given(found=st.lists(ADDRESSES | st.just(remotes.PUBLIC), min_size=1, max_size=4))
@quick
def test_of_any_records_none_inside_is_connected_to(client: Any, found: list[str]) -> None:
    internet = remotes.Internet()
    internet.name(HOST, found)
    code = "fetch_failed" if all(map(registries.publicly_routed, found)) else "address_not_public"
    with pytest.raises(client.problem) as caught:
        client.get(resolver=internet.resolver, connector=internet.connector)
    assert caught.value.code == code
    assert internet.inside == []
    assert bool(internet.connected) == (code == "fetch_failed")


def test_a_name_that_changes_its_address_is_resolved_once(client: Any, internet: Any, site: Any) -> None:
    internet.name(HOST, [remotes.PUBLIC], ["127.0.0.1"])
    assert client.get() == PHOTO
    assert internet.resolved == [(HOST, 80)]
    assert internet.connected == [(remotes.PUBLIC, 80)]
    client.refused("address_not_public")  # the second time it is inside


NUMBERS = """
2130706433 017700000001 0x7f000001 0X7F000001 127.1 127.0.1 0x7f.1 0177.0.0.1 0177.1 127.0.0.01 0x7f.0x0.0x0.0x1 0 0x0
2852039166 0xa9fea9fe 0251.0376.0251.0376 0xa9.0xfe.0xa9.0xfe 169.254.43518 169.16689662 0251.254.169.254 025177524776
425.510.425.510 １２７.0.0.1 ①②⑦.⓪.⓪.① 127。0。0。1 127．0．0．1 127｡0｡0｡1 ⑯⑨。②⑤④。⑯⑨｡②⑤④ 𝟙𝟚𝟟.0.0.1 0ｘ7f.1
"""


@pytest.mark.parametrize("host", NUMBERS.split())
def test_numbers_in_other_notations_lead_nowhere_even_where_they_are_read_as_names(
    client: Any, internet: Any, load: Any, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    client.refused("bad_url", f"http://{host}/", resolver=client.module.resolve)
    assert internet.connected == []
    (urls,) = load("api", "urls")
    monkeypatch.setattr(urls, "read_host", lambda text: text)  # the defence behind it: the address is judged
    with pytest.raises((client.problem, UnicodeError)) as caught:
        client.get(f"http://{host}/", resolver=client.module.resolve)
    assert getattr(caught.value, "code", "host_not_found") in ("address_not_public", "host_not_found")
    assert internet.connected == []


TRICKS = """
http://127.0.0.1#@example.com/ http://127.0.0.1?@example.com/ http://127.0.0.1/@example.com http://127.0.0.1;example.com/
http://example.com@127.0.0.1/ http://example.com:80@127.0.0.1/
http://127.0.0.1:80+&@127.0.0.1#@example.com/ http://example.com&@127.0.0.1/ http://127.0.0.1%23@example.com/
http://127.0.0.1\\@example.com/ http://example.com\\@127.0.0.1/ http://127.0.0.1\\.example.com/ http:127.0.0.1/
http:/127.0.0.1/ http:///127.0.0.1/ http:////127.0.0.1/ http:\\\\127.0.0.1/ //127.0.0.1/ 127.0.0.1 http://127.0.0.1:80\\/
0://127.0.0.1:80;http://example.com:80/ http://[::]/ http://[::]:80/ http://[0000::1]:80/ http://[0:0:0:0:0:ffff:127.0.0.1]/
http://[::1]%23.example.com/ http://[::ffff:a9fe:a9fe]/ http://[::ffff:169.254.169.254]:80/ http://[fe80::1%25lo]/
http://%31%32%37.0.0.1/ http://127.0.0.1%00.example.com/ http://127.0.0.1%0d%0a.example.com/ http://127.127.127.127/
http://localhost/ http://LOCALHOST./ http://ⓛⓞⓒⓐⓛⓗⓞⓢⓣ/ http://ｌｏｃａｌｈｏｓｔ/ http://localhoſt/ http://localhost:9001/
http://127.0.0.1:9001/2018-06-01/runtime/invocation/next file:///proc/self/environ http+unix://%2Fvar%2Frun%2Fdocker.sock/
"""


@pytest.mark.parametrize("url", TRICKS.split())
def test_tricks_with_the_parts_of_a_url_lead_nowhere_inside(client: Any, internet: Any, url: str) -> None:
    with pytest.raises(client.problem) as caught:
        client.get(url, resolver=client.module.resolve)
    assert caught.value.code in ("bad_url", "address_not_public")
    assert internet.connected == []


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "169.254.169.254", "[::1]", "[::ffff:7f00:1]", "10.0.0.1"])
def test_the_systems_own_resolver_leads_nowhere_inside(client: Any, internet: Any, host: str) -> None:
    client.refused("address_not_public", f"https://{host}/latest/meta-data/", resolver=client.module.resolve)
    assert internet.connected == []


@given(port=st.integers(0, 65535).filter(lambda port: port != 443), scheme=st.sampled_from(["https", "http"]))
@quick
def test_no_other_port_is_ever_asked(client: Any, port: int, scheme: str) -> None:
    def never(*_: Any) -> Any:
        raise AssertionError("asked")

    if (scheme, port) != ("http", 80):
        for host in (HOST, "127.0.0.1", "[::1]"):
            with pytest.raises(client.problem) as caught:
                client.get(f"{scheme}://{host}:{port}/", resolver=never, connector=never)
            assert caught.value.code == "bad_url"


def test_http_is_not_fetched_where_it_is_not_allowed(client: Any, internet: Any, site: Any) -> None:
    client.refused("bad_url", f"http://{HOST}/1.jpg", allow_http=False)
    assert internet.resolved == internet.connected == []
    assert client.fetcher().allow_http is False


def test_proxies_and_passwords_of_the_environment_take_no_part(
    client: Any, internet: Any, site: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        proxy.settimeout(0)
        address = f"http://127.0.0.1:{proxy.getsockname()[1]}"
        for name in ("http_proxy", "https_proxy", "all_proxy"):
            monkeypatch.setenv(name, address)
            monkeypatch.setenv(name.upper(), address)
        monkeypatch.setenv("HOME", str(tmp_path))
        (tmp_path / ".netrc").write_text(f"machine {HOST} login me password secret\n")
        (tmp_path / ".netrc").chmod(0o600)
        assert client.get() == PHOTO
        with pytest.raises(BlockingIOError):
            proxy.accept()
    assert b"secret" not in site.requests[0]
    assert b"uthorization" not in site.requests[0]


def test_an_address_that_does_not_answer_is_passed_over(client: Any, internet: Any, site: Any) -> None:
    internet.name(HOST, ["1.1.1.1", remotes.PUBLIC])
    waited: list[float] = []

    def connector(address: str, port: int, timeout: float) -> socket.socket:
        waited.append(timeout)
        if address == "1.1.1.1":
            raise TimeoutError
        connection: socket.socket = internet.connector(address, port, timeout)
        return connection

    assert client.get(seconds=4, connector=connector) == PHOTO
    assert waited[0] <= 2.0 < waited[1] <= 4.0


def test_a_name_with_hundreds_of_addresses_is_tried_at_four(client: Any, internet: Any) -> None:
    found = [f"93.184.{high}.{low}" for high in range(2) for low in range(1, 255)]
    internet.name(HOST, found)
    assert client.refused("fetch_failed") == f"{HOST} could not be fetched from: the connection failed"
    assert [address for address, _ in internet.connected] == found[:4]


@pytest.mark.parametrize(
    "error",
    [socket.gaierror(socket.EAI_AGAIN, "x"), socket.gaierror(socket.EAI_NONAME, "x"), UnicodeError("label too long")],
    ids=repr,
)
def test_an_unknown_host_is_named(client: Any, internet: Any, error: Exception) -> None:
    def resolver(*_: Any) -> list[str]:
        raise error

    assert client.refused("host_not_found", resolver=resolver) == f"{HOST} has no address"
    client.refused("host_not_found", resolver=lambda *_: [])
    assert internet.connected == []


@pytest.mark.parametrize("error", [ConnectionRefusedError, ConnectionResetError, PermissionError, OSError], ids=str)
def test_a_connection_that_fails_is_named(client: Any, internet: Any, error: type[Exception]) -> None:
    internet.name(HOST, [remotes.PUBLIC])

    def connector(*_: Any) -> socket.socket:
        raise error

    detail = client.refused("fetch_failed", connector=connector)
    assert detail == f"{HOST} could not be fetched from: the connection failed"


def took(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def test_a_slow_resolver_and_a_slow_connection_are_cut_off(client: Any, internet: Any) -> None:
    def slow(*_: Any) -> list[str]:
        time.sleep(10)
        return [remotes.PUBLIC]

    refused = functools.partial(client.refused, "fetch_timeout", seconds=0.3)
    assert took(lambda: refused(resolver=slow)) < 5
    internet.name(HOST, [remotes.PUBLIC])
    with socket.create_server(("127.0.0.1", 0)) as listener:  # accepts in the kernel, and never speaks

        def connector(_address: str, _port: int, timeout: float) -> socket.socket:
            return socket.create_connection(listener.getsockname(), timeout)

        assert took(lambda: refused(connector=connector)) < 5
        assert took(lambda: refused(f"https://{HOST}/", connector=connector)) < 5, "the handshake waits too"


def test_where_no_time_is_left_nobody_is_asked(client: Any, internet: Any, site: Any) -> None:
    for url in (f"http://{HOST}/", f"http://{remotes.PUBLIC}/"):
        client.refused("fetch_timeout", url, seconds=0)
    assert internet.resolved == internet.connected == []


def test_by_itself_it_connects_to_the_very_address(client: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        host, port = listener.getsockname()
        with client.module.connect(host, port, 1.0) as connection:
            assert connection.getpeername() == (host, port)
            assert 0 < connection.gettimeout() <= 1.0
    assert "127.0.0.1" in client.module.resolve("localhost", 443)
