"""Deletes the MeshPeers of clusters that have left, when the hub names them (`decide.peer_parting`).

Nothing is watched in the member for it: MeshPeers are looked at while somebody is named, and not otherwise.
"""

from mesh_placement.agent.session import Session
from mesh_placement.decide.peer_parting import LOOK_AGAIN, peers_to_drop
from mesh_placement.names import LINKS
from mesh_runtime.kube import MESH_PEERS
from mesh_runtime.log import logger
from mesh_runtime.work import WorkQueue, work

_log = logger(__name__)


async def peers_part(session: Session) -> None:
    """The part of a session."""
    await PeersPart(session).run()


class PeersPart:
    """For the member of the session."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._queue: WorkQueue[str] = WorkQueue()
        session.links.on_change(self._wake)
        session.kinds.on_change(self._wake)

    async def run(self) -> None:
        """Watch and delete, for ever."""
        # A part that begins later than the watch of the session has missed what that brought.
        self._wake()
        await work(self._queue, self._look, name="peers that left")

    def _wake(self) -> None:
        self._queue.add(LINKS)

    async def _look(self, _name: str) -> float | None:
        link = self._session.link
        if link is None or not link.spec.leaving or not self._session.kinds.has(MESH_PEERS):
            return None
        member = self._session.member
        peers = (await member.list(MESH_PEERS)).items
        parting = peers_to_drop(link.spec.leaving, peers=peers, now=self._session.clock())
        for one in parting.drop:
            await member.delete(MESH_PEERS, one.metadata.name, uid=one.metadata.uid)
            _log.info("unlinked a cluster that has left", cluster=one.metadata.name)
        return LOOK_AGAIN if parting.is_waiting else None
