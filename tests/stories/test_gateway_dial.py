"""How the ingress half gets a connection to a local endpoint: which, and what happens when one fails."""

import asyncio
import resource
import socket
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager

import pytest

from mesh_fakes.backends import backend, saying
from mesh_fakes.gateways import LOOPBACK, free_port, on_both_loops
from mesh_fakes.waiting import until
from mesh_gateway.dial import Dialled, Dialler
from mesh_gateway.errors import NoEndpoint
from mesh_gateway.limits import Limits
from mesh_gateway.metrics import GatewayMetrics
from mesh_gateway.route import Address, Ingress
from mesh_gateway.time_limit import TimeLimit
from mesh_gateway.traffic import Traffic

CLIENT = "west/10.244.1.5"


def dialler(limits: Limits | None = None, *, metrics: GatewayMetrics | None = None) -> Dialler:
    limits = limits or Limits(connect=10.0)
    return Dialler(traffic=Traffic(limits), limits=limits, metrics=metrics)


def nobody() -> Address:
    """An address that refuses connections."""
    return Address(LOOPBACK, free_port())


@contextmanager
def deaf() -> Iterator[Address]:
    """An address that answers nothing: its queue of connections is full, and Linux drops what comes."""
    with socket.create_server((LOOPBACK, 0), backlog=0) as server:
        address = Address(*server.getsockname()[:2])
        fillers = [socket.socket() for _ in range(3)]
        try:
            for filler in fillers:
                filler.setblocking(False)
                filler.connect_ex((address.host, address.port))
            yield address
        finally:
            for filler in fillers:
                filler.close()


async def programs(stack: AsyncExitStack, *names: str) -> tuple[Address, ...]:
    return tuple([await stack.enter_async_context(backend(saying(name.encode()))) for name in names])


async def hang_up(dialled: Dialled) -> Address:
    """Ends the connection; the endpoint that it went to."""
    dialled.stream.abort()
    await asyncio.sleep(0)
    return dialled.endpoint


@on_both_loops
async def test_equal_endpoints_take_turns() -> None:
    async with AsyncExitStack() as stack:
        route = Ingress(await programs(stack, "a", "b", "c"))
        one = dialler()
        seen = [await hang_up(await one.dial(route, client=CLIENT)) for _ in range(6)]
        assert seen == [*route.endpoints] * 2


@on_both_loops
async def test_connections_that_are_opened_at_the_same_time_are_spread() -> None:
    async with AsyncExitStack() as stack:
        route = Ingress(await programs(stack, "a", "b", "c"))
        one = dialler()
        found = await asyncio.gather(*(one.dial(route, client=CLIENT) for _ in range(9)))
        seen = [await hang_up(dialled) for dialled in found]
        assert {endpoint: seen.count(endpoint) for endpoint in route.endpoints} == dict.fromkeys(
            route.endpoints, 3
        )


@on_both_loops
async def test_a_client_keeps_its_endpoint_in_every_worker_and_moves_only_when_it_fails() -> None:
    async with AsyncExitStack() as stack:
        route = Ingress(await programs(stack, "a", "b", "c"), affinity=True)
        workers = [dialler() for _ in range(3)]
        seen = {await hang_up(await worker.dial(route, client=CLIENT)) for worker in workers}
        assert len(seen) == 1
        others = {
            await hang_up(await workers[0].dial(route, client=f"west/10.244.1.{last}")) for last in range(30)
        }
        assert others == set(route.endpoints), "other clients have others"
        broken = Ingress(
            tuple(nobody() if endpoint in seen else endpoint for endpoint in route.endpoints), affinity=True
        )
        moved = {await hang_up(await worker.dial(broken, client=CLIENT)) for worker in workers}
        assert moved <= set(broken.endpoints)


