"""A server on a real socket that answers with what a test wrote, byte by byte if need be, and keeps what came in."""

import contextlib
import json
import socket
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

ANSWER = {
    "count": 3,
    "confidence": 0.9,
    "probabilities": {"1": 0.01, "2": 0.05, "3": 0.9, "4": 0.03, "5": 0.01},
    "model": {"package": "tally-dev", "version": 7, "file": "0123456789ab"},
    "request_id": "r-1",
    "timings": {"fetch_ms": 12.5, "model_ms": 30, "total_ms": 43.1},
}
EXPECTED = {"expected_count": 3, "matches": True, "expected_probability": 0.9, "decision": "pass"}
HEALTH = {
    "status": "ok",
    "endpoint": "InService",
    "model": {"package": "tally-dev", "version": 7},
    "request_id": "r-3",
}


@dataclass(frozen=True)
class Request:
    """One request as it came in; header names in small letters."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


Script = bytes | Callable[[socket.socket], None]


def answer(body: Any = ANSWER, status: int = 200, **headers: str) -> bytes:
    """An HTTP answer; a body that is no bytes becomes JSON."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    head = [f"HTTP/1.1 {status} X", f"content-length: {len(content)}", *lines]
    return "\r\n".join([*head, "", ""]).encode() + content


def problem(status: int, code: str, **headers: str) -> bytes:
    """A problem as the API words one."""
    body = {
        "type": f"urn:tally:problem:{code}",
        "title": "A title",
        "status": status,
        "code": code,
        "detail": f"the detail of {code}",
        "request_id": "r-2",
    }
    return answer(body, status, content_type="application/problem+json", **headers)


class Server:
    """Answers the first request with the first of `scripts` and so on; the last stays. A script that is a function
    gets the socket and does as it likes; the connection is closed after it."""

    def __init__(self) -> None:
        self.scripts: list[Script] = [answer()]
        self.requests: list[Request] = []
        self.connections = 0
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1/"

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            for connection in self._open:
                with contextlib.suppress(OSError):  # the client was quicker
                    connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
            with self._lock:
                self.connections += 1
                self._open.add(connection)
                self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as stream:
            try:
                while (request := self._read(stream)) is not None:
                    with self._lock:
                        self.requests.append(request)
                        script = self.scripts.pop(0) if len(self.scripts) > 1 else self.scripts[0]
                    if isinstance(script, bytes):
                        connection.sendall(script)
                    else:
                        script(connection)
                        break
            except OSError:
                pass  # the client went away, which is what some tests are about
            with self._lock:
                self._open.discard(connection)

    @staticmethod
    def _read(stream: Any) -> Request | None:
        line = stream.readline()
        if not line:
            return None
        method, path, _ = line.decode().split(" ", 2)
        headers: dict[str, str] = {}
        while (line := stream.readline().strip()) != b"":
            name, _, value = line.decode().partition(":")
            headers[name.lower()] = value.strip()
        return Request(method, path, headers, stream.read(int(headers.get("content-length", 0))))


def batch(*items: Mapping[str, Any]) -> dict[str, Any]:
    """A batch's answer of predictions and problems."""
    results = [
        {"index": index, "status": item["status"], "problem": item}
        if "code" in item
        else {"index": index, "status": 200, "prediction": item}
        for index, item in enumerate(items)
    ]
    failed = sum("problem" in item for item in results)
    return {
        "results": results,
        "succeeded": len(results) - failed,
        "failed": failed,
        "request_id": "r-1",
        "timings": {"total_ms": 50.0},
    }
