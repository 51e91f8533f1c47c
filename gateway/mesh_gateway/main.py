"""One gateway put together with what it watches and writes, until it is told to stop."""

import asyncio
import os
from collections.abc import Coroutine
from dataclasses import dataclass

from mesh_core.identity import Component
from mesh_core.path_report import Finding
from mesh_core.replicas import replica_id
from mesh_gateway.access_log import AccessLog
from mesh_gateway.contexts import ContextKeeper
from mesh_gateway.debug import debug_server
from mesh_gateway.gateway import Gateway, Surroundings
from mesh_gateway.greeting import Greeting
from mesh_gateway.heap import keep_objects
from mesh_gateway.last_good import LastGood
from mesh_gateway.leaving import is_listed
from mesh_gateway.metrics import GatewayMetrics
from mesh_gateway.metrics_page import metrics_page
from mesh_gateway.probe_knock import knock
from mesh_gateway.probe_report import Reporter
from mesh_gateway.prober import Prober
from mesh_gateway.probing import probe
from mesh_gateway.replica_lease import ReplicaLease
from mesh_gateway.route import Address
from mesh_gateway.seen import readings_of, tunnels_of
from mesh_gateway.service_probing import ServiceProbing
from mesh_gateway.service_try import ServiceTrier
from mesh_gateway.settings import Settings, own_api_server
from mesh_gateway.siblings import Siblings
from mesh_gateway.watch import Bounds, Watches
from mesh_runtime.clock import utc_now
from mesh_runtime.health import health_server
from mesh_runtime.kube import KubeClient, connect
from mesh_runtime.leaf import LeafSource
from mesh_runtime.leaf_request import RequestedLeaf
from mesh_runtime.lifeline import Place, hold
from mesh_runtime.membership import MembershipSource
from mesh_runtime.signals import stop_at_signal


@dataclass(frozen=True, slots=True)
class _Parts:
    """What runs beside a gateway; `place` is that of one worker of several, None when it is alone."""

    gateway: Gateway
    place: Place | None
    membership: MembershipSource
    leaf: LeafSource
    watches: Watches
    objects: LastGood
    siblings: Siblings
    lease: ReplicaLease
    prober: Prober
    reporter: Reporter
    probing: ServiceProbing
    metrics: GatewayMetrics

    @property
    def does_all(self) -> bool:
        """Whether this process does what a gateway does once: it probes, reports, and keeps the snapshot."""
        return self.place is None or self.place.number == 0

    def is_ready(self) -> bool:
        """Whether connections may come; routes of a snapshot may have been overtaken long ago."""
        return self.gateway.is_ready and self.objects.alive.is_set()

    def changed(self) -> None:
        """The caches may hold something new."""
        self.objects.changed()
        self.gateway.changed()
        self.prober.changed()

    async def page(self) -> bytes:
        """The metrics."""
        readings = readings_of(self.gateway)
        return await asyncio.to_thread(metrics_page, self.metrics.numbers, readings=readings)


async def run(door: Address, *, settings: Settings, place: Place | None = None) -> None:
    """The gateway at `door`, until SIGTERM or SIGINT; `place` is that of one worker of several."""
    stop = stop_at_signal()
    async with connect() as kube, asyncio.TaskGroup() as group:
        parts = _parts(kube, door=door, settings=settings, place=place)
        work: list[Coroutine[None, None, None]] = [
            parts.membership.run(),
            parts.leaf.run(),
            parts.watches.run(changed=parts.changed),
            parts.siblings.run(),
        ]
        if parts.does_all:
            work += [
                parts.objects.run(),
                probe(parts.prober, reporter=parts.reporter, stop=stop),
                parts.probing.run(),
            ]
        background = [group.create_task(one) for one in work]
        async with (
            health_server(
                settings.health_port if place is None else 0,
                ready=parts.is_ready,
                metrics=parts.page,
                loopback=place is not None,
            ) as health,
            debug_server(
                settings.debug_port + (place.number if place is not None and settings.debug_port else 0),
                table=lambda: parts.gateway.table,
                tunnels=lambda: tunnels_of(parts.gateway),
            ),
        ):
            if place is None:
                parts.gateway.changed()  # what the snapshot says is listened to at once
                may_serve = True
            else:
                background.append(group.create_task(hold(place, ready=parts.is_ready, port=health.port)))
                # Who listens gets its share of the connections, whether it can serve them or not.
                may_serve = await _came(parts.leaf, objects=parts.objects, stop=stop)
            if may_serve:
                background.append(group.create_task(parts.lease.keep(stop)))
                await parts.gateway.run(stop=stop)
        for task in background:
            task.cancel()


