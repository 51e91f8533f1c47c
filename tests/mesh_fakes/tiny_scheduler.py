"""A scheduler that a test can foresee: clusters that fit by set and property, in the order of their names."""

from collections.abc import Sequence

from mesh_placement.hub.placing.cycle import Scheduling
from mesh_placement.objects import ClusterVerdict, Placement
from mesh_placement.schedule.interpreting import Interpreter
from mesh_placement.schedule.plan import Decision, Placed, Plan
from mesh_placement.schedule.snapshot import Cluster, Demand, Snapshot, Wanted


def tiny_plan(snapshot: Snapshot) -> Plan:
    """Every Placement in its first `count` clusters that fit; replicas are shared out one by one."""
    return Plan(tuple(_decision(one, snapshot) for one in snapshot.placements))


def no_demand(_placement: Placement, _rules: Sequence[Interpreter] = (), /) -> Demand:
    """Nothing is needed."""
    return Demand()


TINY = Scheduling(schedule=tiny_plan, demand_of=no_demand)


def _decision(wanted: Wanted, snapshot: Snapshot) -> Decision:
    fitting = [one.name for one in snapshot.clusters if _code(one, wanted) == ""]
    chosen = fitting[: wanted.spec.clusters.count]
    total = wanted.spec.replicas.count
    counts = None if total is None else {name: 0 for name in chosen}
    for number in range(total or 0):
        if counts:
            counts[chosen[number % len(chosen)]] += 1
    placed = tuple(Placed(name, None if counts is None else counts[name]) for name in chosen)
    before = {one.cluster: one.replicas for one in wanted.current}
    after = {one.cluster: one.replicas for one in placed}
    return Decision(
        placement=wanted.name,
        uid=wanted.uid,
        placed=placed,
        verdicts=tuple(_verdict(one, wanted, after) for one in snapshot.clusters),
        changes=before != after,
        wanted=total,
        shortfall=total or 0 if not chosen else 0,
        cause="what fits has changed" if before else "first decision",
        memory=wanted.memory,
    )


def _verdict(one: Cluster, wanted: Wanted, placed: dict[str, int | None]) -> ClusterVerdict:
    if one.name in placed:
        return ClusterVerdict(cluster=one.name, verdict="Selected", replicas=placed[one.name])
    code = _code(one, wanted)
    return ClusterVerdict(
        cluster=one.name,
        verdict="Rejected" if code else "Outranked",
        filter="Properties" if code else "",
        code=code,
    )


def _code(one: Cluster, wanted: Wanted) -> str:
    if one.cluster_set not in wanted.spec.cluster_sets:
        return "NotInClusterSet"
    for term in wanted.spec.require.properties:
        if one.properties.get(term.name) not in term.values:
            return "PropertyMismatch"
    return "" if one.phase == "Ready" else "NotReady"
