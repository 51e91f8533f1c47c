"""The hops towards one exporter: the tunnel to its gateways, what they let in, its endpoints. Pure."""

import json
from collections import Counter
from collections.abc import Iterable
from typing import Final

from mesh_cli.check.verdict import Unseen
from mesh_cli.table import one_line
from mesh_cli.trace.hop import Hop, Source, State
from mesh_cli.trace.scene import Exporter, PodState, Scene, ready_count
from mesh_core.allow import allow_of
from mesh_core.export import READY
from mesh_core.names import ANNOTATION_ALLOW, ANNOTATION_READY_ENDPOINTS, GATEWAY, SYSTEM_NAMESPACE
from mesh_core.objects import Condition, EndpointSlice, MeshPeer
from mesh_core.peer_status import CONNECTED
from mesh_core.reach import REACHABLE
from mesh_core.service_probe import GOOD, SAY_NOTHING, Found, found_in

AT_THE_TUNNEL: Final = frozenset({Found.NO_PEER, Found.UNREACHABLE, Found.NOT_TRUSTED, Found.TIMEOUT})
AT_THE_DOOR: Final = frozenset(
    {Found.NOT_EXPORTED, Found.NOT_ALLOWED, Found.OVERLOAD, Found.STOPPING, Found.REFUSED}
)
AT_THE_ENDPOINTS: Final = frozenset({Found.NO_ENDPOINT, Found.ENDPOINT_FAILED, Found.EXTERNAL_ADDRESS})
"""At which hop a gateway's try ended, by its word. Together with the good ones and those that say nothing
these are all words."""

_ADVICE: Final = {
    Found.NO_PEER: "meshctl link the two clusters",
    Found.UNREACHABLE: "look whether the peer's gateways run, and can be dialled from here",
    Found.NOT_TRUSTED: "meshctl trust status in both clusters",
    Found.TIMEOUT: "look whether the peer's gateways run, and can be dialled from here",
    Found.NOT_EXPORTED: "meshctl export it there",
    Found.NOT_ALLOWED: "meshctl export it there with --to this cluster",
    Found.NO_ENDPOINT: "look why its pods are not ready",
    Found.ENDPOINT_FAILED: "look whether its pods listen on the targetPort, and for NetworkPolicies",
    Found.EXTERNAL_ADDRESS: "its endpoints are no pods: see --allow-external in docs/names.md",
}
_AGAIN: Final = "try again; if it stays, look into the log of the peer's gateways"


def tunnel(scene: Scene, cluster: str) -> Hop:
    """The way to the peer's gateways."""
    importer, direct = scene.importer, scene.is_direct(cluster)
    title = "common network" if direct else "tunnel"
    decides = "the network that both are on" if direct else "MeshPeer, and TLS between the gateways"
    if isinstance(importer.peers, Unseen):
        advice = "use a context that may read MeshPeers"
        return _hop(scene, cluster, title, State.UNKNOWN, decides, importer.peers.why, advice)
    peer = importer.peers.get(cluster)
    if peer is None:
        seen = f"{importer.cluster} has no MeshPeer {cluster}"
        return _hop(scene, cluster, title, State.FAIL, decides, seen, _ADVICE[Found.NO_PEER])
    reachable = next((one for one in peer.status.conditions if one.type == REACHABLE), None)
    sources = (Source("MeshPeer", cluster, reachable.last_transition_time if reachable else ""),)
    state, seen, advice = _reached(scene, cluster, reachable=reachable, peer=peer)
    return _hop(
        scene, cluster, title, state, decides, seen, advice, sources=sources, probe=_words(scene, cluster)
    )


def _reached(
    scene: Scene, cluster: str, *, reachable: Condition | None, peer: MeshPeer
) -> tuple[State, str, str]:
    results = _results(scene, cluster)
    words = [found for found, _ in results]
    here = scene.importer.gateways
    if not isinstance(here, Unseen) and not any(pod.is_ready for pod in here):
        return State.FOLLOWS, "no gateway here could try", ""
    ended = [(found, text) for found, text in results if found in AT_THE_TUNNEL]
    if ended:
        found, text = ended[0]
        count = f"{len(ended)} of {len(words)} gateways do not get there: {text}"
        # Whose gateways do not run cannot be reached: what is to be done is done there. Of an export that is
        # missing, too, the way there is broken all the same.
        follows = found in (Found.UNREACHABLE, Found.TIMEOUT) and _is_deserted(scene, cluster)
        return (State.FOLLOWS, count, "") if follows else (State.FAIL, count, _ADVICE[found])
    said = one_line(reachable.message) if reachable is not None else "no gateway has said anything"
    if any(found not in SAY_NOTHING for found in words):
        tunnels = sum(one.tunnel == "Up" for one in peer.status.gateways)
        return State.OK, f"reached; {tunnels} of {len(peer.status.gateways)} gateways hold a tunnel", ""
    match reachable.status if reachable is not None else "Unknown":
        case "False":
            return (
                (State.FOLLOWS if _is_deserted(scene, cluster) else State.FAIL),
                said,
                _ADVICE[Found.UNREACHABLE],
            )
        case "True" if words:
            return State.OK, said, ""
        case _:
            return State.UNKNOWN, said, "look at the gateways here: meshctl gateways"


