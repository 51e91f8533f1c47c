"""Mutual TLS 1.3 between parts of one clusterset: contexts, and who is at the other end.

1. TLS 1.3 only, no tickets, so no resumed session outlives a decision about the peer.
2. Both ends demand a certificate that chains to a given root, checked by OpenSSL in strict mode. The
   demand is fixed when the context is made and never switched in a callback: Python then completes
   handshakes without any client certificate. To serve different demands on one port, read the
   ClientHello and choose between contexts before the handshake.
3. Names: neither end checks a host name. After the handshake, and before a byte is sent or believed,
   both call `verify_peer`, which reads the URI name and nothing else, and asks the rules of the moment
   (`mesh_core.trust`) about the keys of the chain that OpenSSL has verified.
4. Keys stay in memory: OpenSSL reads them through an anonymous file (memfd_create), never from disk.

**When a handshake is over.** In TLS 1.3 the server answers first: the client's handshake is complete
when it has checked the server and sent its own certificate, *before* the server has looked at that
(RFC 8446, section 4.4.2.4 and appendix E.1.2). For callers this means:

- server: the end of the handshake means that the client's chain was checked; `verify_peer` next.
- client: the end of the handshake says nothing about being accepted. A refusal comes with the first read:
  an SSLError (an alert), or just the end of the stream, because asyncio closes without sending its alert.
  What was written before is lost and was not delivered: a server that follows law 3 hands on nothing
  before it has verified. So an end of stream before the first byte means "refused or gone", never "done".
"""

import hashlib
import os
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import cast

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from mesh_core.errors import Fault, MeshError
from mesh_core.identity import Domain, Expected, Identity, NotAnIdentity, sole_identity
from mesh_core.trust import Chain, Trust, refusal

# `_ssl.ENCODING_DER`; the public module does not show it.
_DER = 2


class UnusableCredentials(MeshError):
    """A key, a chain or roots that OpenSSL does not take."""

    def __init__(self, what: str) -> None:
        super().__init__(what, next_step="look at the TrustBundle and wait for the next certificate")


class PeerRefused(MeshError):
    """The other end may not be talked to; close the connection."""

    fault = Fault.PEER

    def __init__(self, what: str) -> None:
        super().__init__(
            what, next_step="compare the clusterset domain and the certificates of both clusters"
        )


@dataclass(frozen=True, slots=True)
class Credentials:
    """A key and its chain (leaf first, then the intermediate), both PEM. The key never shows in a repr."""

    key_pem: bytes = field(repr=False)
    chain_pem: bytes


@dataclass(frozen=True, slots=True)
class Believed:
    """Who is at the other end, and by which keys: enough to ask again when the rules change."""

    identity: Identity
    chain: Chain


def server_context(credentials: Credentials, *, roots: Sequence[str], alpn: Sequence[str]) -> ssl.SSLContext:
    """A context for accepting: shows `credentials`, demands a client certificate below `roots` (PEM).

    `alpn` are the protocols spoken, by preference. Raises UnusableCredentials.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.num_tickets = 0
    return _prepared(context, credentials, roots=roots, alpn=alpn)


def client_context(credentials: Credentials, *, roots: Sequence[str], alpn: Sequence[str]) -> ssl.SSLContext:
    """A context for dialling: shows `credentials`, demands a server certificate below `roots` (PEM).

    The server name given to the handshake is only sent, not checked: it names what is asked for, and
    `verify_peer` says who may answer. Raises UnusableCredentials.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    return _prepared(context, credentials, roots=roots, alpn=alpn)


def unasking_context(credentials: Credentials, *, alpn: Sequence[str]) -> ssl.SSLContext:
    """A context for accepting somebody who has no certificate yet; raises UnusableCredentials.

    Only for `meshctl-join/1`, whose door is a port of its own: never beside one that demands a certificate.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.num_tickets = 0
    context.verify_mode = ssl.CERT_NONE
    _bounded(context, alpn=alpn)
    show(context, credentials)
    return context


def anonymous_context(*, alpn: Sequence[str], roots: Sequence[str] = ()) -> ssl.SSLContext:
    """A context for dialling without a certificate of one's own.

    With `roots` (PEM) the server's must lie below them. Without, it is not looked at: then nothing may be
    said, and only what was signed may be believed. Raises UnusableCredentials.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    _bounded(context, alpn=alpn)
    if roots:
        _demand(context, roots=roots)
    return context


def peer_identity(tls: ssl.SSLObject | ssl.SSLSocket, *, domain: Domain) -> Identity:
    """Who is at the other end of a finished handshake, read from the one URI name.

    Raises PeerRefused when there is no certificate, when it was not verified, or when it names nobody
    in `domain`.
    """
    try:
        # Empty when the handshake did not verify the certificate, None when there was none.
        certificate = tls.getpeercert()
    except ValueError as error:
        raise PeerRefused("the handshake is not over, or the certificate is unreadable") from error
    if not certificate:
        raise PeerRefused("the other end showed no certificate that was verified")
    try:
        return sole_identity(_uris(certificate), domain=domain)
    except NotAnIdentity as error:
        raise PeerRefused(f"the other end is nobody we know: {error.what}") from error


def verify_peer(tls: ssl.SSLObject | ssl.SSLSocket, *, expected: Expected, trust: Trust | None) -> "Believed":
    """Who is at the other end, if it is one of those `expected` and `trust` believes the keys above it.

    A peer that was agreed to have a root of its own is expected in its own domain. `trust` None is for
    components of our own cluster, whose leaves our own intermediate signs. Raises PeerRefused.
    """
    proved = prove_peer(tls, expected=expected, trust=trust)
    why = refusal(proved.identity, chain=proved.chain, trust=trust) if trust is not None else ""
    if why:
        raise PeerRefused(why)
    return proved


