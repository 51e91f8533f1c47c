"""Links to all peers, what they show in MeshPeer, and the records that they bring; run by the leader.

1. One task for each MeshPeer. Another list of gateways, or another policy, is another task, with what the
   peer said kept as far as it is still taken.
2. Records are written by key from the newest that the peer said; a stream that is lost writes nothing.
3. A MeshPeer that is deleted takes its records with it: that is how a peer is put out of this cluster. So
   does a peer that says that it has left.
4. The time of the last contact is in the Lease `peer-<cluster id>`, renewed while something is heard.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from mesh_controller.act import Writer
from mesh_controller.caches import Caches
from mesh_controller.contact import Contact
from mesh_controller.echoes import Echoes
from mesh_controller.greeting import Greeting
from mesh_controller.identity_watch import IdentityWatch
from mesh_controller.key_loop import KeyLoop
from mesh_controller.peer_link import PeerLink, Surroundings
from mesh_controller.peer_server import StandingReader
from mesh_controller.trust_loop import TrustLoop
from mesh_core.admission import EntryKey
from mesh_core.identity import InvalidName, cluster_id
from mesh_core.import_policy import policy_for
from mesh_core.leaving import left_before
from mesh_core.names import SYSTEM_NAMESPACE, imported_record_name, imported_shard_name
from mesh_core.objects import ImportedRecord, ImportedShard, MeshPeer, PeerGateway
from mesh_core.peer_identity import plan_end_of_clash, until_over
from mesh_core.peer_status import Link, LinkState, Ours, plan_peer_status
from mesh_core.peer_view import Absence, PeerView, Stored, Wanted
from mesh_core.record import Shard
from mesh_core.record_plan import Imported, plan_imported
from mesh_runtime.clock import Clock
from mesh_runtime.kube import MESH_PEERS, KubeClient
from mesh_runtime.log import logger

RecordKey = tuple[str, str, str, str]
"""(cluster id, namespace, name of the Service, shard or "" for its record)."""
_RECORD_WORKERS = 16
_FULL_PAUSE = 60.0
"""Seconds until a record is looked at again for which there was no room."""
_log = logger(__name__)


@dataclass(frozen=True, slots=True)
class _Stated:
    """What a link was started for: the very MeshPeer, where it dials, and what our hello says."""

    uid: str
    gateways: tuple[PeerGateway, ...]
    network: str
    dial: str


@dataclass(frozen=True, slots=True)
class _Running:
    link: PeerLink
    tasks: tuple[asyncio.Task[None], ...]
    stated: _Stated


class PeersLoop:
    """The links while this replica leads. Make it before the caches run."""

    def __init__(
        self,
        kube: KubeClient,
        *,
        caches: Caches,
        writer: Writer,
        contact: Contact,
        trust: StandingReader,
        texts: TrustLoop,
        pending: Callable[[], str],
        greeting: Greeting,
        identities: IdentityWatch,
        clock: Clock,
    ) -> None:
        self._kube = kube
        self._caches = caches
        self._cluster = greeting.cluster
        self._greeting = greeting
        self._identities = identities
        self._writer = writer
        self._contact = contact
        self._clock = clock
        self._surroundings = Surroundings(
            trust=trust,
            texts=texts,
            pending=pending,
            hello=greeting.hello,
            pinned=identities.pinned,
            door=caches.inner_door,
            clock=clock,
            listener=self,
        )
        self._running: dict[str, _Running] = {}
        self._full: set[tuple[str, bool]] = set()
        self._group: asyncio.TaskGroup | None = None
        self.loop: KeyLoop[str] = KeyLoop(
            self.reconcile, name="peer", all_keys=lambda: (p.metadata.name for p in caches.peers.values())
        )
        self.records: KeyLoop[RecordKey] = KeyLoop(
            self.reconcile_record,
            name="record",
            all_keys=lambda: _keys_of(caches.records.values(), caches.shards.values()),
            workers=_RECORD_WORKERS,
        )
        self._echoes: Echoes[RecordKey] = Echoes(caches.find)
        caches.peers.feed(self.loop, lambda peer: (peer.metadata.name,))
        # What one MeshPeer shows goes by which others there are, and by the network of this cluster.
        caches.peers.follow(
            lambda _key, old, new: self._all_changed() if old is None or new is None else None
        )
        caches.properties.on_change(self._all_changed)
        caches.records.feed(self.records, lambda seen: (_key_of(seen),))
        caches.shards.feed(self.records, lambda seen: (_key_of(seen),))

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

    async def reconcile(self, name: str) -> float | None:
        """Have a link to the peer `name` if there is such a MeshPeer, and show how it stands."""
        peer = self._caches.peers.get(name)
        if peer is None or peer.metadata.deletion_timestamp is not None:
            await self._stop(name)
            return None
        state = _impossible(name, cluster=self._cluster) or self._started(peer).state
        ours, now = Ours(self._cluster, self._greeting.peers, self._identities.named(name)), self._clock()
        plan = plan_peer_status(peer, state=state, ours=ours, now=now) + plan_end_of_clash(peer, now=now)
        await self._writer.write(plan)
        return until_over(peer, now=now) or None

    async def reconcile_record(self, key: RecordKey) -> float | None:
        """Keep what the peer last said of one Service, or of one shard of its endpoints."""
        overdue = self._echoes.overdue(key)
        if overdue is not None:
            return overdue
        cluster, seen = key[0], self._seen(key)
        standing = self._standing(key, seen=seen)
        if standing is Absence.GONE and seen is not None and cluster not in self._running:
            # A cache that lags shows no MeshPeer either; what it would cost is every clusterset IP.
            if await self._kube.find(MESH_PEERS, cluster) is not None:
                standing = Absence.UNKNOWN
        if seen is None and isinstance(standing, Wanted) and self._is_full(key):
            return _FULL_PAUSE
        self._echoes.wrote(key, await self._writer.write(plan_imported(seen, standing=standing)))
        return None

    def _is_full(self, key: RecordKey) -> bool:
        """Whether as much of the peer is stored as may be; said once, until there is room again.

        What it leaves behind by sending ever new names counts too, not only what it says now.
        """
        cluster, is_shard, policy = key[0], bool(key[3]), self._running[key[0]].link.view.policy
        stored = self._caches.shards_from if is_shard else self._caches.records_from
        most = policy.most_shards if is_shard else policy.limits.services
        if stored.count(cluster) < most:
            self._full.discard((cluster, is_shard))
            return False
        if (cluster, is_shard) not in self._full:
            _log.warning("no more of a peer is stored", peer=cluster, shards=is_shard, most=most)
            self._full.add((cluster, is_shard))
        return True

    def state_changed(self, cluster: str) -> None:
        """The link says that it stands otherwise."""
        self.loop.add(cluster)

    def identity_clash(self, cluster: str, *, why: str) -> None:
        """Another cluster answered under the peer's id."""
        self._identities.clash(cluster, why=why)

    def records_changed(self, cluster: str, keys: Sequence[EntryKey]) -> None:
        """The peer said something of these Services and shards."""
        for key in keys:
            self.records.add((cluster, *key))

    def list_changed(self, cluster: str) -> None:
        """The peer said all that it exports, or something else of it is taken than before."""
        for key in self._keys_from(cluster):
            self.records.add(key)

    def _seen(self, key: RecordKey) -> Imported | None:
        cluster, namespace, service, shard = key
        if not shard:
            return self._record(key)
        name = imported_shard_name(cluster=cluster, namespace=namespace, service=service, shard=shard)
        return self._caches.shards.get(name, namespace=SYSTEM_NAMESPACE)

    def _record(self, key: RecordKey) -> ImportedRecord | None:
        cluster, namespace, service, _shard = key
        name = imported_record_name(cluster=cluster, namespace=namespace, service=service)
        return self._caches.records.get(name, namespace=SYSTEM_NAMESPACE)

    def _standing(self, key: RecordKey, *, seen: Imported | None) -> Wanted | Absence:
        cluster, *entry = key
        running = self._running.get(cluster)
        if running is not None and running.link.has_left:
            return Absence.GONE
        if running is not None:
            record = self._record(key)
            stored = Stored(
                entry=seen.spec if seen is not None else None,
                record=record.spec if record is not None else None,
            )
            namespace, service, shard = entry
            return running.link.view.standing((namespace, service, shard), stored=stored)
        known = cluster != self._cluster and self._caches.peers.get(cluster) is not None
        return Absence.UNKNOWN if known else Absence.GONE

    def _all_changed(self) -> None:
        for peer in self._caches.peers.values():
            self.loop.add(peer.metadata.name)

    def _started(self, peer: MeshPeer) -> PeerLink:
        """The running link to `peer`, over the gateways and by the policy that it states now."""
        name, network = peer.metadata.name, self._greeting.network
        stated = _Stated(peer.metadata.uid, peer.spec.dialled, network, peer.spec.dial)
        policy = policy_for(peer, cluster=self._cluster, network=network)
        running = self._running.get(name)
        if running is not None and running.stated == stated and running.link.view.policy == policy:
            return running.link
        for task in running.tasks if running is not None else ():
            task.cancel()
        if running is not None and running.stated.uid == stated.uid:
            view = running.link.view
        else:
            # Another MeshPeer of that name may mean another cluster: nothing that was said holds for it.
            view = PeerView(cluster=name, policy=policy)
        if view.policy != policy:
            view.adopt(policy)
        link = PeerLink(
            view, gateways=stated.gateways, surroundings=self._surroundings, left=left_before(peer)
        )
        assert self._group is not None, "keys are worked only while the loop runs"
        tasks = (
            self._group.create_task(link.run()),
            self._group.create_task(
                self._contact.keep(name, heard=lambda: link.heard, acknowledged=lambda: link.acknowledged)
            ),
        )
        self._running[name] = _Running(link, tasks, stated)
        self.list_changed(name)
        return link

    async def _stop(self, name: str) -> None:
        running = self._running.pop(name, None)
        for task in running.tasks if running is not None else ():
            task.cancel()
        self.list_changed(name)
        await self._contact.forget(name)

    def _keys_from(self, cluster: str) -> Iterable[RecordKey]:
        """What we hold of the peer, and what it has said."""
        caches = self._caches
        keys = _keys_of(caches.records_from.get(cluster), caches.shards_from.get(cluster))
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


def _keys_of(records: Iterable[ImportedRecord], shards: Iterable[ImportedShard]) -> set[RecordKey]:
    return {_key_of(seen) for seen in records} | {_key_of(seen) for seen in shards}


def _key_of(seen: ImportedRecord | ImportedShard) -> RecordKey:
    spec = seen.spec
    return (spec.cluster, spec.namespace, spec.name, spec.shard if isinstance(spec, Shard) else "")
