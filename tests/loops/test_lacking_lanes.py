"""Lanes whose ports could not be had are asked for again, though nothing else waits for them."""

from collections.abc import Iterable

import pytest

from mesh_controller.caches import Caches
from mesh_controller.port_book import PortBook, TryAgain
from mesh_core.lanes import MOST_LANES, PATIENCE
from mesh_core.names import LABEL_LANE
from mesh_core.peer_view import Wanted
from mesh_core.ports import PortTarget
from mesh_core.record import RecordPort
from mesh_core.record_plan import plan_imported
from mesh_fakes.clusterset import FakeClusterset
from mesh_fakes.exports import NOW, record
from mesh_fakes.import_loops import import_loop
from mesh_fakes.members import Member, new_member
from mesh_fakes.under_way import under_way
from mesh_runtime.kube import ENDPOINT_SLICES

pytestmark = pytest.mark.asyncio

HELLO = ("demo", "hello")


class NoLanes(PortBook):
    """The API server refuses, just when ports of further lanes are noted."""

    async def hold(self, targets: Iterable[PortTarget]) -> dict[PortTarget, int]:
        wanted = tuple(targets)
        if any(target.lane and self.claims.port_of(target) is None for target in wanted):
            raise TryAgain
        return await super().hold(wanted)


async def look(east: Member, *, book_of: type[PortBook]) -> float | None:
    """A controller begins and looks once; seconds until its next look."""
    kube = east.api.client()
    caches = Caches(kube)
    loop = import_loop(kube, caches=caches, cluster="east", clock=lambda: NOW, book_of=book_of)
    async with under_way(caches.run()):
        await caches.until_synced()
        return await loop.reconcile(HELLO)


def lanes(east: Member) -> list[str]:
    found = (piece.metadata.labels.get(LABEL_LANE) for piece in east.api.all(ENDPOINT_SLICES))
    return sorted(lane for lane in found if lane)


async def test_a_lane_that_went_while_no_port_could_be_noted_is_made_later() -> None:
    """History 6953 of the simulation: seven lanes of eight divide well enough, so nobody looked again."""
    east = new_member("east", clusterset=FakeClusterset())
    east.gateways(["10.1.0.7"])
    east.service()
    east.endpoints("10.1.0.20")
    east.export()
    told = record("west", RecordPort(port=80, name="http", ready=MOST_LANES))
    east.api.write(plan_imported(None, standing=Wanted(told)))
    assert await look(east, book_of=PortBook) is None
    whole = lanes(east)
    east.api.remove(ENDPOINT_SLICES, "hello.4.lane", namespace="demo")
    assert await look(east, book_of=NoLanes) == PATIENCE
    assert lanes(east) == [lane for lane in whole if lane != "4"]
    assert await look(east, book_of=PortBook) is None
    assert lanes(east) == whole
