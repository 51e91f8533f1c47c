"""Candidates stand in three witnesses: one leads, and stops before another one begins."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest

from mesh_core.errors import EnvironmentFault
from mesh_fakes.api_server import FakeApiServer
from mesh_fakes.under_way import under_way
from mesh_fakes.waiting import until
from mesh_placement.decide.candidacy import LEASE_SECONDS, RENEW_LIMIT, RETRY_SECONDS, SeenLease
from mesh_placement.hub.floating.election import FloatingElection, Term, Witness
from mesh_placement.names import HUB, WITNESS_NAMESPACE
from mesh_runtime.kube import LEASES, KubeClient, Unreachable
from mesh_runtime.kube.errors import NotLeading

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]

LIMIT = 120.0


@dataclass(frozen=True, slots=True)
class Way(Witness):
    """A witness behind a line that may be cut, without a word or with one."""

    cut: set[str] = field(default_factory=set)

    async def read(self) -> SeenLease:
        await self._pass()
        return await Witness.read(self)

    async def write(self, holder: str, *, term: int, over: str) -> bool:
        await self._pass()
        return await Witness.write(self, holder, term=term, over=over)

    async def _pass(self) -> None:
        if self.name in self.cut:
            raise Unreachable(server=self.name, why="the line is cut")


class Candidate:
    """A program that notes when it leads."""

    def __init__(self, name: str, *, witnesses: dict[str, FakeApiServer]) -> None:
        self.cut: set[str] = set()
        self.terms: list[Term] = []
        self.works = False
        self.fails = False
        ways = [Way(each, api.client(), self.cut) for each, api in witnesses.items()]
        loop = asyncio.get_running_loop()
        self.election = FloatingElection(name, witnesses=ways, now=loop.time, jitter=lambda: 0.5)

    async def lead(self, term: Term) -> None:
        self.terms.append(term)
        if self.fails:
            raise EnvironmentFault("the copy cannot be read", next_step="wait")
        with self._working():
            await asyncio.Event().wait()

    @contextmanager
    def _working(self) -> Iterator[None]:
        self.works = True
        try:
            yield
        finally:
            self.works = False


def three() -> dict[str, FakeApiServer]:
    return {name: FakeApiServer() for name in ("w0", "w1", "w2")}


async def test_one_leads_in_all_witnesses_and_the_other_waits() -> None:
    witnesses = three()
    first, second = Candidate("a/1", witnesses=witnesses), Candidate("b/1", witnesses=witnesses)
    async with under_way(first.election.run(first.lead)):
        await until(lambda: first.works, limit=LIMIT)
        async with under_way(second.election.run(second.lead)):
            await asyncio.sleep(600)
            assert first.election.is_leading
            assert len(first.terms) == 1
            assert second.terms == []
            for api in witnesses.values():
                lease = await holder(api.client())
                assert lease == "a/1"


async def holder(kube: KubeClient) -> str:
    lease = await kube.get(LEASES, HUB, namespace=WITNESS_NAMESPACE)
    return lease.spec.holder_identity or ""


async def test_who_ends_in_order_is_followed_at_once() -> None:
    witnesses = three()
    first, second = Candidate("a/1", witnesses=witnesses), Candidate("b/1", witnesses=witnesses)
    async with under_way(second.election.run(second.lead)):
        await until(lambda: second.works, limit=LIMIT)
        task = asyncio.ensure_future(first.election.run(first.lead))
        await asyncio.sleep(30)
    assert not second.works
    began = asyncio.get_running_loop().time()
    await until(lambda: first.works, limit=LIMIT)
    assert asyncio.get_running_loop().time() - began < LEASE_SECONDS
    assert first.terms[0].number > second.terms[0].number
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_who_is_cut_off_stops_before_the_other_begins_and_does_not_disturb_him_later() -> None:
    witnesses = three()
    first, second = Candidate("a/1", witnesses=witnesses), Candidate("b/1", witnesses=witnesses)
    now = asyncio.get_running_loop().time
    async with under_way(first.election.run(first.lead)):
        await until(lambda: first.works, limit=LIMIT)
        async with under_way(second.election.run(second.lead)):
            await asyncio.sleep(60)
            first.cut |= {"w1", "w2"}
            begun = now()
            await until(lambda: not first.election.is_leading, limit=LIMIT)
            assert now() - begun <= RENEW_LIMIT
            with pytest.raises(NotLeading):
                first.election.may_write()
            assert not second.works
            await until(lambda: second.works, limit=LIMIT)
            assert not first.works
            assert now() - begun <= LEASE_SECONDS + 10 * RETRY_SECONDS
            first.cut.clear()
            await asyncio.sleep(600)
            assert second.election.is_leading
            assert len(second.terms) == len(first.terms) == 1


async def test_a_witness_that_is_away_is_not_missed_and_without_most_of_them_nobody_leads() -> None:
    witnesses = three()
    first = Candidate("a/1", witnesses=witnesses)
    async with under_way(first.election.run(first.lead)):
        await until(lambda: first.works, limit=LIMIT)
        witnesses["w2"].stop()
        await asyncio.sleep(600)
        assert len(first.terms) == 1
        witnesses["w1"].stop()
        await until(lambda: not first.works, limit=LIMIT)
        await asyncio.sleep(60)
        assert len(first.terms) == 1
        witnesses["w1"].start()
        await until(lambda: first.works, limit=LIMIT)
        assert first.terms[1].number > first.terms[0].number


async def test_who_leads_and_cannot_begin_makes_room_for_another() -> None:
    witnesses = three()
    first, second = Candidate("a/1", witnesses=witnesses), Candidate("b/1", witnesses=witnesses)
    first.fails = True
    async with under_way(first.election.run(first.lead)):
        await until(lambda: bool(first.terms), limit=LIMIT)
        async with under_way(second.election.run(second.lead)):
            await until(lambda: second.works, limit=LIMIT)
            tried = len(first.terms)
            await asyncio.sleep(600)
            assert len(second.terms) == 1
            assert len(first.terms) == tried


async def test_a_witness_that_tells_a_term_beyond_all_reason_is_left_out() -> None:
    witnesses = three()
    spec = {"holderIdentity": "", "leaseTransitions": 2**31 - 1}
    meta = {"name": HUB, "namespace": WITNESS_NAMESPACE}
    await witnesses["w0"].client().create(LEASES, {"metadata": meta, "spec": spec})
    first = Candidate("a/1", witnesses=witnesses)
    async with under_way(first.election.run(first.lead)):
        await until(lambda: first.works, limit=LIMIT)
        assert first.terms[0].held == ("w1", "w2")
        assert first.terms[0].number == 1
