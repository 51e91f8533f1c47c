"""A hostile member that breaks the protocol of the controllers' stream, in both directions.

She loses the stream and is told why; all objects of the honest two are compared before and after, as in
test_attacks_by_a_member.py.
"""

import asyncio
import contextlib
import struct
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import pytest

from mesh_controller.stream_places import MOST_OF_ONE
from mesh_fakes.honest_pair import Attack, Scene, greeted, honest_pair
from mesh_fakes.hostile_member import NAME, Json, Line, dials, export, packed
from mesh_fakes.members import Member
from mesh_fakes.waiting import until
from mesh_runtime.kube import MESH_PEERS

EVENTS = "/apis/events.k8s.io/v1/events/default/"

pytestmark = pytest.mark.asyncio


@dataclass(frozen=True, slots=True)
class Said:
    """What she says on a stream that was opened to her: messages, or bytes, after a good list or without."""

    messages: tuple[Json, ...] = ()
    data: bytes = b""
    after_list: bool = True

    async def __call__(self, line: Line) -> None:
        if self.after_list:
            await greeted(line)
        line.say(*self.messages)
        line.raw(self.data)


def hello(**changes: object) -> Json:
    good = {"type": "hello", "version": 1, "cluster": NAME, "kubeSystemUid": f"{NAME}-kube-system"}
    return {**good, **changes}


def put(revision: int, record: Json | None = None) -> Json:
    return {"type": "put", "revision": revision, "record": record or export()}


def synced(**changes: object) -> Json:
    return {
        "type": "synced",
        "epoch": "e9",
        "revision": 9,
        "complete": True,
        "count": 0,
        "hash": "",
        **changes,
    }


def first(*messages: Json) -> Said:
    return Said(messages, after_list=False)


BREAKING: dict[str, Attack] = {
    "a hello of another member": first(hello(cluster="east")),
    "a hello of the victim": first(hello(cluster="west")),
    "a hello of nobody": first(hello(cluster="")),
    "a hello of look-alike letters": first(hello(cluster="m\u0430llory")),
    "another cluster than the pinned one": first(hello(kubeSystemUid="another-kube-system")),
    "the victim's own uid": first(hello(kubeSystemUid="west-kube-system")),
    "another version": first(hello(version=2)),
    "a version of the past": first(hello(version=0)),
    "records before the hello": first(put(1)),
    "an end before the hello": first(synced()),
    "a signer before the hello": first({"type": "signer", "chain": ["x"]}),
    "a second hello": first(hello(), hello()),
    "an older revision again": Said((put(3),)),
    "revisions that fall": Said((put(1000), put(999))),
    "a revision below nought": Said((put(-1),)),
    "a revision beyond numbers": Said((put(1 << 64),)),
    "a second list that nobody asked for": Said((synced(),)),
    "a list with another count": first(hello(), put(1), synced(count=2)),
    "a list with another hash": first(hello(), put(1), synced(count=1, hash="0" * 64)),
    "a resumption that nobody asked for": first(hello(), synced(complete=False, epoch="of another")),
    "a signer that is none": first(hello(), {"type": "signer", "chain": ["-----BEGIN CERTIFICATE-----"]}),
    "a signer of five certificates": first(hello(), {"type": "signer", "chain": ["x"] * 5}),
    "a watch on a stream that we opened": Said(({"type": "watch", "epoch": "", "revision": 0},)),
    "an acknowledgement of nothing": Said(({"type": "ack", "revision": 1},)),
    "a farewell for the log": Said(({"type": "bye", "reason": "\r\nlevel=error msg=\x1b[2J" * 20},)),
    "a farewell without end": Said(({"type": "bye", "reason": "x" * 1001},)),
    "peers without end": Said(({"type": "mesh", "peers": ["c"] * 1025},)),
    "a frame of a gigabyte": Said(data=struct.pack(">I", 1 << 30)),
    "a frame of nothing": Said(data=struct.pack(">I", 0)),
    "text": Said(data=b"HTTP/1.1 200 OK\r\n\r\n"),
    "nesting without end": Said(data=struct.pack(">I", 90_000) + b"[" * 90_000),
    "bytes that are no UTF-8": Said(data=struct.pack(">I", 9) + b'{"a":"\xff"}'),
}


