"""Trust on the controllers' stream against whoever may come: real TLS, bytes made by hand (ruling 1)."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

import msgspec
import pytest

from mesh_controller.stream_places import MOST_NEWCOMERS, MOST_OF_ONE, MOST_OF_ONE_KEY
from mesh_core.identity import Component, Identity, cluster_id
from mesh_core.objects.trust import IssuerEntry, LocalRefusal, RefusedKey, Signed
from mesh_core.trust_exchange import MOST_TEXTS
from mesh_fakes.clusterset import FakeClusterset
from mesh_fakes.forged import Forgery, chain, good_names
from mesh_fakes.members import Member, new_member
from mesh_fakes.raw_peer import HELLO, WATCH, Caller, Json, call, context_of, until_listening
from mesh_fakes.waiting import until
from mesh_runtime.kube import MESH_PEERS
from mesh_runtime.pki import Authority
from mesh_runtime.tls import Credentials
from mesh_runtime.trust_signing import key_id_of

pytestmark = pytest.mark.asyncio


@asynccontextmanager
async def served(
    clusterset: FakeClusterset, statement: Signed, *, linked: Sequence[str] = ()
) -> AsyncIterator[Member]:
    """The cluster west, which exports one Service, goes by `statement` and has MeshPeers for `linked`."""
    west = new_member("west", clusterset=clusterset, statement=statement)
    for cluster in linked:
        west.api.put(MESH_PEERS, {"metadata": {"name": cluster}, "spec": {"dial": "inbound"}})
    west.service()
    west.endpoints("10.2.0.1")
    west.export()
    async with west.running():
        await until_listening(west)
        yield west


@asynccontextmanager
async def caller(west: Member, cluster: str = "east") -> AsyncIterator[Caller]:
    """A connection of that cluster's controller."""
    shown = west.clusterset.credentials(cluster, Component.CONTROLLER)
    async with call(west, context_of(shown, of=west)) as found:
        yield found


def trust(statement: Signed | None = None, revocations: Signed | None = None) -> Json:
    texts = {"statement": statement, "revocations": revocations}
    said = {name: text for name, text in texts.items() if text is not None}
    found: Json = msgspec.json.decode(msgspec.json.encode({"type": "trust", **said}))
    return found


def hello(cluster: str, **fields: object) -> Json:
    return {**HELLO, "cluster": cluster, **fields}


async def is_served(west: Member, cluster: str = "east") -> bool:
    """Whether a member that keeps to the protocol gets its list."""
    async with caller(west, cluster) as peer:
        peer.say(hello(cluster, trustGeneration=9), WATCH)
        kinds = [message["type"] for message in await peer.hear_until("synced")]
    return kinds == ["hello", "trustReport", "mesh", "signer", "put", "synced"]


def writes(west: Member) -> int:
    """How often the TrustBundle was written."""
    return sum(method != "GET" and "trustbundles" in path for _, method, path in west.api.requests)


async def test_who_is_behind_gets_the_texts_after_its_hello_and_before_it_asks_for_anything() -> None:
    clusterset = FakeClusterset()
    statement = clusterset.statement(3, roster=clusterset.roster("east", "west"))
    revocations = clusterset.revocations(2, refused=[clusterset.refused("north")])
    async with served(clusterset, statement) as west:
        west.trusts(revocations=revocations)
        await until(lambda: west.bundle.status.revision == 2)
        async with caller(west) as peer:
            said = await peer.hear()
            assert (said["trustGeneration"], said["trustRevision"]) == (3, 2)
            assert said["trustRoot"] == clusterset.root_key
            peer.say(hello("east", trustGeneration=2))
            assert await peer.hear() == trust(statement)
            assert await peer.hear() == trust(revocations=revocations)
            peer.say(WATCH)
            await peer.hear_until("synced")
            # A stream that stands is told of what comes later, and what the server goes by then.
            fourth = clusterset.statement(4, roster=clusterset.roster("east", "west"))
            west.trusts(fourth)
            later = [await peer.hear(), await peer.hear()]
            assert trust(fourth) in later
            report = {"type": "trustReport", "generation": 4, "revision": 2, "root": clusterset.root_key}
            assert report in later


async def test_who_says_that_it_has_them_gets_none() -> None:
    clusterset = FakeClusterset()
    async with served(clusterset, clusterset.statement(3, roster=clusterset.roster("east", "west"))) as west:
        assert await is_served(west)


async def test_a_newcomer_gets_nothing_but_the_hello_and_the_reason() -> None:
    clusterset = FakeClusterset()
    async with served(clusterset, clusterset.statement(1, roster=clusterset.roster("west"))) as west:
        async with caller(west, "south") as stranger:
            stranger.say(hello("south"), WATCH)
            first, bye = await stranger.hear(), await stranger.hear()
            assert (first["type"], bye["type"]) == ("hello", "bye")
            assert "generation 1 of the trust bundle does not know south at all" in bye["reason"]
            assert await stranger.is_closed()


