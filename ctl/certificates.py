"""Mint what the processes of one start know each other by; imported only where it is needed.

A certificate authority is made for each start and its key forgotten at once, so that nobody can
add a process later, and no process of another start or deployment is taken for one of this.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_BACKDATED = timedelta(days=1)
"""Clocks differ."""

_VALID = timedelta(days=3650)
"""Longer than any release runs: an end in between would stop a mesh that cannot reassemble."""


@dataclass(frozen=True)
class Certificates:
    """What is minted for one start, as PEM texts.

    Args:
        authority: Certificate of the authority.
        processes: Certificate and private key of each process, by its ID.
    """

    authority: str
    processes: dict[int, tuple[str, str]]


def mint(deployment: str, processes: Iterable[int], *, now: datetime | None = None) -> Certificates:
    """Mint an authority and a certificate for each process.

    Keys are of the curve P-256. A certificate names its process in a URI,
    `hostmesh:process:<id>`, which is what peers verify.

    Args:
        deployment: Name of the deployment, for people who look at a certificate.
        processes: IDs of the processes.
        now: The time to count from.
    """
    today = now or datetime.now(UTC)
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name("hostmesh", deployment)
    authority = (
        _builder(name, name, key.public_key(), today)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    pairs = {number: _process(deployment, number, name, key, today) for number in processes}
    return Certificates(_pem(authority), pairs)


def _process(
    deployment: str,
    number: int,
    issuer: x509.Name,
    issuer_key: ec.EllipticCurvePrivateKey,
    today: datetime,
) -> tuple[str, str]:
    key = ec.generate_private_key(ec.SECP256R1())
    uses = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    uri = x509.UniformResourceIdentifier(f"hostmesh:process:{number}")
    authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key())
    certificate = (
        _builder(_name(f"process {number} of", deployment), issuer, key.public_key(), today)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(uses), critical=False)
        .add_extension(x509.SubjectAlternativeName([uri]), critical=False)
        .add_extension(authority, critical=False)
        .sign(issuer_key, hashes.SHA256())
    )
    secret = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return _pem(certificate), secret.decode()


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, today: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(today - _BACKDATED)
        .not_valid_after(today + _VALID)
    )


def _name(what: str, deployment: str) -> x509.Name:
    # A common name has 64 characters at most.
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{what} {deployment}"[:64])])


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs,
        key_cert_sign=signs,
        crl_sign=signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()
