"""Fetches a photo from a caller's URL, from public addresses only.

The URL is read strictly, its host resolved once, every address judged, and the connection made to an address that was
judged: nothing is resolved again, so a name cannot point elsewhere in between. Each redirect goes through the same
anew. One deadline covers everything, and no more bytes are read than a photo may have. Neither proxies nor cookies nor
anything else of this process takes part.
"""

import http.client
import ipaddress
import socket
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache

from addresses import is_public
from deadline import Deadline, in_time
from exchange import ask, read_body
from hosts import is_address
from problems import ProblemError
from redirects import STATUSES, follow
from urls import Target, read_url
from wire import RemoteError, TooManyBytesError, Wire

MAX_BYTES = 6 * 1024 * 1024  # what an endpoint takes
_MAX_TRIED = 4  # addresses of one host: its owner may name hundreds, and not all are theirs

# What is wrong with a certificate, by OpenSSL's X509_V_ERR_ numbers. Its own words may name hosts.
_CERTIFICATES = {
    9: "is not valid yet",
    10: "has expired",
    18: "vouches for itself",
    19: "is signed by an unknown authority",
    20: "is signed by an unknown authority",
    21: "is signed by an unknown authority",
    62: "is for another host",
    64: "is for another address",
}

Resolver = Callable[[str, int], Sequence[str]]
Connector = Callable[[str, int, float], socket.socket]


def resolve(host: str, port: int) -> Sequence[str]:
    """The addresses of a host, by the system's resolver."""
    return [str(item[4][0]) for item in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


def connect(address: str, port: int, timeout: float) -> socket.socket:
    """Connect to an address, in `timeout` seconds."""
    return socket.create_connection((address, port), timeout)


@cache
def tls_context() -> ssl.SSLContext:
    """Certificates are checked against the system's authorities and the URL's host."""
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.hostname_checks_common_name = False
    context.set_alpn_protocols(["http/1.1"])
    return context


@dataclass(frozen=True)
class Fetcher:
    """Fetches photos of at most `max_bytes`, from https:// URLs and, with `allow_http`, from http:// ones.

    `resolver` gives the addresses of (host, port); `connector` connects to (address, port) within seconds; `tls` gives
    the context that checks certificates.
    """

    allow_http: bool = False
    max_bytes: int = MAX_BYTES
    resolver: Resolver = resolve
    connector: Connector = connect
    tls: Callable[[], ssl.SSLContext] = field(default=tls_context)

    def fetch(self, url: str, deadline: Deadline) -> bytes:
        """The bytes behind a URL.

        ProblemError: bad_url for one that is not fetched from, address_not_public, url_not_found, too_large; and what
        the remote is to blame for: host_not_found, remote_status, bad_redirect, fetch_failed, fetch_timeout. Their
        details name the caller's own host and nothing that was found out about it or beyond it.
        """
        asked = [read_url(url, allow_http=self.allow_http)]
        while True:
            place = _place(asked)
            try:
                answer = self._visit(asked[-1], place, deadline)
            except TooManyBytesError:
                raise too_large(self.max_bytes) from None
            except TimeoutError as error:
                raise ProblemError("fetch_timeout", f"{place} did not deliver the photo in time") from error
            except (OSError, http.client.HTTPException, RemoteError) as error:  # ssl.SSLError is an OSError
                detail = f"{place} could not be fetched from: {_reason(error)}"
                raise ProblemError("fetch_failed", detail) from error
            if isinstance(answer, bytes):
                return answer
            asked.append(follow(asked, answer, allow_http=self.allow_http))

    def _visit(self, target: Target, place: str, deadline: Deadline) -> bytes | list[str]:
        """The photo, or the Location headers of a redirect."""
        connection = self._connect(target, self._addresses(target, place, deadline), deadline)
        try:
            wire = Wire(connection, deadline)
            response = ask(wire, target)
            if response.status in STATUSES:
                return [str(location) for location in response.headers.get_all("Location", [])]
            if response.status in (404, 410):
                raise ProblemError("url_not_found", f"{place} says that there is nothing there ({response.status})")
            if response.status != 200:
                raise ProblemError("remote_status", f"{place} answered {response.status} instead of the photo")
            return read_body(wire, response, self.max_bytes)
        finally:
            connection.close()

    def _addresses(self, target: Target, place: str, deadline: Deadline) -> list[str]:
        """Every address of the host, each judged."""
        try:
            found = self._resolved(target, deadline)
        except (socket.gaierror, UnicodeError) as error:
            raise ProblemError("host_not_found", f"{place} has no address") from error
        if not found:
            raise ProblemError("host_not_found", f"{place} has no address")
        # One address inside is enough to refuse: which one is used must not be left to chance.
        if not all(_is_public(address) for address in found):
            raise ProblemError("address_not_public", f"{place} is not on the public internet; upload the photo")
        return found

    def _resolved(self, target: Target, deadline: Deadline) -> list[str]:
        if is_address(target.host):
            return [target.host]
        return list(dict.fromkeys(in_time(lambda: self.resolver(target.host, target.port), deadline)))

    def _connect(self, target: Target, addresses: list[str], deadline: Deadline) -> socket.socket:
        tried = addresses[:_MAX_TRIED]
        for others, address in zip(range(len(tried) - 1, -1, -1), tried, strict=True):
            try:
                # A share of the time each, so that one address without an answer does not use it up.
                plain = self.connector(address, target.port, deadline.left() / (others + 1))
                break
            except OSError:
                if not others:
                    raise
        if target.scheme == "http":
            return plain
        try:
            plain.settimeout(deadline.left())
            # Without its goodbye an encrypted connection may have been cut short by anybody.
            return self.tls().wrap_socket(plain, server_hostname=target.host, suppress_ragged_eofs=False)
        except BaseException:
            plain.close()
            raise


def too_large(limit: int) -> ProblemError:
    """The error for a photo of too many bytes."""
    return ProblemError("too_large", f"the photo has more than {limit} bytes; send it smaller")


def _is_public(address: str) -> bool:
    try:
        return is_public(ipaddress.ip_address(address))
    except ValueError:  # no address at all
        return False


def _place(asked: Sequence[Target]) -> str:
    host = asked[0].host_header
    return host if asked[-1].host_header == host else f"a host that {host} redirects to"


def _reason(error: Exception) -> str:
    if isinstance(error, RemoteError):
        return str(error)
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate {_CERTIFICATES.get(error.verify_code, 'is not valid')}"
    if isinstance(error, (ssl.SSLEOFError, http.client.IncompleteRead)):
        return "it broke off before the photo was complete"
    if isinstance(error, ssl.SSLError):
        return "no encrypted connection could be made"
    if isinstance(error, http.client.HTTPException):
        return "it does not speak HTTP as it should"
    return "the connection failed"
