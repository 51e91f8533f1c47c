"""The controller of one member, put together: caches, what every replica does, and what the leader does.

1. Every replica watches, keeps the log of our exports and serves it to peers. Only the leader writes
   imports, conditions and records, dials peers and signs.
2. It is ready when its caches are complete, our exports are in the log and, if it leads, every name was
   worked once. Peers and trust never gate readiness: a cluster alone is a working cluster.
3. It is bound to the identity that it began with. Another cluster id or domain is another controller.
"""

import asyncio
import socket
from collections.abc import Mapping
from dataclasses import dataclass

from mesh_controller.act import Writer
from mesh_controller.caches import Caches
from mesh_controller.contact import Contact
from mesh_controller.event_teller import EventCounts, EventTeller
from mesh_controller.event_watch import EventWatch
from mesh_controller.export_loop import ExportLoop
from mesh_controller.greeting import Greeting
from mesh_controller.identity_watch import IdentityWatch
from mesh_controller.import_loop import ImportLoop
from mesh_controller.intermediate_loop import IntermediateLoop
from mesh_controller.intermediate_source import IntermediateSource
from mesh_controller.leaf_signer import LeafSigner
from mesh_controller.leaving_watch import LeavingWatch
from mesh_controller.look import Look
from mesh_controller.metrics_page import Readings, read_exports, read_peers
from mesh_controller.own_records import OwnRecords
from mesh_controller.peer_server import PeerServer
from mesh_controller.peers_loop import PeersLoop
from mesh_controller.port_book import PortBook
from mesh_controller.reach_loop import ReachLoop
from mesh_controller.settled import SettledWatch
from mesh_controller.trust_loop import TextsReader, TrustLoop
from mesh_controller.unexports_watch import UnexportsWatch
from mesh_core.errors import EnvironmentFault
from mesh_core.identity import ClusterId
from mesh_core.import_view import is_ours
from mesh_core.lifetimes import Window
from mesh_core.membership import Membership
from mesh_core.names import CONTROLLER, SYSTEM_NAMESPACE
from mesh_core.trust import OPEN
from mesh_core.trust import Trust as Rules
from mesh_runtime.again import BeginsAnew
from mesh_runtime.clock import Clock, utc_now
from mesh_runtime.kube import KubeClient, LeaderElection
from mesh_runtime.pki import window_in


class IdentityChanged(EnvironmentFault, BeginsAnew):
    """This cluster is somebody else now; everything here was for who it was."""


@dataclass(frozen=True, slots=True)
class Trust:
    """Where membership and certificates come from."""

    membership: TextsReader
    source: IntermediateSource


