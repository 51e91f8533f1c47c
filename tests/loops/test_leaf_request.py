"""A leaf by way of the API: posted, watched, and every way in which it can end."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from mesh_core.objects import CertificateSigningRequest
from mesh_core.signing import LEAF_USAGES
from mesh_fakes.api_server import FakeApiServer
from mesh_fakes.clusterset import FakeClusterset, identity
from mesh_fakes.waiting import until
from mesh_runtime.kube import CSRS, Unreachable
from mesh_runtime.leaf_request import NotSigned, RequestedLeaf
from mesh_runtime.pem import certificates_from_pem, certificates_to_pem, key_from_pem, same_key
from mesh_runtime.pki import make_leaf
from mesh_runtime.proof import prove
from mesh_runtime.request_answer import approve, deny, give
from mesh_runtime.signing_request import request_in
from mesh_runtime.tls import Credentials

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]

GATEWAY = "system:serviceaccount:meshctl-system:meshctl-gateway"
WEST = identity("west")


@asynccontextmanager
async def asking(
    server: FakeApiServer, *, limit: float = 600.0
) -> AsyncIterator[tuple[CertificateSigningRequest, asyncio.Task[Credentials]]]:
    """A request that was posted, and the task that waits for its answer."""
    issuer = RequestedLeaf(server.client(GATEWAY), limit=limit)
    task = asyncio.create_task(issuer.issue(WEST))
    await until(lambda: bool(server.requests))
    (request,) = (await server.client().list(CSRS)).items
    try:
        yield request, task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_the_request_says_what_the_certificate_is_for() -> None:
    async with asking(FakeApiServer()) as (request, _task):
        assert request.metadata.name.startswith("meshctl-gateway-")
        assert request.spec.signer_name == "meshctl.dev/leaf"
        assert request.spec.usages == LEAF_USAGES
        assert request.spec.username == GATEWAY
        assert request_in(request).uris == (WEST.uri,)


async def test_the_certificate_fits_the_key_that_never_left() -> None:
    server, clusterset = FakeApiServer(), FakeClusterset()
    async with asking(server) as (request, task):
        issuer = clusterset.member("west")
        key = request_in(request).public_key
        leaf = make_leaf(issuer, identity=WEST, public_key=key, now=clusterset.now)
        approved = await approve(server.client(), request, message="it is one of us")
        chain = certificates_to_pem((leaf, issuer.certificate))
        await give(server.client(), approved, chain_pem=chain)
        credentials = await task
    prove(credentials, identity=WEST, roots=clusterset.roots)
    shown = certificates_from_pem(credentials.chain_pem, what="chain")[0]
    own = key_from_pem(credentials.key_pem, what="key")
    assert same_key(own.public_key(), shown.public_key())


async def test_a_denial_is_told_in_its_own_words() -> None:
    server = FakeApiServer()
    async with asking(server) as (request, task):
        await deny(server.client(), request, reason="RequesterNotAllowed", message="not you")
        with pytest.raises(NotSigned, match="RequesterNotAllowed not you"):
            await task


async def test_a_deleted_request_is_an_answer() -> None:
    server = FakeApiServer()
    async with asking(server) as (request, task):
        await server.client().delete(CSRS, request.metadata.name)
        with pytest.raises(NotSigned, match="deleted"):
            await task


async def test_nobody_is_waited_for_longer_than_the_limit() -> None:
    began = asyncio.get_running_loop().time()
    async with asking(FakeApiServer()) as (_request, task):
        with pytest.raises(NotSigned, match="no answer in 600 s"):
            await task
    assert asyncio.get_running_loop().time() - began == pytest.approx(600, abs=1)


async def test_an_answer_given_while_the_api_server_was_away_is_found() -> None:
    server, clusterset = FakeApiServer(), FakeClusterset()
    async with asking(server) as (request, task):
        server.stop()
        await asyncio.sleep(timedelta(minutes=2).total_seconds())
        server.start()
        chain = clusterset.credentials("west").chain_pem
        await give(server.client(), request, chain_pem=chain)
        assert (await task).chain_pem == chain


async def test_without_an_api_server_nothing_is_asked() -> None:
    server = FakeApiServer(is_down=True)
    with pytest.raises(Unreachable):
        await RequestedLeaf(server.client(GATEWAY)).issue(WEST)
