"""What a local gateway says of the way to a peer: its entry in `MeshPeer.status.gateways` (ruling 8).

1. Each gateway writes its own entry, under a field manager of its own, and nobody else's.
2. It writes when what it says differs from what is there, so that also an entry that somebody removed
   comes back; while nothing changes it writes nothing.
3. Figures are said rarely (`figures_due`), for they move all the time, and each write is read by everybody
   who watches: the round trip to the peer when it differs from what is there by a quarter and by a
   millisecond, or is of another order (gateways that counted whole milliseconds said 1 microsecond for none
   of them); the headroom by ten points of a hundred, the end of the peer's certificate when it is another.
4. The leading controller takes away what no gateway is there for any more: a pod that was killed leaves
   its entry behind, and its address may become another one's.
"""

from collections.abc import Set
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Final

from mesh_core.conditions import rfc3339
from mesh_core.objects import MeshPeer, PathReport
from mesh_core.plan import Apply, Json, Kind, Plan

LONGEST_PROBLEM: Final = 512
ORPHANED: Final = timedelta(seconds=60)
"""An entry is so old before it is taken away: that of a new gateway may come before the gateway's slice."""
FIGURES_REST: Final = 30.0
"""Seconds between two writes that are about figures only."""
_SHARE: Final = 4
_LEAST: Final = 1_000
_TIMES: Final = 10
_POINTS: Final = 10
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
    in tunnels in microseconds, 0 when none was measured; `headroom` the share of streams to the peer that
    are free, in percent; `cert_not_after` when the peer's newest certificate ends (RFC 3339), "" for unknown.
    """

    reachable: bool
    pods: Pods = Pods.UNKNOWN
    tunnel: Tunnel = Tunnel.NONE
    problem: str = ""
    rtt: int = 0
    headroom: int | None = None
    cert_not_after: str = ""


def report_of(peer: MeshPeer, *, address: str) -> PathReport | None:
    """What the gateway at `address` says there; None when it says nothing."""
    return next((one for one in peer.status.gateways if one.address == address), None)


def is_rtt_news(said: int, *, found: int) -> bool:
    """Whether a round trip of `found` microseconds is worth saying where `said` stands; 0 is not known."""
    if found <= 0 or said <= 0:
        return found > 0
    moved = abs(found - said)
    is_of_another_order = max(found, said) >= _TIMES * min(found, said)
    return is_of_another_order or (moved * _SHARE >= said and moved >= _LEAST)


def is_headroom_news(said: int | None, *, found: int | None) -> bool:
    """Whether a headroom of `found` percent is worth saying where `said` stands; None is not known."""
    return found is not None and (said is None or abs(found - said) >= _POINTS)


def plan_report(
    peer: MeshPeer, *, address: str, finding: Finding, now: datetime, figures_due: bool = True
) -> Plan:
    """The write that makes the entry of `address` say `finding`, if one is due.

    `figures_due`: a write for the sake of figures alone may be made.
    """
    seen = report_of(peer, address=address)
    said = finding.reachable, finding.pods.value, finding.tunnel.value, finding.problem[:LONGEST_PROBLEM]
    since = rfc3339(now)
    if seen is not None:
        is_same = (seen.reachable, seen.pods, seen.tunnel, seen.problem) == said
        if is_same and not (figures_due and _has_new_figures(seen, finding=finding)):
            return ()
        finding = _with_older_figures(finding, seen=seen)
        since = seen.since if is_same and seen.since else since
    reachable, pods, tunnel, problem = said
    entry: Json = {"address": address, "reachable": reachable, "pods": pods, "since": since}
    entry |= {"tunnel": tunnel} if tunnel else {}
    entry |= {"problem": problem} if problem else {}
    entry |= {"rttMicroseconds": min(finding.rtt, _LONGEST)} if finding.rtt else {}
    entry |= {"headroomPercent": finding.headroom} if finding.headroom is not None else {}
    entry |= {"certNotAfter": finding.cert_not_after} if finding.cert_not_after else {}
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


def _has_new_figures(seen: PathReport, *, finding: Finding) -> bool:
    return (
        is_rtt_news(seen.rtt_microseconds, found=finding.rtt)
        or is_headroom_news(seen.headroom_percent, found=finding.headroom)
        or finding.cert_not_after not in ("", seen.cert_not_after)
    )


def _with_older_figures(finding: Finding, *, seen: PathReport) -> Finding:
    """What was measured before this process began is better than nothing."""
    return replace(
        finding,
        rtt=finding.rtt or seen.rtt_microseconds,
        headroom=seen.headroom_percent if finding.headroom is None else finding.headroom,
        cert_not_after=finding.cert_not_after or seen.cert_not_after,
    )


def _apply(body: dict[str, object], *, address: str) -> Apply:
    manager = f"gateway-{address}.meshctl.dev"
    return Apply(kind=Kind.MESH_PEER, body=body, manager=manager, subresource="status")


def _age(one: PathReport, *, now: datetime) -> timedelta:
    """How long ago the entry was written; text that is no time is long ago."""
    try:
        return now - datetime.strptime(one.since, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    except ValueError:
        return ORPHANED
