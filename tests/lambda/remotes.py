"""A remote web server for one test: what it sends, byte by byte, over a real socket."""

import contextlib
import datetime
import socket
import ssl
import threading
import time
from collections.abc import Callable
from pathlib import Path

PUBLIC = "93.184.216.34"  # what names resolve to in these tests; connections to it lead to the loopback

_TLS_HELLO = b"\x16"

Script = Callable[[socket.socket, bytes], None]


class Remote:
    """Accepts connections on the loopback and runs `script(connection, request)` on each."""

    def __init__(self, script: Script, context: ssl.SSLContext | None = None) -> None:
        self._script = script
        self._context = context
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.requests: list[bytes] = []
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def connect(self, _address: str, _port: int, timeout: float) -> socket.socket:
        return socket.create_connection(self._listener.getsockname(), timeout)

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(5)
                with contextlib.suppress(OSError):  # the fetcher hung up, or refused the certificate
                    self._talk(connection)

    def _talk(self, plain: socket.socket) -> None:
        connection = self._context.wrap_socket(plain, server_side=True) if self._context else plain
        with connection:
            request = b""
            while b"\r\n\r\n" not in request and request[:1] != _TLS_HELLO and (chunk := connection.recv(4096)):
                request += chunk
            self.requests.append(request)
            self._script(connection, request)


def sends(*parts: bytes | float) -> Script:
    """A script that sends bytes and pauses for seconds, in this order."""

    def script(connection: socket.socket, _request: bytes) -> None:
        for part in parts:
            if isinstance(part, bytes):
                connection.sendall(part)
            else:
                time.sleep(part)

    return script


def answer(body: bytes, status: str = "200 OK", *headers: str) -> bytes:
    """An HTTP answer with its Content-Length."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def drips(first: bytes, forever: bytes, pause: float) -> Script:
    """A slow loris: a little now and then, without an end."""

    def script(connection: socket.socket, _request: bytes) -> None:
        connection.sendall(first)
        for _ in range(1000):
            connection.sendall(forever)
            time.sleep(pause)

    return script


def certificate(folder: Path, host: str) -> Path:
    """Make a certificate for `host` that vouches for itself; the path of certificate and key in one file."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, host)])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / f"{host}.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    return path
