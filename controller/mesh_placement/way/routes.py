"""The ways to all members, from watch caches: nothing here reads the hub when somebody asks for one.

What is watched: ClusterRegistrations, and the Secrets called `access` of all namespaces, by a field selector,
so that the right to read Secrets can be bound to that name. A Secret counts in its cluster's own namespace
only.
"""

import asyncio
from typing import Never

from mesh_core.objects import Secret
from mesh_placement.decide.route import NoRoute, Route, ended, route_to
from mesh_placement.names import ACCESS_SECRET, cluster_namespace
from mesh_placement.objects import ClusterRegistration
from mesh_placement.resources import CLUSTER_REGISTRATIONS
from mesh_runtime.clock import Clock, utc_now
from mesh_runtime.kube import SECRETS, Informer, KubeClient

_Seen = tuple[ClusterRegistration | None, Secret | None]


class Routes:
    """Run it in a task group, and wait for `synced` before believing that a cluster is not there."""

    def __init__(self, kube: KubeClient, *, clock: Clock = utc_now) -> None:
        self._clock = clock
        self._registrations = Informer(kube, CLUSTER_REGISTRATIONS)
        self._secrets = Informer(kube, SECRETS, fields=f"metadata.name={ACCESS_SECRET}")
        self.by_tunnel = asyncio.Event()
        """Set once some member is reached by its tunnel."""
        # What was made of which objects: made anew when one of the two is another one.
        self._made: dict[str, tuple[_Seen, Route | NoRoute]] = {}
        self._registrations.follow(self._forget)
        self._secrets.follow(lambda _key, _old, new: self._look(new))

    def to(self, cluster: str) -> Route | NoRoute:
        """The way to `cluster` now, or why there is none."""
        registration = self._registrations.get(cluster)
        namespace = registration.status.namespace if registration is not None else ""
        secret = self._secrets.get(ACCESS_SECRET, namespace=namespace or cluster_namespace(cluster))
        kept = self._made.get(cluster)
        if kept is None or kept[0][0] is not registration or kept[0][1] is not secret:
            made = route_to(cluster, registration=registration, secret=secret)
            kept = (registration, secret), made
            if registration is not None:
                self._made[cluster] = kept
        route = kept[1]
        if isinstance(route, Route) and self._clock() >= route.until:
            return ended(route)
        return route

    @property
    def is_synced(self) -> bool:
        """Whether both caches are complete."""
        return self._registrations.synced.is_set() and self._secrets.synced.is_set()

    async def synced(self) -> None:
        """Return when both caches are complete."""
        await self._registrations.synced.wait()
        await self._secrets.synced.wait()

    async def run(self) -> Never:
        """Watch, for ever."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._registrations.run())
            group.create_task(self._secrets.run())
        raise AssertionError("an informer ended")

    def _look(self, secret: Secret | None) -> None:
        if secret is not None and secret.data.get("token") and not secret.data.get("server"):
            self.by_tunnel.set()

    def _forget(
        self, key: tuple[str, str], _old: ClusterRegistration | None, new: ClusterRegistration | None
    ) -> None:
        if new is None:
            self._made.pop(key[1], None)