def ingress(scene: Scene, cluster: str) -> Hop:
    """The exporter's gateways, and whether they let this cluster in to this Service."""
    title, decides = "ingress gateway", "ServiceExport, and its annotation meshctl.dev/allow"
    exporter = scene.exporters.get(cluster)
    sources: tuple[Source, ...] = ()
    if exporter is not None:
        fault = export_fault(exporter, scene=scene)
        if exporter.export is not None and not isinstance(exporter.export, Unseen):
            ready = _condition(exporter.export.status.conditions, READY)
            since = ready.last_transition_time if ready else exporter.export.metadata.creation_timestamp
            sources = (Source("ServiceExport", "/".join(exporter.export.key), since),)
        gateways = exporter.gateways
        if not isinstance(gateways, Unseen) and _is_deserted(scene, cluster):
            seen = f"0 of {len(gateways)} gateway pods are ready"
            advice = f"kubectl --context {exporter.context} -n {SYSTEM_NAMESPACE} describe pods"
            sources = (Source("Deployment", f"{SYSTEM_NAMESPACE}/{GATEWAY}"), *sources)
            return _hop(scene, cluster, title, State.FAIL, decides, seen, advice, sources=sources, at=cluster)
        if fault is not None:
            return _hop(scene, cluster, title, State.FAIL, decides, *fault, sources=sources, at=cluster)
    refused = [(found, text) for found, text in _results(scene, cluster) if found in AT_THE_DOOR]
    if refused:
        why = _at_the_door(scene, cluster, *refused[0])
        return _hop(scene, cluster, title, State.FAIL, decides, *why, sources=sources, at=cluster)
    passed = [found for found, _ in _results(scene, cluster) if found in GOOD | AT_THE_ENDPOINTS]
    if passed:
        part = "; who may depends on the pod that calls" if Found.OK_IN_PART in passed else ""
        return _hop(
            scene,
            cluster,
            title,
            State.OK,
            decides,
            f"it lets this cluster in{part}",
            sources=sources,
            at=cluster,
        )
    seen = "it was not seen, and no gateway's try got there"
    advice = "" if exporter is not None else f"give --context of {cluster} too"
    return _hop(
        scene, cluster, title, State.UNKNOWN, decides, seen, advice or _AGAIN, sources=sources, at=cluster
    )


def _at_the_door(scene: Scene, cluster: str, found: Found, text: str) -> tuple[str, str]:
    """What was seen, and the next step. A gateway refuses without a word; a controller is told why."""
    peers = scene.importer.peers
    peer = None if isinstance(peers, Unseen) else peers.get(cluster)
    connected = _condition(peer.status.conditions, CONNECTED) if peer is not None else None
    if found is Found.REFUSED and connected is not None and connected.status == "False":
        advice = "meshctl check --only MESH-TRUST,MESH-PEER with the contexts of both"
        return f"{text}; MeshPeer {cluster} says: {one_line(connected.message)}", advice
    return text, _ADVICE.get(found, _AGAIN)


def endpoints(scene: Scene, cluster: str) -> Hop:
    """The endpoints in the cluster that exports, and its pods."""
    title, decides = "endpoints", "the Service's selector, and the readiness of its pods"
    exporter = scene.exporters.get(cluster)
    own = cluster == scene.importer.cluster
    pieces: tuple[EndpointSlice, ...] | None = (
        scene.slices_of(cluster) if own or scene.is_direct(cluster) else None
    )
    pods = ""
    if exporter is not None:
        pieces = exporter.slices if not isinstance(exporter.slices, Unseen) else pieces
        pods = _pods(exporter)
    probe = _words(scene, cluster, only=GOOD | AT_THE_ENDPOINTS)
    bad = [(found, text) for found, text in _results(scene, cluster) if found in AT_THE_ENDPOINTS]
    sources = tuple(
        Source("EndpointSlice", "/".join(one.key), one.metadata.creation_timestamp)
        for one in (pieces or ())[:6]
    )
    if pieces is not None:
        ready, total = ready_count(pieces)
        seen = f"{ready} of {total} endpoints are ready{pods}"
        if not ready:
            advice = _look(exporter, scene=scene)
            return _hop(
                scene,
                cluster,
                title,
                State.FAIL,
                decides,
                seen,
                advice,
                sources=sources,
                probe=probe,
                at=cluster,
            )
    elif (noted := _noted(scene, cluster)) is not None:
        seen = f"{cluster} says that it has {noted} ready"
        if not noted:
            advice = _ADVICE[Found.NO_ENDPOINT]
            return _hop(scene, cluster, title, State.FAIL, decides, seen, advice, probe=probe, at=cluster)
    else:
        seen = "they were not seen"
    if bad:
        found, text = bad[0]
        return _hop(
            scene,
            cluster,
            title,
            State.FAIL,
            decides,
            text,
            _ADVICE[found],
            sources=sources,
            probe=probe,
            at=cluster,
        )
    tried = any(found in GOOD for found, _ in _results(scene, cluster))
    state = State.OK if tried or pieces is not None else State.UNKNOWN
    advice = f"give --context of {cluster} too"
    return _hop(scene, cluster, title, state, decides, seen, advice, sources=sources, probe=probe, at=cluster)


