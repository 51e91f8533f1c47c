"""Leadership of a process that stops for a while: it must not write what somebody else may write by now."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from mesh_fakes.api_server import FakeApiServer
from mesh_fakes.under_way import under_way
from mesh_runtime.kube import CONFIG_MAPS, LEASES, KubeClient, LeaderElection, NotLeading
from mesh_runtime.kube.leader import LEASE_SECONDS, RENEW_LIMIT, RETRY_SECONDS

pytestmark = pytest.mark.asyncio
jumping = pytest.mark.looptime

NOTE = {"metadata": {"name": "a", "namespace": "default"}}


@dataclass(slots=True)
class Frozen:
    """A monotonic clock of a process that stood still for `seconds`; everybody else's went on."""

    seconds: float = 0.0

    def __call__(self) -> float:
        return asyncio.get_running_loop().time() + self.seconds


@asynccontextmanager
async def leader(
    api: FakeApiServer, clock: Frozen, *, terms: list[float] | None = None
) -> AsyncIterator[LeaderElection]:
    """`a`, which leads; in `terms` stands when it began to, each time."""
    election = LeaderElection(api.client("a"), namespace="default", name="hub", identity="a", now=clock)

    async def lead() -> None:
        if terms is not None:
            terms.append(clock())
        await asyncio.Event().wait()

    async with under_way(election.run(lead)):
        await asyncio.sleep(RETRY_SECONDS)
        assert election.leading
        yield election


def may(election: LeaderElection) -> bool:
    try:
        election.may_write()
    except NotLeading:
        return False
    return True


@jumping
async def test_a_leader_may_write_for_as_long_as_nobody_else_can_have_its_lease() -> None:
    api, clock = FakeApiServer(), Frozen()
    async with leader(api, clock) as election:
        assert may(election)
        await asyncio.sleep(10 * LEASE_SECONDS)
        assert may(election)
        api.stop()
        await asyncio.sleep(RENEW_LIMIT)
        assert not may(election)
        assert RENEW_LIMIT < LEASE_SECONDS


@jumping
async def test_a_thawed_leader_may_write_nothing_before_its_loop_has_turned_once() -> None:
    api, clock = FakeApiServer(), Frozen()
    async with leader(api, clock) as election:
        clock.seconds += LEASE_SECONDS
        assert election.leading and not may(election)


@jumping
async def test_a_leader_whose_lease_is_somebody_elses_stands_down_at_its_next_look() -> None:
    api, clock = FakeApiServer(), Frozen()
    async with leader(api, clock) as election:
        body = {"spec": {"holderIdentity": "b", "renewTime": "2026-01-01T00:00:00.000000Z"}}
        await api.client("b").merge_patch(LEASES, "hub", body, namespace="default")
        await asyncio.sleep(RETRY_SECONDS + 0.1)
        assert not election.leading
        found = await api.client().get(LEASES, "hub", namespace="default")
        assert found.spec.holder_identity == "b"


@jumping
async def test_a_thawed_leader_whose_lease_nobody_took_goes_on_once_it_has_renewed_it() -> None:
    api, clock = FakeApiServer(), Frozen()
    async with leader(api, clock) as election:
        clock.seconds += 100.0
        assert not may(election)
        await asyncio.sleep(RETRY_SECONDS + 0.1)
        assert may(election)


@jumping
async def test_a_lease_lasts_from_the_asking_and_not_from_an_answer_that_was_read_late() -> None:
    api, clock = FakeApiServer(), Frozen()
    terms: list[float] = []
    async with leader(api, clock, terms=terms):
        # Frozen while the answer to the next renewal is on its way: somebody may have led meanwhile.
        api.after_write["a"] = lambda: setattr(clock, "seconds", clock.seconds + 1.5 * LEASE_SECONDS)
        await asyncio.sleep(RETRY_SECONDS + 0.1)
        assert len(terms) == 2, "what it had begun ended, and it was elected again"


def forbidden(*, from_call: int) -> Callable[[], None]:
    """Lets the first calls pass."""
    calls = [0]

    def may_write() -> None:
        calls[0] += 1
        if calls[0] >= from_call:
            raise NotLeading

    return may_write


Write = Callable[[KubeClient], Awaitable[object]]
WRITES: dict[str, Write] = {
    "create": lambda client: client.create(CONFIG_MAPS, NOTE),
    "replace": lambda client: client.replace(CONFIG_MAPS, NOTE),
    "merge_patch": lambda client: client.merge_patch(CONFIG_MAPS, "a", {}, namespace="default"),
    "apply": lambda client: client.apply(CONFIG_MAPS, NOTE, field_manager="test"),
    "delete": lambda client: client.delete(CONFIG_MAPS, "a", namespace="default"),
    "anything": lambda client: client.request("POST", "/apis/x/y", body={}),
}


@pytest.mark.parametrize("from_call", [1, 2], ids=["as it is asked for", "as its bytes leave"])
@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
async def test_a_write_that_is_forbidden_does_not_reach_the_server_and_reads_do(
    write: Write, from_call: int
) -> None:
    came: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        came.append(request.method)
        return web.json_response({"metadata": {"name": "a"}})

    async with served(answer) as client:
        with pytest.raises(NotLeading):
            await write(client.only_while(forbidden(from_call=from_call)))
        assert came == []
        # Whoever acts as somebody else by it is limited by it too.
        with pytest.raises(NotLeading):
            await write(client.only_while(forbidden(from_call=from_call)).acting_as("b"))
        await client.only_while(forbidden(from_call=1)).get(CONFIG_MAPS, "a", namespace="default")
        await write(client.only_while(forbidden(from_call=99)))
        assert len(came) == 2 and came[0] == "GET"


@asynccontextmanager
async def served(answer: Callable[[web.Request], Awaitable[web.Response]]) -> AsyncIterator[KubeClient]:
    """A client of a server that gives this answer to everything."""

    async def no_authorization() -> dict[str, str]:
        return {}

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    async with TestServer(app) as server, aiohttp.ClientSession() as session:
        yield KubeClient(session, server=str(server.make_url("")), authorization=no_authorization)
