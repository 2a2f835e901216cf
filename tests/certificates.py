"""A certificate of our own for this machine's loopback, which nobody has signed."""

from __future__ import annotations

import datetime
import ipaddress
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec


def make_certificate(folder: Path) -> tuple[Path, Path]:
    """A key with its certificate in one file, as servers want it, and the certificate alone, for who trusts it."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.datetime.now(datetime.UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "pixelbrain")])
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
        .public_bytes(serialization.Encoding.PEM)
    )
    formats = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    both, certificate = folder / "both.pem", folder / "certificate.pem"
    both.write_bytes(key.private_bytes(serialization.Encoding.PEM, *formats) + made)
    certificate.write_bytes(made)
    return both, certificate
