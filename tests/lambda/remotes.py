"""Remote web servers for one test: what they send, byte by byte, over real sockets; and an internet of them that writes
down which names were resolved and which addresses connected to."""

import contextlib
import datetime
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

publicly_routed: Any = import_module("tests.lambda.registries").publicly_routed

PUBLIC = "93.184.216.34"  # what names resolve to in these tests; connections to it lead to the loopback
HOST = "photos.example.com"

_TLS_HELLO = b"\x16"

Script = Callable[[socket.socket, bytes], None]


class Remote:
    """Accepts connections on the loopback and runs `script(connection, request)` on each, several at a time."""

    def __init__(self, script: Script, context: ssl.SSLContext | None = None) -> None:
        self._script = script
        self._context = context
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.requests: list[bytes] = []
        self._threads = [threading.Thread(target=self._serve, daemon=True)]
        self._threads[0].start()

    def connect(self, _address: str, _port: int, timeout: float) -> socket.socket:
        return socket.create_connection(self._listener.getsockname(), timeout)

    def close(self) -> None:
        """End, and wait for the scripts that still run."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._answer, args=(connection,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _answer(self, connection: socket.socket) -> None:
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


class Internet:
    """Names, the addresses that they resolve to, and the remotes behind these."""

    def __init__(self) -> None:
        self.resolved: list[tuple[str, int]] = []
        self.connected: list[tuple[str, int]] = []
        self.inside: list[str] = []  # addresses that are not public, and were connected to all the same
        self.given: set[str] = set()  # addresses that names resolved to
        self._answers: dict[str, list[list[str]]] = {}
        self._remotes: dict[str, Remote] = {}

    def name(self, host: str, *answers: list[str]) -> None:
        """Let the host resolve to these addresses, each list once and the last one from then on."""
        self._answers[host] = list(answers)

    def site(self, host: str, script: Script, context: ssl.SSLContext | None = None) -> Remote:
        """Put a remote behind a host, at a public address of its own."""
        address = str(ipaddress.ip_address(PUBLIC) + len(self._remotes))
        self.name(host, [address])
        return self.at(address, script, context)

    def at(self, address: str, script: Script, context: ssl.SSLContext | None = None) -> Remote:
        """Put a remote at an address."""
        self._remotes[address] = Remote(script, context)
        return self._remotes[address]

    def resolver(self, host: str, port: int) -> list[str]:
        self.resolved.append((host, port))
        answers = self._answers.get(host)
        if not answers:
            raise socket.gaierror(socket.EAI_NONAME, "unknown in this test")
        found = answers.pop(0) if len(answers) > 1 else answers[0]
        self.given |= set(found)
        return found

    def connector(self, address: str, port: int, timeout: float) -> socket.socket:
        self.connected.append((address, port))
        if not publicly_routed(address):
            self.inside.append(address)
        if address not in self._remotes:
            raise ConnectionRefusedError
        return self._remotes[address].connect(address, port, timeout)

    def close(self) -> None:
        for remote in self._remotes.values():
            remote.close()


class Client:
    """The fetcher on an internet of this test."""

    def __init__(self, fetch: Any, deadline: Any, internet: Internet) -> None:
        self.module = fetch
        self.fetcher = fetch.Fetcher
        self.problem = fetch.ProblemError
        self._deadline = deadline.Deadline
        self._internet = internet

    def get(self, url: str = f"http://{HOST}/1.jpg", seconds: float = 10.0, **given: Any) -> bytes:
        """What is fetched from a URL; `given` are settings of Fetcher."""
        settings = {"allow_http": True, "resolver": self._internet.resolver, "connector": self._internet.connector}
        return bytes(self.fetcher(**{**settings, **given}).fetch(url, self._deadline(seconds)))

    def refused(self, code: str, url: str = f"http://{HOST}/1.jpg", seconds: float = 10.0, **given: Any) -> str:
        """The sentence that the URL is refused with, under that code."""
        with pytest.raises(self.problem) as caught:
            self.get(url, seconds, **given)
        assert caught.value.code == code, caught.value.detail
        detail: str = caught.value.detail
        for address in self._internet.given:
            assert address not in detail.replace(url.split("/")[2], ""), "an address that the caller did not name"
        return detail


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


def redirects(location: str | bytes | None, status: str = "302 Found") -> Script:
    """A script that sends elsewhere, or nowhere."""
    named = location.encode() if isinstance(location, str) else location
    header = b"" if named is None else b"Location: " + named + b"\r\n"
    return sends(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\n".encode() + header + b"\r\n")


def drips(first: bytes, forever: bytes, pause: float) -> Script:
    """A slow loris: a little now and then, without an end. Without a pause, a flood."""

    def script(connection: socket.socket, _request: bytes) -> None:
        connection.sendall(first)
        while True:  # until the fetcher hangs up
            connection.sendall(forever)
            time.sleep(pause)

    return script


class Authority:
    """Makes certificates. A client with `context()` trusts it; `server()` speaks for names.

    `context()` is what `make` makes, with this authority beside those that it trusts already.
    """

    def __init__(self, folder: Path, make: Callable[[], ssl.SSLContext] = ssl.create_default_context) -> None:
        self._folder = folder
        self._make = make
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._subject = _subject("authority")
        made = _certificate(self._subject, self._key, self._subject, self._key, is_authority=True)
        self._file = folder / "authority.pem"
        self._file.write_bytes(made.public_bytes(serialization.Encoding.PEM))

    def context(self) -> ssl.SSLContext:
        """A client's side."""
        context = self._make()
        context.load_verify_locations(self._file)
        return context

    def server(
        self, *names: str, common_name: str = "server", expired: bool = False, vouches_for_itself: bool = False
    ) -> ssl.SSLContext:
        """A server's side, with a certificate for these names and addresses."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = _subject(common_name)
        issuer, signer = (subject, key) if vouches_for_itself else (self._subject, self._key)
        made = _certificate(subject, key, issuer, signer, names=names, expired=expired)
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        file = self._folder / "server.pem"
        file.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        return context


def _subject(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])


def _certificate(
    subject: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    issuer: x509.Name,
    signer: ec.EllipticCurvePrivateKey,
    *,
    names: tuple[str, ...] = (),
    expired: bool = False,
    is_authority: bool = False,
) -> x509.Certificate:
    """With the extensions that strict verification (Python 3.13 and later) wants."""
    now = datetime.datetime.now(datetime.UTC)
    hour = datetime.timedelta(hours=1)
    signs = {"key_cert_sign": is_authority, "crl_sign": is_authority, "digital_signature": not is_authority}
    others = ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement")
    usage = x509.KeyUsage(**signs, **dict.fromkeys(others, False), encipher_only=False, decipher_only=False)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - 3 * hour)
        .not_valid_after(now - hour if expired else now + hour)
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName([_general(name) for name in names]), critical=False)
    return builder.sign(signer, hashes.SHA256())


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
