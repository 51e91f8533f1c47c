"""Leader election by a Lease (coordination.k8s.io/v1), as client-go does it.

1. A lease is taken over only when its record has not changed for the whole lease duration on **our** clock:
   the clocks of two machines are never compared. A leader that cannot renew for `RENEW_LIMIT` steps down
   before anybody else may lead.
2. That counts from when a renewal was asked for, not from its answer: between the two this process may have
   been frozen for longer than its lease lasted.
3. Cancelling what leads takes turns of the event loop, in which a process that was just thawed would go on
   writing. So the leader's clients ask `may_write` before each write (`KubeClient.only_while`). What is left
   is a freeze between that question and the kernel's taking the bytes, some microseconds.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from enum import Enum, auto
from typing import Any, Never

from mesh_core.objects import Lease
from mesh_runtime.kube.client import KubeClient
from mesh_runtime.kube.errors import ApiError, BadAnswer, NotLeading, Unreachable
from mesh_runtime.kube.resources import LEASES

_log = logging.getLogger(__name__)

LEASE_SECONDS = 10
RENEW_LIMIT = 7.0
RETRY_SECONDS = 2.0


class _Found(Enum):
    OURS = auto()
    THEIRS = auto()
    UNKNOWN = auto()


class LeaderElection:
    """Lets one of several processes run `lead` at a time; `now` is a monotonic clock in seconds."""

    def __init__(
        self,
        client: KubeClient,
        *,
        namespace: str,
        name: str,
        identity: str,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._namespace = namespace
        self._name = name
        self._identity = identity
        self._seen: tuple[str, str] | None = None  # (holder, renewTime) as last read
        self._seen_at = 0.0
        self._now = now
        # Until then nobody else can have it.
        self._ours_until = 0.0
        self.leading = False

    def may_write(self) -> None:
        """Raise NotLeading where somebody else may lead."""
        if not self.leading or self._now() >= self._ours_until:
            raise NotLeading

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
            if await self._try() is _Found.OURS:
                return
            await asyncio.sleep(RETRY_SECONDS)

    async def _renew(self) -> Never:
        while True:
            await asyncio.sleep(RETRY_SECONDS)
            found = _Found.UNKNOWN
            try:
                async with asyncio.timeout(RENEW_LIMIT - RETRY_SECONDS):
                    found = await self._try()
            except TimeoutError:
                pass
            if found is _Found.THEIRS or self._now() > self._ours_until - RETRY_SECONDS:
                raise _LeaseLost

    async def _try(self) -> _Found:
        """Take or renew the lease; whose it is then."""
        asked = self._now()
        try:
            lease = await self._client.find(LEASES, self._name, namespace=self._namespace)
            if lease is None:
                await self._client.create(LEASES, self._body(None))
            elif not self._may_take(lease):
                return _Found.THEIRS
            else:
                await self._client.replace(LEASES, self._body(lease))
        except ApiError as error:
            if not error.is_conflict:
                _log.warning("lease %s: %s", self._name, error.what)
        except (Unreachable, BadAnswer) as error:
            _log.warning("lease %s: %s", self._name, error.what)
        else:
            self._ours_until = asked + RENEW_LIMIT
            return _Found.OURS
        return _Found.UNKNOWN

    def _may_take(self, lease: Lease) -> bool:
        holder = lease.spec.holder_identity or ""
        if holder in ("", self._identity):
            return True
        state = (holder, lease.spec.renew_time or "")
        if state != self._seen:
            self._seen, self._seen_at = state, self._now()
        limit = lease.spec.lease_duration_seconds or LEASE_SECONDS
        return self._now() - self._seen_at > limit

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
