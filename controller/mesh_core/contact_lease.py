"""The Lease that says when a peer was last heard (KEP-1645), and what of its words this cluster has taken in.

Being heard proves a connection, no more: while a long list comes in, or comes in anew, the peer is heard and
what is known of it is old. So beside the time of the last word stands the last acknowledgement: the revision
of the peer's log up to which all is taken in, and as of when. A peer that has nothing new to say
sends heartbeats, which stand behind all that it said before and are acknowledged too: on a good link that
time is never old. A peer that has lost its own API server says so in its heartbeats, and for how long; what
is known of it is from before that, so the time of the acknowledgement is put back by as much.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from mesh_core.names import ANNOTATION_PREFIX, SYSTEM_NAMESPACE, peer_lease_name
from mesh_core.objects import Lease
from mesh_core.plan import Json

LEASE_SECONDS: Final = 40
"""What is older is no news: it is written every ten seconds, and a peer is silent for fifteen at most."""
ACKNOWLEDGED_AT: Final = f"{ANNOTATION_PREFIX}acknowledged-at"
ACKNOWLEDGED_REVISION: Final = f"{ANNOTATION_PREFIX}acknowledged-revision"
_MOST_DIGITS: Final = 19


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """Up to `revision` of the peer's log all was taken in; so the peer's cluster was `at`."""

    revision: int
    at: datetime


def contact_lease(cluster: str, *, heard: datetime, acknowledged: Acknowledged | None, holder: str) -> Json:
    """The Lease of the peer `cluster`; without an acknowledgement it bears none."""
    metadata: Json = {"name": peer_lease_name(cluster=cluster), "namespace": SYSTEM_NAMESPACE}
    if acknowledged is not None:
        metadata["annotations"] = {
            ACKNOWLEDGED_AT: _micro(acknowledged.at),
            ACKNOWLEDGED_REVISION: str(acknowledged.revision),
        }
    spec = {
        "holderIdentity": holder,
        "leaseDurationSeconds": LEASE_SECONDS,
        "renewTime": _micro(heard),
    }
    return {"metadata": metadata, "spec": spec}


def acknowledged_of(lease: Lease) -> Acknowledged | None:
    """What a Lease says; None where it says nothing that can be read, as from an earlier version."""
    said: Mapping[str, str] = lease.metadata.annotations
    number = said.get(ACKNOWLEDGED_REVISION, "")
    if not (number.isascii() and number.isdigit() and len(number) <= _MOST_DIGITS):
        return None
    try:
        at = datetime.fromisoformat(said.get(ACKNOWLEDGED_AT, ""))
    except ValueError:
        return None
    return Acknowledged(int(number), at) if at.tzinfo is not None else None


def _micro(moment: datetime) -> str:
    """As a MicroTime is written."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