def prove_peer(tls: ssl.SSLObject | ssl.SSLSocket, *, expected: Expected, trust: Trust | None) -> "Believed":
    """The same without asking whether `trust` believes the keys, which is then up to `mesh_core.trust.judge`.

    Raises PeerRefused.
    """
    chain = proved_chain(tls)
    identity, expected = _identified(tls, chain=chain, expected=expected, trust=trust)
    if not expected.admits(identity):
        raise PeerRefused(f"the other end is {identity}, but we want {expected}")
    return Believed(identity, chain)


def _identified(
    tls: ssl.SSLObject | ssl.SSLSocket, *, chain: Chain, expected: Expected, trust: Trust | None
) -> tuple[Identity, Expected]:
    """Who is there, in the domain of whoever may come under its root; raises PeerRefused."""
    agreements = trust.foreign_by(chain.root) if trust is not None else {}
    for peer, agreed in agreements.items():
        there = replace(expected, domain=agreed.domain)
        with suppress(PeerRefused):
            identity = peer_identity(tls, domain=agreed.domain)
            if identity.cluster == peer:
                return identity, there
    if agreements:
        expected = replace(expected, domain=next(iter(agreements.values())).domain)
    return peer_identity(tls, domain=expected.domain), expected


def proved_chain(tls: ssl.SSLObject | ssl.SSLSocket) -> Chain:
    """The keys above the leaf of the other end, as OpenSSL has verified them; raises PeerRefused.

    It is the chain that was built, up to the root that is ours, whatever else the other end has sent.
    """
    try:
        ders = _verified_ders(tls)
    except (ValueError, AttributeError) as error:
        raise PeerRefused("the handshake is not over, or its chain is unreadable") from error
    match [key_id(der) for der in ders[1:]]:
        case [intermediate, root]:
            return Chain(root=root, intermediate=intermediate)
        case [intermediate, issuer, root]:
            return Chain(root=root, intermediate=intermediate, issuer=issuer)
        case _:
            raise PeerRefused(f"the other end showed a chain of {len(ders)} certificates, not 3 or 4")


def verified_chain(tls: ssl.SSLObject | ssl.SSLSocket) -> list[bytes]:
    """The certificates that the handshake has verified, leaf first, as DER; empty when none was shown."""
    try:
        return _verified_ders(tls)
    except (ValueError, AttributeError):
        return []


@lru_cache(maxsize=4096)
def key_id(der: bytes) -> str:
    """The KeyId of a certificate's key: SHA-256 of its SubjectPublicKeyInfo, in hexadecimal digits."""
    key = x509.load_der_x509_certificate(der).public_key()
    return hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def _prepared(
    context: ssl.SSLContext, credentials: Credentials, *, roots: Sequence[str], alpn: Sequence[str]
) -> ssl.SSLContext:
    _bounded(context, alpn=alpn)
    _demand(context, roots=roots)
    show(context, credentials)
    return context


def _bounded(context: ssl.SSLContext, *, alpn: Sequence[str]) -> None:
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.maximum_version = ssl.TLSVersion.TLSv1_3
    context.options |= ssl.OP_NO_TICKET
    if alpn:
        context.set_alpn_protocols(list(alpn))


def _demand(context: ssl.SSLContext, *, roots: Sequence[str]) -> None:
    context.verify_mode = ssl.CERT_REQUIRED
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    try:
        context.load_verify_locations(cadata="\n".join(roots))
    except (ssl.SSLError, ValueError, TypeError) as error:
        raise UnusableCredentials("the TrustBundle's roots are not PEM certificates") from error


def show(context: ssl.SSLContext, credentials: Credentials) -> None:
    """Have `context` show them; raises UnusableCredentials."""
    try:
        with _in_memory(credentials.chain_pem + credentials.key_pem) as path:
            context.load_cert_chain(path, password=_no_password)
    except ssl.SSLError as error:
        raise UnusableCredentials(f"the key does not fit its certificate ({error.reason})") from error


@contextmanager
def _in_memory(content: bytes) -> Iterator[str]:
    """A path under which this process can read `content` while the block runs; it is on no disk."""
    descriptor = os.memfd_create("credentials", os.MFD_CLOEXEC)
    try:
        # The file object must not close the descriptor: it is closed below, in every case.
        with os.fdopen(descriptor, "wb", closefd=False) as file:
            file.write(content)
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)


def _no_password() -> str:
    """Answer to OpenSSL when a key is encrypted: without it, it would ask on the terminal."""
    return ""


def _uris(certificate: "ssl._PeerCertRetDictType") -> list[str]:
    names = certificate.get("subjectAltName", ())
    assert isinstance(names, tuple)
    return [str(name[1]) for name in names if name[0] == "URI"]


def _verified_ders(tls: ssl.SSLObject | ssl.SSLSocket) -> list[bytes]:
    public = getattr(tls, "get_verified_chain", None)
    if public is not None:
        return cast(list[bytes], public())
    # Python 3.13 made it public; before, it is on the inner object, and gives certificate objects.
    inner = getattr(tls, "_sslobj")  # noqa: B009  # the type stubs do not know it
    return [one.public_bytes(_DER) for one in inner.get_verified_chain() or ()]
