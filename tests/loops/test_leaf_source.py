"""The certificate that a component shows, through renewals, failures and changes of trust."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest

from mesh_core.errors import EnvironmentFault
from mesh_core.identity import Component, Identity, cluster_id
from mesh_core.membership import Membership
from mesh_fakes.clusterset import FakeClusterset, identity
from mesh_fakes.jumping_clock import JumpingClock
from mesh_fakes.membership import FakeMembership
from mesh_fakes.waiting import until
from mesh_runtime.intermediate import own_leaf
from mesh_runtime.leaf import LeafSource, Standing
from mesh_runtime.tls import Credentials

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]

HOUR = timedelta(hours=1)


@dataclass(slots=True)
class Signer:
    """An issuer that may be away, or send nonsense."""

    clusterset: FakeClusterset
    clock: JumpingClock
    is_away: bool = False
    wrong: Credentials | None = None
    asked: list[timedelta] = field(default_factory=list)

    async def issue(self, identity: Identity) -> Credentials:
        self.asked.append(self.clock.passed)
        if self.is_away:
            raise EnvironmentFault("the signer is away", next_step="wait")
        if self.wrong is not None:
            return self.wrong
        member = self.clusterset.member(identity.cluster)
        return own_leaf(member, identity=identity, clock=self.clock)


@dataclass(slots=True)
class Scene:
    """A source under way."""

    clock: JumpingClock
    clusterset: FakeClusterset
    membership: FakeMembership
    signer: Signer
    source: LeafSource

    async def first(self) -> Standing:
        return await self.next(None)

    async def next(self, seen: Standing | None) -> Standing:
        standing = await self.source.after(seen)
        assert standing is not None
        return standing

    async def pass_until(self, hours: float) -> None:
        """Let the clock go on to that many hours after the beginning."""
        await asyncio.sleep((hours * HOUR - self.clock.passed).total_seconds())


@asynccontextmanager
async def west(*, ago: float, member: bool = True, jitter: float = 0.0) -> AsyncIterator[Scene]:
    """The gateway of west, whose clock began `ago` hours before the machine's time."""
    clock = JumpingClock(ago=ago * HOUR)
    clusterset = FakeClusterset(now=clock.start)
    membership = FakeMembership(clusterset.membership("west") if member else None)
    signer = Signer(clusterset, clock)
    source = LeafSource(
        signer,
        component=Component.GATEWAY,
        membership=membership,
        clock=clock,
        jitter=lambda: jitter,
    )
    running = asyncio.create_task(source.run())
    try:
        yield Scene(clock, clusterset, membership, signer, source)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_a_member_gets_a_leaf_at_once() -> None:
    async with west(ago=1) as scene:
        standing = await scene.first()
        assert standing == scene.source.current
        assert standing.identity == identity("west")
        assert standing.roots == scene.clusterset.roots
        assert scene.clock.passed < timedelta(seconds=1)


async def test_without_a_membership_nothing_is_asked() -> None:
    async with west(ago=5, member=False) as scene:
        await scene.pass_until(2)
        assert scene.signer.asked == [] and scene.source.current is None
        scene.membership.become(scene.clusterset.membership("west"))
        assert (await scene.first()).identity == identity("west")


@pytest.mark.parametrize(("jitter", "hours"), [(0.0, 16.0), (0.5, 17.0)])
async def test_it_is_renewed_when_two_thirds_of_its_life_are_over(jitter: float, hours: float) -> None:
    async with west(ago=20, jitter=jitter) as scene:
        first = await scene.first()
        second = await scene.next(first)
        assert second.identity == first.identity
        assert second.credentials.key_pem != first.credentials.key_pem
        assert abs(scene.clock.passed - hours * HOUR) < timedelta(minutes=10)


async def test_while_the_signer_is_away_the_old_one_is_kept_and_asking_goes_on() -> None:
    async with west(ago=21) as scene:
        first = await scene.first()
        scene.signer.is_away = True
        await scene.pass_until(20)
        assert scene.source.current == first
        assert len(scene.signer.asked) > 200
        pauses = [
            later - sooner
            for sooner, later in zip(scene.signer.asked[1:], scene.signer.asked[2:], strict=False)
        ]
        assert max(pauses) <= timedelta(seconds=61)
        scene.signer.is_away = False
        second = await scene.next(first)
        assert scene.clock.passed < 20 * HOUR + timedelta(seconds=61)
        assert scene.source.current == second


async def test_at_its_end_an_old_leaf_is_shown_no_more() -> None:
    async with west(ago=10) as scene:
        first = await scene.first()
        scene.signer.is_away = True
        await scene.pass_until(23.99)
        assert scene.source.current == first
        await scene.pass_until(24.01)
        assert scene.source.current is None


async def test_a_bad_certificate_never_replaces_a_good_one() -> None:
    async with west(ago=21) as scene:
        first = await scene.first()
        scene.signer.wrong = FakeClusterset().credentials("west")
        await scene.pass_until(18)
        scene.signer.wrong = scene.clusterset.credentials("west", Component.DNS)
        await scene.pass_until(19)
        assert scene.source.current == first
        assert len(scene.signer.asked) > 100


async def test_new_roots_are_shown_at_once_with_the_same_certificate() -> None:
    async with west(ago=5) as scene:
        first = await scene.first()
        both = scene.clusterset.roots + FakeClusterset().roots
        scene.membership.become(replace(scene.clusterset.membership("west"), roots=both))
        second = await scene.next(first)
        assert second == replace(first, roots=both)
        assert len(scene.signer.asked) == 1


async def test_another_cluster_id_drops_the_old_certificate_at_once() -> None:
    async with west(ago=5) as scene:
        await scene.first()
        scene.signer.is_away = True
        scene.membership.become(scene.clusterset.membership("north"))
        await until(lambda: scene.source.current is None)
        scene.signer.is_away = False
        assert (await scene.first()).identity == identity("north")


async def test_a_lost_membership_withdraws_the_certificate() -> None:
    async with west(ago=5) as scene:
        first = await scene.first()
        scene.membership.become(None)
        assert await scene.source.after(first) is None
        assert scene.source.current is None


async def test_what_is_asked_for_an_old_membership_is_given_up() -> None:
    clock = JumpingClock(ago=5 * HOUR)
    clusterset = FakeClusterset(now=clock.start)
    membership = FakeMembership(clusterset.membership("west"))
    asked: list[Identity] = []

    class SlowForWest:
        async def issue(self, identity: Identity) -> Credentials:
            asked.append(identity)
            if identity.cluster == cluster_id("west"):
                await asyncio.Event().wait()
            return own_leaf(clusterset.member(identity.cluster), identity=identity, clock=clock)

    source = LeafSource(SlowForWest(), component=Component.GATEWAY, membership=membership, clock=clock)
    running = asyncio.create_task(source.run())
    await until(lambda: bool(asked))
    north: Membership = clusterset.membership("north")
    membership.become(north)
    standing = await source.after(None)
    assert standing is not None and standing.identity == identity("north")
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
