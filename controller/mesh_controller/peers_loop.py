"""Links to all peers, what they show in MeshPeer, and the records that they bring; run by the leader.

1. One task for each MeshPeer. Another list of gateways is another task, with what the peer said kept.
2. Records are written by key from the newest that the peer said; a stream that is lost writes nothing.
3. A MeshPeer that is deleted takes its records with it: that is how a peer is put out of this cluster.
4. The time of the last contact is in the Lease `peer-<cluster id>`, renewed while something is heard.
"""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from mesh_controller.act import Writer
from mesh_controller.caches import Caches
from mesh_controller.contact import Contact
from mesh_controller.key_loop import KeyLoop
from mesh_controller.peer_link import PeerLink, Surroundings
from mesh_controller.peer_server import StandingReader
from mesh_core.identity import InvalidName, cluster_id
from mesh_core.names import SYSTEM_NAMESPACE, imported_record_name
from mesh_core.objects import ImportedRecord, MeshPeer
from mesh_core.peer_log import Key
from mesh_core.peer_status import Link, LinkState, plan_peer_status
from mesh_core.peer_view import MOST_RECORDS, Absence, PeerView, Wanted
from mesh_core.peer_wire import Hello
from mesh_core.record_plan import plan_record
from mesh_runtime.clock import Clock
from mesh_runtime.kube import MESH_PEERS, KubeClient
from mesh_runtime.log import logger

RecordKey = tuple[str, str, str]
"""(cluster id, namespace, name of the Service)."""
_RECORD_WORKERS = 8
_FULL_PAUSE = 60.0
"""Seconds until a record is looked at again for which there was no room."""
_log = logger(__name__)


@dataclass(slots=True)
class _Running:
    link: PeerLink
    tasks: tuple[asyncio.Task[None], ...]


class PeersLoop:
    """The links while this replica leads. Make it before the caches run."""

    def __init__(
        self,
        kube: KubeClient,
        *,
        caches: Caches,
        cluster: str,
        writer: Writer,
        contact: Contact,
        trust: StandingReader,
        pending: Callable[[], str],
        hello: Callable[[], Hello],
        clock: Clock,
    ) -> None:
        self._kube = kube
        self._caches = caches
        self._cluster = cluster
        self._writer = writer
        self._contact = contact
        self._clock = clock
        self._surroundings = Surroundings(
            trust=trust, pending=pending, hello=hello, clock=clock, listener=self
        )
        self._running: dict[str, _Running] = {}
        self._full: set[str] = set()
        self._group: asyncio.TaskGroup | None = None
        self.loop: KeyLoop[str] = KeyLoop(
            self.reconcile, name="peer", all_keys=lambda: (p.metadata.name for p in caches.peers.values())
        )
        self.records: KeyLoop[RecordKey] = KeyLoop(
            self.reconcile_record,
            name="record",
            all_keys=lambda: map(_key_of, caches.records.values()),
            workers=_RECORD_WORKERS,
        )
        caches.peers.feed(self.loop, lambda peer: (peer.metadata.name,))
        caches.records.feed(self.records, lambda seen: (_key_of(seen),))

    async def run(self) -> None:
        """Keep the links, for ever, or until cancelled because another replica leads."""
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                group.create_task(self.loop.run())
                group.create_task(self.records.run())
        finally:
            self._group = None
            self._running.clear()

    async def reconcile(self, name: str) -> None:
        """Have a link to the peer `name` if there is such a MeshPeer, and show how it stands."""
        peer = self._caches.peers.get(name)
        if peer is None or peer.metadata.deletion_timestamp is not None:
            await self._stop(name)
            return
        state = _impossible(name, cluster=self._cluster) or self._started(peer).state
        await self._writer.write(plan_peer_status(peer, state=state, now=self._clock()))

    async def reconcile_record(self, key: RecordKey) -> float | None:
        """Keep what the peer last said of one Service."""
        cluster, namespace, service = key
        name = imported_record_name(cluster=cluster, namespace=namespace, service=service)
        seen = self._caches.records.get(name, namespace=SYSTEM_NAMESPACE)
        standing = self._standing(cluster, (namespace, service))
        if standing is Absence.GONE and seen is not None and cluster not in self._running:
            # A cache that lags shows no MeshPeer either; what it would cost is every clusterset IP.
            if await self._kube.find(MESH_PEERS, cluster) is not None:
                standing = Absence.UNKNOWN
        if seen is None and isinstance(standing, Wanted) and self._is_full(cluster):
            return _FULL_PAUSE
        await self._writer.write(plan_record(seen, standing=standing))
        return None

    def _is_full(self, cluster: str) -> bool:
        """Whether as many records of the peer are stored as may be; said once, until there is room again.

        What it leaves behind by sending ever new names counts too, not only what it says now.
        """
        if self._caches.records_from.count(cluster) < MOST_RECORDS:
            self._full.discard(cluster)
            return False
        if cluster not in self._full:
            _log.warning("no more records of a peer are stored", peer=cluster, most=MOST_RECORDS)
            self._full.add(cluster)
        return True

    def state_changed(self, cluster: str) -> None:
        """The link says that it stands otherwise."""
        self.loop.add(cluster)

    def record_changed(self, cluster: str, key: Key) -> None:
        """The peer said something of one Service."""
        self.records.add((cluster, *key))

    def list_changed(self, cluster: str) -> None:
        """The peer said all that it exports."""
        for key in self._records_of(cluster):
            self.records.add(key)

    def _standing(self, cluster: str, key: Key) -> Wanted | Absence:
        running = self._running.get(cluster)
        if running is not None:
            return running.link.view.standing(key)
        known = cluster != self._cluster and self._caches.peers.get(cluster) is not None
        return Absence.UNKNOWN if known else Absence.GONE

    def _started(self, peer: MeshPeer) -> PeerLink:
        """The running link to `peer`, over the gateways that it states now."""
        name, gateways = peer.metadata.name, peer.spec.gateways
        running = self._running.get(name)
        if running is not None and running.link.gateways == gateways:
            return running.link
        view = PeerView(cluster=name) if running is None else running.link.view
        for task in running.tasks if running is not None else ():
            task.cancel()
        link = PeerLink(view, gateways=gateways, surroundings=self._surroundings)
        assert self._group is not None, "keys are worked only while the loop runs"
        tasks = (
            self._group.create_task(link.run()),
            self._group.create_task(self._contact.keep(name, heard=lambda: link.heard)),
        )
        self._running[name] = _Running(link, tasks)
        return link

    async def _stop(self, name: str) -> None:
        running = self._running.pop(name, None)
        for task in running.tasks if running is not None else ():
            task.cancel()
        self.list_changed(name)
        await self._contact.forget(name)

    def _records_of(self, cluster: str) -> Iterable[RecordKey]:
        """What we hold of the peer, and what it has said."""
        keys = {_key_of(seen) for seen in self._caches.records.values() if seen.spec.cluster == cluster}
        running = self._running.get(cluster)
        if running is not None:
            keys |= {(cluster, *key) for key in running.link.view.keys()}
        return sorted(keys)


def _impossible(name: str, *, cluster: str) -> LinkState | None:
    """Why nobody can be this peer, None when somebody can."""
    if name == cluster:
        return LinkState(Link.REFUSED, detail="this MeshPeer names this very cluster; delete it")
    try:
        cluster_id(name)
    except InvalidName as error:
        return LinkState(Link.REFUSED, detail=str(error))
    return None


def _key_of(seen: ImportedRecord) -> RecordKey:
    return (seen.spec.cluster, seen.spec.namespace, seen.spec.name)
