"""The debug port: the routes of the moment, for those inside the pod and nobody else."""

import aiohttp
import pytest

from mesh_core.identity import cluster_id
from mesh_fakes.gateways import HELLO, table_of
from mesh_gateway.debug import debug_server
from mesh_gateway.debug_page import TunnelSeen
from mesh_gateway.route import Address, Ingress, RouteTable
from mesh_runtime.binding import PortTaken

pytestmark = pytest.mark.asyncio


async def test_the_page_is_that_of_the_moment() -> None:
    table: list[RouteTable | None] = [None]
    tunnel = TunnelSeen(
        cluster=cluster_id("west"),
        address="192.0.2.7:15443",
        replica="gw-1",
        dialled=False,
        streams=2,
        rtt=None,
    )
    server = debug_server(0, table=lambda: table[0], tunnels=lambda: [tunnel])
    async with server as where, aiohttp.ClientSession() as session:
        url = f"http://127.0.0.1:{where.port}/debug/routes"
        async with session.get(url) as answer:
            assert answer.status == 200
            assert (await answer.json())["routes"] is None
        table[0] = table_of("east", ingress={HELLO: Ingress((Address("10.0.0.1", 8080),))})
        async with session.get(url, headers={"Host": f"localhost:{where.port}"}) as answer:
            page = await answer.json()
        assert page["routes"]["ingress"][0]["endpoints"] == ["10.0.0.1:8080"]
        assert page["peers"][0]["tunnels"][0]["streams"] == 2


@pytest.mark.parametrize("host", ["rebound.example:15481", "10.0.0.7:15481", "localhost.example", ""])
async def test_a_page_of_another_name_is_refused(host: str) -> None:
    server = debug_server(0, table=lambda: None, tunnels=lambda: [])
    async with server as where, aiohttp.ClientSession() as session:
        async with session.get(
            f"http://127.0.0.1:{where.port}/debug/routes", headers={"Host": host}
        ) as answer:
            assert answer.status in {400, 403}
            assert b"peers" not in await answer.read()


async def test_nobody_outside_the_pod_gets_there() -> None:
    async with debug_server(0, table=lambda: None, tunnels=lambda: []) as where:
        async with aiohttp.ClientSession() as session:
            # Any other address stands for that of the pod.
            with pytest.raises(aiohttp.ClientConnectorError):
                await session.get(f"http://127.0.0.2:{where.port}/debug/routes")
            async with session.get(f"http://127.0.0.1:{where.port}/metrics") as answer:
                assert answer.status == 404
            async with session.post(f"http://127.0.0.1:{where.port}/debug/routes") as answer:
                assert answer.status == 405
        with pytest.raises(PortTaken):
            async with debug_server(where.port, table=lambda: None, tunnels=lambda: []):
                pass
