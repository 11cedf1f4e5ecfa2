"""Which IP addresses belong to the public internet. Anything else may be inside: the network this runs in, the
metadata service, the Lambda runtime itself."""

import ipaddress
from ipaddress import IPv4Address, IPv6Address

Address = IPv4Address | IPv6Address

# What is_global of some Python version lets through, or what only looks public. Sources: the IANA special-purpose
# address registries for IPv4 and IPv6.
_DENIED = tuple(
    ipaddress.ip_network(text)
    for text in (
        "0.0.0.0/8",
        "100.64.0.0/10",  # shared address space behind a provider's NAT
        "168.63.129.16/32",  # a cloud's own services on a public address
        "169.254.0.0/16",  # link-local: metadata and credentials
        "192.0.0.0/24",  # protocol assignments, among them 192.0.0.192 (metadata of another cloud)
        "192.88.99.0/24",  # 6to4 relays, withdrawn
        "198.18.0.0/15",  # benchmarks
        "240.0.0.0/4",
        "64:ff9b:1::/48",  # NAT64 of a network's own choice: what it leads to is unknown
        "100::/64",  # discard
        "2001::/23",  # protocol assignments; Teredo is unwrapped and refused as well
        "2001:db8::/32",  # documentation
        "3fff::/20",  # documentation
        "5f00::/16",  # segment routing
        "fc00::/7",  # unique local
        "fd00:ec2::/32",  # metadata over IPv6
        "fe80::/10",
        "fec0::/10",  # site-local, withdrawn but routed by some
        "ff00::/8",
    )
)
_GLOBAL_UNICAST = ipaddress.ip_network("2000::/3")
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_COMPATIBLE = ipaddress.ip_network("::/96")
_TRANSLATED = ipaddress.ip_network("::ffff:0:0:0/96")
_ISATAP = 0x00005EFE  # upper half of an interface identifier that ends in an IPv4 address, but for two bits


def is_public(address: Address) -> bool:
    """Whether the address, and every IPv4 address embedded in it, is one of the public internet."""
    if isinstance(address, IPv6Address):
        if address.scope_id is not None:
            return False
        inner = embedded(address)
        if inner:
            # Through NAT64 or 6to4 the inner address is what is reached; the outer one must be one of these two.
            reachable = address in _NAT64 or address.sixtofour is not None or _plain_public(address)
            return reachable and all(_plain_public(item) for item in inner)
    return _plain_public(address)


def embedded(address: IPv6Address) -> tuple[IPv4Address, ...]:
    """IPv4 addresses inside an IPv6 address: mapped, compatible, translated, NAT64, 6to4, Teredo (server and client),
    ISATAP."""
    found = [item for item in (address.ipv4_mapped, address.sixtofour) if item is not None]
    found += address.teredo or ()
    low = IPv4Address(int(address) & 0xFFFFFFFF)
    if any(address in network for network in (_NAT64, _COMPATIBLE, _TRANSLATED)):
        found.append(low)
    if (int(address) >> 32) & 0xFCFFFFFF == _ISATAP:
        found.append(low)
    return tuple(found)


def _plain_public(address: Address) -> bool:
    if isinstance(address, IPv6Address) and address not in _GLOBAL_UNICAST:
        return False
    if not address.is_global or address.is_multicast or address.is_reserved:
        return False
    return not any(address in network for network in _DENIED if network.version == address.version)
