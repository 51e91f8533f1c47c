"""ServiceExpose: the clusters that must reach what a placement brings do reach it where it would be.

1. The way counts from the consumer to the cluster; to the cluster itself it is always open, and 0 long.
2. Unknown is not Down: it keeps new ones away and takes nothing away. What runs is taken away only if another
   cluster is reached by all; for a round trip it must be degraded, too (`hysteresis`).
3. An export that conflicts with others is in the way of a new copy, never of one that runs.
4. Of several consumers the one is named that is worst off.
"""

from collections.abc import Mapping, Sequence

from msgspec import Struct, structs

from mesh_placement.schedule.look import Look
from mesh_placement.schedule.network.budgets import budget_memory
from mesh_placement.schedule.network.codes import Code
from mesh_placement.schedule.network.exposures import Exposed, exposed_by, way_to
from mesh_placement.schedule.network.hysteresis import HELD
from mesh_placement.schedule.network.needs import milliseconds
from mesh_placement.schedule.network.reach import round_trip
from mesh_placement.schedule.network.service_reach import is_home
from mesh_placement.schedule.plugins import Rejection
from mesh_placement.schedule.snapshot import Cluster, Memory, Wanted

_LOST, _FAR, _UNKNOWN = 0, 1, 2


class _Finding(Struct, frozen=True):
    """`rank`: how bad, the least is worst. `key` is that of a round trip that is too long."""

    rejection: Rejection
    rank: int = _LOST
    key: str = ""


class ServiceExpose:
    """The filter."""

    name = "ServiceExpose"

    def reject(self, look: Look, wanted: Wanted, clusters: Sequence[Cluster]) -> Mapping[str, Rejection]:
        """All clusters that some consumer would not reach."""
        found: dict[str, _Finding] = {}
        present = {share.cluster for share in wanted.current}
        for exposed in exposed_by(look, wanted):
            for cluster in clusters:
                if cluster.name in found:
                    continue
                finding = _finding(look, exposed, cluster, is_there=cluster.name in present)
                if finding is not None:
                    found[cluster.name] = finding
        rejections = {name: one.rejection for name, one in found.items()}
        here = present & found.keys()
        if here:
            has_home = any(one.name not in found and is_home(one, wanted) for one in clusters)
            memory = budget_memory(look, wanted)
            for name in here:
                rejections[name] = _for_what_runs(found[name], memory, has_home=has_home)
        return rejections


def _for_what_runs(finding: _Finding, memory: Memory, *, has_home: bool) -> Rejection:
    """Law 2."""
    match finding.rank:
        case 0:
            return structs.replace(finding.rejection, evicts=has_home)
        case 1 if finding.key in memory.degraded:
            return structs.replace(finding.rejection, evicts=has_home)
        case 1 if finding.key in memory.over_budget:
            return structs.replace(finding.rejection, until=memory.over_budget[finding.key] + HELD)
        case _:
            return structs.replace(finding.rejection, holds=False)


def _finding(look: Look, exposed: Exposed, cluster: Cluster, *, is_there: bool) -> _Finding | None:
    row = exposed.rows.get(cluster.name)
    if row is not None and row.conflict and not is_there:
        return _Finding(
            Rejection(
                code=Code.EXPORT_CONFLICT.value,
                observed=f"{exposed.shown} in {cluster.name}: {row.conflict}",
                required="an export without a conflict",
                hint=f"make the export of {exposed.service} the same everywhere (docs/conflicts.md)",
            )
        )
    view = look.sets.get(cluster.cluster_set)
    is_isolated = view is not None and view.connectivity == "Isolated"
    worst: _Finding | None = None
    for consumer in exposed.consumers:
        if consumer.name == cluster.name:
            continue
        if is_isolated:
            return _closed(exposed, consumer, cluster)
        finding = _from_consumer(look, exposed, consumer, cluster)
        if finding is not None and (worst is None or finding.rank < worst.rank):
            worst = finding
            if worst.rank == _LOST:
                break
    return worst


def _closed(exposed: Exposed, consumer: Cluster, cluster: Cluster) -> _Finding:
    return _Finding(
        Rejection(
            code=Code.CONNECTIVITY_DISABLED.value,
            observed=f"the ClusterSet {cluster.cluster_set} is Isolated",
            required=f"{exposed.shown} reached by {consumer.name}",
            hint="set spec.connectivity of the ClusterSet, or expose to nobody else",
        )
    )


def _from_consumer(look: Look, exposed: Exposed, consumer: Cluster, cluster: Cluster) -> _Finding | None:
    way = f"{consumer.name} -> {cluster.name}"
    row = exposed.rows.get(cluster.name)
    if row is not None and row.allowed is not None and consumer.name not in row.allowed:
        hint = f"meshctl.dev/allow of {exposed.service} in {cluster.name} does not name {consumer.name}"
        return _Finding(_refusal(exposed, consumer, observed=f"{way} not allowed", hint=hint))
    link = way_to(look, consumer.name, cluster.name)
    if link is None:
        return _unknown(exposed, consumer, observed=f"{way}, no fresh word of it")
    if link.state == "Down":
        hint = f"run meshctl check in {consumer.name}"
        return _Finding(_refusal(exposed, consumer, observed=f"{way} Down", hint=hint))
    if exposed.budget is None:
        return None
    rtt = round_trip(link, exposed.exposure.percentile)
    if rtt is None:
        return _unknown(exposed, consumer, observed=f"{way}, nobody measured how far")
    if rtt <= exposed.budget:
        return None
    hint = f"a cluster nearer to {consumer.name}, or a larger maxRTT"
    rejection = _refusal(exposed, consumer, observed=f"{way} {milliseconds(rtt)}", hint=hint)
    return _Finding(rejection, _FAR, exposed.key(consumer.name, cluster.name))


def _refusal(exposed: Exposed, consumer: Cluster, *, observed: str, hint: str) -> Rejection:
    return Rejection(
        code=Code.CONSUMER_CANNOT_REACH.value,
        observed=observed,
        required=_required(exposed, consumer),
        hint=hint,
    )


def _unknown(exposed: Exposed, consumer: Cluster, *, observed: str) -> _Finding:
    rejection = Rejection(
        code=Code.PATH_UNKNOWN.value,
        observed=observed,
        required=_required(exposed, consumer),
        hint=f"see whether the agent of {consumer.name} runs and reaches the hub",
        holds=True,
    )
    return _Finding(rejection, _UNKNOWN)


def _required(exposed: Exposed, consumer: Cluster) -> str:
    near = "" if exposed.budget is None else f" in <= {exposed.budget:g} ms"
    return f"{exposed.shown} reached by {consumer.name}{near}"
