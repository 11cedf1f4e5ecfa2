"""What is on the emulated internet, and how its hostile site misbehaves.

`photos.example` shows the account's buckets: https://photos.example/BUCKET/KEY, and below /moved/N/ the same after N
redirects. `hostile.example` does at each path what a remote must not do, see `HOSTILE`. The other names are wrong by
themselves, see `WRONG_NAMES`.
"""

import gzip
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache

DOMAIN = "example"  # reserved for documentation (RFC 2606): nobody's
PHOTOS, HOSTILE_SITE = "photos.example", "hostile.example"
PUBLIC = "93.184.216.34"  # a public address, behind which the sites are; nothing is ever sent to it
HTTPS = 443
NAMES = {
    PHOTOS: (PUBLIC,),
    HOSTILE_SITE: (PUBLIC,),
    "impostor.example": (PUBLIC,),
    "internal.example": ("169.254.169.254",),
    "mixed.example": (PUBLIC, "127.0.0.1"),
}
CERTIFIED = (PHOTOS, HOSTILE_SITE)

_PAUSE = 0.2  # seconds between the bytes of those that are slow
_PATIENCE = 60.0  # seconds after which they give up, if nobody hangs up on them
_LONG = 64 * 1024 * 1024  # bytes, far more than a photo has
_MESSAGE = b"<!doctype html><title>Sign in</title><p>Sign in to see this photo."

Send = Callable[[bytes], None]


@dataclass(frozen=True)
class Hostile:
    """One misbehaviour: where it is, what it does, and the status and code that the API must answer with."""

    path: str
    what: str
    status: int
    code: str
    serve: Callable[[Send], None]
    slow: bool = False  # the fetch goes on until its time is up

    @property
    def url(self) -> str:
        """Where to point `image_url`."""
        return f"https://{HOSTILE_SITE}{self.path}"


@dataclass(frozen=True)
class WrongName:
    """A URL that is refused for its name alone, whatever is there."""

    url: str
    what: str
    status: int
    code: str


def answer(body: bytes, status: str = "200 OK", *headers: str) -> bytes:
    """A whole HTTP answer with its Content-Length."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def redirect(location: str) -> bytes:
    """A redirect to `location`."""
    return answer(b"", "302 Found", f"Location: {location}")


def _says(said: bytes) -> Callable[[Send], None]:
    return lambda send: send(said)


def _drips(first: bytes, forever: bytes) -> Callable[[Send], None]:
    def serve(send: Send) -> None:
        send(first)
        for _ in _until_patience_ends():
            send(forever)

    return serve


def _until_patience_ends() -> Iterator[None]:
    end = time.monotonic() + _PATIENCE
    while time.monotonic() < end:
        yield
        time.sleep(_PAUSE)


def _silent(_send: Send) -> None:
    for _ in _until_patience_ends():
        pass


def _endless(head: bytes, part: bytes) -> Callable[[Send], None]:
    def serve(send: Send) -> None:
        send(head)
        for _ in range(_LONG // len(part)):
            send(part)

    return serve


@cache
def _packed() -> bytes:
    return gzip.compress(bytes(_LONG), mtime=0)


def _bomb(send: Send) -> None:
    send(answer(_packed(), "200 OK", "Content-Type: image/jpeg", "Content-Encoding: gzip"))


_OK = b"HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\n"
_CHUNK = b"10000\r\n" + bytes(65536) + b"\r\n"

HOSTILE = (
    Hostile("/missing", "says that there is no such photo", 404, "url_not_found", _says(answer(b"", "404 Not Found"))),
    Hostile("/broken", "fails", 424, "remote_status", _says(answer(b"", "500 Internal Server Error"))),
    Hostile("/page", "answers with a page", 415, "not_an_image", _says(answer(_MESSAGE, "200 OK"))),
    Hostile("/loop", "redirects in a circle", 424, "bad_redirect", _says(redirect("/loop"))),
    Hostile("/nowhere", "redirects without saying where", 424, "bad_redirect", _says(answer(b"", "302 Found"))),
    Hostile("/file", "redirects to a file", 424, "bad_redirect", _says(redirect("file:///proc/self/environ"))),
    Hostile("/http", "redirects to http", 424, "bad_redirect", _says(redirect(f"http://{PHOTOS}/x.jpg"))),
    Hostile("/user", "redirects with a password", 424, "bad_redirect", _says(redirect(f"https://a:b@{PHOTOS}/x.jpg"))),
    Hostile("/port", "redirects to another port", 424, "bad_redirect", _says(redirect(f"https://{PHOTOS}:22/"))),
    Hostile(
        "/metadata",
        "redirects to the metadata address",
        403,
        "address_not_public",
        _says(redirect("https://169.254.169.254/latest/meta-data/iam/security-credentials/")),
    ),
    Hostile(
        "/inside",
        "redirects to a name inside",
        403,
        "address_not_public",
        _says(redirect("https://internal.example/")),
    ),
    Hostile(
        "/endless",
        "sends without an end",
        413,
        "too_large",
        _endless(_OK + b"Transfer-Encoding: chunked\r\n\r\n", _CHUNK),
    ),
    Hostile("/bomb", "sends 64 MiB in 64 KiB", 413, "too_large", _bomb),
    Hostile("/huge", "promises a terabyte", 413, "too_large", _says(_OK + b"Content-Length: 1099511627776\r\n\r\n")),
    Hostile(
        "/short", "sends less than it promised", 424, "fetch_failed", _says(_OK + b"Content-Length: 9\r\n\r\n1234")
    ),
    Hostile("/garbage", "does not speak HTTP", 424, "fetch_failed", _says(b"220 mail.example ESMTP\r\n")),
    Hostile(
        "/brotli",
        "packs in a way nobody asked for",
        424,
        "fetch_failed",
        _says(answer(b"x", "200 OK", "Content-Encoding: br")),
    ),
    Hostile("/headers", "sends headers without an end", 424, "fetch_failed", _endless(_OK, b"X-More: and more\r\n")),
    Hostile("/silent", "never answers", 424, "fetch_timeout", _silent, slow=True),
    Hostile(
        "/slow",
        "sends a byte now and then",
        424,
        "fetch_timeout",
        _drips(_OK + b"Content-Length: 999999\r\n\r\n", b"\xff"),
        slow=True,
    ),
)

WRONG_NAMES = (
    WrongName("https://nobody.example/x.jpg", "a name without an address", 424, "host_not_found"),
    WrongName("https://impostor.example/x.jpg", "a certificate for other names", 424, "fetch_failed"),
    WrongName("https://internal.example/x.jpg", "a name with an address inside", 403, "address_not_public"),
    WrongName("https://mixed.example/x.jpg", "a name with one address inside", 403, "address_not_public"),
    WrongName("https://127.0.0.1/x.jpg", "the loopback", 403, "address_not_public"),
    WrongName("https://[::ffff:169.254.169.254]/x.jpg", "the metadata address in IPv6", 403, "address_not_public"),
    WrongName("https://photos.example:8443/x.jpg", "another port", 400, "bad_url"),
    WrongName("https://user@photos.example/x.jpg", "a user name", 400, "bad_url"),
    WrongName("http://photos.example/x.jpg", "http", 400, "bad_url"),
    WrongName("file:///etc/passwd", "a file", 400, "bad_url"),
)
