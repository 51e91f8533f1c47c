"""How each asked member stands with each of its peers: one word, what it is read from, figures. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from mesh_cli.status.survey import NotSeen
from mesh_cli.table import span
from mesh_core.conditions import rfc3339
from mesh_core.contact_lease import LEASE_SECONDS, Acknowledged, acknowledged_of
from mesh_core.names import peer_lease_name
from mesh_core.objects import Condition, Lease, MeshPeer
from mesh_core.reach import REACHABLE

CONNECTED = "Connected"


class Link(Enum):
    """How a link stands."""

    UP = "Up"
    STALE = "Stale"
    """Traffic goes, and what the peer exports is no longer heard."""
    DOWN = "Down"
    """No local gateway reaches the peer."""
    APART = "Apart"
    """Neither traffic nor news."""
    UNKNOWN = "Unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerLine:
    """One member and one peer. `rtt` is the shortest round trip that a gateway measured, in seconds;
    `reaching` of `gateways` local gateways reach the peer, and `tunnels` hold a tunnel to it.

    Times are RFC 3339: at `last_sync` the peer's exports were last known to be complete. `last_contact` is as
    of when all is taken in that it said, up to `revision` (0: nothing says so); at `last_word` it was heard,
    which shows that a connection is open and no more.
    """

    member: str
    peer: str
    link: Link
    reason: str
    message: str
    last_contact: str
    revision: int
    last_word: str
    last_sync: str
    exports: int
    rtt: float | None
    gateways: int
    reaching: int
    tunnels: int
    addresses: tuple[str, ...]
    trust_generation: int
    cert_not_after: str
    since: str
    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Peers:
    """All that was found, in the order in which clusters were named, peers by their ids."""

    at: str
    lines: tuple[PeerLine, ...]
    unseen: tuple[NotSeen, ...]


def line_of(peer: MeshPeer, *, member: str, leases: Mapping[str, Lease], now: datetime) -> PeerLine:
    """What the member's objects say of one peer, `now` by the member's own clock."""
    status = peer.status
    conditions = {one.type: one for one in status.conditions}
    lease = leases.get(peer_lease_name(cluster=peer.metadata.name))
    acknowledged = acknowledged_of(lease) if lease is not None else None
    reachable = conditions.get(REACHABLE)
    connected = _believed(conditions.get(CONNECTED), acknowledged=acknowledged, now=now)
    link = _link(connected, reachable)
    telling = reachable if link is Link.DOWN else connected
    trips = [one.rtt_microseconds for one in status.gateways if one.rtt_microseconds]
    return PeerLine(
        member=member,
        peer=peer.metadata.name,
        link=link,
        reason=telling.reason if telling is not None else "",
        message=telling.message if telling is not None else "no controller has looked yet",
        last_contact=rfc3339(acknowledged.at) if acknowledged is not None else "",
        revision=acknowledged.revision if acknowledged is not None else 0,
        last_word=(lease.spec.renew_time or "") if lease is not None else "",
        last_sync=status.last_sync,
        exports=status.exports,
        rtt=min(trips) / 1_000_000 if trips else None,
        gateways=len(status.gateways),
        reaching=sum(one.reachable for one in status.gateways),
        tunnels=sum(one.tunnel == "Up" for one in status.gateways),
        addresses=tuple(f"{one.host}:{one.port}" for one in peer.spec.gateways),
        trust_generation=status.trust.generation if status.trust is not None else 0,
        cert_not_after=min((one.cert_not_after for one in status.gateways if one.cert_not_after), default=""),
        since=peer.metadata.creation_timestamp,
        problems=tuple(dict.fromkeys(_problems(peer))),
    )


def _believed(
    connected: Condition | None, *, acknowledged: Acknowledged | None, now: datetime
) -> Condition | None:
    """The condition, unless it says True and what was taken in is old: who writes it may be gone."""
    if connected is None or connected.status != "True" or acknowledged is None:
        return connected
    seconds = (now - acknowledged.at).total_seconds()
    if seconds <= LEASE_SECONDS:
        return connected
    return Condition(
        type=CONNECTED,
        status="False",
        reason="NotAcknowledged",
        message=f"it counts as connected, and the last it acknowledged is {span(seconds)} old (revision "
        f"{acknowledged.revision}): see that its controller runs and reaches its API server",
    )


def _link(connected: Condition | None, reachable: Condition | None) -> Link:
    """Of the controllers' stream and what the gateways find; what nobody has said speaks for nothing."""
    heard = connected.status if connected is not None else "Unknown"
    reached = reachable.status if reachable is not None else "Unknown"
    match heard, reached:
        case "True", "False":
            return Link.DOWN
        case "True", _:
            return Link.UP
        case "False", "False":
            return Link.APART
        case "False", _:
            return Link.STALE
        case _, "False":
            return Link.DOWN
        case _:
            return Link.UNKNOWN


def _problems(peer: MeshPeer) -> Iterable[str]:
    """What gateways complain of, and conditions beside those two."""
    for report in peer.status.gateways:
        if report.problem:
            yield report.problem
    for one in peer.status.conditions:
        is_bad = one.status == ("True" if one.type == "IdentityUsedTwice" else "False")
        if is_bad and one.type in _TOLD:
            yield f"{one.type}={one.status} ({one.reason}): {one.message}"


_TOLD = {"RecordsAccepted", "NetworkAgreed", "DialAgreed", "IdentityUsedTwice", "TunnelAccepted"}
