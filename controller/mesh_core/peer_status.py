"""What a MeshPeer shows of the peer: conditions, a count, the time of the last list, which cluster it is.

Written on edges only: the age of the contact is in the Lease `peer-<cluster id>`, which changes all the
time and wakes nobody. What is not known at the moment stays as it was last known.

| condition | True | False |
|---|---|---|
| Connected | the stream is synced | why it is not |
| RecordsAccepted | all that the peer exports is taken | some is refused |
| PartialMesh | a pair among this cluster's and the peer's peers has no link (ruling 13) | full mesh |
| NetworkAgreed | both sides say the same of the peer's network | they do not |
| DialAgreed | what both sides say of who dials goes together | it does not: nobody dials, or each alone |

`IdentityUsedTwice` is in `mesh_core.peer_identity`: replicas that do not lead say it too.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from mesh_core.conditions import as_json as condition_json
from mesh_core.conditions import rfc3339, settled, truth
from mesh_core.names import MANAGER, PROPERTY_NETWORK
from mesh_core.objects import Condition, MeshPeer
from mesh_core.objects.mesh import PeerTrust
from mesh_core.peer_identity import told
from mesh_core.plan import Apply, Json, Kind, Plan, as_json

CONNECTED = "Connected"
RECORDS_ACCEPTED = "RecordsAccepted"
PARTIAL_MESH = "PartialMesh"
NETWORK_AGREED = "NetworkAgreed"
DIAL_AGREED = "DialAgreed"
STATUS_MANAGER = f"peers.{MANAGER}"
_MOST_REFUSALS = 3
_MOST_NAMES = 5


class Link(Enum):
    """How the stream stands; the reason of the condition `Connected`."""

    SYNCED = "Synced"
    CONNECTING = "Connecting"
    UNREACHABLE = "Unreachable"
    REFUSED = "Refused"
    TRUST_PENDING = "TrustPending"
    LEFT = "Left"


class Reason(Enum):
    """The reasons of the other conditions."""

    ALL_ACCEPTED = "AllAccepted"
    SOME_REFUSED = "SomeRefused"
    FULL_MESH = "FullMesh"
    LINK_MISSING = "LinkMissing"
    AGREED = "Agreed"
    DIFFERS = "Differs"
    NOBODY_DIALS = "NobodyDials"
    BOTH_OUTBOUND = "BothOutbound"


@dataclass(frozen=True, slots=True)
class LinkState:
    """The stream to one peer. `detail` is a sentence about why it is not synced.

    `exports` and `last_sync` are None as long as this process has no complete list of the peer, `network`,
    `dial`, `peers` (cluster ids) and `trust` as long as it has not said them. `uid` is that of its
    kube-system, "" before the first list.

    `key` is the KeyId of its intermediate, "" before the first list; `is_pooled`: an issuer has signed that.
    """

    link: Link
    detail: str = ""
    exports: int | None = None
    last_sync: datetime | None = None
    refusals: tuple[str, ...] = ()
    network: str | None = None
    dial: str | None = None
    peers: tuple[str, ...] | None = None
    trust: PeerTrust | None = None
    uid: str = ""
    key: str = ""
    is_pooled: bool = False


@dataclass(frozen=True, slots=True)
class Ours:
    """This cluster's id, and the clusters that it has a MeshPeer for.

    `named` is the UID that the signed roster states for the peer, "" where it states none.
    """

    cluster: str
    peers: frozenset[str]
    named: str = ""


@dataclass(frozen=True, slots=True)
class _Verdict:
    kind: str
    status: bool
    reason: str
    message: str


def plan_peer_status(peer: MeshPeer, *, state: LinkState, ours: Ours, now: datetime) -> Plan:
    """The write that makes `peer.status` show `state`, if one is due."""
    before = peer.status
    verdicts = (
        _connected(state),
        _accepted(state),
        _mesh(peer, state=state, ours=ours),
        _network(peer, state=state),
        _dial(peer, state=state, ours=ours),
    )
    known = {verdict.kind: verdict for verdict in verdicts if verdict is not None}
    conditions: list[Condition] = []
    for kind in (CONNECTED, RECORDS_ACCEPTED, PARTIAL_MESH, NETWORK_AGREED, DIAL_AGREED):
        verdict = known.get(kind)
        if verdict is not None:
            conditions.append(settled(_condition(verdict, peer=peer), before=before.conditions, now=now))
        else:
            conditions += [old for old in before.conditions if old.type == kind]
    exports = before.exports if state.exports is None else state.exports
    last_sync = before.last_sync if state.last_sync is None else rfc3339(state.last_sync)
    # The first UID stays until the MeshPeer is deleted (ruling 29), or the root names another (ruling 1).
    is_named = bool(state.uid) and state.uid == ours.named
    uid = state.uid if is_named else before.kube_system_uid or state.uid
    is_shown = all(condition in before.conditions for condition in conditions)
    trust = before.trust if state.trust is None else state.trust
    # The first key of a cluster in a pool stays: whoever has its issuer could make a second one (ruling 2).
    key = (before.key or state.key) if state.is_pooled else (state.key or before.key)
    facts = (exports, last_sync, uid, trust, key)
    shown = (before.exports, before.last_sync, before.kube_system_uid, before.trust, before.key)
    if is_shown and facts == shown:
        return ()
    status: Json = {"exports": exports, "conditions": [condition_json(one) for one in conditions]}
    status |= {"lastSync": last_sync} if last_sync else {}
    status |= {"kubeSystemUid": uid} if uid else {}
    status |= {"trust": as_json(trust)} if trust is not None else {}
    status |= {"key": key} if key else {}
    body = {"metadata": {"name": peer.metadata.name}, "status": status}
    return (Apply(kind=Kind.MESH_PEER, body=body, manager=STATUS_MANAGER, subresource="status"),)


def _condition(verdict: _Verdict, *, peer: MeshPeer) -> Condition:
    return Condition(
        type=verdict.kind,
        status=truth(verdict.status),
        reason=verdict.reason,
        message=verdict.message,
        observed_generation=peer.metadata.generation,
    )


def _connected(state: LinkState) -> _Verdict:
    return _Verdict(CONNECTED, state.link is Link.SYNCED, state.link.value, _message(state))


def _message(state: LinkState) -> str:
    match state.link:
        case Link.SYNCED:
            return "the peer's exports are known" + _refused(state.refusals)
        case Link.CONNECTING:
            return "the peer's gateways are being dialled"
        case Link.UNREACHABLE | Link.REFUSED | Link.TRUST_PENDING | Link.LEFT:
            return state.detail


def _refused(refusals: tuple[str, ...]) -> str:
    if not refusals:
        return ""
    shown = "; ".join(refusals[:_MOST_REFUSALS])
    more = "" if len(refusals) <= _MOST_REFUSALS else f"; and {len(refusals) - _MOST_REFUSALS} more"
    return f", but some are refused, change them in the peer's cluster or this MeshPeer: {shown}{more}"


def _accepted(state: LinkState) -> _Verdict | None:
    if state.refusals:
        message = "; ".join(state.refusals)
        return _Verdict(RECORDS_ACCEPTED, False, Reason.SOME_REFUSED.value, message)
    if state.exports is None:
        return None
    return _Verdict(RECORDS_ACCEPTED, True, Reason.ALL_ACCEPTED.value, "nothing of the peer is refused")


def _mesh(peer: MeshPeer, *, state: LinkState, ours: Ours) -> _Verdict | None:
    """Whether this cluster and the peer are linked with each other and with the same clusters."""
    if state.peers is None:
        return None
    name, theirs = peer.metadata.name, frozenset(state.peers)
    only_theirs, only_ours = theirs - ours.peers - {ours.cluster}, ours.peers - theirs - {name}
    parts: list[str] = []
    if ours.cluster not in theirs:
        parts.append(f"{name} has no MeshPeer {ours.cluster}")
    if only_theirs:
        parts.append(f"{name} is linked with {_names(only_theirs)}, this cluster is not")
    if only_ours:
        parts.append(f"this cluster is linked with {_names(only_ours)}, {name} is not")
    if not parts:
        message = "this cluster and the peer are linked with the same clusters"
        return _Verdict(PARTIAL_MESH, False, Reason.FULL_MESH.value, message)
    missing = "; ".join(parts)
    message = f"exports of one name may differ from cluster to cluster: {missing}; run meshctl link for each"
    return _Verdict(PARTIAL_MESH, True, Reason.LINK_MISSING.value, message)


def _network(peer: MeshPeer, *, state: LinkState) -> _Verdict | None:
    if state.network is None:
        return None
    stated, name = peer.spec.network, peer.metadata.name
    if stated == state.network:
        message = f"both sides say that the peer is on {_network_name(stated)}"
        return _Verdict(NETWORK_AGREED, True, Reason.AGREED.value, message)
    message = (
        f"{name} says that it is on {_network_name(state.network)}, spec.network of this MeshPeer says "
        f"{_network_name(stated)}; run meshctl link again, or correct spec.network here or the "
        f"ClusterProperty {PROPERTY_NETWORK} there"
    )
    return _Verdict(NETWORK_AGREED, False, Reason.DIFFERS.value, message)


def _dial(peer: MeshPeer, *, state: LinkState, ours: Ours) -> _Verdict | None:
    """Whether there is a side that dials, and not two that say that the other one cannot."""
    if state.dial is None:
        return None
    name, pair = peer.metadata.name, (peer.spec.dial, state.dial)
    advice = f"run meshctl link --dial, or correct spec.dial here or in MeshPeer {ours.cluster} of {name}"
    match pair:
        case ("inbound", "inbound"):
            message = f"both sides wait to be dialled, so nobody dials; {advice}"
            return _Verdict(DIAL_AGREED, False, Reason.NOBODY_DIALS.value, message)
        case ("outbound", "outbound"):
            message = f"each side says that it alone can dial; {advice}"
            return _Verdict(DIAL_AGREED, False, Reason.BOTH_OUTBOUND.value, message)
        case ("inbound", ""):
            message = f"this cluster waits for {name}, which has no MeshPeer {ours.cluster}; run meshctl link"
            return _Verdict(DIAL_AGREED, False, Reason.NOBODY_DIALS.value, message)
        case (_, ""):
            message = f"spec.dial here is {pair[0]}, {name} has no MeshPeer {ours.cluster} and does not dial"
        case ("both", "outbound"):
            message = (
                f"{name} says that it cannot be dialled: with spec.dial inbound here nobody tries in vain"
            )
        case _:
            message = f"spec.dial here is {pair[0]}, that of {name} is {told(pair[1])}"
    return _Verdict(DIAL_AGREED, True, Reason.AGREED.value, message)


def _network_name(network: str) -> str:
    return f"network {told(network)}" if network else "a network of its own"


def _names(clusters: Iterable[str]) -> str:
    names = [told(cluster) for cluster in sorted(clusters)]
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return ", ".join(names[:_MOST_NAMES]) + more
