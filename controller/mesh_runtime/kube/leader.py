"""Leader election by a Lease (coordination.k8s.io/v1), as client-go does it.

A lease is taken over only when its record has not changed for the whole lease duration on **our** clock:
the clocks of two machines are never compared. A leader that cannot renew for `renew_limit` steps down
before anybody else may lead.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, Never

from mesh_core.objects import Lease
from mesh_runtime.kube.client import KubeClient
from mesh_runtime.kube.errors import ApiError, BadAnswer, Unreachable
from mesh_runtime.kube.resources import LEASES

_log = logging.getLogger(__name__)

LEASE_SECONDS = 10
RENEW_LIMIT = 7.0
RETRY_SECONDS = 2.0


class LeaderElection:
    """Lets one of several processes run `lead` at a time."""

    def __init__(self, client: KubeClient, *, namespace: str, name: str, identity: str) -> None:
        self._client = client
        self._namespace = namespace
        self._name = name
        self._identity = identity
        self._seen: tuple[str, str] | None = None  # (holder, renewTime) as last read
        self._seen_at = 0.0
        self.leading = False

    async def run(self, lead: Callable[[], Awaitable[None]]) -> Never:
        """Stand for election for ever; run `lead` while leading, cancel it when the lease is lost.

        When `lead` ends by itself or raises, the error passes on. On cancellation the lease is given up
        so that a successor need not wait for its end.
        """
        while True:
            await self._acquire()
            _log.info("leading as %s", self._identity)
            self.leading = True
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._renew())
                    group.create_task(self._lead(lead))
            except* _LeaseLost:
                _log.warning("lost the lease %s; standing again", self._name)
            finally:
                self.leading = False
                await self._release()

    async def _lead(self, lead: Callable[[], Awaitable[None]]) -> None:
        await lead()
        raise RuntimeError("the leader's work ended by itself")

    async def _acquire(self) -> None:
        while True:
            if await self._try():
                return
            await asyncio.sleep(RETRY_SECONDS)

    async def _renew(self) -> Never:
        renewed = time.monotonic()
        while True:
            await asyncio.sleep(RETRY_SECONDS)
            try:
                async with asyncio.timeout(RENEW_LIMIT - RETRY_SECONDS):
                    if await self._try():
                        renewed = time.monotonic()
            except TimeoutError:
                pass
            if time.monotonic() - renewed > RENEW_LIMIT - RETRY_SECONDS:
                raise _LeaseLost

    async def _try(self) -> bool:
        """Take or renew the lease; True when it is ours."""
        try:
            lease = await self._client.find(LEASES, self._name, namespace=self._namespace)
            if lease is None:
                await self._client.create(LEASES, self._body(None))
                return True
            if not self._may_take(lease):
                return False
            await self._client.replace(LEASES, self._body(lease))
            return True
        except ApiError as error:
            if not error.is_conflict:
                _log.warning("lease %s: %s", self._name, error.what)
        except (Unreachable, BadAnswer) as error:
            _log.warning("lease %s: %s", self._name, error.what)
        return False

    def _may_take(self, lease: Lease) -> bool:
        holder = lease.spec.holder_identity or ""
        if holder in ("", self._identity):
            return True
        state = (holder, lease.spec.renew_time or "")
        if state != self._seen:
            self._seen, self._seen_at = state, time.monotonic()
        limit = lease.spec.lease_duration_seconds or LEASE_SECONDS
        return time.monotonic() - self._seen_at > limit

    def _body(self, lease: Lease | None, *, holder: str | None = None) -> dict[str, Any]:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        same = lease is not None and lease.spec.holder_identity == self._identity
        transitions = (lease.spec.lease_transitions or 0) if lease else 0
        meta: dict[str, Any] = {"name": self._name, "namespace": self._namespace}
        if lease is not None:
            meta["resourceVersion"] = lease.metadata.resource_version
        return {
            "metadata": meta,
            "spec": {
                "holderIdentity": self._identity if holder is None else holder,
                "leaseDurationSeconds": LEASE_SECONDS,
                "acquireTime": (lease.spec.acquire_time if same and lease else None) or now,
                "renewTime": now,
                "leaseTransitions": transitions if same or lease is None else transitions + 1,
            },
        }

    async def _release(self) -> None:
        try:
            async with asyncio.timeout(RETRY_SECONDS):
                lease = await self._client.find(LEASES, self._name, namespace=self._namespace)
                if lease is not None and lease.spec.holder_identity == self._identity:
                    await self._client.replace(LEASES, self._body(lease, holder=""))
        except (ApiError, BadAnswer, Unreachable, TimeoutError) as error:
            _log.warning("lease %s not given up early: %s", self._name, error)


class _LeaseLost(Exception):
    """The lease could not be renewed in time."""
