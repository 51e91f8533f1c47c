"""Sets the scene of one mode, all at once, and takes it away."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime

from conformance.mode import Mode
from live.at_rest import at_rest
from live.mcs.pods import PORT, Manifest, copies, pods_of
from live.mcs.rest import versions
from live.mcs.services import BARE, EAST, ONE, WEST, Exported
from live.mcs.world import (
    CLUSTERS,
    NAMESPACE,
    PACE,
    PODS,
    Pod,
    World,
    host,
    ready_addresses,
    seen,
)
from mesh_core.names import LABEL_KUBERNETES_SERVICE, LABEL_SERVICE_NAME, LABEL_SLICE_MANAGED_BY
from mesh_fakes.bed import Bed
from mesh_runtime.kube import ENDPOINT_SLICES, NAMESPACES, NODES, SERVICE_EXPORTS, SERVICE_IMPORTS

SET_UP_LIMIT = 240.0  # seconds
ZONE = "topology.kubernetes.io/zone"
ONLY_IN_EAST = "mcs-only-east"
ENDING = "mcs-ending"
LATE = "mcs-late"
OWN_NAMESPACES = {"east": (NAMESPACE, ONLY_IN_EAST, ENDING, LATE), "west": (NAMESPACE, ENDING)}

# What nobody imports, for the reason that its test says.
NOT_IMPORTED = {"external", "no-service", "only-sctp", "unknown-policy", "bad-policy"}
SOMEBODYS_OWN = "taken"
# Of what both export, those whose exporters are counted.
BY_BOTH = ("both", "shared", "union")
# Imported, but west may have no endpoint of them.
NOT_FILLED = {"for-north", SOMEBODYS_OWN}


@asynccontextmanager
async def opened(bed: Bed, mode: Mode) -> AsyncIterator[World]:
    """The clusters with a client each."""
    async with bed.client("east") as east, bed.client("west") as west:
        yield World(mode, bed, east, west)


async def set_up(bed: Bed, mode: Mode) -> None:
    """Everything that the tests of a mode look at, ready to be looked at."""
    async with opened(bed, mode) as world:
        await asyncio.gather(*(_begin(world, cluster) for cluster in CLUSTERS))
        await world.west.create(
            SERVICE_IMPORTS,
            {
                "metadata": {"name": SOMEBODYS_OWN, "namespace": NAMESPACE, "labels": {"mine": "yes"}},
                "spec": {"type": "ClusterSetIP", "ports": [{"port": 1, "protocol": "TCP"}]},
            },
        )
        await _all(world, "east", [one.export_manifest() for one in EAST if one.export])
        await asyncio.gather(
            *(world.apply("east", *both("hello"), namespace=name) for name in (ONLY_IN_EAST, ENDING, LATE)),
            _newer(world),
            _pods_ready(world),
        )
        await _all(world, "west", [one.export_manifest() for one in WEST if one.export])
        [pod] = await world.pods("east", "which=one")
        await world.apply("east", _slice_by_hand("manual", address=pod.status.pod_ip))
        await _settled(world)


async def take_away(bed: Bed, mode: Mode) -> None:
    """Namespaces and labels of nodes; what hangs on them goes by itself."""
    async with opened(bed, mode) as world:
        for cluster in CLUSTERS:
            kube = world.kube(cluster)
            for name in (NAMESPACE, ONLY_IN_EAST, ENDING, LATE):
                await kube.delete(NAMESPACES, name)
            await _label_nodes(world, cluster, zone=None)


def both(name: str) -> tuple[Manifest, Manifest]:
    """A Service without endpoints and its export."""
    one = Exported(name=name, selector={"app": "nobody"})
    return one.service_manifest(), one.export_manifest()


async def _begin(world: World, cluster: str) -> None:
    await _label_nodes(world, cluster, zone=f"zone-{cluster}")
    for name in OWN_NAMESPACES[cluster]:
        await world.kube(cluster).create(NAMESPACES, {"metadata": {"name": name}})
    await _all(world, cluster, pods_of(cluster))
    wanted = {"east": EAST, "west": WEST}[cluster]
    await _all(world, cluster, [one.service_manifest() for one in wanted if one.service])


async def _all(world: World, cluster: str, manifests: Sequence[Manifest]) -> None:
    await asyncio.gather(*(world.apply(cluster, manifest) for manifest in manifests))


async def _label_nodes(world: World, cluster: str, *, zone: str | None) -> None:
    kube = world.kube(cluster)
    for node in (await kube.list(NODES)).items:
        await kube.merge_patch(NODES, node.metadata.name, {"metadata": {"labels": {ZONE: zone}}})


async def _newer(world: World) -> None:
    """Return when an export made now is newer than all of east's: timestamps have whole seconds."""
    exports = (await world.east.list(SERVICE_EXPORTS, namespace=NAMESPACE)).items
    newest = max(datetime.fromisoformat(one.metadata.creation_timestamp) for one in exports).timestamp()
    while time.time() < newest + 1:  # noqa: ASYNC110  # the clock tells nobody
        await asyncio.sleep(PACE)


