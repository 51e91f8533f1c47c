"""Gateways renew Leases and see one another by them; a silent one is left out of slices (rulings 6, 7)."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta

import pytest
from msgspec import structs

from mesh_controller.act import Writer
from mesh_controller.caches import Caches
from mesh_controller.import_loop import ImportLoop
from mesh_controller.look import Look
from mesh_controller.port_book import PortBook
from mesh_controller.replicas import Replicas
from mesh_controller.settled import SettledWatch
from mesh_core.names import GATEWAY, LABEL_REPLICA, LABEL_SERVICE_NAME, SYSTEM_NAMESPACE
from mesh_core.peer_view import Wanted
from mesh_core.record import RecordPort
from mesh_core.record_plan import plan_imported
from mesh_core.replicas import ABANDONED, lease_name
from mesh_core.signing import CONTROLLER_ACCOUNT
from mesh_fakes.clusterset import FakeClusterset, identity
from mesh_fakes.exports import record
from mesh_fakes.jumping_clock import JumpingClock
from mesh_fakes.members import GATEWAY_PODS, Member, new_member
from mesh_fakes.under_way import under_way
from mesh_fakes.waiting import until
from mesh_gateway.replica_lease import ReplicaLease
from mesh_gateway.siblings import Siblings
from mesh_runtime.kube import ENDPOINT_SLICES, LEASES, ApiError
from mesh_runtime.latest import Latest
from mesh_runtime.leaf import Standing
from mesh_runtime.tls import Credentials

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]

A, B = GATEWAY_PODS


def now() -> float:
    return asyncio.get_running_loop().time()


@dataclass(slots=True)
class Gateway:
    """One replica, as far as Leases go; `dies` is the loss of its node, `stops` an orderly end."""

    member: Member
    replica: str
    settled: int = 0
    siblings: Siblings = field(init=False)
    _stop: asyncio.Event = field(default_factory=asyncio.Event)
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        kube = self.member.api.client(f"gateway {self.replica}")
        lease = ReplicaLease(
            kube, replica=self.replica, settled=lambda: self.settled, clock=self.member.api.clock
        )
        self.siblings = Siblings(kube, own=self.replica)
        self._tasks = [
            asyncio.create_task(lease.keep(self._stop)),
            asyncio.create_task(self.siblings.run()),
        ]

    async def dies(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.wait(self._tasks)

    async def stops(self) -> None:
        self._stop.set()
        await self._tasks[0]
        await self.dies()


@asynccontextmanager
async def gateways(*replicas: str) -> AsyncIterator[tuple[Member, list[Gateway]]]:
    """East with these replicas, each of which sees all of them."""
    east = new_member("east", clusterset=FakeClusterset(), clock=JumpingClock(ago=timedelta(0)))
    found = [Gateway(east, replica) for replica in replicas]
    try:
        await until(lambda: all(one.siblings.alive() == tuple(sorted(replicas)) for one in found))
        yield east, found
    finally:
        for one in found:
            await one.dies()


def leases(member: Member) -> dict[str, str | None]:
    return {lease.metadata.name: lease.spec.holder_identity for lease in member.api.all(LEASES)}


def writes(member: Member, *, method: str, kind: str) -> int:
    return sum(kind in path and said == method for _user, said, path in member.api.requests)


async def test_each_replica_renews_a_lease_of_its_own_about_once_a_second() -> None:
    async with gateways(A, f"{A}/1") as (east, _both):
        assert leases(east) == {lease_name(A): A, lease_name(f"{A}/1"): f"{A}/1"}
        await asyncio.sleep(100)
        assert 160 <= writes(east, method="PATCH", kind="leases") <= 240
        assert writes(east, method="POST", kind="leases") == 2


async def test_a_sibling_that_dies_is_missed_within_five_seconds_and_one_that_stops_at_once() -> None:
    async with gateways(A, B, "10.1.0.10") as (east, (first, second, third)):
        cut = now()
        await second.dies()
        await until(lambda: first.siblings.alive() == ("10.1.0.10", A), limit=10)
        assert 1.7 <= now() - cut <= 5, "the last renewal was up to 1.2 s before"
        cut = now()
        await third.stops()
        await until(lambda: first.siblings.alive() == (A,))
        assert now() - cut < 0.1
        assert lease_name("10.1.0.10") not in leases(east)
        changed: list[float] = []
        first.siblings.on_change(lambda: changed.append(now()))
        again = Gateway(east, B)
        await until(lambda: first.siblings.alive() == (A, B))
        assert len(changed) == 1
        await again.dies()


async def test_while_the_api_server_is_away_everybody_counts_as_alive() -> None:
    async with gateways(A, B) as (east, both):
        for seconds in (2.0, 30.0, 600.0):
            east.api.stop()
            await asyncio.sleep(seconds)
            east.api.start()
            for _ in range(1000):
                assert all(one.siblings.alive() == (A, B) for one in both)
                await asyncio.sleep(0.05)


async def test_a_lease_that_somebody_deleted_comes_back_and_one_that_was_left_behind_is_taken_over() -> None:
    async with gateways(A, B) as (east, (first, second)):
        east.api.remove(LEASES, lease_name(A), namespace=SYSTEM_NAMESPACE)
        await until(lambda: lease_name(A) in leases(east), limit=5)
        await second.dies()
        await until(lambda: first.siblings.alive() == (A,), limit=10)
        again = Gateway(east, B)
        await until(lambda: first.siblings.alive() == (A, B), limit=5)
        await again.dies()


async def test_a_write_that_is_refused_is_tried_again_every_second() -> None:
    async with gateways(A, B) as (east, both):

        def refused(method: str, path: str) -> ApiError | None:
            if method == "PATCH" and lease_name(B) in path:
                return ApiError(status=429, reason="TooManyRequests", message="slow down")
            return None

        east.api.faults.append(refused)
        await until(lambda: both[0].siblings.alive() == (A,), limit=10)
        east.api.faults.clear()
        await until(lambda: both[0].siblings.alive() == (A, B), limit=5)


def imports(member: Member, *ready: int) -> None:
    """West exports demo/s0, demo/s1 and so on, with so many ready endpoints each."""
    for number, count in enumerate(ready):
        told = record("west", RecordPort(port=80, name="http", ready=count))
        named = structs.replace(told, name=f"s{number}")
        member.api.write(plan_imported(None, standing=Wanted(named)))


def listed(member: Member) -> set[tuple[str, ...]]:
    """The gateways that slices of west name, each set once."""
    pieces = [p for p in member.api.all(ENDPOINT_SLICES) if LABEL_SERVICE_NAME in p.metadata.labels]
    return {tuple(sorted(e.addresses[0] for e in piece.endpoints or ())) for piece in pieces}


@asynccontextmanager
async def controller(member: Member, *, count: int) -> AsyncIterator[Look]:
    """The leading controller's import loop, when it has made slices for `count` imports."""
    kube = member.api.client(CONTROLLER_ACCOUNT)
    caches = Caches(kube)
    look = Look(caches, cluster="east")
    clock = member.api.clock
    book = PortBook(
        kube, caches=caches, cluster="east", clock=clock, contested=lambda key: loop.loop.add(key)
    )
    writer = Writer(kube, rest=book.rest)
    loop = ImportLoop(caches=caches, look=look, writer=writer, book=book, clock=clock)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(under_way(caches.run()))
        await caches.until_synced()
        await look.replicas.until_settled()
        sweeping = look.replicas.sweep(kube, pods=look.gateway_pods)
        await stack.enter_async_context(under_way(loop.loop.run(), sweeping))

        def is_made() -> bool:
            pieces = member.api.all(ENDPOINT_SLICES)
            return sum(LABEL_SERVICE_NAME in piece.metadata.labels for piece in pieces) == count

        await until(is_made, limit=30)
        yield look


