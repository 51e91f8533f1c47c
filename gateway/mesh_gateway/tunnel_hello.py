"""How the two ends of a tunnel get to know each other: the first stream of the side that dialled.

1. The side that dialled opens a stream with its hello; the other answers with its own, or refuses. Neither
   opens another stream before that.
2. Each says the highest version that it speaks, and the lower of the two holds. An end that does not speak
   the lower one refuses, and says so in words that show on the MeshPeer.
3. The stream stays open. When an end's siblings change, it says its hello again there, so that the other
   knows at which gateways it still lacks a tunnel (ruling 7).
4. A hello that names another cluster than the certificate does is refused, and so is one of a cluster that
   this one is not linked with.
"""

from collections.abc import Callable

from mesh_core.identity import ClusterId
from mesh_gateway.mux_stream import MuxStream
from mesh_gateway.opening import (
    PROBES,
    VERSION,
    Answer,
    BadMessage,
    Opening,
    Reason,
    TunnelHello,
    message_length,
    read_answer,
    read_hello,
    read_opening,
    write_message,
)
from mesh_gateway.tunnel import Tunnel
from mesh_gateway.tunnel_log import plain
from mesh_gateway.yamux import ProtocolError

Done = Callable[[Tunnel, str], None]
"""Hears that the ends have talked; the text says why they cannot work together, "" that they can."""

FEATURES = ("udp", "source", PROBES)
"""What this version understands beyond the first one's necessities."""


class HelloTalk:
    """Says our hello, made anew by `hello` each time, and hears others'."""

    def __init__(self, hello: Callable[[ClusterId], TunnelHello]) -> None:
        self._hello = hello
        self._listeners: dict[Tunnel, _Listener] = {}

    def begin(self, tunnel: Tunnel, *, done: Done) -> None:
        """Says hello first, on a tunnel that we dialled."""

        def answered(stream: MuxStream, message: bytes | None) -> None:
            self._answered(tunnel, stream, message, done=done)

        message = write_message(Opening(hello=self._hello(tunnel.cluster)))
        try:
            tunnel.session.open(message, answered=answered)
        except ProtocolError as error:
            done(tunnel, str(error))

    def opening(
        self, tunnel: Tunnel, stream: MuxStream, message: bytes | None, *, done: Done
    ) -> Opening | None:
        """What a stream of the other end asks for; None when it was a hello, or nothing that reads, and is
        dealt with."""
        try:
            opening = read_opening(message) if message is not None else None
        except BadMessage:
            opening = None
        if opening is None:
            stream.refuse(Answer(Reason.BAD_OPENING.value, "the opening does not read"))
        elif opening.hello is not None and not tunnel.is_client and tunnel.hello is None:
            self._greeted(tunnel, stream, opening.hello, done=done)
        elif opening.hello is not None or tunnel.hello is None:
            stream.refuse(Answer(Reason.BAD_OPENING.value, "a hello in the wrong place"))
        else:
            return opening
        return None

    def say_again(self, tunnel: Tunnel) -> None:
        """Tells the other end of our siblings, which have changed."""
        listener = self._listeners.get(tunnel)
        if listener is not None:
            listener.stream.write(write_message(self._hello(tunnel.cluster)))

    def _greeted(self, tunnel: Tunnel, stream: MuxStream, hello: TunnelHello, *, done: Done) -> None:
        if tunnel.refusal:
            stream.refuse(Answer(Reason.NOT_ALLOWED.value, tunnel.refusal))
            done(tunnel, tunnel.refusal)
            return
        problem = _problem(hello, cluster=tunnel.cluster)
        if problem:
            stream.refuse(Answer(Reason.UNSUPPORTED.value, problem[:500], hello=self._hello(tunnel.cluster)))
            done(tunnel, problem)
            return
        stream.answer(write_message(Answer(hello=self._hello(tunnel.cluster))))
        self._listen(tunnel, stream, hello)
        done(tunnel, "")

    def _answered(self, tunnel: Tunnel, stream: MuxStream, message: bytes | None, *, done: Done) -> None:
        if message is None:
            if not tunnel.is_gone:
                done(tunnel, "the other end closed without a hello")
            return
        try:
            answer = read_answer(message)
        except BadMessage:
            done(tunnel, "the other end's hello does not read")
            return
        if answer.reason or answer.hello is None:
            done(tunnel, f"the peer refuses tunnels: {plain(answer.why or answer.reason or 'no hello')}")
            return
        problem = _problem(answer.hello, cluster=tunnel.cluster)
        if not problem:
            self._listen(tunnel, stream, answer.hello)
            stream.accepted()
        done(tunnel, problem)

    def _listen(self, tunnel: Tunnel, stream: MuxStream, hello: TunnelHello) -> None:
        tunnel.hello = hello
        tunnel.talk = stream
        listener = _Listener(tunnel, stream, gone=lambda: self._listeners.pop(tunnel, None))
        self._listeners[tunnel] = listener
        stream.start(listener)


class _Listener:
    """Hears further hellos of the other end."""

    def __init__(self, tunnel: Tunnel, stream: MuxStream, *, gone: Callable[[], object]) -> None:
        self.stream = stream
        self._tunnel = tunnel
        self._gone = gone
        self._head = bytearray()

    def bytes_came(self, data: bytes) -> None:
        self._head += data
        try:
            while (length := message_length(self._head)) is not None and len(self._head) >= length:
                hello = read_hello(bytes(self._head[2:length]))
                del self._head[:length]
                if hello.cluster == self._tunnel.cluster:
                    self._tunnel.hello = hello
        except BadMessage:
            self._tunnel.abort("a hello that does not read")

    def bytes_ended(self) -> None:
        self.stream.end()

    def send_paused(self) -> None:
        """A hello more or less waits."""

    def send_resumed(self) -> None:
        """It has left."""

    def stream_gone(self, *, cleanly: bool) -> None:
        self._tunnel.talk = None
        self._gone()


def _problem(hello: TunnelHello, *, cluster: ClusterId) -> str:
    """Why nothing can be done with the other end; "" when it can."""
    if hello.cluster != cluster:
        return f"the tunnel's hello names cluster {hello.cluster!a}, its certificate {cluster}"
    if min(hello.version, VERSION) < VERSION:
        return (
            f"the peer speaks version {hello.version} of tunnels, we speak {VERSION}; upgrade the older one"
        )
    return ""
