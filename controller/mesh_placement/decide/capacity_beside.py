"""What ClusterCapacity.status tells beside nodes and pods: pools, revisions that the numbers show, and names.

1. A pool is what no node has: addresses, licences. A ClusterProperty `<pool>.pool.meshctl.dev` counts it, as
   "available/total" or, where only what is free is known, "available". The property's name is the resource's,
   in `total` and `available` alone: what fits on one node is no question of a pool.
2. A pool that does not read is left out, and warned of: no number is better than a wrong one.
3. Namespaces on their way out are left out: nothing can be put there. Of too many names none is told, because
   a list that is cut says of what is missing that it is not there.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from msgspec.structs import replace

from mesh_core.objects import ClusterProperty, KubernetesObject
from mesh_placement.decide.capacity import MOST_WARNINGS
from mesh_placement.decide.quantity import Rounding, quantity, thousandths
from mesh_placement.names import POOL_SUFFIX
from mesh_placement.objects import Assignment, ClusterCapacityStatus

MOST_POOLS = 64
MOST_NAMESPACES = 2_000
MOST_STORAGE_CLASSES = 200
MOST_OBSERVED = 5_000

Names = tuple[str, ...] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """`observed` is the revision of each placement whose pods are counted; names None: not known."""

    observed: dict[str, int]
    properties: Sequence[ClusterProperty] = ()
    namespaces: Names = None
    storage_classes: Names = None


def with_beside(status: ClusterCapacityStatus, beside: Beside) -> ClusterCapacityStatus:
    """The whole status."""
    total, available, warnings = dict(status.total), dict(status.available), list(status.warnings)
    pools = (one for one in beside.properties if is_pool_name(one.metadata.name))
    for one in sorted(pools, key=lambda one: one.metadata.name)[:MOST_POOLS]:
        name = one.metadata.name
        counted = _pool(one.spec.value)
        if counted is None:
            if len(warnings) < 2 * MOST_WARNINGS:
                warnings.append(f'ClusterProperty {name} is no pool; write "available/total", as "12/127"')
            continue
        free, there = counted
        total[name], available[name] = quantity(name, there), quantity(name, free)
    return replace(
        status,
        total=total,
        available=available,
        warnings=tuple(warnings),
        observed_assignments=beside.observed,
        namespaces=beside.namespaces,
        storage_classes=beside.storage_classes,
    )


def is_pool_name(name: str) -> bool:
    """Whether a ClusterProperty of that name counts a pool (law 1)."""
    return name.endswith(POOL_SUFFIX)


def observed(assignments: Iterable[Assignment]) -> dict[str, int]:
    """Revision by "namespace/name" of the Placement, or by the Assignment's name where a person made it."""
    found: dict[str, int] = {}
    for one in assignments:
        if one.status.visible and not is_leaving(one):
            key = _placement(one)
            found[key] = max(one.status.visible, found.get(key, 0))
    return dict(sorted(found.items())[:MOST_OBSERVED])


def names_of(objects: Iterable[KubernetesObject], *, most: int) -> Names:
    """Sorted; None where there are more than `most` (law 3)."""
    found = sorted(one.metadata.name for one in objects if not is_leaving(one))
    return tuple(found) if len(found) <= most else None


def is_leaving(one: KubernetesObject) -> bool:
    """Whether it is being deleted: what it would hold has no place any more."""
    return one.metadata.deletion_timestamp is not None


def _placement(one: Assignment) -> str:
    ref = one.spec.placement_ref
    return f"{ref.namespace}/{ref.name}" if ref.name else one.metadata.name


def _pool(text: str) -> tuple[int, int] | None:
    """What is available and what there is, in thousandths; None for a text that says neither."""
    first, slash, second = text.strip().partition("/")
    free = thousandths(first.strip(), rounding=Rounding.DOWN)
    there = thousandths(second.strip(), rounding=Rounding.DOWN) if slash else free
    if free is None or there is None or not 0 <= free <= there:
        return None
    return free, there
