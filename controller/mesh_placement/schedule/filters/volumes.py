"""Filter Volume: can the cluster make the volumes, and are those there that the placement has already?"""

from collections.abc import Mapping, Sequence

from mesh_placement.schedule.look import Look
from mesh_placement.schedule.plugins import Rejection
from mesh_placement.schedule.row_facts import exceptions_of
from mesh_placement.schedule.snapshot import Cluster, Wanted


class Volumes:
    """StorageClassMissing, VolumePinnedElsewhere."""

    name = "Volume"

    def reject(self, look: Look, wanted: Wanted, clusters: Sequence[Cluster]) -> Mapping[str, Rejection]:
        """Those without the storage classes, and those without the data."""
        found: dict[str, Rejection] = {}
        classes = frozenset(wanted.demand.storage_classes)
        if classes:
            rule = "Volume", classes
            found.update(exceptions_of(look, rule, clusters, lambda one: _lacking(classes, one)))
        pinned = wanted.demand.pinned if wanted.spec.data_policy == "Keep" else ()
        if pinned:
            found.update({one.name: _pinned(pinned) for one in clusters if one.name not in pinned})
        return found


def _lacking(classes: frozenset[str], cluster: Cluster) -> Rejection | None:
    has = cluster.storage_classes
    missing = classes.difference(has) if has is not None else None
    return _no_class(sorted(missing), has=has) if missing and has is not None else None


def _no_class(missing: list[str], *, has: Sequence[str]) -> Rejection:
    some = sorted(set(has))
    more = f" and {len(some) - 3} more" if len(some) > 3 else ""
    return Rejection(
        "StorageClassMissing",
        observed=f"its storage classes are {', '.join(some[:3])}{more}"
        if some
        else "it has no storage class",
        required=f"storage class {', '.join(missing)}",
        hint=f"create StorageClass {missing[0]} there, or override storageClassName for this cluster",
    )


def _pinned(clusters: Sequence[str]) -> Rejection:
    return Rejection(
        "VolumePinnedElsewhere",
        observed="does not have the bound volumes",
        required=f"in {', '.join(sorted(clusters))}, where the data is",
        hint="move the data first, or set dataPolicy: Recreate to begin without it",
    )
