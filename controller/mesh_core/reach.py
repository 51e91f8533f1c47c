"""Which peers cannot be reached by the way that traffic to them goes (ruling 8, docs/decisions/0013).

The local gateways measure it, where the traffic goes, and say so in `MeshPeer.status.gateways`. Whether the
controllers' stream stands is no argument here and never withdraws anything.

1. Only words of live gateways count: those that are ready.
2. Through gateways a peer is withdrawn when every live gateway has said something, and none reaches it.
   One that has said nothing yet may reach it.
3. A neighbour, whose pods are reached directly, is withdrawn when at least two live gateways say that its
   pods are silent, and none that they answer. That its gateway is up or down is no argument. One gateway
   alone withdraws nothing: its own node may be what is cut off.
4. When there are at least two neighbours of which something is known, and none of them answers, it is this
   cluster that is cut off: no neighbour is withdrawn.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Final, assert_never

from mesh_core.conditions import as_json, settled, truth
from mesh_core.import_view import Gateways
from mesh_core.names import MANAGER
from mesh_core.objects import Condition, MeshPeer, PathReport
from mesh_core.path_report import Pods
from mesh_core.plan import Apply, Kind, Plan

REACHABLE: Final = "Reachable"
REACH_MANAGER: Final = f"reach.{MANAGER}"
_WITNESSES: Final = 2


class Way(Enum):
    """How the way to one peer stands, by what the live gateways say."""

    OPEN = "every one reaches it"
    PARTLY_OPEN = "some reach it"
    CLOSED = "none reaches it"
    DOUBTFUL = "some do not reach it, and too few say so"
    UNKNOWN = "nobody says anything"


class ReachReason(Enum):
    """The reasons of the condition `Reachable`."""

    ALL_GATEWAYS = "AllGateways"
    SOME_GATEWAYS = "SomeGateways"
    NO_GATEWAY = "NoGateway"
    PODS_UNREACHABLE = "PodsUnreachable"
    CUT_OFF = "CutOff"
    TOO_FEW_SAY_SO = "TooFewSaySo"


@dataclass(frozen=True, slots=True)
class Reach:
    """How all peers are reached, by cluster id, and whose endpoints are withdrawn."""

    ways: Mapping[str, Way]
    neighbours: frozenset[str]
    withdrawn: frozenset[str]


def reach_of(peers: Iterable[MeshPeer], *, gateways: Gateways, network: str) -> Reach:
    """How the peers are reached; `gateways` are the ready local ones, `network` is ours, "" for none."""
    known = {peer.metadata.name: peer for peer in peers}
    neighbours = frozenset(name for name, peer in known.items() if network and peer.spec.network == network)
    ways: dict[str, Way] = {}
    for name, peer in known.items():
        live = _live(peer, gateways=gateways)
        words = [one for one in peer.status.gateways if one.address in live]
        is_near = name in neighbours
        ways[name] = _way_to_pods(words) if is_near else _way_to_gateways(words, live=len(live))
    closed = frozenset(name for name, way in ways.items() if way is Way.CLOSED)
    measured = [ways[name] for name in neighbours if ways[name] is not Way.UNKNOWN]
    cut_off = len(measured) > 1 and all(way in (Way.CLOSED, Way.DOUBTFUL) for way in measured)
    return Reach(ways, neighbours, closed - neighbours if cut_off else closed)


def _live(peer: MeshPeer, *, gateways: Gateways) -> frozenset[str]:
    """The live gateways by the address that they sign with: with both families each has two."""
    signed = {one.address for one in peer.status.gateways}
    families = (frozenset(gateways.ipv4), frozenset(gateways.ipv6))
    return next((family for family in families if family & signed), families[0] or families[1])


def _way_to_gateways(words: list[PathReport], *, live: int) -> Way:
    up = sum(one.reachable for one in words)
    if not words:
        return Way.UNKNOWN
    if up:
        return Way.OPEN if up == len(words) else Way.PARTLY_OPEN
    return Way.CLOSED if len(words) == live else Way.DOUBTFUL


def _way_to_pods(words: list[PathReport]) -> Way:
    up = sum(one.pods == Pods.REACHABLE.value for one in words)
    down = sum(one.pods == Pods.UNREACHABLE.value for one in words)
    if up:
        return Way.PARTLY_OPEN if down else Way.OPEN
    if not down:
        return Way.UNKNOWN
    return Way.CLOSED if down >= _WITNESSES else Way.DOUBTFUL


def plan_reachable(peer: MeshPeer, *, reach: Reach, now: datetime) -> Plan:
    """The write that makes the condition `Reachable` of the peer show it, if one is due.

    While nobody says anything the condition stays what it was.
    """
    wanted = _condition(peer, reach=reach)
    if wanted is None:
        return ()
    condition = settled(wanted, before=peer.status.conditions, now=now)
    if condition in peer.status.conditions:
        return ()
    body = {"metadata": {"name": peer.metadata.name}, "status": {"conditions": [as_json(condition)]}}
    return (Apply(kind=Kind.MESH_PEER, body=body, manager=REACH_MANAGER, subresource="status"),)


def _condition(peer: MeshPeer, *, reach: Reach) -> Condition | None:
    name = peer.metadata.name
    way, is_near = reach.ways.get(name, Way.UNKNOWN), name in reach.neighbours
    what = "the peer's pods" if is_near else "a gateway of the peer"
    match way:
        case Way.UNKNOWN:
            return None
        case Way.OPEN:
            status, reason = truth(True), ReachReason.ALL_GATEWAYS
            message = f"{what} can be reached from every local gateway that tried"
        case Way.PARTLY_OPEN:
            status, reason = truth(True), ReachReason.SOME_GATEWAYS
            message = f"{what} can be reached from some local gateways only; {_advice(name, near=is_near)}"
        case Way.DOUBTFUL:
            status, reason = "Unknown", ReachReason.TOO_FEW_SAY_SO
            message = (
                f"{what} cannot be reached from a local gateway, too few say so to withdraw anything; "
                f"run at least two ready gateways here, and {_advice(name, near=is_near)}"
            )
        case Way.CLOSED if name not in reach.withdrawn:
            status, reason = truth(False), ReachReason.CUT_OFF
            message = (
                "no pods of any cluster on this network can be reached, so it is this cluster that is cut "
                "off, and nothing is withdrawn; check the routes and links of this cluster's nodes"
            )
        case Way.CLOSED:
            status = truth(False)
            reason = ReachReason.PODS_UNREACHABLE if is_near else ReachReason.NO_GATEWAY
            message = (
                f"no local gateway reaches {what}, its endpoints are not ready here until one does; "
                f"{_advice(name, near=is_near)}"
            )
        case _:
            assert_never(way)
    generation = peer.metadata.generation
    return Condition(
        type=REACHABLE, status=status, reason=reason.value, message=message, observed_generation=generation
    )


def _advice(name: str, *, near: bool) -> str:
    if near:
        return f"check the routes between the pods of both clusters, and policies that shut {name}'s pods"
    return f"check spec.gateways of MeshPeer {name}, the network between the clusters, and {name}'s gateway"
