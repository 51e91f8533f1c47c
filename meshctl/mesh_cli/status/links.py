"""How a link stands, by what was last acknowledged. Pure.

A link is up where the peer's words are taken in up to a revision that was acknowledged a moment ago. A
connection that is open, or a condition that says so, is not enough: behind both the knowledge may be old.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from mesh_cli.status.survey import PeerSeen
from mesh_cli.table import span
from mesh_core.contact_lease import LEASE_SECONDS


class Standing(Enum):
    """How a link stands; the value is what is shown."""

    UP = "up"
    STALE = "stale"
    DOWN = "down"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Link:
    """How a link stands, and in a sentence why it is not up."""

    standing: Standing
    why: str = ""


def link_of(peer: PeerSeen, *, at: str) -> Link:
    """How the link to `peer` stands at `at` (RFC 3339)."""
    if peer.connected is None:
        return Link(Standing.UNKNOWN, "no controller has looked yet")
    if peer.connected.status != "True":
        return Link(Standing.DOWN, peer.connected.message or peer.connected.reason)
    if peer.acknowledged is None:
        return Link(Standing.UNKNOWN, "it is connected, and nothing says what of it was acknowledged")
    seconds = (_time(at) - _time(peer.acknowledged.at)).total_seconds()
    if seconds > LEASE_SECONDS:
        return Link(
            Standing.STALE,
            f"it counts as connected, and the last it acknowledged is {span(seconds)} old (revision "
            f"{peer.acknowledged.revision}): see that its controller runs and reaches its API server",
        )
    return Link(Standing.UP)


def rtt_of(peer: PeerSeen) -> float | None:
    """The shortest round trip that a local gateway measured, in seconds."""
    return min((path.rtt for path in peer.paths if path.rtt is not None), default=None)


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)
