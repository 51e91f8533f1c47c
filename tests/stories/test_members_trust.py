"""Signed texts travel between real controllers and take effect there (rulings 1 and 2)."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from mesh_core.names import TRUST_BUNDLE
from mesh_core.objects.trust import LocalRefusal, Signed
from mesh_fakes.clusterset import FakeClusterset
from mesh_fakes.members import Member, new_member
from mesh_fakes.waiting import until
from mesh_runtime.kube import MESH_PEERS, TRUST_BUNDLES
from mesh_runtime.pki import make_root, new_key

pytestmark = pytest.mark.asyncio

NAMES = ("east", "north", "west")


def members(clusterset: FakeClusterset, *names: str, statement: Signed | None = None) -> tuple[Member, ...]:
    """Members that begin with generation 1 of the root's statement, which names them all."""
    first = statement if statement is not None else clusterset.statement(1, roster=clusterset.roster(*names))
    return tuple(new_member(name, clusterset=clusterset, statement=first) for name in names)


@asynccontextmanager
async def running(*all_of_them: Member) -> AsyncIterator[None]:
    async with AsyncExitStack() as stack:
        for member in all_of_them:
            await stack.enter_async_context(member.running())
        yield


def link(one: Member, other: Member) -> None:
    one.knows(other)
    other.knows(one)


def shows(member: Member, peer: str, kind: str = "Connected") -> tuple[str, str]:
    found = member.peer_condition(peer, kind)
    return (found.status, found.reason) if found is not None else ("", "")


def message(member: Member, peer: str) -> str:
    found = member.connected(peer)
    return found.message if found is not None else ""


SYNCED = ("True", "Synced")
REFUSED = ("False", "Refused")


def in_force(member: Member) -> tuple[int, int]:
    status = member.bundle.status
    return status.generation, status.revision


def accepted(member: Member) -> tuple[str, str]:
    found = next((one for one in member.bundle.status.conditions if one.type == "Accepted"), None)
    return (found.status, found.message) if found is not None else ("", "")


def told(member: Member, peer: str) -> tuple[int, int]:
    """What the peer says that it goes by."""
    found = member.peer(peer)
    trust = found.status.trust if found is not None else None
    return (trust.generation, trust.revision) if trust is not None else (-1, -1)


async def reached(sender: Member, other: Member, *, generation: int) -> None:
    """Until the other one goes by that generation, and has said so to the sender."""
    await until(lambda: in_force(other) == (generation, 0), limit=90)
    await until(lambda: told(sender, other.name) == (generation, 0))


async def test_an_eviction_reaches_a_third_cluster_by_relay_and_closes_what_stands_ruling_1() -> None:
    clusterset = FakeClusterset()
    east, north, west, south = members(clusterset, *NAMES, "south")
    async with running(east, north, west, south):
        link(east, north)
        link(north, west)
        link(west, south)
        await until(lambda: shows(west, "south") == shows(south, "west") == SYNCED, limit=90)
        await until(lambda: shows(north, "east") == shows(west, "north") == SYNCED, limit=90)
        second = clusterset.statement(
            2, roster=clusterset.roster(*NAMES), refused=[clusterset.refused("south")]
        )
        # East has no link with west, nor with south: what it says goes by north.
        east.trusts(second)
        await until(lambda: in_force(north) == in_force(west) == (2, 0))
        assert west.bundle.status.statement == second
        await until(lambda: shows(west, "south") == shows(south, "west") == REFUSED, limit=90)
        assert "south was evicted from the clusterset" in message(south, "west")
        assert "it was stolen" in message(south, "west")
        assert "south was evicted" in message(west, "south")
        await until(lambda: told(north, "west") == (2, 0) == told(north, "east"))
        assert shows(north, "west") == shows(west, "north") == SYNCED
        peer = north.peer("west")
        assert peer is not None
        assert peer.status.trust is not None
        assert peer.status.trust.root == clusterset.root_key


async def test_a_hostile_members_own_bundle_is_refused_shown_and_changes_nothing_ruling_1() -> None:
    """Scenario (a): one member that would refuse all the others."""
    clusterset = FakeClusterset()
    east, north, west = members(clusterset, *NAMES)
    async with running(east, north, west):
        link(east, north)
        link(east, west)
        await until(lambda: shows(east, "north") == shows(east, "west") == SYNCED, limit=90)
        forger = FakeClusterset()
        roster = clusterset.roster("west")
        forged = forger.statement(
            9, roster=roster, refused=[clusterset.refused("north"), clusterset.refused("east")]
        )
        # It has written that to its own API server, so its own controller goes by it.
        west.trusts(forged)
        await until(lambda: accepted(east)[0] == "False")
        assert "west passed on a text that is refused: no root that is believed here" in accepted(east)[1]
        assert in_force(east) == (1, 0)
        assert east.bundle.status.statement is None
        assert shows(east, "north") == shows(north, "east") == SYNCED


