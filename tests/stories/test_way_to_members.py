"""The hub's client for a member's API server: whichever way there is, with the token of the moment."""

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from mesh_core.objects import Meta
from mesh_fakes.access_hub import CLUSTER, MEMBER_TOKEN, AccessHub, fill
from mesh_fakes.far_api_server import Asked, FarApiServer, far_api_server
from mesh_fakes.waiting import until
from mesh_placement.decide.route import NoRoute
from mesh_placement.way.member import member_client
from mesh_placement.way.routes import Routes
from mesh_runtime.kube import NAMESPACES, SECRETS, KubeClient, Unreachable

pytestmark = pytest.mark.asyncio

NAMESPACE = f"cluster-{CLUSTER}"


@asynccontextmanager
async def routes_to(far: FarApiServer) -> AsyncIterator[tuple[Routes, KubeClient]]:
    """The ways of a hub that knows `far`, and the hub."""
    hub = AccessHub().client()
    await fill(hub, far, server=f"https://127.0.0.1:{far.port}/behind")
    routes = Routes(hub)
    task = asyncio.ensure_future(routes.run())
    try:
        await routes.synced()
        yield routes, hub
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def namespace(_asked: Asked, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    body = b'{"metadata":{"name":"default","uid":"7"}}'
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))


def token_of(routes: Routes) -> str:
    found = routes.to(CLUSTER)
    return "" if isinstance(found, NoRoute) else found.token


async def test_a_members_objects_are_read_with_the_token_of_the_moment(tmp_path: Path) -> None:
    async with far_api_server(tmp_path) as far, routes_to(far) as (routes, hub):
        far.answers["/behind/api/v1/namespaces/default"] = namespace
        async with member_client(CLUSTER, routes=routes, tunnel=None) as member:
            assert (await member.get(NAMESPACES, "default")).metadata == Meta(name="default", uid="7")
            body = {"data": {"token": base64.b64encode(b"the-next").decode()}}
            await hub.merge_patch(SECRETS, "access", body, namespace=NAMESPACE)
            await until(lambda: token_of(routes) == "the-next")
            await member.get(NAMESPACES, "default")
        tokens = [asked.values("Authorization") for asked in far.asked]
        assert tokens == [[f"Bearer {MEMBER_TOKEN}"], ["Bearer the-next"]]
        assert {asked.connection for asked in far.asked} == {1}


async def test_a_member_without_a_way_is_unreachable_and_says_why(tmp_path: Path) -> None:
    async with far_api_server(tmp_path) as far, routes_to(far) as (routes, hub):
        async with member_client(CLUSTER, routes=routes, tunnel=None) as member:
            await hub.delete(SECRETS, "access", namespace=NAMESPACE)
            await until(lambda: isinstance(routes.to(CLUSTER), NoRoute))
            with pytest.raises(Unreachable, match="does not let the hub in"):
                await member.get(NAMESPACES, "default")
            far.port = 1
        assert far.asked == []


async def test_whoever_else_answers_there_gets_nothing(tmp_path: Path) -> None:
    async with far_api_server(tmp_path, host="kubelet.example") as far, routes_to(far) as (routes, _hub):
        async with member_client(CLUSTER, routes=routes, tunnel=None) as member:
            with pytest.raises(Unreachable, match="its certificate names neither"):
                await member.get(NAMESPACES, "default")
        assert far.asked == []
