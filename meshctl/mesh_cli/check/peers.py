"""Checks of peers: what the MeshPeers say, and how old the knowledge is behind it. Pure.

A socket that stands proves nothing (consul#22868): a peer is fine when it was heard a moment ago.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Final

from mesh_cli.check.findings import Findings
from mesh_cli.check.times import seconds_since, span
from mesh_cli.check.verdict import Observed, fail, ok, seen, unknown, warn
from mesh_cli.table import one_line
from mesh_core.names import peer_lease_name
from mesh_core.objects import Condition, MeshPeer
from mesh_core.peer_identity import IDENTITY_USED_TWICE
from mesh_core.peer_status import CONNECTED, DIAL_AGREED, NETWORK_AGREED, PARTIAL_MESH, RECORDS_ACCEPTED
from mesh_core.reach import REACHABLE, TUNNEL_ACCEPTED

STALE: Final = 30.0
"""Seconds: the Lease of a peer that is heard is renewed every ten."""
_NO_PEERS: Final = "there is no MeshPeer, so there was nothing to look at"
_LOG: Final = "look into the log of the leading controller"


@dataclass(frozen=True, slots=True)
class _Wanted:
    """The status that a condition should have, how bad the other one is, and what to do about it.

    `absent` says what it means that the condition is not there, "" where that is as good as fine.
    """

    kind: str
    status: str
    otherwise: Callable[..., Observed]
    next_step: str
    absent: str = ""


CONDITIONS: Final = {
    CONNECTED: _Wanted(
        CONNECTED, "True", fail, "do what the reason says", "no controller has looked at it yet"
    ),
    RECORDS_ACCEPTED: _Wanted(
        RECORDS_ACCEPTED,
        "True",
        warn,
        "change what is refused in the peer's cluster, or spec.import of the MeshPeer",
        "nothing was heard of its exports yet",
    ),
    PARTIAL_MESH: _Wanted(
        PARTIAL_MESH, "False", warn, "run meshctl link for each missing pair", "it has not said whom it knows"
    ),
    IDENTITY_USED_TWICE: _Wanted(IDENTITY_USED_TWICE, "False", fail, "join one of them under another id"),
    NETWORK_AGREED: _Wanted(
        NETWORK_AGREED, "True", fail, "run meshctl link again", "it has not said on which network it is"
    ),
    DIAL_AGREED: _Wanted(
        DIAL_AGREED,
        "True",
        fail,
        "run meshctl link EAST WEST --dial both, outbound or inbound",
        "it has not said who dials according to it",
    ),
    REACHABLE: _Wanted(
        REACHABLE, "True", fail, "see MESH-PEER-009 for each gateway", "no gateway has tried yet"
    ),
    TUNNEL_ACCEPTED: _Wanted(TUNNEL_ACCEPTED, "True", fail, "do what the message says"),
}
"""What each condition of a MeshPeer should be."""


def contact(findings: Findings) -> Iterator[Observed]:
    """MESH-PEER-002."""
    leases = {lease.metadata.name: lease for lease in seen(findings.leases)}
    for peer in _peers(findings):
        name = peer.metadata.name
        lease = leases.get(peer_lease_name(cluster=name))
        renewed = (lease.spec.renew_time if lease is not None else None) or ""
        age = seconds_since(renewed, at=findings.there)
        connected = _condition(peer, kind=CONNECTED)
        is_connected = connected is not None and connected.status == "True"
        if age is None:
            yield fail(name, seen="was never heard", next_step="see MESH-PEER-001 for the reason")
        elif age < -STALE:
            advice = "compare the clocks of the nodes: MESH-CLOCK-003"
            told = f"last heard in {span(age)}, by the clock of the leading controller, so nobody knows"
            yield unknown(name, seen=told, next_step=advice, since=renewed)
        elif age > STALE:
            though = ", though Connected is True" if is_connected else ""
            advice = (
                f"what is known of it is as old; {_LOG}"
                if is_connected
                else "see MESH-PEER-001 for the reason"
            )
            yield fail(name, seen=f"last heard {span(age)} ago{though}", next_step=advice, since=renewed)
        else:
            yield ok(name, seen=f"last heard {span(max(age, 0.0))} ago", since=renewed)
    yield from nobody(findings)


def ways(findings: Findings) -> Iterator[Observed]:
    """MESH-PEER-009."""
    for peer in _peers(findings):
        name = peer.metadata.name
        if not peer.status.gateways:
            advice = "look whether the gateways run: MESH-GW-001"
            yield unknown(name, seen="no gateway says anything of the way to it", next_step=advice)
        for word in peer.status.gateways:
            subject = f"{name} from gateway {word.address}"
            said = "reached" if word.reachable else "not reached"
            said += f", tunnel {word.tunnel.lower()}" if word.tunnel else ""
            said += f": {one_line(word.problem)}" if word.problem else ""
            if not word.reachable:
                advice = "check the address in spec.gateways and what is in between: see MESH-CERT-003"
                yield fail(subject, seen=said, next_step=advice, since=word.since)
            elif word.problem or word.tunnel == "Down":
                yield warn(subject, seen=said, next_step="do what the problem says", since=word.since)
            else:
                yield ok(subject, seen=said, since=word.since)
    yield from nobody(findings)


def condition(kind: str) -> Callable[[Findings], Iterator[Observed]]:
    """The check of one condition on all MeshPeers."""
    return partial(_judged, wanted=CONDITIONS[kind])


def _judged(findings: Findings, *, wanted: _Wanted) -> Iterator[Observed]:
    for peer in _peers(findings):
        name, found = peer.metadata.name, _condition(peer, kind=wanted.kind)
        if found is None or found.status == "Unknown":
            if not wanted.absent:
                yield ok(name, seen=f"{wanted.kind} was never shown")
            else:
                advice = "see MESH-PEER-001, and whether the controller runs: MESH-GW-002"
                yield unknown(name, seen=wanted.absent, next_step=advice)
            continue
        told = one_line(f"{found.reason}: {found.message}" if found.message else found.reason)
        if found.status == wanted.status:
            yield ok(name, seen=told, since=found.last_transition_time)
        else:
            yield wanted.otherwise(
                name, seen=told, next_step=wanted.next_step, since=found.last_transition_time
            )
    yield from nobody(findings)


def _peers(findings: Findings) -> Iterable[MeshPeer]:
    return sorted(seen(findings.peers), key=lambda peer: peer.metadata.name)


def nobody(findings: Findings) -> Iterator[Observed]:
    """Of who has no peer: a member alone is no fault, but nothing was proved either."""
    if not seen(findings.peers):
        yield warn("peers", seen=_NO_PEERS, next_step="link another member: meshctl link")


def _condition(peer: MeshPeer, *, kind: str) -> Condition | None:
    return next((one for one in peer.status.conditions if one.type == kind), None)
