"""The certificate of the emulated internet's sites, by an authority that is made anew for every emulator."""

import datetime
import ssl
from collections.abc import Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

_VALID = datetime.timedelta(days=3650)  # an emulator may run for long
_LATE = datetime.timedelta(days=1)  # for clocks that are
_KEY_USAGES = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
    "encipher_only",
    "decipher_only",
)


def make(folder: Path, hosts: Sequence[str], domain: str) -> tuple[Path, Path]:
    """Write `site.pem`, a certificate for `hosts` with its key, and `authorities.pem`: what this machine trusts, and
    the authority that signed it. Their paths.

    The authority can vouch for names below `domain` alone, and its key is forgotten at once.
    """
    authority_key, site_key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "The emulated internet")])
    own_id = x509.SubjectKeyIdentifier.from_public_key(authority_key.public_key())
    authority = (
        _builder(name, authority_key)
        .subject_name(name)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage("key_cert_sign", "crl_sign"), critical=True)
        .add_extension(x509.NameConstraints([x509.DNSName(domain)], None), critical=True)
        .add_extension(own_id, critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    site = (
        _builder(name, site_key)
        .subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, hosts[0])]))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage("digital_signature"), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host) for host in hosts]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own_id), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    key = site_key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    ours, trusted = folder / "site.pem", folder / "authorities.pem"
    ours.touch(mode=0o600)
    ours.write_bytes(key + site.public_bytes(serialization.Encoding.PEM))
    trusted.write_bytes(_trusted_here() + authority.public_bytes(serialization.Encoding.PEM))
    return ours, trusted


def _builder(issuer: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _LATE)
        .not_valid_after(now + _VALID)
    )


def _usage(*allowed: str) -> x509.KeyUsage:
    return x509.KeyUsage(**{name: name in allowed for name in _KEY_USAGES})


def _trusted_here() -> bytes:
    """The authorities of this machine: a file named by SSL_CERT_FILE takes their place, so they must be in it."""
    file = ssl.get_default_verify_paths().cafile
    return Path(file).read_bytes().rstrip() + b"\n" if file else b""
