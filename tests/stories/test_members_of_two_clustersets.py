"""Two members that keep roots of their own: linked, serving each other, and following each other's root."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from mesh_core.foreign import foreign_texts
from mesh_core.identity import domain
from mesh_core.trust_statement import Held
from mesh_fakes.clusterset import DOMAIN, FakeClusterset
from mesh_fakes.members import Member, new_member
from mesh_fakes.waiting import until
from mesh_runtime.pki import make_root

pytestmark = pytest.mark.asyncio

DOMAINS = {"of another domain": domain("other.example"), "of the same domain": DOMAIN}


def agree(one: Member, other: Member) -> None:
    """Both operators accept the other's root for the other's id."""
    for member, peer in ((one, other), (other, one)):
        theirs = {"domain": peer.clusterset.domain, "roots": list(peer.clusterset.roots)}
        member.knows(peer, spec={"trust": theirs})


def first_of(clusterset: FakeClusterset, *names: str) -> list[Member]:
    statement = clusterset.statement(1, roster=clusterset.roster(*names))
    return [new_member(name, clusterset=clusterset, statement=statement) for name in names]


@asynccontextmanager
async def running(*members: Member) -> AsyncIterator[None]:
    async with AsyncExitStack() as stack:
        for member in members:
            await stack.enter_async_context(member.running())
        yield


def is_synced(member: Member, peer: str) -> bool:
    found = member.connected(peer)
    return found is not None and found.reason == "Synced"


def is_refused(member: Member, peer: str) -> bool:
    found = member.connected(peer)
    return found is not None and found.reason == "Refused"


def known(member: Member, peer: str) -> Held:
    found = member.peer(peer)
    return foreign_texts(found) if found is not None else Held()


@pytest.mark.parametrize("other", DOMAINS.values(), ids=DOMAINS.keys())
async def test_two_clustersets_of_one_member_each_import_from_each_other(other: object) -> None:
    [west] = first_of(FakeClusterset(), "west")
    [east] = first_of(FakeClusterset(domain(str(other))), "east")
    east.service()
    east.endpoints("10.1.0.1")
    east.export()
    async with running(west, east):
        agree(west, east)
        await until(lambda: is_synced(west, "east") and is_synced(east, "west"), limit=90)
        await until(lambda: west.imported() is not None)
        await until(lambda: known(west, "east").generation == 1 == known(east, "west").generation)
        assert west.bundle.status.statement is None, "what is theirs is not ours"


async def test_the_roster_of_the_other_clusterset_decides_who_may_be_its_member() -> None:
    theirs = FakeClusterset(domain("other.example"))
    [west] = first_of(FakeClusterset(), "west")
    [east] = first_of(theirs, "east")
    async with running(west, east):
        agree(west, east)
        await until(lambda: known(west, "east").generation == 1, limit=90)
        before, after = theirs.key("east"), theirs.rebuilt("east")
        assert after is theirs.member("east") and theirs.key("east") != before
        # Their root says that east has another key now: what shows the first one is refused.
        east.trusts(theirs.statement(2, roster=theirs.roster("east")))
        await until(lambda: known(west, "east").generation == 2)
        await until(lambda: is_refused(west, "east") and is_refused(east, "west"))


async def test_a_new_root_of_the_other_clusterset_is_learnt_from_its_member() -> None:
    theirs = FakeClusterset(domain("other.example"))
    [west] = first_of(FakeClusterset(), "west")
    [east] = first_of(theirs, "east")
    async with running(west, east):
        agree(west, east)
        await until(lambda: is_synced(west, "east"), limit=90)
        new = make_root(theirs.domain, now=theirs.now)
        both = theirs.statement(
            2, roster=theirs.roster("east"), roots=(theirs.root, new), by=(theirs.root, new)
        )
        east.trusts(both)
        await until(lambda: known(west, "east").generation == 2)
        statement = known(west, "east").statement
        assert statement is not None
        assert len(statement.roots) == 2
        assert is_synced(west, "east")


async def test_nobody_but_their_root_speaks_for_the_other_clusterset() -> None:
    theirs = FakeClusterset(domain("other.example"))
    [west] = first_of(FakeClusterset(), "west")
    [east] = first_of(theirs, "east")
    async with running(west, east):
        agree(west, east)
        await until(lambda: known(west, "east").generation == 1, limit=90)
        forger = FakeClusterset(domain("other.example"))
        east.trusts(forger.statement(7, roster=theirs.roster("east")))
        # East goes by what its own operator wrote, so it believes west no more; west learns nothing of it.
        await until(lambda: not is_synced(east, "west") or known(west, "east").generation == 1)
        assert known(west, "east").generation == 1


async def test_another_agreement_forgets_what_was_learnt_under_the_first() -> None:
    theirs, others = FakeClusterset(domain("other.example")), FakeClusterset(domain("third.example"))
    [west] = first_of(FakeClusterset(), "west")
    [east] = first_of(theirs, "east")
    async with running(west, east):
        agree(west, east)
        await until(lambda: known(west, "east").generation == 1, limit=90)
        stated = {"domain": others.domain, "roots": list(others.roots)}
        west.knows(east, spec={"trust": stated})
        await until(lambda: is_refused(west, "east"))
        assert known(west, "east") == Held()
