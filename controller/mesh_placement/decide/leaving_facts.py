"""What the hub knows of a cluster that leaves, as values; and what it may do about it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from mesh_core.plan import Json
from mesh_placement.names import ANNOTATION_FORCE_LEAVE, WORK_FINALIZER
from mesh_placement.objects import Assignment, ClusterLink, ClusterRegistration, LeavingPeer


class HubKind(Enum):
    """The kinds of a cluster's objects on the hub, in the order in which they go: what lets it in first."""

    REQUEST = "CertificateSigningRequest"
    SECRET = "Secret"
    SERVICE_ACCOUNT = "ServiceAccount"
    CLUSTER_ROLE_BINDING = "ClusterRoleBinding"
    ROLE_BINDING = "RoleBinding"
    CLUSTER_ROLE = "ClusterRole"
    ROLE = "Role"
    LEASE = "Lease"
    PROFILE = "ClusterProfile"
    WORK = "Work"
    ASSIGNMENT = "Assignment"
    LINK = "ClusterLink"
    CAPACITY = "ClusterCapacity"
    NAMESPACE = "Namespace"


@dataclass(frozen=True, slots=True, kw_only=True)
class HubObject:
    """One object of the cluster on the hub. `going_since` is its deletionTimestamp; `priority` a Work's."""

    kind: HubKind
    name: str
    namespace: str = ""
    uid: str = ""
    version: str = ""
    finalizers: tuple[str, ...] = ()
    going_since: str | None = None
    priority: int = 0

    def __str__(self) -> str:
        return f"{self.kind.value} {self.name}"

    @property
    def foreign(self) -> tuple[str, ...]:
        """Its finalizers that are not ours."""
        return tuple(one for one in self.finalizers if one != WORK_FINALIZER)


class Voice(Enum):
    """Whether the agent is heard: its Lease renewed in time, not any more, or never at all."""

    HEARD = "heard"
    SILENT = "silent"
    NEVER = "never"


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaveFacts:
    """All that decides about a registration with a deletionTimestamp.

    `links` are the rows of all clusters of its set, by cluster id, its own among them. `has_mesh` says that
    the member is to leave the mesh as well. `is_buried`: its UID is among the tombstones.
    """

    registration: ClusterRegistration
    now: datetime
    objects: tuple[HubObject, ...] = ()
    assignments: tuple[Assignment, ...] = ()
    links: Mapping[str, ClusterLink] | None = None
    voice: Voice = Voice.HEARD
    has_mesh: bool = False
    is_buried: bool = False

    @property
    def uid(self) -> str:
        """Of the registration: what acknowledgements and tombstones are about."""
        return self.registration.metadata.uid

    @property
    def is_asked_to_force(self) -> bool:
        """Whether a person has said that the member is not to be waited for."""
        return self.registration.metadata.annotations.get(ANNOTATION_FORCE_LEAVE) == "true"

    def of(self, kind: HubKind) -> tuple[HubObject, ...]:
        """The objects of one kind."""
        return tuple(one for one in self.objects if one.kind is kind)


@dataclass(frozen=True, slots=True)
class ShowStatus:
    """Apply the hub's half of the registration's status."""

    body: Json


@dataclass(frozen=True, slots=True)
class Bury:
    """Write a tombstone: `text` under the UID, before any right of the member goes."""

    uid: str
    text: str


@dataclass(frozen=True, slots=True)
class TellPeer:
    """Say in the ClusterLink of that namespace who leaves the mesh."""

    namespace: str
    leaving: tuple[LeavingPeer, ...]


@dataclass(frozen=True, slots=True)
class Remove:
    """Delete the very object that was seen."""

    what: HubObject


@dataclass(frozen=True, slots=True)
class Release:
    """Leave of an object's finalizers only those of others, if it is as it was seen."""

    what: HubObject


@dataclass(frozen=True, slots=True)
class Finish:
    """Take our finalizer off the registration; `others` stay."""

    others: tuple[str, ...]


Step = ShowStatus | Bury | TellPeer | Remove | Release | Finish
