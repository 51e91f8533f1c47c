"""ServiceExpose: the clusters that must reach what a placement brings do reach it where it would be.

1. A consumer is a cluster of the placement's sets that the exposure names and that lives: one that is not in
   yet, is leaving, or is dead calls nobody, and keeps nobody away.
2. The way counts from the consumer to the cluster; to the cluster itself it is always open, and 0 long.
3. Unknown is not Down: it keeps new ones away and takes nothing away. What runs is taken away only if another
   cluster is reached by all.
4. An export that conflicts with others is in the way of a new copy, never of one that runs.
"""

from collections.abc import Mapping, Sequence

from msgspec import Struct, structs

from mesh_placement.objects.placing import Exposure
from mesh_placement.schedule.look import Look
from mesh_placement.schedule.network.codes import Code
from mesh_placement.schedule.network.needs import budget_of, exposed_service, milliseconds, short
from mesh_placement.schedule.network.reach import round_trip
from mesh_placement.schedule.network.service_reach import is_home
from mesh_placement.schedule.plugins import Rejection
from mesh_placement.schedule.snapshot import Cluster, Export, Wanted

_LIVING_PHASES = frozenset({"Available", "Ready", "Suspect", "Unreachable"})


class _Asked(Struct, frozen=True):
    """One exposure; `rows` are the exports of its service by cluster."""

    exposure: Exposure
    service: str
    shown: str
    budget: float | None
    consumers: tuple[Cluster, ...]
    rows: Mapping[str, Export]


class ServiceExpose:
    """The filter."""

    name = "ServiceExpose"

    def reject(self, look: Look, wanted: Wanted, clusters: Sequence[Cluster]) -> Mapping[str, Rejection]:
        """All clusters that some consumer would not reach, with the first such consumer."""
        found: dict[str, Rejection] = {}
        present = {share.cluster for share in wanted.current}
        for exposure in wanted.spec.require.exposes:
            asked = _asked(look, wanted, exposure)
            for cluster in clusters:
                if cluster.name in found:
                    continue
                rejection = _rejection(look, asked, cluster, is_there=cluster.name in present)
                if rejection is not None:
                    found[cluster.name] = rejection
        leaving = [name for name in present & found.keys() if found[name].code != Code.PATH_UNKNOWN.value]
        if leaving and any(one.name not in found and is_home(one, wanted) for one in clusters):
            for name in leaving:
                found[name] = structs.replace(found[name], evicts=True)
        return found


def _asked(look: Look, wanted: Wanted, exposure: Exposure) -> _Asked:
    service = exposed_service(exposure, namespace=wanted.namespace)
    named = exposure.to_clusters.match_properties.items()
    return _Asked(
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


def _rejection(look: Look, asked: _Asked, cluster: Cluster, *, is_there: bool) -> Rejection | None:
    row = asked.rows.get(cluster.name)
    if row is not None and row.conflict and not is_there:
        return Rejection(
            code=Code.EXPORT_CONFLICT.value,
            observed=f"{asked.shown} in {cluster.name}: {row.conflict}",
            required="an export without a conflict",
            hint=f"make the export of {asked.service} the same everywhere (docs/conflicts.md)",
        )
    view = look.sets.get(cluster.cluster_set)
    is_isolated = view is not None and view.connectivity == "Isolated"
    for consumer in asked.consumers:
        if consumer.name == cluster.name:
            continue
        if is_isolated:
            return _closed(asked, consumer, cluster)
        rejection = _from_consumer(look, asked, consumer, cluster, row)
        if rejection is not None:
            return rejection
    return None


def _closed(asked: _Asked, consumer: Cluster, cluster: Cluster) -> Rejection:
    return Rejection(
        code=Code.CONNECTIVITY_DISABLED.value,
        observed=f"the ClusterSet {cluster.cluster_set} is Isolated",
        required=f"{asked.shown} reached by {consumer.name}",
        hint="set spec.connectivity of the ClusterSet, or expose to nobody else",
    )


def _from_consumer(
    look: Look, asked: _Asked, consumer: Cluster, cluster: Cluster, row: Export | None
) -> Rejection | None:
    way = f"{consumer.name} -> {cluster.name}"
    if row is not None and row.allowed is not None and consumer.name not in row.allowed:
        return _refusal(
            asked,
            consumer,
            observed=f"{way} not allowed",
            hint=f"meshctl.dev/allow of {asked.service} in {cluster.name} does not name {consumer.name}",
        )
    link = look.links.get(consumer.name, {}).get(cluster.name)
    if link is None or not link.is_fresh or link.state == "Unknown":
        return _unknown(asked, consumer, observed=f"{way}, no fresh word of it")
    if link.state == "Down":
        return _refusal(asked, consumer, observed=f"{way} Down", hint=f"run meshctl check in {consumer.name}")
    if asked.budget is None:
        return None
    rtt = round_trip(link, asked.exposure.percentile)
    if rtt is None:
        return _unknown(asked, consumer, observed=f"{way}, nobody measured how far")
    if rtt <= asked.budget:
        return None
    return _refusal(
        asked,
        consumer,
        observed=f"{way} {milliseconds(rtt)}",
        hint=f"a cluster nearer to {consumer.name}, or a larger maxRTT",
    )


def _refusal(asked: _Asked, consumer: Cluster, *, observed: str, hint: str) -> Rejection:
    return Rejection(
        code=Code.CONSUMER_CANNOT_REACH.value,
        observed=observed,
        required=_required(asked, consumer),
        hint=hint,
    )


def _unknown(asked: _Asked, consumer: Cluster, *, observed: str) -> Rejection:
    return Rejection(
        code=Code.PATH_UNKNOWN.value,
        observed=observed,
        required=_required(asked, consumer),
        hint=f"see whether the agent of {consumer.name} runs and reaches the hub",
        holds=True,
    )


def _required(asked: _Asked, consumer: Cluster) -> str:
    near = "" if asked.budget is None else f" in <= {asked.budget:g} ms"
    return f"{asked.shown} reached by {consumer.name}{near}"
