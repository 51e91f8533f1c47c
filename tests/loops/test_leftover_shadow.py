"""What the import loop makes of a shadow Service that an interrupted plan left and no ServiceImport names.

Each look is that of a controller that has just begun: nothing but what stands in the cluster tells of it.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest

from mesh_controller.caches import Caches
from mesh_core.names import SYSTEM_NAMESPACE, shadow_service_name
from mesh_core.objects import Service
from mesh_core.peer_view import Absence, Wanted
from mesh_core.record import ExportRecord
from mesh_core.record_plan import plan_imported
from mesh_core.stand_ins import KEPT
from mesh_fakes.clusterset import FakeClusterset
from mesh_fakes.exports import headless, record
from mesh_fakes.http_member import Fault, HttpMember, http_client
from mesh_fakes.import_loops import import_loop
from mesh_fakes.members import Member, new_member
from mesh_fakes.under_way import under_way
from mesh_runtime.kube import IMPORTED_RECORDS, SERVICES, ApiError

pytestmark = pytest.mark.asyncio

CLUSTERSET = FakeClusterset()


@dataclass(slots=True)
class Scene:
    """The cluster east, which imports demo/hello from west."""

    east: Member = field(default_factory=lambda: new_member("east", clusterset=CLUSTERSET))
    faults: list[Fault] = field(default_factory=list)
    now: datetime = field(default_factory=lambda: datetime.now(UTC).replace(microsecond=0))

    @property
    def shadow(self) -> Service | None:
        name = shadow_service_name(namespace="demo", name="hello")
        return self.east.api.find(SERVICES, name, namespace="demo")

    def hears(self, told: ExportRecord | None) -> None:
        """The peer loop has stored what west exports."""
        stored = self.east.api.find(IMPORTED_RECORDS, "west.demo.hello", namespace=SYSTEM_NAMESPACE)
        standing = Wanted(told) if told is not None else Absence.GONE
        self.east.api.write(plan_imported(stored, standing=standing))

    async def look(self) -> float | None:
        """A controller begins, and looks once at what it knows of; seconds until its next look."""
        async with http_client(HttpMember(self.east.api, self.faults)) as kube:
            caches = Caches(kube)
            loop = import_loop(kube, caches=caches, cluster="east", clock=lambda: self.now)
            async with under_way(caches.run()):
                await caches.until_synced()
                assert caches.names() == {("demo", "hello")}
                return await loop.reconcile(("demo", "hello"))


async def interrupted() -> Scene:
    """The shadow Service was made, and then the API server was overloaded."""
    scene = Scene()
    scene.hears(record("west"))
    scene.faults.append(Fault("POST", "serviceimports", 503, "ServiceUnavailable", times=100))
    with pytest.raises(ApiError):
        await scene.look()
    scene.faults.clear()
    assert scene.shadow is not None
    assert scene.east.imported() is None
    return scene


async def test_it_goes_in_its_time_when_the_import_turned_headless() -> None:
    scene = await interrupted()
    scene.hears(headless("west"))
    assert await scene.look() == KEPT.total_seconds()
    assert scene.shadow is not None
    scene.now += KEPT
    await scene.look()
    assert scene.shadow is None
    assert scene.east.imported() is not None


async def test_it_goes_at_once_when_the_export_is_gone() -> None:
    scene = await interrupted()
    scene.hears(None)
    assert await scene.look() is None
    assert scene.shadow is None


async def test_its_ips_are_those_of_the_import_when_the_writes_succeed_again() -> None:
    scene = await interrupted()
    made = scene.shadow
    await scene.look()
    seen = scene.east.imported()
    assert made is not None
    assert seen is not None
    assert seen.spec.ips == made.spec.cluster_ips
