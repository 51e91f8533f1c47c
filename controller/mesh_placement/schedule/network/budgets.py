"""The round trips of a placement where it runs, against its budgets: what `hysteresis` is told."""

from functools import partial

from mesh_placement.schedule.look import Look
from mesh_placement.schedule.network.calls import Calls, calls_of
from mesh_placement.schedule.network.exposures import exposed_ratios, ratio
from mesh_placement.schedule.network.hysteresis import OVER, call_key, crossed
from mesh_placement.schedule.snapshot import Cluster, Memory, Wanted


def budget_memory(look: Look, wanted: Wanted) -> Memory:
    """The placement's memory after the round trips of this snapshot; store it with the decision."""
    require, memory = wanted.spec.require, wanted.memory
    if not (require.services or require.exposes or memory.over_budget or memory.degraded):
        return memory
    here = [look.clusters[one.cluster] for one in wanted.current if one.cluster in look.clusters]
    ratios = exposed_ratios(look, wanted)
    for calls in calls_of(look, wanted):
        budget = calls.need.budget
        if budget is None:
            continue
        rule = "ratio", budget, calls.need.percentile
        found = calls.facts(rule, here, partial(_ratio, calls, budget))
        for cluster in here:
            now = found[cluster.name]
            # Nothing is to be remembered of calls that are well and were: of most of them.
            if now is None or now >= OVER or memory.degraded:
                ratios[call_key(calls.need.service, cluster.name)] = now
    return crossed(memory, ratios=ratios, now=look.now)


def _ratio(calls: Calls, budget: float, cluster: Cluster) -> float | None:
    return ratio(calls.latency(cluster).mean, budget)
