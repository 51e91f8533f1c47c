"""Whether the namespace that a member is to get is the member's, before anything is made or read there.

Names of namespaces are other people's too: `cluster-autoscaler` may be there for something else, and a long
id that is cut may come out as a short one. In its namespace an agent reads all Secrets, so one that is there
and has not the member's label (which a policy keeps for who may let clusters in) is not taken.
"""

from collections.abc import Callable
from typing import Final

from mesh_placement.decide.rights import namespace_of
from mesh_placement.names import LABEL_CLUSTER
from mesh_placement.objects import ClusterRegistration
from mesh_runtime.kube import NAMESPACES, KubeClient

_LOOK_AGAIN: Final = 1800.0
TAKEN_LOOK: Final = 30.0
"""Seconds until a namespace that is somebody else's is looked at again."""


class Ownership:
    """One a term of leadership; `now` is a monotonic clock in seconds."""

    def __init__(self, kube: KubeClient, *, now: Callable[[], float]) -> None:
        self._kube = kube
        self._now = now
        self._ours: dict[str, tuple[str, float]] = {}

    async def is_taken(self, registration: ClusterRegistration) -> bool:
        """Whether it is somebody else's; raises ApiError, Unreachable, BadAnswer."""
        name, uid = registration.metadata.name, registration.metadata.uid
        known = self._ours.get(name)
        if known is not None and known[0] == uid and self._now() < known[1]:
            return False
        found = await self._kube.find(NAMESPACES, namespace_of(registration))
        if found is not None and found.metadata.labels.get(LABEL_CLUSTER) != name:
            self.forget(name)
            return True
        if found is not None:
            self._ours[name] = uid, self._now() + _LOOK_AGAIN
        return False

    def forget(self, cluster: str) -> None:
        """The cluster is gone, or leaves."""
        self._ours.pop(cluster, None)
