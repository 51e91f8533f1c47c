"""Reservations by cluster, so that a thousand placements do not read a thousand reservations for each of a
thousand clusters. `room` says which of them count, and what fits beside them."""

from mesh_placement.schedule.look import Look
from mesh_placement.schedule.snapshot import Reservation


def reserved_by_cluster(look: Look) -> dict[str, list[Reservation]]:
    """All that hold or once held, by cluster."""
    found: dict[str, list[Reservation]] = {}
    for one in look.reservations:
        found.setdefault(one.cluster, []).append(one)
    return found
