"""Reads a caller's URL strictly."""

import re
import unicodedata
from dataclasses import dataclass
from urllib.parse import quote

from hosts import read_host
from problems import ProblemError

MAX_URL = 2048
_PORTS = {"https": 443, "http": 80}
# RFC 3986, appendix B, for URLs that name an authority. urlsplit is not asked: it drops tabs and newlines.
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://([^/?#]*)([^?#]*)(?:\?([^#]*))?(?:#.*)?")
_AUTHORITY = re.compile(r"(\[[^\[\]]*\]|[^:\[\]]*)(?::([0-9]{1,5}))?")
_REFUSED = frozenset({"Cc", "Cs", "Zl", "Zp", "Zs"})  # controls, halves of a character, every kind of space
_AS_IS = "!#$%&'()*+,/:;=?@[]~"  # beside letters, digits and -._


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

    @property
    def url(self) -> str:
        """The URL that was read, in one spelling and without its fragment."""
        return f"{self.scheme}://{self.host_header}{self.path}"


def read_url(url: str, *, allow_http: bool, longest: int = MAX_URL) -> Target:
    """Read a URL of at most `longest` characters strictly; ProblemError bad_url says what is wrong with it.

    Whatever two programs might read in two ways is refused: user names, backslashes, spaces and control characters,
    hosts that are numbers. Letters beyond ASCII become punycode in the host and are percent-encoded after it.
    """
    check_characters(url, longest)
    parts = _URL.fullmatch(url)
    schemes = ("https", "http") if allow_http else ("https",)
    if not parts or parts[1].lower() not in schemes:
        raise _bad_url(f"does not begin with {' or '.join(f'{scheme}://' for scheme in schemes)}")
    scheme = parts[1].lower()
    if "@" in parts[2]:
        raise _bad_url("carries a user name; only photos that need none are fetched")
    authority = _AUTHORITY.fullmatch(parts[2])
    if not authority:
        raise _bad_url("has a malformed host or port")
    try:
        host = read_host(authority[1])
    except ValueError as error:
        raise _bad_url(str(error)) from None
    if authority[2] not in (None, str(_PORTS[scheme])):
        raise _bad_url(f"names port {authority[2]}; only the usual {_PORTS[scheme]} is fetched from")
    path = f"{parts[3] or '/'}?{parts[4]}" if parts[4] else parts[3] or "/"
    return Target(scheme, host, _PORTS[scheme], quote(path, safe=_AS_IS))


def check_characters(text: str, longest: int) -> None:
    """Refuse a text (ProblemError bad_url) for what one program drops and another does not, wherever it stands."""
    if len(text) > longest:
        raise _bad_url(f"is longer than {longest} characters")
    if "\\" in text or any(unicodedata.category(character) in _REFUSED for character in text):
        raise _bad_url("has spaces, backslashes or control characters; write them percent-encoded")


def _bad_url(what: str) -> ProblemError:
    return ProblemError("bad_url", f"image_url {what}")
