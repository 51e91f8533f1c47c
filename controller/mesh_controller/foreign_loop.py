"""Signed texts of other clustersets, which peers with a root of their own pass on; run by every replica.

Each is believed for its one peer (`mesh_core.foreign`), and kept in MeshPeer.status.clusterset, from where
all components of this cluster go by it.
"""

from mesh_controller.act import Writer
from mesh_controller.caches import Caches
from mesh_core.foreign import agreement, foreign_texts, plan_foreign_texts
from mesh_core.identity import InvalidName, domain
from mesh_core.objects import MeshPeer
from mesh_core.peer_wire import Trust
from mesh_core.trust_exchange import unseen
from mesh_core.trust_statement import BadTrust, Held, newer_of
from mesh_runtime.log import logger
from mesh_runtime.trust_signing import accepted_revocations, accepted_statement
from mesh_runtime.work import WorkQueue, work

_log = logger(__name__)


class ForeignLoop:
    """Takes texts, and writes them; make it before the caches run."""

    def __init__(self, *, caches: Caches, writer: Writer) -> None:
        self._caches = caches
        self._writer = writer
        self._taken: dict[str, tuple[str, Held]] = {}
        self._queue: WorkQueue[str] = WorkQueue()

    def held(self, cluster: str) -> Held:
        """What is known of the clusterset of this peer, written or not."""
        peer = self._caches.peers.get(cluster)
        return self._newest(peer) if peer is not None else Held()

    def take(self, offered: Trust, *, sender: str) -> Held:
        """Judge what `sender` passes on of its own clusterset; what was taken of it."""
        peer = self._caches.peers.get(sender)
        if peer is None or peer.spec.trust is None:
            return Held()
        before = self._newest(peer)
        try:
            taken = _judged(offered, peer=peer, held=before)
        except (BadTrust, InvalidName) as error:
            _log.warning("a text of another clusterset is refused", peer=sender, why=str(error))
            return Held()
        if taken != Held():
            self._taken[sender] = (_agreed(peer), newer_of(before, taken))
            self._queue.add(sender)
            _log.info(
                "another clusterset has newer trust",
                peer=sender,
                generation=taken.generation,
                revision=taken.revision,
            )
        return taken

    async def run(self) -> None:
        """Write, for ever."""
        await work(self._queue, self._keep, name="foreign trust")

    def _newest(self, peer: MeshPeer) -> Held:
        agreed, taken = self._taken.get(peer.metadata.name, ("", Held()))
        # Under another agreement it is another clusterset.
        return newer_of(foreign_texts(peer), taken) if agreed == _agreed(peer) else foreign_texts(peer)

    async def _keep(self, name: str) -> float | None:
        peer = self._caches.peers.get(name)
        if peer is not None:
            await self._writer.write(plan_foreign_texts(peer, held=self._newest(peer)))
        return None


def _agreed(peer: MeshPeer) -> str:
    return agreement(peer.spec.trust) if peer.spec.trust is not None else "none"


def _judged(offered: Trust, *, peer: MeshPeer, held: Held) -> Held:
    """What of a message is newer than `held`, checked; raises BadTrust."""
    stated = peer.spec.trust
    assert stated is not None, "only a peer with a root of its own has texts of its own"
    fresh, taken = unseen(offered, held=held), Held()
    if fresh.statement is not None:
        statement = accepted_statement(
            fresh.statement, held=held, domain=domain(stated.domain), roots=stated.roots
        )
        taken = Held(statement=statement, signed_statement=fresh.statement)
    if fresh.revocations is not None:
        known = newer_of(held, taken)
        revocations = accepted_revocations(fresh.revocations, held=known)
        revoked = Held(revocations=revocations, signed_revocations=fresh.revocations)
        taken = newer_of(taken, revoked)
    return taken
