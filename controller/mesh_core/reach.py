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
5. A peer that is never dialled (`spec.dial` is `inbound`) is reached as long as a tunnel of its own stands:
   the gateways say so like everything else.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Final, assert_never

from mesh_core.conditions import as_json, settled, truth
from mesh_core.import_view import Gateways
from mesh_core.names import MANAGER
from mesh_core.objects import Condition, MeshPeer, PathReport
from mesh_core.path_report import Pods, Tunnel
from mesh_core.plan import Apply, Kind, Plan

REACHABLE: Final = "Reachable"
TUNNEL_ACCEPTED: Final = "TunnelAccepted"
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
    NO_TUNNEL = "NoTunnel"
    PODS_UNREACHABLE = "PodsUnreachable"
    CUT_OFF = "CutOff"
    TOO_FEW_SAY_SO = "TooFewSaySo"


class TunnelReason(Enum):
    """The reasons of the condition `TunnelAccepted`."""

    ACCEPTED = "Accepted"
    REFUSED = "Refused"


@dataclass(frozen=True, slots=True)
class Reach:
    """How all peers are reached, by cluster id, what live gateways say of them, and who is withdrawn."""

    ways: Mapping[str, Way]
    words: Mapping[str, tuple[PathReport, ...]]
    neighbours: frozenset[str]
    withdrawn: frozenset[str]


def reach_of(peers: Iterable[MeshPeer], *, gateways: Gateways, network: str) -> Reach:
    """How the peers are reached; `gateways` are the ready local ones, `network` is ours, "" for none."""
    known = {peer.metadata.name: peer for peer in peers}
    neighbours = frozenset(name for name, peer in known.items() if network and peer.spec.network == network)
    ways: dict[str, Way] = {}
    said: dict[str, tuple[PathReport, ...]] = {}
    for name, peer in known.items():
        live = _live(peer, gateways=gateways)
        words = said[name] = tuple(one for one in peer.status.gateways if one.address in live)
        is_near = name in neighbours
        ways[name] = _way_to_pods(words) if is_near else _way_to_gateways(words, live=len(live))
    closed = frozenset(name for name, way in ways.items() if way is Way.CLOSED)
    measured = [ways[name] for name in neighbours if ways[name] is not Way.UNKNOWN]
    cut_off = len(measured) > 1 and all(way in (Way.CLOSED, Way.DOUBTFUL) for way in measured)
    return Reach(ways, said, neighbours, closed - neighbours if cut_off else closed)


def _live(peer: MeshPeer, *, gateways: Gateways) -> frozenset[str]:
    """The live gateways by the address that they sign with: with both families each has two."""
    signed = {one.address for one in peer.status.gateways}
    families = (frozenset(gateways.ipv4), frozenset(gateways.ipv6))
    return next((family for family in families if family & signed), families[0] or families[1])


def _way_to_gateways(words: Sequence[PathReport], *, live: int) -> Way:
    up = sum(one.reachable for one in words)
    if not words:
        return Way.UNKNOWN
    if up:
        return Way.OPEN if up == len(words) else Way.PARTLY_OPEN
    return Way.CLOSED if len(words) == live else Way.DOUBTFUL


def _way_to_pods(words: Sequence[PathReport]) -> Way:
    up = sum(one.pods == Pods.REACHABLE.value for one in words)
    down = sum(one.pods == Pods.UNREACHABLE.value for one in words)
    if up:
        return Way.PARTLY_OPEN if down else Way.OPEN
    if not down:
        return Way.UNKNOWN
    return Way.CLOSED if down >= _WITNESSES else Way.DOUBTFUL