@on_both_loops
async def test_an_endpoint_that_refuses_is_replaced_and_left_alone_by_all_services_that_list_it() -> None:
    async with AsyncExitStack() as stack:
        good, other = await programs(stack, "good", "other")
        bad = nobody()
        metrics = GatewayMetrics()
        one = dialler(metrics=metrics)
        assert await hang_up(await one.dial(Ingress((bad, good)), client=CLIENT)) == good
        assert (metrics.numbers.ejections, metrics.numbers.retries["endpoint"], one.ejected) == (1, 1, 1)
        for _ in range(6):
            assert await hang_up(await one.dial(Ingress((bad, other)), client=CLIENT)) == other
        assert metrics.numbers.retries["endpoint"] == 1, "nobody tried it again"


@on_both_loops
async def test_when_all_failed_all_are_tried() -> None:
    one = dialler(Limits(endpoints=2))
    route = Ingress((nobody(), nobody()))
    for _ in range(2):
        with pytest.raises(NoEndpoint):
            await one.dial(route, client=CLIENT)
    async with backend(saying(b"back")) as back:
        healed = Ingress((route.endpoints[0], back))
        assert await hang_up(await one.dial(healed, client=CLIENT)) == back


@on_both_loops
async def test_one_that_does_not_answer_in_time_is_replaced() -> None:
    async with AsyncExitStack() as stack:
        (good,) = await programs(stack, "good")
        silent = stack.enter_context(deaf())
        one = dialler(Limits(connect=0.2))
        assert await hang_up(await one.dial(Ingress((silent, good)), client=CLIENT)) == good
        with pytest.raises(NoEndpoint, match="no answer in time"):
            await one.dial(Ingress((silent,)), client=CLIENT)


@on_both_loops
async def test_no_endpoint_is_told_with_the_reason() -> None:
    with pytest.raises(NoEndpoint, match="none is ready"):
        await dialler().dial(Ingress(()), client=CLIENT)
    with pytest.raises(NoEndpoint, match=LOOPBACK):
        await dialler().dial(Ingress((nobody(),)), client=CLIENT)


@on_both_loops
async def test_an_endpoint_is_not_blamed_when_we_have_no_descriptor_left() -> None:
    async with AsyncExitStack() as stack:
        route = Ingress(await programs(stack, "a", "b"))
        one = dialler()
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        with socket.socket() as lowest:
            resource.setrlimit(resource.RLIMIT_NOFILE, (lowest.fileno() + 1, hard))
            try:
                with pytest.raises(NoEndpoint, match="it is this gateway that cannot"):
                    await one.dial(route, client=CLIENT)
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert one.ejected == 0
        assert await hang_up(await one.dial(route, client=CLIENT)) in route.endpoints


@on_both_loops
async def test_a_caller_who_gives_up_is_not_told_of_a_timeout_and_leaves_nothing_pending() -> None:
    with deaf() as silent:
        one = dialler()
        dialling = asyncio.create_task(one.dial(Ingress((silent,)), client=CLIENT))
        await asyncio.sleep(0.01)
        dialling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await dialling
        assert one.ejected == 0


@on_both_loops
async def test_one_limit_ends_each_wait_in_its_time() -> None:
    limit = TimeLimit(0.05)
    ended: list[int] = []

    async def wait(number: int) -> None:
        with pytest.raises(TimeoutError):
            with limit.wait():
                await asyncio.Event().wait()
        ended.append(number)

    async with asyncio.TaskGroup() as group:
        for number in range(5):
            group.create_task(wait(number))
            await asyncio.sleep(0.005)
        with limit.wait():
            await asyncio.sleep(0.01)  # in time
    assert ended == [0, 1, 2, 3, 4]
    task = asyncio.create_task(wait(5))
    await until(lambda: ended == [0, 1, 2, 3, 4, 5])
    await task


@on_both_loops
async def test_a_task_that_is_cancelled_when_its_time_is_over_ends_cancelled() -> None:
    limit = TimeLimit(0.02)
    begun = asyncio.Event()

    async def wait() -> None:
        with limit.wait():
            begun.set()
            try:
                await asyncio.Event().wait()
            finally:
                waiting.cancel()

    waiting = asyncio.create_task(wait())
    await begun.wait()
    with pytest.raises(asyncio.CancelledError):
        await waiting
