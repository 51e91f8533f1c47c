"""Tiers: which of a placement's `tiers` a cluster belongs to."""

from collections.abc import Sequence

from mesh_placement.objects.placing import PropertyMatch
from mesh_placement.schedule.plugins import Rejection
from mesh_placement.schedule.snapshot import Cluster

NAME = "Tiers"


def tier_of(cluster: Cluster, tiers: Sequence[PropertyMatch]) -> int | None:
    """The first that it matches; 0 where no tiers are asked for, None where it matches none of them."""
    if not tiers:
        return 0
    properties = cluster.properties
    for number, one in enumerate(tiers):
        if all(properties.get(name) == value for name, value in one.match_properties.items()):
            return number
    return None


def no_tier(number: int) -> Rejection:
    """What is said of a cluster that belongs to none of the `number` tiers."""
    return Rejection(
        "PropertyMismatch",
        observed="in none of the tiers",
        required=f"the properties of one of {number} tiers",
        hint="a last tier without matchProperties takes all other clusters",
    )
