"""One connection of `meshctl-join/1`: its TLS contexts, frames with limits, and the client's whole course.

1. The server shows its certificate and asks for none: who comes has none yet. Its context is made for this
   alone, with a protocol of its own, and is never that of another door (ruling 3).
2. The client knows one thing of whom it talks to: the KeyId of the root, from its token. So it comes twice.
   The first time it demands no certificate and says nothing: it only takes the statement, which that root
   must have signed. The second time it demands a certificate below the roots of that statement, of the
   controller of the cluster that the token names; only then it says who it is.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from typing import Final

from mesh_core.identity import Component, Expected
from mesh_core.invitation_token import Token
from mesh_core.join_wire import (
    LONGEST_ANSWER,
    VERSION,
    Accept,
    BadJoinMessage,
    JoinCode,
    JoinFailed,
    Message,
    Offer,
    Offered,
    Refused,
    Welcome,
    frame,
    length_in,
    read_message,
)
from mesh_core.names import ALPN_JOIN, join_server_name
from mesh_core.objects import PeerGateway
from mesh_core.trust import trust_of
from mesh_core.trust_statement import BadTrust, Held, read_revocations, read_statement
from mesh_runtime.tls import Credentials, PeerRefused, anonymous_context, unasking_context, verify_peer
from mesh_runtime.trust_signing import accepted_revocations, accepted_statement

NOTHING_HELD: Final = Held()
HANDSHAKE_LIMIT: Final = 5.0
LIMIT: Final = 10.0
"""Seconds for one connection, from the handshake to its end."""
_SHUTDOWN_LIMIT: Final = 1.0
_CLOSE_LIMIT: Final = 1.0


def door_context(credentials: Credentials) -> ssl.SSLContext:
    """For the server: shows `credentials`, asks for nothing. Raises UnusableCredentials."""
    return unasking_context(credentials, alpn=(ALPN_JOIN,))


class JoinStream:
    """Messages over `reader` and `writer`."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @property
    def tls(self) -> ssl.SSLObject:
        """The connection's TLS state, handshake done."""
        found = self._writer.get_extra_info("ssl_object")
        assert isinstance(found, ssl.SSLObject)
        return found

    @property
    def speaks_ours(self) -> bool:
        """Whether both ends have agreed on this protocol."""
        return self.tls.selected_alpn_protocol() == ALPN_JOIN

    async def receive(self, *, most: int) -> Message:
        """The next message, in a frame of at most `most` bytes.

        Raises BadJoinMessage, EOFError at the end, OSError (ssl.SSLError among them).
        """
        length = length_in(await self._reader.readexactly(4), most=most)
        return read_message(await self._reader.readexactly(length))

    async def send(self, message: Message) -> None:
        """Send it, however slowly the other end takes it; raises OSError."""
        self._writer.write(frame(message))
        await self._writer.drain()

    async def close(self) -> None:
        """Close; never fails."""
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(_CLOSE_LIMIT):
                self._writer.close()
                await self._writer.wait_closed()
        self._writer.transport.abort()


Answered = Callable[[Offer], Awaitable[Accept]]
"""Makes the answer to an offer that was checked."""


@dataclass(frozen=True, slots=True)
class Invited:
    """A welcome, and the texts in force that were checked."""

    welcome: Welcome
    held: Held


async def known_offer(gateway: PeerGateway, *, token: Token) -> tuple[Offer, Held]:
    """What the inviter offers at that gateway, after it has proved that it is the inviter; raises JoinFailed.

    Nothing is said to it, and no use of the invitation is taken.
    """
    async with _authenticated(gateway, token=token) as (_, offer, held):
        return offer, held


async def come_in(
    gateway: PeerGateway, *, token: Token, accept: Answered, held: Held = NOTHING_HELD
) -> Invited:
    """Go through the protocol at that gateway, as who holds `held` already; raises JoinFailed."""
    async with _authenticated(gateway, token=token, held=held) as (stream, offer, known):
        try:
            await stream.send(await accept(offer))
            answer = await stream.receive(most=LONGEST_ANSWER)
        except (TimeoutError, OSError, EOFError) as error:
            raise _unreachable(gateway, error) from error
        except BadJoinMessage as error:
            raise JoinFailed(JoinCode.BAD_REQUEST, error.what, next_step=error.next_step) from error
        match answer:
            case Welcome():
                return Invited(answer, held=checked(answer.trust, token=token, held=known))
            case Refused(code=code, words=words, step=step):
                raise JoinFailed(code, words, next_step=step or "ask whoever invited you")
            case _:
                raise _impostor(gateway, "it answers with something else")


def checked(trust: Offered, *, token: Token, held: Held = NOTHING_HELD) -> Held:
    """The texts that are in force after those of `trust` were offered; raises JoinFailed.

    Where nothing is held the root that `token` names must have signed; else what is held says who may, and
    stays where it is as new.
    """
    try:
        if held.statement is None or read_statement(trust.statement.text).generation > held.generation:
            statement = accepted_statement(
                trust.statement, held=held, domain=token.domain, roots=(), pins=(token.root,)
            )
            held = replace(held, statement=statement, signed_statement=trust.statement)
        offered = trust.revocations
        if offered is not None and read_revocations(offered.text).number > held.revision:
            revocations = accepted_revocations(offered, held=held)
            held = replace(held, revocations=revocations, signed_revocations=offered)
    except BadTrust as error:
        raise JoinFailed(
            JoinCode.WRONG_INVITER,
            f"whoever answers shows another root than the token names ({error.what})",
            next_step="do not go on: ask for a new token, and who stands between the two clusters",
        ) from error
    if held.generation < token.generation or held.revision < token.revision:
        raise JoinFailed(
            JoinCode.WRONG_INVITER,
            f"whoever answers shows generation {held.generation} and revocations {held.revision}, older than "
            f"{token.generation} and {token.revision} at the time of the invitation",
            next_step="do not go on: somebody may be repeating what was true once; ask for a new token",
        )
    return held


