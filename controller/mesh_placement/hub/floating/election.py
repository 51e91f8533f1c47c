"""Stands for the hub in every witness, and runs what leads (`decide.candidacy` decides).

1. `may_write` is asked before each write, like that of replicas: who was frozen, or cut off, writes nothing
   once somebody else may lead.
2. A witness that does not answer holds up a look for `ANSWER_LIMIT`, and no renewal of the others for longer.
3. What leads is cancelled when the majority is lost, and begins anew when it is there again.
4. Who leads and cannot begin (`TRIES`) makes room, long enough for another candidate to try.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Never

from mesh_core.errors import MeshError, causes
from mesh_core.plan import Json
from mesh_placement.decide.candidacy import LEASE_SECONDS, RETRY_SECONDS, Bid, Candidacy, SeenLease
from mesh_placement.names import HUB, WITNESS_NAMESPACE
from mesh_runtime.kube import LEASES, ApiError, KubeClient
from mesh_runtime.kube.errors import NotLeading
from mesh_runtime.log import logger
from mesh_runtime.side_by_side import side_by_side

_log = logger(__name__)

ANSWER_LIMIT: Final = 3.0
TRIES: Final = 4
ROOM_SECONDS: Final = 4 * RETRY_SECONDS
_LASTED: Final = 60.0
MOST_TERM: Final = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Term:
    """Of whom leads: its number, and the witnesses that were its majority when it began."""

    number: int
    held: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Witness:
    """One of them."""

    name: str
    kube: KubeClient

    async def read(self) -> SeenLease:
        """Its Lease. Raises ApiError, Unreachable, BadAnswer, TimeoutError."""
        async with asyncio.timeout(ANSWER_LIMIT):
            lease = await self.kube.find(LEASES, HUB, namespace=WITNESS_NAMESPACE)
        if lease is None:
            return SeenLease()
        return SeenLease(
            holder=lease.spec.holder_identity or "",
            term=lease.spec.lease_transitions or 0,
            version=lease.metadata.resource_version,
        )

    async def write(self, holder: str, *, term: int, over: str) -> bool:
        """Whether it was still the one with that version."""
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        meta: Json = {"name": HUB, "namespace": WITNESS_NAMESPACE}
        spec = {
            "holderIdentity": holder,
            "leaseDurationSeconds": LEASE_SECONDS,
            "renewTime": now,
            "leaseTransitions": term,
        }
        try:
            async with asyncio.timeout(ANSWER_LIMIT):
                if not over:
                    await self.kube.create(LEASES, {"metadata": meta, "spec": spec})
                else:
                    meta["resourceVersion"] = over
                    await self.kube.replace(LEASES, {"metadata": meta, "spec": spec})
        except ApiError as error:
            if error.is_conflict:
                return False
            raise
        return True


class FloatingElection:
    """One candidate; `name` is no other process's. `now` is a monotonic clock in seconds."""

    def __init__(
        self,
        name: str,
        *,
        witnesses: Sequence[Witness],
        now: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._candidacy = Candidacy(name, witnesses=[one.name for one in witnesses])
        self._witnesses = {one.name: one for one in witnesses}
        self._now = now
        self._jitter = jitter
        self._term = 0
        self._silent: set[str] = set()

    @property
    def is_leading(self) -> bool:
        """Whether this candidate is the hub."""
        return bool(self._term) and self._candidacy.leads(now=self._now())

    def may_write(self) -> None:
        """Law 1: raises NotLeading."""
        if not self.is_leading:
            raise NotLeading

    async def run(self, lead: Callable[[Term], Awaitable[None]]) -> Never:
        """Stand for ever; `lead` runs while leading. A MeshError of it is tried again as long as we lead,
        anything else passes on."""
        try:
            while True:
                await self._look()
                if not self._candidacy.leads(now=self._now()):
                    await self._give_up()
                    await asyncio.sleep(RETRY_SECONDS * (1.0 + self._jitter()))
                    continue
                self._term = self._candidacy.term
                _log.info("this cluster is the hub", term=self._term)
                try:
                    async with asyncio.TaskGroup() as group:
                        group.create_task(self._renew())
                        group.create_task(self._lead(lead))
                except* _Lost:
                    _log.warning("this cluster is the hub no more", term=self._term)
                except* _Unable:
                    _log.warning("this cluster makes room for another hub", term=self._term)
                    self._term = 0
                    await self._give_up()
                    await asyncio.sleep(ROOM_SECONDS)
                finally:
                    self._term = 0
        finally:
            await self._give_up()

    async def _lead(self, lead: Callable[[Term], Awaitable[None]]) -> None:
        failures = 0
        while failures < TRIES:
            began = self._now()
            try:
                await lead(Term(self._term, self._candidacy.held(now=began)))
            except* MeshError as errors:
                _log.warning("the hub does not go on", why=str(causes(errors)[0]))
            if not self.is_leading:
                raise _Lost
            failures = 1 if self._now() - began > _LASTED else failures + 1
            await asyncio.sleep(RETRY_SECONDS)
        raise _Unable

    async def _renew(self) -> Never:
        while True:
            await asyncio.sleep(RETRY_SECONDS)
            await self._look()
            if not self._candidacy.leads(now=self._now()):
                raise _Lost

    async def _look(self) -> None:
        """Read every witness, and write what follows."""
        found = await side_by_side(self._read(one) for one in self._witnesses.values())
        answered = [name for name in found if name]
        bids = self._candidacy.bids(answered, now=self._now())
        if self._term:
            await side_by_side(self._bid(one) for one in bids)
            return
        for bid in bids:
            # One after the other, all in the same order: of two that begin together one gets the first.
            if not await self._bid(bid):
                return

    async def _read(self, witness: Witness) -> str:
        """Its name once it has answered, else ""."""
        try:
            seen = await witness.read()
        except (MeshError, TimeoutError) as error:
            self._note(witness.name, why=str(error) or "no answer in time")
            return ""
        if not 0 <= seen.term < MOST_TERM:
            self._note(witness.name, why=f"its term is {seen.term}")
            return ""
        self._silent.discard(witness.name)
        self._candidacy.read(witness.name, seen, now=self._now())
        return witness.name

    async def _bid(self, bid: Bid) -> bool:
        asked = self._now()
        try:
            taken = await self._witnesses[bid.witness].write(
                self._candidacy.name, term=bid.term, over=bid.version
            )
        except (MeshError, TimeoutError) as error:
            self._note(bid.witness, why=str(error) or "no answer in time")
            return False
        if taken:
            self._candidacy.won(bid, asked=asked)
        return taken

    async def _give_up(self) -> None:
        """So that nobody has to wait for the end of what we hold."""
        held = self._candidacy.resign()
        await side_by_side(self._free(self._witnesses[name]) for name in held)

    async def _free(self, witness: Witness) -> None:
        try:
            seen = await witness.read()
            if seen.holder == self._candidacy.name:
                await witness.write("", term=seen.term, over=seen.version)
        except (MeshError, TimeoutError) as error:
            self._note(witness.name, why=str(error) or "no answer in time")

    def _note(self, witness: str, *, why: str) -> None:
        if witness not in self._silent:
            self._silent.add(witness)
            _log.warning("a witness does not answer as it should", witness=witness, why=why)


class _Lost(Exception):
    """The majority is gone."""


class _Unable(Exception):
    """Law 4."""
