"""ServiceReach: the services that a placement needs are reached from the cluster, and near enough.

1. A cluster is rejected for the first of its needs that it does not meet.
2. Unknown is not Down: for what is not fresh nothing that runs is taken away. What is new follows the need's
   `unknown`: with Allow it comes, with Hold and Reject it does not; with Hold the verdict says that it waits.
3. What runs is taken away only if some other cluster meets all needs: a move that reaches no more than
   before helps nobody. For a round trip it must be degraded, too (`hysteresis`).
"""

from collections.abc import Mapping, Sequence

from msgspec import structs

from mesh_placement.schedule.look import Look
from mesh_placement.schedule.network.budgets import budget_memory
from mesh_placement.schedule.network.calls import Calls, calls_of
from mesh_placement.schedule.network.codes import Code
from mesh_placement.schedule.network.hysteresis import HELD, call_key
from mesh_placement.schedule.network.judging import STABLE
from mesh_placement.schedule.network.service_words import Words
from mesh_placement.schedule.plugins import Rejection
from mesh_placement.schedule.snapshot import Cluster, Memory, Wanted

Unmet = tuple[Calls, Code]
"""The calls that a cluster cannot make, and what is in their way."""


class ServiceReach:
    """The filter."""

    name = "ServiceReach"

    def reject(self, look: Look, wanted: Wanted, clusters: Sequence[Cluster]) -> Mapping[str, Rejection]:
        """All clusters from which a needed service is not reached, with the nearest way out."""
        if not wanted.spec.require.services:
            return {}
        found = unmet(look, wanted, clusters)
        if not found:
            return {}
        homes = [one for one in clusters if one.name not in found and is_home(one, wanted)]
        words = Words(look, wanted, homes)
        rejections = {name: words.rejection(look.clusters[name], *found[name]) for name in found}
        present = {share.cluster for share in wanted.current}
        if not present.isdisjoint(found):
            memory = budget_memory(look, wanted)
            for name in present & rejections.keys():
                calls, code = found[name]
                key = call_key(calls.need.service, name)
                rejections[name] = _for_what_runs(rejections[name], code, memory, key=key, homes=bool(homes))
        return rejections


def unmet(look: Look, wanted: Wanted, clusters: Sequence[Cluster]) -> dict[str, Unmet]:
    """By name: the first need that each cluster does not meet. Without words, for whoever only counts."""
    found: dict[str, Unmet] = {}
    for calls in calls_of(look, wanted):
        codes = calls.obstacles(clusters)
        if not any(codes.values()):
            continue
        for cluster in clusters:
            code = codes[cluster.name]
            if code is None or cluster.name in found:
                continue
            if code is Code.PATH_UNKNOWN and calls.need.unknown == "Allow":
                continue
            found[cluster.name] = calls, code
    return found


def is_home(cluster: Cluster, wanted: Wanted) -> bool:
    """Whether the cluster could be a better home at all."""
    is_well = cluster.phase == "Ready" and cluster.standing in STABLE
    return is_well and cluster.cluster_set in wanted.spec.cluster_sets


def _for_what_runs(rejection: Rejection, code: Code, memory: Memory, *, key: str, homes: bool) -> Rejection:
    """Laws 2 and 3."""
    if code is Code.PATH_UNKNOWN:
        return structs.replace(rejection, holds=False)
    if code is not Code.TOO_FAR:
        return structs.replace(rejection, evicts=homes)
    since = memory.over_budget.get(key)
    if key in memory.degraded or since is None:
        return structs.replace(rejection, evicts=homes and key in memory.degraded)
    return structs.replace(rejection, until=since + HELD)
