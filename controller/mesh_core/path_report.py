"""What a local gateway says of the way to a peer: its entry in `MeshPeer.status.gateways` (ruling 8).

1. Each gateway writes its own entry, under a field manager of its own, and nobody else's.
2. It writes when what it says differs from what is there, so that also an entry that somebody removed
   comes back; while nothing changes it writes nothing.
3. The round trip to the peer is said when it differs from what is there by a quarter and by a millisecond,
   and rarely (`rtt_due`): it moves all the time, and each write is read by everybody who watches.
4. The leading controller takes away what no gateway is there for any more: a pod that was killed leaves
   its entry behind, and its address may become another one's.
"""

from collections.abc import Set
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Final

from mesh_core.conditions import rfc3339
from mesh_core.objects import MeshPeer, PathReport
from mesh_core.plan import Apply, Json, Kind, Plan

LONGEST_PROBLEM: Final = 512
ORPHANED: Final = timedelta(seconds=60)
"""An entry is so old before it is taken away: that of a new gateway may come before the gateway's slice."""
RTT_REST: Final = 30.0
"""Seconds between two writes that are about the round trip only."""
_SHARE: Final = 4
_LEAST: Final = 1_000
_LONGEST: Final = 60_000_000  # as the CRD has it; no tunnel lives that answers later


class Pods(Enum):
    """What dialling the pods of a neighbour comes to."""

    REACHABLE = "Reachable"
    UNREACHABLE = "Unreachable"
    UNKNOWN = "Unknown"


class Tunnel(Enum):
    """Whether the gateway holds a tunnel to the peer; `NONE` where it keeps none."""

    NONE = ""
    UP = "Up"
    DOWN = "Down"


@dataclass(frozen=True, slots=True)
class Finding:
    """What one gateway finds: whether it reaches the peer, by a tunnel or by dialling, and the peer's pods.

    `problem` is a sentence about why a tunnel is refused, "" when none is. `rtt` is the round trip of pings
    in tunnels in microseconds, 0 when none was measured.
    """

    reachable: bool
    pods: Pods = Pods.UNKNOWN
    tunnel: Tunnel = Tunnel.NONE
    problem: str = ""
    rtt: int = 0


def report_of(peer: MeshPeer, *, address: str) -> PathReport | None:
    """What the gateway at `address` says there; None when it says nothing."""
    return next((one for one in peer.status.gateways if one.address == address), None)


def is_rtt_news(said: int, *, found: int) -> bool:
    """Whether a round trip of `found` microseconds is worth saying where `said` stands; 0 is not known."""
    moved = abs(found - said)
    return found > 0 and (said <= 0 or (moved * _SHARE >= said and moved >= _LEAST))


def plan_report(
    peer: MeshPeer, *, address: str, finding: Finding, now: datetime, rtt_due: bool = True
) -> Plan:
    """The write that makes the entry of `address` say `finding`, if one is due.

    `rtt_due`: a write for the sake of the round trip alone may be made.
    """
    seen = report_of(peer, address=address)
    said = finding.reachable, finding.pods.value, finding.tunnel.value, finding.problem[:LONGEST_PROBLEM]
    rtt, since = finding.rtt, rfc3339(now)
    if seen is not None:
        is_same = (seen.reachable, seen.pods, seen.tunnel, seen.problem) == said
        if is_same and not (rtt_due and is_rtt_news(seen.rtt_microseconds, found=rtt)):
            return ()
        # One that was measured before this process began is better than none.
        rtt = rtt or seen.rtt_microseconds
        since = seen.since if is_same and seen.since else since
    reachable, pods, tunnel, problem = said
    entry: Json = {"address": address, "reachable": reachable, "pods": pods, "since": since}
    entry |= {"tunnel": tunnel} if tunnel else {}
    entry |= {"problem": problem} if problem else {}
    entry |= {"rttMicroseconds": min(rtt, _LONGEST)} if rtt else {}
    body = {"metadata": {"name": peer.metadata.name}, "status": {"gateways": [entry]}}
    return (_apply(body, address=address),)


def plan_silence(peer: MeshPeer, *, address: str) -> Plan:
    """The write that takes the entry of `address` away, if there is one."""
    if report_of(peer, address=address) is None:
        return ()
    # Without `status`: an empty list would stay with the manager, one for every gateway that ever was.
    return (_apply({"metadata": {"name": peer.metadata.name}}, address=address),)


def plan_orphans(peer: MeshPeer, *, gateways: Set[str], now: datetime) -> Plan:
    """The writes that take away old entries of addresses that are no gateway's, ready or not."""
    steps: Plan = ()
    for one in peer.status.gateways:
        if one.address not in gateways and _age(one, now=now) >= ORPHANED:
            steps += plan_silence(peer, address=one.address)
    return steps


def until_orphaned(peer: MeshPeer, *, gateways: Set[str], now: datetime) -> float | None:
    """Seconds until `plan_orphans` has something to do; None when it will not have.

    What is overdue has just been taken away; if it stands all the same, somebody else wrote it.
    """
    left = [ORPHANED - _age(one, now=now) for one in peer.status.gateways if one.address not in gateways]
    waits = [wait if wait > timedelta(0) else ORPHANED for wait in left]
    return min(waits).total_seconds() if waits else None


def _apply(body: dict[str, object], *, address: str) -> Apply:
    manager = f"gateway-{address}.meshctl.dev"
    return Apply(kind=Kind.MESH_PEER, body=body, manager=manager, subresource="status")


def _age(one: PathReport, *, now: datetime) -> timedelta:
    """How long ago the entry was written; text that is no time is long ago."""
    try:
        return now - datetime.strptime(one.since, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    except ValueError:
        return ORPHANED
