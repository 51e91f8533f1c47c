"""Signed texts of another clusterset that its members send without end: looked at so often, by sender."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
import pytest

from mesh_core.foreign import foreign_texts
from mesh_core.identity import Component, domain
from mesh_core.objects.trust import Signed
from mesh_core.trust_exchange import MOST_TEXTS
from mesh_fakes.clusterset import FakeClusterset
from mesh_fakes.members import Member, new_member
from mesh_fakes.raw_peer import HELLO, WATCH, Caller, Json, call, context_of, until_listening
from mesh_fakes.waiting import until
from mesh_runtime.kube import MESH_PEERS

pytestmark = pytest.mark.asyncio

TOO_MANY = f"passes on more than {MOST_TEXTS} texts of trust a minute"


@asynccontextmanager
async def served(theirs: FakeClusterset) -> AsyncIterator[Member]:
    """West, which has peers north and south of the other clusterset, and east of its own."""
    ours = FakeClusterset()
    west = new_member(
        "west", clusterset=ours, statement=ours.statement(1, roster=ours.roster("east", "west"))
    )
    agreed = {"trust": {"domain": theirs.domain, "roots": list(theirs.roots)}}
    for peer, spec in (("north", agreed), ("south", agreed), ("east", {})):
        west.api.put(MESH_PEERS, {"metadata": {"name": peer}, "spec": {"dial": "inbound", **spec}})
    async with west.running():
        await until_listening(west)
        yield west


@asynccontextmanager
async def caller(west: Member, cluster: str, *, of: FakeClusterset) -> AsyncIterator[Caller]:
    """A connection of that cluster's controller, which has said hello."""
    shown = of.credentials(cluster, Component.CONTROLLER)
    async with call(west, context_of(shown, of=west)) as peer:
        peer.say({**HELLO, "cluster": cluster, "trustGeneration": 1})
        yield peer


def trust(statement: Signed) -> Json:
    found: Json = msgspec.json.decode(msgspec.json.encode({"type": "trust", "statement": statement}))
    return found


def kept(west: Member, peer: str) -> int:
    """The generation of that peer's own clusterset that its MeshPeer keeps."""
    found = west.peer(peer)
    return foreign_texts(found).generation if found is not None else 0


async def test_a_sender_of_another_clusterset_has_a_budget_of_its_own_whatever_key_it_shows() -> None:
    theirs, forger = FakeClusterset(domain("other.example")), FakeClusterset(domain("other.example"))
    async with served(theirs) as west:
        for attempt in range(2):
            async with caller(west, "north", of=theirs) as peer:
                peer.say(WATCH)
                texts = MOST_TEXTS + 1 if attempt == 0 else 1
                for number in range(texts):
                    peer.say(trust(forger.statement(number + 2, roster=theirs.roster("north"))))
                assert TOO_MANY in (await peer.hear_until("bye"))[-1]["reason"], f"attempt {attempt}"
            # It signs for itself, so another key is no other sender.
            theirs.rebuilt("north")
        assert kept(west, "north") == 0
        real = theirs.statement(2, roster=theirs.roster("north", "south"))
        async with caller(west, "south", of=theirs) as peer:
            peer.say(trust(real), WATCH)
            await peer.hear_until("synced")
            await until(lambda: kept(west, "south") == 2)
        newer = west.clusterset.statement(2, roster=west.clusterset.roster("east", "west"))
        async with caller(west, "east", of=west.clusterset) as peer:
            peer.say(trust(newer), WATCH)
            await until(lambda: west.bundle.status.generation == 2)
        assert kept(west, "north") == 0, "what south has brought holds for south"
