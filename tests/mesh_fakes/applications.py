"""An application's own TLS, nothing to do with the clusterset: a CA, and certificates for any names."""

import ssl
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

HOUR = timedelta(hours=1)
_COMMON_NAME = "application of the tests"


class ApplicationCa:
    """Signs whatever is asked for."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "CA of the tests")])
        self._certificate = self._signed(
            self._name,
            of=self._key.public_key(),
            ends=datetime.now(UTC) + 24 * HOUR,
            extensions=((x509.BasicConstraints(ca=True, path_length=0), True),),
        )

    @property
    def pem(self) -> str:
        """What clients believe."""
        return self._certificate.public_bytes(Encoding.PEM).decode()

    def server(
        self, *names: str, common_name: str = _COMMON_NAME, ends: datetime | None = None
    ) -> ssl.SSLContext:
        """A server that shows a certificate with these DNS names, good until `ends`; without a name it has no
        subjectAltName."""
        key = ec.generate_private_key(ec.SECP256R1())
        listed = x509.SubjectAlternativeName([x509.DNSName(name) for name in names])
        certificate = self._signed(
            x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)]),
            of=key.public_key(),
            ends=ends or datetime.now(UTC) + HOUR,
            extensions=((listed, False),) if names else (),
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        with TemporaryDirectory() as folder:
            chain, private = Path(folder, "chain"), Path(folder, "key")
            chain.write_bytes(certificate.public_bytes(Encoding.PEM))
            private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
            context.load_cert_chain(chain, private)
        return context

    def client(self) -> ssl.SSLContext:
        """A client that believes this CA and checks names, as one does."""
        context = ssl.create_default_context(cadata=self.pem)
        context.hostname_checks_common_name = False
        return context

    def _signed(
        self,
        subject: x509.Name,
        *,
        of: ec.EllipticCurvePublicKey,
        ends: datetime,
        extensions: Sequence[tuple[x509.ExtensionType, bool]],
    ) -> x509.Certificate:
        building = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(of)
            .serial_number(x509.random_serial_number())
            .not_valid_before(ends - 100 * HOUR)
            .not_valid_after(ends)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(of), False)
        )
        for extension, critical in extensions:
            building = building.add_extension(extension, critical)
        return building.sign(self._key, hashes.SHA256())
