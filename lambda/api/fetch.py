"""Fetches a photo from a caller's URL, from public addresses only.

The URL is read strictly, its host resolved once, every address judged, and the connection made to an address that was
judged: nothing is resolved again, so a name cannot point elsewhere in between. One deadline covers everything, and no
more bytes are read than a photo may have. Redirects are not followed.
"""

import http.client
import ipaddress
import socket
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache

from addresses import is_public
from deadline import Deadline, TimedSocket, in_time
from problems import ProblemError
from urls import Target, read_url

MAX_BYTES = 6 * 1024 * 1024  # what an endpoint takes
_CHUNK = 64 * 1024

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
    return ssl.create_default_context()


@dataclass(frozen=True)
class Fetcher:
    """Fetches photos in at most `seconds` and `max_bytes`."""

    allow_http: bool = False
    seconds: float = 10.0
    max_bytes: int = MAX_BYTES
    resolver: Resolver = resolve
    connector: Connector = connect
    tls: Callable[[], ssl.SSLContext] = field(default=tls_context)

    def fetch(self, url: str) -> bytes:
        """The bytes behind a URL.

        ProblemError: 400 for a URL that is not one of ours to fetch, 403 for an address that is not public, 413 for
        too many bytes, 424 when the remote answers with anything but the photo, 504 when it takes too long.
        """
        deadline = Deadline(self.seconds)
        target = read_url(url, allow_http=self.allow_http)
        try:
            addresses = self._addresses(target, deadline)
            connection = self._connect(target, addresses, deadline)
            try:
                return self._get(target, connection, deadline)
            finally:
                connection.close()
        except TimeoutError as error:
            raise ProblemError(504, "fetch_timeout", f"{target.host} took longer than {self.seconds:g} s") from error
        except (OSError, http.client.HTTPException) as error:  # ssl.SSLError is an OSError
            raise _failed(target, error) from error

    def _addresses(self, target: Target, deadline: Deadline) -> list[str]:
        try:
            found = list(dict.fromkeys(in_time(lambda: self.resolver(target.host, target.port), deadline)))
        except (socket.gaierror, UnicodeError) as error:
            raise ProblemError(424, "host_not_found", f"the host {target.host} has no address") from error
        if not found:
            raise ProblemError(424, "host_not_found", f"the host {target.host} has no address")
        for text in found:
            # One address inside is enough to refuse: which one is used must not be left to chance.
            if not is_public(ipaddress.ip_address(text)):
                raise ProblemError(
                    403, "address_not_public", f"the host {target.host} is not on the public internet; upload the photo"
                )
        return found

    def _connect(self, target: Target, addresses: list[str], deadline: Deadline) -> socket.socket:
        for others, address in zip(range(len(addresses) - 1, -1, -1), addresses, strict=True):
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
            return self.tls().wrap_socket(plain, server_hostname=target.host)
        except BaseException:
            plain.close()
            raise

    def _get(self, target: Target, connection: socket.socket, deadline: Deadline) -> bytes:
        client = http.client.HTTPConnection(target.host, target.port)
        client.sock = TimedSocket(connection, deadline)
        headers = {"Host": target.host_header, "User-Agent": "tally", "Accept": "image/*", "Connection": "close"}
        client.request("GET", target.path, headers=headers)
        response = client.getresponse()
        if 300 <= response.status < 400:
            detail = f"{target.host} redirects ({response.status}); give the URL of the photo itself"
            raise ProblemError(424, "redirect", detail)
        if response.status != 200:
            raise ProblemError(424, "remote_status", f"{target.host} answered {response.status} instead of the photo")
        if response.length is not None and response.length > self.max_bytes:
            raise too_large(self.max_bytes)
        return self._body(response)

    def _body(self, response: http.client.HTTPResponse) -> bytes:
        body = bytearray()
        while chunk := response.read(_CHUNK):
            body += chunk
            if len(body) > self.max_bytes:
                raise too_large(self.max_bytes)
        if response.length:  # the remote promised more than it sent
            raise http.client.IncompleteRead(bytes(body), response.length)
        return bytes(body)


def too_large(limit: int) -> ProblemError:
    """The error for a photo of too many bytes."""
    return ProblemError(413, "too_large", f"the photo has more than {limit} bytes; send it smaller")


def _failed(target: Target, error: Exception) -> ProblemError:
    if isinstance(error, ssl.SSLCertVerificationError):
        reason = f"its certificate is not valid: {error.verify_message}"
    elif isinstance(error, ssl.SSLError):
        reason = "no encrypted connection could be made"
    elif isinstance(error, http.client.IncompleteRead):
        reason = "it broke off before the photo was complete"
    elif isinstance(error, http.client.HTTPException):
        reason = "it does not speak HTTP as it should"
    else:
        reason = "the connection failed"
    return ProblemError(424, "fetch_failed", f"{target.host} could not be fetched from: {reason}")