async def _pods_ready(world: World) -> None:
    async def pods() -> list[Pod]:
        found = [await world.kube(cluster).list(PODS, namespace=NAMESPACE) for cluster in CLUSTERS]
        return [pod for page in found for pod in page.items]

    wanted = sum(copies(one) for cluster in CLUSTERS for one in pods_of(cluster))
    await seen(
        pods, lambda found: len(found) == wanted and all(pod.is_ready for pod in found), limit=SET_UP_LIMIT
    )


def _slice_by_hand(service: str, *, address: str) -> Manifest:
    """What somebody writes for a Service without a selector."""
    labels = {LABEL_KUBERNETES_SERVICE: service, LABEL_SLICE_MANAGED_BY: "somebody"}
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": f"{service}-by-hand", "labels": labels},
        "addressType": "IPv4",
        "ports": [{"name": "tcp", "port": PORT, "protocol": "TCP"}],
        "endpoints": [{"addresses": [address], "conditions": {"ready": True}}],
    }


async def _settled(world: World) -> None:
    """Return when every import is there, every export has its conditions, and names and calls get through."""
    expected = {one.name for one in EAST if one.export} - NOT_IMPORTED
    with_pods = {one.name for one in EAST if one.export and one.selector in (BARE, ONE)} - NOT_IMPORTED

    async def missing() -> set[str]:
        found: set[str] = set()
        for cluster in CLUSTERS:
            kube = world.kube(cluster)
            imports = (await kube.list(SERVICE_IMPORTS, namespace=NAMESPACE)).items
            exports = (await kube.list(SERVICE_EXPORTS, namespace=NAMESPACE)).items
            slices = (await kube.list(ENDPOINT_SLICES, namespace=NAMESPACE, labels=LABEL_SERVICE_NAME)).items
            filled = {
                piece.metadata.labels[LABEL_SERVICE_NAME] for piece in slices if ready_addresses([piece])
            }
            told = {one.metadata.name: {at.cluster for at in one.status.clusters} for one in imports}
            found |= {f"{cluster}: {name} of west" for name in BY_BOTH if "west" not in told.get(name, ())}
            found |= {f"{cluster}: import {name}" for name in expected - told.keys()}
            found |= {
                f"{cluster}: export {one.metadata.name}" for one in exports if not one.status.conditions
            }
            found |= {f"{cluster}: endpoints of {name}" for name in with_pods - filled - NOT_FILLED}
        return found

    await seen(missing, lambda found: not found, limit=SET_UP_LIMIT)
    # Tests look once at what nobody changes: conditions, exporters and hints come after what was waited for.
    await at_rest(lambda: versions(world), quiet=8.0, limit=SET_UP_LIMIT)
    for cluster in CLUSTERS:
        # The first call waits for cluster DNS too: kubelet may take a minute to show it its new Corefile.
        await world.reached(cluster, host("hello"), 42, limit=SET_UP_LIMIT)
