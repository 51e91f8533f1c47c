"""What `meshctl clusters` shows. Pure: the same clusters give the same bytes.

The table is for reading and may change; JSON is a promise: keys are only ever added.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from mesh_cli.clusters.refused_claims import RefusedClaim
from mesh_cli.clusters.survey import ClusterSeen, Room
from mesh_cli.output import as_json
from mesh_cli.status.render import condition_as_json
from mesh_cli.table import age, table
from mesh_core.objects import Condition
from mesh_placement.objects import LinkToPeer, Taint

_HEAD = ("CLUSTER", "SET", "PHASE", "SEEN", "NODES", "CPU", "MEMORY", "LINKS", "TAINTS")
_WIDE = ("MODE", "APPLIED BY", "DRIVER", "KUBERNETES", "AGENT", "ACCESS", "NAMESPACE")
_CHAIN = ("HubAccepted", "Joined", "Available", "Ready")
"""Conditions of which each holds only where the one before it does."""
_NEGATIVE = {"Leaving", "TrustPending"}
"""Conditions that are bad news when they are True."""
_NO_NEWS = {("GatewayReachable", "NoPeerTells")}
"""Type and reason of what is not known because there is nobody to ask."""


def clusters_as_text(
    clusters: Sequence[ClusterSeen], *, refused: Sequence[RefusedClaim] = (), at: str, wide: bool
) -> str:
    """A line for each cluster, then what is wrong. CPU and memory: what is available, of how much."""
    notes = [note for one in clusters for note in _notes(one)]
    notes += [
        f"{one.cluster}: somebody was refused {age(one.asked, at=at)} ago: {one.reason}: {one.message}"
        for one in refused
    ]
    below = "".join(f"{note}\n" for note in notes)
    if not clusters:
        return f"no clusters\n\n{below}" if below else "no clusters\n"
    head = (*_HEAD, *_WIDE) if wide else _HEAD
    rows = ((*_row(one, at=at), *(_more(one) if wide else ())) for one in clusters)
    return table(head, rows) + "\n" + (f"\n{below}" if below else "")


def clusters_as_json(
    clusters: Iterable[ClusterSeen], *, refused: Iterable[RefusedClaim] = (), at: str
) -> str:
    """All clusters; keys in camelCase, times in RFC 3339, absent things null or empty."""
    return as_json(_body(clusters, refused, at=at))


def taint_text(taint: Taint) -> str:
    """As kubectl writes it: key=value:Effect."""
    return f"{taint.key}={taint.value}:{taint.effect}" if taint.value else f"{taint.key}:{taint.effect}"


def _row(one: ClusterSeen, *, at: str) -> tuple[str, ...]:
    room = one.room
    return (
        one.name,
        one.cluster_set,
        one.phase or "Pending",
        age(one.renewed, at=at),
        str(room.nodes) if room is not None else "",
        _share(room, "cpu"),
        _share(room, "memory"),
        _links(one.links),
        ",".join(map(taint_text, one.taints)),
    )


def _more(one: ClusterSeen) -> tuple[str, ...]:
    applied = "hub" if one.distribution == "Push" else "agent"
    access = "yes" if one.access else "no"
    return one.mode, applied, one.driver, one.kubernetes, one.agent, access, one.namespace


def _share(room: Room | None, resource: str) -> str:
    if room is None or resource not in room.total:
        return ""
    return f"{room.available.get(resource, '0')}/{room.total[resource]}"


def _links(links: Sequence[LinkToPeer] | None) -> str:
    return f"{sum(one.state == 'Up' for one in links)}/{len(links)}" if links is not None else ""


def _notes(one: ClusterSeen) -> Iterator[str]:
    """One line for each thing that is not as it should be, or waits for somebody."""
    if not one.accepted:
        key = f" (key {one.fingerprint})" if one.fingerprint else ""
        yield f"{one.name}: waits for acceptance{key}; meshctl clusters accept {one.name}"
    for condition in _bad(one):
        said = " ".join((condition.message or condition.reason).split())
        yield f"{one.name}: {condition.type}={condition.status}: {said}"
    if one.room is not None:
        yield from (f"{one.name}: {warning}" for warning in one.room.warnings)


def _bad(one: ClusterSeen) -> Iterator[Condition]:
    """What is wrong; of conditions of which each needs the one before, the first alone."""
    by_type = {condition.type: condition for condition in one.conditions}
    chain = [by_type[name] for name in _CHAIN if name in by_type and by_type[name].status != "True"]
    if one.accepted and chain:
        yield chain[0]
    for condition in one.conditions:
        if condition.type in _CHAIN or (condition.type, condition.reason) in _NO_NEWS:
            continue
        if (condition.status == "True") is (condition.type in _NEGATIVE):
            yield condition


def _body(
    clusters: Iterable[ClusterSeen], refused: Iterable[RefusedClaim], *, at: str
) -> Mapping[str, object]:
    return {
        "at": at,
        "clusters": [_cluster(one) for one in clusters],
        "refusedClaims": [
            {"cluster": one.cluster, "reason": one.reason, "message": one.message, "asked": one.asked or None}
            for one in refused
        ],
    }


def _cluster(one: ClusterSeen) -> Mapping[str, object]:
    return {
        "name": one.name,
        "clusterSet": one.cluster_set,
        "accepted": one.accepted,
        "phase": one.phase or None,
        "lastSeen": one.renewed or None,
        "leavingSince": one.leaving_since or None,
        "mode": one.mode,
        "distribution": one.distribution,
        "driver": one.driver,
        "namespace": one.namespace or None,
        "kubernetes": one.kubernetes or None,
        "agent": one.agent or None,
        "keyFingerprint": one.fingerprint or None,
        "access": one.access,
        "taints": [
            {"key": taint.key, "value": taint.value or None, "effect": taint.effect} for taint in one.taints
        ],
        "properties": {entry.name: entry.value for entry in one.properties},
        "capacity": _room(one.room) if one.room is not None else None,
        "links": [_link(link) for link in one.links or ()],
        "conditions": [condition_as_json(condition) for condition in one.conditions],
    }


def _room(room: Room) -> Mapping[str, object]:
    return {
        "nodes": room.nodes,
        "pods": room.pods,
        "total": room.total,
        "available": room.available,
        "continuous": room.continuous,
        "warnings": room.warnings,
    }


def _link(link: LinkToPeer) -> Mapping[str, object]:
    return {"cluster": link.cluster, "state": link.state, "rttMs": link.rtt_ms.p50, "loss": link.loss}
