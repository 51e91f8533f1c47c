"""A member that leaves: its peers drop what is its, and know that it will not come back by itself."""

import pytest

from mesh_core.names import ANNOTATION_LEAVING, TRUST_BUNDLE
from mesh_core.plan import as_json
from mesh_fakes.clusterset import FakeClusterset
from mesh_fakes.members import Member, new_member
from mesh_fakes.waiting import until
from mesh_runtime.kube import IMPORTED_RECORDS, TRUST_BUNDLES

pytestmark = pytest.mark.asyncio

SINCE = "2026-03-01T11:59:00Z"


def pair() -> tuple[Member, Member]:
    """east, and west which exports a Service that east exports as well, and one that is its own."""
    clusterset = FakeClusterset()
    east, west = (new_member(name, clusterset=clusterset) for name in ("east", "west"))
    for member, names in ((east, ("both",)), (west, ("both", "sole"))):
        for name in names:
            member.service(name)
            member.endpoints(f"10.{len(name)}.0.1", name=name)
            member.export(name)
    return east, west


def leave(member: Member, *, since: str | None) -> None:
    """What `meshctl leave` writes first; None takes it back."""
    metadata = {"name": TRUST_BUNDLE, "annotations": {ANNOTATION_LEAVING: since}}
    member.api.put(TRUST_BUNDLES, {"metadata": metadata})


def reason(member: Member, peer: str) -> str:
    condition = member.connected(peer)
    return condition.reason if condition is not None else ""


def sources(member: Member, name: str) -> set[str]:
    """The clusters whose endpoints stand behind an import."""
    return {one for one in ("east", "west") if member.slices(one, name=name)}


async def test_a_member_that_leaves_is_dropped_by_its_peers_acknowledged_and_shown_as_gone() -> None:
    east, west = pair()
    async with east.running(), west.running():
        east.knows(west)
        west.knows(east)
        await until(lambda: sources(east, "both") == {"east", "west"} and sources(east, "sole") == {"west"})
        await until(lambda: sources(west, "both") == {"east", "west"})
        leave(west, since=SINCE)
        await until(lambda: east.imported("sole") is None and sources(east, "both") == {"east"})
        await until(lambda: reason(east, "west") == "Left")
        shown = east.connected("west")
        assert shown is not None
        assert shown.message == f"west has left the clusterset on {SINCE}; delete MeshPeer west"
        assert not east.api.all(IMPORTED_RECORDS)

        def acknowledged() -> bool:
            found = west.peer_condition("east", "Withdrawn")
            return found is not None and found.status == "True" and SINCE in found.message

        await until(acknowledged)
        # It still imports, its own Services and those of others: that goes with its MeshPeers.
        assert sources(west, "both") == {"east", "west"}
        assert sources(west, "sole") == {"west"}


async def test_a_member_that_exports_nothing_is_acknowledged_too() -> None:
    east, west = pair()
    for name in ("both", "sole"):
        west.unexport(name)
    async with east.running(), west.running():
        east.knows(west)
        west.knows(east)
        await until(lambda: reason(east, "west") == "Synced")
        leave(west, since=SINCE)
        await until(lambda: west.peer_condition("east", "Withdrawn") is not None)


async def test_that_a_peer_left_outlives_the_peer_and_a_restart_here_and_its_records_go_then_too() -> None:
    east, west = pair()
    async with east.running():
        async with west.running():
            east.knows(west)
            await until(lambda: sources(east, "sole") == {"west"})
            stored = [one for one in east.api.all(IMPORTED_RECORDS) if one.spec.name == "sole"]
            leave(west, since=SINCE)
            await until(lambda: reason(east, "west") == "Left")
    # A record that a controller that died in between had not taken away yet.
    record = stored[0]
    meta = {
        "namespace": record.metadata.namespace,
        "name": record.metadata.name,
        "labels": record.metadata.labels,
    }
    east.api.put(IMPORTED_RECORDS, {"metadata": meta, "spec": as_json(record.spec)})
    async with east.running():
        await until(lambda: not east.api.all(IMPORTED_RECORDS))
        assert reason(east, "west") == "Left"


async def test_a_member_that_stays_after_all_is_back_as_it_was() -> None:
    east, west = pair()
    async with east.running(), west.running():
        east.knows(west)
        west.knows(east)
        await until(lambda: sources(east, "sole") == {"west"})
        leave(west, since=SINCE)
        await until(lambda: reason(east, "west") == "Left")
        await until(lambda: west.peer_condition("east", "Withdrawn") is not None)
        leave(west, since=None)
        await until(lambda: west.peer_condition("east", "Withdrawn") is None)
        await until(lambda: sources(east, "sole") == {"west"} and reason(east, "west") == "Synced")
