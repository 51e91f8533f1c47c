"""Live handshakes with gateways, and through them with controllers, from where `meshctl` runs.

No certificate of ours is shown, so nothing is served: in TLS 1.3 the server shows its chain before it looks
at the client's, and here the connection ends. Gateways count it among what they refuse.
"""

import asyncio
import ssl
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from mesh_cli.check.certificate import certificate_of
from mesh_cli.check.findings import Answer, Certificate, Handshake
from mesh_cli.member.addresses import format_address
from mesh_core.identity import ClusterId, Component, Domain, identity_host
from mesh_core.names import ALPN_PEER, ALPN_TUNNEL
from mesh_core.objects import PeerGateway

HANDSHAKE_LIMIT: Final = 2.0
"""Seconds for one connection and its handshake."""
MOST_ADDRESSES: Final = 2
"""Of one cluster's addresses so many are dialled."""
_AT_ONCE: Final = 16
# `_ssl.ENCODING_DER`; the public module does not show it.
_DER: Final = 2


@dataclass(frozen=True, slots=True)
class Target:
    """Whom to dial where, and by what name it is asked for."""

    cluster: str
    component: Component
    gateway: PeerGateway
    server_name: str
    alpn: str


def targets(cluster: str, *, domain: Domain, gateways: Sequence[PeerGateway]) -> list[Target]:
    """What to dial to see the gateway and the controller of a cluster.

    Gateways are asked for by the cluster id alone, whatever pool the cluster is in.
    """
    host = identity_host(ClusterId(cluster), domain=domain)
    asked = (
        (Component.GATEWAY, f"gateway.{host}", ALPN_TUNNEL),
        (Component.CONTROLLER, f"peer.{host}", ALPN_PEER),
    )
    return [
        Target(cluster, component, gateway, name, alpn)
        for gateway in gateways[:MOST_ADDRESSES]
        for component, name, alpn in asked
    ]


async def handshakes(
    wanted: Iterable[Target], *, roots: Sequence[str], limit: float
) -> tuple[Handshake, ...]:
    """One handshake with each, side by side, in their order; who has not answered after `limit` seconds is
    silent. `roots` (PEM) are those of the cluster that is checked."""
    places = asyncio.Semaphore(_AT_ONCE)
    listed = tuple(wanted)
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(_in_time(target, roots=roots, places=places, limit=limit)) for target in listed
        ]
    return tuple(task.result() for task in tasks)


async def _in_time(
    target: Target, *, roots: Sequence[str], places: asyncio.Semaphore, limit: float
) -> Handshake:
    try:
        async with asyncio.timeout(limit):
            return await _shake(target, roots=roots, places=places)
    except TimeoutError:
        return _handshake(target, Answer.SILENT, detail="no answer in time")


async def _shake(target: Target, *, roots: Sequence[str], places: asyncio.Semaphore) -> Handshake:
    async with places:
        try:
            shown, alpn = await _shown(target, context=_context(target, roots=roots))
            return _handshake(target, Answer.BELIEVED, shown=shown, alpn=alpn)
        except ssl.SSLCertVerificationError as error:
            why = error.verify_message or str(error.reason)
        except _NotAnswered as error:
            return _handshake(target, error.answer, detail=error.why)
        try:
            # Once more without belief, to tell what it is that is not believed.
            shown, alpn = await _shown(target, context=_context(target, roots=()))
        except _NotAnswered as error:
            return _handshake(target, error.answer, detail=error.why)
        return _handshake(target, Answer.NOT_BELIEVED, shown=shown, alpn=alpn, detail=why)


class _NotAnswered(Exception):
    """No certificate came."""

    def __init__(self, answer: Answer, why: str) -> None:
        super().__init__(why)
        self.answer = answer
        self.why = why


async def _shown(target: Target, *, context: ssl.SSLContext) -> tuple[tuple[Certificate, ...], str]:
    """The certificates that came, or those that were verified, leaf first, and the protocol agreed on."""
    host, port = target.gateway.host, target.gateway.port
    try:
        async with asyncio.timeout(HANDSHAKE_LIMIT):
            reader, plain = await asyncio.open_connection(host, port)
    except (OSError, TimeoutError) as error:
        raise _NotAnswered(Answer.SILENT, str(error) or "no answer in time") from error
    try:
        async with asyncio.timeout(HANDSHAKE_LIMIT):
            await plain.start_tls(context, server_hostname=target.server_name)
        tls = plain.get_extra_info("ssl_object")
        return _chain(
            tls, verified=context.verify_mode is ssl.CERT_REQUIRED
        ), tls.selected_alpn_protocol() or ""
    except ssl.SSLCertVerificationError:
        raise
    except (OSError, TimeoutError, ValueError) as error:
        why = (error.reason if isinstance(error, ssl.SSLError) else "") or str(error) or "it ended"
        raise _NotAnswered(Answer.CLOSED, why) from error
    finally:
        del reader
        # Its end is not waited for: after a handshake that was broken off nobody tells the writer of it.
        plain.transport.abort()


def _context(target: Target, *, roots: Sequence[str]) -> ssl.SSLContext:
    """Without `roots` whatever is shown is looked at."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.set_alpn_protocols([target.alpn])
    if roots:
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        context.load_verify_locations(cadata="\n".join(roots))
    else:
        context.verify_mode = ssl.CERT_NONE
    return context


def _chain(tls: ssl.SSLObject, *, verified: bool) -> tuple[Certificate, ...]:
    # Python 3.13 made both public; before, they are on the inner object, and give certificate objects.
    inner = getattr(tls, "_sslobj")  # noqa: B009  # the type stubs do not know it
    chain = (inner.get_verified_chain() if verified else inner.get_unverified_chain()) or ()
    found = tuple(certificate_of(one.public_bytes(_DER)) for one in chain)
    if not found:
        raise ValueError("no certificate came")
    return found


def _handshake(
    target: Target, answer: Answer, *, shown: tuple[Certificate, ...] = (), detail: str = "", alpn: str = ""
) -> Handshake:
    return Handshake(
        cluster=target.cluster,
        component=target.component.value,
        address=format_address(target.gateway),
        answer=answer,
        shown=shown,
        detail=detail,
        alpn=alpn,
    )
