"""Where nothing fits, a real API server comes up, joins, takes what was placed, and goes when it stands idle.

Light clusters run no pods: the test gives the new cluster its node, and nobody starts the Deployment's pod.
"""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from mesh_cli.hub.objects import agent_manifests_body
from mesh_cli.hub.placement_manifests import agent_manifests, consent_manifests
from mesh_cli.local.provider import Settings, local_provider
from mesh_fakes.bed import Bed, guarded, started
from mesh_fakes.delivery import deployment, namespace
from mesh_fakes.light_fleet import as_account, ca_of
from mesh_fakes.light_members import found_at
from mesh_fakes.provider_contract import keeps_the_contract
from mesh_fakes.under_way import under_way
from mesh_fakes.waiting import until_found
from mesh_placement.hub.hub import Hub
from mesh_placement.hub.placing.scheduling import installed_scheduling
from mesh_placement.names import CAPACITY, HUB, HUB_INFO
from mesh_placement.objects import ClusterClaim
from mesh_placement.resources import (
    CLUSTER_CAPACITIES,
    CLUSTER_CLAIMS,
    CLUSTER_REGISTRATIONS,
    CLUSTER_SETS,
    PLACEMENTS,
)
from mesh_runtime.kube import CLUSTER_PROPERTIES, CONFIG_MAPS, KubeClient, connect

pytestmark = pytest.mark.asyncio

MANIFESTS = Path(__file__).parents[3] / "manifests"
CPU = {1: "3500m", 3: "10500m"}
SITE = "site.topology.meshctl.dev"
WEB = "/apis/apps/v1/namespaces/shop/deployments/web"
PROVISION = {
    "provider": "local",
    "offers": {"cpu": "4", "memory": "8Gi"},
    "matchProperties": {SITE: "cloud"},
    "afterSeconds": 0,
    "drainWhenIdleSeconds": 600,
}


@pytest.fixture(scope="module")
def only_a_hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bed]:
    """A light hub without any member."""
    with started(tmp_path_factory.mktemp("hub"), "--clusters", "hub", "--light") as bed:
        for kinds in ("", "placement", "placement-standard"):
            bed.kubectl("hub", "apply", "-k", str(MANIFESTS / "crds" / kinds))
        bed.kubectl("hub", "wait", "--for=condition=Established", "crd", "--all", "--timeout=240s")
        bed.kubectl("hub", "apply", "-k", str(MANIFESTS / "overlays" / "hub"))
        yield bed


@asynccontextmanager
async def hub_at_work(bed: Bed) -> AsyncIterator[KubeClient]:
    """A hub that leads, under its own account, and a set that may order; an administrator."""
    async with bed.client("hub") as admin, as_account(bed, "hub", HUB) as account:
        body = {"metadata": {"name": "prod"}, "spec": {"provision": PROVISION}}
        await admin.apply(CLUSTER_SETS, body, field_manager="test")
        info = {"server": admin.server, "ca.crt": ca_of(bed, "hub")}
        meta = {"name": HUB_INFO, "namespace": "kube-public"}
        await admin.apply(CONFIG_MAPS, {"metadata": meta, "data": info}, field_manager="test")
        agents = agent_manifests_body(agent_manifests(image=None, access=False), consent=consent_manifests())
        await admin.apply(CONFIG_MAPS, agents, field_manager="test")
        async with under_way(Hub(account, name="orders", scheduling=installed_scheduling()).run()):
            yield admin


@contextmanager
def providing(bed: Bed, folder: Path) -> Iterator[None]:
    """`meshctl local provide` as a person starts it; told to end at the end of the block."""
    words = ("local", "provide", "--context", "hub", "--light", "--driver", "token", "--dir", str(folder))
    argv = [sys.executable, "-m", "mesh_cli", "--kubeconfig", str(bed.kubeconfig), *words]
    log = folder.with_suffix(".log")
    with log.open("wb") as output:
        program = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        try:
            yield
        finally:
            program.terminate()
            code = program.wait(timeout=120)
    assert code == 0, log.read_text()


