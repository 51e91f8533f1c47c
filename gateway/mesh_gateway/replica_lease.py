"""The Lease by which others know that this gateway is alive (rulings 6 and 7, `mesh_core.replicas`).

1. It is renewed about every second, by a write that nobody else makes. While that fails it is tried again as
   often, and said once.
2. It says by which generation of the trust bundle this gateway goes (`mesh_core.settled`): whoever rotates a
   root waits for that.
3. At an orderly end it is deleted: whoever drains is no sibling any more. After another end the leading
   controller sweeps it away.
"""

import asyncio
import random
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from mesh_core.names import ANNOTATION_TRUST_GENERATION, GATEWAY, LABEL_REPLICA, SYSTEM_NAMESPACE
from mesh_core.replicas import LEASE_SECONDS, RENEWED_EVERY, lease_name
from mesh_runtime.clock import Clock
from mesh_runtime.kube import LEASES, ApiError, BadAnswer, KubeClient, Unreachable
from mesh_runtime.log import logger

_log = logger(__name__)

_LIMIT: Final = 2.0
"""Seconds for one write: a renewal that comes later than that says nothing."""


class ReplicaLease:
    """The Lease of the replica `replica` (`mesh_core.replicas.replica_id`); `settled` is asked each time."""

    def __init__(self, kube: KubeClient, *, replica: str, settled: Callable[[], int], clock: Clock) -> None:
        self._kube = kube
        self._replica = replica
        self._name = lease_name(replica)
        self._settled = settled
        self._clock = clock
        self._is_there = False
        self._failed = False

    async def keep(self, stop: asyncio.Event) -> None:
        """Renew it until `stop` is set, then delete it."""
        loop = asyncio.get_running_loop()
        while not stop.is_set():
            due = loop.time() + RENEWED_EVERY * random.uniform(0.8, 1.2)
            await self._renew()
            with suppress(TimeoutError):
                async with asyncio.timeout_at(due):
                    await stop.wait()
        await self._delete()

    async def _renew(self) -> None:
        try:
            async with asyncio.timeout(_LIMIT):
                await self._write()
        except (ApiError, BadAnswer, Unreachable, TimeoutError) as error:
            if not self._failed:
                _log.warning(
                    "this gateway's Lease is not renewed; trying again", why=str(error) or "too slow"
                )
            self._failed = True
        else:
            if self._failed:
                _log.info("this gateway's Lease is renewed again")
            self._failed = False

    async def _write(self) -> None:
        if self._is_there:
            body = {"metadata": {"annotations": self._said()}, "spec": {"renewTime": self._now()}}
            try:
                await self._kube.merge_patch(LEASES, self._name, body, namespace=SYSTEM_NAMESPACE)
                return
            except ApiError as error:
                if not error.is_not_found:
                    raise
                self._is_there = False
        try:
            await self._kube.create(LEASES, self._body())
        except ApiError as error:
            # That of a container before us in the same pod, or of a pod that had our address.
            if not error.is_conflict:
                raise
            await self._kube.merge_patch(LEASES, self._name, self._body(), namespace=SYSTEM_NAMESPACE)
        self._is_there = True

    async def _delete(self) -> None:
        try:
            async with asyncio.timeout(_LIMIT):
                await self._kube.delete(LEASES, self._name, namespace=SYSTEM_NAMESPACE)
        except (ApiError, BadAnswer, Unreachable, TimeoutError) as error:
            _log.warning("this gateway's Lease stays for a while", why=str(error) or "too slow")

    def _body(self) -> dict[str, Any]:  # Any: the values of a JSON object
        return {
            "metadata": {
                "name": self._name,
                "namespace": SYSTEM_NAMESPACE,
                "labels": {LABEL_REPLICA: GATEWAY},
                "annotations": self._said(),
            },
            "spec": {
                "holderIdentity": self._replica,
                "leaseDurationSeconds": LEASE_SECONDS,
                "renewTime": self._now(),
            },
        }

    def _said(self) -> dict[str, str]:
        return {ANNOTATION_TRUST_GENERATION: str(self._settled())}

    def _now(self) -> str:
        return self._clock().strftime("%Y-%m-%dT%H:%M:%S.%fZ")
