"""Writes the Lease that says when a peer was last heard and acknowledged (`mesh_core.contact_lease`).

It is renewed every ten seconds while something is heard, and simply grows old when nothing is: its age
is for readers, nobody here acts on it.
"""

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Final, Never

from mesh_core.contact_lease import Acknowledged, contact_lease
from mesh_core.names import MANAGER, SYSTEM_NAMESPACE, peer_lease_name
from mesh_runtime.kube import LEASES, ApiError, BadAnswer, KubeClient, Unreachable
from mesh_runtime.log import logger

_log = logger(__name__)

EVERY: Final = 10.0
_MANAGER: Final = f"contact.{MANAGER}"


class Contact:
    """Writes Leases; `holder` is the identity of this replica."""

    def __init__(self, kube: KubeClient, *, holder: str) -> None:
        self._kube = kube
        self._holder = holder

    async def keep(
        self,
        cluster: str,
        *,
        heard: Callable[[], datetime | None],
        acknowledged: Callable[[], Acknowledged | None],
    ) -> Never:
        """Renew the Lease of `cluster` while `heard()` moves on, for ever."""
        written: datetime | None = None
        shown: Acknowledged | None = None
        now, due = asyncio.get_running_loop().time, 0.0
        while True:
            latest, taken = heard(), acknowledged()
            # The first word and the first acknowledgement are waited for, so they do not wait.
            is_first = written is None or (shown is None and taken is not None)
            if latest is not None and (is_first or (latest != written and now() >= due)):
                try:
                    await self._renew(cluster, latest, taken)
                    written, shown, due = latest, taken, now() + EVERY
                except (ApiError, BadAnswer, Unreachable) as error:
                    _log.warning("the time of contact is not written", peer=cluster, why=error.what)
            await asyncio.sleep(EVERY if shown is not None else 1.0)

    async def forget(self, cluster: str) -> None:
        """Remove the Lease of a peer that is none any more."""
        await self._kube.delete(LEASES, peer_lease_name(cluster=cluster), namespace=SYSTEM_NAMESPACE)

    async def _renew(self, cluster: str, heard: datetime, acknowledged: Acknowledged | None) -> None:
        body = contact_lease(cluster, heard=heard, acknowledged=acknowledged, holder=self._holder)
        await self._kube.apply(LEASES, body, field_manager=_MANAGER)
