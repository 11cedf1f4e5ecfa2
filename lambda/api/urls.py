"""Reads a caller's URL strictly."""

import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from problems import ProblemError

_MAX_URL = 2048
_PORTS = {"https": 443, "http": 80}
_LABEL = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)")
_NUMBER = re.compile(r"(?:0[xX][0-9A-Fa-f]*|[0-9]+)")


@dataclass(frozen=True)
class Target:
    """Where a URL leads: `host` without brackets, `path` with its query."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def host_header(self) -> str:
        """The host as HTTP wants it. Without the port, which is the usual one: signed URLs sign this header."""
        return f"[{self.host}]" if ":" in self.host else self.host


def read_url(url: str, *, allow_http: bool) -> Target:
    """Read a URL strictly; ProblemError 400 says what is wrong with it.

    Whatever two programs might read in two ways is refused: user names, backslashes, spaces and control characters,
    letters beyond ASCII, hosts that are numbers.
    """
    if len(url) > _MAX_URL:
        raise _bad_url(f"is longer than {_MAX_URL} characters")
    if not all("!" <= character <= "~" for character in url) or "\\" in url:
        raise _bad_url(
            "has spaces, backslashes or characters beyond ASCII; write them percent-encoded, hosts in punycode"
        )
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise _bad_url("cannot be read as a URL") from None
    schemes = ("https", "http") if allow_http else ("https",)
    if parts.scheme not in schemes:
        raise _bad_url(f"does not begin with {' or '.join(f'{scheme}://' for scheme in schemes)}")
    if "@" in parts.netloc:
        raise _bad_url("carries a user name; only photos that need none are fetched")
    host = _host(parts.hostname or "", bracketed=parts.netloc.startswith("["))
    if port not in (None, _PORTS[parts.scheme]):
        raise _bad_url(f"names port {port}; only the usual {_PORTS[parts.scheme]} is fetched from")
    path = parts.path or "/"
    return Target(parts.scheme, host, _PORTS[parts.scheme], f"{path}?{parts.query}" if parts.query else path)


def _host(host: str, *, bracketed: bool) -> str:
    if bracketed:
        try:
            address = ipaddress.IPv6Address(host)
        except ValueError:
            raise _bad_url("has a malformed IPv6 address as its host") from None
        if address.scope_id is not None:
            raise _bad_url("has an IPv6 address with a zone, which means something on one machine only")
        return str(address)
    try:
        return str(ipaddress.IPv4Address(host))  # four decimal numbers, and nothing else that resolvers take
    except ValueError:
        pass
    labels = host.removesuffix(".").split(".")
    if len(host) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise _bad_url("has a malformed host")
    if _NUMBER.fullmatch(labels[-1]):
        raise _bad_url("has a number as its host; write an IPv4 address as four decimal numbers")
    return host.removesuffix(".")


def _bad_url(what: str) -> ProblemError:
    return ProblemError(400, "bad_url", f"image_url {what}")
