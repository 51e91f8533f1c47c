"""GatewayHeadroom: a cluster whose ways to what a placement calls are full, or end soon, takes nothing new.

1. Only placements that call services of other clusters are asked, and only for ways that their calls take:
   with a `local-first` service in the cluster itself none.
2. A way is full below `LEAST_HEADROOM`; a certificate that is good for less than `LEAST_LIFE` should long
   have been renewed. Enough exporters (`minExporters`) must be left by ways that are neither.
3. What is not told is no reason. Nothing that runs is taken away: moving it costs more than it helps.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from math import inf

from mesh_placement.schedule.look import Look
from mesh_placement.schedule.network.calls import Calls, calls_of
from mesh_placement.schedule.network.codes import Code
from mesh_placement.schedule.network.reach import Way
from mesh_placement.schedule.plugins import Rejection
from mesh_placement.schedule.snapshot import Cluster, Wanted

LEAST_HEADROOM = 0.1
"""Share of what the gateways on the way can carry."""
LEAST_LIFE = 7200.0
"""Seconds. A leaf lives a day and is renewed when at least six hours are left (`mesh_core.lifetimes`)."""


class GatewayHeadroom:
    """The filter."""

    name = "GatewayHeadroom"

    def reject(self, look: Look, wanted: Wanted, clusters: Sequence[Cluster]) -> Mapping[str, Rejection]:
        """Clusters whose ways to a needed service are too full or about to end."""
        found: dict[str, Rejection] = {}
        for calls in calls_of(look, wanted):
            safe_until = calls.facts("headroom", clusters, partial(_safe_until, calls))
            if look.now <= min(safe_until.values(), default=inf):
                continue
            for cluster in clusters:
                if look.now <= safe_until[cluster.name] or cluster.name in found:
                    continue
                rejection = _rejection(calls, cluster, now=look.now)
                if rejection is not None:
                    found[cluster.name] = rejection
        return found


def _safe_until(calls: Calls, cluster: Cluster) -> float:
    """Until when no way is full or about to end: most clusters need not be looked at closer."""
    until = inf
    for way in calls.reach(cluster).sure:
        link = way.link
        if link is None:
            continue
        headroom, end = link.headroom, link.cert_not_after
        if headroom is not None and headroom < LEAST_HEADROOM:
            return -inf
        if end is not None and end < until:
            until = end
    # A second earlier: the exact comparison is made where it matters.
    return until - LEAST_LIFE - 1


def _rejection(calls: Calls, cluster: Cluster, *, now: float) -> Rejection | None:
    reach = calls.reach(cluster)
    if reach.stays:
        return None
    full, ending = [], []
    for way in reach.sure:
        link = way.link
        if link is None:
            continue
        if link.headroom is not None and link.headroom < LEAST_HEADROOM:
            full.append((link.headroom, way))
        elif link.cert_not_after is not None and link.cert_not_after - now < LEAST_LIFE:
            ending.append((link.cert_not_after - now, way))
    # Where there are too few anyway it is not the gateways' fault.
    lacking = calls.need.least - (len(reach.sure) - len(full) - len(ending))
    if lacking <= 0 or len(reach.sure) < calls.need.least:
        return None
    if full:
        return _saturated(cluster, *min(full, key=lambda one: one[0]))
    return _ends(cluster, *min(ending, key=lambda one: one[0]))


def _saturated(cluster: Cluster, headroom: float, way: Way) -> Rejection:
    return Rejection(
        code=Code.GATEWAY_SATURATED.value,
        observed=f"{cluster.name} -> {way.cluster}: {100 * headroom:.0f} % left",
        required=f">= {100 * LEAST_HEADROOM:.0f} %",
        hint=f"more gateway replicas in {cluster.name} or {way.cluster}",
    )


def _ends(cluster: Cluster, left: float, way: Way) -> Rejection:
    return Rejection(
        code=Code.CERT_EXPIRES_SOON.value,
        observed=f"{cluster.name} -> {way.cluster}: good for {max(0.0, left) / 60:.0f} min",
        required=f">= {LEAST_LIFE / 60:.0f} min",
        hint=f"see why the certificate of {way.cluster} is not renewed: run meshctl trust status",
    )
