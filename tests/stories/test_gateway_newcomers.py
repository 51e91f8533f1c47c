"""Who has an invitation and no certificate is passed through to the controller's door, and only so often."""

from dataclasses import replace

import pytest

from mesh_core.join_wire import JoinCode, JoinFailed
from mesh_fakes.clusterset import FakeClusterset
from mesh_fakes.gateways import ingress
from mesh_fakes.inviting import at_port, inviter, newcomer
from mesh_fakes.waiting import until
from mesh_gateway.route import Address
from mesh_runtime.join_stream import known_offer

pytestmark = pytest.mark.asyncio


async def test_a_cluster_comes_in_through_the_inviters_gateway() -> None:
    west, clusterset = newcomer(), FakeClusterset()
    async with inviter(clusterset=clusterset) as east, ingress(clusterset) as gateway:
        token = await east.at(east.invite())
        gateway.table = replace(gateway.table, joins=(Address("127.0.0.1", token.gateways[0].port),))
        west.prepare(at_port(token, gateway.address.port))
        async with west.running():
            await until(lambda: west.is_done)
        assert west.joined is not None and west.joined.status == "True"
        await until(lambda: gateway.traffic.admitted == 0)


async def test_while_no_invitation_is_open_the_gateway_closes_as_if_there_were_no_door() -> None:
    clusterset = FakeClusterset()
    async with inviter(clusterset=clusterset) as east, ingress(clusterset) as gateway:
        token = at_port(east.invite(), gateway.address.port)
        for joins in ((), (Address("127.0.0.1", 1),)):
            gateway.table = replace(gateway.table, joins=joins)
            with pytest.raises(JoinFailed) as error:
                await known_offer(token.gateways[0], token=token)
            assert error.value.code is JoinCode.UNREACHABLE
            assert "no invitation is open there" in error.value.what


async def test_one_source_may_ask_only_so_often() -> None:
    clusterset = FakeClusterset()
    async with inviter(clusterset=clusterset) as east, ingress(clusterset) as gateway:
        token = await east.at(east.invite())
        gateway.table = replace(gateway.table, joins=(Address("127.0.0.1", token.gateways[0].port),))
        asked = at_port(token, gateway.address.port)
        answers = 0
        for _ in range(12):
            try:
                await known_offer(asked.gateways[0], token=asked)
                answers += 1
            except JoinFailed as error:
                assert error.code is JoinCode.UNREACHABLE
        assert 4 <= answers <= 8, "each takes two connections, of ten at once and two a second"
