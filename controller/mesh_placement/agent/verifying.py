"""Has the member's gateways try what the hub wants to be verified, and reads what they found.

The hub says it in ClusterLink.spec.verify; gateways are asked by ServiceProbes (`decide.verifying`). Nothing
is polled. What the hub gets is written by the loop of links, which owns that status.
"""

import asyncio
from collections.abc import Callable, Mapping, Set

from mesh_core.names import LABEL_MANAGED_BY, SYSTEM_NAMESPACE
from mesh_core.objects import ServiceProbe
from mesh_core.service_probe import EVERY
from mesh_placement.agent.kinds import OptionalCache
from mesh_placement.agent.session import Session
from mesh_placement.decide.verifying import (
    Known,
    ServiceKey,
    handshakes,
    probes_due,
    seconds_waited,
)
from mesh_placement.names import AGENT_MANAGER, LINKS
from mesh_placement.objects import Handshake, Verification
from mesh_runtime.kube import SERVICE_PROBES
from mesh_runtime.side_by_side import side_by_side
from mesh_runtime.work import WorkQueue, work


class Verifying:
    """For the member of the session; `changed` is called when `found` may give something else."""

    def __init__(self, session: Session, *, changed: Callable[[], None]) -> None:
        self._session = session
        self._changed = changed
        self._queue: WorkQueue[str] = WorkQueue()
        session.links.on_change(self._wake)
        self._probes = OptionalCache(
            session.member,
            SERVICE_PROBES,
            kinds=session.kinds,
            changed=self._wake,
            namespace=SYSTEM_NAMESPACE,
            labels=f"{LABEL_MANAGED_BY}={AGENT_MANAGER}",
        )
        session.kinds.on_change(self._wake)

    @property
    def synced(self) -> asyncio.Event:
        """Set when it is known what the hub wants."""
        return self._session.links.synced

    def found(self, *, gateways: Set[str] | None, ready: Mapping[ServiceKey, int]) -> tuple[Handshake, ...]:
        """What is known of it, with the addresses of our ready gateways, None where nobody lists them, and
        the ready endpoints of each exported Service."""
        known = Known(
            cluster=self._session.cluster,
            probes=self._probes.values() if self._session.kinds.has(SERVICE_PROBES) else None,
            gateways=gateways,
            ready=ready,
            now=self._session.clock(),
        )
        return handshakes(self._wanted(), known=known)

    async def run(self) -> None:
        """Watch and ask, for ever."""
        # The watch of the session may have brought all that there is before this began.
        self._wake()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._probes.run())
            group.create_task(work(self._queue, self._keep, name="handshakes"))

    def _wake(self) -> None:
        self._queue.add(LINKS)
        self._changed()

    def _wanted(self) -> tuple[Verification, ...]:
        link = self._session.link
        return link.spec.verify if link is not None else ()

    async def _keep(self, _name: str) -> float | None:
        """Make the ServiceProbes fit; what there is counts only when all of it is known."""
        # What gateways had time for may be over; what nobody need be asked is told anew, as if it were tried.
        self._changed()
        session, member, wanted = self._session, self._session.member, self._wanted()
        again = EVERY if wanted else None
        if not (self._session.links.synced.is_set() and self._probes.synced.is_set()):
            return again
        if not session.kinds.has(SERVICE_PROBES):
            return again
        now, seen = session.clock(), self._probes.values()
        due = probes_due(wanted, seen=seen, cluster=session.cluster, now=now)
        await side_by_side(
            member.apply(SERVICE_PROBES, body, field_manager=AGENT_MANAGER) for body in due.apply
        )
        await side_by_side(self._delete(one) for one in due.delete)
        waits = [wait for one in seen for wait in seconds_waited(one, now=now)]
        return min((*waits, *(one for one in (again, due.again) if one is not None)), default=None)

    async def _delete(self, one: ServiceProbe) -> None:
        meta = one.metadata
        await self._session.member.delete(SERVICE_PROBES, meta.name, namespace=meta.namespace, uid=meta.uid)
