"""A candidate's program: it is the hub while most witnesses say so, and does nothing else meanwhile.

1. Replicas of one cluster elect one among themselves, which stands for the cluster.
2. Who is elected makes its own objects as they are in the newest copy, and only then begins to decide, with
   caches that were filled after that.
3. Every write asks both elections: the replicas' and the witnesses'.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Never

from mesh_core.names import SYSTEM_NAMESPACE
from mesh_placement.decide.floating_settings import FloatingSettings
from mesh_placement.decide.hub_copy import Index, Key, key_of
from mesh_placement.hub.dial_in import connect_member
from mesh_placement.hub.floating.copier import Copier
from mesh_placement.hub.floating.election import FloatingElection, Term, Witness
from mesh_placement.hub.floating.newest import newest_copy
from mesh_placement.hub.floating.seal import Seal
from mesh_placement.hub.floating.store import CopyStore
from mesh_placement.hub.floating.taking import TakingOver
from mesh_placement.hub.hub import HubParts
from mesh_placement.hub.placing.cycle import Scheduling
from mesh_placement.hub.placing.load_telling import load_metrics
from mesh_placement.names import FLOATING, HUB, WITNESS, WITNESS_NAMESPACE
from mesh_runtime.clock import Clock, utc_now
from mesh_runtime.kube import KubeClient, LeaderElection
from mesh_runtime.log import logger
from mesh_runtime.metrics_text import metrics_text

_log = logger(__name__)
_PEOPLE = f"system:serviceaccount:{SYSTEM_NAMESPACE}:{FLOATING}"
_OWN_WITNESS = f"system:serviceaccount:{WITNESS_NAMESPACE}:{WITNESS}"


class FloatingHub:
    """One replica called `name` of the candidate called `cluster`."""

    def __init__(
        self,
        kube: KubeClient,
        *,
        name: str,
        cluster: str,
        witnesses: Sequence[Witness],
        key: bytes,
        scheduling: Scheduling | None = None,
        clock: Clock = utc_now,
    ) -> None:
        self._kube = kube
        self._replicas = LeaderElection(kube, namespace=SYSTEM_NAMESPACE, name=HUB, identity=name)
        self._clusters = FloatingElection(f"{cluster}/{name}", witnesses=witnesses)
        self._seal = Seal(key)
        self._stores = [
            CopyStore(one.name, one.kube.only_while(self.may_write), self._seal) for one in witnesses
        ]
        self._scheduling = scheduling
        self._clock = clock
        self._parts: HubParts | None = None
        self.copies = 0
        """How many witnesses have the newest copy of ours."""

    @property
    def is_leading(self) -> bool:
        """Whether this replica is the hub."""
        return self._replicas.leading and self._clusters.is_leading

    async def metrics(self) -> bytes:
        """The page of the health port: of one that only stands, nothing is told of how fast it decides."""
        return (
            metrics_text(lambda: load_metrics(None)) if self._parts is None else await self._parts.metrics()
        )

    def may_write(self) -> None:
        """Law 3: raises NotLeading."""
        self._replicas.may_write()
        self._clusters.may_write()

    async def run(self) -> Never:
        """Stand, and work while elected, until cancelled."""
        await self._replicas.run(self._stand)

    async def _stand(self) -> None:
        await self._clusters.run(self._lead)

    async def _lead(self, term: Term) -> None:
        guarded = self._kube.only_while(self.may_write)
        before, known = await self._take_over(guarded, term)
        parts = HubParts(self._kube, may_write=self.may_write, scheduling=self._scheduling, clock=self._clock)
        copier = Copier(
            guarded, self._stores, self._seal, term.number, before, known, written=self._note_copies
        )
        _follow(copier, parts)
        self._parts = parts
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(parts.watch())
                await parts.until_synced()
                group.create_task(copier.run())
                group.create_task(parts.work())
        finally:
            self._parts = None

    async def _take_over(self, guarded: KubeClient, term: Term) -> tuple[Index | None, frozenset[Key]]:
        """Law 2; the copy, and what is in it."""
        found = await newest_copy(self._stores, held=term.held)
        if found is None:
            _log.info("no leader has left a copy: this cluster begins with what it has")
            return None, frozenset()
        index, objects = found
        written = await TakingOver(guarded, people=guarded.acting_as(_PEOPLE)).run(objects, gone=index.gone)
        _log.info("taken over", of_term=index.term, copy=index.number, objects=len(objects), written=written)
        return index, frozenset(key_of(one) for one in objects)

    def _note_copies(self, count: int) -> None:
        self.copies = count


@asynccontextmanager
async def floating_hub(
    kube: KubeClient,
    settings: FloatingSettings,
    *,
    name: str,
    scheduling: Scheduling | None = None,
    clock: Clock = utc_now,
) -> AsyncIterator[FloatingHub]:
    """The candidate that `settings` describe, with a way to each witness."""
    async with AsyncExitStack() as stack:
        witnesses = [Witness(settings.own, kube.acting_as(_OWN_WITNESS))]
        for other, dial in settings.others.items():
            witnesses.append(Witness(other, await stack.enter_async_context(connect_member(dial))))
        yield FloatingHub(
            kube,
            name=name,
            cluster=settings.own,
            witnesses=witnesses,
            key=settings.key,
            scheduling=scheduling,
            clock=clock,
        )


def _follow(copier: Copier, parts: HubParts) -> None:
    caches, placing = parts.caches, parts.placing
    for kind, informer in (
        ("ClusterSet", caches.sets),
        ("ClusterRegistration", caches.registrations),
        ("ResourceInterpreter", placing.interpreters),
        ("Namespace", placing.namespaces),
        ("Secret", placing.copies),
        ("Assignment", placing.assignments),
        ("Work", placing.works),
        ("ClusterLink", placing.links),
        ("ClusterCapacity", placing.capacities),
        ("Placement", placing.placements),
    ):
        copier.follow(kind, informer)
