"""Who on the way of a name disagrees, and why. Pure.

1. Everybody is compared with what the API server's objects say, by the very code that mesh-dns answers with.
2. Who only passes on what somebody before it got wrong is told as such, so that the first cause stands out.
3. A cause is named from what was seen; where nothing explains it, the finding says what can be looked at.
"""

from collections.abc import Iterator

from mesh_cli.check.verdict import Unseen
from mesh_cli.dns.corefile import reloads
from mesh_cli.dns.reply import Reply
from mesh_cli.dns.way import Finding, NotAllowed, Part, Step, Way
from mesh_cli.dns.zone import JOIN, NOBODY, By, CoreDnsConfig, Served, fault, served
from mesh_core.names import CLUSTERSET_ZONE, DNS, SYSTEM_NAMESPACE

COREFILE = "ConfigMap kube-system/coredns"
STALE = 150.0
"""Seconds without a word from the API server after which a mesh-dns pod is told to be old: its watches are
refreshed sooner.
"""

_NODE_LOCAL = "169.254."


def findings(way: Way) -> tuple[Finding, ...]:
    """All who disagree or did not answer, in the order of the way; none when all is well."""
    reference = way.reference
    found: list[Finding] = []
    for step in way.steps:
        if isinstance(step.said, Unseen):
            found.append(_silent(step, step.said, way=way, before=found))
        elif reference is None or not isinstance(reference.said, Reply):
            continue
        elif not step.said.agrees_with(reference.said):
            found.append(_wrong(step, step.said, way=way, before=found))
    return tuple(found)


def notes(way: Way) -> Iterator[str]:
    """What is worth knowing although nobody need disagree for it."""
    if way.denied:
        yield way.denied
    yield from way.aside
    for step in way.steps:
        if step.part is Part.MESH_POD and (step.itself.age or 0.0) > STALE:
            yield f"{step} has not heard the API server for {step.itself.age:.0f} s: what it says may be old"
    if isinstance(way.set_up.config, Unseen):
        yield f"{COREFILE} was not seen: {way.set_up.config.why}"
    elif way.set_up.config is None:
        yield f"there is no {COREFILE}: how cluster DNS is set up was not looked at"
    elif _cached(way):
        where = _served(way).where
        yield f"{where}: the block for {CLUSTERSET_ZONE} has a cache, so answers may be 5 s old and more"
    if way.set_up.has_node_local:
        yield "NodeLocal DNSCache runs here: pods ask it first, and it keeps answers for 5 s or more"


def _silent(step: Step, unseen: Unseen, *, way: Way, before: list[Finding]) -> Finding:
    """Somebody gave no answer."""
    if isinstance(unseen, NotAllowed):
        return Finding(step, unseen.why, _right(step))
    match step.part:
        case Part.MESH_SERVICE if way.set_up.wanted and _any(before, Part.MESH_POD):
            return Finding(
                step,
                f"{unseen.why}; the pods behind it do not answer as they should",
                "see to the pods named before",
            )
        case Part.DNS_POD | Part.DNS_SERVICE if (cause := _set_up_fault(way)) is not None:
            return Finding(step, f"{unseen.why}; {cause[0]}", cause[1])
        case Part.API:
            return Finding(step, unseen.why, _right(step))
        case Part.MESH_POD if not step.name:
            return Finding(step, unseen.why, JOIN)
        case Part.MESH_POD:
            return Finding(step, unseen.why, f"look at it with kubectl -n {SYSTEM_NAMESPACE} describe pods")
        case Part.MESH_SERVICE if not way.set_up.wanted:
            return Finding(step, unseen.why, JOIN)
        case Part.MESH_SERVICE:
            return Finding(step, unseen.why, "look whether its pods are ready, and kube-proxy on their nodes")
        case _:
            return Finding(step, unseen.why, "look whether it runs, and whether it can be reached")


def _right(step: Step) -> str:
    """What lacks to be allowed to ask."""
    match step.part:
        case Part.API:
            what = "read ServiceImports and EndpointSlices"
        case Part.MESH_POD | Part.DNS_POD if step.name:
            what = "portforward to that pod (get and create of pods/portforward)"
        case Part.MESH_POD | Part.DNS_POD:
            what = "list pods there"
        case _ if step.where:
            what = "exec in that pod (get and create of pods/exec)"
        case _:
            what = "read Services there"
    return f"ask with a context that may {what}"


def _wrong(step: Step, said: Reply, *, way: Way, before: list[Finding]) -> Finding:
    """Somebody says something else than the API server's objects."""
    match step.part:
        case Part.API | Part.MESH_POD:
            return _stale(step, said)
        case Part.MESH_SERVICE:
            return _passed_on(step, said, before=before) or Finding(
                step,
                f"says {said}, which none of its pods says: somebody else answers at its address",
                f"compare the endpoints of Service {SYSTEM_NAMESPACE}/{DNS} with its pods",
            )
        case Part.DNS_POD:
            return _cluster_dns(step, said, way=way, before=before)
        case Part.DNS_SERVICE:
            return _cluster_service(step, said, way=way, before=before)
        case Part.POD:
            return _pod(step, said, way=way, before=before)


