"""Reads the host of a URL so strictly that nobody can read it differently: a name, four decimal numbers, or IPv6."""

import ipaddress
import re
import unicodedata
from unicodedata import ucd_3_2_0

_DOTS = re.compile("[.\u3002\uff0e\uff61]")  # what IDNA takes for a dot
_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
_NUMBER = re.compile(r"0x[0-9a-f]*|[0-9]+")
_MAX_HOST = 253
# Sharp s, final sigma and the two joiners are other letters to IDNA 2003 than to IDNA 2008: two names, and perhaps two
# owners. The others are seen by nobody, and kept by one standard only.
_DISPUTED = frozenset("\u00df\u03c2\u200c\u200d\u115f\u1160\u17b4\u17b5\u3164\uffa0")


def read_host(text: str) -> str:
    """The host in ASCII: lower-case name without a trailing dot, IPv4 address, or IPv6 address without brackets.

    Letters beyond ASCII become punycode. ValueError says what is wrong: numbers in any notation but four decimal ones,
    zones, percent-encoding, and whatever versions of IDNA disagree on.
    """
    if text.startswith("[") and text.endswith("]"):
        return _ipv6(text[1:-1])
    try:
        return str(ipaddress.IPv4Address(text))
    except ValueError:
        pass  # a name, or numbers in another notation
    if len(text) > _MAX_HOST:
        raise ValueError("has a malformed host")
    labels = [_label(label) for label in _DOTS.split(text)]
    if len(labels) > 1 and not labels[-1]:
        labels.pop()  # the dot at the end of an absolute name
    name = ".".join(labels)
    if len(name) > _MAX_HOST or not all(_LABEL.fullmatch(label) for label in labels):
        raise ValueError("has a malformed host")
    if _NUMBER.fullmatch(labels[-1]):  # what resolvers take for an address: octal, hexadecimal, short, one number
        raise ValueError("has a number as its host; write an IPv4 address as four decimal numbers")
    return name


def is_address(host: str) -> bool:
    """Whether a host that was read is an address rather than a name."""
    return ":" in host or host.rpartition(".")[2].isdigit()


def _ipv6(text: str) -> str:
    if "%" in text:
        raise ValueError("has an IPv6 address with a zone, which means something on one machine only")
    try:
        return str(ipaddress.IPv6Address(text))
    except ValueError:
        raise ValueError("has a malformed IPv6 address as its host") from None


def _label(text: str) -> str:
    if text.isascii():
        return text.lower()
    try:
        label = text.encode("idna").decode("ascii")
        meant = label.encode("ascii").decode("idna")
    except UnicodeError:
        raise ValueError("has a malformed host") from None
    # The codec knows Unicode 3.2: letters that came later, or fold otherwise today, lead browsers elsewhere.
    unknown = any(ucd_3_2_0.category(character) == "Cn" for character in text)
    if unknown or _DISPUTED & set(text) or _folded(text) != meant:
        raise ValueError("has letters in its host that programs read in different ways; write it in punycode")
    return label


def _folded(text: str) -> str:
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text.casefold()).casefold())
