"""Looking: what the caches say about one name, as the values that decisions take.

What our own export comes to is kept until something that it was computed from changes: it is asked for by
the log for peers, by the conditions and by the import, at each change of anything.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager

from mesh_controller.caches import Caches, ServiceKey
from mesh_controller.endpoints import OwnEndpoints
from mesh_controller.replicas import Replicas
from mesh_core.chunks import Chunk
from mesh_core.export import ExportDecision, decide, is_exported
from mesh_core.export_record import Exporter
from mesh_core.import_policy import ImportPolicy, policy_for
from mesh_core.import_view import Gateways, ImportView, obstacle
from mesh_core.merge import counted
from mesh_core.names import (
    GATEWAY,
    PROPERTY_NETWORK,
    PROPERTY_ZONE_SCOPE,
    SYSTEM_NAMESPACE,
    shadow_service_name,
)
from mesh_core.objects import Service
from mesh_core.ports import ClaimTable, PortTarget
from mesh_core.reach import Reach, reach_of
from mesh_core.record import ExportRecord, Shard


class Look:
    """The views of this cluster, whose id is `cluster`; make it before the caches run.

    `admitted` gives the times (RFC 3339) at which the signed roster let each cluster in.
    """

    def __init__(
        self, caches: Caches, *, cluster: str, admitted: Callable[[], Mapping[str, str]] = dict
    ) -> None:
        self._caches = caches
        self._admitted = admitted
        self._endpoints = OwnEndpoints(caches, cluster=cluster)
        self.replicas = Replicas(caches)
        self._policies: dict[str, tuple[tuple[str, str], ImportPolicy]] = {}
        self._promised: dict[str, str] = {}
        self._decided: dict[ServiceKey, ExportDecision | None] = {}
        self._reach: Reach | None = None
        self.cluster = cluster
        caches.feed_conditions(_Forgetting(self._decided))
        caches.properties.on_change(self._decided.clear)
        for cache in (caches.properties, caches.peers, caches.slices):
            cache.on_change(self._forget_reach)
        self.replicas.on_change(self._forget_reach)

    def own_export(self, key: ServiceKey) -> ExportDecision | None:
        """What our own ServiceExport of this name comes to; None when there is none."""
        if key not in self._decided:
            self._decided[key] = self._decide(key)
        return self._decided[key]

    def own_shards(self, key: ServiceKey) -> tuple[Shard, ...]:
        """The endpoints of our own export as peers are told of them; none when it is not exported.

        A cluster that shares its network with nobody tells them of headless Services only: of others the
        record says enough.
        """
        decision = self.own_export(key)
        record = decision.record if decision is not None else None
        if record is None or (record.type == "ClusterSetIP" and not self.network):
            return ()
        return self._endpoints.shards(key)

    @property
    def network(self) -> str:
        """The network that this cluster shares with others, "" for none."""
        return self._property(PROPERTY_NETWORK)

    def _property(self, name: str) -> str:
        found = self._caches.properties.get(name)
        return found.spec.value if found is not None else ""

    def _decide(self, key: ServiceKey) -> ExportDecision | None:
        namespace, name = key
        export = self._caches.exports.get(name, namespace=namespace)
        if export is None or not is_exported(export):
            return None
        return decide(
            export,
            service=self._caches.services.get(name, namespace=namespace),
            chunks=self._endpoints.of(key),
            exporter=Exporter(cluster=self.cluster, zone_scope=self._property(PROPERTY_ZONE_SCOPE)),
            obstacle=self.obstacle(key),
        )

    def obstacle(self, key: ServiceKey) -> str:
        """Somebody's own object in the place of ours, as a sentence; "" when there is none."""
        namespace, name = key
        seen = self._caches.imports.get(name, namespace=namespace)
        return obstacle(service_import=seen, shadow=self._shadow(key))

    def records(self, key: ServiceKey) -> tuple[ExportRecord, ...]:
        """The records of this name, as they count: those of peers, and our own."""
        theirs = (seen.spec for seen in self._caches.records_of.get(key))
        foreign = tuple(record for record in theirs if record.cluster != self.cluster)
        decision = self.own_export(key)
        own = decision.record if decision is not None else None
        records, admitted = (foreign if own is None else (*foreign, own)), self._admitted()
        if not admitted:
            return records
        return tuple(counted(one, admitted=admitted.get(one.cluster, "")) for one in records)

    def import_view(
        self,
        key: ServiceKey,
        *,
        ports: Mapping[PortTarget, int],
        claims: ClaimTable,
        reuse_ips: bool,
        settled: bool = True,
    ) -> ImportView:
        """Everything that decides the import; `ports` are the egress ports held."""
        namespace, name = key
        slices = tuple(self._caches.slices_of_import.get(key))
        records = self.records(key)
        peers = [record.cluster for record in records if record.cluster != self.cluster]
        return ImportView(
            cluster=self.cluster,
            namespace=namespace,
            name=name,
            home=self._caches.namespaces.get(namespace),
            records=records,
            chunks=self._own_chunks(key),
            shards=self._shards(key, peers=peers),
            service_import=self._caches.imports.get(name, namespace=namespace),
            shadow=self._shadow(key),
            own_service=self._own_service(key),
            slices=slices,
            stand_ins=tuple(self._caches.stand_ins_of.get(key)),
            room={peer: self._room(peer) for peer in peers},
            neighbours=frozenset(peer for peer in peers if self.is_neighbour(peer)),
            withdrawn=self.reach.withdrawn.intersection(peers),
            gateways=self.gateways(),
            ports=ports,
            contested=frozenset(
                port.port
                for piece in slices
                for port in piece.ports or ()
                if port.port is not None and _is_contested(port.port, key=key, claims=claims)
            ),
            reuse_ips=reuse_ips,
            settled=settled,
            shares={peer: self._share(peer) for peer in peers},
        )

    def is_neighbour(self, cluster: str) -> bool:
        """Whether a peer is on our network."""
        peer = self._caches.peers.get(cluster)
        return peer is not None and bool(self.network) and peer.spec.network == self.network

    @property
    def reach(self) -> Reach:
        """How the peers are reached, by what the local gateways say."""
        if self._reach is None:
            peers = self._caches.peers.values()
            self._reach = reach_of(peers, gateways=self.gateways(), network=self.network)
        return self._reach

    def _forget_reach(self) -> None:
        self._reach = None

    def gateways(self) -> Gateways:
        """Addresses of the ready local gateways, without those that are silent."""
        found: dict[str, set[str]] = {"IPv4": set(), "IPv6": set()}
        for piece in self._caches.slices_of_service.get((SYSTEM_NAMESPACE, GATEWAY)):
            found.get(piece.address_type, set()).update(
                endpoint.addresses[0]
                for endpoint in piece.endpoints or ()
                if endpoint.is_ready and endpoint.addresses
            )
        ready = Gateways(ipv4=tuple(sorted(found["IPv4"])), ipv6=tuple(sorted(found["IPv6"])))
        return self.replicas.heard(ready)

    def gateway_pods(self) -> frozenset[str]:
        """Addresses of all local gateways, ready or not."""
        pieces = self._caches.slices_of_service.get((SYSTEM_NAMESPACE, GATEWAY))
        return frozenset(a for piece in pieces for one in piece.endpoints or () for a in one.addresses)

    def _own_chunks(self, key: ServiceKey) -> tuple[Chunk, ...]:
        decision = self.own_export(key)
        return self._endpoints.of(key) if decision is not None and decision.record is not None else ()

    def _own_service(self, key: ServiceKey) -> Service | None:
        decision = self.own_export(key)
        if decision is None or decision.record is None:
            return None
        namespace, name = key
        return self._caches.services.get(name, namespace=namespace)

    def _shards(self, key: ServiceKey, *, peers: Collection[str]) -> tuple[Shard, ...]:
        """What is known of the endpoints in other clusters, as far as it may be used.

        A neighbour's addresses must be its own, also those that were stored when they were mere names. Of
        others no more endpoints count than may have stand-ins, however many a peer tells of.
        """
        left = {peer: self._most_stand_ins(peer) for peer in peers}
        found: list[Shard] = []
        for seen in self._caches.shards_of.get(key):
            shard = seen.spec
            if shard.cluster not in left:
                continue
            if self.is_neighbour(shard.cluster):
                if not self._policy(shard.cluster).refusal(shard):
                    found.append(shard)
            elif left[shard.cluster] > 0:
                left[shard.cluster] -= len(shard.endpoints)
                found.append(shard)
        return tuple(found)

    def _policy(self, cluster: str) -> ImportPolicy:
        """What is taken of a peer, kept as long as its MeshPeer and our network stay."""
        peer = self._caches.peers.get(cluster)
        stated = (peer.metadata.resource_version if peer is not None else "", self.network)
        known = self._policies.get(cluster)
        if known is None or known[0] != stated:
            policy = (
                policy_for(peer, cluster=self.cluster, network=self.network)
                if peer is not None
                else ImportPolicy(peer=cluster)
            )
            known = self._policies[cluster] = stated, policy
        return known[1]

    def _most_stand_ins(self, cluster: str) -> int:
        peer = self._caches.peers.get(cluster)
        return peer.spec.imports.limits.stand_ins if peer is not None else 0

    @contextmanager
    def promising(self, stand_ins: Mapping[str, str]) -> Iterator[None]:
        """These stand-ins, by name with their clusters, are being made and take room unseen."""
        self._promised.update(stand_ins)
        try:
            yield
        except BaseException:
            # Nobody knows which of them were made (a time-out cancels); those will be seen.
            for name in stand_ins:
                self._promised.pop(name, None)
            raise

    def _room(self, cluster: str) -> int:
        for name in [n for n in self._promised if self._caches.services.get(n, namespace=SYSTEM_NAMESPACE)]:
            del self._promised[name]
        promised = sum(1 for peer in self._promised.values() if peer == cluster)
        taken = self._caches.stand_ins_from.count(cluster) + promised
        return self._most_stand_ins(cluster) - taken

    def _share(self, cluster: str) -> int:
        peer = self._caches.peers.get(cluster)
        return peer.spec.imports.limits.weight_share if peer is not None else 100

    def _shadow(self, key: ServiceKey) -> Service | None:
        namespace, name = key
        shadow = shadow_service_name(namespace=namespace, name=name)
        return self._caches.services.get(shadow, namespace=namespace)


class _Forgetting:
    """A queue that forgets: what was decided about a key holds no more."""

    def __init__(self, decided: dict[ServiceKey, ExportDecision | None]) -> None:
        self._decided = decided

    def add(self, key: ServiceKey) -> None:
        """Something about `key` has changed."""
        self._decided.pop(key, None)


def _is_contested(port: int, *, key: ServiceKey, claims: ClaimTable) -> bool:
    """Whether another import claims the port too."""
    return any((target.namespace, target.service) != key for target in claims.claimants(port))