@pytest.mark.parametrize(
    "said",
    [
        {"type": "ack", "revision": 1},
        {"type": "put", "revision": 1, "record": {}},
        {"type": "mesh", "peers": ["east"]},
        {"type": "trustReport", "generation": 9},
    ],
    ids=lambda said: str(said["type"]),
)
async def test_a_newcomer_may_say_hello_and_trust_only(said: Json) -> None:
    clusterset = FakeClusterset()
    async with served(clusterset, clusterset.statement(1, roster=clusterset.roster("west"))) as west:
        async with caller(west, "south") as stranger:
            stranger.say(hello("south"), said)
            assert (await stranger.hear_until("bye"))[-1]["reason"]
            assert await stranger.is_closed()


async def test_a_newcomer_that_brings_a_forgery_stays_a_stranger_and_is_shown() -> None:
    clusterset, forger = FakeClusterset(), FakeClusterset()
    async with served(clusterset, clusterset.statement(1, roster=clusterset.roster("west"))) as west:
        async with caller(west, "south") as stranger:
            forged = forger.statement(2, roster=clusterset.roster("south"))
            stranger.say(hello("south", trustGeneration=2), trust(forged), WATCH)
            assert "does not know south" in (await stranger.hear_until("bye"))[-1]["reason"]
        await until(lambda: bool(west.bundle.status.conditions))
        (condition,) = west.bundle.status.conditions
        assert (condition.type, condition.status) == ("Accepted", "False")
        assert "south passed on a text that is refused: no root that is believed" in condition.message
        assert west.bundle.status.generation == 1


async def test_a_newcomer_that_brings_the_newer_statement_is_served_on_the_same_stream() -> None:
    clusterset = FakeClusterset()
    async with served(clusterset, clusterset.statement(1, roster=clusterset.roster("west"))) as west:
        async with caller(west, "south") as peer:
            newer = clusterset.statement(2, roster=clusterset.roster("south", "west"))
            peer.say(hello("south", trustGeneration=2), trust(newer), WATCH)
            kinds = [message["type"] for message in await peer.hear_until("synced")]
            assert kinds[0] == "hello"
            assert "put" in kinds
            assert "trust" not in kinds, "it has what it brought"
        assert west.bundle.status.statement == newer


async def test_strangers_who_wait_are_few_and_keep_nobody_else_out() -> None:
    clusterset = FakeClusterset()
    async with served(clusterset, clusterset.statement(1, roster=clusterset.roster("east", "west"))) as west:
        async with AsyncExitStack() as stack:
            waiting = []
            for number in range(MOST_NEWCOMERS):
                stranger = await stack.enter_async_context(caller(west, f"south-{number}"))
                stranger.say(hello(f"south-{number}"))
                assert (await stranger.hear())["type"] == "hello"
                waiting.append(stranger)
            async with caller(west, "one-more") as late:
                late.say(hello("one-more"))
                bye = await late.hear()
                assert (bye["type"], "others wait here unknown" in bye["reason"]) == ("bye", True)
            assert await is_served(west)
            loop = asyncio.get_running_loop()
            began = loop.time()
            for stranger in waiting:
                assert "does not know" in (await stranger.hear())["reason"]
            assert loop.time() - began < 12, "not by the silence of a quarter of a minute"
        async with caller(west, "one-more") as again:
            again.say(hello("one-more"))
            assert (await again.hear())["type"] == "hello"


async def test_an_evicted_peer_hears_why_and_no_hello() -> None:
    clusterset = FakeClusterset()
    statement = clusterset.statement(
        2, roster=clusterset.roster("west"), refused=[clusterset.refused("east", why="its disk was sold")]
    )
    async with served(clusterset, statement) as west:
        async with caller(west) as peer:
            peer.say(hello("east", trustGeneration=3), trust(statement), WATCH)
            bye = await peer.hear()
            assert bye["type"] == "bye"
            assert "east was evicted from the clusterset" in bye["reason"]
            assert "its disk was sold" in bye["reason"]
            assert await peer.is_closed()


async def test_a_stream_that_stands_ends_within_a_second_of_the_eviction_also_when_nobody_reads() -> None:
    took = [await ended_after_eviction()]
    while took[-1] >= 1 and len(took) < 3:
        # Where the machine, and not the controller, was late, another one shows it.
        took.append(await ended_after_eviction())
    assert min(took) < 1, took


