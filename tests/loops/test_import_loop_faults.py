"""The import loop over an API server that misbehaves: nothing is deleted or emptied that should stand."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest

from mesh_controller.act import Writer
from mesh_controller.caches import Caches
from mesh_controller.import_loop import ImportLoop
from mesh_controller.look import Look
from mesh_controller.port_book import PortBook
from mesh_core.names import (
    EGRESS_PORTS,
    LABEL_SERVICE_NAME,
    RESTING_PORTS_CONFIG_MAP,
    SYSTEM_NAMESPACE,
)
from mesh_core.objects import ImportedRecord
from mesh_core.peer_view import Absence, Wanted
from mesh_core.record_plan import plan_imported
from mesh_fakes.clusterset import FakeClusterset
from mesh_fakes.exports import record
from mesh_fakes.http_member import Fault, HttpMember, http_client
from mesh_fakes.members import Member, new_member
from mesh_fakes.under_way import under_way
from mesh_fakes.waiting import until
from mesh_runtime.kube import CONFIG_MAPS, ENDPOINT_SLICES, IMPORTED_RECORDS

pytestmark = pytest.mark.asyncio

CLUSTERSET = FakeClusterset()


@dataclass(slots=True)
class Scene:
    """The cluster east with its import loop, which imports demo/hello from west and exports it itself."""

    east: Member
    http: HttpMember
    loop: ImportLoop

    def imports(self, cluster: str = "west", *, ready: int = 2) -> None:
        """The peer loop has stored what `cluster` exports."""
        exported = record(cluster)
        (port,) = exported.ports
        changed = record(cluster, type(port)(port=port.port, name=port.name, ready=ready))
        self.east.api.write(plan_imported(self.stored(cluster), standing=Wanted(changed)))

    def forgets(self, cluster: str = "west") -> None:
        """The peer loop has seen the unexport."""
        self.east.api.write(plan_imported(self.stored(cluster), standing=Absence.GONE))

    def stored(self, cluster: str) -> ImportedRecord | None:
        return self.east.api.find(IMPORTED_RECORDS, f"{cluster}.demo.hello", namespace=SYSTEM_NAMESPACE)

    @property
    def stands(self) -> bool:
        """Whether the import is complete."""
        seen = self.east.imported()
        own, remote = self.east.slices("east"), self.east.slices("west")
        return bool(seen is not None and seen.spec.ips and own and remote)

    def picture(self) -> dict[str, str]:
        """What the import consists of."""
        return {
            key: version
            for key, version in self.east.api.versions().items()
            if "/demo/" in key and "abcde" not in key
        }


@asynccontextmanager
async def scene() -> AsyncIterator[Scene]:
    """The scene, settled."""
    east = new_member("east", clusterset=CLUSTERSET)
    east.service()
    east.endpoints("10.2.0.1", "10.2.0.2")
    east.export()
    http = HttpMember(east.api)
    async with http_client(http) as kube:
        caches = Caches(kube)
        look = Look(caches, cluster="east")
        book = PortBook(
            kube,
            caches=caches,
            cluster="east",
            clock=lambda: datetime.now(UTC),
            contested=lambda key: loop.loop.add(key),
        )
        writer = Writer(kube, rest=book.rest)
        loop = ImportLoop(caches=caches, look=look, writer=writer, book=book, clock=lambda: datetime.now(UTC))
        found = Scene(east, http, loop)
        found.imports()
        async with under_way(caches.run()):
            await caches.until_synced()
            async with under_way(loop.loop.run()):
                await until(lambda: found.stands)
                await quiet(found)
                yield found


async def quiet(found: Scene) -> None:
    """Until nothing has been written for a while."""
    requests = found.east.api.requests
    async with asyncio.timeout(10):
        seen = -1
        while seen != len(requests):
            seen = len(requests)
            for _ in range(20):
                await asyncio.sleep(0.01)


async def test_dropped_watches_change_nothing() -> None:
    async with scene() as found:
        before = found.picture()
        for _ in range(3):
            found.east.api.break_watches()
            await quiet(found)
        assert found.picture() == before
        found.imports(ready=7)
        await until(lambda: "7" in str(found.east.slices("west")[0].metadata.annotations))


async def test_a_version_that_is_too_old_leads_to_a_new_list_and_changes_nothing() -> None:
    async with scene() as found:
        before = found.picture()
        plurals = ("endpointslices", "services", "importedrecords", "namespaces", "serviceimports")
        found.http.faults += [Fault("WATCH", plural, 410, "Expired") for plural in plurals]
        lists = found.http.asked.count(("GET", "endpointslices"))
        found.east.api.break_watches()
        await until(lambda: found.http.asked.count(("GET", "endpointslices")) > lists, limit=90)
        await quiet(found)
        assert found.picture() == before


async def test_lists_that_are_refused_or_slow_are_not_taken_for_empty_ones() -> None:
    async with scene() as found:
        before = found.picture()
        for plural in ("endpointslices", "importedrecords", "serviceexports"):
            found.http.faults += [
                Fault("WATCH", plural, 410, "Expired"),
                Fault("GET", plural, 429, "TooManyRequests", retry_after="1"),
                Fault("GET", plural, 500, "InternalError"),
                Fault("GET", plural, delay=0.3),
            ]
        found.east.api.break_watches()
        await until(lambda: not found.http.faults, limit=90)
        await quiet(found)
        assert found.picture() == before


@pytest.mark.parametrize("status", [409, 429, 500, 503])
async def test_a_write_that_is_refused_is_made_again_from_a_new_look(status: int) -> None:
    async with scene() as found:
        found.http.faults += [Fault("PATCH", "endpointslices", status, "Refused", times=2)]
        found.imports(ready=7)
        await until(lambda: "7" in str(found.east.slices("west")[0].metadata.annotations))
        assert found.east.slices("west")[0].endpoints
        assert not [request for request in found.east.api.requests if request[1] == "DELETE"]


async def test_an_import_that_is_refused_halfway_is_finished() -> None:
    async with scene() as found:
        found.forgets()
        found.east.unexport()
        await until(lambda: found.east.imported() is None)
        found.http.faults += [
            Fault("POST", "serviceimports", 503, "ServiceUnavailable"),
            Fault("POST", "services", 429, "TooManyRequests", retry_after="1"),
            Fault("POST", "endpointslices", 409, "AlreadyExists"),
            Fault("PATCH", "serviceimports", 500, "InternalError"),
        ]
        found.east.export()
        found.imports()
        await until(lambda: found.stands and not found.http.faults, limit=90)


async def test_slow_writes_of_two_looks_do_not_overlap() -> None:
    async with scene() as found:
        found.http.faults += [Fault("PATCH", "endpointslices", delay=0.2, times=2)]
        for ready in (3, 4, 5):
            found.imports(ready=ready)
            await asyncio.sleep(0.02)
        await until(lambda: "5" in str(found.east.slices("west")[0].metadata.annotations))


async def test_a_note_about_ports_that_somebody_else_wrote_meanwhile_is_not_lost() -> None:
    async with scene() as found:
        name, namespace = RESTING_PORTS_CONFIG_MAP, SYSTEM_NAMESPACE
        other = "4000000000.000 0123456789abcdef"
        body = {"metadata": {"namespace": namespace, "name": name}, "data": {"16999": other}}
        found.east.api.put(CONFIG_MAPS, body)
        found.forgets()
        await until(lambda: not found.east.slices("west"))
        notes = found.east.api.find(CONFIG_MAPS, name, namespace=namespace)
        assert notes is not None
        assert notes.data["16999"] == other
        assert len(notes.data) == 2


async def test_a_port_is_noted_before_its_slice_goes() -> None:
    async with scene() as found:
        found.http.faults += [Fault("PATCH", "configmaps", 503, "ServiceUnavailable", times=2)]
        found.forgets()
        await until(lambda: not found.east.slices("west"))
        order = [f"{method} {path}" for _, method, path in found.east.api.requests]
        deleted = next(n for n, text in enumerate(order) if text.startswith("DELETE /apis/discovery"))
        assert any(text.startswith("PATCH /api/v1/configmaps") for text in order[:deleted])


async def test_deleted_notes_about_ports_are_made_anew() -> None:
    async with scene() as found:
        found.east.api.remove(CONFIG_MAPS, RESTING_PORTS_CONFIG_MAP, namespace=SYSTEM_NAMESPACE)
        found.forgets()
        await until(lambda: not found.east.slices("west"))
        notes = found.east.api.find(CONFIG_MAPS, RESTING_PORTS_CONFIG_MAP, namespace=SYSTEM_NAMESPACE)
        assert notes is not None and notes.data


async def test_a_slice_that_somebody_deletes_comes_back_with_its_port() -> None:
    async with scene() as found:
        (before,) = found.east.slices("west")
        found.east.api.remove(ENDPOINT_SLICES, before.metadata.name, namespace="demo")
        await until(lambda: bool(found.east.slices("west")))
        (after,) = found.east.slices("west")
        assert after.metadata.uid != before.metadata.uid
        assert after.ports == before.ports


async def test_of_two_claims_on_a_port_the_newer_one_is_moved() -> None:
    async with scene() as found:
        (ours,) = found.east.slices("west")
        port = (ours.ports or ())[0].port
        # As if another leader, frozen for an hour, had written it long before.
        labels = {**ours.metadata.labels, LABEL_SERVICE_NAME: "older"}
        notes = ours.metadata.annotations
        meta = {"namespace": "demo", "name": "older.west.ipv4", "labels": labels, "annotations": notes}
        body = {"metadata": meta, "addressType": "IPv4", "endpoints": []}
        ports = [{"name": "http", "port": port, "protocol": "TCP"}]
        found.east.api.clock = lambda: datetime(2020, 1, 1, tzinfo=UTC)
        found.east.api.put(ENDPOINT_SLICES, {**body, "ports": ports})
        await until(lambda: (found.east.slices("west")[0].ports or ())[0].port != port)
        await quiet(found)
        moved = (found.east.slices("west")[0].ports or ())[0].port
        assert moved in EGRESS_PORTS
        assert found.stands
