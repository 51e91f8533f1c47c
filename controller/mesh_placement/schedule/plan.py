"""What the scheduler answers; values that can be stored as JSON and compared."""

from msgspec import Struct

from mesh_placement.objects.placing import ClusterVerdict
from mesh_placement.schedule.snapshot import Memory, Reservation


class Placed(Struct, frozen=True, gc=False):
    """One cluster of a decision; `replicas` None where nothing is counted."""

    cluster: str
    replicas: int | None = None


class Shrink(Struct, frozen=True):
    """Replicas that a lower priority gives up for this placement."""

    placement: str
    cluster: str
    replicas: int


class Probe(Struct, frozen=True):
    """A handshake for `service` from the gateways of `source` with `via`'s. A decision waits for it."""

    source: str
    service: str
    via: str


class Decision(Struct, frozen=True):
    """What becomes of one placement.

    `changes` False: everything stays (then `hold` says why, "" because it is right as it is). `cause` is the
    one sentence for the history. `again`: when to look again without a change (seconds since 1970).
    `leaving` are those of `placed` that stay only until others serve. `probes` are tried while it is held.
    """

    placement: str
    uid: str
    placed: tuple[Placed, ...]
    verdicts: tuple[ClusterVerdict, ...]
    changes: bool
    wanted: int | None = None
    shortfall: int = 0
    hold: str = ""
    cause: str = ""
    again: float | None = None
    memory: Memory = Memory()
    shrinks: tuple[Shrink, ...] = ()
    probes: tuple[Probe, ...] = ()
    leaving: tuple[str, ...] = ()


class Plan(Struct, frozen=True):
    """Decisions in the order in which they were made; `reservations` are all that hold after it."""

    decisions: tuple[Decision, ...]
    reservations: tuple[Reservation, ...] = ()
