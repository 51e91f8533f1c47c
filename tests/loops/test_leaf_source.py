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
from mesh_core.trust import Trust
from mesh_fakes.clusterset import FakeClusterset, identity
from mesh_fakes.jumping_clock import JumpingClock
from mesh_fakes.membership import FakeMembership
from mesh_fakes.waiting import until
from mesh_runtime.intermediate import own_leaf
from mesh_runtime.leaf import LeafSource, Standing
from mesh_runtime.pem import certificates_from_pem, certificates_to_pem
from mesh_runtime.pki import Authority, make_intermediate, new_key
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
    by: Authority | None = None
    """Who signs, if it is not the member's first intermediate."""
    asked: list[timedelta] = field(default_factory=list)

    async def issue(self, identity: Identity) -> Credentials:
        self.asked.append(self.clock.passed)
        if self.is_away:
            raise EnvironmentFault("the signer is away", next_step="wait")
        if self.wrong is not None:
            return self.wrong
        member = self.by or self.clusterset.member(identity.cluster)
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
        assert second == replace(first, roots=both, own=both)
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


# The intermediate that the roster names.


def next_intermediate(scene: Scene, *, later: timedelta = timedelta(minutes=1)) -> Authority:
    """The member's key signed again, below a new root that the old one's clusterset has since."""
    root, key = FakeClusterset(now=scene.clock.start).root, scene.clusterset.member("west").key
    scene.clusterset.root = root
    return signed_again(scene, by=root, later=later, key=Authority(root.certificate, key))


def signed_again(scene: Scene, *, by: Authority, later: timedelta, key: Authority) -> Authority:
    certificate = make_intermediate(
        by,
        cluster=cluster_id("west"),
        domain=scene.clusterset.domain,
        public_key=key.key.public_key(),
        now=scene.clock.start + later,
    )
    return Authority(certificate, key.key)


def naming(scene: Scene, authority: Authority, *, generation: int = 2) -> Membership:
    """Both roots, and the roster names that intermediate."""
    before = scene.membership.current
    assert before is not None
    roots = before.roots if before.trust.generation else before.roots + scene.clusterset.roots
    return replace(
        before,
        roots=roots,
        trust=Trust(generation=generation),
        certificate=certificates_to_pem((authority.certificate,)).decode(),
    )


def carried(standing: Standing) -> Authority:
    """The intermediate of its chain, without a key."""
    chain = certificates_from_pem(standing.credentials.chain_pem, what="chain")
    return Authority(chain[1], new_key())


async def settled(scene: Scene, *, on: int) -> Standing:
    standing = await scene.first()
    while standing.settled != on:
        standing = await scene.next(standing)
    return standing


@pytest.mark.parametrize("jitter", [0.0, 0.99])
async def test_a_chain_of_another_intermediate_is_renewed_within_seconds(jitter: float) -> None:
    async with west(ago=5, jitter=jitter) as scene:
        await scene.first()
        await scene.pass_until(0.5)
        scene.signer.by = next_intermediate(scene)
        scene.membership.become(naming(scene, scene.signer.by))
        standing = await settled(scene, on=2)
        assert carried(standing) == scene.signer.by
        assert timedelta(0) <= scene.clock.passed - 0.5 * HOUR <= timedelta(seconds=4)
        await scene.pass_until(4)
        assert len(scene.signer.asked) == 2


async def test_the_old_chain_is_shown_until_the_new_one_is_proved() -> None:
    """There is a certificate at every moment, also while nobody signs, or signs what is not good."""
    async with west(ago=5) as scene:
        first = await scene.first()
        new = next_intermediate(scene)
        scene.signer.is_away = True
        scene.membership.become(naming(scene, new))
        second = await scene.next(first)
        assert second.credentials == first.credentials and second.roots != first.roots
        assert second.settled == 0
        await scene.pass_until(0.1)
        scene.signer.is_away, scene.signer.wrong = False, FakeClusterset().credentials("west")
        await scene.pass_until(0.2)
        assert scene.source.current == second
        scene.signer.wrong, scene.signer.by = None, new
        assert carried(await settled(scene, on=2)) == new


async def test_a_signer_that_has_not_read_the_roster_yet_is_asked_again_with_patience() -> None:
    async with west(ago=5, jitter=0.5) as scene:
        await scene.first()
        new = next_intermediate(scene)
        scene.membership.become(naming(scene, new))
        await scene.pass_until(1)
        current = scene.source.current
        assert current is not None and current.settled == 0
        assert 10 < len(scene.signer.asked) < 100
        scene.signer.by = new
        await settled(scene, on=2)
        asked = len(scene.signer.asked)
        await scene.pass_until(4)
        assert len(scene.signer.asked) == asked


async def test_a_later_intermediate_of_the_same_root_and_key_stands_for_the_named_one() -> None:
    async with west(ago=5) as scene:
        scene.signer.by = scene.clusterset.member("west")
        named = signed_again(
            scene, by=scene.clusterset.root, later=-timedelta(days=1), key=scene.clusterset.member("west")
        )
        scene.membership.become(naming(scene, named))
        standing = await settled(scene, on=2)
        assert carried(standing) == scene.signer.by
        await scene.pass_until(4)
        assert len(scene.signer.asked) <= 2


async def test_what_was_settled_stays_said_while_the_next_generation_is_followed() -> None:
    async with west(ago=5) as scene:
        new = next_intermediate(scene)
        before = scene.membership.current
        assert before is not None
        scene.membership.become(replace(before, trust=Trust(generation=1)))
        first = await settled(scene, on=1)
        scene.membership.become(replace(naming(scene, new), roots=before.roots + scene.clusterset.roots))
        second = await scene.next(first)
        assert (second.trust.generation, second.settled) == (2, 1)
        scene.signer.by = new
        await settled(scene, on=2)
        scene.membership.become(scene.clusterset.membership("north"))
        scene.signer.by = None
        await until(lambda: scene.source.current is None or scene.source.current.settled == 0)
