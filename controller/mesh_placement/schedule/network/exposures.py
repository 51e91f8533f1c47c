"""Who must reach what a placement brings, and by which way: what ServiceExpose and the budgets look at.

A consumer is a cluster of the placement's sets that the exposure names and that lives: one that is not in
yet, is leaving, or is dead calls nobody, and keeps nobody away.
"""

from collections.abc import Mapping

from msgspec import Struct

from mesh_placement.objects.placing import Exposure
from mesh_placement.schedule.look import Look
from mesh_placement.schedule.network.hysteresis import call_key
from mesh_placement.schedule.network.needs import budget_of, exposed_service, short
from mesh_placement.schedule.network.reach import round_trip
from mesh_placement.schedule.snapshot import Cluster, Export, Link, Wanted

_LIVING_PHASES = frozenset({"Available", "Ready", "Suspect", "Unreachable"})


class Exposed(Struct, frozen=True):
    """One exposure; `shown` is the service as the user names it, `rows` are its exports by cluster."""

    exposure: Exposure
    service: str
    shown: str
    budget: float | None
    consumers: tuple[Cluster, ...]
    rows: Mapping[str, Export]

    def key(self, consumer: str, cluster: str) -> str:
        """How Memory names the calls from a consumer."""
        return call_key(self.service, f"{consumer}->{cluster}")


def exposed_by(look: Look, wanted: Wanted) -> tuple[Exposed, ...]:
    """What the placement exposes, in its own order."""
    return tuple(_exposed(look, wanted, one) for one in wanted.spec.require.exposes)


def way_to(look: Look, consumer: str, cluster: str) -> Link | None:
    """The consumer's own row of the way, if it says anything."""
    link = look.links.get(consumer, {}).get(cluster)
    return link if link is not None and link.is_fresh and link.state != "Unknown" else None


def exposed_ratios(look: Look, wanted: Wanted) -> dict[str, float | None]:
    """Round trip through budget of the consumers of what runs, for `hysteresis.crossed`."""
    found: dict[str, float | None] = {}
    for one in exposed_by(look, wanted):
        if one.budget is None:
            continue
        for cluster in (share.cluster for share in wanted.current):
            for consumer in one.consumers:
                if consumer.name == cluster:
                    continue
                link = way_to(look, consumer.name, cluster)
                rtt = round_trip(link, one.exposure.percentile) if link is not None else None
                found[one.key(consumer.name, cluster)] = ratio(rtt, one.budget)
    return found


def ratio(rtt: float | None, budget: float) -> float | None:
    """Round trip through budget, None where it is not known; of a budget of 0 any round trip is over."""
    if rtt is None:
        return None
    return rtt / budget if budget else float(rtt > 0) * 1e9


def _exposed(look: Look, wanted: Wanted, exposure: Exposure) -> Exposed:
    service = exposed_service(exposure, namespace=wanted.namespace)
    named = exposure.to_clusters.match_properties.items()
    return Exposed(
        exposure=exposure,
        service=service,
        shown=short(service, wanted),
        budget=budget_of(exposure.max_rtt),
        consumers=tuple(
            one
            for one in look.snapshot.clusters
            if one.cluster_set in wanted.spec.cluster_sets and _lives(one) and named <= one.properties.items()
        ),
        rows={one.cluster: one for one in look.exporters.get(service, ())},
    )


def _lives(cluster: Cluster) -> bool:
    return cluster.accepted and cluster.phase in _LIVING_PHASES and cluster.standing != "Dead"
