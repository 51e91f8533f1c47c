"""Which gateways of this cluster are silent, by the Leases that they renew (ruling 6, `mesh_core.replicas`).

A gateway that is silent is left out of slices before Kubernetes notices that its node is gone, which takes 40
to 50 seconds. It is back when it renews again. One without a Lease goes by its readiness alone.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Final, Never

from mesh_controller.caches import Caches
from mesh_core.import_view import Gateways
from mesh_core.names import ANNOTATION_TRUST_GENERATION, SYSTEM_NAMESPACE
from mesh_core.objects import Lease
from mesh_core.replicas import Hearing, lease_name
from mesh_runtime.kube import LEASES, ApiError, BadAnswer, KubeClient, Unreachable
from mesh_runtime.log import logger

_log = logger(__name__)

_SWEPT_EVERY: Final = 20.0
_SETTLED_WITHIN: Final = 5.0


class Replicas:
    """Follows the Leases; make it before the caches run."""

    def __init__(self, caches: Caches) -> None:
        self._caches = caches
        self._hearing = Hearing()
        self._followers: list[Callable[[], None]] = []
        self._settled = asyncio.Event()
        self.silent: frozenset[str] = frozenset()
        """Addresses of gateways that renew their Leases no more."""
        caches.replicas.follow(self._follow)

    def on_change(self, call: Callable[[], None]) -> None:
        """Call `call` when `silent` has changed; it must be quick and must not raise."""
        self._followers.append(call)

    def heard(self, ready: Gateways) -> Gateways:
        """Those of the `ready` gateways that are not silent; all of a family when none would be left.

        With nobody else to go to, one that only lost sight of its API server is better than none.
        """
        return Gateways(ipv4=self._left(ready.ipv4), ipv6=self._left(ready.ipv6))

    def trust_generations(self) -> tuple[str | None, ...]:
        """What the gateways that are not silent say of the trust bundle; None of one that says nothing."""
        names = (lease_name(replica) for replica in self._hearing.alive())
        leases = (self._caches.replicas.get(name, namespace=SYSTEM_NAMESPACE) for name in names)
        return tuple(
            lease.metadata.annotations.get(ANNOTATION_TRUST_GENERATION)
            for lease in leases
            if lease is not None
        )

    async def until_settled(self) -> None:
        """Return when it is known of each listed Lease whether anybody renews it, or after a while.

        A controller that starts while a gateway's node is dead would else list it again for a moment,
        everywhere.
        """
        self._look()
        with suppress(TimeoutError):
            async with asyncio.timeout(_SETTLED_WITHIN):
                await self._settled.wait()

    async def sweep(self, kube: KubeClient, *, pods: Callable[[], frozenset[str]]) -> Never:
        """Delete what is left of gateways that are gone; `pods` are the addresses of all there are."""
        while True:
            await asyncio.sleep(_SWEPT_EVERY)
            now = asyncio.get_running_loop().time()
            for name in self._hearing.abandoned(pods=pods(), now=now):
                lease = self._caches.replicas.get(name, namespace=SYSTEM_NAMESPACE)
                if lease is None:
                    continue
                try:
                    await kube.delete(LEASES, name, namespace=SYSTEM_NAMESPACE, uid=lease.metadata.uid)
                except (ApiError, BadAnswer, Unreachable) as error:
                    _log.warning("the Lease of a gateway that is gone stays", lease=name, why=error.what)

    def _left(self, ready: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(address for address in ready if address not in self.silent) or ready

    def _follow(self, key: tuple[str, str], _old: Lease | None, new: Lease | None) -> None:
        if new is None:
            self._hearing.gone(key[1])
        else:
            self._hearing.saw(new, now=asyncio.get_running_loop().time())
        self._look()

    def _look(self) -> None:
        if self._hearing.is_settled:
            self._settled.set()
        silent = self._hearing.silent()
        if silent == self.silent:
            return
        for address in sorted(silent - self.silent):
            _log.warning("a gateway is silent and left out of slices", gateway=address)
        for address in sorted(self.silent - silent):
            _log.info("a gateway is heard again, or gone", gateway=address)
        self.silent = silent
        for call in self._followers:
            call()
