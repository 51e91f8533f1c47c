"""Filter WorkloadAffinity: sit where another placement is, or where it is not.

1. The first one is free: while the other is nowhere, every cluster will do.
2. `With` follows: the other is decided first, and when it has moved, this one moves after it. While the
   other is in two clusters, because it is moving, both will do.
3. `Away` is mutual within a namespace: who wants to be away is not joined later by the one that it avoids.
   Of one in another namespace it binds only who says so: else a tenant would keep others out of every
   cluster. What sits together already stays; it is a rule for choosing.
"""

from collections.abc import Iterator, Mapping, Sequence

from mesh_placement.objects.placing import WorkloadTerm
from mesh_placement.schedule.look import Look
from mesh_placement.schedule.plugins import Rejection
from mesh_placement.schedule.snapshot import Cluster, Wanted


class WorkloadAffinity:
    """AnchorElsewhere, AntiAffinityConflict."""

    name = "WorkloadAffinity"

    def reject(self, look: Look, wanted: Wanted, clusters: Sequence[Cluster]) -> Mapping[str, Rejection]:
        """Those where the other one is, or is not."""
        found: dict[str, Rejection] = {}
        for other in _avoided(look, wanted):
            there = _homes(look, other)
            rejection = _conflict(other)
            found.update({one.name: rejection for one in clusters if one.name in there})
        for other in anchors_of(wanted):
            there = _homes(look, other)
            if there:
                rejection = _elsewhere(other, sorted(there))
                found.update({one.name: rejection for one in clusters if one.name not in there})
        return found


def anchors_of(wanted: Wanted) -> tuple[str, ...]:
    """Whom it sits with."""
    found = (_key(term, wanted=wanted) for term in wanted.spec.require.workloads if term.affinity == "With")
    return tuple(dict.fromkeys(one for one in found if one != wanted.name))


def _avoided(look: Look, wanted: Wanted) -> Iterator[str]:
    """Whom it wants to be away from, and who wants to be away from it."""
    mine = (_key(term, wanted=wanted) for term in wanted.spec.require.workloads if term.affinity == "Away")
    for other in dict.fromkeys((*mine, *look.avoided_by.get(wanted.name, ()))):
        if other != wanted.name:
            yield other


def _key(term: WorkloadTerm, *, wanted: Wanted) -> str:
    return f"{term.namespace or wanted.namespace}/{term.placement}"


def _homes(look: Look, placement: str) -> frozenset[str]:
    return frozenset(name for name, count in look.placed.get(placement, {}).items() if count != 0)


def _elsewhere(other: str, homes: list[str]) -> Rejection:
    return Rejection(
        "AnchorElsewhere",
        observed=f"{other} is not there",
        required=f"with {other}, in {', '.join(homes[:3])}{' ...' if len(homes) > 3 else ''}",
        hint=f"it follows {other}: look at why that one is not here",
        evicts=True,
    )


def _conflict(other: str) -> Rejection:
    return Rejection(
        "AntiAffinityConflict",
        observed=f"{other} is there",
        required=f"a cluster without {other}",
        hint="add clusters, or take the affinity Away from one of the two",
    )
