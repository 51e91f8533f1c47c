"""An import that had no room for its stand-ins gets it when another import makes some."""

import pytest
from msgspec import structs

from mesh_controller.caches import Caches
from mesh_core.names import SYSTEM_NAMESPACE
from mesh_core.peer_view import Absence, Wanted
from mesh_core.record import ExportRecord, RecordPort, Shard, ShardEndpoint, ShardPort
from mesh_core.record_plan import plan_imported, stored_name
from mesh_core.stand_ins import stand_in_of
from mesh_fakes.clusterset import FakeClusterset
from mesh_fakes.exports import NOW, headless, shard
from mesh_fakes.import_loops import import_loop
from mesh_fakes.members import Member, new_member
from mesh_fakes.under_way import under_way
from mesh_fakes.waiting import until
from mesh_runtime.kube import IMPORTED_RECORDS, IMPORTED_SHARDS, MESH_PEERS, SERVICES

pytestmark = pytest.mark.asyncio


def said_of(name: str) -> tuple[ExportRecord, Shard]:
    """What west says of a headless Service with one pod."""
    told = headless("west", RecordPort(port=80, name="http", ready=1))
    pods = shard(
        "west", ShardEndpoint(address="10.9.0.1", hostname="db-0"), ports=(ShardPort(port=8080, name="http"),)
    )
    return structs.replace(told, name=name), structs.replace(pods, name=name)


def hears(east: Member, name: str, *, is_gone: bool = False) -> None:
    told, pods = said_of(name)
    record = east.api.find(IMPORTED_RECORDS, stored_name(told), namespace=SYSTEM_NAMESPACE)
    east.api.write(plan_imported(record, standing=Absence.GONE if is_gone else Wanted(told)))
    held = east.api.find(IMPORTED_SHARDS, stored_name(pods), namespace=SYSTEM_NAMESPACE)
    east.api.write(plan_imported(held, standing=Absence.GONE if is_gone else Wanted(pods)))


def with_stand_ins(east: Member) -> list[str]:
    return sorted(found[1] for it in east.api.all(SERVICES) if (found := stand_in_of(it)) is not None)


def lacks_room(east: Member, name: str) -> bool:
    found = east.imported(name)
    return found is not None and any("no stand-in" in it.message for it in found.status.conditions)


async def test_an_import_without_room_is_asked_for_when_another_one_of_its_cluster_frees_some() -> None:
    """Only a restart or a change of its own repaired it."""
    east = new_member("east", clusterset=FakeClusterset())
    limits = {"import": {"limits": {"standIns": 1}}}
    east.api.put(MESH_PEERS, {"metadata": {"name": "west"}, "spec": {"gateways": [], **limits}})
    kube = east.api.client()
    caches = Caches(kube)
    loop = import_loop(kube, caches=caches, cluster="east", clock=lambda: NOW)
    async with under_way(caches.run()):
        await caches.until_synced()
        async with under_way(loop.loop.run()):
            hears(east, "first")
            await until(lambda: with_stand_ins(east) == ["first"])
            hears(east, "second")
            await until(lambda: lacks_room(east, "second"))
            assert with_stand_ins(east) == ["first"]
            hears(east, "first", is_gone=True)
            await until(lambda: with_stand_ins(east) == ["second"] and not lacks_room(east, "second"))
