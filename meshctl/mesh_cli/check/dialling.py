"""Tries ways from inside a cluster: what its gateways reach, and whether its DNS knows a name.

A gateway pod runs a script of ours by exec; no certificate of ours is shown there, so nothing is served. That
takes the right to exec in `meshctl-system`; without it these things are not known.
"""

import inspect
import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from mesh_cli.check import from_gateway
from mesh_cli.check.certificate import certificate_of
from mesh_cli.check.findings import Certificate, Findings, PodSeen, WayTried
from mesh_cli.check.handshake import Target, targets
from mesh_cli.check.live import domain_of
from mesh_cli.check.look import seen_or_why
from mesh_cli.check.verdict import Unseen
from mesh_cli.dns.looking import look_along
from mesh_cli.dns.reply import Query
from mesh_cli.dns.way import Way
from mesh_cli.member.addresses import format_address
from mesh_cli.table import one_line
from mesh_core.identity import Component
from mesh_core.import_view import is_ours
from mesh_core.membership import Membership
from mesh_core.names import CLUSTERSET_ZONE, SYSTEM_NAMESPACE
from mesh_runtime.kube import Inside, KubeClient, PodRefused, run_in_pod
from mesh_runtime.leaf import roots_of

DIAL_LIMIT: Final = 4.0
"""Seconds for the third round: with the other two it stays below ten."""
_CONTAINER: Final = "gateway"
_MOST_PEERS: Final = 32
_SETTLE: Final = 0.5


async def ways_tried(client: KubeClient, found: Findings) -> tuple[WayTried, ...] | Unseen:
    """What a gateway of this cluster finds at the addresses of its peers."""
    for needed in (found.member, found.peers, found.pods):
        if isinstance(needed, Unseen):
            return needed
    assert not isinstance(found.member, Unseen)
    assert not isinstance(found.pods, Unseen)
    membership = found.member.membership
    if not isinstance(membership, Membership):
        return Unseen(f"this cluster is not a member: {membership.why}")
    wanted = _targets(found, membership=membership)
    if not wanted:
        return ()
    pod = next((one for one in found.pods if one.component == "gateway" and one.is_ready), None)
    if pod is None:
        return Unseen("no gateway of this cluster is ready, from which peers could be dialled")
    asked = _asked(client, wanted, pod=pod, roots=roots_of(membership))
    return await seen_or_why(asked, limit=DIAL_LIMIT, who=f"pod {pod.name}, which was to dial the peers,")


async def name_resolved(client: KubeClient, found: Findings, *, context: str) -> Way | Unseen:
    """The way of one name: of an import from another cluster, or the zone's own where there is none."""
    if isinstance(found.imports, Unseen):
        return found.imports
    names = sorted(one.key for one in found.imports if is_ours(one) and one.spec.type == "ClusterSetIP")
    query = Query(f"{names[0][1]}.{names[0][0]}.svc.{CLUSTERSET_ZONE}", "A") if names else _ZONE
    work = look_along(client, query, context=context, start=None, settle=_SETTLE)
    return await seen_or_why(work, limit=DIAL_LIMIT, who=f"somebody on the way of {query.name}")


_ZONE: Final = Query(CLUSTERSET_ZONE, "SOA")


def _targets(found: Findings, *, membership: Membership) -> list[Target]:
    assert not isinstance(found.peers, Unseen)
    return [
        target
        for peer in sorted(found.peers, key=lambda one: one.metadata.name)[:_MOST_PEERS]
        for target in targets(
            peer.metadata.name,
            domain=domain_of(peer.metadata.name, membership=membership),
            gateways=peer.spec.dialled,
        )
        if target.component is Component.GATEWAY
    ]


async def _asked(
    client: KubeClient, wanted: Sequence[Target], *, pod: PodSeen, roots: Sequence[str]
) -> tuple[WayTried, ...]:
    wish = {
        "roots": "\n".join(roots),
        "targets": [
            {"host": one.gateway.host, "port": one.gateway.port, "name": one.server_name, "alpn": one.alpn}
            for one in wanted
        ],
    }
    inside = Inside(SYSTEM_NAMESPACE, pod.name, _CONTAINER)
    command = ("python", "-c", inspect.getsource(from_gateway), json.dumps(wish))
    ran = await run_in_pod(client, command, inside=inside)
    if ran.failure:
        raise PodRefused(str(inside), why=one_line(ran.failure))
    try:
        told: list[dict[str, Any]] = json.loads(ran.output)  # Any: JSON, taken apart at once
        return tuple(_told(one, target, pod=pod.name) for one, target in zip(told, wanted, strict=True))
    except (ValueError, TypeError, OverflowError, LookupError, RecursionError) as error:  # Infinity, [[[[...
        raise PodRefused(str(inside), why=f"what it says cannot be read: {one_line(str(error))}") from error


def _told(one: dict[str, Any], target: Target, *, pod: str) -> WayTried:  # Any: as above
    way = WayTried(
        cluster=target.cluster,
        address=format_address(target.gateway),
        pod=pod,
        answer=str(one["answer"]),
        why=str(one["why"])[:400],
        believed=one["believed"] is True,
        size=int(one["size"]),
    )
    return replace(way, leaf=_leaf(str(one["leaf"])))


def _leaf(text: str) -> Certificate | None:
    try:
        return certificate_of(bytes.fromhex(text)) if text else None
    except ValueError:
        return None
