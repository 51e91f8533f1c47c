"""Checks of what is shared: exports, imports as they arrived, and what was left behind. Pure."""

from collections.abc import Iterator
from typing import Final

from mesh_cli.check.findings import Findings
from mesh_cli.check.verdict import Observed, fail, ok, seen, unknown, warn
from mesh_cli.table import one_line
from mesh_core.import_view import is_ours
from mesh_core.membership import Membership
from mesh_core.names import (
    LABEL_ENDPOINT,
    LABEL_NAMESPACE,
    LABEL_SERVICE,
    LABEL_SERVICE_NAME,
    shadow_service_name,
)
from mesh_core.objects import Condition, EndpointSlice, Service, ServiceExport

_FEW: Final = 4
_MOST: Final = 20
"""Things of one kind that are listed; the others are counted."""


def exports(findings: Findings) -> Iterator[Observed]:
    """MESH-SVC-001."""
    found = seen(findings.exports)
    bad = 0
    for one in sorted(found, key=lambda export: export.key):
        states = {condition.type: condition for condition in one.status.conditions}
        if not states:
            advice = "look whether the controller runs: MESH-GW-002"
            yield unknown(_name(one), seen="no controller has looked at it yet", next_step=advice)
            bad += 1
        for kind in ("Valid", "Ready"):
            state = states.get(kind)
            if state is not None and state.status != "True":
                yield _complaint(one, state, is_fatal=state.status == "False")
                bad += 1
    if not bad:
        yield ok(
            "exports", seen=f"{len(found)}, all of them valid and ready" if found else "nothing is exported"
        )


def conflicts(findings: Findings) -> Iterator[Observed]:
    """MESH-SVC-002."""
    found = seen(findings.exports)
    clashes = [
        (one, state)
        for one in sorted(found, key=lambda export: export.key)
        for state in one.status.conditions
        if (state.type, state.status) == ("Conflict", "True")
    ]
    for one, state in clashes:
        yield _complaint(one, state, is_fatal=False)
    if not clashes:
        yield ok("exports", seen=f"none of {len(found)} is in conflict")


def imports(findings: Findings) -> Iterator[Observed]:
    """MESH-SVC-003."""
    membership = seen(findings.member).membership
    cluster = membership.cluster if isinstance(membership, Membership) else ""
    promised = sum(peer.status.exports for peer in seen(findings.peers))
    remote = [
        one
        for one in seen(findings.imports)
        if is_ours(one) and any(entry.cluster != cluster for entry in one.status.clusters)
    ]
    stored = len(seen(findings.records))
    absent = _without_namespace(findings)
    if promised and not stored:
        yield fail(
            "imports",
            seen=f"peers say that they export {promised} Services, and no record of one is here",
            next_step="see MESH-PEER-001 to MESH-PEER-003",
        )
    elif absent:
        told = f"peers export Services of namespaces that are not here: {_some(absent)}"
        (first, *_) = absent
        advice = f"kubectl --context {findings.context} create namespace {first}, if they are wanted here"
        yield warn("namespaces", seen=told, next_step=advice)
    elif stored and not remote:
        yield warn(
            "imports",
            seen=f"{stored} records of peers are here, and no ServiceImport of them",
            next_step="create the namespaces that they are in, if they are wanted in this cluster",
        )
    else:
        yield ok("imports", seen=f"{len(remote)} from other clusters; peers say that they export {promised}")


def _without_namespace(findings: Findings) -> dict[str, list[str]]:
    """Services of peers that cannot be imported for want of their namespace, by that namespace."""
    found: dict[str, list[str]] = {}
    there, peers = seen(findings.namespaces), {peer.metadata.name for peer in seen(findings.peers)}
    for record in sorted(seen(findings.records), key=lambda one: (one.key, one.cluster)):
        namespace, name = record.key
        if namespace not in there and record.cluster in peers:
            found.setdefault(namespace, []).append(f"{name} of {record.cluster}")
    return found


def _some(absent: dict[str, list[str]]) -> str:
    shown = [f"{one_line(name)} ({', '.join(found[:_FEW])})" for name, found in list(absent.items())[:_FEW]]
    more = f" and {len(absent) - _FEW} more" if len(absent) > _FEW else ""
    return one_line(", ".join(shown)) + more


def leftovers(findings: Findings) -> Iterator[Observed]:
    """MESH-LEFT-001."""
    known = {one.key for one in seen(findings.imports)}
    shadows = {(namespace, shadow_service_name(namespace=namespace, name=name)) for namespace, name in known}
    left = [f"Service {_name(one)}" for one in seen(findings.shadows) if not _is_wanted(one, known, shadows)]
    left += [f"EndpointSlice {_name(one)}" for one in seen(findings.slices) if _import_of(one) not in known]
    for name in sorted(left)[:_MOST]:
        yield warn(
            name,
            seen="is ours and belongs to no ServiceImport",
            next_step="look whether the controller runs; if it stays, delete it",
        )
    if len(left) > _MOST:
        yield warn("others", seen=f"{len(left) - _MOST} more of them", next_step="delete them too")
    if not left:
        yield ok("derived objects", seen="each Service and EndpointSlice of ours belongs to a ServiceImport")


def orphans(findings: Findings) -> Iterator[Observed]:
    """MESH-LEFT-002."""
    peers = {peer.metadata.name for peer in seen(findings.peers)}
    counts: dict[str, int] = {}
    for record in seen(findings.records):
        if record.cluster not in peers:
            counts[record.cluster] = counts.get(record.cluster, 0) + 1
    for lease in seen(findings.leases):
        name = lease.metadata.name
        if name.startswith("peer-") and name.removeprefix("peer-") not in peers:
            counts.setdefault(name.removeprefix("peer-"), 0)
    for cluster, count in sorted(counts.items()):
        yield warn(
            cluster,
            seen=f"has no MeshPeer here, but {count} records"
            if count
            else "has no MeshPeer here, but a Lease",
            next_step="look whether the controller runs: it removes what a peer that is gone has left",
        )
    if not counts:
        yield ok("records", seen="all are of clusters that have a MeshPeer")


def _complaint(one: ServiceExport, state: Condition, *, is_fatal: bool) -> Observed:
    told = f"{state.type} is {state.status}, {state.reason}: {one_line(state.message)}"
    advice, since = "do what the message says", state.last_transition_time
    if state.type == "Conflict":
        take_back = f"meshctl unexport {one.metadata.name} -n {one.metadata.namespace}"
        advice = f"make the exports alike (docs/conflicts.md), or take one back: {take_back}, in its cluster"
    judge = fail if is_fatal else warn
    return judge(_name(one), seen=told, next_step=advice, since=since)


def _is_wanted(service: Service, known: set[tuple[str, str]], shadows: set[tuple[str, str]]) -> bool:
    labels = service.metadata.labels
    if LABEL_ENDPOINT in labels:
        return (labels.get(LABEL_NAMESPACE, ""), labels.get(LABEL_SERVICE, "")) in known
    return service.key in shadows


def _import_of(piece: EndpointSlice) -> tuple[str, str]:
    """The import that a slice of ours is for."""
    labels, namespace = piece.metadata.labels, piece.metadata.namespace
    if LABEL_ENDPOINT in labels and LABEL_NAMESPACE in labels:
        return labels[LABEL_NAMESPACE], labels.get(LABEL_SERVICE, "")
    return namespace, labels.get(LABEL_SERVICE_NAME) or labels.get(LABEL_SERVICE, "")


def _name(one: ServiceExport | Service | EndpointSlice) -> str:
    return "/".join(one.key)
