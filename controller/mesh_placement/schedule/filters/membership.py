"""Filter Membership: is the cluster in a set that the placement may use, and is it taking part?

What runs stays: a set's grant that is taken back, or a gate that falls, moves nothing. Only a cluster that
leaves is left.
"""

from collections.abc import Mapping, Sequence

from mesh_placement.schedule.look import Look
from mesh_placement.schedule.plugins import Rejection
from mesh_placement.schedule.row_facts import exceptions_of
from mesh_placement.schedule.snapshot import Cluster, Wanted

_LEAVES = ("Leaving", "Left")


class Membership:
    """NotInClusterSet, NamespaceNotGranted, NotAccepted, NotReady."""

    name = "Membership"

    def reject(self, look: Look, wanted: Wanted, clusters: Sequence[Cluster]) -> Mapping[str, Rejection]:
        """Those that are not in a set of the placement, or not ready in it."""
        sets = frozenset(wanted.spec.cluster_sets)
        granted = frozenset(name for name in sets if _is_granted(look, name, wanted=wanted))
        there = sets.intersection(look.sets)
        # What is said of a set that is not granted names the namespace.
        rule = "Membership", sets, granted, there, wanted.namespace if granted != sets else ""

        def rejection(one: Cluster) -> Rejection | None:
            if one.cluster_set in granted and one.phase == "Ready" and one.accepted and not one.unmet_gates:
                return None
            return _rejection(look, one, wanted=wanted, granted=granted)

        return exceptions_of(look, rule, clusters, rejection)


def _is_granted(look: Look, name: str, *, wanted: Wanted) -> bool:
    """Whether the placement's namespace may use the set; one that is not there is granted to nobody."""
    found = look.sets.get(name)
    return found is not None and (found.namespaces is None or wanted.namespace in found.namespaces)


def _rejection(look: Look, cluster: Cluster, *, wanted: Wanted, granted: frozenset[str]) -> Rejection:
    sets = wanted.spec.cluster_sets
    if cluster.cluster_set not in sets:
        return Rejection(
            "NotInClusterSet",
            observed=f"in ClusterSet {cluster.cluster_set or 'none'}",
            required=f"in {' or '.join(sorted(sets)) or 'a set of spec.clusterSets'}",
            hint="name its set in spec.clusterSets if workloads may go there",
        )
    if cluster.cluster_set not in granted:
        return _not_granted(look, cluster.cluster_set, wanted=wanted)
    if not cluster.accepted:
        return Rejection(
            "NotAccepted",
            observed="a person has not accepted it yet",
            required="accepted",
            hint=f"compare its key, then meshctl clusters accept {cluster.name}",
        )
    return _not_ready(cluster)


def _not_granted(look: Look, name: str, *, wanted: Wanted) -> Rejection:
    if name not in look.sets:
        return Rejection(
            "NamespaceNotGranted",
            observed=f"the hub has no ClusterSet {name}",
            required=f"a ClusterSet that takes namespace {wanted.namespace}",
            hint=f"create ClusterSet {name}; until then it is granted to nobody",
        )
    return Rejection(
        "NamespaceNotGranted",
        observed=f"ClusterSet {name} does not take namespace {wanted.namespace}",
        required=f"the labels of its spec.namespaces on namespace {wanted.namespace}",
        hint="whoever owns the set decides this; label the namespace, or place from another one",
    )


def _not_ready(cluster: Cluster) -> Rejection:
    if cluster.phase in _LEAVES:
        return Rejection(
            "NotReady",
            observed=f"phase {cluster.phase}",
            required="phase Ready",
            hint="it leaves the hub: what runs there goes elsewhere first",
            evicts=True,
        )
    if cluster.unmet_gates:
        gates = ", ".join(cluster.unmet_gates)
        return Rejection(
            "NotReady",
            observed=f"phase {cluster.phase or 'unknown'}; not as it must be: {gates}",
            required="every readiness gate holds",
            hint=f"look at condition {cluster.unmet_gates[0]} of ClusterRegistration {cluster.name}",
        )
    return Rejection(
        "NotReady",
        observed=f"phase {cluster.phase or 'unknown'}",
        required="phase Ready",
        hint=f"look at the conditions of ClusterRegistration {cluster.name}",
    )