def patched(member: Member) -> Sequence[str]:
    """The imports whose slices were written, in order."""
    paths = [path for _user, method, path in member.api.requests if method == "PATCH"]
    return [path.split("/")[-1].partition(".")[0].partition("-")[0] for path in paths if "/demo/" in path]


async def test_a_silent_gateway_is_left_out_busiest_imports_first_and_comes_back() -> None:
    async with gateways(A, B) as (east, (_first, second)):
        imports(east, 1, 50, 3, 9)
        async with controller(east, count=4):
            assert listed(east) == {(A, B)}
            await asyncio.sleep(60)
            east.api.requests.clear()
            cut = now()
            await second.dies()
            await until(lambda: listed(east) == {(A,)}, limit=10)
            assert 1.7 <= now() - cut <= 5, "the last renewal was up to 1.2 s before"
            assert patched(east) == ["s1", "s3", "s2", "s0"], "one write an import"
            again = Gateway(east, B)
            await until(lambda: listed(east) == {(A, B)}, limit=5)
            await again.dies()


async def test_while_the_api_server_is_away_no_gateway_is_left_out() -> None:
    async with gateways(A, B) as (east, _both):
        imports(east, 1)
        async with controller(east, count=1):
            for seconds in (4.0, 45.0):
                east.api.requests.clear()
                east.api.stop()
                await asyncio.sleep(seconds)
                east.api.start()
                await asyncio.sleep(60)
                assert listed(east) == {(A, B)}
                assert not patched(east)


