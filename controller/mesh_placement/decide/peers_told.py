"""Which peers are told that a cluster leaves the mesh, and what of it nobody but people can take away.

1. A peer is told in its own ClusterLink, once, while it has a row about the cluster; its agent decides
   (`decide.peer_parting`).
2. An entry goes when the peer has no such row any more and another one is written, and when a cluster of that
   name registers again.
3. Who has left still has a key on the mesh's roster: refusing it takes the root's or a revoker's key.
"""

from collections.abc import Iterable
from typing import Final

from mesh_placement.decide.leaving_facts import LeaveFacts, TellPeer
from mesh_placement.objects import ClusterLink, LeavingPeer

MOST: Final = 64
"""Entries of one ClusterLink; the newest stay."""
RESIDUE: Final = "Residue"
"""Condition of a leaving agent's report: what stays in the member."""


def peers_to_tell(facts: LeaveFacts) -> tuple[TellPeer, ...]:
    """What is to be written, by the cluster that is told; nothing where the member stays in the mesh."""
    own = facts.registration.metadata.name
    since = facts.registration.metadata.deletion_timestamp
    if not facts.has_mesh or not since:
        return ()
    said = LeavingPeer(cluster=own, since=since)
    return tuple(
        TellPeer(namespace=link.metadata.namespace, leaving=_with(link, said))
        for cluster, link in sorted((facts.links or {}).items())
        if cluster != own and _knows(link, own) and said not in link.spec.leaving
    )


def without(link: ClusterLink, *, cluster: str) -> tuple[LeavingPeer, ...]:
    """What a ClusterLink says of others than `cluster`."""
    return tuple(one for one in link.spec.leaving if one.cluster != cluster)


def mesh_residue(facts: LeaveFacts) -> tuple[str, ...]:
    """What of the cluster stays in the mesh: the command that takes it away, first, and what it is."""
    if not facts.has_mesh:
        return ()
    own, agent = facts.registration.metadata.name, facts.registration.status.agent
    holders = sorted(name for name, link in (facts.links or {}).items() if name != own and _knows(link, own))
    found = (
        [f"meshctl peer remove {own}: its MeshPeer is still in {', '.join(holders[:5])}"] if holders else []
    )
    if agent.trust_domain:
        found.append(f"meshctl trust evict {own}: its key is on the roster of {agent.trust_domain}")
    found += [one.message for one in agent.conditions if one.type == RESIDUE and one.status == "True"]
    return tuple(found)


def _with(link: ClusterLink, said: LeavingPeer) -> tuple[LeavingPeer, ...]:
    kept = [one for one in without(link, cluster=said.cluster) if _knows(link, one.cluster)]
    return _newest([*kept, said])


def _newest(entries: Iterable[LeavingPeer]) -> tuple[LeavingPeer, ...]:
    by_age = sorted(entries, key=lambda one: (one.since, one.cluster))
    return tuple(sorted(by_age[-MOST:], key=lambda one: one.cluster))


def _knows(link: ClusterLink, cluster: str) -> bool:
    return any(row.cluster == cluster for row in link.status.peers)
