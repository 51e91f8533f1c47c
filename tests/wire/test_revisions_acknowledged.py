"""What the Lease of a peer says was taken in: the revision of a whole list, never that a socket is open."""

from datetime import UTC, datetime, timedelta

import pytest

from mesh_controller import caches, contact, peer_server
from mesh_core.contact_lease import Acknowledged, acknowledged_of
from mesh_core.names import SYSTEM_NAMESPACE
from mesh_core.objects import Lease
from mesh_core.peer_log import ListDigest
from mesh_fakes.clusterset import FakeClusterset
from mesh_fakes.members import Member, new_member
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
        await until(lambda: "ack" in server.kinds, limit=90)
        await until(lambda: lease(east) is not None, limit=90)
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
        await until(lambda: acknowledged(east) is not None, limit=90)
        found = acknowledged(east)
        assert found is not None and found.revision == 7


async def test_what_a_peer_tells_that_has_lost_its_api_server_is_as_old_as_it_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(contact, "EVERY", 0.1)
    clusterset = FakeClusterset()
    statement = clusterset.statement(1, roster=clusterset.roster("east", "west"))
    empty = ListDigest().text()
    synced = {"type": "synced", "epoch": "e", "revision": 7, "complete": True, "count": 0, "hash": empty}
    blind = {**HEARTBEAT, "unseen": 300}
    async with (
        west(clusterset, hello(), synced, blind, HEARTBEAT, blind) as server,
        dialling(clusterset, statement=statement, server=server) as east,
    ):
        await until(lambda: is_old(east, by=timedelta(seconds=290)), limit=90)


async def test_a_controller_that_has_lost_its_api_server_says_so_to_its_peers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(contact, "EVERY", 0.1)
    monkeypatch.setattr(peer_server, "HEARTBEAT", 0.1)
    clusterset = FakeClusterset()
    east, west = (new_member(name, clusterset=clusterset) for name in ("east", "west"))
    async with east.running(), west.running():
        east.knows(west)
        await until(lambda: acknowledged(east) is not None, limit=90)
        west.api.stop()
        assert not is_old(east, by=timedelta(minutes=1))
        monkeypatch.setattr(caches, "CURRENT_WITHIN", 1.0)
        await until(lambda: is_old(east, by=timedelta(seconds=3)), limit=90)
        found = east.connected("west")
        assert found is not None and found.status == "True"
        west.api.start()


def is_old(east: Member, *, by: timedelta) -> bool:
    """Whether what is known of the peer is from before that."""
    found = acknowledged(east)
    return found is not None and datetime.now(UTC) - found.at > by