async def test_a_gateway_without_a_lease_is_listed_by_its_readiness() -> None:
    async with gateways(A, "10.1.0.10") as (east, _both):
        imports(east, 1)
        async with controller(east, count=1):
            assert listed(east) == {(A, B)}
            await asyncio.sleep(60)
            assert listed(east) == {(A, B)}


async def test_the_last_ready_gateway_stays_listed_though_it_is_silent() -> None:
    """With nobody else to go to, one that only lost its API server is better than none."""
    async with gateways(A, B) as (east, (_first, second)):
        east.gateways([B])
        imports(east, 1)
        async with controller(east, count=1) as look:
            await second.dies()
            await until(lambda: look.replicas.silent == {B}, limit=10)
            await asyncio.sleep(20)
            assert listed(east) == {(B,)}


async def test_a_controller_that_starts_while_a_gateway_is_dead_does_not_list_it_for_a_moment() -> None:
    async with gateways(A, B) as (east, (_first, second)):
        imports(east, 1)
        async with controller(east, count=1):
            await second.dies()
            await until(lambda: listed(east) == {(A,)}, limit=10)
        east.api.requests.clear()
        async with controller(east, count=1):
            await asyncio.sleep(20)
            assert listed(east) == {(A,)}
            assert not patched(east)


async def test_the_lease_of_a_gateway_that_is_gone_is_swept_away_after_a_while() -> None:
    async with gateways(A, B) as (east, (_first, second)):
        imports(east, 1)
        async with controller(east, count=1):
            await second.dies()
            await asyncio.sleep(2 * ABANDONED)
            assert lease_name(B) in leases(east), "its pod is still there"
            east.gateways([A])
            await until(lambda: leases(east) == {lease_name(A): A}, limit=60)


@dataclass
class Own:
    """The controller's own standing."""

    latest: Latest[Standing] = field(default_factory=Latest)

    @property
    def current(self) -> Standing | None:
        return self.latest.value

    async def after(self, seen: Standing | None) -> Standing | None:
        return await self.latest.after(seen)

    def settles(self, generation: int) -> None:
        credentials = Credentials(key_pem=b"", chain_pem=b"")
        self.latest.publish(Standing(identity("east"), credentials, roots=(), settled=generation))


@asynccontextmanager
async def settling(member: Member) -> AsyncIterator[tuple[Own, SettledWatch]]:
    """What the controller of `member` says that the cluster has settled on."""
    caches, own = Caches(member.api.client(CONTROLLER_ACCOUNT)), Own()
    settled = SettledWatch(caches, replicas=Replicas(caches), standing=own)
    async with under_way(caches.run(), settled.run()):
        await caches.until_synced()
        yield own, settled


async def test_a_cluster_says_the_generation_that_its_slowest_live_gateway_has_settled_on() -> None:
    async with gateways(A, B) as (east, (first, second)), settling(east) as (own, settled):
        assert settled.now().generation == 0, "it has nothing to show yet"
        own.settles(2)
        first.settled = second.settled = 2
        await until(lambda: settled.now().generation == 2)
        own.settles(3)
        first.settled = 3
        await asyncio.sleep(10)
        assert settled.now().generation == 2
        second.settled = 3
        await until(lambda: (now := settled.changes.value) is not None and now.generation == 3)
        first.settled = second.settled = 4
        await asyncio.sleep(10)
        assert settled.now().generation == 3, "the controller itself is behind"


async def test_a_gateway_that_is_silent_is_not_waited_for() -> None:
    async with gateways(A, B) as (east, (first, second)), settling(east) as (own, settled):
        own.settles(3)
        first.settled = 3
        await asyncio.sleep(3)
        assert settled.now().generation == 0
        await second.dies()
        await until(lambda: settled.now().generation == 3, limit=10)


async def test_a_gateway_that_says_nothing_of_generations_is_of_an_older_version_and_waited_for() -> None:
    async with gateways(A) as (east, (first,)), settling(east) as (own, settled):
        own.settles(3)
        first.settled = 3
        await until(lambda: settled.now().generation == 3)
        meta = {"name": lease_name(B), "namespace": SYSTEM_NAMESPACE, "labels": {LABEL_REPLICA: GATEWAY}}
        lease = {"metadata": meta, "spec": {"holderIdentity": B}}
        await east.api.client().create(LEASES, lease)
        await until(lambda: settled.now().generation == 0)
