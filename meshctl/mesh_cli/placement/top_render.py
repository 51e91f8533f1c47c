"""What `meshctl top clusters` shows. Pure: the same snapshot gives the same bytes.

The table is for reading and may change; the JSON is a promise: keys are only ever added.
"""

from collections.abc import Iterator, Mapping

from mesh_cli.output import as_json
from mesh_cli.table import table
from mesh_placement.decide.quantity import quantity
from mesh_placement.schedule.room import reserved_in
from mesh_placement.schedule.snapshot import Cluster, Room, Snapshot

_HEAD = ("CLUSTER", "RESOURCE", "TOTAL", "AVAILABLE", "ON ONE NODE", "RESERVED")


def room_as_text(snapshot: Snapshot) -> str:
    """A line for each cluster and resource, then of whom it is not known."""
    if not snapshot.clusters:
        return "no clusters\n"
    rows = [row for one in snapshot.clusters for row in _rows(one, _reserved(one, snapshot))]
    notes = [note for one in snapshot.clusters for note in _notes(one)]
    sections = (table(_HEAD, rows) if rows else "", "\n".join(notes))
    return "\n\n".join(filter(None, sections)) + "\n"


def room_as_json(snapshot: Snapshot, *, at: str) -> str:
    """All clusters; amounts are Kubernetes quantities by resource, `room` null where no agent told."""
    body = {"at": at, "clusters": [_cluster(one, _reserved(one, snapshot)) for one in snapshot.clusters]}
    return as_json(body)


def _reserved(one: Cluster, snapshot: Snapshot) -> Mapping[str, int]:
    found: dict[str, int] = {}
    for request, count in reserved_in(snapshot.reservations, cluster=one, now=snapshot.now):
        for resource, amount in request.items():
            found[resource] = found.get(resource, 0) + amount * count
    return found


def _rows(one: Cluster, reserved: Mapping[str, int]) -> Iterator[tuple[str, ...]]:
    if one.room is None:
        return
    room = one.room
    for name in sorted(room.total):
        told = (room.total, room.available, room.continuous, reserved)
        yield one.name, name, *(quantity(name, each[name]) if name in each else "" for each in told)


def _notes(one: Cluster) -> Iterator[str]:
    if one.room is None:
        yield f"{one.name}: its agent has not told its room yet"
    elif not one.room.is_fresh:
        yield f"{one.name}: {one.phase}: its room may have changed since it was told"


def _cluster(one: Cluster, reserved: Mapping[str, int]) -> Mapping[str, object]:
    return {"cluster": one.name, "room": None if one.room is None else _room(one.room, reserved)}


def _room(room: Room, reserved: Mapping[str, int]) -> Mapping[str, object]:
    return {
        "isFresh": room.is_fresh,
        "nodes": room.nodes,
        "pods": room.pods,
        "total": _amounts(room.total),
        "available": _amounts(room.available),
        "continuous": _amounts(room.continuous),
        "reserved": _amounts(reserved),
    }


def _amounts(found: Mapping[str, int]) -> Mapping[str, str]:
    return {name: quantity(name, found[name]) for name in sorted(found)}
