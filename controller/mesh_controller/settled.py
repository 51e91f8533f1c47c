"""What this cluster goes by of the clusterset's trust, as it tells its peers (`mesh_core.settled`).

The controller's own standing and what its live gateways say on their Leases, the lowest of all. Each replica
of the controller speaks for itself: it is its own chain that it shows to peers.
"""

from collections.abc import Callable
from typing import Protocol

from mesh_controller.caches import Caches
from mesh_controller.replicas import Replicas
from mesh_core.settled import settled_cluster
from mesh_core.trust_exchange import Settled
from mesh_runtime.latest import Latest
from mesh_runtime.leaf import Standing
from mesh_runtime.trust_signing import root_above


class StandingFeed(Protocol):
    """Where the controller's own standing is read (`intermediate_source`)."""

    @property
    def current(self) -> Standing | None:
        """What may be shown now."""

    async def after(self, seen: Standing | None) -> Standing | None:
        """The standing, as soon as it is not `seen`."""


class SettledWatch:
    """Knows it at any time, and says when it has changed; make it before the caches run."""

    def __init__(self, caches: Caches, *, replicas: Replicas, standing: StandingFeed) -> None:
        self.changes: Latest[Settled] = Latest()
        self._replicas = replicas
        self._standing = standing
        self._followers: list[Callable[[], None]] = []
        self._shown: tuple[Standing, str] | None = None
        caches.replicas.on_change(self._look)

    def on_change(self, call: Callable[[], None]) -> None:
        """Call `call` when it may have changed; it must be quick and must not raise."""
        self._followers.append(call)

    def now(self) -> Settled:
        """What the cluster has settled on; nothing while the controller has nothing to show."""
        standing = self._standing.current
        if standing is None:
            return Settled()
        return Settled(
            generation=settled_cluster(standing.settled, replicas=self._replicas.trust_generations()),
            revision=standing.trust.revision,
            root=self._root_above(standing),
        )

    async def run(self) -> None:
        """Follow the standing, for ever."""
        standing: Standing | None = None
        while True:
            standing = await self._standing.after(standing)
            self._look()

    def _root_above(self, standing: Standing) -> str:
        """The KeyId of the root above our own chain; read once, since Leases are renewed every second."""
        if self._shown is None or self._shown[0] is not standing:
            self._shown = standing, root_above(standing.credentials.chain_pem, roots=standing.roots)
        return self._shown[1]

    def _look(self) -> None:
        before, now = self.changes.value, self.now()
        if now != before:
            self.changes.publish(now)
            for call in self._followers:
                call()
