"""Who dials whom between two members: streams through the inner door, and what MeshPeers show of it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from mesh_core.names import GATEWAY_INNER, SYSTEM_NAMESPACE
from mesh_fakes.clusterset import FakeClusterset
from mesh_fakes.inner_doors import Door, inner_door
from mesh_fakes.members import Member, new_member
from mesh_fakes.waiting import until
from mesh_runtime.kube import SERVICES

pytestmark = pytest.mark.asyncio

CLUSTERSET = FakeClusterset()


def pair() -> tuple[Member, Member]:
    """East and west, which both export demo/hello."""
    found = []
    for number, name in enumerate(("east", "west")):
        member = new_member(name, clusterset=CLUSTERSET)
        member.service()
        member.endpoints(f"10.{number + 2}.0.1")
        member.export()
        found.append(member)
    east, west = found
    return east, west


def has_inner_door(member: Member, *, port: int) -> None:
    metadata = {"namespace": SYSTEM_NAMESPACE, "name": GATEWAY_INNER}
    ports = [{"name": "inner", "port": port, "protocol": "TCP"}]
    member.api.put(
        SERVICES,
        {"metadata": metadata, "spec": {"type": "ClusterIP", "clusterIP": "127.0.0.1", "ports": ports}},
    )


@asynccontextmanager
async def tunnelled(member: Member, *, to: Member) -> AsyncIterator[Door]:
    """The gateway of `member` holds a tunnel that `to` dialled."""

    def leads(name: str) -> tuple[str, int] | None:
        is_peer = name == f"peer.{to.name}.{CLUSTERSET.domain}"
        return ("127.0.0.1", to.port) if is_peer else None

    async with inner_door(CLUSTERSET, member.name, leads=leads) as door:
        has_inner_door(member, port=door.port)
        yield door


def shows(member: Member, peer: str, kind: str) -> tuple[str, str]:
    found = member.peer_condition(peer, kind)
    return (found.status, found.reason) if found is not None else ("", "")


async def test_a_cluster_that_only_dials_out_and_one_that_only_waits_know_each_others_exports() -> None:
    east, west = pair()
    async with east.running(), west.running(), tunnelled(west, to=east) as door:
        east.knows(west, spec={"dial": "outbound"})
        # What it knows of addresses is nothing to it: nobody would answer there.
        west.knows(east, port=1, spec={"dial": "inbound"})
        await until(lambda: shows(east, "west", "Connected") == ("True", "Synced"), limit=90)
        await until(lambda: shows(west, "east", "Connected") == ("True", "Synced"), limit=90)
        await until(lambda: bool(east.slices("west") and west.slices("east")), limit=90)
        await until(lambda: shows(west, "east", "DialAgreed") == ("True", "Agreed"))
        await until(lambda: shows(east, "west", "DialAgreed") == ("True", "Agreed"))
        assert set(door.asked) == {"peer.east.clusterset.internal"}


async def test_two_that_say_that_only_they_dial_are_told_so_until_one_says_otherwise() -> None:
    """Ruling 7."""
    east, west = pair()
    async with east.running(), west.running():
        east.knows(west, spec={"dial": "outbound"})
        west.knows(east, spec={"dial": "outbound"})
        await until(lambda: shows(east, "west", "DialAgreed") == ("False", "BothOutbound"), limit=90)
        await until(lambda: shows(west, "east", "DialAgreed") == ("False", "BothOutbound"), limit=90)
        west.knows(east, spec={"dial": "both"})
        await until(lambda: shows(west, "east", "DialAgreed") == ("True", "Agreed"), limit=90)
        await until(lambda: shows(east, "west", "DialAgreed") == ("True", "Agreed"), limit=90)


async def test_who_waits_in_vain_says_who_should_dial_and_what_is_missing_here() -> None:
    east, west = pair()
    async with east.running(), west.running():
        west.knows(east, spec={"dial": "inbound"})

        def why() -> str:
            found = west.connected("east")
            return found.message if found is not None else ""

        await until(lambda: "there is no Service meshctl-gateway-inner here" in why(), limit=90)
        async with inner_door(CLUSTERSET, "west", leads=lambda _: None) as door:
            has_inner_door(west, port=door.port)
            await until(lambda: "the connection was closed before anybody answered" in why(), limit=90)
            assert "it is east that dials, check its gateway and its MeshPeer" in why()
            assert shows(west, "east", "Connected") == ("False", "Unreachable")