async def ended_after_eviction() -> float:
    """Seconds from the eviction to the end of the stream."""
    clusterset = FakeClusterset()
    async with served(clusterset, clusterset.statement(1, roster=clusterset.roster("east", "west"))) as west:
        async with caller(west) as peer:
            peer.say(hello("east", trustGeneration=1), WATCH)
            await peer.hear_until("synced")
            loop = asyncio.get_running_loop()
            began = loop.time()
            west.trusts(refused_here=[LocalRefusal(cluster="east")])
            assert "was evicted by this cluster's operator" in (await peer.hear_until("bye"))[-1]["reason"]
            assert await peer.is_closed()
            return loop.time() - began


async def test_who_sends_ever_new_texts_is_let_go_and_makes_nobody_write_ruling_1() -> None:
    clusterset, forger = FakeClusterset(), FakeClusterset()
    async with served(clusterset, clusterset.statement(1, roster=clusterset.roster("east", "west"))) as west:
        await until(lambda: west.bundle.status.generation == 1)
        before = writes(west)
        for attempt in range(2):
            async with caller(west) as peer:
                peer.say(hello("east", trustGeneration=1), WATCH)
                for number in range(3 * MOST_TEXTS):
                    peer.say(trust(forger.statement(number + 2, roster=clusterset.roster("east"))))
                bye = (await peer.hear_until("bye"))[-1]["reason"]
                assert "passes on more than 8 texts of trust a minute" in bye, f"attempt {attempt}"
        assert await is_served(west)
        assert writes(west) - before <= 2
        assert west.bundle.status.generation == 1


async def test_an_older_text_that_was_signed_in_its_day_changes_nothing_and_is_no_fault_ruling_1() -> None:
    clusterset = FakeClusterset()
    older = clusterset.statement(2, roster=clusterset.roster("east", "south", "west"))
    newest = clusterset.statement(
        3, roster=clusterset.roster("east", "west"), refused=[clusterset.refused("south")]
    )
    async with served(clusterset, newest) as west:
        async with caller(west) as peer:
            peer.say(hello("east", trustGeneration=3), trust(older), WATCH)
            assert "put" in [message["type"] for message in await peer.hear_until("synced")]
        assert west.bundle.status.generation == 3
        assert west.bundle.status.statement is None
        assert [one.status for one in west.bundle.status.conditions] == ["True"]


async def test_trust_before_hello_ends_the_stream() -> None:
    clusterset = FakeClusterset()
    statement = clusterset.statement(1, roster=clusterset.roster("east", "west"))
    async with served(clusterset, statement) as west, caller(west) as peer:
        peer.say(trust(statement), HELLO, WATCH)
        assert "does not begin with hello and watch" in (await peer.hear_until("bye"))[-1]["reason"]


async def test_a_version_that_knows_no_trust_is_served_as_before() -> None:
    """It says nothing of revisions and roots, and skips what it does not know."""
    clusterset = FakeClusterset()
    async with served(clusterset, clusterset.statement(5, roster=clusterset.roster("east", "west"))) as west:
        async with caller(west) as peer:
            peer.say(hello("east", trustGeneration=1), WATCH)
            heard = [message["type"] for message in await peer.hear_until("synced")]
            known = [kind for kind in heard if not kind.startswith("trust")]
            assert known == ["hello", "mesh", "signer", "put", "synced"]


def below(issuer: Authority, *, who: Identity) -> Credentials:
    """What an issuer's holder can sign for anybody: its certificate here has no name constraints at all."""
    intermediate = Forgery(is_authority=True, name="intermediate").signed_by(issuer)
    return chain(good_names(who).signed_by(intermediate), intermediate, issuer)


def guest(clusterset: FakeClusterset, cluster: str, *, pool: str = "") -> Identity:
    return Identity(cluster_id(cluster), Component.CONTROLLER, clusterset.domain, pool)


def pooled(clusterset: FakeClusterset) -> tuple[Authority, IssuerEntry]:
    """North's issuer, which lets in the pool guests."""
    issuer = Forgery(is_authority=True, name="issuer").signed_by(clusterset.root)
    key = key_id_of(issuer.key.public_key())
    return issuer, IssuerEntry(key=key, pool="guests", holder="north", certificate="PEM")