def _stale(step: Step, said: Reply) -> Finding:
    if said.rcode == "SERVFAIL":
        why = "says SERVFAIL: it has seen no complete list of names yet"
    elif step.itself.state == "snapshot":
        why = (
            f"says {said}: stale, it goes by its snapshot and has not reached the API server since it started"
        )
    elif step.itself.age is not None:
        why = f"says {said}: stale, it last heard the API server {step.itself.age:.0f} s ago"
    else:
        why = f"says {said}: stale, it has not heard the API server's latest changes"
    return Finding(step, why, "look into its log why it does not reach the API server, or delete that pod")


def _passed_on(step: Step, said: Reply, *, before: list[Finding]) -> Finding | None:
    """When it only says what somebody before it on the way got wrong."""
    for one in before:
        if isinstance(one.step.said, Reply) and one.step.said.agrees_with(said):
            return Finding(step, f"says {said}: passes on what {one.step} says", f"see to {one.step} first")
    return None


def _cluster_dns(step: Step, said: Reply, *, way: Way, before: list[Finding]) -> Finding:
    cause = _set_up_fault(way)
    if cause is not None:
        return Finding(step, f"says {said}: {cause[0]}", cause[1])
    passed = _passed_on(step, said, before=before)
    if passed is not None:
        return passed
    if _cached(way):
        why = f"says {said}: the plugin cache in the block for {CLUSTERSET_ZONE} keeps an older answer"
        return Finding(step, why, f"take the line cache out of that block in {_served(way).where}")
    config = way.set_up.config
    if isinstance(config, CoreDnsConfig) and not reloads(config.corefile):
        why = f"says {said}: it does not reload its Corefile, so it may go by an older one"
        return Finding(step, why, "kubectl -n kube-system rollout restart deployment coredns")
    if isinstance(config, CoreDnsConfig):
        why = f"says {said}: its Corefile is right, so it has not taken it up yet, or mesh-dns did not answer"
        return Finding(step, why, "ask again in a minute, then look into its log")
    return Finding(
        step,
        f"says {said}: it does not send {CLUSTERSET_ZONE} to mesh-dns, or keeps an older answer",
        "run meshctl join again, which says what to write for this kind of cluster DNS",
    )


def _cluster_service(step: Step, said: Reply, *, way: Way, before: list[Finding]) -> Finding:
    passed = _passed_on(step, said, before=before)
    if passed is not None:
        return passed
    if way.set_up.has_node_local:
        why = f"says {said}, and no cluster DNS pod does: NodeLocal DNSCache answers in between"
        return Finding(step, why, f"give it a server block for {CLUSTERSET_ZONE} (docs/names.md)")
    if not any(one.part is Part.DNS_POD for one in way.steps):
        return _cluster_dns(step, said, way=way, before=before)
    why = f"says {said}, and no cluster DNS pod does: somebody else answers at its address"
    return Finding(step, why, "compare its endpoints with the pods of cluster DNS")


def _pod(step: Step, said: Reply, *, way: Way, before: list[Finding]) -> Finding:
    passed = _passed_on(step, said, before=[one for one in before if one.step.part is Part.DNS_SERVICE])
    if passed is not None:
        return passed
    servers = way.pod_view.servers if way.pod_view is not None else ()
    shown = ", ".join(servers) or "none"
    if any(one.startswith(_NODE_LOCAL) for one in servers):
        why = f"finds {said}: it asks NodeLocal DNSCache ({shown}), and cluster DNS says otherwise"
        return Finding(
            step, why, f"give NodeLocal DNSCache a server block for {CLUSTERSET_ZONE} (docs/names.md)"
        )
    if servers and not set(servers) & set(way.set_up.cluster_dns):
        why = f"finds {said}: it does not ask cluster DNS, its resolv.conf has {shown}"
        return Finding(step, why, "look at dnsPolicy and dnsConfig of the pod")
    why = f"finds {said}, and cluster DNS says otherwise: its own resolver or a cache in the pod"
    return Finding(
        step, why, "look at the pod's resolv.conf (options ndots) and for nscd, or ask again in 10 s"
    )


def _set_up_fault(way: Way) -> tuple[str, str] | None:
    """(what is wrong with the Corefile, what to do); None when it is right or not known."""
    if not isinstance(way.set_up.config, CoreDnsConfig):
        return None
    found = _served(way)
    if found.by is By.MULTICLUSTER:
        return "it answers by its own option multicluster (docs/names.md has the differences)", (
            "wait until it has caught up, or run meshctl join again with --dns-stub"
        )
    wrong = fault(found, wanted=way.set_up.wanted)
    return (f"{wrong.what} ({found.where})", wrong.next_step) if wrong is not None else None


def _cached(way: Way) -> bool:
    found = _served(way)
    return found.by is not By.MULTICLUSTER and found.block is not None and "cache" in found.block.plugins


def _served(way: Way) -> Served:
    config = way.set_up.config
    return served(config) if isinstance(config, CoreDnsConfig) else NOBODY


def _any(before: list[Finding], part: Part) -> bool:
    return any(one.step.part is part and not isinstance(one.step.said, NotAllowed) for one in before)