async def test_revocations_of_a_revoker_count_and_those_of_anybody_else_do_not_ruling_1() -> None:
    clusterset = FakeClusterset()
    revoker, stranger = new_key(), new_key()
    first = clusterset.statement(1, roster=clusterset.roster(*NAMES), revokers=[revoker.public_key()])
    east, north, west = members(clusterset, *NAMES, statement=first)
    async with running(east, north, west):
        link(east, north)
        link(north, west)
        await until(lambda: shows(north, "east") == shows(north, "west") == SYNCED, limit=90)
        refused = [clusterset.refused("west")]
        east.trusts(
            revocations=clusterset.revocations(3, refused=[clusterset.refused("north")], by=[stranger])
        )
        await until(lambda: "nobody who may revoke" in accepted(north)[1])
        east.trusts(revocations=clusterset.revocations(4, refused=refused, by=[revoker]))
        await until(lambda: in_force(north) == (1, 4))
        await until(lambda: shows(north, "west") == shows(west, "north") == REFUSED)
        assert shows(north, "east") == SYNCED
        await until(lambda: told(east, "north") == (1, 4))


async def test_a_restore_that_rolls_the_bundle_back_is_undone_by_the_next_peer_ruling_1() -> None:
    """Scenario (c): nothing is un-refused meanwhile where the controller lives, nor for long elsewhere."""
    clusterset = FakeClusterset()
    east, north, west = members(clusterset, *NAMES)
    second = clusterset.statement(
        2, roster=clusterset.roster("east", "north"), refused=[clusterset.refused("west")]
    )

    def roll_back() -> None:
        spec = {"domain": clusterset.domain, "generation": 1, "roots": list(clusterset.roots)}
        east.api.remove(TRUST_BUNDLES, TRUST_BUNDLE)
        east.api.put(TRUST_BUNDLES, {"metadata": {"name": TRUST_BUNDLE}, "spec": spec})
        east.trusts(clusterset.statement(1, roster=clusterset.roster(*NAMES)))

    async with running(north, west):
        async with east.running():
            link(east, north)
            link(east, west)
            north.trusts(second)
            await until(lambda: shows(east, "west") == shows(west, "east") == REFUSED, limit=90)
            east.api.put(
                TRUST_BUNDLES,
                {"metadata": {"name": TRUST_BUNDLE}, "status": {"statement": None, "generation": 1}},
            )
            seen = {shows(east, "west")}

            def is_healed() -> bool:
                seen.add(shows(east, "west"))
                return east.bundle.status.statement == second

            # What the living controller has seen it writes again by itself, and has gone by all the time.
            await until(is_healed)
            assert seen == {REFUSED}
        roll_back()
        assert in_force(east) == (0, 0)
        async with east.running():
            # Its port is another one in this life.
            link(east, north)
            await until(lambda: in_force(east) == (2, 0), limit=90)
            await until(lambda: shows(east, "west") == REFUSED, limit=90)


async def test_a_member_rejoins_under_a_new_key_after_its_old_one_was_evicted_ruling_1() -> None:
    """Scenario (d): what is refused is the key, not the id. The newcomer itself brings what names it."""
    clusterset = FakeClusterset()
    east, west = members(clusterset, "east", "west")
    stolen = clusterset.refused("west")
    evicting = clusterset.statement(2, roster=clusterset.roster("east"), refused=[stolen])
    async with east.running():
        async with west.running():
            link(east, west)
            await until(lambda: shows(east, "west") == shows(west, "east") == SYNCED, limit=90)
            east.trusts(evicting)
            await until(lambda: shows(east, "west") == shows(west, "east") == REFUSED)
        clusterset.rebuilt("west")
        third = clusterset.statement(3, roster=clusterset.roster("east", "west"), refused=[stolen])
        (again,) = members(clusterset, "west", statement=third)
        async with again.running():
            again.knows(east)
            await until(lambda: shows(again, "east") == SYNCED, limit=90)
            assert in_force(east) == (3, 0)
            east.knows(again)
            await until(lambda: shows(east, "west") == SYNCED, limit=90)


