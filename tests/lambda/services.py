"""A web server in the place of an AWS service, for answers that moto does not give."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import boto3
from botocore.config import Config


@dataclass(frozen=True)
class Reply:
    """What the service says next; `cut` ends the connection after the headers and half of the body."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    after: float = 0.0
    cut: bool = False


class Service(ThreadingHTTPServer):
    """Gives its replies in turn, the last one for ever. `requests` has method and path of each."""

    daemon_threads = True

    def __init__(self, *replies: Reply) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.replies = list(replies)
        self.requests: list[str] = []
        self.bodies: list[bytes] = []
        self.connections = 0

    def client(self, name: str, read_timeout: float = 5.0) -> Any:
        """A boto3 client of the service that lives here."""
        config = Config(connect_timeout=2, read_timeout=read_timeout, retries={"total_max_attempts": 1})
        host, port = self.server_address[:2]
        return boto3.client(name, endpoint_url=f"http://{host!s}:{port}", region_name="eu-west-1", config=config)

    def next_reply(self) -> Reply:
        return self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Service

    def setup(self) -> None:
        super().setup()
        self.server.connections += 1

    def _answer(self) -> None:
        self.server.requests.append(f"{self.command} {self.path}")
        self.server.bodies.append(self.rfile.read(int(self.headers.get("Content-Length") or 0)))
        reply = self.server.next_reply()
        time.sleep(reply.after)
        try:
            self.send_response(reply.status)
            for header, value in {"Content-Length": str(len(reply.body)), **reply.headers}.items():
                self.send_header(header, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(reply.body[: len(reply.body) // 2] if reply.cut else reply.body)
        except OSError:
            self.close_connection = True  # who asked has gone
        self.close_connection = self.close_connection or reply.cut

    do_GET = do_HEAD = do_POST = _answer  # noqa: N815 - names of http.server

    def log_message(self, *_: object) -> None:
        """Nothing: tests look at `requests`."""


@contextmanager
def service(*replies: Reply) -> Iterator[Service]:
    """A service on the loopback."""
    with Service(*replies) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
