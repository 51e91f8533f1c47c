"""Boxes between clusters that do what they should not: end TLS, say nothing, reset connections."""

import datetime
import socket
import socketserver
import ssl
import struct
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from mesh_runtime.pki import new_key


class Box(socketserver.ThreadingTCPServer):
    """Takes connections at an address of this machine."""

    allow_reuse_address = True
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Who is not content with us goes; that is no news."""


@contextmanager
def ending_tls(host: str) -> Iterator[int]:
    """A load balancer of layer 7: shows a certificate of its own."""
    with showing(host, _certificate()) as port:
        yield port


@contextmanager
def showing(host: str, pem: bytes, *, protocol: str = "") -> Iterator[int]:
    """Shows the chain in `pem` (behind its key) to everybody, and ends the connection."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "box.pem"
        file.write_bytes(pem)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        if protocol:
            context.set_alpn_protocols([protocol])

        class Ends(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                with context.wrap_socket(self.request, server_side=True) as tls:
                    tls.recv(1)

        with _running(host, Ends) as port:
            yield port


@contextmanager
def silent(host: str) -> Iterator[int]:
    """Takes a connection and says nothing."""

    class Waits(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            while self.request.recv(65536):
                pass

    with _running(host, Waits) as port:
        yield port


@contextmanager
def resetting(host: str) -> Iterator[int]:
    """Resets each connection as soon as it has heard something."""

    class Resets(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.recv(1)
            self.request.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    with _running(host, Resets) as port:
        yield port


@contextmanager
def _running(host: str, handler: type[socketserver.BaseRequestHandler]) -> Iterator[int]:
    with Box((host, 0), handler) as box:
        thread = threading.Thread(target=box.serve_forever, daemon=True)
        thread.start()
        try:
            yield int(box.server_address[1])
        finally:
            box.shutdown()
            thread.join()


def _certificate() -> bytes:
    key, now = new_key(), datetime.datetime.now(datetime.UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "lb.example")])
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    made = made.serial_number(1).not_valid_before(now - datetime.timedelta(days=1))
    signed = made.not_valid_after(now + datetime.timedelta(days=1)).sign(key, hashes.SHA256())
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return private + signed.public_bytes(Encoding.PEM)
