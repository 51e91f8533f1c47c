"""An agent's loops under a clock that jumps: how often they ask, and what they do while the hub is away."""

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from mesh_core.objects import Meta
from mesh_fakes.api_server import FakeApiServer
from mesh_fakes.jumping_clock import JumpingClock
from mesh_placement.agent.asker import Who
from mesh_placement.agent.credential_book import CredentialBook
from mesh_placement.agent.delivery import Delivery
from mesh_placement.agent.heartbeat import Heartbeat, LeasePlace
from mesh_placement.agent.renewal import Held, keep_fresh
from mesh_placement.agent.report import Report
from mesh_placement.decide.agent_settings import HubSettings
from mesh_placement.decide.credential import Credential
from mesh_placement.names import LEASE
from mesh_placement.objects import AgentReport, ClusterRegistration, ClusterRegistrationSpec
from mesh_placement.resources import CLUSTER_REGISTRATIONS
from mesh_runtime.kube import LEASES

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]

NAMESPACE = "cluster-east"


@asynccontextmanager
async def running(work: Any) -> AsyncIterator[asyncio.Task[Any]]:
    """A coroutine in the background; what it raises, the block sees. Any: whatever it gives."""
    task = asyncio.ensure_future(work)
    try:
        yield task
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


class Listener:
    """Notes what the heartbeat is told."""

    def __init__(self) -> None:
        self.refusals: list[str] = []

    async def heard(self, refusal: str) -> None:
        if refusal:
            self.refusals.append(refusal)


async def beating(hub: FakeApiServer, *, seconds: int = 15) -> tuple[Heartbeat, Listener]:
    kube = hub.client()
    await kube.create(LEASES, {"metadata": {"name": LEASE, "namespace": NAMESPACE}})
    hub.requests.clear()
    listener = Listener()
    beat = Heartbeat(kube, place=LeasePlace(NAMESPACE, "east"), period=lambda: seconds, heard=listener.heard)
    return beat, listener


async def test_an_idle_agent_asks_less_than_once_in_ten_seconds() -> None:
    hub = FakeApiServer()
    beat, _ = await beating(hub)
    async with running(beat.run()):
        await asyncio.sleep(600)
    assert 40 <= len(hub.requests) <= 41
    assert len(hub.requests) / 600 < 0.1


async def test_a_shorter_period_holds_at_once() -> None:
    hub = FakeApiServer()
    kube = hub.client()
    await kube.create(LEASES, {"metadata": {"name": LEASE, "namespace": NAMESPACE}})
    period = 3600
    beat = Heartbeat(kube, place=LeasePlace(NAMESPACE, "east"), period=lambda: period, heard=Listener().heard)
    async with running(beat.run()):
        await asyncio.sleep(10)
        before = len(hub.requests)
        period = 1
        beat.period_changed()
        await asyncio.sleep(5)
    assert len(hub.requests) - before >= 4
    lease = await kube.get(LEASES, LEASE, namespace=NAMESPACE)
    assert (lease.spec.holder_identity, lease.spec.lease_duration_seconds) == ("east", 1)


async def test_a_hub_that_comes_back_hears_within_a_period_and_nobody_is_told_of_a_refusal() -> None:
    hub = FakeApiServer()
    beat, listener = await beating(hub)
    async with running(beat.run()) as task:
        await asyncio.sleep(20)
        hub.stop()
        await asyncio.sleep(3600)
        assert not task.done()
        hub.start()
        before = len(hub.requests)
        await asyncio.sleep(15)
        assert len(hub.requests) > before
    assert not listener.refusals


async def test_a_hub_that_has_no_lease_for_us_refuses_us_and_is_asked_on() -> None:
    hub = FakeApiServer()
    beat, listener = await beating(hub)
    async with running(beat.run()):
        await asyncio.sleep(20)
        await hub.client().delete(LEASES, LEASE, namespace=NAMESPACE)
        await asyncio.sleep(600)
        assert 5 <= len(listener.refusals) <= 25
        await hub.client().create(LEASES, {"metadata": {"name": LEASE, "namespace": NAMESPACE}})
        await asyncio.sleep(60)
        told = len(listener.refusals)
        await asyncio.sleep(600)
    assert len(listener.refusals) == told


def registration(distribution: str) -> ClusterRegistration:
    spec = ClusterRegistrationSpec(cluster_set="prod")
    spec = replace(spec, distribution="Push" if distribution == "Push" else "Pull")
    return ClusterRegistration(metadata=Meta(name="east"), spec=spec)