async def only_claim(hub: KubeClient) -> ClusterClaim | None:
    found = (await hub.list(CLUSTER_CLAIMS)).items
    assert len(found) <= 1, "one cluster was enough"
    return found[0] if found else None


async def until_phase(hub: KubeClient, phase: str) -> ClusterClaim:
    async def is_there() -> bool:
        found = await only_claim(hub)
        return found is not None and found.status.phase == phase

    await until_found(is_there, limit=240.0)
    found = await only_claim(hub)
    assert found is not None
    return found


async def nodes_are(hub: KubeClient, count: int) -> None:
    """The provider says so, and the cluster's own agent tells of as much room."""

    async def is_so() -> bool:
        claim = await only_claim(hub)
        room = await hub.find(CLUSTER_CAPACITIES, CAPACITY, namespace="cluster-prod-1")
        told = room.status.total.get("cpu") if room is not None else None
        return claim is not None and claim.status.provider.nodes == count and told == CPU[count]

    await until_found(is_so, limit=120.0)


def needs_four() -> dict[str, Any]:  # Any: JSON
    web = deployment("web", replicas=1)
    pod = web["spec"]["template"]["spec"]
    pod["containers"][0]["resources"] = {"requests": {"cpu": "3500m"}}
    return {
        "clusterSets": ["prod"],
        "manifests": [namespace(), web],
        "require": {"properties": [{"name": SITE, "operator": "In", "values": ["cloud"]}]},
    }


async def test_nothing_fits_so_a_real_cluster_comes_and_is_gone_when_it_stands_idle(
    only_a_hub: Bed, tmp_path: Path
) -> None:
    folder = tmp_path / "provided"
    async with hub_at_work(only_a_hub) as hub:
        meta = {"name": "app", "namespace": "default"}
        await hub.create(PLACEMENTS, {"metadata": meta, "spec": needs_four()})
        with providing(only_a_hub, folder):
            claim = await until_phase(hub, "Ready")
            assert claim.metadata.name == "prod-1"
            assert claim.spec.need["cpu"] == "3500m"
            own = folder / claim.metadata.uid
            with guarded(own):
                registration = await hub.get(CLUSTER_REGISTRATIONS, "prod-1")
                assert registration.status.id.uid == claim.status.provider.uid
                async with connect(kubeconfig=own / "kubeconfig", context="own") as member:
                    assert (await member.get(CLUSTER_PROPERTIES, SITE)).spec.value == "cloud"

                    async def is_there() -> bool:
                        return await found_at(member, WEB) is not None

                    await until_found(is_there, limit=120.0)
                await nodes_are(hub, 1)
                for nodes in (3, 1):
                    await hub.merge_patch(CLUSTER_CLAIMS, "prod-1", {"spec": {"nodes": nodes}})
                    await nodes_are(hub, nodes)
                soon = {"spec": {"drainWhenIdleSeconds": 3}}
                await hub.merge_patch(CLUSTER_CLAIMS, "prod-1", soon)
                await hub.delete(PLACEMENTS, "app", namespace="default")

                async def is_gone() -> bool:
                    return await only_claim(hub) is None

                await until_found(is_gone, limit=240.0)
                assert await hub.find(CLUSTER_REGISTRATIONS, "prod-1") is None
                assert not own.exists()
    assert list(folder.iterdir()) == []


async def test_the_local_provider_keeps_the_contract(tmp_path: Path) -> None:
    settings = Settings(folder=tmp_path, light=True, most=1)
    async with local_provider(settings) as provider:
        with guarded(tmp_path / "6f1f3d1c-0000-4000-8000-000000000001"):
            await keeps_the_contract(provider)
    await asyncio.sleep(0)
    assert list(tmp_path.iterdir()) == []
