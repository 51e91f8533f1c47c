"""Joins: from a member's agent being told of the hub until its registration is Ready there.

A cluster that joins again does so under another id and with another key: in a light cluster no namespace ever
finishes, so an id cannot be had twice. The agent's process goes on; nothing else of the join before is left.
"""

import asyncio
import secrets
from collections.abc import Sequence
from datetime import timedelta

from mesh_bench.bed import Cluster
from mesh_bench.hub_bed import CLUSTER_SET, HubBed
from mesh_bench.watching import Seen, first
from mesh_core.names import SYSTEM_NAMESPACE
from mesh_placement.decide.bootstrap_token import new_token, token_secret
from mesh_placement.names import AGENT_CREDENTIAL, AGENT_SETTINGS
from mesh_placement.objects import ClusterRegistration
from mesh_placement.resources import CLUSTER_REGISTRATIONS
from mesh_runtime.clock import utc_now
from mesh_runtime.kube import SECRETS, ApiError, Informer

_LIMIT = 60.0
_SETTLE = 0.5


class Joins:
    """Joins of the members of `bed`; `run` watches, and has to run meanwhile."""

    def __init__(self, bed: HubBed) -> None:
        self._bed = bed
        self._seen: Seen[ClusterRegistration] = Seen(Informer(bed.hub.kube, CLUSTER_REGISTRATIONS))
        self._count = 0
        self.ids: dict[str, str] = {}
        """Of those who are in, by name of the cluster."""
        self.errors = 0

    async def run(self) -> None:
        """Watch, for ever."""
        await self._seen.cache.run()

    async def synced(self) -> None:
        """Return when the watch has its first list."""
        await self._seen.cache.synced.wait()

    async def together(self, members: Sequence[Cluster]) -> list[float]:
        """All of them at once, anew; seconds of those that came to be Ready."""
        await asyncio.gather(*(self._leave(one) for one in members))
        await asyncio.sleep(_SETTLE)
        bodies = [await self._prepared(one) for one in members]
        found = await asyncio.gather(
            *(self._join(one, body) for one, body in zip(members, bodies, strict=True))
        )
        self.errors += found.count(None)
        return [one for one in found if one is not None]

    async def _prepared(self, member: Cluster) -> dict[str, object]:
        """The member's settings; the token in them is there already."""
        token = new_token(secrets.choice)
        self._count += 1
        name = self.ids[member.name] = f"{member.name}-{self._count}"
        expires = utc_now() + timedelta(hours=1)
        secret = token_secret(token, cluster_set=CLUSTER_SET, expires=expires, auto_accept=True)
        await self._bed.hub.kube.create(SECRETS, secret)
        said = {
            "server": self._bed.hub.kube.server,
            "ca.crt": self._bed.ca,
            "cluster-id": name,
            "cluster-set": CLUSTER_SET,
            "driver": "token",
            "token": token.text,
            "access": "true",
        }
        meta = {"name": AGENT_SETTINGS, "namespace": SYSTEM_NAMESPACE}
        return {"metadata": meta, "stringData": said}

    async def _join(self, member: Cluster, settings: dict[str, object]) -> float | None:
        now = asyncio.get_running_loop().time
        name = self.ids[member.name]

        def is_ready(one: ClusterRegistration) -> bool:
            return one.metadata.name == name and one.status.phase == "Ready"

        with first(self._seen, is_ready) as ready:
            begun = now()
            await member.kube.create(SECRETS, settings)
            try:
                async with asyncio.timeout(_LIMIT):
                    return await ready.reached() - begun
            except TimeoutError:
                return None

    async def _leave(self, member: Cluster) -> None:
        """Make the member one that was never told of a hub, and the hub one that does not know it."""
        name = self.ids.pop(member.name, "")
        if not name:
            return
        hub = self._bed.hub.kube
        await member.kube.delete(SECRETS, AGENT_SETTINGS, namespace=SYSTEM_NAMESPACE)
        await asyncio.sleep(_SETTLE)
        await member.kube.delete(SECRETS, AGENT_CREDENTIAL, namespace=SYSTEM_NAMESPACE)
        await hub.delete(CLUSTER_REGISTRATIONS, name)
        try:
            await hub.merge_patch(CLUSTER_REGISTRATIONS, name, {"metadata": {"finalizers": None}})
        except ApiError as error:
            if not error.is_not_found:
                raise
