"""This cluster's membership, kept current from its two objects, each watched by its one name.

Which peers have roots of their own is read from their MeshPeers. By which key a root is known is computed
here, from the certificates: what the objects say of it is not what OpenSSL goes by.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

from mesh_core.foreign import foreign_texts
from mesh_core.identity import InvalidName, domain
from mesh_core.membership import Membership, NotAMember, membership_of
from mesh_core.names import PROPERTY_CLUSTER_ID, TRUST_BUNDLE
from mesh_core.objects import MeshPeer, PeerClusterset
from mesh_core.trust import ForeignTrust, Pin, trust_of
from mesh_core.trust_statement import Held, held_by, newer_of
from mesh_runtime.kube import CLUSTER_PROPERTIES, MESH_PEERS, TRUST_BUNDLES, Informer, KubeClient
from mesh_runtime.latest import Latest
from mesh_runtime.log import logger
from mesh_runtime.trust_signing import keys_of, sound_roots

_log = logger(__name__)

_NOBODYS = domain("nobody.invalid")


class MembershipReader(Protocol):
    """Somewhere to read the membership."""

    @property
    def current(self) -> Membership | None:
        """The membership; None while there is none."""

    @property
    def why_not(self) -> str:
        """While `current` is None: the reason, as a sentence for a person."""

    async def after(self, seen: Membership | None) -> Membership | None:
        """The membership, as soon as it is not `seen`."""


class MembershipSource:
    """Who we are and whom we trust, as the objects say; run it in a task group.

    An API server that is away changes nothing (law 1 of `kube.informer`): only objects that are really
    gone or unreadable end a membership. A bundle that goes back in number, as after a restore of the
    cluster's store, changes nothing either: what was once refused stays so while this process lives.
    """

    def __init__(self, kube: KubeClient) -> None:
        self._name = Informer(kube, CLUSTER_PROPERTIES, fields=f"metadata.name={PROPERTY_CLUSTER_ID}")
        self._bundle = Informer(kube, TRUST_BUNDLES, fields=f"metadata.name={TRUST_BUNDLE}")
        self._peers = Informer(kube, MESH_PEERS)
        self._latest: Latest[Membership] = Latest()
        self._why = "the API server was not asked yet"
        self._held = Held()
        self._texts: Latest[Held] = Latest()

    @property
    def held(self) -> Held:
        """The newest signed texts that were seen."""
        return self._held

    async def held_after(self, seen: Held) -> Held:
        """The newest signed texts, as soon as they are not `seen`."""
        found = await self._texts.after(seen if self._texts.value is not None else None)
        return found if found is not None else Held()

    @property
    def current(self) -> Membership | None:
        """The membership; None while the cluster has none or the API server was not heard yet."""
        return self._latest.value

    @property
    def why_not(self) -> str:
        """While `current` is None: the reason, as a sentence for a person."""
        return self._why

    async def after(self, seen: Membership | None) -> Membership | None:
        """The membership, as soon as it is not `seen`."""
        return await self._latest.after(seen)

    async def run(self) -> None:
        """Watch, for ever."""
        self._name.on_change(self._look)
        self._bundle.on_change(self._look)
        self._peers.on_change(self._look)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._name.run())
            group.create_task(self._bundle.run())
            group.create_task(self._peers.run())
            await self._name.synced.wait()
            await self._bundle.synced.wait()
            await self._peers.synced.wait()
            # An empty list is no change, yet it is an answer.
            self._look()

    def _look(self) -> None:
        # Without the peers somebody below our own root could be one that has a root of its own.
        if not all(informer.synced.is_set() for informer in (self._name, self._bundle, self._peers)):
            return
        bundle = self._bundle.get(TRUST_BUNDLE)
        if bundle is None or (self._held.statement or bundle.spec).domain != bundle.spec.domain:
            # A cluster that left, or is of another clusterset now, begins anew.
            self._held = Held()
        self._held = newer_of(held_by(bundle), self._held)
        self._texts.publish(self._held)
        found = membership_of(self._name.get(PROPERTY_CLUSTER_ID), bundle, held=self._held)
        match found:
            case Membership():
                found = beside_others(found, peers=tuple(self._peers.values()))
                if found != self.current:
                    _log.info(
                        "membership read",
                        cluster=found.cluster,
                        domain=found.domain,
                        generation=found.trust.generation,
                        revision=found.trust.revision,
                    )
                self._latest.publish(found)
            case NotAMember(why=why):
                if why != self._why:
                    _log.warning("this cluster is not a member", why=why)
                self._why = why
                self._latest.publish(None)


def beside_others(found: Membership, *, peers: Sequence[MeshPeer]) -> Membership:
    """The membership with the keys of its own roots, and with what this cluster's MeshPeers add to it.

    That is what was agreed of peers with roots of their own, and the keys that were pinned.
    """
    standing = (peer for peer in peers if peer.metadata.deletion_timestamp is None)
    trust = replace(
        found.trust,
        roots=frozenset(keys_of(found.roots)),
        foreign={
            peer.metadata.name: _agreed(peer, stated=peer.spec.trust)
            for peer in standing
            # Nobody else is this very cluster, whatever a MeshPeer says.
            if peer.spec.trust is not None and peer.metadata.name != found.cluster
        },
        pins={peer.metadata.name: pin for peer in peers if (pin := _pin(peer)) != Pin()},
    )
    return replace(found, trust=trust)


def _pin(peer: MeshPeer) -> Pin:
    """What is stated outweighs what was met first."""
    return Pin(key=peer.spec.key or peer.status.key, pool=peer.spec.pool or None)


def _agreed(peer: MeshPeer, *, stated: PeerClusterset) -> ForeignTrust:
    held = foreign_texts(peer)
    statement = held.statement
    named = tuple(root.certificate for root in statement.roots) if statement is not None else stated.roots
    roots = sound_roots(named)
    keys = frozenset(keys_of(roots))
    pins = {peer.metadata.name: _pin(peer)}
    rules = replace(trust_of(held), roots=keys, pins=pins) if statement is not None else None
    try:
        return ForeignTrust(domain=domain(stated.domain), keys=keys, roots=roots, rules=rules)
    except InvalidName:
        # Not as if nothing had been said: then somebody below our own root could be this peer.
        return ForeignTrust(domain=_NOBODYS, keys=frozenset(), roots=())
