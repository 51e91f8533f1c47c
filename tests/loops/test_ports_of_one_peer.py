"""A peer that has had its share of the egress ports gets no new ones, and everybody else does (ruling 11)."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

import pytest

from mesh_controller.caches import Caches
from mesh_controller.import_loop import ImportLoop
from mesh_core.names import (
    ANNOTATION_READY_ENDPOINTS,
    EGRESS_PORTS,
    LABEL_SERVICE_NAME,
    LABEL_SLICE_MANAGED_BY,
    LABEL_SOURCE_CLUSTER,
    MANAGER,
)
from mesh_core.peer_view import Wanted
from mesh_core.port_wear import MOST_OF_ONE, PeerPortsExhausted
from mesh_core.ports import REST
from mesh_core.record import ExportRecord, RecordPort
from mesh_core.record_plan import plan_imported
from mesh_fakes.clusterset import FakeClusterset
from mesh_fakes.exports import NOW, record
from mesh_fakes.import_loops import import_loop
from mesh_fakes.members import Member, new_member
from mesh_fakes.under_way import under_way
from mesh_fakes.waiting import until
from mesh_runtime.kube import ENDPOINT_SLICES

pytestmark = pytest.mark.asyncio

HELLO = ("demo", "hello")
HTTP, EVIL = RecordPort(port=80, name="http", ready=1), RecordPort(port=81, name="evil", ready=1)


@dataclass(slots=True)
class Scene:
    """East, where mallory has used up her share with other Services, at `now`."""

    east: Member
    caches: Caches
    loop: ImportLoop
    now: datetime = NOW

    async def told(self, *records: ExportRecord) -> None:
        """These exports stand in the API, and are known."""
        for one in records:
            self.east.api.write(plan_imported(None, standing=Wanted(one)))
        await until(lambda: self.caches.records_of.count(HELLO) == len(records))

    def ports(self, source: str) -> list[str]:
        """The ports by which demo/hello is reached in `source`."""
        return sorted(port.name or "" for piece in self.east.slices(source) for port in piece.ports or ())


def slice_of_hers(east: Member, number: int, *, ports: range) -> None:
    """What the import of another Service of mallory's has in east."""
    labels = {
        LABEL_SLICE_MANAGED_BY: MANAGER,
        LABEL_SERVICE_NAME: f"evil-{number}",
        LABEL_SOURCE_CLUSTER: "mallory",
    }
    metadata = {
        "namespace": "demo",
        "name": f"evil-{number}.mallory.ipv4",
        "labels": labels,
        "annotations": {ANNOTATION_READY_ENDPOINTS: "{}"},
    }
    listed = [{"name": f"p{port}", "port": port, "protocol": "TCP"} for port in ports]
    body = {"metadata": metadata, "addressType": "IPv4", "endpoints": [], "ports": listed}
    east.api.put(ENDPOINT_SLICES, body)


@asynccontextmanager
async def scene() -> AsyncIterator[Scene]:
    east = new_member("east", clusterset=FakeClusterset())
    first = EGRESS_PORTS[0]
    for number in range(MOST_OF_ONE // 64):
        slice_of_hers(east, number, ports=range(first + 64 * number, first + 64 * (number + 1)))
    kube = east.api.client()
    caches = Caches(kube)
    loop = import_loop(kube, caches=caches, cluster="east", clock=lambda: found.now)
    found = Scene(east, caches, loop)
    async with under_way(caches.run()):
        await caches.until_synced()
        yield found


async def test_what_she_alone_exports_gets_no_port_until_hers_have_rested() -> None:
    async with scene() as found:
        await found.told(record("mallory", EVIL))
        with pytest.raises(PeerPortsExhausted, match="mallory"):
            await found.loop.reconcile(HELLO)
        assert not found.ports("mallory")
        for number in range(MOST_OF_ONE // 64):
            found.east.api.remove(ENDPOINT_SLICES, f"evil-{number}.mallory.ipv4", namespace="demo")
        await until(lambda: not found.loop._book.claims.ports())
        with pytest.raises(PeerPortsExhausted, match="mallory"):
            await found.loop.reconcile(HELLO)
        found.now += timedelta(seconds=REST)
        await found.loop.reconcile(HELLO)
        assert found.ports("mallory") == ["evil"]


async def test_what_others_export_gets_its_ports_also_where_she_exports_it_too() -> None:
    async with scene() as found:
        await found.told(record("west", HTTP), record("mallory", HTTP, EVIL, created="2026-02-02T00:00:00Z"))
        with pytest.raises(PeerPortsExhausted, match="mallory"):
            await found.loop.reconcile(HELLO)
        assert found.ports("west") == ["http"]
        assert found.ports("mallory") == ["http"]
