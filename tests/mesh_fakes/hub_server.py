"""An API server that only keeps objects, with a CA of its own: a hub, as somebody sees it who wants to join.

It tells a bootstrap token's holder in which groups he is, and notes every credential that it was shown.
"""

import ipaddress
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey as Key
from cryptography.x509.oid import NameOID

from mesh_fakes.object_server import ObjectServer, served
from mesh_placement.names import HUB_INFO
from mesh_runtime.pem import certificates_to_pem, key_to_pem
from mesh_runtime.pki import new_key


@dataclass(slots=True)
class HubServer(ObjectServer):
    """`groups` are those of each bootstrap token ("id.secret"); `shown` every Authorization header."""

    groups: dict[str, tuple[str, ...]] = field(default_factory=dict)
    shown: list[str] = field(default_factory=list)
    ca: bytes = b""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Any request."""
        word = request.headers.get("Authorization", "")
        if word:
            self.shown.append(word)
        if request.path.endswith("/selfsubjectreviews"):
            groups = self.groups.get(word.removeprefix("Bearer "))
            if groups is None:
                return web.json_response({"kind": "Status", "code": 401}, status=401)
            return web.json_response({"status": {"userInfo": {"username": "x", "groups": groups}}})
        return await ObjectServer.handle(self, request)

    def tell(self, *, ca: bytes | None = None) -> None:
        """Say in public who this hub is, by its own CA or by `ca`."""
        data = {"server": self.url, "ca.crt": (ca or self.ca).decode()}
        self.put(
            "v1", "configmaps", {"metadata": {"name": HUB_INFO, "namespace": "kube-public"}, "data": data}
        )


@contextmanager
def hub_served(folder: Path, server: HubServer) -> Iterator[HubServer]:
    """`server` by HTTPS with a CA of its own, telling in public who it is."""
    server.ca, tls = serving(folder)
    with served(server, tls=tls):
        server.tell()
        yield server


def serving(folder: Path) -> tuple[bytes, ssl.SSLContext]:
    """A new CA in PEM, and what a server at 127.0.0.1 shows of it."""
    key, leaf_key = new_key(), new_key()
    ca = _certificate("hub-ca", issuer="hub-ca", public=key, signer=key, is_ca=True)
    leaf = _certificate("hub", issuer="hub-ca", public=leaf_key, signer=key, is_ca=False)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "key").write_bytes(key_to_pem(leaf_key))
    (folder / "chain").write_bytes(certificates_to_pem((leaf,)))
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(folder / "chain", folder / "key")
    return certificates_to_pem((ca,)), tls


def _certificate(name: str, *, issuer: str, public: Key, signer: Key, is_ca: bool) -> x509.Certificate:
    now = datetime.now(UTC)
    here = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(public.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
        .add_extension(here, critical=False)
        .sign(signer, hashes.SHA256())
    )
