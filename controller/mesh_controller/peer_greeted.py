"""How a stream from a peer begins, at the serving end: its hello, trust that it passes on, its `watch`."""

import asyncio

from mesh_controller.peer_stream import GREETING_LIMIT, PeerStream, StreamEnded
from mesh_controller.trust_talk import TrustTalk
from mesh_core.peer_session import check_hello
from mesh_core.peer_wire import Bye, Hello, Message, PeerProtocolError, Trust, Watch
from mesh_runtime.tls import PeerRefused


async def greeted(stream: PeerStream, *, ours: Hello, talk: TrustTalk) -> tuple[Hello, Watch, list[Message]]:
    """The peer's hello, its `watch`, and what came behind them; it is believed then.

    It is sent what it lacks as soon as it has said hello, because it may not believe us before.
    """
    try:
        async with asyncio.timeout(GREETING_LIMIT):
            theirs, rest = await _hello_of(stream)
            # Whom nobody knows yet pins nothing, and clashes with nobody.
            check_hello(theirs, cluster=talk.peer, ours=ours, pinned="")
            talk.greet(theirs)
            if talk.is_believed:
                await stream.send(talk.news())
            watch, rest = await _watch_of(stream, rest, talk=talk)
            if not talk.has_taken:
                _demand(talk)
            await talk.until_believed()
    except TimeoutError as error:
        _demand(talk)
        raise StreamEnded("no greeting came") from error
    return theirs, watch, rest


def _demand(talk: TrustTalk) -> None:
    """Raise PeerRefused unless the peer is believed."""
    if not talk.is_believed:
        raise PeerRefused(talk.verdict.words)


async def _hello_of(stream: PeerStream) -> tuple[Hello, list[Message]]:
    messages: list[Message] = []
    while not messages:
        messages = await stream.receive()
    match messages:
        case [Hello() as theirs, *rest]:
            return theirs, rest
        case _:
            raise PeerProtocolError("the stream does not begin with hello and watch")


async def _watch_of(
    stream: PeerStream, messages: list[Message], *, talk: TrustTalk
) -> tuple[Watch, list[Message]]:
    """The peer's `watch` and what came behind it; before it the peer may pass on trust."""
    while True:
        for number, message in enumerate(messages, start=1):
            match message:
                case Watch():
                    return message, messages[number:]
                case Trust():
                    talk.take(message)
                case Bye(reason=reason):
                    raise StreamEnded(f"the peer left: {reason[:600]!r}")
                case _:
                    raise PeerProtocolError("the stream does not begin with hello and watch")
        messages = await stream.receive()
