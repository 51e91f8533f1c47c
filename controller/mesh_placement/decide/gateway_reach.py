"""Condition GatewayReachable: what the other clusters of the set say of a cluster's gateway.

It is the second witness beside the Lease (signal G of the failure table): the agent is silent and the gateway
answers, or the other way round.

1. A row counts while its own cluster is heard by the hub, and says something: Unknown says nothing.
2. More than half decides. Without rows, and where halves disagree, nothing is known.
3. A gateway that some of a peer's gateways reach (Degraded) is reached.
4. It is no part of Ready unless a readiness gate names it.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Final

from mesh_placement.decide.finding import Finding
from mesh_placement.objects import ClusterLink, ClusterRegistration, LinkState

GATEWAY_REACHABLE: Final = "GatewayReachable"
_HEARD: Final = ("Available", "Ready", "Suspect")
_REACHED: Final = ("Up", "Degraded")
_MOST_NAMED: Final = 5


class ReachReason(Enum):
    """Reasons of the condition."""

    REACHED = "PeersReachIt"
    NOT_REACHED = "PeersDoNotReachIt"
    DIVIDED = "PeersDisagree"
    NO_ROWS = "NoPeerTells"


@dataclass(frozen=True, slots=True, order=True)
class Witness:
    """What cluster `by` says of the way to another."""

    by: str
    state: LinkState


def is_heard(registration: ClusterRegistration) -> bool:
    """Law 1: whether what this cluster says of others counts."""
    return registration.status.phase in _HEARD and registration.metadata.deletion_timestamp is None


def witnesses_of(
    cluster: str, *, rows: Iterable[tuple[ClusterRegistration, ClusterLink]]
) -> tuple[Witness, ...]:
    """What those who are heard say of `cluster`, by name; `rows` are those of its set."""
    return tuple(
        sorted(
            Witness(by=teller.metadata.name, state=one.state)
            for teller, link in rows
            if teller.metadata.name != cluster and is_heard(teller)
            for one in link.status.peers
            if one.cluster == cluster and one.state != "Unknown"
        )
    )


def gateway_finding(witnesses: Iterable[Witness]) -> Finding:
    """What follows of it."""
    up: list[str] = []
    down: list[str] = []
    for one in witnesses:
        (up if one.state in _REACHED else down).append(one.by)
    if not up and not down:
        return Finding("Unknown", ReachReason.NO_ROWS, "no other cluster of the set says anything of it")
    if len(up) > len(down):
        return Finding("True", ReachReason.REACHED, _both(up, down))
    if len(down) > len(up):
        advice = "see whether its gateway runs and is reached: meshctl check in the member"
        return Finding("False", ReachReason.NOT_REACHED, f"{_both(up, down)}; {advice}")
    return Finding("Unknown", ReachReason.DIVIDED, _both(up, down))


def _both(up: list[str], down: list[str]) -> str:
    parts = ([f"{_few(up)} reach{_s(up)} it"] if up else []) + (
        [f"{_few(down)} do{'es' if len(down) == 1 else ''} not"] if down else []
    )
    return ", ".join(parts)


def _s(names: list[str]) -> str:
    return "es" if len(names) == 1 else ""


def _few(names: list[str]) -> str:
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return ", ".join(names[:_MOST_NAMED]) + more
