"""What the gateways say of the way to a peer decides whether its endpoints are ready here."""

from contextlib import AsyncExitStack
from datetime import UTC, datetime

import pytest

from mesh_core.names import shadow_service_name
from mesh_core.path_report import Finding, Pods, plan_report
from mesh_core.peer_view import Wanted
from mesh_core.reach import REACHABLE
from mesh_core.record import ShardEndpoint, ShardPort
from mesh_core.record_plan import plan_imported
from mesh_fakes.clusterset import FakeClusterset
from mesh_fakes.exports import record, shard
from mesh_fakes.members import GATEWAY_PODS, Member, new_member
from mesh_fakes.waiting import until
from mesh_runtime.kube import MESH_PEERS, SERVICES

pytestmark = pytest.mark.asyncio

LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)
UP, DOWN = Finding(True), Finding(False)
LIVE, DEAD = Finding(True, Pods.REACHABLE), Finding(True, Pods.UNREACHABLE)
A, B = GATEWAY_PODS


def say(member: Member, peer: str, **findings: Finding) -> None:
    """The gateways `a` and `b` of `member` write what they find."""
    for letter, finding in findings.items():
        seen = member.api.find(MESH_PEERS, peer)
        assert seen is not None
        address = {"a": A, "b": B}[letter]
        member.api.write(plan_report(seen, address=address, finding=finding, now=LONG_AGO))


def ready(member: Member, source: str) -> set[tuple[bool | None, bool | None]]:
    """Conditions (ready, serving) of all endpoints of one source."""
    pieces = member.slices(source)
    return {(e.conditions.ready, e.conditions.serving) for piece in pieces for e in piece.endpoints or ()}


def is_reached(member: Member, source: str = "west") -> bool:
    return ready(member, source) == {(True, True)}


def is_withdrawn(member: Member, source: str = "west") -> bool:
    return ready(member, source) == {(False, False)}


def is_whole(member: Member) -> bool:
    """Whether the import has all that belongs to it: its statuses are written last."""
    seen = member.imported()
    return is_reached(member) and seen is not None and bool(seen.status.conditions and seen.status.clusters)


def stays(member: Member) -> object:
    """The import and its shadow Service, and where its slices lead."""
    seen = member.imported()
    shadow = member.api.find(SERVICES, shadow_service_name(namespace="demo", name="hello"), namespace="demo")
    assert seen is not None and shadow is not None
    pieces = [
        (piece.metadata.uid, piece.ports, [e.addresses for e in piece.endpoints or ()])
        for piece in member.slices("west")
    ]
    return seen.metadata.uid, seen.spec, seen.status, shadow.spec, pieces


def condition(member: Member, peer: str = "west") -> tuple[str, str]:
    found = member.peer_condition(peer, REACHABLE)
    return (found.status, found.reason) if found is not None else ("", "")


def two_members() -> tuple[Member, Member]:
    """east, and west which exports demo/hello with two endpoints."""
    clusterset = FakeClusterset()
    east = new_member("east", clusterset=clusterset)
    west = new_member("west", clusterset=clusterset)
    west.service()
    west.endpoints("10.2.0.1", "10.2.0.2")
    west.export()
    return east, west


async def test_a_peer_that_no_gateway_reaches_is_withdrawn_and_comes_back_and_all_else_stays() -> None:
    east, west = two_members()
    async with east.running(), west.running():
        east.knows(west)
        await until(lambda: is_whole(east))
        before = stays(east)
        say(east, "west", a=UP, b=UP)
        await until(lambda: condition(east) == ("True", "AllGateways"))
        say(east, "west", a=DOWN)
        await until(lambda: condition(east) == ("True", "SomeGateways"))
        assert is_reached(east)
        say(east, "west", b=DOWN)
        await until(lambda: is_withdrawn(east))
        await until(lambda: condition(east) == ("False", "NoGateway"))
        assert stays(east) == before
        connected = east.connected("west")
        assert connected is not None and connected.status == "True", "the stream is another matter"
        say(east, "west", a=UP)
        await until(lambda: is_reached(east))
        assert stays(east) == before


async def test_the_controllers_stream_alone_withdraws_nothing() -> None:
    east, west = two_members()
    async with east.running():
        async with west.running():
            east.knows(west)
            await until(lambda: is_whole(east))
            say(east, "west", a=UP, b=UP)
            await until(lambda: condition(east) == ("True", "AllGateways"))
            before = stays(east)

        def is_lost() -> bool:
            found = east.connected("west")
            return found is not None and found.status == "False"

        await until(is_lost, limit=90)
        # What would be withdrawn would be so by the look that this leads to.
        say(east, "west", a=DOWN)
        await until(lambda: condition(east) == ("True", "SomeGateways"))
        assert is_reached(east)
        assert stays(east) == before


async def test_a_gateway_that_is_not_ready_has_no_word_and_one_that_is_gone_no_entry() -> None:
    east, west = two_members()
    async with east.running(), west.running():
        east.knows(west)
        await until(lambda: is_reached(east))
        say(east, "west", a=DOWN, b=UP)
        await until(lambda: condition(east) == ("True", "SomeGateways"))
        east.gateways([A])
        await until(lambda: is_withdrawn(east))

        def entries() -> list[str]:
            peer = east.peer("west")
            return [one.address for one in peer.status.gateways] if peer is not None else []

        await until(lambda: entries() == [A])
        east.gateways([A, B])
        await until(lambda: is_reached(east))


async def test_when_all_neighbours_fall_silent_none_is_withdrawn_and_one_of_them_alone_is() -> None:
    east = new_member("east", clusterset=FakeClusterset())
    east.network("blue")
    spec = {"network": "blue", "import": {"podCIDRs": ["10.0.0.0/8"]}}
    for number, name in enumerate(("west", "north")):
        told = shard(
            name, ShardEndpoint(address=f"10.{8 + number}.0.1"), ports=(ShardPort(port=8080, name="http"),)
        )
        for entry in (record(name), told):
            east.api.write(plan_imported(None, standing=Wanted(entry)))
        ways = [{"host": "127.0.0.1", "port": 1}]
        east.api.put(MESH_PEERS, {"metadata": {"name": name}, "spec": {**spec, "gateways": ways}})
        say(east, name, a=LIVE, b=LIVE)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(east.running())
        await until(lambda: is_reached(east, "west") and is_reached(east, "north"))
        say(east, "west", a=DEAD, b=DEAD)
        await until(lambda: is_withdrawn(east, "west"))
        assert is_reached(east, "north")
        say(east, "north", a=DEAD)
        await until(lambda: condition(east, "north") == ("True", "SomeGateways"))
        say(east, "north", b=DEAD)
        await until(lambda: is_reached(east, "west"), limit=90)
        assert is_reached(east, "north")
        await until(lambda: condition(east, "west") == ("False", "CutOff"))
        say(east, "north", a=LIVE)
        await until(lambda: is_withdrawn(east, "west"))
