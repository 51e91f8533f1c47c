"""A cycle as it can be stored and run again: what the scheduler saw, and what it answered.

A record has everything that the answer depended on, so the same code gives the same answer; where it does
not, code or plug-ins have changed since.
"""

import hashlib
from collections.abc import Collection

import msgspec
from msgspec import Struct

from mesh_placement.schedule.cycle import schedule
from mesh_placement.schedule.plan import Decision, Plan
from mesh_placement.schedule.plugins import Plugins
from mesh_placement.schedule.snapshot import Snapshot


class Record(Struct, frozen=True):
    """One cycle; `only` as it was given to `schedule`."""

    snapshot: Snapshot
    plan: Plan
    only: tuple[str, ...] | None = None


def encode(snapshot: Snapshot) -> bytes:
    """The snapshot as JSON."""
    return msgspec.json.encode(snapshot)


def decode(stored: bytes) -> Snapshot:
    """The snapshot out of its JSON; raises msgspec.DecodeError."""
    return msgspec.json.decode(stored, type=Snapshot)


def recorded(snapshot: Snapshot, plan: Plan, *, only: Collection[str] | None = None) -> bytes:
    """The cycle as JSON."""
    return msgspec.json.encode(Record(snapshot, plan, None if only is None else tuple(sorted(only))))


def replay(stored: bytes, plugins: Plugins) -> Plan:
    """What the scheduler makes of the stored cycle now; raises msgspec.DecodeError."""
    record = msgspec.json.decode(stored, type=Record)
    return schedule(record.snapshot, plugins, only=record.only)


def stored_plan(stored: bytes) -> Plan:
    """What it made of it then; raises msgspec.DecodeError."""
    return msgspec.json.decode(stored, type=Record).plan


def digest(plan: Plan) -> str:
    """Of what was decided of each placement, whatever the order: equal plans have equal ones, anywhere."""
    ordered = sorted(plan.decisions, key=lambda one: one.placement)
    return hashlib.sha256(msgspec.json.encode(ordered, order="deterministic")).hexdigest()


def differing(one: Plan, other: Plan) -> tuple[str, ...]:
    """The placements of which the two plans say something else, in order."""
    first, second = _by_name(one), _by_name(other)
    return tuple(name for name in sorted(first.keys() | second.keys()) if first.get(name) != second.get(name))


def _by_name(plan: Plan) -> dict[str, Decision]:
    return {one.placement: one for one in plan.decisions}
