"""A cluster of Cluster API that comes in takes nothing from one that somebody registers by its name."""

import asyncio
from base64 import b64encode

import pytest

from mesh_core.names import SYSTEM_NAMESPACE
from mesh_core.objects import KubernetesObject
from mesh_fakes.api_server import FakeApiServer
from mesh_fakes.under_way import under_way
from mesh_fakes.waiting import until_found
from mesh_placement.hub.caches import HubCaches
from mesh_placement.hub.import_loop import GROUP, ImportLoop
from mesh_placement.names import JOIN_KUBECONFIG_PREFIX, LABEL_CLUSTERSET
from mesh_placement.resources import CLUSTER_REGISTRATIONS, CLUSTER_SETS
from mesh_runtime.kube import SECRETS, KubeClient, Resource

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]

CLUSTERS = Resource(GROUP, "v1beta1", "clusters", "Cluster", KubernetesObject)
HANDED = f"{JOIN_KUBECONFIG_PREFIX}east"


def encoded(text: str) -> str:
    return b64encode(text.encode()).decode()


async def offered(admin: KubeClient) -> None:
    """A tenant's cluster, in a namespace that the set imports from."""
    spec = {"importNamespaces": ["capi"]}
    await admin.create(CLUSTER_SETS, {"metadata": {"name": "prod"}, "spec": spec})
    kubeconfig = {"name": "east-kubeconfig", "namespace": "capi"}
    body = {"metadata": kubeconfig, "type": "cluster.x-k8s.io/secret", "data": {"value": encoded("tenant")}}
    await admin.create(SECRETS, body)
    meta = {"name": "east", "namespace": "capi", "labels": {LABEL_CLUSTERSET: "prod"}}
    await admin.create(CLUSTERS, {"metadata": meta, "status": {"phase": "Provisioned"}})


async def handed(admin: KubeClient) -> str:
    found = await admin.get(SECRETS, HANDED, namespace=SYSTEM_NAMESPACE)
    return found.data["kubeconfig"]


async def test_a_kubeconfig_that_somebody_handed_over_for_a_cluster_of_that_name_stays() -> None:
    api = FakeApiServer(pages={f"/apis/{GROUP}": {"preferredVersion": {"version": "v1beta1"}}})
    admin, hub = api.client("admin"), api.client("hub")
    theirs = {"metadata": {"name": HANDED, "namespace": SYSTEM_NAMESPACE}}
    await admin.create(SECRETS, {**theirs, "data": {"kubeconfig": encoded("admin")}})
    await offered(admin)
    caches = HubCaches(hub)
    async with under_way(caches.run(), ImportLoop(hub, caches=caches).run()):
        await asyncio.sleep(60)
        assert await handed(admin) == encoded("admin")
        assert await admin.find(CLUSTER_REGISTRATIONS, "east") is None
        await admin.delete(SECRETS, HANDED, namespace=SYSTEM_NAMESPACE)

        async def is_in() -> bool:
            return await admin.find(CLUSTER_REGISTRATIONS, "east") is not None

        await until_found(is_in, limit=90)
        assert await handed(admin) == encoded("tenant")
