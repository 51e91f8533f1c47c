"""The access proxy's certificate: made once, published, renewed, and never somebody else's."""

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509

from mesh_core.names import SYSTEM_NAMESPACE
from mesh_core.objects import Secret
from mesh_fakes.api_server import FakeApiServer
from mesh_fakes.waiting import until
from mesh_placement.access.certificate import LIFE, MadeCertificate, make_certificate
from mesh_placement.access.serving import RENEWED_BEFORE, Serving
from mesh_placement.names import ACCESS_API_SERVICE, ACCESS_SERVING_SECRET
from mesh_placement.resources import API_SERVICES
from mesh_runtime.kube import SECRETS, KubeClient

pytestmark = pytest.mark.asyncio

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@asynccontextmanager
async def serving(kube: KubeClient, *, now: datetime = NOW) -> AsyncIterator[Serving]:
    """The loop, which runs."""
    one = Serving(kube, hosts=("access.example",), clock=lambda: now)
    task = asyncio.ensure_future(one.run())
    try:
        yield one
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def hub_with(kube: KubeClient, made: MadeCertificate | None = None) -> None:
    """What the manifests bring, with a certificate of somebody's if there is one."""
    data = {}
    if made is not None:
        values = {"tls.key": made.key_pem, "tls.crt": made.certificate_pem, "ca.crt": made.ca_pem}
        data = {name: base64.b64encode(value).decode() for name, value in values.items()}
    meta = {"name": ACCESS_SERVING_SECRET, "namespace": SYSTEM_NAMESPACE}
    await kube.create(SECRETS, {"metadata": meta, "data": data})
    await kube.create(API_SERVICES, {"metadata": {"name": ACCESS_API_SERVICE}, "spec": {}})


async def secret_in(kube: KubeClient) -> Secret:
    return await kube.get(SECRETS, ACCESS_SERVING_SECRET, namespace=SYSTEM_NAMESPACE)


async def bundle_in(kube: KubeClient) -> list[x509.Certificate]:
    """The CAs by which the hub's API server believes the proxy."""
    encoded = (await kube.get(API_SERVICES, ACCESS_API_SERVICE)).spec.ca_bundle
    return x509.load_pem_x509_certificates(base64.b64decode(encoded or ""))


async def test_it_is_made_published_and_shared_by_replicas() -> None:
    server = FakeApiServer()
    await hub_with(server.client())
    async with serving(server.client("a")) as one, serving(server.client("b")) as other:
        await until(lambda: one.latest.value is not None and one.latest.value == other.latest.value)
        assert one.latest.value is not None
        leaf = x509.load_pem_x509_certificate(one.latest.value.chain_pem)
        (ca,) = await bundle_in(server.client())
        leaf.verify_directly_issued_by(ca)
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        wanted = {"placement-access.meshctl-system.svc", "access.example"}
        assert wanted <= set(names.get_values_for_type(x509.DNSName))
    written = server.requests.copy()
    async with serving(server.client("c")) as third:
        await until(lambda: third.latest.value is not None)
    assert server.requests == written, "a second run changes nothing"


async def test_the_next_one_comes_in_time_and_both_cas_are_believed_meanwhile() -> None:
    server = FakeApiServer()
    kube = server.client()
    await hub_with(kube)
    async with serving(kube) as one:
        await until(lambda: one.latest.value is not None)
        first = one.latest.value
    before = NOW + LIFE - timedelta(seconds=RENEWED_BEFORE) - timedelta(hours=1)
    async with serving(kube, now=before) as early:
        await until(lambda: early.latest.value is not None)
        assert early.latest.value == first
    async with serving(kube, now=before + timedelta(hours=2)) as late:
        await until(lambda: late.latest.value is not None)
        assert late.latest.value is not None and late.latest.value != first
        newest, older = await bundle_in(kube)
        x509.load_pem_x509_certificate(late.latest.value.chain_pem).verify_directly_issued_by(newest)
        assert first is not None
        x509.load_pem_x509_certificate(first.chain_pem).verify_directly_issued_by(older)


async def test_a_certificate_of_somebody_else_is_left_alone_even_when_it_ends() -> None:
    server = FakeApiServer()
    kube = server.client()
    theirs = make_certificate(hosts=(), now=NOW)
    await hub_with(kube, theirs)
    before = (await secret_in(kube)).metadata.resource_version
    async with serving(kube, now=NOW + LIFE + timedelta(days=1)) as one:
        await until(lambda: one.latest.value is not None)
        assert one.latest.value is not None
        assert one.latest.value.chain_pem == theirs.certificate_pem
    assert (await secret_in(kube)).metadata.resource_version == before
    assert len(await bundle_in(kube)) == 1


async def test_without_an_api_service_it_is_shown_all_the_same() -> None:
    server = FakeApiServer()
    kube = server.client()
    await hub_with(kube)
    await kube.delete(API_SERVICES, ACCESS_API_SERVICE)
    async with serving(kube) as one:
        await until(lambda: one.latest.value is not None)
