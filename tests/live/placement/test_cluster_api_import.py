"""A Cluster of Cluster API comes in by itself. The kind is made by hand: no controller of it runs here."""

import base64
from typing import Any

import pytest
import yaml

from mesh_core.names import SYSTEM_NAMESPACE
from mesh_fakes.bed import Bed
from mesh_fakes.light_fleet import as_account, ca_of
from mesh_fakes.placement_parts import install_parts
from mesh_fakes.under_way import under_way
from mesh_fakes.waiting import until_found
from mesh_placement.hub.hub import Hub
from mesh_placement.names import (
    AGENT_MANIFESTS,
    AGENT_SETTINGS,
    HUB,
    HUB_INFO,
    JOIN_KUBECONFIG_PREFIX,
    LABEL_CLUSTERSET,
)
from mesh_placement.objects.cluster_api import ApiCluster
from mesh_placement.resources import CLUSTER_REGISTRATIONS, CLUSTER_SETS
from mesh_runtime.kube import CONFIG_MAPS, NAMESPACES, SECRETS, KubeClient, Resource

pytestmark = pytest.mark.asyncio

Json = dict[str, Any]  # Any: JSON
GROUP = "cluster.x-k8s.io"
CLUSTERS = Resource(GROUP, "v1beta1", "clusters", "Cluster", ApiCluster)
OPEN = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
KIND: Json = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": f"clusters.{GROUP}"},
    "spec": {
        "group": GROUP,
        "scope": "Namespaced",
        "names": {"kind": "Cluster", "listKind": "ClusterList", "plural": "clusters", "singular": "cluster"},
        "versions": [
            {
                "name": "v1beta1",
                "served": True,
                "storage": True,
                "subresources": {"status": {}},
                "schema": {
                    "openAPIV3Schema": {"type": "object", "properties": {"spec": OPEN, "status": OPEN}}
                },
            }
        ],
    },
}


async def prepared(bed: Bed, hub: KubeClient, member: KubeClient) -> None:
    """A hub that says where it is, with what its agents need, and a set that imports of `fleet`."""
    await hub.apply_manifest(KIND, field_manager="test")
    bed.kubectl("hub", "wait", "--for=condition=Established", f"crd/clusters.{GROUP}", "--timeout=240s")
    info = {"server": hub.server, "ca.crt": ca_of(bed, "hub")}
    await _config_map(hub, HUB_INFO, "kube-public", info)
    account = {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": "placement-agent", "namespace": SYSTEM_NAMESPACE},
    }
    space = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SYSTEM_NAMESPACE}}
    manifests = {"agent.yaml": yaml.safe_dump_all([account, space])}
    await _config_map(hub, AGENT_MANIFESTS, SYSTEM_NAMESPACE, manifests)
    spec = {"importNamespaces": ["fleet"]}
    await hub.apply(CLUSTER_SETS, {"metadata": {"name": "prod"}, "spec": spec}, field_manager="test")
    for name in ("fleet", "tenant"):
        await hub.apply(NAMESPACES, {"metadata": {"name": name}}, field_manager="test")
    await member.delete(SECRETS, AGENT_SETTINGS, namespace=SYSTEM_NAMESPACE)


async def _config_map(kube: KubeClient, name: str, namespace: str, data: dict[str, str]) -> None:
    body = {"metadata": {"name": name, "namespace": namespace}, "data": data}
    await kube.apply(CONFIG_MAPS, body, field_manager="test")


async def provisioned(bed: Bed, hub: KubeClient, *, name: str, namespace: str) -> None:
    """What Cluster API and its control plane provider leave: a Cluster, and its kubeconfig beside it."""
    config = yaml.safe_load(bed.kubeconfig.read_text())
    config["current-context"] = "member"
    secret = {
        "metadata": {"name": f"{name}-kubeconfig", "namespace": namespace},
        "type": "cluster.x-k8s.io/secret",
        "data": {"value": base64.b64encode(yaml.safe_dump(config).encode()).decode()},
    }
    await hub.create(SECRETS, secret)
    meta = {"name": name, "namespace": namespace, "labels": {LABEL_CLUSTERSET: "prod"}}
    # Cluster API has a finalizer of its own on it for as long as it destroys.
    held = {**meta, "finalizers": ["cluster.cluster.x-k8s.io"]}
    await hub.create(CLUSTERS, {"metadata": held, "spec": {}})
    status = {"status": {"phase": "Provisioned"}}
    await hub.merge_patch(CLUSTERS, name, status, namespace=namespace, subresource="status")


async def test_a_cluster_of_cluster_api_is_dialled_in_to_and_leaves_when_it_is_deleted(
    pair_of_light: Bed,
) -> None:
    install_parts(pair_of_light)
    async with pair_of_light.client("hub") as hub, pair_of_light.client("member") as member:
        await prepared(pair_of_light, hub, member)
        await provisioned(pair_of_light, hub, name="imposed", namespace="tenant")
        await provisioned(pair_of_light, hub, name="made", namespace="fleet")
        async with as_account(pair_of_light, "hub", HUB) as account, under_way(Hub(account, name="i").run()):

            async def is_told() -> bool:
                found = await member.find(SECRETS, AGENT_SETTINGS, namespace=SYSTEM_NAMESPACE)
                return found is not None

            await until_found(is_told, limit=120.0)
            settings = await member.get(SECRETS, AGENT_SETTINGS, namespace=SYSTEM_NAMESPACE)
            assert base64.b64decode(settings.data["cluster-id"]) == b"made"
            made = await hub.get(CLUSTER_REGISTRATIONS, "made")
            assert made.spec.accepted and made.spec.provision is not None
            assert made.spec.provision.provider == "capi"

            async def is_forgotten() -> bool:
                name = f"{JOIN_KUBECONFIG_PREFIX}made"
                return await hub.find(SECRETS, name, namespace=SYSTEM_NAMESPACE) is None

            await until_found(is_forgotten)
            assert await hub.find(CLUSTER_REGISTRATIONS, "imposed") is None
            await hub.delete(CLUSTERS, "made", namespace="fleet")

            async def leaves() -> bool:
                found = await hub.find(CLUSTER_REGISTRATIONS, "made")
                return found is None or found.metadata.deletion_timestamp is not None

            await until_found(leaves)
        for name, namespace in (("made", "fleet"), ("imposed", "tenant")):
            free = {"metadata": {"finalizers": None}}
            await hub.merge_patch(CLUSTERS, name, free, namespace=namespace)
            await hub.delete(CLUSTERS, name, namespace=namespace)
