"""What an agent takes away of itself when it has left. Every object by its name, none by likeness.

Nobody can delete both a role and the binding by which he may, one after the other: the first takes the right
to the second with it. So the binding is made the role's owner; then it goes, and once it has gone, the role
right behind it. Where the API server knows by then, a role of nobody stays, never a right, until the
cluster's garbage collector has come by.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Final

from mesh_core.names import SYSTEM_NAMESPACE
from mesh_placement.names import (
    AGENT,
    AGENT_CREDENTIAL,
    AGENT_SETTINGS,
    HUB_ACCESS_ACCOUNT,
    WORK_ACCOUNT,
    WORK_MORE_ROLE,
)


class OwnKind(Enum):
    """The kinds of the agent's own objects on its member."""

    SECRET = "Secret"
    DEPLOYMENT = "Deployment"
    SERVICE_ACCOUNT = "ServiceAccount"
    ROLE_BINDING = "RoleBinding"
    ROLE = "Role"
    CLUSTER_ROLE_BINDING = "ClusterRoleBinding"
    CLUSTER_ROLE = "ClusterRole"


@dataclass(frozen=True, slots=True)
class OwnObject:
    """One of them."""

    kind: OwnKind
    name: str
    namespace: str = ""


OWNERS: Final = {
    OwnKind.ROLE: OwnKind.ROLE_BINDING,
    OwnKind.CLUSTER_ROLE: OwnKind.CLUSTER_ROLE_BINDING,
}
"""Whose end is a role's end too."""

OWN_OBJECTS: Final = (
    OwnObject(OwnKind.SECRET, AGENT_CREDENTIAL, SYSTEM_NAMESPACE),
    OwnObject(OwnKind.ROLE_BINDING, HUB_ACCESS_ACCOUNT, SYSTEM_NAMESPACE),
    OwnObject(OwnKind.ROLE, HUB_ACCESS_ACCOUNT, SYSTEM_NAMESPACE),
    OwnObject(OwnKind.CLUSTER_ROLE_BINDING, HUB_ACCESS_ACCOUNT),
    OwnObject(OwnKind.CLUSTER_ROLE, HUB_ACCESS_ACCOUNT),
    OwnObject(OwnKind.SERVICE_ACCOUNT, HUB_ACCESS_ACCOUNT, SYSTEM_NAMESPACE),
    OwnObject(OwnKind.CLUSTER_ROLE_BINDING, WORK_MORE_ROLE),
    OwnObject(OwnKind.CLUSTER_ROLE, WORK_MORE_ROLE),
    OwnObject(OwnKind.CLUSTER_ROLE_BINDING, WORK_ACCOUNT),
    OwnObject(OwnKind.CLUSTER_ROLE, WORK_ACCOUNT),
    OwnObject(OwnKind.SERVICE_ACCOUNT, WORK_ACCOUNT, SYSTEM_NAMESPACE),
)
"""In this order."""

OWN_RIGHTS: Final = (
    (
        OwnObject(OwnKind.DEPLOYMENT, AGENT, SYSTEM_NAMESPACE),
        OwnObject(OwnKind.SECRET, AGENT_SETTINGS, SYSTEM_NAMESPACE),
    ),
    (
        # Its token is known to the API server for a few seconds more.
        OwnObject(OwnKind.SERVICE_ACCOUNT, AGENT, SYSTEM_NAMESPACE),
        OwnObject(OwnKind.ROLE_BINDING, AGENT, SYSTEM_NAMESPACE),
        OwnObject(OwnKind.ROLE, AGENT, SYSTEM_NAMESPACE),
    ),
    (
        OwnObject(OwnKind.CLUSTER_ROLE_BINDING, AGENT),
        OwnObject(OwnKind.CLUSTER_ROLE, AGENT),
    ),
)
"""What starts the agent again and the note by which it would go on then, and its rights: group by group, each
in this order."""
