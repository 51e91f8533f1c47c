"""What leaves a member as a whole: its exports first, and what serves them when others have heard of it."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from mesh_fakes.delivered_api import DeliveredApi
from mesh_fakes.delivery import PLENTY, config_map, deployment
from mesh_fakes.under_way import under_way
from mesh_fakes.waiting import until, until_found
from mesh_placement.deliver import Deliverer
from mesh_placement.names import ANNOTATION_REVISION, LABEL_ASSIGNMENT
from mesh_placement.objects import Work
from mesh_placement.resources import ASSIGNMENTS, WORKS
from mesh_runtime.kube import MESH_PEERS, NAMESPACES, KubeClient

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]

SPACE = "cluster-east"
WEB = "/apis/apps/v1/deployments/shop/web"
EXPORT = "/apis/multicluster.x-k8s.io/v1beta1/serviceexports/shop/web"
EXPORT_PATH = "/apis/multicluster.x-k8s.io/v1beta1/namespaces/shop/serviceexports/web"
SETTINGS = "/api/v1/configmaps/shop/settings"

Json = dict[str, Any]  # Any: JSON
EXPORTED: Json = {
    "apiVersion": "multicluster.x-k8s.io/v1beta1",
    "kind": "ServiceExport",
    "metadata": {"name": "web", "namespace": "shop"},
}


async def give(hub: KubeClient, works: dict[str, list[Json]]) -> None:
    """An Assignment with these Works."""
    spec = {"revision": 1, "works": sorted(works)}
    await hub.apply(
        ASSIGNMENTS, {"metadata": {"name": "shop", "namespace": SPACE}, "spec": spec}, field_manager="test"
    )
    for name, manifests in works.items():
        meta = {
            "name": name,
            "namespace": SPACE,
            "labels": {LABEL_ASSIGNMENT: "shop"},
            "annotations": {ANNOTATION_REVISION: "1"},
        }
        body = {"metadata": meta, "spec": {"workload": {"manifests": manifests}}}
        await hub.apply(WORKS, body, field_manager="test")


async def taken_back(*works: list[Json], peers: Mapping[str, float] | None = None) -> list[tuple[str, float]]:
    """What is deleted in the member, in order, and how many seconds after the Works were deleted.

    `peers` take in that the export is gone so many seconds after it went; None is a member without the mesh.
    """
    hub, member = DeliveredApi(), DeliveredApi()
    decider = hub.client("decider")
    await member.client().create(NAMESPACES, {"metadata": {"name": "shop"}, "status": {"phase": "Active"}})
    engine = Deliverer(
        hub.client("engine"), member.client("engine"), namespace=SPACE, cluster="east", budgets=PLENTY
    )
    if peers is None:
        member.forbidden.add(("engine", "meshpeers"))
    for name in peers or {}:
        await member.client().create(MESH_PEERS, {"metadata": {"name": name}})
    named = {f"shop-{number}": manifests for number, manifests in enumerate(works)}
    brought = sum(map(len, works))
    async with under_way(engine.run()):
        await give(decider, named)

        async def is_there() -> bool:
            return sum("/shop/" in path for path in member.paths()) == brought

        await until_found(is_there)
        member.deleted.clear()
        began = asyncio.get_running_loop().time()
        for name in named:
            await decider.delete(WORKS, name, namespace=SPACE)
        found: list[tuple[str, float]] = []

        async def is_gone() -> bool:
            now = asyncio.get_running_loop().time() - began
            known = {path for path, _ in found}
            found.extend((one, now) for one in member.deleted if "/shop/" in one and one not in known)
            return not any("/shop/" in path for path in member.paths()) and not await left(decider)

        uid = export["metadata"]["uid"] if (export := member.peek(EXPORT_PATH)) else ""
        hear = [hears(member, name, uid=uid, after=after) for name, after in (peers or {}).items()]
        await asyncio.gather(until_found(is_gone), *hear)
    return found


async def hears(member: DeliveredApi, peer: str, *, uid: str, after: float) -> None:
    """The controller writes down that the peer has acknowledged."""
    await until(lambda: member.peek(EXPORT_PATH) is None)
    await asyncio.sleep(after)
    status = {"status": {"appliedUnexports": ["an-older-one", uid]}}
    path = f"/apis/meshctl.dev/v1alpha1/meshpeers/{peer}/status"
    await member.client().request("PATCH", path, body=status)


async def left(hub: KubeClient) -> list[Work]:
    return list((await hub.list(WORKS)).items)


def order(found: list[tuple[str, float]]) -> list[str]:
    return [path for path, _ in found]


async def test_an_export_goes_first_and_what_serves_it_eight_seconds_later() -> None:
    found = await taken_back([config_map("settings"), EXPORTED, deployment("web")])
    assert order(found) == [EXPORT, WEB, SETTINGS]
    assert dict(found)[EXPORT] < 2
    assert 8 <= dict(found)[WEB] < 10


async def test_what_serves_it_goes_soon_after_the_last_peer_has_acknowledged() -> None:
    found = await taken_back([EXPORTED, deployment("web")], peers={"north": 0.1, "west": 1})
    assert order(found) == [EXPORT, WEB]
    assert 6 <= dict(found)[WEB] < 7.5


async def test_a_peer_that_says_nothing_delays_nobody_for_longer_than_eight_seconds() -> None:
    found = await taken_back([EXPORTED, deployment("web")], peers={"north": 0.1, "dead": 60})
    assert 8 <= dict(found)[WEB] < 10


async def test_the_works_of_an_assignment_wait_for_the_export_of_each_other() -> None:
    found = await taken_back([deployment("web")], [EXPORTED], [config_map("settings")])
    assert order(found)[0] == EXPORT
    assert all(8 <= seconds < 30 for path, seconds in found if path != EXPORT)


async def test_what_exports_nothing_goes_at_once() -> None:
    found = await taken_back([config_map("settings"), deployment("web")])
    assert order(found) == [WEB, SETTINGS]
    assert all(seconds < 3 for _, seconds in found)
