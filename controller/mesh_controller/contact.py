"""The Lease that says when a peer was last heard (KEP-1645, a Lease for each source cluster).

It is renewed every ten seconds while something is heard, and simply grows old when nothing is: its age
is for readers, nobody here acts on it.
"""

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Final, Never

from mesh_core.names import MANAGER, SYSTEM_NAMESPACE, peer_lease_name
from mesh_runtime.kube import LEASES, ApiError, BadAnswer, KubeClient, Unreachable
from mesh_runtime.log import logger

_log = logger(__name__)

EVERY: Final = 10.0
_LEASE_SECONDS: Final = 40
_MANAGER: Final = f"contact.{MANAGER}"


class Contact:
    """Writes Leases; `holder` is the identity of this replica."""

    def __init__(self, kube: KubeClient, *, holder: str) -> None:
        self._kube = kube
        self._holder = holder

    async def keep(self, cluster: str, *, heard: Callable[[], datetime | None]) -> Never:
        """Renew the Lease of `cluster` while `heard()` moves on, for ever."""
        written: datetime | None = None
        while True:
            latest = heard()
            if latest is not None and latest != written:
                try:
                    await self._renew(cluster, latest)
                    written = latest
                except (ApiError, BadAnswer, Unreachable) as error:
                    _log.warning("the time of contact is not written", peer=cluster, why=error.what)
            # Until something is heard for the first time, look often: readers wait for it.
            await asyncio.sleep(EVERY if written is not None else 1.0)

    async def forget(self, cluster: str) -> None:
        """Remove the Lease of a peer that is none any more."""
        await self._kube.delete(LEASES, peer_lease_name(cluster=cluster), namespace=SYSTEM_NAMESPACE)

    async def _renew(self, cluster: str, heard: datetime) -> None:
        metadata = {"name": peer_lease_name(cluster=cluster), "namespace": SYSTEM_NAMESPACE}
        spec = {
            "holderIdentity": self._holder,
            "leaseDurationSeconds": _LEASE_SECONDS,
            "renewTime": heard.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        }
        await self._kube.apply(LEASES, {"metadata": metadata, "spec": spec}, field_manager=_MANAGER)
