"""The hops in the cluster that calls: the import, what kube-proxy uses, the egress gateways. Pure."""

from collections.abc import Sequence
from typing import Final

from mesh_cli.check.verdict import Unseen
from mesh_cli.table import one_line
from mesh_cli.trace.exporting import export_fault
from mesh_cli.trace.hop import Hop, Source, State
from mesh_cli.trace.scene import PodState, Scene, egress_addresses, ready_count
from mesh_core.names import GATEWAY, SYSTEM_NAMESPACE, shadow_service_name
from mesh_core.objects import ServiceImport

PODS: Final = f"kubectl -n {SYSTEM_NAMESPACE} describe pods, or meshctl check --only MESH-GW"
_MOST: Final = 6


def imported(scene: Scene) -> Hop:
    """The ServiceImport: made by our controller out of the records of all exporters."""
    importer, name = scene.importer, f"{scene.namespace}/{scene.name}"
    found = importer.imported
    decides = "the controller, from the exporters' records"
    if isinstance(found, Unseen):
        return _hop(scene, "import", State.UNKNOWN, decides, found.why, "use a context that may read it")
    if found is None:
        why, advice = _missing(scene)
        return _hop(scene, "import", State.FAIL, decides, f"there is no ServiceImport {name}: {why}", advice)
    sources = (Source("ServiceImport", name, found.metadata.creation_timestamp),)
    if found.spec.type == "ClusterSetIP" and not found.spec.ips:
        seen, advice = "it has no address yet", "look whether the controller runs: meshctl check"
        return _hop(scene, "import", State.FAIL, decides, seen, advice, sources=sources)
    if not scene.sources:
        faults = (export_fault(one, scene=scene) for _, one in sorted(scene.exporters.items()))
        why, advice = next(
            (fault for fault in faults if fault is not None),
            ("nobody says why", "run meshctl peers, and meshctl services in all clusters"),
        )
        seen = f"no cluster stands behind it: {why}"
        return _hop(scene, "import", State.FAIL, decides, seen, advice, sources=sources)
    return _hop(scene, "import", State.OK, decides, _described(found, scene=scene), sources=sources)


def _described(found: ServiceImport, *, scene: Scene) -> str:
    ports = ",".join(f"{one.port}/{one.protocol}" for one in found.spec.ports[:_MOST])
    where = ", ".join(found.spec.ips) or "its endpoints"
    return one_line(f"{found.spec.type}, {where}, ports {ports}, exported by {', '.join(scene.sources)}")


def _missing(scene: Scene) -> tuple[str, str]:
    """(why nobody has made it, what to do)."""
    importer = scene.importer
    if importer.namespace is None:
        return (
            f"there is no namespace {scene.namespace} in {importer.cluster}",
            f"kubectl --context {importer.context} create namespace {scene.namespace}",
        )
    for cluster, exporter in sorted(scene.exporters.items()):
        fault = export_fault(exporter, scene=scene)
        if fault is not None:
            return fault
        if isinstance(importer.peers, Unseen) or cluster == importer.cluster:
            continue
        if cluster not in importer.peers:
            return f"{importer.cluster} has no peer {cluster}", f"meshctl link {cluster} {importer.cluster}"
        if not isinstance(importer.records, Unseen) and cluster not in importer.records:
            return f"{cluster} exports it, and its record has not come", "run meshctl peers"
    if scene.exporters:
        return "it was not made of the records that came", "look into the controller's log"
    return "nobody exports it, as far as this cluster knows", (
        "run meshctl services, or trace with --context of the cluster that should export it"
    )


def slices(scene: Scene, *, later: Sequence[Hop]) -> Hop:
    """The shadow Service and its EndpointSlices, from which kube-proxy picks an endpoint."""
    importer = scene.importer
    shadow = f"{scene.namespace}/{shadow_service_name(namespace=scene.namespace, name=scene.name)}"
    decides = "kube-proxy, by the slices of the shadow Service"
    found = importer.imported
    behind = scene.behind
    is_headless = isinstance(found, ServiceImport) and found.spec.type == "Headless"
    if is_headless and not isinstance(importer.slices, Unseen):
        behind = importer.slices
    if isinstance(behind, Unseen):
        return _hop(scene, "slices", State.UNKNOWN, decides, behind.why, "use a context that may read them")
    sources = tuple(
        Source("EndpointSlice", "/".join(one.key), one.metadata.creation_timestamp) for one in behind[:_MOST]
    )
    if importer.shadow is None and not is_headless:
        advice = "look whether the controller runs: meshctl check"
        return _hop(
            scene,
            "slices",
            State.FAIL,
            decides,
            f"there is no shadow Service {shadow}",
            advice,
            sources=sources,
        )
    ready, total = ready_count(behind)
    if ready:
        seen = f"{ready} of {total} endpoints are ready"
        return _hop(scene, "slices", State.OK, decides, seen, sources=sources)
    seen = f"none of {total} endpoints is ready" if total else "no endpoint is listed"
    if any(hop.state is State.FAIL for hop in later):
        return _hop(scene, "slices", State.FOLLOWS, decides, seen, sources=sources)
    return _hop(scene, "slices", State.FAIL, decides, seen, "look into the controller's log", sources=sources)


def egress(scene: Scene) -> Hop:
    """Our gateways: each import has a port of its own there, which says where a connection is to go."""
    importer, decides = scene.importer, "the port, which the slices name"
    pods = importer.gateways
    if isinstance(pods, Unseen):
        return _hop(
            scene, "egress gateway", State.UNKNOWN, decides, pods.why, "use a context that may list pods"
        )
    sources = (Source("Deployment", f"{SYSTEM_NAMESPACE}/{GATEWAY}", _oldest(pods)),)
    ready = sum(pod.is_ready for pod in pods)
    count = f"{ready} of {len(pods)} gateway pods are ready"
    if not ready:
        return _hop(scene, "egress gateway", State.FAIL, decides, count, PODS, sources=sources)
    behind = scene.behind
    wanted = egress_addresses(behind) if not isinstance(behind, Unseen) else ()
    knocks = importer.knocks
    if isinstance(knocks, Unseen):
        return _hop(
            scene,
            "egress gateway",
            State.UNKNOWN if wanted else State.OK,
            decides,
            f"{count}; not dialled: {knocks.why}",
            "look at the mesh-dns pods, from which gateways are dialled",
            sources=sources,
        )
    deaf = {at: knocks[at].error for at in wanted if at in knocks and knocks[at].error}
    ports = ",".join(str(port) for port in sorted({port for _, port in wanted})[:_MOST])
    # There may be more than are dialled.
    dialled = sum(at in knocks for at in wanted)
    probe = f"{dialled - len(deaf)} of {dialled} take connections at port {ports}" if wanted else ""
    if not deaf:
        return _hop(scene, "egress gateway", State.OK, decides, count, sources=sources, probe=probe)
    (address, port), why = next(iter(deaf.items()))
    seen = f"{count}; {address}:{port}: {one_line(why)}"
    return _hop(scene, "egress gateway", State.FAIL, decides, seen, PODS, sources=sources, probe=probe)


def _oldest(pods: Sequence[PodState]) -> str:
    return min((pod.since for pod in pods if pod.since), default="")


def _hop(
    scene: Scene,
    title: str,
    state: State,
    decides: str,
    seen: str,
    next_step: str = "",
    *,
    sources: tuple[Source, ...] = (),
    probe: str = "",
) -> Hop:
    return Hop(
        title=title,
        cluster=scene.importer.cluster,
        state=state,
        decides=decides,
        seen=seen,
        sources=sources,
        probe=probe,
        next_step="" if state is State.OK else next_step,
    )
