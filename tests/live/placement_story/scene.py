"""The two Placements of the story, payments and checkout that calls it, and what is seen of them."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from live.placement_story.caller import READY_PORT
from live.placement_story.calls import Calls
from live.placement_story.land import MEMBERS, SHOP
from live.placement_story.payments import PORT
from mesh_fakes.light_members import found_at
from mesh_fakes.waiting import until_found
from mesh_placement.names import LABEL_PLACEMENT, TAINT_UNREACHABLE, placed_name
from mesh_placement.objects import ClusterRegistration, LinkToPeer, Placement
from mesh_placement.resources import CLUSTER_LINKS, CLUSTER_REGISTRATIONS, PLACEMENT_REPORTS, PLACEMENTS
from mesh_runtime.kube import KubeClient

CHECKOUT: Final = "checkout"
PAYMENTS: Final = "payments"
HOST: Final = f"{PAYMENTS}.{SHOP}.svc.clusterset.local"
TOLERATED: Final = 5
GRACE: Final = 5
STABILIZE: Final = 10
"""Seconds: a dead cluster is borne, a copy that nobody verified is waited for, a place has to stay better."""
_HERE: Final = Path(__file__).parent
_LIMIT: Final = 120.0
Json = dict[str, Any]  # Any: JSON


@dataclass(frozen=True, slots=True)
class Scene:
    """Administrators of the hub and of each member, and what callers say."""

    hub: KubeClient
    members: dict[str, KubeClient]
    calls: Calls

    async def placement(self, name: str) -> Placement:
        """As it is."""
        return await self.hub.get(PLACEMENTS, name, namespace=SHOP)

    async def homes(self, name: str) -> tuple[str, ...]:
        """The clusters that it is decided for."""
        return tuple(one.cluster for one in (await self.placement(name)).status.clusters)

    async def is_in(self, name: str, cluster: str) -> None:
        """Wait until it is ready there, and in no other cluster any more, Deployments included."""

        async def has_come() -> bool:
            shares = (await self.placement(name)).status.clusters
            if [(one.cluster, one.ready) for one in shares] != [(cluster, 1)]:
                return False
            there = [await self.deployment(name, one) for one in MEMBERS]
            return [one is not None for one in there] == [one == cluster for one in MEMBERS]

        await self._until(has_come, what=f"{name} is not in {cluster} alone")

    async def is_decided_for(self, name: str, cluster: str) -> None:
        """Wait until it is decided for this cluster and no other."""

        async def is_decided() -> bool:
            return await self.homes(name) == (cluster,)

        await self._until(is_decided, what=f"{name} is not decided for {cluster}")

    async def deployment(self, name: str, cluster: str) -> Json | None:
        """Of a Placement in a member, if it is there."""
        path = f"/apis/apps/v1/namespaces/{SHOP}/deployments/{name}"
        return await found_at(self.members[cluster], path)

    async def uid(self, name: str, cluster: str) -> str:
        """Of its Deployment there, "" where there is none."""
        found = await self.deployment(name, cluster)
        return str(found["metadata"]["uid"]) if found is not None else ""

    async def registration(self, cluster: str) -> ClusterRegistration:
        """Of a member."""
        return await self.hub.get(CLUSTER_REGISTRATIONS, cluster)

    async def phase(self, phase: str, *clusters: str) -> None:
        """Wait until the hub says this of these members."""

        async def is_said() -> bool:
            return all([(await self.registration(one)).status.phase == phase for one in clusters])

        await self._until(is_said, what=f"{', '.join(clusters)}: not {phase}")

    async def lost_since(self, cluster: str) -> str:
        """When the hub tainted the member for its silence, RFC 3339."""
        taints = (await self.registration(cluster)).status.taints
        return next((one.time_added for one in taints if one.key == TAINT_UNREACHABLE), "")

    async def is_told(self, code: str, cluster: str) -> None:
        """Wait until the report about checkout says this of the cluster."""
        label = f"{LABEL_PLACEMENT}={placed_name(SHOP, name=CHECKOUT)}"

        async def is_said() -> bool:
            reports = (await self.hub.list(PLACEMENT_REPORTS, labels=label)).items
            return any(
                (one.cluster, one.code) == (cluster, code) for each in reports for one in each.clusters
            )

        await self._until(is_said, what=f"no report says {code} of {cluster}")

    async def links(self) -> dict[tuple[str, str], LinkToPeer]:
        """What members tell of their ways."""
        return {
            (one.metadata.namespace.removeprefix("cluster-"), link.cluster): link
            for one in (await self.hub.list(CLUSTER_LINKS)).items
            for link in one.status.peers
        }

    async def is_called_from(self, cluster: str, *, since: float) -> None:
        """Wait until ten calls from there that began since then were answered."""

        async def is_called() -> bool:
            answered = [one for one in self.calls.since(since, cluster=cluster) if not one.fault]
            return len(answered) >= 10

        await self._until(is_called, what=f"no calls from {cluster}")

    async def _until(self, condition: Callable[[], Awaitable[bool]], *, what: str) -> None:
        try:
            await until_found(condition, limit=_LIMIT)
        except TimeoutError:
            said = {name: (await self.placement(name)).status for name in (CHECKOUT, PAYMENTS)}
            raise AssertionError(f"{what}: {said}") from None


def payments(image: str, *, cluster: str) -> Json:
    """The Placement of payments, in the cluster that its owner names."""
    labels = {"app": PAYMENTS}
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": PAYMENTS, "namespace": SHOP},
        "spec": {"selector": labels, "ports": [{"name": "pay", "port": PORT}]},
    }
    export = {
        "apiVersion": "multicluster.x-k8s.io/v1beta1",
        "kind": "ServiceExport",
        "metadata": {"name": PAYMENTS, "namespace": SHOP},
    }
    made = _deployment(PAYMENTS, image, "payments.py", port=PORT)
    spec = {"clusters": {"names": [cluster]}, "failover": {"graceSeconds": GRACE}}
    return _placement(PAYMENTS, [service, export, made], spec)


def checkout(image: str, *, collector: tuple[str, int]) -> Json:
    """The Placement of checkout: near payments, and not in one cluster with it."""
    made = _deployment(CHECKOUT, image, "caller.py", HOST, *map(str, collector), port=READY_PORT)
    spec = {
        "clusters": {"count": 1},
        "require": {
            "services": [{"name": PAYMENTS, "maxRTT": "80ms"}],
            "workloads": [{"placement": PAYMENTS, "affinity": "Away"}],
            "tolerations": [{"key": "unreachable", "seconds": TOLERATED}],
        },
        "prefer": {"Latency": 10},
        "failover": {
            "graceSeconds": GRACE,
            "failback": {"mode": "Auto", "stabilizeSeconds": STABILIZE},
        },
    }
    return _placement(CHECKOUT, [made], spec)


def _placement(name: str, manifests: list[Json], spec: Json) -> Json:
    return {
        "apiVersion": "placement.meshctl.dev/v1alpha1",
        "kind": "Placement",
        "metadata": {"name": name, "namespace": SHOP},
        "spec": {"clusterSets": ["prod"], "manifests": manifests, **spec},
    }


def _deployment(name: str, image: str, program: str, *words: str, port: int) -> Json:
    """Runs a program of this folder, which is ready when its port takes connections."""
    labels = {"app": name}
    fields = {"NODE": "spec.nodeName", "POD": "metadata.name"}
    container = {
        "name": name,
        "image": image,
        "command": ["python", "-c", (_HERE / program).read_text(), *words],
        "env": [
            {"name": key, "valueFrom": {"fieldRef": {"fieldPath": path}}} for key, path in fields.items()
        ],
        "readinessProbe": {"tcpSocket": {"port": port}, "periodSeconds": 1},
    }
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": SHOP},
        "spec": {"replicas": 1, "selector": {"matchLabels": labels}, "template": template},
    }
