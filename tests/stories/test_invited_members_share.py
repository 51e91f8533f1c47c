"""From a token to the first import: two whole controllers, one of which was nobody before."""

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from mesh_controller.controller import Controller, Trust
from mesh_controller.intermediate_source import IntermediateSource
from mesh_controller.main import bound_socket
from mesh_core.objects import PeerGateway
from mesh_core.signing import CONTROLLER_ACCOUNT
from mesh_fakes.clusterset import FakeClusterset
from mesh_fakes.inviting import inviter, newcomer
from mesh_fakes.member_api import MemberApi
from mesh_fakes.members import GATEWAY_PODS, Member
from mesh_fakes.under_way import under_way
from mesh_fakes.waiting import until
from mesh_runtime.kube import MESH_PEERS
from mesh_runtime.membership import MembershipSource

pytestmark = pytest.mark.asyncio

GATEWAY = (PeerGateway(host="192.0.2.2", port=15443),)


@asynccontextmanager
async def controlled(api: MemberApi, name: str, listener: socket.socket) -> AsyncIterator[None]:
    """The controller of a cluster that is a member, or becomes one meanwhile."""
    kube = api.client(CONTROLLER_ACCOUNT)
    membership = MembershipSource(kube)
    source = IntermediateSource(kube, membership=membership)

    async def run() -> None:
        member = await membership.after(None)
        assert member is not None
        await Controller(
            kube, membership=member, trust=Trust(membership, source), listener=listener, name=name
        ).run()

    async with under_way(membership.run(), source.run(), run()):
        yield


def placed(peer: str, port: int) -> dict[str, Any]:  # Any: JSON
    return {"metadata": {"name": peer}, "spec": {"gateways": [{"host": "localhost", "port": port}]}}


def is_connected(member: Member, peer: str) -> bool:
    condition = member.connected(peer)
    return condition is not None and condition.status == "True"


async def test_whoever_came_in_by_a_token_shares_services_with_the_inviter() -> None:
    clusterset = FakeClusterset()
    newcomers = newcomer()
    with bound_socket(0) as at_east, bound_socket(0) as at_west:
        ports = [listener.getsockname()[1] for listener in (at_east, at_west)]
        async with inviter(clusterset=clusterset) as inviting:
            east = Member("east", clusterset, inviting.api)
            west = Member("west", clusterset, newcomers.api)
            for member in (east, west):
                member.api.namespace("demo", uid=f"{member.name}-demo")
                member.gateways(GATEWAY_PODS)
                member.service()
                member.endpoints("10.2.0.1")
            east.export()
            async with (
                controlled(east.api, "east", at_east),
                controlled(west.api, "west", at_west),
                newcomers.running(),
            ):
                newcomers.prepare(await inviting.at(inviting.invite()), gateways=GATEWAY)
                await until(lambda: newcomers.is_done)
                # Nobody is believed to be at loopback: where they are here only their operators can say.
                for member, peer, port in ((east, "west", ports[1]), (west, "east", ports[0])):
                    member.api.put(MESH_PEERS, placed(peer, port))
                await until(lambda: west.imported() is not None, limit=90)
                await until(lambda: is_connected(east, "west") and is_connected(west, "east"), limit=90)
                west.export()
                await until(lambda: len(east.slices("west")) > 0, limit=90)
