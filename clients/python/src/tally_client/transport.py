"""One HTTP exchange at a time: connections that are kept, limits of time and bytes, and no secret in any message."""

from __future__ import annotations

import ipaddress
import platform
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

# The standard library's reading of HTTPS_PROXY and NO_PROXY; its types leave these two out.
from urllib.request import getproxies_environment, proxy_bypass_environment  # type: ignore[attr-defined]

import urllib3
from urllib3.exceptions import HTTPError

from tally_client.errors import NoAnswer, UnexpectedAnswer, UsageError
from tally_client.version import __version__
from tally_client.waiting import Budget

Sign = Callable[[str, str, Mapping[str, str], bytes], Mapping[str, str]]
"""Signs a request: (method, URL, headers, body) to the headers to send instead. Called anew for every try."""

_ANSWER_LIMIT = 10 * 1024 * 1024  # what API Gateway can answer with at most
_CONNECTIONS = 32  # kept for threads that share a client; more are opened when needed, and closed after use
_CHUNK = 64 * 1024
_AGENT = f"tally-client/{__version__} python/{platform.python_version()}"


@dataclass(frozen=True)
class Answer:
    """Status, headers and whole body of an answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Transport:
    """Sends requests below `url`, which ends with a slash. The key is in no repr."""

    url: str
    api_key: str | None = field(repr=False)
    sign: Sign | None = field(repr=False)
    pool: urllib3.PoolManager = field(repr=False)

    @staticmethod
    def make(url: str, api_key: str | None, sign: Sign | None) -> Transport:
        """UsageError for a URL that may not be sent secrets to, for a key that is none, and without key and signer."""
        base = base_url(url)
        if api_key is None and sign is None:
            raise UsageError("give api_key, or sign where the API asks for AWS signatures")
        if api_key is not None and not (isinstance(api_key, str) and re.fullmatch(r"[!-~]+", api_key)):
            raise UsageError("api_key must be printable ASCII characters without a space; it is not shown here")
        return Transport(base, api_key, sign, _pool(base))

    def exchange(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes | None, budget: Budget
    ) -> Answer:
        """One try. NoAnswer without a connection or a complete answer in time; UnexpectedAnswer for too long a one."""
        url = self.url + path
        sent = {"user-agent": _AGENT, "accept": "application/json", **headers}
        if self.api_key is not None:
            sent["x-api-key"] = self.api_key
        if self.sign is not None:
            sent = dict(self.sign(method, url, sent, body or b""))
        try:
            # No shorter time to connect: urllib3 sends the body under it, too.
            timeout = urllib3.Timeout(total=budget.left())
            response = self.pool.request(
                method, url, body=body, headers=sent, timeout=timeout, retries=False, redirect=False,
                preload_content=False,
            )  # fmt: skip
            return _read(response, url, budget)
        except (HTTPError, TimeoutError, OSError) as error:
            transient = not isinstance(error, urllib3.exceptions.SSLError)  # a wrong certificate stays wrong
            raise NoAnswer(f"no answer from {method} {url}: {_reason(error)}", transient) from error

    def close(self) -> None:
        """Close the connections that are kept."""
        self.pool.clear()


def base_url(url: str) -> str:
    """The API's address with a slash at its end. UsageError unless it is https:// without user, query and fragment;
    http:// only to this machine itself, where nobody is on the way to read the key."""
    if not isinstance(url, str):
        raise UsageError(
            f"url is of type {type(url).__name__}; give the API's address with its stage: https://HOST/v1/"
        )
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise UsageError("url cannot be read; give the API's address with its stage: https://HOST/v1/") from None
    if re.search(r"[^!-~]|\\", url) or not host or parts.username is not None or parts.password is not None:
        raise UsageError("url must be https://HOST/STAGE/, in ASCII and without a user name")
    if "?" in url or "#" in url:
        raise UsageError("url must end with the API's stage, without a query and a fragment")
    if parts.scheme != "https" and not (parts.scheme == "http" and _is_loopback(host)):
        raise UsageError(f"url begins with {parts.scheme}://; the key goes over https:// only, or to this machine")
    return url.rstrip("/") + "/"


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _pool(url: str) -> urllib3.PoolManager:
    """Connections to the API, through the proxy that the environment names, as curl and AWS's SDKs do."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    proxy = getproxies_environment().get(parts.scheme)
    if not proxy or _is_loopback(host) or proxy_bypass_environment(host):
        return urllib3.PoolManager(maxsize=_CONNECTIONS)
    try:
        address = urllib3.util.parse_url(proxy if "://" in proxy else f"http://{proxy}")
        headers = urllib3.make_headers(proxy_basic_auth=address.auth) if address.auth else None
        return urllib3.ProxyManager(address.url, maxsize=_CONNECTIONS, proxy_headers=headers)
    except HTTPError:
        raise UsageError(f"the variable {parts.scheme.upper()}_PROXY is no address of an HTTP proxy") from None


def _read(response: urllib3.BaseHTTPResponse, url: str, budget: Budget) -> Answer:
    body = bytearray()
    try:
        while chunk := response.read1(_CHUNK):
            body += chunk
            budget.left()
            if len(body) > _ANSWER_LIMIT:
                raise UnexpectedAnswer(f"{url} answered with more than {_ANSWER_LIMIT} bytes", response.status)
    except BaseException:
        response.close()  # what is left of this answer must not be taken for the next one
        raise
    response.release_conn()
    return Answer(response.status, response.headers, bytes(body))


def _reason(error: BaseException) -> str:
    """The error in words. urllib3's own name an object by its address in memory; the cause beneath says more."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, TimeoutError):
            return "it took too long"
        if isinstance(cause, OSError) and not isinstance(cause, HTTPError) and str(cause):
            return str(cause)
        cause = cause.__cause__ or cause.__context__
    if isinstance(error, urllib3.exceptions.ProtocolError):
        return "the connection broke off"
    return type(error).__name__
