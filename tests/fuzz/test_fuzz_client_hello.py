"""Damaged hellos of real programs: each is read or refused, alike in any pieces, in bounded time and space.

And whatever they say, they get no further than to what is exported, by its exact name (CVE-2021-31921).
"""

import random
import resource
import time
from pathlib import Path

import pytest

from mesh_core.identity import cluster_id, domain
from mesh_fakes.mutations import cases, corpus, cut, damaged
from mesh_gateway.client_hello import MAX_HELLO_BYTES, ClientHelloReader, Hello, NeedMore, Reading, Refused
from mesh_gateway.entry import Close, PassThrough, Serve, Tunnel, entry_for
from mesh_gateway.route import Address, Ingress, RouteTable, ServicePort

FILES = Path(__file__).parent / "corpus" / "client_hello"
SEEDS = corpus(FILES)
POD = Ingress((Address("10.244.0.5", 8080),))
TABLE = RouteTable(
    cluster=cluster_id("east"),
    domain=domain("clusterset.internal"),
    egress={},
    ingress={ServicePort("demo", "hello", 80): POD},
    controllers=(Address("10.244.0.9", 15445),),
    gateways={},
    contested=(),
    public={"shop.example.com": POD},
)
SERVED = {"80.hello.demo.svc.clusterset.local", "80.east.hello.demo.svc.clusterset.local"}


def read(pieces: list[bytes]) -> Reading:
    """The reader's answer; it never holds more than it may."""
    reader = ClientHelloReader()
    answer: Reading = NeedMore()
    for piece in pieces:
        answer = reader.feed(piece)
        assert len(reader._pending) + len(reader._message) <= MAX_HELLO_BYTES
        if not isinstance(answer, NeedMore):
            break
    return answer


def rebuilt(hello: bytes, *, dice: random.Random, others: list[bytes]) -> bytes:
    """A hello whose extensions are damaged, dropped, doubled or moved, and whose lengths are right."""
    body = hello[9:]
    at = 34
    at += 1 + body[at]
    at += 2 + int.from_bytes(body[at : at + 2], "big")
    at += 1 + body[at]
    kept, extensions = body[:at], split(body[at + 2 :])
    for _ in range(dice.randint(1, 3)):
        where = dice.randrange(len(extensions))
        kind, data = extensions[where]
        match dice.randrange(6):
            case 0:
                del extensions[where]
            case 1:
                extensions.append((kind, data))
            case 2:
                dice.shuffle(extensions)
            case 3:
                extensions[where] = (dice.choice((0, 16, 43, 0xFE0D, 0x0A0A)), data)
            case _:
                extensions[where] = (kind, damaged(data, dice=dice, others=others)[:9000])
        if not extensions:
            break
    block = b"".join(kind.to_bytes(2, "big") + vector(data) for kind, data in extensions)[:65535]
    whole = kept + vector(block)
    message = b"\x01" + len(whole).to_bytes(3, "big") + whole
    size = dice.choice((1, 3, 100, 16384, 16384, 16384))
    pieces = [message[start : start + size] for start in range(0, len(message), size)]
    return b"".join(b"\x16\x03\x01" + vector(piece) for piece in pieces)


def split(block: bytes) -> list[tuple[int, bytes]]:
    found: list[tuple[int, bytes]] = []
    while len(block) >= 4:
        end = 4 + int.from_bytes(block[2:4], "big")
        found.append((int.from_bytes(block[:2], "big"), block[4:end]))
        block = block[end:]
    return found


def vector(data: bytes) -> bytes:
    return len(data).to_bytes(2, "big") + data


WHOLE = [
    data
    for data in SEEDS
    if len(data) == 5 + int.from_bytes(data[3:5], "big") and isinstance(read([data]), Hello | Refused)
]


def one(dice: random.Random) -> bytes:
    """A case: half of them are damaged anywhere, half where it goes deep."""
    if dice.random() < 0.5:
        return damaged(dice.choice(SEEDS), dice=dice, others=SEEDS)
    return rebuilt(dice.choice(WHOLE), dice=dice, others=SEEDS)


def check(data: bytes, *, dice: random.Random) -> Reading:
    """One case; the answer to it."""
    whole = read([data])
    assert read(cut(data, dice=dice)) == whole
    if dice.random() < 0.02:
        assert read([data[at : at + 1] for at in range(len(data))]) == whole
    if isinstance(whole, Hello):
        safe(whole)
    return whole


def safe(hello: Hello) -> None:
    """Nothing but what is exported can be had by a hello."""
    name = (hello.server_name or "").lower()
    match entry_for(hello, table=TABLE):
        case Serve(route=route):
            assert name in SERVED
            assert route is POD
        case PassThrough(public=True):
            assert name == "shop.example.com"
            assert not any(protocol.startswith(b"meshctl") for protocol in hello.protocols)
        case PassThrough():
            assert name == "peer.east.clusterset.internal"
            assert b"meshctl-peer/1" in hello.protocols
        case Tunnel():
            assert name == "gateway.east.clusterset.internal"
            assert b"meshctl-tunnel/1" in hello.protocols
        case Close(reason=reason):
            assert reason
    assert name.isascii()
    assert name.isprintable()


@pytest.mark.parametrize("path", sorted(FILES.glob("*.bin")), ids=lambda path: path.stem)
def test_the_hellos_of_real_programs_are_read(path: Path) -> None:
    answer = read([path.read_bytes()])
    if path.stem == "nul_in_name":
        assert answer == Refused("a server name that is no host name")
    else:
        assert isinstance(answer, Hello)
        assert (answer.server_name is None) == (path.stem == "python_no_name")


def test_damaged_hellos_are_read_or_refused_and_get_nowhere() -> None:
    slowest = 0.0
    answers = {Hello: 0, Refused: 0, NeedMore: 0}
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for number, dice in cases():
        data = one(dice)
        started = time.thread_time()
        try:
            answers[type(check(data, dice=dice))] += 1
        except Exception as error:
            raise AssertionError(f"FUZZ=1 SEED={number} fails with {error!r}: {data.hex()}") from error
        slowest = max(slowest, time.thread_time() - started)
    assert slowest < 2.0, "a case of at most 40 kB took that long"
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 64 * 1024, f"{grown} KiB more than before"
    assert sum(answers.values()) < 100 or min(answers.values()) > 0, (
        f"the damage is all of one kind: {answers}"
    )
    print(answers, f"slowest {slowest * 1000:.1f} ms, {grown} KiB more")
