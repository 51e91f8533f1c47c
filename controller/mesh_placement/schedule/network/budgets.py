"""The round trips of a placement where it runs, against its budgets: what `hysteresis` is told."""

from mesh_placement.schedule.look import Look
from mesh_placement.schedule.network.calls import Calls, calls_of
from mesh_placement.schedule.network.hysteresis import call_key, crossed
from mesh_placement.schedule.snapshot import Cluster, Memory, Wanted


def budget_memory(look: Look, wanted: Wanted) -> Memory:
    """The placement's memory after the round trips of this snapshot; store it with the decision."""
    if not wanted.memory.over_budget and not wanted.memory.degraded and not wanted.spec.require.services:
        return wanted.memory
    here = [look.clusters[one.cluster] for one in wanted.current if one.cluster in look.clusters]
    ratios = {
        call_key(calls.need.service, cluster.name): _ratio(calls, cluster, budget=calls.need.budget)
        for calls in calls_of(look, wanted)
        if calls.need.budget is not None
        for cluster in here
    }
    return crossed(wanted.memory, ratios=ratios, now=look.now)


def _ratio(calls: Calls, cluster: Cluster, *, budget: float) -> float | None:
    mean = calls.latency(cluster).mean
    if mean is None:
        return None
    return mean / budget if budget else float(mean > 0) * 1e9