def shown(member: Member) -> str:
    """What stands in the MeshPeer of hers about the stream."""
    condition = member.connected(NAME)
    return f"{condition.status} {condition.message}" if condition is not None else ""


async def test_who_breaks_the_protocol_loses_the_stream_and_changes_nothing() -> None:
    async with honest_pair() as found:
        for what, attack in BREAKING.items():
            await found.withstand(attack, what=what, stands=False, may=None)
            for victim in found.victims:
                assert shown(victim).isprintable(), what


WRONG: dict[str, list[bytes]] = {
    "in the name of the other": [packed(hello(cluster="east")), packed(hello(cluster="west"))],
    "a copy of the first one": [
        packed(hello(kubeSystemUid="copy")),
        packed({"type": "watch", "epoch": "", "revision": 0}),
    ],
    "records and ends": [packed(hello()), packed(put(1)), packed(synced())],
    "a drop": [
        packed(hello()),
        packed({"type": "drop", "revision": 1, "namespace": "demo", "name": "hello"}),
    ],
    "a signer": [packed(hello()), packed({"type": "signer", "chain": ["x"]})],
    "a frame of a gigabyte": [struct.pack(">I", 1 << 30)],
    "text": [b"GET / HTTP/1.1\r\n\r\n"],
}


async def called(found: Scene, act: Callable[[Member], Awaitable[None]], *, what: str) -> None:
    """One attack on both by streams that she opens."""
    before = await found.pictures()
    for victim in found.victims:
        async with asyncio.timeout(90):
            await act(victim)
    await found.is_untouched(before, what=what)
    await found.are_well()


async def test_who_says_as_a_client_what_only_a_server_says_is_closed_and_changes_nothing() -> None:
    async with honest_pair() as found:
        for what, said in WRONG.items():

            async def act(victim: Member, data: bytes = b"".join(said)) -> None:
                async with dials(victim) as line:
                    line.raw(data)
                    assert await line.is_closed()

            await called(found, act, what=what)


async def test_a_crowd_of_streams_of_one_member_leave_room_for_the_others() -> None:
    async def crowd(victim: Member) -> None:
        async with contextlib.AsyncExitStack() as stack:
            lines = [await stack.enter_async_context(dials(victim)) for _ in range(40)]
            for line in lines:
                line.say(hello(), {"type": "watch", "epoch": "", "revision": 0})
            heard = await asyncio.gather(*(line.hear() for line in lines))
            assert Counter(one["type"] for one in heard) == {"hello": MOST_OF_ONE, "bye": 40 - MOST_OF_ONE}

    async with honest_pair() as found:
        await called(found, crowd, what="a crowd")


async def test_streams_on_which_she_reads_nothing_hold_nobody_up() -> None:
    async with honest_pair() as found:
        before = await found.pictures()
        async with contextlib.AsyncExitStack() as stack:
            for victim in found.victims:
                line = await stack.enter_async_context(dials(victim))
                line.say(hello(), {"type": "watch", "epoch": "", "revision": 0})
                line.raw(packed({"type": "ack", "revision": 1}) * 20_000)
            await found.is_untouched(before, what="never reads")
            for _ in range(20):
                await found.are_well()


async def test_her_mesh_peer_deleted_takes_all_of_hers_and_nothing_else() -> None:
    async with honest_pair() as found:
        before = await found.pictures()
        for victim in found.victims:
            victim.api.remove(MESH_PEERS, NAME)

        def left() -> bool:
            return any(one.imported("evil-db") is not None for one in found.victims)

        await until(lambda: not left())
        await found.still()
        changed = [
            {place for place in {**old, **new} if old.get(place) != new.get(place)}
            for (old, _), (new, _) in zip(before, await found.pictures(), strict=True)
        ]
        # Who is linked with whom stands in the MeshPeer of the other honest one, which Events tell too.
        for places, other in zip(changed, ("east", "west"), strict=True):
            told = {place for place in places if place.startswith(f"{EVENTS}{other}.")}
            assert places - told == {f"/apis/meshctl.dev/v1alpha1/meshpeers//{other}"}
        await found.are_well()