class Controller:
    """The controller of the member `membership` says; `name` tells replicas apart."""

    def __init__(
        self,
        kube: KubeClient,
        *,
        membership: Membership,
        trust: Trust,
        listener: socket.socket,
        name: str,
        clock: Clock = utc_now,
    ) -> None:
        self._kube = kube
        self._membership = membership
        self._trust = trust
        self._clock = clock
        self._caches = caches = Caches(kube)
        self._look = look = Look(caches, cluster=membership.cluster, admitted=self._admitted)
        self._book = PortBook(
            kube,
            caches=caches,
            cluster=membership.cluster,
            clock=clock,
            contested=lambda key: self._imports.loop.add(key),
        )
        writer = Writer(kube, rest=self._book.rest)
        self._own = OwnRecords(caches=caches, look=look)
        self._settled = SettledWatch(caches, replicas=look.replicas, standing=trust.source)
        greeting = Greeting(
            caches,
            cluster=membership.cluster,
            held=lambda: trust.membership.held,
            settled=self._settled.now,
        )
        self._settled.on_change(greeting.trust_changed)
        self._identities = IdentityWatch(caches, writer=writer, clock=clock, named=lambda: self._rules.uids)
        self._texts = TrustLoop(caches=caches, membership=trust.membership, writer=writer, clock=clock)
        self._leaving = LeavingWatch(caches, writer=writer, clock=clock)
        self._unexports = UnexportsWatch(caches, records=self._own, writer=writer)
        self._server = self._peer_server(listener, greeting=greeting)
        self._exports = ExportLoop(caches=caches, look=look, writer=writer, clock=clock)
        self._imports = ImportLoop(caches=caches, look=look, writer=writer, book=self._book, clock=clock)
        self._peers = PeersLoop(
            kube,
            caches=caches,
            writer=writer,
            contact=Contact(kube, holder=name),
            trust=trust.source,
            texts=self._texts,
            pending=lambda: trust.source.state.message,
            greeting=greeting,
            identities=self._identities,
            clock=clock,
        )
        self._event_counts = EventCounts()
        teller = EventTeller(kube, instance=name, clock=clock, counts=self._event_counts)
        self._events = EventWatch(caches=caches, teller=teller, ours=self._own_window, clock=clock)
        self._reach = ReachLoop(caches=caches, look=look, writer=writer, clock=clock)
        self._election = LeaderElection(kube, namespace=SYSTEM_NAMESPACE, name=CONTROLLER, identity=name)

    def _peer_server(self, listener: socket.socket, *, greeting: Greeting) -> PeerServer:
        return PeerServer(
            listener,
            records=self._own,
            greeting=greeting,
            identities=self._identities,
            trust=self._texts,
            leaving=self._leaving,
            unexports=self._unexports,
        )

    def _own_window(self) -> Window | None:
        """When our intermediate is good; None while there is none."""
        authority = self._trust.source.authority
        return window_in(authority.certificate) if authority is not None else None

    @property
    def cluster(self) -> ClusterId:
        """Our own id."""
        return self._membership.cluster

    @property
    def is_ready(self) -> bool:
        """Law 2."""
        worked = self._imports.loop.first_pass.is_set() and self._exports.loop.first_pass.is_set()
        return self._caches.is_synced and self._own.filled.is_set() and (worked or not self._election.leading)

    def readings(self) -> Readings:
        """What its page of metrics shows."""
        caches, authority = self._caches, self._trust.source.authority
        loops = (self._exports.loop, self._imports.loop, self._reach.loop)
        return Readings(
            ready=self.is_ready,
            member=True,
            leading=self._election.leading,
            api_age=caches.api_age(now=asyncio.get_running_loop().time()),
            exports=read_exports(caches.exports.values()),
            imports=sum(is_ours(one) for one in caches.imports.values()),
            peers=read_peers(caches.peers.values()),
            loops={loop.name: loop.reading() for loop in loops},
            intermediate_not_after=(
                authority.certificate.not_valid_after_utc.timestamp() if authority is not None else None
            ),
            now=self._clock().timestamp(),
            events=self._event_counts,
        )

    async def run(self) -> None:
        """Work until cancelled; raises IdentityChanged."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._caches.run())
            group.create_task(self._own.run())
            group.create_task(self._server.run(self._trust.source))
            group.create_task(self._identities.run())
            group.create_task(self._texts.run())
            group.create_task(self._leaving.run())
            group.create_task(self._unexports.run())
            group.create_task(self._watch_identity())
            group.create_task(self._settled.run())
            await self._caches.until_synced()
            group.create_task(self._election.run(self._lead))

    async def _lead(self) -> None:
        source, membership, look = self._trust.source, self._trust.membership, self._look
        await look.replicas.until_settled()
        async with asyncio.TaskGroup() as group:
            group.create_task(look.replicas.sweep(self._kube, pods=look.gateway_pods))
            group.create_task(self._events.run())
            group.create_task(self._exports.loop.run())
            group.create_task(self._imports.loop.run())
            group.create_task(self._peers.run())
            group.create_task(self._reach.loop.run())
            intermediate = IntermediateLoop(
                self._kube, source=source, membership=membership, clock=self._clock
            )
            group.create_task(intermediate.run())
            signer = LeafSigner(self._kube, source=source, membership=membership, clock=self._clock)
            group.create_task(signer.run())

    async def _watch_identity(self) -> None:
        seen: Membership | None = self._membership
        while True:
            admitted = self._admitted()
            seen = await self._trust.membership.after(seen)
            ours = self._membership
            if seen is None or (seen.cluster, seen.pool, seen.domain) != (
                ours.cluster,
                ours.pool,
                ours.domain,
            ):
                raise IdentityChanged(
                    f"this cluster is no longer {ours.cluster} of {ours.domain}",
                    next_step="nothing: the controller starts again as who it is now",
                )
            if admitted != self._admitted():
                # Which export is the oldest may have changed, everywhere.
                for key in self._caches.names():
                    self._imports.loop.add(key)
                    self._exports.loop.add(key)

    @property
    def _rules(self) -> Rules:
        current = self._trust.membership.current
        return current.trust if current is not None else OPEN

    def _admitted(self) -> Mapping[str, str]:
        return self._rules.admitted
