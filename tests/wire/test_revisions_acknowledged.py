"""What the Lease of a peer says was taken in: the revision of a whole list, never that a socket is open."""

import pytest

from mesh_core.contact_lease import Acknowledged, acknowledged_of
from mesh_core.names import SYSTEM_NAMESPACE
from mesh_core.objects import Lease
from mesh_core.peer_log import ListDigest
from mesh_fakes.clusterset import FakeClusterset
from mesh_fakes.members import Member
from mesh_fakes.raw_peer import Json
from mesh_fakes.waiting import until
from mesh_fakes.west_by_hand import dialling, hello, west
from mesh_runtime.kube import LEASES

pytestmark = pytest.mark.asyncio

HEARTBEAT: Json = {"type": "heartbeat"}


def lease(east: Member) -> Lease | None:
    return east.api.find(LEASES, "peer-west", namespace=SYSTEM_NAMESPACE)


def acknowledged(east: Member) -> Acknowledged | None:
    found = lease(east)
    return acknowledged_of(found) if found is not None else None


async def test_a_peer_that_is_heard_and_never_ends_its_list_has_nothing_acknowledged() -> None:
    clusterset = FakeClusterset()
    statement = clusterset.statement(1, roster=clusterset.roster("east", "west"))
    async with (
        west(clusterset, hello(), HEARTBEAT, HEARTBEAT) as server,
        dialling(clusterset, statement=statement, server=server) as east,
    ):
        await until(lambda: "ack" in server.kinds, limit=20)
        await until(lambda: lease(east) is not None, limit=20)
        assert acknowledged(east) is None
        found = east.connected("west")
        assert found is None or found.status != "True"


async def test_the_revision_of_a_whole_list_is_acknowledged_and_shown_at_once() -> None:
    clusterset = FakeClusterset()
    statement = clusterset.statement(1, roster=clusterset.roster("east", "west"))
    empty = ListDigest().text()
    synced = {"type": "synced", "epoch": "e", "revision": 7, "complete": True, "count": 0, "hash": empty}
    async with (
        west(clusterset, hello(), synced) as server,
        dialling(clusterset, statement=statement, server=server) as east,
    ):
        await until(lambda: acknowledged(east) is not None, limit=20)
        found = acknowledged(east)
        assert found is not None and found.revision == 7
