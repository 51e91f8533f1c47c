"""Candidates and witnesses on API servers in memory."""

from datetime import datetime

from mesh_fakes.under_way import under_way
from mesh_placement.decide.hub_copy import Index, key_of
from mesh_placement.hub.caches import HubCaches
from mesh_placement.hub.floating.copier import Copier
from mesh_placement.hub.floating.newest import newest_copy
from mesh_placement.hub.floating.seal import KEY_BYTES, Seal
from mesh_placement.hub.floating.store import CopyStore
from mesh_placement.hub.floating.taking import TakingOver
from mesh_placement.hub.placing.caches import PlacementCaches
from mesh_placement.hub.placing.cycle import Scheduling
from mesh_placement.schedule.plan import Plan
from mesh_placement.schedule.replay import digest
from mesh_placement.schedule.snapshotting import Seen, snapshot_of, text_of
from mesh_runtime.kube import KubeClient

SEAL = Seal(bytes(range(KEY_BYTES)))


def stores_of(clients: dict[str, KubeClient], *, seal: Seal = SEAL) -> list[CopyStore]:
    """The copies that these witnesses keep."""
    return [CopyStore(name, kube, seal) for name, kube in clients.items()]


async def copied(kube: KubeClient, stores: list[CopyStore], *, term: int, before: Index | None = None) -> int:
    """Copy what a hub has once, as the leader of that term; how many witnesses have it."""
    return await Copier(kube, stores, SEAL, term, before=before).flush()


async def taken_over(kube: KubeClient, stores: list[CopyStore]) -> Index:
    """Make `kube` a hub out of the newest copy."""
    found = await newest_copy(stores, held=[one.witness for one in stores])
    assert found is not None
    index, objects = found
    await TakingOver(kube, people=kube).run(objects, gone=index.gone)
    assert {key_of(one) for one in objects}
    return index


async def decision_digest(kube: KubeClient, *, scheduling: Scheduling, now: datetime) -> str:
    """Of what `decided` gives."""
    return digest(await decided(kube, scheduling=scheduling, now=now))


async def decided(kube: KubeClient, *, scheduling: Scheduling, now: datetime) -> Plan:
    """What a leader that begins at `now` decides, of what that API server has."""
    hub = HubCaches(kube)
    caches = PlacementCaches(kube, hub=hub)
    async with under_way(hub.run(), caches.run()):
        await hub.until_synced()
        await caches.until_synced()
        placements = list(caches.placements.values())
        seen = Seen(
            sets=list(hub.sets.values()),
            clusters=caches.rows(),
            namespaces=list(caches.namespaces.values()),
            placements=placements,
            assignments=list(caches.assignments.values()),
            priorities={one.metadata.name: one.value for one in caches.priorities.values()},
            demands={text_of(one): scheduling.demand_of(one, (caches.rules,)) for one in placements},
        )
    return scheduling.schedule(snapshot_of(seen, now=now))
