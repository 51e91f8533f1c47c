"""The round trips of a placement where it runs, against its budgets: what `hysteresis` is told."""

from mesh_placement.schedule.look import Look
from mesh_placement.schedule.network.calls import calls_of
from mesh_placement.schedule.network.exposures import exposed_ratios, ratio
from mesh_placement.schedule.network.hysteresis import call_key, crossed
from mesh_placement.schedule.snapshot import Memory, Wanted


def budget_memory(look: Look, wanted: Wanted) -> Memory:
    """The placement's memory after the round trips of this snapshot; store it with the decision."""
    require, memory = wanted.spec.require, wanted.memory
    if not (require.services or require.exposes or memory.over_budget or memory.degraded):
        return memory
    here = [look.clusters[one.cluster] for one in wanted.current if one.cluster in look.clusters]
    ratios = exposed_ratios(look, wanted)
    for calls in calls_of(look, wanted):
        if calls.need.budget is not None:
            for cluster in here:
                key = call_key(calls.need.service, cluster.name)
                ratios[key] = ratio(calls.latency(cluster).mean, calls.need.budget)
    return crossed(memory, ratios=ratios, now=look.now)
