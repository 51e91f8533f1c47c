"""Which cluster a peer is: the UID of its namespace kube-system, pinned when it was first listened to.

A cluster that was copied or restored under another's id and key shows the same certificate, but has another
kube-system (ruling 29). Both ends look: who dials, and who is dialled, so that whichever of the two speaks
to us is told. The pin is `MeshPeer.status.kubeSystemUid` and goes with the MeshPeer.

The condition `IdentityUsedTwice` has a field manager of its own: every replica serves streams and may be
the one that sees it. It turns False when nobody was seen for `OVER`.
"""

import re
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Final

from mesh_core.conditions import as_json, rfc3339, settled, truth
from mesh_core.names import MANAGER
from mesh_core.objects import Condition, MeshPeer
from mesh_core.peer_wire import PeerProtocolError
from mesh_core.plan import Apply, Kind, Plan

IDENTITY_USED_TWICE: Final = "IdentityUsedTwice"
IDENTITY_MANAGER: Final = f"identity.{MANAGER}"
OVER: Final = timedelta(minutes=10)
"""For so long the second one must not have been seen."""
_PLAIN: Final = re.compile(r"[-A-Za-z0-9.]{1,64}")
REPEAT: Final = timedelta(minutes=1)
"""So far apart are the times that are noted while it is seen again and again."""


class IdentityReason(Enum):
    """The reasons of the condition."""

    TWO_CLUSTERS = "TwoClusters"
    ONE_CLUSTER = "OneCluster"


class IdentityUsedTwice(PeerProtocolError):
    """Another cluster than the one that was pinned speaks under its id."""


def check_identity(cluster: str, *, pinned: str, uid: str, ours: str) -> None:
    """Raises IdentityUsedTwice, with words for both sides; "" is a UID that is not known."""
    if not pinned or not uid or pinned == uid:
        return
    raise IdentityUsedTwice(
        f"two clusters use the id {cluster}: {ours} knows the one with kube-system UID {pinned[:64]}, this "
        f"is {told(uid)}; join one of them under another id, or if it was rebuilt delete MeshPeer {cluster} "
        f"in {ours} and link again"
    )


def told(text: str) -> str:
    """What a peer said, for a sentence: as it is when it is a plain name, else quoted and cut."""
    return text if _PLAIN.fullmatch(text) else repr(text[:63])


def plan_clash(peer: MeshPeer, *, message: str, now: datetime) -> Plan:
    """Show that a second cluster was seen under the peer's id at `now`."""
    last = _moment(peer.status.last_clash)
    is_shown = any(one.type == IDENTITY_USED_TWICE and one.status == "True" for one in peer.status.conditions)
    if is_shown and last is not None and now - last < REPEAT:
        return ()
    return _shown(peer, is_twice=True, message=message, last=rfc3339(now), now=now)


def plan_end_of_clash(peer: MeshPeer, *, now: datetime) -> Plan:
    """Show that no second cluster was seen for long enough, if one was shown."""
    wait = until_over(peer, now=now)
    if wait is None or wait > 0:
        return ()
    message = "one cluster uses this id"
    return _shown(peer, is_twice=False, message=message, last=peer.status.last_clash, now=now)


def until_over(peer: MeshPeer, *, now: datetime) -> float | None:
    """Seconds until `plan_end_of_clash` has something to do; None when no clash is shown."""
    if not any(one.type == IDENTITY_USED_TWICE and one.status == "True" for one in peer.status.conditions):
        return None
    last = _moment(peer.status.last_clash)
    return 0.0 if last is None else max(0.0, (last + OVER - now).total_seconds())


def _shown(peer: MeshPeer, *, is_twice: bool, message: str, last: str, now: datetime) -> Plan:
    reason = IdentityReason.TWO_CLUSTERS if is_twice else IdentityReason.ONE_CLUSTER
    wanted = Condition(
        type=IDENTITY_USED_TWICE,
        status=truth(is_twice),
        reason=reason.value,
        message=message,
        observed_generation=peer.metadata.generation,
    )
    condition = settled(wanted, before=peer.status.conditions, now=now)
    status = {"conditions": [as_json(condition)]} | ({"lastClash": last} if last else {})
    body = {"metadata": {"name": peer.metadata.name}, "status": status}
    return (Apply(kind=Kind.MESH_PEER, body=body, manager=IDENTITY_MANAGER, subresource="status"),)


def _moment(text: str) -> datetime | None:
    try:
        return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    except ValueError:
        return None
