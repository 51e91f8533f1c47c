"""Latency, Reachability and Resilience: how well a cluster reaches what a placement needs.

1. A placement that needs nothing is scored nothing.
2. Latency is the weighted mean of 1 - lat / maxRTT, not below 0; without a maxRTT it falls with the
   logarithm, to 0 at a second. A round trip that nobody measured earns nothing.
3. Reachability is the share of needs of which enough exporters are reached.
4. Resilience is the share of needs still reached at one exporter or more after the worst single loss: of a
   service's endpoints in one cluster, of a link, or of another cluster's gateways. The cluster's own gateways
   are left out: all its ways have them in common, so every cluster without exporters of its own would be at
   0, and two exporters no better than one.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from math import log1p

from mesh_placement.schedule.combining import combined
from mesh_placement.schedule.look import Look
from mesh_placement.schedule.network.calls import Calls, calls_of, keys_of
from mesh_placement.schedule.snapshot import Cluster, Wanted

_FARTHEST = log1p(1000.0)


class Latency:
    """Law 2."""

    name = "Latency"
    default_weight = 3

    def score(self, look: Look, wanted: Wanted, clusters: Sequence[Cluster]) -> Mapping[str, float]:
        """0 to 100."""
        needs = calls_of(look, wanted)
        weights = sum(calls.need.weight for calls in needs)
        if not weights:
            return {}
        near = [
            calls.facts(
                ("nearness", calls.need.budget, calls.need.percentile), clusters, partial(_nearness, calls)
            )
            for calls in needs
        ]
        parts = [100.0 * calls.need.weight / weights for calls in needs]

        def latency(nearness: Sequence[float]) -> float:
            total = 0.0
            for part, one in zip(parts, nearness, strict=True):
                total += part * one
            return total

        return combined(("Latency", *keys_of(needs)), near, clusters, latency)


class Reachability:
    """Law 3."""

    name = "Reachability"
    default_weight = 3

    def score(self, look: Look, wanted: Wanted, clusters: Sequence[Cluster]) -> Mapping[str, float]:
        """0 to 100."""
        needs = calls_of(look, wanted)
        if not needs:
            return {}
        reached = [calls.facts("reached", clusters, partial(_reached, calls)) for calls in needs]
        least = [calls.need.least for calls in needs]

        each = 100.0 / len(needs)

        def reachability(numbers: Sequence[int]) -> float:
            total = 0.0
            for fewest, one in zip(least, numbers, strict=True):
                if one >= fewest:
                    total += each
            return total

        return combined(("Reachability", *keys_of(needs)), reached, clusters, reachability)


class Resilience:
    """Law 4."""

    name = "Resilience"
    default_weight = 2

    def score(self, look: Look, wanted: Wanted, clusters: Sequence[Cluster]) -> Mapping[str, float]:
        """0 to 100."""
        needs = calls_of(look, wanted)
        if not needs:
            return {}
        hanging = [calls.facts("hanging", clusters, partial(_hangs_on, calls)) for calls in needs]
        each = 100.0 / len(needs)

        def resilience(each_hangs_on: Sequence[str | None]) -> float:
            return each * _left(each_hangs_on)

        return combined(("Resilience", *keys_of(needs)), hanging, clusters, resilience)


def _nearness(calls: Calls, cluster: Cluster) -> float:
    mean = calls.latency(cluster).mean
    if mean is None:
        return 0.0
    if calls.need.budget is None:
        return max(0.0, 1.0 - log1p(mean) / _FARTHEST)
    return max(0.0, 1.0 - mean / calls.need.budget) if calls.need.budget else 0.0


def _reached(calls: Calls, cluster: Cluster) -> int:
    return len(calls.reach(cluster).sure)


def _hangs_on(calls: Calls, cluster: Cluster) -> str | None:
    """The only cluster that serves it, at home with the service; "": several do, None: none does."""
    sure = calls.reach(cluster).sure
    if len(sure) != 1:
        return "" if sure else None
    only = sure[0].cluster
    return f"{only} {calls.need.service}" if only == cluster.name else only


def _left(hanging: Sequence[str | None]) -> int:
    """How many needs are still reached after the worst loss: all that hang on the same other cluster are lost
    together, at home only those of the same service."""
    safe = hanging.count("")
    if safe == len(hanging):
        return safe
    alone = [one for one in hanging if one]
    if len(alone) < 2:
        return safe
    return safe + len(alone) - max(Counter(alone).values())
