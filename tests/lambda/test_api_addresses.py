"""Which addresses a caller may have us fetch from: a table of the inside, properties of embeddings, and a second, slow
judgement (registries.py) that must come to the same."""

import ipaddress
from importlib import import_module
from ipaddress import IPv4Address, IPv6Address
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

registries: Any = import_module("tests.lambda.registries")

INSIDE = """
0.0.0.0 0.1.2.3 10.0.0.1 10.255.255.255 100.64.0.1 100.127.255.255 127.0.0.1 127.255.255.254 169.254.169.254
169.254.170.2 169.254.170.23 169.254.169.253 169.254.0.23 100.100.100.200 169.254.0.1 172.16.0.1 172.31.255.255
192.0.0.1 192.0.0.8 192.0.0.170 192.0.0.192 192.0.2.1 192.88.99.1 192.168.0.1 198.18.0.1 198.19.255.255 198.51.100.7
203.0.113.9 224.0.0.1 239.255.255.255 240.0.0.1 255.255.255.255 168.63.129.16
:: ::1 ::127.0.0.1 ::10.0.0.1 ::8.8.8.8 ::ffff:127.0.0.1 ::ffff:169.254.169.254 ::ffff:10.0.0.1 ::ffff:0:10.0.0.1
::ffff:0:8.8.8.8 ::ffff:8.8.8.8 64:ff9b::169.254.169.254 64:ff9b::10.0.0.1 64:ff9b:1::1 64:ff9b:1::808:808 100::1
2001::1 2001:0:4136:e378:8000:63bf:3fff:fdd2 2001:2::1 2001:10::1 2001:20::1 2001:db8::1 2002:7f00:1::1
2002:a9fe:a9fe::1 2002:a00:1::1 2002:c0a8:101::1 3fff::1 5f00::1 2a00:1450:4001::5efe:10.0.0.1
2a00:1450:4001::200:5efe:192.168.0.1 2002:808:808::5efe:10.0.0.1 2a00:1450:4001::100:5efe:127.0.0.1
2a00:1450:4001::300:5efe:10.0.0.1 fc00::1 fd00:ec2::254 fd00:ec2::23 fd20:ce::254 fdff::1 fe80::1 febf::1 fec0::1
feff::1 ff02::1 ff0e::1 4000::1 8000::1
"""
OUTSIDE = """
1.1.1.1 8.8.8.8 93.184.216.34 100.63.255.255 100.128.0.1 172.15.255.255 172.32.0.1 192.167.255.255 198.17.255.255
223.255.255.255 11.0.0.1 168.63.129.17
2606:2800:220:1:248:1893:25c8:1946 2a00:1450:4001:81b::200e 2001:4860:4860::8888 2002:808:808::1 64:ff9b::8.8.8.8
2a00:1450:4001::5efe:8.8.8.8
"""

EVERY_V4 = st.integers(0, 2**32 - 1).map(IPv4Address)
EVERY_V6 = st.integers(0, 2**128 - 1).map(IPv6Address)
quick = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300, deadline=None)


@pytest.fixture
def addresses(load: Any) -> Any:
    (module,) = load("api", "addresses")
    return module


@pytest.mark.parametrize("text", INSIDE.split())
def test_the_inside_is_refused(addresses: Any, text: str) -> None:
    assert not addresses.is_public(ipaddress.ip_address(text))


@pytest.mark.parametrize("text", OUTSIDE.split())
def test_the_public_internet_is_allowed(addresses: Any, text: str) -> None:
    assert addresses.is_public(ipaddress.ip_address(text))


def test_an_address_with_a_zone_is_refused(addresses: Any) -> None:
    assert not addresses.is_public(ipaddress.ip_address("2606:2800:220:1::1%eth0"))


def shapes(inner: IPv4Address) -> dict[str, IPv6Address]:
    """Every way to write an IPv4 address into an IPv6 address."""
    low = int(inner)
    return {
        "mapped": IPv6Address((0xFFFF << 32) | low),
        "compatible": IPv6Address(low),
        "translated": IPv6Address((0xFFFF << 48) | low),
        "NAT64": IPv6Address((0x64FF9B << 96) | low),
        "6to4": IPv6Address((0x2002 << 112) | (low << 80) | 1),
        "Teredo client": IPv6Address((0x20010000 << 96) | (low ^ 0xFFFFFFFF)),
        "Teredo server": IPv6Address((0x20010000 << 96) | (low << 64)),
        "ISATAP": IPv6Address((0x2A001450 << 96) | (0x5EFE << 32) | low),
    }


@given(inner=EVERY_V4)
@quick
def test_an_embedding_never_makes_an_inner_address_public(addresses: Any, inner: IPv4Address) -> None:
    for name, outer in shapes(inner).items():
        assert inner in addresses.embedded(outer), name
        if addresses.is_public(outer):
            assert addresses.is_public(inner), name


@given(address=EVERY_V4 | EVERY_V6)
@quick
def test_nothing_that_python_calls_private_is_public(addresses: Any, address: Any) -> None:
    if addresses.is_public(address):
        reached = addresses.embedded(address) if address.version == 6 else ()
        for judged in reached or (address,):
            assert judged.is_global
            assert not judged.is_private
            assert not judged.is_multicast


@given(offset=st.integers(0, 2**16 - 1))
@quick
def test_the_whole_of_link_local_is_refused(addresses: Any, offset: int) -> None:
    inner = IPv4Address(int(IPv4Address("169.254.0.0")) + offset)
    assert not addresses.is_public(inner)
    assert not any(addresses.is_public(outer) for outer in shapes(inner).values())


def near_the_borders() -> list[Any]:
    """First and last addresses of every network of the registries, and their neighbours."""
    found = []
    for text in [*registries.V4, *registries.V6, "::/96", "::ffff:0:0/96", "64:ff9b::/96", "2000::/3", "2002::/16"]:
        network = ipaddress.ip_network(text)
        last = int(network.broadcast_address)
        for number in (int(network[0]) - 1, int(network[0]), int(network[0]) + 1, last - 1, last, last + 1):
            if 0 <= number < 2**network.max_prefixlen:
                found.append(type(network[0])(number))
    return found


BORDERS = near_the_borders()
# Random IPv6 addresses are hardly ever in a network that matters: these begin as one that does.
PREFIXED = st.builds(
    lambda prefix, rest, bits: IPv6Address(int(prefix) & ~((1 << bits) - 1) | rest & ((1 << bits) - 1)),
    st.sampled_from([item for item in BORDERS if item.version == 6]),
    st.integers(0, 2**128 - 1),
    st.integers(0, 112),
)


@pytest.mark.parametrize("address", BORDERS, ids=str)
def test_at_the_borders_of_every_network_both_judgements_agree(addresses: Any, address: Any) -> None:
    assert addresses.is_public(address) == registries.publicly_routed(str(address))
    if address.version == 4:
        for name, outer in shapes(address).items():
            assert addresses.is_public(outer) == registries.publicly_routed(str(outer)), name


@given(
    address=EVERY_V4 | EVERY_V6 | PREFIXED | EVERY_V4.flatmap(lambda inner: st.sampled_from([*shapes(inner).values()]))
)
@settings(quick, max_examples=2000)
def test_anywhere_both_judgements_agree(addresses: Any, address: Any) -> None:
    assert addresses.is_public(address) == registries.publicly_routed(str(address))