async def test_a_rebuilt_cluster_comes_back_where_its_old_self_is_still_known_ruling_1() -> None:
    """Its kube-system is another one, which the MeshPeers of before have pinned; the root knows better."""
    clusterset = FakeClusterset()
    east, west = members(clusterset, "east", "west")
    stolen = clusterset.refused("west")
    async with east.running():
        async with west.running():
            link(east, west)
            await until(lambda: shows(east, "west") == shows(west, "east") == SYNCED, limit=90)
        clusterset.rebuilt("west")
        roster = clusterset.roster("east", "west", uids={"west": "rebuilt-kube-system"})
        statement = clusterset.statement(2, roster=roster, refused=[stolen])
        again = new_member("west", clusterset=clusterset, statement=statement, uid="rebuilt")
        async with again.running():
            again.knows(east)
            east.knows(again)
            await until(lambda: shows(again, "east") == shows(east, "west") == SYNCED, limit=90)
            peer = east.peer("west")
            assert peer is not None
            assert peer.status.kube_system_uid == "rebuilt-kube-system"
            assert shows(east, "west", "IdentityUsedTwice")[0] != "True"


async def test_who_slept_through_generations_follows_by_the_next_peer_and_delayed_nobody_ruling_1() -> None:
    """Scenario (b): a member that is away blocks nothing, and goes on from the number it had."""
    clusterset = FakeClusterset()
    east, north, west = members(clusterset, *NAMES)
    new_root = make_root(clusterset.domain, now=clusterset.now)
    both = (clusterset.root, new_root)
    roster = clusterset.roster(*NAMES)
    async with running(east, north):
        link(east, north)
        for generation in (2, 3, 4):
            statement = clusterset.statement(generation, roster=roster, roots=both, by=both)
            east.trusts(statement)
            await reached(east, north, generation=generation)
        async with west.running():
            link(west, north)
            await until(lambda: in_force(west) == (4, 0), limit=90)
            assert west.bundle.status.statement == statement
            await until(lambda: shows(west, "north") == shows(north, "west") == SYNCED, limit=90)


async def test_whom_a_server_does_not_know_it_may_tell_who_it_is_when_only_the_server_is_dialled() -> None:
    """The other way round: the client is behind, and dials somebody whom only the newer statement names."""
    clusterset = FakeClusterset()
    (east,) = members(clusterset, "east")
    both = clusterset.statement(2, roster=clusterset.roster("east", "west"))
    (west,) = members(clusterset, "west", statement=both)
    async with running(east, west):
        east.knows(west)
        await until(lambda: shows(east, "west") == SYNCED, limit=90)
        assert in_force(east) == (2, 0)


async def test_a_stranger_below_the_root_is_told_that_nobody_knows_it() -> None:
    clusterset = FakeClusterset()
    (east,) = members(clusterset, "east")
    (west,) = members(
        clusterset, "west", statement=clusterset.statement(1, roster=clusterset.roster("east", "west"))
    )
    async with running(east, west):
        west.knows(east)
        await until(lambda: shows(west, "east") == REFUSED, limit=90)
        assert "does not know west at all" in message(west, "east")
        assert in_force(east) == (1, 0)


async def test_who_is_evicted_here_alone_is_closed_and_told_and_others_go_on() -> None:
    clusterset = FakeClusterset()
    east, north, west = members(clusterset, *NAMES)
    async with running(east, north, west):
        link(east, west)
        link(north, west)
        await until(lambda: shows(west, "east") == shows(west, "north") == SYNCED, limit=90)
        loop = asyncio.get_running_loop()
        began = loop.time()
        east.api.remove(MESH_PEERS, "west")
        east.trusts(refused_here=[LocalRefusal(cluster="west", why="it left us")])
        await until(lambda: shows(west, "east") == REFUSED)
        assert loop.time() - began < 12, "not by the silence of a quarter of a minute"
        assert "west was evicted by this cluster's operator (it left us)" in message(west, "east")
        assert shows(west, "north") == SYNCED


async def test_without_any_statement_nothing_travels_and_nothing_is_written() -> None:
    clusterset = FakeClusterset()
    east, west = (new_member(name, clusterset=clusterset) for name in ("east", "west"))
    async with running(east, west):
        link(east, west)
        await until(lambda: shows(east, "west") == shows(west, "east") == SYNCED, limit=90)
        assert in_force(east) == (0, 0)
        assert accepted(east) == ("", "")
        assert told(east, "west") == (0, 0)
