"""Checks of two sides: what the others say of this cluster, where they were asked in the same run. Pure.

A side that sees nothing wrong may be the only one (linkerd2#11668), and what keeps peers from dialling this
cluster is seen at the peers alone.
"""

from collections.abc import Iterator

from mesh_cli.check.findings import Findings
from mesh_cli.check.peers import nobody
from mesh_cli.check.verdict import CouldNotLook, Observed, Unseen, fail, ok, seen, unknown, warn
from mesh_cli.member.addresses import format_address
from mesh_cli.table import one_line
from mesh_core.membership import Membership
from mesh_core.objects import Condition, MeshPeer
from mesh_core.peer_status import CONNECTED
from mesh_core.reach import REACHABLE

_NOBODY = "no other was asked; give several --context to hear both sides"


def reached(findings: Findings) -> Iterator[Observed]:
    """MESH-PEER-011."""
    cluster, told = _cluster(findings), False
    for name, side in _sides(findings, cluster=cluster):
        told = True
        if isinstance(side, Observed):
            yield side
            continue
        if side is None:
            yield fail(
                name,
                seen="has no MeshPeer for this cluster, which has one for it",
                next_step=f"run meshctl link for {cluster} and {name}",
            )
            continue
        for kind in (CONNECTED, REACHABLE):
            state = _condition(side, kind)
            if state is None or state.status == "Unknown":
                advice = f"see MESH-GW-001 and MESH-GW-002 of {name}"
                yield unknown(name, seen=f"does not say {kind} of this cluster", next_step=advice)
            elif state.status != "True":
                why = one_line(f"{state.reason}: {state.message}")
                advice = f"see MESH-PEER-009 and MESH-PATH-001 of {name}"
                yield fail(
                    name,
                    seen=f"says {kind} of this cluster is {state.status}: {why}",
                    next_step=advice,
                    since=state.last_transition_time,
                )
            else:
                yield ok(name, seen=f"says {kind} of this cluster is True", since=state.last_transition_time)
    if not seen(findings.peers):
        yield from nobody(findings)
    elif not told:
        yield ok("other clusters", seen=_NOBODY)


def addresses(findings: Findings) -> Iterator[Observed]:
    """MESH-PEER-012."""
    cluster, own, told = _cluster(findings), set(seen(findings.own_addresses)), False
    for name, side in _sides(findings, cluster=cluster):
        told = True
        if isinstance(side, Observed):
            yield side
            continue
        known = [format_address(one) for one in side.spec.dialled] if side is not None else []
        shown = ", ".join(known)
        if side is None:
            yield ok(name, seen="has no MeshPeer for this cluster: MESH-PEER-011")
        elif not known:
            yield ok(name, seen="never dials this cluster (spec.dial)")
        elif set(known) & own:
            yield ok(name, seen=f"dials this cluster at {shown}")
        else:
            here = ", ".join(sorted(own)) or "none"
            yield warn(
                name,
                seen=f"dials this cluster at {shown}, and its gateway's Service has {here}",
                next_step="right if something in between forwards it; if not, run meshctl link again",
            )
    if not seen(findings.peers):
        yield from nobody(findings)
    elif not told:
        yield ok("other clusters", seen=_NOBODY)


def _sides(findings: Findings, *, cluster: str) -> Iterator[tuple[str, MeshPeer | Observed | None]]:
    """Each peer that was asked too, and its MeshPeer for this cluster, None where it has none; or what is
    to be said in its place."""
    peers = {one.metadata.name for one in seen(findings.peers)}
    for context, other in sorted(findings.others.items()):
        advice = f"check {context} first"
        if isinstance(other.member, Unseen):
            yield context, unknown(context, seen=other.member.why, next_step=advice)
            continue
        membership = other.member.membership
        if not isinstance(membership, Membership) or membership.cluster not in peers:
            continue
        name = membership.cluster
        if isinstance(other.peers, Unseen):
            yield name, unknown(name, seen=other.peers.why, next_step=advice)
        else:
            yield name, next((one for one in other.peers if one.metadata.name == cluster), None)


def _cluster(findings: Findings) -> str:
    membership = seen(findings.member).membership
    if not isinstance(membership, Membership):
        raise CouldNotLook(f"this cluster is not a member: {membership.why}")
    return membership.cluster


def _condition(peer: MeshPeer, kind: str) -> Condition | None:
    return next((one for one in peer.status.conditions if one.type == kind), None)
