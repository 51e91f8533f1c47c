"""Filter Namespace: are the namespaces there that the placement needs, and is none in the way that it brings?

A namespace that the placement brings is shared with others that bring it too. One that is there, and that no
placement in that cluster brings, is somebody else's: the member's agent would not take it over.
"""

from collections.abc import Mapping, Sequence

from mesh_placement.schedule.look import Look
from mesh_placement.schedule.plugins import Rejection
from mesh_placement.schedule.row_facts import exceptions_of
from mesh_placement.schedule.snapshot import Cluster, Wanted


class Namespaces:
    """NamespaceMissing, NamespaceConflict."""

    name = "Namespace"

    def reject(self, look: Look, wanted: Wanted, clusters: Sequence[Cluster]) -> Mapping[str, Rejection]:
        """Those that tell of their namespaces, and these do not fit."""
        needed = frozenset(wanted.demand.namespaces)
        brought = frozenset(wanted.demand.brings_namespaces)
        if not needed and not brought:
            return {}
        rule = "Namespace", needed
        found = dict(exceptions_of(look, rule, clusters, lambda one: _lacking(needed, one)))
        if not brought:
            return found
        there = exceptions_of(look, ("brought", brought), clusters, lambda one: _present(brought, one))
        for name, present in there.items():
            foreign = sorted(ns for ns in present if not _is_ours(look, ns, cluster=name))
            if foreign and name not in found:
                found[name] = _conflict(foreign)
        return found


def _lacking(needed: frozenset[str], cluster: Cluster) -> Rejection | None:
    there = cluster.namespaces
    missing = needed.difference(there) if there is not None else None
    return _missing(sorted(missing)) if missing else None


def _present(brought: frozenset[str], cluster: Cluster) -> frozenset[str] | None:
    """Of what is brought, what is there."""
    return brought.intersection(cluster.namespaces or ()) or None


def _is_ours(look: Look, namespace: str, *, cluster: str) -> bool:
    return any(look.has(placement, cluster=cluster) for placement in look.bringers.get(namespace, ()))


def _missing(names: list[str]) -> Rejection:
    return Rejection(
        "NamespaceMissing",
        observed=f"has no namespace {', '.join(names)}",
        required=f"namespace {', '.join(names)}",
        hint=f"create it there, or add Namespace {names[0]} to the manifests",
    )


def _conflict(names: list[str]) -> Rejection:
    return Rejection(
        "NamespaceConflict",
        observed=f"namespace {', '.join(names)} is there, and no placement brought it",
        required="a namespace of its own, or none",
        hint="leave the Namespace out of the manifests to use the one that is there",
    )
