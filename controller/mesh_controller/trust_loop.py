"""Signed texts that peers pass on: judged here, and written to TrustBundle.status; run by every replica.

1. A text is taken only when a root that is believed here has signed it, and when it is newer than any that
   was seen (`mesh_runtime.trust_signing`). Nothing that is older is ever written, whoever writes it.
2. What is taken is in force when it was written and seen: then every component of this cluster goes by it,
   and the streams pass it on. There is no shorter way.
3. A sender is known by the key that let it in; what one key may have judged in a minute is bounded.
4. A refusal is shown in the condition `Accepted`, and logged once a minute for each sender and reason.
"""

import asyncio
from datetime import datetime, timedelta
from typing import Final, Protocol

from mesh_controller.act import Writer
from mesh_controller.caches import Caches
from mesh_controller.foreign_loop import ForeignLoop
from mesh_core.membership import Membership
from mesh_core.names import TRUST_BUNDLE
from mesh_core.objects.trust import Signed
from mesh_core.peer_wire import PeerProtocolError
from mesh_core.peer_wire import Trust as TrustMessage
from mesh_core.trust import OPEN, Trust
from mesh_core.trust_exchange import MOST_TEXTS, TextBudget, unseen
from mesh_core.trust_statement import BadTrust, Held, newer_of, read_revocations, read_statement
from mesh_core.trust_status import RefusedText, plan_trust_status, until_over
from mesh_runtime.clock import Clock
from mesh_runtime.log import logger
from mesh_runtime.membership import MembershipReader
from mesh_runtime.trust_signing import accepted_revocations, accepted_statement
from mesh_runtime.work import WorkQueue, work

_log = logger(__name__)

_LOGGED_EVERY: Final = timedelta(minutes=1)
_MOST_SENDERS: Final = 512
"""Senders whose budgets are remembered; beyond them those that are full are forgotten."""


class TextsReader(MembershipReader, Protocol):
    """Where the membership and the signed texts in force are read."""

    @property
    def held(self) -> Held:
        """The newest signed texts that were seen."""

    async def held_after(self, seen: Held) -> Held:
        """The newest signed texts, as soon as they are not `seen`."""


class TrustLoop:
    """Takes texts, and keeps the status true; make it before the caches run."""

    def __init__(self, *, caches: Caches, membership: TextsReader, writer: Writer, clock: Clock) -> None:
        self.membership = membership
        self.foreign = ForeignLoop(caches=caches, writer=writer)
        self._caches = caches
        self._writer = writer
        self._clock = clock
        self._taken = Held()
        self._refused: RefusedText | None = None
        self._budgets: dict[str, TextBudget] = {}
        self._logged: dict[tuple[str, str], datetime] = {}
        self._rules = OPEN
        self._queue: WorkQueue[str] = WorkQueue()
        caches.trust.on_change(lambda: self._queue.add(TRUST_BUNDLE))

    @property
    def rules(self) -> Trust:
        """Who is believed now; while this cluster has no membership, who was believed last."""
        current = self.membership.current
        if current is not None:
            self._rules = current.trust
        return self._rules

    def take(self, offered: TrustMessage, *, sender: str, key: str) -> Held:
        """Judge what `sender` passes on, who was let in by `key` (KeyId); what was taken of it.

        Raises PeerProtocolError when it sends more than is looked at.
        """
        membership = self.membership.current
        if membership is None:
            return Held()
        fresh, taken = unseen(offered, held=self._newest()), Held()
        if fresh.statement is not None:
            taken = self._judged(fresh.statement, sender=sender, key=key, member=membership)
        if fresh.revocations is not None:
            more = self._judged(fresh.revocations, sender=sender, key=key, member=None)
            taken = newer_of(taken, more)
        if taken != Held():
            _log.info(
                "a peer passed on newer trust",
                peer=sender,
                generation=taken.generation,
                revision=taken.revision,
            )
            self._taken = newer_of(taken, self._taken)
            self._queue.add(TRUST_BUNDLE)
        return taken

    def take_foreign(self, offered: TrustMessage, *, sender: str) -> Held:
        """The same for a peer with a root of its own, of what its own clusterset has signed."""
        # By its id: it can make as many keys as it likes.
        self._spend(sender=sender, key=sender)
        return self.foreign.take(offered, sender=sender)

    async def run(self) -> None:
        """Write, for ever."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.foreign.run())
            group.create_task(self._follow())
            group.create_task(work(self._queue, self._show, name="trust"))

    def _newest(self) -> Held:
        return newer_of(self.membership.held, self._taken)

    def _judged(self, text: Signed, *, sender: str, key: str, member: Membership | None) -> Held:
        """One text: a statement for `member`, or without it revocations; nothing when it is not taken."""
        self._spend(sender=sender, key=key)
        try:
            return self._statement(text, member=member) if member else self._revocations(text)
        except BadTrust as error:
            self._refuse(RefusedText(sender, str(error), self._clock()))
            return Held()

    def _statement(self, text: Signed, *, member: Membership) -> Held:
        held = self._newest()
        if read_statement(text.text).generation <= held.generation:
            # Nobody's fault: what we say of ourselves is what all of this cluster goes by, so it lags.
            return Held()
        bundle = self._caches.trust.get(TRUST_BUNDLE)
        pins = bundle.spec.pins if bundle is not None else ()
        statement = accepted_statement(text, held=held, domain=member.domain, roots=member.roots, pins=pins)
        return Held(statement=statement, signed_statement=text)

    def _revocations(self, text: Signed) -> Held:
        held = self._newest()
        if read_revocations(text.text).number <= held.revision:
            return Held()
        return Held(revocations=accepted_revocations(text, held=held), signed_revocations=text)

    def _spend(self, *, sender: str, key: str) -> None:
        now = asyncio.get_running_loop().time()
        if len(self._budgets) >= _MOST_SENDERS:
            self._budgets = {one: left for one, left in self._budgets.items() if not left.is_full(now=now)}
        if not self._budgets.setdefault(key, TextBudget(at=now)).spend(now=now):
            raise PeerProtocolError(f"{sender} passes on more than {MOST_TEXTS} texts of trust a minute")

    def _refuse(self, refused: RefusedText) -> None:
        self._refused = refused
        self._queue.add(TRUST_BUNDLE)
        said = (refused.sender, refused.why)
        last = self._logged.get(said)
        if last is None or refused.at - last >= _LOGGED_EVERY:
            self._logged = {one: at for one, at in self._logged.items() if refused.at - at < _LOGGED_EVERY}
            self._logged[said] = refused.at
            _log.warning("a text of trust is refused", peer=refused.sender, why=refused.why)

    async def _follow(self) -> None:
        """Look again when other texts are in force; those of another clusterset are forgotten."""
        held = self.membership.held
        while True:
            self._queue.add(TRUST_BUNDLE)
            before, held = held, await self.membership.held_after(held)
            if held.generation < before.generation:
                # A bundle goes back in number only when it is another clusterset's, or gone.
                self._taken = Held()

    async def _show(self, name: str) -> float | None:
        bundle = self._caches.trust.get(name)
        if bundle is None:
            return None
        now = self._clock()
        plan = plan_trust_status(bundle, held=self._newest(), refused=self._refused, now=now)
        await self._writer.write(plan)
        return until_over(bundle, refused=self._refused, now=now)