def export_fault(exporter: Exporter, *, scene: Scene) -> tuple[str, str] | None:
    """(why this cluster does not export it, what to do); None when it does or was not seen."""
    name = f"{scene.namespace}/{scene.name}"
    if isinstance(exporter.export, Unseen):
        return None
    if exporter.export is None:
        return (
            f"{exporter.cluster} has no ServiceExport {name}",
            f"meshctl export {scene.name} -n {scene.namespace} --context {exporter.context}",
        )
    ready = _condition(exporter.export.status.conditions, READY)
    if ready is None:
        return f"no controller in {exporter.cluster} has looked at its export", "run meshctl check there"
    if ready.status != "True":
        what, _, advice = one_line(ready.message).partition("; ")
        return (
            f"{exporter.cluster} withholds it ({ready.reason}): {what}",
            advice or "correct the export there",
        )
    return _excluded(exporter, scene=scene)


def _excluded(exporter: Exporter, *, scene: Scene) -> tuple[str, str] | None:
    """Of an export that is for others; whom it is for is asked of the cluster alone, not of the pod."""
    here = scene.importer.cluster
    if exporter.export is None or isinstance(exporter.export, Unseen) or exporter.cluster == here:
        return None
    allow = exporter.export.metadata.annotations.get(ANNOTATION_ALLOW)
    if allow is None or allow_of(one.strip() for one in allow.split(",")).names(here):
        return None
    words = f"-n {scene.namespace} --to {here} --context {exporter.context}"
    return (
        f"{exporter.cluster} exports it to {one_line(allow)} alone ({ANNOTATION_ALLOW}), not to {here}",
        f"meshctl export {scene.name} {words}, with whom else it is for",
    )


def _is_deserted(scene: Scene, cluster: str) -> bool:
    """Whether no gateway of the exporter was seen to run."""
    exporter = scene.exporters.get(cluster)
    gateways = exporter.gateways if exporter is not None else Unseen("")
    return not isinstance(gateways, Unseen) and not any(pod.is_ready for pod in gateways)


def _results(scene: Scene, cluster: str) -> list[tuple[Found, str]]:
    probes = scene.importer.probes
    found = () if isinstance(probes, Unseen) else probes.get(cluster, ())
    return [(found_in(one.result), one_line(one.result)) for one in found]


def _words(scene: Scene, cluster: str, *, only: frozenset[Found] | None = None) -> str:
    """What the gateways' tries said, each word once."""
    counts = Counter(found.value for found, _ in _results(scene, cluster) if only is None or found in only)
    return ", ".join(f"{word} of {count} gateway{'s'[: count > 1]}" for word, count in sorted(counts.items()))


def _noted(scene: Scene, cluster: str) -> int | None:
    """How many endpoints the exporter says to have ready, by the importer's slices."""
    for piece in scene.slices_of(cluster):
        try:
            counts = json.loads(piece.metadata.annotations.get(ANNOTATION_READY_ENDPOINTS, ""))
            return max((int(count) for count in counts.values()), default=0)
        except (ValueError, TypeError, OverflowError, AttributeError, RecursionError):
            continue
    return None


def _pods(exporter: Exporter) -> str:
    if isinstance(exporter.pods, Unseen):
        return ""
    late = [pod.name for pod in exporter.pods if not pod.is_ready]
    more = f", not ready: {', '.join(late[:3])}" if late else ""
    return f", {_count(exporter.pods)} pods are{more}"


def _count(pods: Iterable[PodState]) -> str:
    states = [pod.is_ready for pod in pods]
    return f"{sum(states)} of {len(states)}"


def _look(exporter: Exporter | None, *, scene: Scene) -> str:
    if exporter is None:
        return _ADVICE[Found.NO_ENDPOINT]
    ask = f"kubectl --context {exporter.context} -n {scene.namespace} get"
    if exporter.pods == ():
        return f"its selector fits no pod: {ask} service {scene.name} -o wide, and pods --show-labels"
    return f"{ask} pods, and describe those not ready"


def _condition(conditions: Iterable[Condition], kind: str) -> Condition | None:
    return next((one for one in conditions if one.type == kind), None)


def _hop(
    scene: Scene,
    via: str,
    title: str,
    state: State,
    decides: str,
    seen: str,
    next_step: str = "",
    *,
    sources: tuple[Source, ...] = (),
    probe: str = "",
    at: str = "",
) -> Hop:
    return Hop(
        title=title,
        cluster=at or scene.importer.cluster,
        via=via,
        state=state,
        decides=decides,
        seen=seen,
        sources=sources,
        probe=probe,
        next_step="" if state in (State.OK, State.FOLLOWS) else next_step,
    )
