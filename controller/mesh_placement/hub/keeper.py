"""Keeps what the hub makes for a member as it should be: namespace, objects, rights.

It applies when something is to be otherwise than it applied last, when the Lease is missing, and now and then
anyway: what somebody deleted comes back, and what is as it should be is not changed by that.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from mesh_core.plan import Json
from mesh_placement.decide.rights import (
    is_another_keys,
    namespace_of,
    objects_of,
    rights_of,
    token_rights_of,
)
from mesh_placement.hub.writing import apply_all, delete_all
from mesh_placement.names import AGENT_ACCOUNT
from mesh_placement.objects import ClusterRegistration
from mesh_placement.resources import SERVICE_ACCOUNTS
from mesh_runtime.kube import KubeClient

_AGAIN_AFTER: Final = 1800.0  # seconds


@dataclass(frozen=True, slots=True)
class _Kept:
    uid: str
    bodies: tuple[Json, ...]
    due: float


class Keeper:
    """One a term of leadership; `now` is a monotonic clock in seconds."""

    def __init__(self, kube: KubeClient, *, now: Callable[[], float]) -> None:
        self._kube = kube
        self._now = now
        self._kept: dict[str, _Kept] = {}

    async def keep(
        self,
        registration: ClusterRegistration,
        *,
        profile_namespace: str,
        lease_is_there: bool,
        is_coming: bool,
    ) -> None:
        """Make it so; raises ApiError or Unreachable.

        `is_coming`: its agent still needs what its bootstrap token opens.
        """
        made = (*objects_of(registration), *rights_of(registration, profile_namespace=profile_namespace))
        first = self._first_token(registration)
        bodies = (*made, *first) if is_coming else made
        name, uid = registration.metadata.name, registration.metadata.uid
        known = self._kept.get(name)
        if known and lease_is_there and (known.uid, known.bodies) == (uid, bodies):
            if self._now() < known.due:
                return
        await self._end_another_keys_tokens(registration)
        await apply_all(self._kube, bodies)
        if not is_coming:
            await delete_all(self._kube, reversed(first))
        self._kept[name] = _Kept(uid, bodies, self._now() + _AGAIN_AFTER * random.uniform(0.8, 1.2))

    def forget(self, cluster: str) -> None:
        """The cluster is gone, or leaves."""
        self._kept.pop(cluster, None)

    async def _end_another_keys_tokens(self, registration: ClusterRegistration) -> None:
        """A token lives as long as its ServiceAccount: that of another key goes, and is made anew."""
        if registration.spec.driver != "token":
            return
        namespace = namespace_of(registration)
        account = await self._kube.find(SERVICE_ACCOUNTS, AGENT_ACCOUNT, namespace=namespace)
        if account is not None and is_another_keys(account.metadata, registration=registration):
            uid = account.metadata.uid
            await self._kube.delete(SERVICE_ACCOUNTS, AGENT_ACCOUNT, namespace=namespace, uid=uid)

    def _first_token(self, registration: ClusterRegistration) -> tuple[Json, ...]:
        token = registration.status.token
        if registration.spec.driver != "token" or not token:
            return ()
        return token_rights_of(registration, token=token)
