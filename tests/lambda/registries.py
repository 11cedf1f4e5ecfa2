"""A second, slow judgement of which addresses are public: IANA's registries as tables, and IPv4 inside IPv6 read off
the hexadecimal digits. It shares nothing with the code it judges but the addresses."""

import ipaddress

# IANA IPv4 special-purpose address registry, whatever it says of "globally reachable": a photo is behind none of them.
# Then address space that is no unicast, and public addresses behind which clouds keep services of their own.
V4 = {
    "0.0.0.0/8": "this network",
    "10.0.0.0/8": "private use",
    "100.64.0.0/10": "shared address space; a cloud's metadata at 100.100.100.200",
    "127.0.0.0/8": "loopback; the Lambda runtime at port 9001",
    "169.254.0.0/16": "link-local; metadata .169.254, name server .169.253, container credentials .170.2 and .170.23",
    "172.16.0.0/12": "private use",
    "192.0.0.0/24": "protocol assignments; metadata of a cloud at 192.0.0.192",
    "192.0.2.0/24": "documentation",
    "192.88.99.0/24": "6to4 relays",
    "192.168.0.0/16": "private use",
    "198.18.0.0/15": "benchmarks",
    "198.51.100.0/24": "documentation",
    "203.0.113.0/24": "documentation",
    "224.0.0.0/4": "multicast",
    "240.0.0.0/4": "reserved, broadcast",
    "168.63.129.16/32": "a cloud's name server, metadata and health probes",
}
# Within 2000::/3, which is all that is given out.
V6 = {
    "2001::/23": "protocol assignments: Teredo, benchmarks, ORCHID, ...",
    "2001:db8::/32": "documentation",
    "3fff::/20": "documentation",
}
# Where the address within begins, in hexadecimal digits, behind which digits.
NAT64 = "0064ff9b" + "0" * 16
SIX_TO_FOUR = "2002"


def publicly_routed(text: str) -> bool:
    """Whether a photo may be fetched from the address."""
    address = ipaddress.ip_address(text)
    if address.version == 4:
        return not any(address in ipaddress.ip_network(network) for network in V4)
    if "%" in text:
        return False
    digits = address.exploded.replace(":", "")
    within = []
    if digits.startswith(NAT64):
        within.append(digits[24:])
    elif digits.startswith(SIX_TO_FOUR):
        within.append(digits[4:12])
    elif digits[0] not in "23" or any(address in ipaddress.ip_network(network) for network in V6):
        return False
    if digits[16] == "0" and digits[17] in "0123" and digits[18:24] == "005efe":  # ISATAP
        within.append(digits[24:])
    return all(publicly_routed(str(ipaddress.IPv4Address(int(item, 16)))) for item in within)