@asynccontextmanager
async def _authenticated(
    gateway: PeerGateway, *, token: Token, held: Held = NOTHING_HELD
) -> AsyncIterator[tuple[JoinStream, Offer, Held]]:
    """A connection to the inviter, after its offer, and what that says; raises JoinFailed."""
    async with _connected(gateway, token=token, context=anonymous_context(alpn=(ALPN_JOIN,))) as first:
        offer = await _offer(first, gateway=gateway, token=token)
        held = checked(offer.trust, token=token, held=held)
    assert held.statement is not None
    roots = tuple(root.certificate for root in held.statement.roots)
    context = anonymous_context(alpn=(ALPN_JOIN,), roots=roots)
    async with _connected(gateway, token=token, context=context) as second:
        controller = Expected(
            domain=token.domain,
            components=frozenset({Component.CONTROLLER}),
            clusters=frozenset({token.cluster}),
        )
        try:
            verify_peer(second.tls, expected=controller, trust=trust_of(held))
        except PeerRefused as error:
            raise _impostor(gateway, error.what) from error
        offer = await _offer(second, gateway=gateway, token=token)
        yield second, offer, checked(offer.trust, token=token, held=held)


@asynccontextmanager
async def _connected(
    gateway: PeerGateway, *, token: Token, context: ssl.SSLContext
) -> AsyncIterator[JoinStream]:
    try:
        async with asyncio.timeout(LIMIT):
            reader, writer = await asyncio.open_connection(
                gateway.host,
                gateway.port,
                ssl=context,
                server_hostname=join_server_name(cluster=token.cluster, domain=token.domain),
                ssl_handshake_timeout=HANDSHAKE_LIMIT,
                ssl_shutdown_timeout=_SHUTDOWN_LIMIT,
            )
    except ssl.SSLCertVerificationError as error:
        raise _impostor(gateway, error.verify_message) from error
    except (TimeoutError, OSError, UnicodeError) as error:
        raise _unreachable(gateway, error) from error
    stream = JoinStream(reader, writer)
    try:
        async with asyncio.timeout(LIMIT):
            if not stream.speaks_ours:
                raise _impostor(gateway, f"it does not speak {ALPN_JOIN}")
            yield stream
    except TimeoutError as error:
        raise _unreachable(gateway, error) from error
    finally:
        await stream.close()


async def _offer(stream: JoinStream, *, gateway: PeerGateway, token: Token) -> Offer:
    try:
        offer = await stream.receive(most=LONGEST_ANSWER)
    except (OSError, EOFError) as error:
        raise _unreachable(gateway, error) from error
    except BadJoinMessage as error:
        raise _impostor(gateway, error.what) from error
    match offer:
        case Refused(code=code, words=words, step=step):
            raise JoinFailed(code, words, next_step=step or "ask whoever invited you")
        case Offer():
            _check(offer, token=token)
            return offer
        case _:
            raise _impostor(gateway, "it begins with something else than an offer")


def _check(offer: Offer, *, token: Token) -> None:
    if offer.version != VERSION:
        raise JoinFailed(
            JoinCode.BAD_REQUEST,
            f"the inviter speaks version {offer.version} of the protocol, this cluster {VERSION}",
            next_step="use the same version of clusterset-mesh in both clusters",
        )
    if offer.domain != token.domain:
        raise JoinFailed(
            JoinCode.WRONG_CLUSTERSET,
            f"whoever answers is of the clusterset {offer.domain!r}, the token is for {token.domain}",
            next_step="ask for a new token",
        )
    if (offer.cluster, offer.pool) != (token.cluster, token.pool):
        raise JoinFailed(
            JoinCode.WRONG_INVITER,
            f"{offer.cluster!r} with the pool {offer.pool!r} answers, the token is of {token.cluster} with "
            f"{token.pool}",
            next_step="ask for a new token",
        )


def _unreachable(gateway: PeerGateway, error: BaseException) -> JoinFailed:
    where = f"{gateway.host} port {gateway.port}"
    closed = isinstance(
        error, EOFError | ConnectionResetError | ConnectionAbortedError | BrokenPipeError | ssl.SSLError
    )
    if closed:
        what = f"the gateway at {where} closes the connection: no invitation is open there, or not any more"
        step = "look with meshctl invite --list, in the inviting cluster, what became of it"
    else:
        why = "nothing was heard" if isinstance(error, TimeoutError) else str(error) or type(error).__name__
        what = f"the inviter's gateway at {where} cannot be reached ({why})"
        step = "open the way from this cluster's pods to that address"
    return JoinFailed(JoinCode.UNREACHABLE, what, next_step=step)


def _impostor(gateway: PeerGateway, why: str) -> JoinFailed:
    return JoinFailed(
        JoinCode.WRONG_INVITER,
        f"whoever answers at {gateway.host} port {gateway.port} is not the inviter: {why}",
        next_step="do not go on: ask for a new token, and who stands between the two clusters",
    )
