"""Which imports are asked for when something changes that is none of their own objects."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from mesh_controller.caches import Caches, ServiceKey
from mesh_core.names import (
    ANNOTATION_GONE_SINCE,
    GATEWAY,
    LABEL_CLUSTER,
    LABEL_ENDPOINT,
    LABEL_MANAGED_BY,
    LABEL_NAMESPACE,
    LABEL_SERVICE,
    MANAGER,
    SYSTEM_NAMESPACE,
    stand_in_name,
)
from mesh_core.peer_view import Wanted
from mesh_core.record_plan import plan_imported
from mesh_fakes.clusterset import FakeClusterset
from mesh_fakes.exports import record
from mesh_fakes.members import Member, new_member
from mesh_fakes.under_way import under_way
from mesh_fakes.waiting import until
from mesh_runtime.kube import SERVICES

pytestmark = pytest.mark.asyncio

GATEWAYS = (SYSTEM_NAMESPACE, GATEWAY)
"""Asked for like any other Service whose endpoints change; with it, at once, all that lead to them."""


@dataclass(slots=True)
class Asked:
    """A queue that only remembers."""

    keys: set[ServiceKey] = field(default_factory=set)

    def add(self, key: ServiceKey) -> None:
        self.keys.add(key)


@asynccontextmanager
async def watched(east: Member) -> AsyncIterator[Asked]:
    """What is asked for from when the caches have seen all there is."""
    asked, caches = Asked(), Caches(east.api.client())
    caches.feed_everything(asked)
    async with under_way(caches.run()):
        await caches.until_synced()
        asked.keys.clear()
        yield asked


def has_stand_in_at_rest(east: Member, name: str) -> None:
    """One for the endpoint db-0 of demo/`name` in west, which is there no more."""
    labels = {
        LABEL_MANAGED_BY: MANAGER,
        LABEL_CLUSTER: "west",
        LABEL_NAMESPACE: "demo",
        LABEL_SERVICE: name,
        LABEL_ENDPOINT: "db-0",
    }
    metadata = {
        "namespace": SYSTEM_NAMESPACE,
        "name": stand_in_name(cluster="west", namespace="demo", service=name, endpoint="db-0"),
        "labels": labels,
        "annotations": {ANNOTATION_GONE_SINCE: "2026-01-01T00:00:00Z"},
    }
    ports = [{"name": "db", "port": 5432, "protocol": "TCP"}]
    east.api.put(SERVICES, {"metadata": metadata, "spec": {"ports": ports}})


async def test_another_gateway_asks_for_imports_from_elsewhere_and_not_for_those_of_our_own_export() -> None:
    east = new_member("east", clusterset=FakeClusterset())
    east.api.write(plan_imported(None, standing=Wanted(record("west"))))
    east.service("ours")
    east.export("ours")
    async with watched(east) as asked:
        east.gateways(["10.1.0.7"])
        await until(lambda: GATEWAYS in asked.keys)
        assert asked.keys == {GATEWAYS, ("demo", "hello")}


async def test_stand_ins_at_rest_follow_the_gateways_when_the_record_of_their_endpoint_has_gone() -> None:
    """Only imports with a record were asked for: histories 484, 677 and 1468 of the simulation."""
    east = new_member("east", clusterset=FakeClusterset())
    east.service("db", clusterIP="None")
    east.export("db")
    has_stand_in_at_rest(east, "db")
    async with watched(east) as asked:
        east.gateways(["10.1.0.7"])
        await until(lambda: GATEWAYS in asked.keys)
        assert asked.keys == {GATEWAYS, ("demo", "db")}
