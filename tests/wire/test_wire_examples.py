"""The worked example of a tunnel in docs/wire.md: its bytes are those that the code sends and understands."""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from mesh_core.identity import cluster_id
from mesh_fakes.gateways import table_of
from mesh_fakes.session_pair import Pair, Reading
from mesh_gateway.admission import Denied
from mesh_gateway.mux_stream import MuxStream
from mesh_gateway.opening import (
    Answer,
    Opening,
    Source,
    TunnelHello,
    read_answer,
    read_opening,
    write_message,
)
from mesh_gateway.reserved import reserved_route
from mesh_gateway.route import Address

TEXT = (Path(__file__).parent.parent.parent / "docs" / "wire.md").read_text()
CALLER_HELLO = TunnelHello(cluster="west", replica="gw-1", siblings=("gw-1", "gw-2"), features=("udp",))
CALLEE_HELLO = TunnelHello(cluster="east", replica="gw-9", siblings=("gw-9",))
OPENING = Opening(
    id="5f0c2ab7e3d94816",
    namespace="demo",
    service="hello",
    port=80,
    source=Source(address="10.244.1.7", port=41532, namespace="shop", account="default", pod="cart-0"),
)


def example(chapter: str = "A tunnel: `meshctl-tunnel/1`") -> Iterator[tuple[str, bytes]]:
    """Who sends and what, line by line; a line without a sender belongs to the one before."""
    section = TEXT.split(f"## {chapter}")[1].split("\n## ")[0]
    block = next(found for found in re.findall(r"```\n(.*?)```", section, re.DOTALL) if "caller  " in found)
    sender, data = "", b""
    for line in block.splitlines():
        who, text = line[:8].strip(), line[8:].split("|")[0].strip()
        if who:
            if data:
                yield sender, data
            sender, data = who, b""
        data += _bytes_of(text)
    yield sender, data


def _bytes_of(text: str) -> bytes:
    """Text in hexadecimal, and in quotes as it is."""
    found = b""
    for hexadecimal, quoted in re.findall(r"([0-9a-f]{2}(?: [0-9a-f]{2})*)|'(.*)'", text):
        found += quoted.encode() if quoted else bytes.fromhex(hexadecimal)
    return found


class Ender(Reading):
    """Answers the end with its own."""

    def __init__(self, stream: MuxStream) -> None:
        super().__init__()
        self._stream = stream

    def bytes_ended(self) -> None:
        super().bytes_ended()
        self._stream.end()


def said() -> list[tuple[str, bytes]]:
    """What our code says in the same story."""
    pair = Pair()
    lines: list[tuple[str, bytes]] = []

    def flush(who: str) -> None:
        side = pair.client if who == "caller" else pair.server
        for frame in side.flush():
            lines.append((who, bytes(frame)))
        pair.deliver(side, size=1 << 20)

    def asked(stream: MuxStream, message: bytes | None) -> None:
        assert message is not None
        opening = read_opening(message)
        if opening.hello is not None:
            stream.answer(write_message(Answer(hello=CALLEE_HELLO)))
            return
        assert opening == OPENING
        stream.accept()
        stream.start(Ender(stream))

    def answered(stream: MuxStream, message: bytes | None) -> None:
        assert message is not None
        assert not read_answer(message).reason
        stream.accepted()

    pair.server.hears = asked
    pair.client.session.open(write_message(Opening(hello=CALLER_HELLO)), answered=answered)
    flush("caller")
    flush("callee")
    stream = pair.client.session.open(write_message(OPENING), answered=answered)
    stream.start(Reading())
    stream.write(b"ping\n")
    flush("caller")
    flush("callee")
    stream.end()
    flush("caller")
    flush("callee")
    pair.client.session.ping(1)
    flush("caller")
    flush("callee")
    pair.client.session.leave()
    flush("caller")
    return lines


def test_the_example_of_a_tunnel_is_what_the_code_says_byte_by_byte() -> None:
    assert list(example()) == said()


def test_the_example_of_a_reserved_target_is_what_both_gateways_say() -> None:
    asked = Opening(id="93bd04e1f7a25c68", reserved="kube-apiserver", component="access")
    table = replace(
        table_of("east", gateways={cluster_id("west"): ()}), api_server=(Address("10.96.0.1", 443),)
    )
    found = reserved_route(asked, cluster=cluster_id("west"), table=table)
    assert isinstance(found, Denied)
    answer = write_message(Answer(found.reason.value, found.why))
    assert list(example("The inner door: `meshctl-inner/1`")) == [
        ("caller", write_message(asked)),
        ("callee", answer),
    ]


def test_the_tables_of_the_messages_name_every_field() -> None:
    section = TEXT.split("## A tunnel: `meshctl-tunnel/1`")[1].split("\n## ")[0]
    for struct in (Opening, Source, TunnelHello, Answer):
        for name in struct.__struct_fields__:
            assert f"`{name}`" in section, f"docs/wire.md does not say what {struct.__name__}.{name} is"
