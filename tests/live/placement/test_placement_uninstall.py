"""`meshctl uninstall` on a hub, with a cluster of its own, for what is taken away here does not come back.

A light cluster ends no namespace, so the test does that.
"""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from mesh_cli.install.kustomize import identity, render
from mesh_fakes.bed import Bed, started
from mesh_fakes.placement_parts import MANIFESTS
from mesh_fakes.waiting import until_found
from mesh_placement.names import AGENT_MANIFESTS, FINALIZER, HUB_INFO
from mesh_placement.resources import CLUSTER_REGISTRATIONS, CLUSTER_SETS
from mesh_runtime.kube import CONFIG_MAPS, NAMESPACES, KubeClient

pytestmark = pytest.mark.asyncio

HUB = MANIFESTS / "overlays" / "hub"


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bed]:
    """A hub on a light cluster."""
    with started(tmp_path_factory.mktemp("hub"), "--clusters", "alone", "--light") as bed:
        bed.kubectl("alone", "apply", "--server-side", "--field-manager=meshctl", "-k", str(HUB))
        bed.kubectl("alone", "wait", "--for=condition=Established", "crd", "--all", "--timeout=240s")
        yield bed


def meshctl(bed: Bed, *words: str) -> str:
    """What it says, standard error among it."""
    ended = bed.meshctl("--kubeconfig", str(bed.kubeconfig), *words, "--context", "alone")
    return ended.stdout + ended.stderr


async def end_namespace(kube: KubeClient, name: str) -> None:
    """What the controller manager does once a namespace is being deleted and empty."""

    async def is_ending() -> bool:
        return (await kube.get(NAMESPACES, name)).metadata.deletion_timestamp is not None

    await until_found(is_ending, limit=120)
    body = {"metadata": {"name": name}, "spec": {"finalizers": []}}
    await kube.replace(NAMESPACES, body, subresource="finalize")


async def test_a_hub_goes_whole_once_no_cluster_counts_on_it(alone: Bed) -> None:
    async with alone.client("alone") as kube:
        await kube.create(CLUSTER_SETS, {"metadata": {"name": "prod"}, "spec": {}})
        east: dict[str, Any] = {"name": "east", "finalizers": [FINALIZER]}
        await kube.create(CLUSTER_REGISTRATIONS, {"metadata": east, "spec": {"clusterSet": "prod"}})
        for name, namespace in ((HUB_INFO, "kube-public"), (AGENT_MANIFESTS, "meshctl-system")):
            meta = {"name": name, "namespace": namespace}
            await kube.create(CONFIG_MAPS, {"metadata": meta}, field_manager="meshctl")
    listed = meshctl(alone, "uninstall", "--dry-run")
    for kind, namespace, name in map(identity, render(HUB)):
        assert f"{kind} {namespace}/{name}" in listed or f"{kind} {name}" in listed, (kind, name)
    assert "in use: is the hub of east" in listed
    refused = meshctl(alone, "uninstall")
    assert "it is the hub of east; run meshctl" in refused
    assert "clusters leave --context alone for each of them" in refused

    removal = asyncio.create_task(
        asyncio.to_thread(meshctl, alone, "uninstall", "--force", "--timeout", "240")
    )
    async with alone.client("alone") as kube:
        await end_namespace(kube, "meshctl-system")
        assert "none is left" in await removal
        assert await kube.find(CONFIG_MAPS, HUB_INFO, namespace="kube-public") is None
    assert "nothing of ours is in context alone" in meshctl(alone, "uninstall", "--dry-run")
