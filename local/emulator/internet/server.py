"""Serves the sites of the emulated internet on the loopback, over TLS."""

import contextlib
import json
import os
import re
import socketserver
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO, cast
from urllib.parse import unquote

from local.emulator import environment
from local.emulator.internet import certificates, sites

_SECONDS = 10.0  # for a caller's handshake, request and every read
_LONGEST = 16 * 1024  # bytes of a request's head
_WORKER = Path(__file__).parent / "worker"
_MOVED = re.compile(r"/moved/([0-9])(/.*)")
_TYPES = {".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".png": "image/png", ".webp": "image/webp"}

Read = Callable[[str, str], bytes | None]  # an object's content by bucket and key; None: there is none
_HOSTILE = {hostile.path: hostile for hostile in sites.HOSTILE}


@contextlib.contextmanager
def serving(folder: Path, read: Read) -> Iterator[dict[str, str]]:
    """Serve the sites; yields what a process needs in its environment to see them. Certificates go to `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    own, trusted = certificates.make(folder, sites.CERTIFIED, sites.DOMAIN)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(own)
    with _Server(context, read) as server:
        thread = threading.Thread(target=server.serve_forever, name="internet", daemon=True)
        thread.start()
        try:
            yield variables(server.server_address[1], trusted)
        finally:
            server.shutdown()
            thread.join()


def variables(port: int, trusted: Path, inherited: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The environment of a worker that sees the sites behind `port` and trusts the authorities in `trusted`."""
    seen = {"names": sites.NAMES, "doors": {f"{sites.PUBLIC}:{sites.HTTPS}": port}, "domain": sites.DOMAIN}
    path = inherited.get("PYTHONPATH")
    return {
        "TALLY_INTERNET": json.dumps(seen),
        "PYTHONPATH": f"{_WORKER}{os.pathsep}{path}" if path else str(_WORKER),
        "SSL_CERT_FILE": str(trusted),
    }


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False  # those who are slow on purpose are not waited for
    request_queue_size = 128

    def __init__(self, context: ssl.SSLContext, read: Read) -> None:
        super().__init__((environment.HOST, 0), _Handler)
        self.context = context
        self.read = read

    def handle_error(self, _request: object, _client_address: object) -> None:
        """A caller that hangs up or refuses the certificate is none of our errors."""


class _Handler(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        server = cast(_Server, self.server)
        self.request.settimeout(_SECONDS)
        with server.context.wrap_socket(self.request, server_side=True) as connection:
            with connection.makefile("rb") as stream:
                asked = _asked(cast(BinaryIO, stream))
            if asked is None:
                return
            host, path = asked
            if host == sites.HOSTILE_SITE and path in _HOSTILE:
                _HOSTILE[path].serve(connection.sendall)
            else:
                connection.sendall(_photo(path, server.read))


def _asked(stream: BinaryIO) -> tuple[str, str] | None:
    """Host and path of a request; None for what is no GET."""
    head: list[bytes] = []
    while (line := stream.readline(_LONGEST).strip()) and sum(map(len, head)) < _LONGEST:
        head.append(line)
    words = head[0].split() if head else []
    if len(words) != 3 or words[0] != b"GET":
        return None
    fields = dict(line.lower().partition(b":")[::2] for line in head[1:])
    path = words[1].partition(b"?")[0]
    return fields.get(b"host", b"").strip().decode("latin-1"), path.decode("latin-1")


def _photo(path: str, read: Read) -> bytes:
    if moved := _MOVED.fullmatch(path):
        times = int(moved[1]) - 1
        return sites.redirect(f"/moved/{times}{moved[2]}" if times > 0 else moved[2])
    bucket, _, key = unquote(path).strip("/").partition("/")
    content = read(bucket, key) if bucket and key else None
    if content is None:
        return sites.answer(b"", "404 Not Found")
    kind = _TYPES.get(Path(key).suffix.lower(), "application/octet-stream")
    return sites.answer(content, "200 OK", f"Content-Type: {kind}")