@pytest.mark.parametrize(
    ("cluster", "pool", "words"),
    [
        ("east", "", "which is not in it"),
        ("east", "guests", "belongs to a member that the root itself admitted"),
        ("payments", "", "which is not in it"),
        ("payments", "others", "which is not in it"),
        ("payments", "guests", ""),
    ],
)
async def test_who_holds_an_issuer_can_let_in_new_ids_of_its_pool_and_nobody_else_ruling_2(
    cluster: str, pool: str, words: str
) -> None:
    clusterset = FakeClusterset()
    issuer, entry = pooled(clusterset)
    roster = clusterset.roster("east", "north", "west")
    shown = below(issuer, who=guest(clusterset, cluster, pool=pool))
    statement = clusterset.statement(1, roster=roster, issuers=[entry])
    async with served(clusterset, statement, linked=(cluster,)) as west:
        async with call(west, context_of(shown, of=west)) as peer:
            peer.say(hello(cluster, trustGeneration=1), WATCH)
            if words:
                bye = await peer.hear()
                assert (bye["type"], words in bye["reason"]) == ("bye", True), bye
                return
            assert (await peer.hear_until("synced"))[-1]["complete"]
            # Whoever refuses the issuer refuses all that hang on it, at once.
            refused = RefusedKey(key=entry.key, cluster="north", why="its issuer was copied")
            west.trusts(clusterset.statement(2, roster=roster, refused=[refused]))
            bye = (await peer.hear_until("bye"))[-1]
            assert f"{cluster} was evicted from the clusterset with north, which let it in" in bye["reason"]


async def test_whom_an_issuer_let_in_is_not_served_without_a_mesh_peer_for_it() -> None:
    clusterset = FakeClusterset()
    issuer, entry = pooled(clusterset)
    statement = clusterset.statement(1, roster=clusterset.roster("north", "west"), issuers=[entry])
    words = "came in by an issuer and this cluster has no MeshPeer for it"
    async with served(clusterset, statement, linked=("payments",)) as west:
        stranger = below(issuer, who=guest(clusterset, "orders", pool="guests"))
        async with call(west, context_of(stranger, of=west)) as peer:
            peer.say(hello("orders", trustGeneration=1), WATCH)
            bye = await peer.hear()
            assert (bye["type"], bye["reason"]) == ("bye", f"orders {words}")
            assert await peer.is_closed()
        shown = below(issuer, who=guest(clusterset, "payments", pool="guests"))
        async with call(west, context_of(shown, of=west)) as peer:
            peer.say(hello("payments", trustGeneration=1), WATCH)
            await peer.hear_until("synced")
            west.api.remove(MESH_PEERS, "payments")
            assert (await peer.hear_until("bye"))[-1]["reason"] == f"payments {words}"


async def test_a_crowd_that_one_issuer_let_in_leaves_room_for_everybody_else() -> None:
    clusterset = FakeClusterset()
    issuer, entry = pooled(clusterset)
    crowd = [f"guest-{number}" for number in range(MOST_OF_ONE_KEY // MOST_OF_ONE + 1)]
    statement = clusterset.statement(1, roster=clusterset.roster("east", "north", "west"), issuers=[entry])
    async with served(clusterset, statement, linked=crowd) as west, AsyncExitStack() as stack:
        greeted, refused = 0, []
        for name in crowd:
            context = context_of(below(issuer, who=guest(clusterset, name, pool="guests")), of=west)
            for _ in range(MOST_OF_ONE):
                peer = await stack.enter_async_context(call(west, context))
                peer.say(hello(name, trustGeneration=1), WATCH)
                said = await peer.hear()
                greeted += said["type"] == "hello"
                refused += [said["reason"]] if said["type"] == "bye" else []
        assert greeted == MOST_OF_ONE_KEY
        assert {f"more than 64 streams are open of those whom the issuer of {crowd[-1]} let in"} == {*refused}
        assert await is_served(west)


async def test_of_one_key_only_one_stranger_waits() -> None:
    """Its issuer is not named yet, so whoever holds it could send any number of newcomers."""
    clusterset = FakeClusterset()
    issuer, _entry = pooled(clusterset)
    names = ("orders", "payments")
    statement = clusterset.statement(1, roster=clusterset.roster("east", "west"))
    async with served(clusterset, statement, linked=names) as west, AsyncExitStack() as stack:
        said = []
        for name in names:
            context = context_of(below(issuer, who=guest(clusterset, name, pool="guests")), of=west)
            peer = await stack.enter_async_context(call(west, context))
            peer.say(hello(name))
            said.append(await peer.hear())
        assert [one["type"] for one in said] == ["hello", "bye"]
        assert "another one of the same key waits here unknown" in said[1]["reason"]
        async with caller(west, "south") as newcomer:
            newcomer.say(hello("south"))
            assert (await newcomer.hear())["type"] == "hello"
        assert await is_served(west)


async def test_a_peer_that_is_refused_time_and_again_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    clusterset = FakeClusterset()
    async with served(clusterset, clusterset.statement(1, roster=clusterset.roster("east", "west"))) as west:
        for _ in range(20):
            async with caller(west) as peer:
                peer.say(WATCH)
                await peer.hear_until("bye")
        said = [one for one in caplog.messages if "a peer's stream is closed" in one]
        assert len(said) == 1, said