class Engine:
    """Applies, as far as anybody sees; takes a second to stop."""

    def __init__(self) -> None:
        self.is_at_work = False

    async def run(self) -> None:
        self.is_at_work = True
        try:
            await asyncio.Future()
        finally:
            await asyncio.shield(asyncio.sleep(1.0))
            self.is_at_work = False


async def test_the_agent_says_that_it_does_not_apply_only_after_it_has_stopped() -> None:
    engine, said = Engine(), list[tuple[bool, bool]]()
    delivery = Delivery(engine.run, changed=lambda: said.append((delivery.applies, engine.is_at_work)))
    async with running(delivery.run()):
        delivery.follow(registration("Pull"))
        assert delivery.applies
        await asyncio.sleep(1)
        delivery.follow(None)
        await asyncio.sleep(1)
        assert engine.is_at_work
        delivery.follow(registration("Push"))
        assert delivery.applies
        await asyncio.sleep(2)
        assert said == [(True, False), (False, False)]
        delivery.follow(registration("Pull"))
        await asyncio.sleep(1)
        assert engine.is_at_work


async def test_what_is_not_allowed_is_not_applied_whatever_the_registration_says() -> None:
    engine = Engine()
    delivery = Delivery(engine.run, changed=lambda: None)
    async with running(delivery.run()):
        delivery.follow(registration("Pull"))
        await asyncio.sleep(1)
        await delivery.allow(False)
        assert not engine.is_at_work
        delivery.follow(registration("Pull"))
        await asyncio.sleep(1)
        assert not engine.is_at_work
        await delivery.allow(True)
        await asyncio.sleep(1)
        assert engine.is_at_work


async def test_a_report_is_written_on_change_alone_and_after_a_hub_that_was_away() -> None:
    hub = FakeApiServer()
    kube = hub.client()
    meta = {"metadata": {"name": "east"}, "spec": {"clusterSet": "prod"}}
    seen = await kube.create(CLUSTER_REGISTRATIONS, meta)
    hub.requests.clear()
    now = AgentReport(kubernetes="v1.33.1")
    report = Report(kube, cluster="east", look=lambda: now, clock=lambda: datetime(2026, 1, 1, tzinfo=UTC))
    async with running(report.run()):
        report.follow(seen)
        await asyncio.sleep(1)
        for _ in range(100):
            report.look_again()
            await asyncio.sleep(1)
        assert len(hub.requests) == 1
        hub.stop()
        now = AgentReport(kubernetes="v1.34.0")
        report.look_again()
        await asyncio.sleep(600)
        hub.start()
        await asyncio.sleep(90)
    written = (await kube.get(CLUSTER_REGISTRATIONS, "east")).status.agent
    assert (written.kubernetes, written.clock) == ("v1.34.0", "2026-01-01T00:00:00Z")
    assert len(hub.requests) == 2


async def test_a_token_is_renewed_by_the_life_that_it_got_and_is_kept_while_the_hub_is_away() -> None:
    clock = JumpingClock(ago=timedelta(days=2))
    hub, member = FakeApiServer(clock=clock), FakeApiServer()
    book = CredentialBook(member.client())
    who = Who(
        settings=HubSettings("https://hub", "pem", "east", "prod", driver="token"),
        key=await book.key(),
        kube_system_uid="uid",
    )
    # It was asked to live for a week, and lives for ten minutes.
    hub.token_life = timedelta(minutes=10)
    first = Credential(
        "https://hub", "east", clock(), clock() + hub.token_life, token="first", namespace=NAMESPACE
    )
    await book.store(first)
    held = Held(first)
    fresh = keep_fresh(hub.client(), held, who=who, book=book, clock=clock, jitter=lambda: 0.5)
    async with running(fresh):
        await asyncio.sleep(3600)
        assert 6 <= len(hub.requests) <= 8
        assert held.credential.is_good(clock())
        assert (await book.kept()).credential == replace_times(held.credential)
        hub.stop()
        await asyncio.sleep(3600)
        assert not held.credential.is_good(clock())
        hub.start()
        await asyncio.sleep(60)
        assert held.credential.is_good(clock())


def replace_times(credential: Credential) -> Credential:
    """As it is kept: in whole seconds."""
    return dataclasses.replace(credential, obtained=credential.obtained.replace(microsecond=0))
