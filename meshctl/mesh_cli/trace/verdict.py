"""From what was seen along the way to hops, each with how it stands and why. Pure.

1. OK is said of what was seen. What could not be looked at is UNKNOWN.
2. A hop that does not work because of one further on says so (FOLLOWS): slices have no ready endpoint where
   the exporter has none, and a peer cannot be reached whose gateways do not run.
3. Words of gateways that tried the whole way (`mesh_core.service_probe`) speak of the hop at which they
   ended, and well of every hop before it.
"""

from collections.abc import Iterator

from mesh_cli.check.verdict import Unseen
from mesh_cli.dns.verdict import findings
from mesh_cli.dns.way import NotAllowed, Way
from mesh_cli.table import one_line
from mesh_cli.trace.exporting import endpoints, ingress, tunnel
from mesh_cli.trace.hop import Hop, Source, State, Verdict, verdict_of
from mesh_cli.trace.importing import egress, imported, slices
from mesh_cli.trace.scene import Scene


def judge(scene: Scene) -> Verdict:
    """All hops, as far as there is a way."""
    return verdict_of(list(_hops(scene)))


def _hops(scene: Scene) -> Iterator[Hop]:
    yield _name(scene)
    found = imported(scene)
    yield found
    if found.state is not State.OK:
        return
    later = [hop for cluster in scene.sources for hop in _of_exporter(scene, cluster)]
    gateway = egress(scene) if any(not _is_local(scene, one) for one in scene.sources) else None
    before = [slices(scene, later=[*([gateway] if gateway else []), *later])]
    before += [gateway] if gateway else []
    yield from before
    yield from later
    yield _call(scene, before=[*before, *later])


def _is_local(scene: Scene, cluster: str) -> bool:
    return cluster == scene.importer.cluster or scene.is_direct(cluster)


def _of_exporter(scene: Scene, cluster: str) -> list[Hop]:
    last = endpoints(scene, cluster)
    if cluster == scene.importer.cluster:
        return [last]
    door = ingress(scene, cluster)
    return [tunnel(scene, cluster), last if scene.is_direct(cluster) else door] + (
        [] if scene.is_direct(cluster) else [last]
    )


def _name(scene: Scene) -> Hop:
    """DNS: everybody on the way of the name says what the objects say."""
    way = scene.importer.dns
    title, decides = "name", "cluster DNS and its stub, mesh-dns, the ServiceImport"
    cluster = scene.importer.cluster
    if isinstance(way, Unseen):
        advice = "run meshctl dns query with a context that may"
        return Hop(
            title=title, cluster=cluster, state=State.UNKNOWN, decides=decides, seen=way.why, next_step=advice
        )
    sources = (Source("ConfigMap", "kube-system/coredns"), Source("Service", "meshctl-system/meshctl-dns"))
    wrong = findings(way)
    blamed = next((one for one in wrong if not isinstance(one.step.said, NotAllowed)), None)
    state = State.FAIL if blamed else State.UNKNOWN if wrong else State.OK
    finding = blamed or next(iter(wrong), None)
    return Hop(
        title=title,
        cluster=cluster,
        state=state,
        decides=decides,
        sources=sources,
        seen=_said(way) if finding is None else f"{finding.step} {finding.why}",
        probe=f"{len(way.steps)} asked",
        next_step=finding.next_step if finding is not None else "",
    )


def _said(way: Way) -> str:
    reference = way.reference
    said = str(reference.said) if reference is not None else "nothing"
    return f"everybody says {said}"


def _call(scene: Scene, *, before: list[Hop]) -> Hop:
    """The whole way: a connection to the name's own address and port."""
    knocked, importer = scene.importer.call, scene.importer
    if isinstance(knocked, Unseen):
        return _called(scene, State.UNKNOWN, knocked.why, next_step="call it from a pod of yours")
    where = f"from {importer.caller}" if importer.caller else ""
    if not knocked.error and not knocked.ended:
        # The egress gateway takes every connection, and may try for seconds before it gives up.
        seen = "a connection was taken and kept"
        if any(_carries(before, via=one) for one in scene.sources):
            return _called(scene, State.OK, seen, probe=where)
        return _called(scene, State.FOLLOWS, f"{seen}, by the gateway here", probe=where)
    seen = f"a connection failed: {one_line(knocked.error) or 'it was ended at once'}"
    if any(hop.state in (State.FAIL, State.FOLLOWS) for hop in before):
        return _called(scene, State.FOLLOWS, seen, probe=where)
    advice = "look for NetworkPolicies, and into the application's own log"
    return _called(scene, State.FAIL, seen, probe=where, next_step=advice)


def _called(scene: Scene, state: State, seen: str, *, probe: str = "", next_step: str = "") -> Hop:
    return Hop(
        title="call",
        cluster=scene.importer.cluster,
        state=state,
        decides="all of the above",
        seen=seen,
        probe=probe,
        next_step=next_step,
    )


def _carries(hops: list[Hop], *, via: str) -> bool:
    """Whether nothing speaks against the way to that exporter."""
    return not any(hop.state in (State.FAIL, State.FOLLOWS) for hop in hops if hop.via in ("", via))