def _parts(kube: KubeClient, *, door: Address, settings: Settings, place: Place | None) -> _Parts:
    number = place.number if place is not None else 0
    membership = MembershipSource(kube)
    leaf = LeafSource(RequestedLeaf(kube), component=Component.GATEWAY, membership=membership)
    standing = ContextKeeper(leaf)
    watches = Watches(kube, membership=membership, bounds=_bounds(settings))
    objects = LastGood(watches.objects, folder=settings.snapshot)
    reporter = Reporter(kube, address=door.host, peers=watches.peers, clock=utc_now)
    found = reporter.found if number == 0 else _nobody_hears
    greeting = Greeting(lambda: standing.current, limits=settings.limits)
    prober = Prober(door.host, surroundings=watches, greet=greeting, knock=knock, found=found)
    replica = replica_id(door.host, worker=number)
    siblings = Siblings(kube, own=replica)
    metrics = GatewayMetrics()
    around = Surroundings(
        leaf=leaf,
        look=objects.look,
        sources=watches.sources,
        replica=replica,
        siblings=siblings.alive,
        prober=prober,
        problem=reporter.problem,
        measured=reporter.measured,
        metrics=metrics,
        access=AccessLog(settings.access_log),
        listed=lambda: is_listed(watches.slices(), address=door.host),
        reuse_port=place is not None,
        settled=keep_objects,
        replaced=lambda table: watches.sources.judged(table.judged),
    )
    gateway = Gateway(door, place=around, limits=settings.limits)
    siblings.on_change(gateway.siblings_changed)
    trier = ServiceTrier(
        door.host,
        table=lambda: gateway.table,
        tunnels=gateway.tunnels,
        opener=gateway.opener,
        services=watches,
        knock=knock,
    )
    return _Parts(
        gateway=gateway,
        place=place,
        membership=membership,
        leaf=leaf,
        watches=watches,
        objects=objects,
        siblings=siblings,
        lease=ReplicaLease(kube, replica=replica, settled=lambda: gateway.settled, clock=utc_now),
        prober=prober,
        reporter=reporter,
        probing=ServiceProbing(
            kube,
            address=door.host,
            trying=trier.outcome,
            is_ready=lambda: gateway.is_ready,
            clock=utc_now,
        ),
        metrics=metrics,
    )


async def _came(leaf: LeafSource, *, objects: LastGood, stop: asyncio.Event) -> bool:
    """True as soon as there is a certificate and something to route; False when `stop` is set before."""

    async def both() -> None:
        await leaf.after(None)
        await objects.alive.wait()

    waits = [asyncio.create_task(both()), asyncio.create_task(stop.wait())]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
    return not stop.is_set()


def _bounds(settings: Settings) -> Bounds:
    """What kubelet says of the API server counts too: it may be another address than its Service's."""
    host = os.environ.get("KUBERNETES_SERVICE_HOST", "")
    return Bounds(
        external=settings.external,
        reserved=(host,) if host else (),
        api_server=own_api_server(os.environ),
    )


def _nobody_hears(_cluster: str, _finding: Finding) -> None:
    """Another worker tells the controller."""
