"""What a cluster's standing means for placements: the failure table of the plan, from verdict to consequence.

1. When every cluster is HubIsolated it is the hub that is cut off, and nothing moves at all.
2. ControlPartition, Unwitnessed, ApiDown and HubIsolated take nothing new and evict nothing, whoever asks for
   it: what runs there serves, or nobody can tell.
3. Dead evicts after the toleration of the taint `unreachable`, DataPlaneDown after that of
   `data-plane-down`, and only what exports or calls across clusters. The seconds count from the verdict: a
   lease that was lost long before, while peers saw the cluster, has used up none of them.
"""

from math import inf

from mesh_placement.decide.tolerations import seconds_until_left
from mesh_placement.names import TAINT_DATA_PLANE_DOWN, TAINT_UNREACHABLE
from mesh_placement.objects.placing import ClusterVerdict, PlacementSpec
from mesh_placement.schedule.plan import Decision, Placed
from mesh_placement.schedule.plugins import Rejection
from mesh_placement.schedule.snapshot import Cluster, Snapshot, Standing, Wanted

NAME = "Standing"
NEVER_EVICTS: frozenset[Standing] = frozenset({"ControlPartition", "Unwitnessed", "ApiDown", "HubIsolated"})

_HINTS: dict[Standing, str] = {
    "ControlPartition": "its peers still see it: what runs there goes on; look at its way to the hub",
    "Unwitnessed": "no peer says anything of it: `meshctl peer evict` if you know that it is lost",
    "ApiDown": "its agent cannot reach its API server",
    "HubIsolated": "the hub hears nobody: look at the hub first",
    "Dead": "neither its agent nor its gateways are heard: repair it, or wait for the toleration",
    "DataPlaneDown": "peers do not reach its gateways",
}


def hub_is_alone(snapshot: Snapshot) -> bool:
    """Law 1."""
    return bool(snapshot.clusters) and all(one.standing == "HubIsolated" for one in snapshot.clusters)


def standing_rejection(cluster: Cluster, wanted: Wanted, *, now: float) -> Rejection | None:
    """Why the cluster takes nothing new of this placement, and whether what runs there goes."""
    hint = _HINTS.get(cluster.standing)
    if hint is None:
        return None
    evicts, until = False, None
    if cluster.standing == "Dead" or (cluster.standing == "DataPlaneDown" and calls_across(wanted)):
        until = _deadline(cluster, wanted.spec)
        evicts = until is not None and now >= until
    return Rejection(
        code=cluster.standing,
        observed=cluster.standing,
        required="Ok",
        hint=hint,
        evicts=evicts,
        until=None if evicts else until,
    )


def calls_across(wanted: Wanted) -> bool:
    """Whether it needs the way between clusters."""
    return bool(wanted.spec.require.services or wanted.spec.require.exposes or wanted.demand.exports)


def _deadline(cluster: Cluster, spec: PlacementSpec) -> float | None:
    """When the toleration ends; None: never, or nobody knows since when the cluster is lost."""
    key = TAINT_DATA_PLANE_DOWN if cluster.standing == "DataPlaneDown" else TAINT_UNREACHABLE
    since = cluster.standing_since
    if since is None:
        since = next((one.since for one in cluster.taints if one.key == key), None)
    if since is None:
        return None
    until = since + seconds_until_left(spec.require.tolerations, key=key)
    return None if until == inf else until


def frozen(wanted: Wanted, snapshot: Snapshot) -> Decision:
    """Nothing moves: law 1."""
    why = "the hub hears of nobody: everything stays until it does"
    here = {one.cluster: one.replicas for one in wanted.current}
    verdicts = tuple(
        ClusterVerdict(
            cluster=one.name,
            verdict="Held",
            filter=NAME,
            code="HubIsolated",
            observed=one.standing,
            required="Ok",
            hint=_HINTS["HubIsolated"],
            replicas=here.get(one.name),
        )
        for one in snapshot.clusters
    )
    placed = tuple(Placed(name, here[name]) for name in sorted(here))
    return Decision(wanted.name, wanted.uid, placed, verdicts, False, hold=why, memory=wanted.memory)
