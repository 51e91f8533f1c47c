"""What this cluster says of itself on a stream: its hello, which clusters it is linked with, its trust."""

from collections.abc import Callable

from mesh_controller.caches import Caches
from mesh_core.names import PROPERTY_NETWORK
from mesh_core.peer_wire import (
    FEATURE_SHARDS,
    FEATURE_SIGNATURES,
    MOST_PEERS,
    PROTOCOL_VERSION,
    Hello,
    Mesh,
    TrustReport,
)
from mesh_core.trust_exchange import Settled, report_of
from mesh_core.trust_statement import Held
from mesh_runtime.latest import Latest


class Greeting:
    """The greeting of `cluster`; make it before the caches run, use it when they are complete.

    `held` gives the texts that are here, `settled` what all of this cluster goes by; whoever knows that it
    may have changed calls `trust_changed`.
    """

    def __init__(
        self,
        caches: Caches,
        *,
        cluster: str,
        held: Callable[[], Held],
        settled: Callable[[], Settled],
    ) -> None:
        self.cluster = cluster
        self.mesh: Latest[Mesh] = Latest()
        self.report: Latest[TrustReport] = Latest()
        self._caches = caches
        self._held = held
        self._settled = settled
        self._look()
        caches.peers.on_change(self._look)

    @property
    def network(self) -> str:
        """The network that this cluster shares with others, "" for one of its own."""
        found = self._caches.properties.get(PROPERTY_NETWORK)
        return found.spec.value if found is not None else ""

    @property
    def peers(self) -> frozenset[str]:
        """The clusters that there is a MeshPeer for."""
        return frozenset(
            peer.metadata.name
            for peer in self._caches.peers.values()
            if peer.metadata.deletion_timestamp is None and peer.metadata.name != self.cluster
        )

    def knows(self, peer: str) -> bool:
        """Whether there is a MeshPeer for it, and be it one that goes."""
        return self._caches.peers.get(peer) is not None

    def dial(self, peer: str) -> str:
        """Who dials whom, by our MeshPeer for `peer`; "" while there is none."""
        found = self._caches.peers.get(peer)
        return found.spec.dial if found is not None else ""

    def hello(self, peer: str) -> Hello:
        """The hello of this moment to `peer`."""
        system = self._caches.namespaces.get("kube-system")
        self.trust_changed()
        held = self._held()
        return Hello(
            version=PROTOCOL_VERSION,
            cluster=self.cluster,
            kube_system_uid=system.metadata.uid if system is not None else "",
            trust_generation=held.generation,
            trust_revision=held.revision,
            trust_root=self._settled().root,
            network=self.network,
            dial=self.dial(peer),
            features=(FEATURE_SHARDS, FEATURE_SIGNATURES),
        )

    def trust_changed(self) -> None:
        """What is settled may differ from what was said: standing streams are told."""
        self.report.publish(report_of(self._settled()))

    def _look(self) -> None:
        self.mesh.publish(Mesh(peers=tuple(sorted(self.peers)[:MOST_PEERS])))