def plan_reachable(peer: MeshPeer, *, reach: Reach, now: datetime) -> Plan:
    """The write that makes `Reachable` and `TunnelAccepted` of the peer show it, if one is due.

    While nobody says anything a condition stays what it was.
    """
    before, conditions = peer.status.conditions, list[Condition]()
    wanted = {REACHABLE: _condition(peer, reach=reach), TUNNEL_ACCEPTED: _tunnel(peer, reach=reach)}
    for kind, one in wanted.items():
        if one is not None:
            conditions.append(settled(one, before=before, now=now))
        else:
            # What is not said again under our field manager would go.
            conditions += [old for old in before if old.type == kind]
    if all(condition in before for condition in conditions):
        return ()
    status = {"conditions": [as_json(condition) for condition in conditions]}
    body = {"metadata": {"name": peer.metadata.name}, "status": status}
    return (Apply(kind=Kind.MESH_PEER, body=body, manager=REACH_MANAGER, subresource="status"),)


def _condition(peer: MeshPeer, *, reach: Reach) -> Condition | None:
    name = peer.metadata.name
    way, is_near = reach.ways.get(name, Way.UNKNOWN), name in reach.neighbours
    is_awaited = peer.spec.dial == "inbound" and not is_near
    what = "the peer's pods" if is_near else "the peer" if is_awaited else "a gateway of the peer"
    advice = _advice(name, near=is_near, awaited=is_awaited)
    match way:
        case Way.UNKNOWN:
            return None
        case Way.OPEN:
            status, reason = truth(True), ReachReason.ALL_GATEWAYS
            message = f"{what} can be reached from every local gateway that tried"
        case Way.PARTLY_OPEN:
            status, reason = truth(True), ReachReason.SOME_GATEWAYS
            message = f"{what} can be reached from some local gateways only; {advice}"
        case Way.DOUBTFUL:
            status, reason = "Unknown", ReachReason.TOO_FEW_SAY_SO
            message = (
                f"{what} cannot be reached from a local gateway, too few say so to withdraw anything; "
                f"run at least two ready gateways here, and {advice}"
            )
        case Way.CLOSED if name not in reach.withdrawn:
            status, reason = truth(False), ReachReason.CUT_OFF
            message = (
                "no pods of any cluster on this network can be reached, so it is this cluster that is cut "
                "off, and nothing is withdrawn; check the routes and links of this cluster's nodes"
            )
        case Way.CLOSED:
            status = truth(False)
            reason = ReachReason.NO_TUNNEL if is_awaited else ReachReason.NO_GATEWAY
            reason = ReachReason.PODS_UNREACHABLE if is_near else reason
            message = (
                f"no local gateway reaches {what}, its endpoints are not ready here until one does; {advice}"
            )
        case _:
            assert_never(way)
    generation = peer.metadata.generation
    return Condition(
        type=REACHABLE, status=status, reason=reason.value, message=message, observed_generation=generation
    )


def _tunnel(peer: MeshPeer, *, reach: Reach) -> Condition | None:
    words = reach.words.get(peer.metadata.name, ())
    problems = sorted({one.problem for one in words if one.problem})
    if problems:
        reason = TunnelReason.REFUSED
        message = (
            f"{'; '.join(problems)}; compare the versions of clusterset-mesh in both clusters, streams go by "
            "connections of their own where the peer can be dialled"
        )
    elif any(one.tunnel == Tunnel.UP.value for one in words):
        reason, message = TunnelReason.ACCEPTED, "a tunnel to the peer stands, and none is refused"
    else:
        return None
    return Condition(
        type=TUNNEL_ACCEPTED,
        status=truth(reason is TunnelReason.ACCEPTED),
        reason=reason.value,
        message=message,
        observed_generation=peer.metadata.generation,
    )


def _advice(name: str, *, near: bool, awaited: bool) -> str:
    if near:
        return f"check the routes between the pods of both clusters, and policies that shut {name}'s pods"
    if awaited:
        return f"it is {name} that dials: check {name}'s gateway, and its MeshPeer for this cluster"
    return f"check spec.gateways of MeshPeer {name}, the network between the clusters, and {name}'s gateway"
