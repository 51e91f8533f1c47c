"""The ways from this member to its peers, and what it exports: ClusterLink.status.

1. A way is Up when every gateway of ours that says anything reaches the peer, Down when none does, Degraded
   in between, and Unknown when none says anything. Requests start here. Only ready gateways count: what one
   that hangs said last stands in MeshPeers until it is gone.
2. Round trips are what our gateways measure in their tunnels, which is smoothed there: `p50` is the middle of
   them, `p99` the largest, `ewma` their mean.
3. Headroom is the mean of our gateways', which connections are spread over. Nobody counts what is lost in a
   tunnel, so no loss is told. An export whose annotations do not read is withheld: nobody is allowed.
4. What somebody waits for is written at once: a peer or an export that comes or goes, another state,
   endpoints that come to nought or from it, a conflict, who is allowed, whether calls stay, what a handshake
   came to. That one was tried again and came to the same is written every `SHAKEN` seconds, other numbers
   every `REST`, round trips and headroom only when they moved by a tenth.
5. So nothing is written while nothing changes, and a row is as fresh as its agent: it is as good as new while
   the agent renews its Lease on the hub, and from the last renewal on it gets old. No clock but the hub's is
   asked. `lastProbe` is by the member's clock, for people.
"""

from collections.abc import Iterable, Mapping, Sequence, Set
from statistics import fmean, median

from mesh_core.names import LABEL_SERVICE_NAME
from mesh_core.objects import EndpointSlice, MeshPeer, PathReport, ServiceExport
from mesh_core.policy import InvalidPolicy, Policy, policy_of
from mesh_core.record import Traffic
from mesh_placement.objects import ClusterLinkStatus, ExportState, LinkState, LinkToPeer, RoundTrip

REST = 30.0
SHAKEN = 4.0
GATHER = 0.2
MOST_PEERS = 1_024
MOST_EXPORTS = 10_000
_LONGEST_CONFLICT = 1_024
_TENTH = 0.1

ServiceKey = tuple[str, str]
"""Namespace and name."""


def link_status(
    peers: Iterable[MeshPeer],
    *,
    exports: Iterable[ServiceExport],
    ready: Mapping[ServiceKey, int],
    gateways: Set[str] | None = None,
) -> ClusterLinkStatus:
    """The status, in the order of names; `ready` are the ready endpoints of each Service, `gateways` the
    addresses of our ready gateways, None where nobody lists them."""
    return ClusterLinkStatus(
        peers=tuple(
            _link(one, gateways=gateways) for one in sorted(peers, key=lambda one: one.key)[:MOST_PEERS]
        ),
        exports=tuple(
            _export(one, ready=ready) for one in sorted(exports, key=lambda one: one.key)[:MOST_EXPORTS]
        ),
    )


def ready_gateways(slices: Sequence[EndpointSlice]) -> frozenset[str] | None:
    """Addresses of the gateways that these slices of their Service list as ready; None without slices."""
    if not slices:
        return None
    listed = (endpoint for one in slices for endpoint in one.endpoints or () if endpoint.is_ready)
    return frozenset(address for endpoint in listed for address in endpoint.addresses)


def ready_endpoints(slices: Iterable[EndpointSlice]) -> int:
    """Distinct ready addresses in the slices of one Service of this cluster, imported ones left out."""
    return len(
        {
            endpoint.addresses[0]
            for one in slices
            if LABEL_SERVICE_NAME not in one.metadata.labels
            for endpoint in one.endpoints or ()
            if endpoint.is_ready and endpoint.addresses
        }
    )


def seconds_until_write(
    seen: ClusterLinkStatus | None, wanted: ClusterLinkStatus, *, since_last: float | None
) -> float | None:
    """Seconds until `wanted` is to be written over `seen`, None when nothing is there; None for never."""
    if seen is None or since_last is None:
        return None if seen == wanted else 0.0
    if _urgent(seen) != _urgent(wanted):
        return 0.0
    rests = [SHAKEN] if seen.handshakes != wanted.handshakes else []
    rests += [REST] if _has_moved(seen, wanted) else []
    return max(0.0, min(rests) - since_last) if rests else None


def _link(peer: MeshPeer, *, gateways: Set[str] | None) -> LinkToPeer:
    reports = [one for one in peer.status.gateways if gateways is None or one.address in gateways]
    rtts = [one.rtt_microseconds / 1000 for one in reports if one.rtt_microseconds]
    rooms = [one.headroom_percent / 100 for one in reports if one.headroom_percent is not None]
    measured = (
        RoundTrip(ewma=round(fmean(rtts), 3), p50=round(median(rtts), 3), p99=round(max(rtts), 3))
        if rtts
        else RoundTrip()
    )
    return LinkToPeer(
        cluster=peer.metadata.name,
        state=_state(reports),
        rtt_ms=measured,
        headroom=round(fmean(rooms), 2) if rooms else None,
        cert_not_after=max((one.cert_not_after for one in reports), default=""),
        applied_exports=peer.status.exports,
        last_probe=max((one.since for one in reports), default=""),
    )


def _state(reports: Iterable[PathReport]) -> LinkState:
    ways = [one.reachable and one.tunnel != "Down" for one in reports]
    if not ways:
        return "Unknown"
    if all(ways):
        return "Up"
    return "Degraded" if any(one.reachable for one in reports) else "Down"


def _export(export: ServiceExport, *, ready: Mapping[ServiceKey, int]) -> ExportState:
    namespace, name = export.key
    policy = policy_of(export.metadata.annotations)
    conflict = next(
        (
            f"{one.reason}: {one.message}" if one.message else one.reason
            for one in export.status.conditions
            if one.type == "Conflict" and one.status == "True"
        ),
        "",
    )
    return ExportState(
        service=f"{namespace}/{name}",
        ready=ready.get(export.key, 0),
        conflict=conflict[:_LONGEST_CONFLICT],
        allowed=_allowed(policy),
        local_first=isinstance(policy, Policy) and policy.traffic is Traffic.LOCAL_FIRST,
    )


def _allowed(policy: Policy | InvalidPolicy) -> tuple[str, ...] | None:
    if isinstance(policy, InvalidPolicy):
        return ()
    clusters = policy.allow.clusters if policy.allow is not None else None
    return None if clusters is None else tuple(sorted(clusters))


def _urgent(status: ClusterLinkStatus) -> tuple[object, ...]:
    peers = [(one.cluster, one.state) for one in status.peers]
    exports = [
        (one.service, one.ready > 0, one.conflict, one.allowed, one.local_first) for one in status.exports
    ]
    handshakes = [(one.service, one.via, one.result) for one in status.handshakes]
    return peers, exports, handshakes


def _has_moved(seen: ClusterLinkStatus, wanted: ClusterLinkStatus) -> bool:
    if seen.exports != wanted.exports:
        return True
    pairs = zip(seen.peers, wanted.peers, strict=True)
    return any(
        (old.applied_exports, old.cert_not_after) != (new.applied_exports, new.cert_not_after)
        or _room_has_moved(old.headroom, new.headroom)
        or abs(old.rtt_ms.p50 - new.rtt_ms.p50) > _TENTH * old.rtt_ms.p50
        or abs(old.rtt_ms.p99 - new.rtt_ms.p99) > _TENTH * old.rtt_ms.p99
        for old, new in pairs
    )


def _room_has_moved(old: float | None, new: float | None) -> bool:
    if old is None or new is None:
        return old != new
    # Both are hundredths: what is a tenth on paper must not fall short of it by a bit.
    return round(abs(new - old), 2) >= _TENTH
