"""What one controllers' stream carries of trust, either end: who is there, what it has, what it lacks.

1. Whoever is refused by the rules of the moment is closed at once, however long the stream has stood.
2. A newcomer, whose chain is good under a root but whom the texts in force do not name, may say hello and
   hand over newer texts, for `GREETING_LIMIT` seconds. Who is evicted is no newcomer.
3. A peer of another clusterset (`mesh_core.trust.ForeignTrust`) has texts of its own: each end tells its own,
   and the other believes them for this one peer (`foreign_loop`).
"""

import asyncio
from typing import Never

from mesh_controller.peer_stream import PeerStream
from mesh_controller.trust_loop import TrustLoop
from mesh_core.identity import Domain
from mesh_core.peer_wire import Hello, Trust
from mesh_core.trust import Belief, Verdict, judge
from mesh_core.trust_exchange import Has, news
from mesh_core.trust_statement import Held
from mesh_runtime.tls import Believed, PeerRefused


class TrustTalk:
    """The trust of one stream with `proved`, who OpenSSL says is there; `domain` is our own."""

    def __init__(self, loop: TrustLoop, *, proved: Believed, domain: Domain) -> None:
        self._loop = loop
        self._proved = proved
        # By the root: two clustersets may have chosen one domain.
        is_foreign = bool(loop.rules.foreign_by(proved.chain.root))
        self._is_ours = proved.identity.domain == domain and not is_foreign
        self._is_foreign = is_foreign
        self._has = Has()
        self._theirs = Has()
        self._greeted = asyncio.Event()
        self.has_taken = False

    @property
    def peer(self) -> str:
        """The cluster id of the other end."""
        return self._proved.identity.cluster

    @property
    def verdict(self) -> Verdict:
        """What the rules of the moment make of the other end."""
        return judge(self._proved.identity, chain=self._proved.chain, trust=self._loop.rules)

    @property
    def is_believed(self) -> bool:
        """Whether the other end is believed now."""
        return self.verdict.belief is Belief.BELIEVED

    def admit(self) -> bool:
        """Whether the other end is believed, False for a newcomer; raises PeerRefused for anybody else."""
        verdict = self.verdict
        if verdict.belief in (Belief.EVICTED, Belief.MISPLACED):
            raise PeerRefused(verdict.words)
        return verdict.belief is Belief.BELIEVED

    def greet(self, theirs: Hello) -> None:
        """The other end has said hello."""
        said = Has(theirs.trust_generation, theirs.trust_revision)
        # What another clusterset numbers has nothing to do with our numbers.
        self._theirs, self._has = said, self._has if self._is_foreign else said
        self._greeted.set()

    @property
    def is_ahead(self) -> bool:
        """Whether the other end has said that it has newer texts than are in force here."""
        held = self._loop.foreign.held(self.peer) if self._is_foreign else self._loop.membership.held
        return self._theirs.generation > held.generation or self._theirs.revision > held.revision

    def news(self) -> tuple[Trust, ...]:
        """What the other end lacks; it counts as sent."""
        if not (self._is_ours or self._is_foreign):
            return ()
        held = self._loop.membership.held
        found = news(held, has=self._has)
        self._has = self._has.also(held)
        return found

    def take(self, offered: Trust) -> None:
        """The other end passes on texts; raises PeerProtocolError when there are too many."""
        if not (self._is_ours or self._is_foreign):
            return
        chain = self._proved.chain
        key = chain.issuer or chain.intermediate
        if self._is_foreign:
            taken = self._loop.take_foreign(offered, sender=self.peer)
        else:
            taken = self._loop.take(offered, sender=self.peer, key=key)
            self._has = self._has.also(taken)
        self.has_taken = self.has_taken or taken != Held()

    async def until_believed(self) -> None:
        """Return when the other end is believed; raises PeerRefused when it will not be."""
        membership = self._loop.membership
        while True:
            seen = membership.current
            if self.admit():
                return
            await membership.after(seen)

    async def watch(self) -> Never:
        """Raise PeerRefused as soon as the rules refuse the other end."""
        membership = self._loop.membership
        while True:
            seen = membership.current
            verdict = self.verdict
            if verdict.belief is not Belief.BELIEVED:
                raise PeerRefused(verdict.words)
            await membership.after(seen)

    async def pass_on(self, stream: PeerStream) -> Never:
        """Send what is newer than what the other end has, whenever there is something."""
        await self._greeted.wait()
        membership = self._loop.membership
        while True:
            held = membership.held
            await stream.send(self.news())
            await membership.held_after(held)
