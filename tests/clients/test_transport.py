"""TLS, proxies and signatures, with real certificates and sockets."""

import datetime
import hashlib
import ipaddress
import os
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tally_client import Client, NoAnswer, UsageError
from tally_client.iam import Signer
from tests.clients.conftest import KEY
from tests.clients.server import Server, answer, problem


def certificate(folder: Path, host: str) -> Path:
    """A self-signed certificate of `host` with its key in one PEM file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    now = datetime.datetime.now(datetime.UTC)
    try:
        alternative: x509.GeneralName = x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        alternative = x509.DNSName(host)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([alternative]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = folder / f"{host}.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file.write_bytes(made.public_bytes(serialization.Encoding.PEM) + private)
    return file


class Secure:
    """Answers requests over TLS with what the API would say; counts handshakes that worked."""

    def __init__(self, file: Path) -> None:
        self.answered = 0
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(file)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()

    def _serve(self) -> None:
        while True:
            try:
                plain, _ = self._listener.accept()
            except OSError:
                return
            try:
                with self._context.wrap_socket(plain, server_side=True) as connection:
                    while b"}" not in connection.recv(65536):
                        pass
                    connection.sendall(answer(connection="close"))
                    self.answered += 1
            except OSError:
                plain.close()


@pytest.fixture
def secure(tmp_path: Path) -> Iterator[Secure]:
    found = Secure(certificate(tmp_path, "localhost"))
    yield found
    found.close()


def test_a_certificate_that_the_environment_trusts_is_good(
    secure: Secure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "localhost.pem"))
    with Client(f"https://localhost:{secure.port}/v1/", KEY) as tally:
        assert tally.predict(s3_uri="s3://b/k").count == 3


def test_a_certificate_that_nobody_vouches_for_gets_no_key_and_no_second_try(
    secure: Secure, waits: list[float]
) -> None:
    with Client(f"https://localhost:{secure.port}/v1/", KEY) as tally, pytest.raises(NoAnswer) as caught:
        tally.predict(s3_uri="s3://b/k")
    assert "self-signed certificate" in str(caught.value)
    assert (secure.answered, waits, caught.value.transient) == (0, [], False)


def test_a_certificate_of_another_host_gets_no_key(
    secure: Secure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "localhost.pem"))
    with Client(f"https://127.0.0.1:{secure.port}/v1/", KEY) as tally, pytest.raises(NoAnswer) as caught:
        tally.predict(s3_uri="s3://b/k")
    assert "certificate is not valid for '127.0.0.1'" in str(caught.value)
    assert secure.answered == 0


def proxied(monkeypatch: pytest.MonkeyPatch, **variables: str) -> None:
    for name in ("HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)


def test_the_environments_proxy_is_asked_for_a_tunnel_and_never_sees_the_key(
    server: Server, monkeypatch: pytest.MonkeyPatch, waits: list[float]
) -> None:
    proxied(monkeypatch, HTTPS_PROXY=f"http://me:hunter2@127.0.0.1:{server.port}")
    server.scripts = [answer(b"", 403)]
    with Client("https://api.example/v1/", KEY, retries=0) as tally, pytest.raises(NoAnswer) as caught:
        tally.predict(s3_uri="s3://b/k")
    (sent,) = server.requests
    assert (sent.method, sent.path) == ("CONNECT", "api.example:443")
    assert sent.headers["proxy-authorization"] == "Basic bWU6aHVudGVyMg=="
    assert KEY not in str(sent)
    assert "403" in str(caught.value)
    assert "hunter2" not in str(caught.value) + repr(tally)


@pytest.mark.parametrize("bypass", ["api.example", ".example", "*"])
def test_hosts_that_need_no_proxy_get_none(server: Server, monkeypatch: pytest.MonkeyPatch, bypass: str) -> None:
    proxied(monkeypatch, HTTPS_PROXY=f"http://127.0.0.1:{server.port}", NO_PROXY=bypass)

    resolve = socket.getaddrinfo

    def known(host: str, *rest: Any, **options: Any) -> Any:
        if host == "api.example":
            raise socket.gaierror(-2, "Name or service not known")
        return resolve(host, *rest, **options)

    monkeypatch.setattr(socket, "getaddrinfo", known)
    with Client("https://api.example/v1/", KEY, retries=0) as tally, pytest.raises(NoAnswer, match="not known"):
        tally.predict(s3_uri="s3://b/k")
    assert server.requests == []


def test_this_machine_is_asked_without_a_proxy(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    proxied(monkeypatch, HTTP_PROXY="http://127.0.0.1:9", HTTPS_PROXY="http://127.0.0.1:9")
    with Client(server.url, KEY) as tally:
        assert tally.predict(s3_uri="s3://b/k").count == 3


def test_a_proxy_may_be_named_as_curl_takes_it(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    proxied(monkeypatch, HTTPS_PROXY=f"127.0.0.1:{server.port}")
    server.scripts = [answer(b"", 403)]
    with Client("https://api.example/v1/", KEY, retries=0) as tally, pytest.raises(NoAnswer):
        tally.health()
    assert server.requests[0].path == "api.example:443"


@pytest.mark.parametrize("proxy", ["http://me:hunter2@[::1", "socks5://me:hunter2@127.0.0.1"])
def test_a_proxy_that_is_none_is_named_without_its_password(monkeypatch: pytest.MonkeyPatch, proxy: str) -> None:
    proxied(monkeypatch, HTTPS_PROXY=proxy)
    with pytest.raises(UsageError) as caught:
        Client("https://api.example/v1/", KEY)
    assert str(caught.value) == "the variable HTTPS_PROXY is no address of an HTTP proxy"


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch) -> botocore.session.Session:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    found = botocore.session.Session()
    found.set_credentials("AKIDEXAMPLE", "hidden-secret", "a-token")
    return found


@pytest.mark.parametrize("expected", [None, 3])
def test_a_signature_is_what_aws_would_compute_of_what_arrives(
    server: Server, session: botocore.session.Session, expected: int | None
) -> None:
    with Client(server.url, sign=Signer(session, "eu-west-1")) as tally:
        tally.predict(photo=b"\xff\xd8\xff photo", expected_count=expected, idempotency_key="k")
    (sent,) = server.requests
    scope, names, _ = sent.headers["authorization"].split(", ")
    signed = names.removeprefix("SignedHeaders=").split(";")
    assert {"host", "x-amz-date", "x-amz-security-token", "content-type", "idempotency-key"} <= set(signed)
    assert "/eu-west-1/execute-api/aws4_request" in scope
    # The other side of the contract: sign again what came in, at the time that it names.
    url = f"http://{sent.headers['host']}{sent.path}"
    again = AWSRequest(sent.method, url, {name: sent.headers[name] for name in signed}, sent.body)
    again.context["timestamp"] = sent.headers["x-amz-date"]
    auth = SigV4Auth(Credentials("AKIDEXAMPLE", "hidden-secret", "a-token"), "execute-api", "eu-west-1")
    canonical = auth.canonical_request(again)
    assert hashlib.sha256(sent.body).hexdigest() in canonical
    signature = auth.signature(auth.string_to_sign(again, canonical), again)
    assert sent.headers["authorization"].endswith(f"Signature={signature}")


@pytest.mark.usefixtures("waits")
def test_every_try_is_signed_anew(server: Server) -> None:
    signed: list[tuple[str, str, bytes]] = []

    def sign(method: str, url: str, headers: Mapping[str, str], body: bytes) -> dict[str, str]:
        signed.append((method, url, body))
        return {**headers, "authorization": f"signature {len(signed)}"}

    server.scripts = [problem(503, "busy"), answer()]
    with Client(server.url, sign=sign) as tally:
        tally.predict(photo=b"\xff\xd8\xff", expected_count=2)
    assert signed == [("POST", f"{server.url}predictions?expected_count=2", b"\xff\xd8\xff")] * 2
    assert [request.headers["authorization"] for request in server.requests] == ["signature 1", "signature 2"]


def test_a_signer_takes_its_region_from_the_environment(
    session: botocore.session.Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UsageError, match="no region to sign for: give region, or set AWS_REGION"):
        Signer(session)
    with pytest.raises(UsageError, match="no AWS credentials to sign with"):
        Signer(region="eu-west-1")
    for name, value in (("ACCESS_KEY_ID", "a"), ("SECRET_ACCESS_KEY", "b"), ("REGION", "eu-north-1")):
        monkeypatch.setenv(f"AWS_{name}", value)
    headers = Signer()("GET", "https://api.example/v1/health", {}, b"")
    assert "/eu-north-1/execute-api/aws4_request" in headers["Authorization"]
