"""Endpoints told one by one: shards of headless Services, and of neighbours on one network."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

from mesh_controller.peer_stream import PeerStream
from mesh_core.identity import Component
from mesh_core.names import ALPN_PEER
from mesh_core.peer_wire import Hello, Signer, Watch, record_bytes
from mesh_core.record import Shard
from mesh_fakes.clusterset import FakeClusterset, identity
from mesh_fakes.members import Member, new_member
from mesh_fakes.waiting import until
from mesh_runtime.kube import IMPORTED_RECORDS, IMPORTED_SHARDS
from mesh_runtime.record_signing import ChainVerifier
from mesh_runtime.tls import client_context

pytestmark = pytest.mark.asyncio


def blue(imports: dict[str, list[str]]) -> dict[str, Any]:
    """The spec of a MeshPeer on the network blue (Any: a JSON object)."""
    return {"network": "blue", "import": imports}


BLUE = blue({"podCIDRs": ["10.2.0.0/16"]})


def two_members() -> tuple[Member, Member]:
    """east, and west which exports demo/hello with two endpoints."""
    clusterset = FakeClusterset()
    east = new_member("east", clusterset=clusterset)
    west = new_member("west", clusterset=clusterset)
    west.service()
    west.endpoints("10.2.0.1", "10.2.0.2")
    west.export()
    return east, west


def shards(member: Member) -> list[Shard]:
    return [seen.spec for seen in member.api.all(IMPORTED_SHARDS)]


def addresses(member: Member) -> list[str]:
    return sorted(endpoint.address for shard in shards(member) for endpoint in shard.endpoints)


def has_record(member: Member) -> bool:
    return bool(member.api.all(IMPORTED_RECORDS))


async def test_a_headless_service_is_told_with_its_endpoints_wherever_the_peer_is() -> None:
    east, west = two_members()
    west.service(clusterIP="None")
    async with east.running(), west.running():
        east.knows(west)
        await until(lambda: addresses(east) == ["10.2.0.1", "10.2.0.2"])
        (shard,) = shards(east)
        assert (shard.cluster, shard.key) == ("west", ("demo", "hello"))
        west.endpoints("10.2.0.1", "10.2.0.2", "10.2.0.3")
        await until(lambda: len(addresses(east)) == 3)
        assert [seen.shard for seen in shards(east)] == [shard.shard], "a slice keeps its shard"
        west.unexport()
        await until(lambda: not shards(east) and not has_record(east))


async def test_endpoints_of_other_services_are_told_to_neighbours_only() -> None:
    east, west = two_members()
    west.network("blue")
    async with east.running(), west.running():
        east.knows(west, spec=BLUE)
        await until(lambda: has_record(east))
        assert not shards(east)
        east.network("blue")
        await until(lambda: addresses(east) == ["10.2.0.1", "10.2.0.2"])
        east.network("green")
        await until(lambda: not shards(east))
        assert has_record(east)


async def test_without_podcidrs_no_address_of_a_neighbour_is_believed() -> None:
    east, west = two_members()
    for member in (east, west):
        member.network("blue")
    async with east.running(), west.running():
        east.knows(west, spec={"network": "blue"})

        def accepted() -> tuple[str, str]:
            condition = east.peer_condition("west", "RecordsAccepted")
            return (condition.status, condition.message) if condition is not None else ("", "")

        await until(lambda: accepted()[0] == "False")
        assert "set spec.import.podCIDRs of MeshPeer west" in accepted()[1]
        assert has_record(east)
        assert not shards(east)
        east.knows(west, spec=BLUE)
        await until(lambda: addresses(east) == ["10.2.0.1", "10.2.0.2"])
        await until(lambda: accepted()[0] == "True")
        east.knows(west, spec=blue({"podCIDRs": ["10.3.0.0/16"]}))
        await until(lambda: not shards(east))
        await until(lambda: accepted()[0] == "False")


async def test_what_is_not_taken_any_more_goes_though_the_peer_is_away() -> None:
    east, west = two_members()
    for member in (east, west):
        member.network("blue")
    async with east.running():
        async with west.running():
            east.knows(west, spec=BLUE)
            await until(lambda: len(addresses(east)) == 2)
    east.knows(west, port=1, spec=blue({"podCIDRs": ["10.3.0.0/16"]}))
    async with east.running():
        await until(lambda: not shards(east))
        assert has_record(east)
        east.knows(west, port=1, spec=blue({"namespaces": ["other"]}))
        await until(lambda: not has_record(east))


async def shown_by(member: Member) -> tuple[str, ...]:
    """The chain of the signer that the controller of `member` shows to a peer."""
    clusterset = member.clusterset
    context = client_context(
        clusterset.credentials("north", Component.CONTROLLER), roots=clusterset.roots, alpn=(ALPN_PEER,)
    )
    stream = PeerStream(
        *await asyncio.open_connection(
            "127.0.0.1", member.port, ssl=context, server_hostname="peer.west.clusterset.internal"
        )
    )
    await stream.send((Hello(version=1, cluster="north"), Watch(epoch="", revision=0)))
    while True:
        for message in await stream.receive():
            if isinstance(message, Signer):
                await stream.close()
                return message.chain


async def test_what_is_stored_can_be_checked_again_by_its_signature() -> None:
    east, west = two_members()
    west.service(clusterIP="None")
    async with east.running(), west.running():
        east.knows(west)
        await until(lambda: len(addresses(east)) == 2 and has_record(east))
        west_controller = identity("west", Component.CONTROLLER)
        believed = west.clusterset.membership("east")
        verifier = ChainVerifier(
            expected=west_controller, beliefs=lambda: believed, clock=lambda: datetime.now(UTC)
        )
        assert verifier.adopt(await shown_by(west)) == ""
        (record,), (shard,) = east.api.all(IMPORTED_RECORDS), east.api.all(IMPORTED_SHARDS)
        for notes, spec in (
            (record.metadata.annotations, record.spec),
            (shard.metadata.annotations, shard.spec),
        ):
            assert notes["meshctl.dev/signed-by"] == verifier.leaf
            assert verifier.holds(bytes(record_bytes(spec)), signature=notes["meshctl.dev/signature"])
        before = shard.metadata.annotations
        west.endpoints("10.2.0.7")
        await until(lambda: addresses(east) == ["10.2.0.7"])
        (shard,) = east.api.all(IMPORTED_SHARDS)
        assert shard.metadata.annotations["meshctl.dev/signature"] != before["meshctl.dev/signature"]


async def test_a_service_that_becomes_headless_is_told_with_its_endpoints_from_then_on() -> None:
    east, west = two_members()
    west.network("green")
    async with east.running(), west.running():
        east.knows(west)
        await until(lambda: has_record(east))
        assert not shards(east)
        west.service(clusterIP="None")
        await until(lambda: len(addresses(east)) == 2)
        west.service(clusterIP="10.99.0.9")
        await until(lambda: not shards(east))
