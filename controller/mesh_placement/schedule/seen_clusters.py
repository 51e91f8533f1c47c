"""One registered cluster, with its room, ways and exports, as the scheduler sees it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from operator import is_
from typing import Final

from mesh_placement.decide.gateway_reach import GATEWAY_REACHABLE
from mesh_placement.decide.phase import READY, unmet_gates
from mesh_placement.decide.quantity import Rounding, thousandths
from mesh_placement.decide.rights import namespace_of
from mesh_placement.decide.shapes import FreeShape
from mesh_placement.objects import (
    ClusterCapacity,
    ClusterCapacityStatus,
    ClusterLink,
    ClusterRegistration,
    Phase,
)
from mesh_placement.objects.standings import NotedStanding
from mesh_placement.schedule.network.standing import IN_PHASES
from mesh_placement.schedule.snapshot import Cluster, Export, HeldTaint, Link, Room

_HEARD: Final[frozenset[Phase]] = frozenset(("Available", "Ready", "Joined", "Suspect"))
"""Phases in which the agent speaks: what it said is as fresh as its Lease."""


@dataclass(frozen=True, slots=True)
class ClusterRows:
    """A registration with the rows that its agent writes."""

    registration: ClusterRegistration
    capacity: ClusterCapacity | None = None
    link: ClusterLink | None = None

    @property
    def namespace(self) -> str:
        """Of the cluster, on the hub."""
        return namespace_of(self.registration)


@dataclass(frozen=True, slots=True)
class SeenRows:
    """What the scheduler sees of one cluster."""

    cluster: Cluster
    links: tuple[Link, ...]
    exports: tuple[Export, ...]


_Objects = tuple[ClusterRegistration, ClusterCapacity | None, ClusterLink | None]


class _Last:
    """What was seen last, by the objects that it was made of."""

    def __init__(self) -> None:
        # One value, put there at once: snapshots may be made in threads.
        self.seen: Mapping[str, tuple[_Objects, SeenRows]] = {}


_LAST = _Last()


def seen_rows(rows: Iterable[ClusterRows]) -> list[SeenRows]:
    """All of them. Where a cache still has the same objects the very same rows are given again, so that what
    was worked out of them holds on (`row_facts`, `link_index`)."""
    before, seen, found = _LAST.seen, {}, []
    for one in rows:
        name, objects = one.registration.metadata.name, (one.registration, one.capacity, one.link)
        kept = before.get(name)
        if kept is None or not all(map(is_, kept[0], objects)):
            kept = objects, SeenRows(seen_cluster(one), tuple(link_rows(one)), tuple(export_rows(one)))
        seen[name] = kept
        found.append(kept[1])
    _LAST.seen = seen
    return found


def seen_cluster(rows: ClusterRows) -> Cluster:
    """The cluster itself, with the standing that was noted last: to tell it now takes all clusters
    (`network.judging`). One that is being deleted is Leaving, whatever was written of it last."""
    one, status = rows.registration, rows.registration.status
    is_leaving = one.metadata.deletion_timestamp is not None
    own = {(taint.key, taint.effect) for taint in one.spec.taints}
    taints = (*one.spec.taints, *(each for each in status.taints if (each.key, each.effect) not in own))
    noted = status.standing if status.phase in IN_PHASES and not is_leaving else None
    told = rows.capacity.status if rows.capacity is not None else ClusterCapacityStatus()
    return Cluster(
        name=one.metadata.name,
        cluster_set=one.spec.cluster_set,
        phase="Leaving" if is_leaving else status.phase,
        accepted=one.spec.accepted,
        unmet_gates=tuple(sorted(gate.condition_type for gate in unmet_gates(one))),
        taints=tuple(
            HeldTaint(each.key, each.effect, each.value, moment(each.time_added))
            for each in sorted(taints, key=lambda each: (each.key, each.effect))
        ),
        properties={each.name: each.value for each in status.agent.properties},
        apis=tuple(sorted(status.agent.apis)),
        namespaces=told.namespaces,
        storage_classes=told.storage_classes,
        room=_room(rows),
        standing=noted.verdict if noted is not None else "Ok",
        standing_since=moment(noted.since) if noted is not None else None,
        stable_since=_stable_since(one, noted),
    )


def link_rows(rows: ClusterRows) -> Iterable[Link]:
    """Its ways to peers, in the order of their names."""
    if rows.link is None:
        return
    for one in sorted(rows.link.status.peers, key=lambda one: one.cluster):
        rtt = one.rtt_ms
        yield Link(
            source=rows.registration.metadata.name,
            target=one.cluster,
            state=one.state,
            is_fresh=_is_heard(rows),
            ewma=rtt.ewma or None,  # 0 is what is written where nothing was measured
            p50=rtt.p50 or None,
            p99=rtt.p99 or None,
            loss=one.loss,
            headroom=one.headroom,
            cert_not_after=moment(one.cert_not_after) or None,
        )


def export_rows(rows: ClusterRows) -> Iterable[Export]:
    """What it exports."""
    for one in rows.link.status.exports if rows.link is not None else ():
        cluster = rows.registration.metadata.name
        yield Export(
            cluster,
            one.service,
            one.ready,
            one.conflict,
            allowed=one.allowed,
            is_fresh=_is_heard(rows),
            local_first=one.local_first,
        )


def moment(text: str) -> float:
    """Seconds since 1970 of an RFC 3339 time; 0 for a text that is none."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return 0.0
    return (at if at.tzinfo is not None else at.replace(tzinfo=UTC)).timestamp()


def _stable_since(one: ClusterRegistration, noted: NotedStanding | None) -> float | None:
    """Since when it is Ready, its gateway reached as far as anybody says, and no trouble noted."""
    found = {each.type: each for each in one.status.conditions}
    ready, reached = found.get(READY), found.get(GATEWAY_REACHABLE)
    if ready is None or ready.status != "True" or (reached is not None and reached.status == "False"):
        return None
    times = [moment(ready.last_transition_time)]
    if reached is not None and reached.status == "True":
        times.append(moment(reached.last_transition_time))
    if noted is not None and noted.verdict == "Ok":
        times.append(moment(noted.since))
    return max(times)


def _room(rows: ClusterRows) -> Room | None:
    if rows.capacity is None or not rows.capacity.status.total:
        return None  # the hub made it, and no agent has written it yet
    status = rows.capacity.status
    return Room(
        total=_amounts(status.total),
        available=_amounts(status.available),
        continuous=_amounts(status.continuous),
        shapes=tuple(FreeShape(one.count, _amounts(one.free), one.node_labels_hash) for one in status.shapes),
        nodes=status.nodes,
        pods=status.pods,
        is_fresh=_is_heard(rows),
        observed=dict(status.observed_assignments),
    )


def _amounts(said: Mapping[str, str]) -> dict[str, int]:
    """What is there, rounded down; what is no quantity is not there."""
    read = {name: thousandths(text, rounding=Rounding.DOWN) for name, text in sorted(said.items())}
    return {name: amount for name, amount in read.items() if amount is not None}


def _is_heard(rows: ClusterRows) -> bool:
    return rows.registration.status.phase in _HEARD
