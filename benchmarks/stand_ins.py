"""What the API talks to, in a process of its own: a web server with photos, S3 and an endpoint, all on the loopback.

    python -m benchmarks.stand_ins site.pem 50000      # prints two ports, https and http, and serves until stdin ends

They answer at once and the same to everybody, so that what is measured is the API.
"""

import asyncio
import hashlib
import json
import random
import ssl
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from local.emulator.internet import certificates

HOST = "photos.example"
BUCKET, PREFIX, ENDPOINT = "raw", "photos/", "tally-bench"
ROOT = Path(__file__).resolve().parents[1]
_LIMIT = 16 * 1024 * 1024
_ANSWER = {
    "count": 3,
    "confidence": 0.9,
    "probabilities": {"1": 0.025, "2": 0.025, "3": 0.9, "4": 0.025, "5": 0.025},
    "model": "0f3a5c7e9b1d",
    "package": "tally-bench/1",
}


@dataclass(frozen=True)
class StandIns:
    """Where they listen. `authorities` is the file of those who vouch for the web server, for SSL_CERT_FILE."""

    https: int
    http: int
    authorities: Path

    def environment(self) -> dict[str, str]:
        """What the function's process must find in its environment to reach them."""
        return {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.http}",
            "AWS_DEFAULT_REGION": "eu-west-1",
            "AWS_ACCESS_KEY_ID": "bench",
            "AWS_SECRET_ACCESS_KEY": "bench",
            "AWS_EC2_METADATA_DISABLED": "true",
            "SSL_CERT_FILE": str(self.authorities),
            "ENDPOINT_NAME": ENDPOINT,
            "S3_SOURCES": f"{BUCKET}/{PREFIX}",
            "ENVIRONMENT": "bench",
        }


@contextmanager
def running(size: int) -> Iterator[StandIns]:
    """Run them; their photo has `size` bytes."""
    with tempfile.TemporaryDirectory() as folder:
        site, authorities = certificates.make(Path(folder), [HOST], "example")
        command = [sys.executable, "-m", "benchmarks.stand_ins", str(site), str(size)]
        process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        with process:
            assert process.stdin  # noqa: S101 - for the type checker
            assert process.stdout  # noqa: S101 - for the type checker
            try:
                https, http = map(int, process.stdout.readline().split())
                yield StandIns(https, http, authorities)
            finally:
                process.stdin.close()


def photo(size: int) -> bytes:
    """Bytes that begin as a JPEG does and are otherwise noise, the same for the same size."""
    return b"\xff\xd8\xff\xe0" + random.Random(size).randbytes(size - 4)


class _Site:
    def __init__(self, size: int) -> None:
        self._photo = photo(size)
        self._etag = f'"{hashlib.md5(self._photo, usedforsecurity=False).hexdigest()}"'
        self._answer = json.dumps(_ANSWER).encode()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self._exchange(reader, writer):
                pass
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # who asked has gone, or all is over
        finally:
            writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])}
        if headers.get("expect") == "100-continue":
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        await reader.readexactly(int(headers.get("content-length", 0)))
        method = head[0].split()[0]
        body, kind = (self._answer, "application/json") if method == "POST" else (self._photo, "image/jpeg")
        answer = f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\nETag: {self._etag}\r\n\r\n"
        writer.write(answer.encode() + (b"" if method == "HEAD" else body))
        await writer.drain()
        return headers.get("connection", "").lower() != "close"


async def _main(certificate: str, size: int) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    site = _Site(size)
    https = await asyncio.start_server(site.serve, "127.0.0.1", 0, ssl=context, limit=_LIMIT)
    http = await asyncio.start_server(site.serve, "127.0.0.1", 0, limit=_LIMIT)
    print(*(server.sockets[0].getsockname()[1] for server in (https, http)), flush=True)
    await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1], int(sys.argv[2])))
