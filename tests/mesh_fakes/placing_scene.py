"""A hub that places, on an API server in memory: clusters are rows, members answer when a test lets them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from mesh_fakes.api_server import FakeApiServer
from mesh_fakes.jumping_clock import JumpingClock
from mesh_fakes.tiny_scheduler import TINY
from mesh_fakes.under_way import under_way
from mesh_fakes.waiting import until_found
from mesh_placement.hub.caches import HubCaches
from mesh_placement.hub.placing.caches import PlacementCaches
from mesh_placement.hub.placing.cycle import Scheduling
from mesh_placement.hub.placing.loop import PlacementLoop
from mesh_placement.names import CAPACITY, LABEL_PLACEMENT, placed_name
from mesh_placement.objects import Assignment, Placement, Work
from mesh_placement.resources import (
    ASSIGNMENTS,
    CLUSTER_CAPACITIES,
    CLUSTER_REGISTRATIONS,
    CLUSTER_SETS,
    PLACEMENTS,
    WORKS,
)
from mesh_runtime.kube import KubeClient

HUB_USER = "hub"
NAMESPACE = "shop"

# Any: JSON.
Json = dict[str, Any]


def config_map(name: str = "settings", **data: str) -> Json:
    """A manifest."""
    meta = {"name": name, "namespace": NAMESPACE}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": data}


@dataclass(slots=True)
class PlacingScene:
    """What a test does there."""

    api: FakeApiServer
    clock: JumpingClock
    admin: KubeClient

    async def cluster(
        self, name: str, *, phase: str = "Ready", cluster_set: str = "prod", **properties: str
    ) -> None:
        """Make a registered cluster, or change it."""
        listed = [{"name": key, "value": value} for key, value in sorted(properties.items())]
        body = {
            "metadata": {"name": name},
            "spec": {"clusterSet": cluster_set, "accepted": True},
            "status": {
                "phase": phase,
                "namespace": f"cluster-{name}",
                "agent": {"kubernetes": "v1.34.0", "apis": ["v1", "apps/v1"], "properties": listed},
            },
        }
        await self.admin.apply(CLUSTER_REGISTRATIONS, body, field_manager="test")
        await self.roomy(name, {"cpu": "16", "memory": "64Gi", "pods": "100"})

    async def roomy(self, name: str, room: dict[str, str]) -> None:
        """The cluster has one node with that much, all of it free."""
        status = {
            **dict.fromkeys(("total", "available", "continuous"), room),
            "shapes": [{"count": 1, "free": room}],
            "nodes": 1,
        }
        meta = {"name": CAPACITY, "namespace": f"cluster-{name}"}
        await self.admin.apply(CLUSTER_CAPACITIES, {"metadata": meta, "status": status}, field_manager="test")

    async def let_go(self, name: str) -> None:
        """The member gives back what it had of Works: whoever delivers takes its finalizer off."""

        async def has_none() -> bool:
            here = [
                one
                for one in (await self.admin.list(WORKS)).items
                if one.metadata.namespace == f"cluster-{name}"
            ]
            for one in here:
                meta = one.metadata
                if meta.deletion_timestamp is not None:
                    change = {"metadata": {"finalizers": None}}
                    await self.admin.merge_patch(WORKS, meta.name, change, namespace=meta.namespace)
            return not here

        await until_found(has_none)

    async def leaves(self, name: str) -> None:
        """The cluster is taken out; its registration waits for somebody."""
        held = {"metadata": {"finalizers": ["somebody.example/waits"]}}
        await self.admin.merge_patch(CLUSTER_REGISTRATIONS, name, held)
        await self.admin.delete(CLUSTER_REGISTRATIONS, name)

    async def place(self, name: str = "app", **spec: Any) -> None:
        """Make a Placement, or write its spec anew."""
        there = await self.admin.find(PLACEMENTS, name, namespace=NAMESPACE)
        meta = {"name": name, "namespace": NAMESPACE, "generation": 1}
        whole = {"clusterSets": ["prod"], "manifests": [config_map(a="1")], **spec}
        if there is None:
            await self.admin.create(PLACEMENTS, {"metadata": meta, "spec": whole})
        else:
            grown = {"metadata": {"generation": there.metadata.generation + 1}, "spec": whole}
            await self.admin.merge_patch(PLACEMENTS, name, grown, namespace=NAMESPACE)

    async def placement(self, name: str = "app") -> Placement:
        """As it is."""
        return await self.admin.get(PLACEMENTS, name, namespace=NAMESPACE)

    async def decided(self, name: str = "app", *, revision: int) -> Placement:
        """Once it has that revision."""

        async def is_decided() -> bool:
            return (await self.placement(name)).status.revision >= revision

        await until_found(is_decided)
        return await self.placement(name)

    async def assignments(self, name: str = "app") -> dict[str, Assignment]:
        """Of that Placement, by namespace."""
        label = f"{LABEL_PLACEMENT}={placed_name(NAMESPACE, name=name)}"
        page = await self.admin.list(ASSIGNMENTS, labels=label)
        return {one.metadata.namespace: one for one in page.items}

    async def works(self, name: str = "app") -> list[Work]:
        """Of that Placement, by namespace and name."""
        label = f"{LABEL_PLACEMENT}={placed_name(NAMESPACE, name=name)}"
        return sorted((await self.admin.list(WORKS, labels=label)).items, key=lambda one: one.key)

    async def report(
        self, cluster: str, *, name: str = "app", ready: int = 0, health: str = "Healthy", verified: str = ""
    ) -> None:
        """The member says that it has what it was given; `verified` whether what it calls was reached."""
        called, namespace = placed_name(NAMESPACE, name=name), f"cluster-{cluster}"
        given = await self.admin.get(ASSIGNMENTS, called, namespace=namespace)
        status: Json = {
            "applied": given.spec.revision,
            "replicas": {"desired": ready, "ready": ready},
            "health": health,
            "trafficVerified": verified,
        }
        if verified:
            told = {
                "type": "TrafficVerified",
                "status": verified,
                "reason": "Tried",
                "message": "as it was tried",
            }
            status["conditions"] = [told | {"lastTransitionTime": "2026-01-01T00:00:00Z"}]
        await self.admin.merge_patch(
            ASSIGNMENTS, called, {"status": status}, namespace=namespace, subresource="status"
        )

    @asynccontextmanager
    async def placing(self, scheduling: Scheduling = TINY) -> AsyncIterator[None]:
        """A hub that leads while the block runs; start another one for a restart."""
        kube = self.api.client(HUB_USER)
        hub = HubCaches(kube)
        caches = PlacementCaches(kube, hub=hub)
        loop = PlacementLoop(kube, caches=caches, scheduling=scheduling, clock=self.clock)
        async with under_way(hub.run(), caches.run()):
            await hub.until_synced()
            await caches.until_synced()
            async with under_way(loop.run()):
                yield


@asynccontextmanager
async def placing_scene() -> AsyncIterator[PlacingScene]:
    """The API server with a ClusterSet; no hub runs yet."""
    clock = JumpingClock(ago=timedelta())
    api = FakeApiServer(clock=clock)
    admin = api.client()
    await admin.create(CLUSTER_SETS, {"metadata": {"name": "prod"}, "spec": {}})
    yield PlacingScene(api, clock, admin)
