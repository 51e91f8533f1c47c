"""From the API server to the answer: what the DNS says as imports come, change, go, and as the API fails."""

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import kmock as kmock_library
import pytest

from mesh_dns.main import serve
from mesh_dns.settings import Settings
from mesh_dns.table import Table
from mesh_fakes.dns_process import asked
from mesh_fakes.dns_scene import (
    API,
    IMPORTS,
    NAMESPACES,
    NODATA,
    NOTHING,
    NXDOMAIN,
    ONE_NAMESPACE,
    SERVFAIL,
    SERVICES,
    SLICES,
    imported,
    said,
    scene,
    service,
)
from mesh_fakes.gateways import free_port
from mesh_fakes.kubeconfigs import kubeconfig
from mesh_fakes.scripted_api import Answer, page, refusal, watch
from mesh_fakes.scripted_api import serve as serve_script
from mesh_fakes.waiting import until

pytestmark = pytest.mark.asyncio

LIMIT = 60.0


@asynccontextmanager
async def following(
    server: kmock_library.RawHandler, *imports: Answer, services: tuple[Answer, ...] = NOTHING
) -> AsyncIterator[Table]:
    """A table that follows imports in one namespace, without slices."""
    async with scene(server, imports=imports, services=services) as found:
        yield found.table


async def test_nothing_is_denied_before_the_first_complete_list(kmock: kmock_library.RawHandler) -> None:
    held = watch(hold=True)
    half = page(imported("hello", "10.96.0.10", version=1), version=5, more="next")
    rest = page(imported("other", "10.96.0.11", version=2), version=5)
    async with following(kmock, refusal(503, "ServiceUnavailable"), half, rest, held) as table:
        assert said(table, "hello.demo.svc") == SERVFAIL
        assert said(table, "no.demo.svc") == SERVFAIL
        await until(lambda: table.complete)
        assert said(table, "hello.demo.svc") == "10.96.0.10"
        assert said(table, "other.demo.svc") == "10.96.0.11"
        assert said(table, "no.demo.svc") == NXDOMAIN


async def test_an_empty_cluster_is_complete_too(kmock: kmock_library.RawHandler) -> None:
    async with following(kmock, page(version=5), watch(hold=True)) as table:
        await until(lambda: table.complete)
        assert said(table, "hello.demo.svc") == NXDOMAIN
        assert said(table, "dns-version", "TXT") == '"1.0.0"'


async def test_an_import_without_addresses_exists_and_gets_them_later(
    kmock: kmock_library.RawHandler,
) -> None:
    later = watch(("MODIFIED", imported("hello", "fd00::10", "10.96.0.10", version=6)), hold=True)
    first = page(imported("hello", version=1), version=5)
    async with following(kmock, first, refusal(500, "InternalError"), later) as table:
        await until(lambda: table.complete)
        assert said(table, "hello.demo.svc") == NODATA
        await until(lambda: said(table, "hello.demo.svc") == "10.96.0.10")
        assert said(table, "hello.demo.svc", "AAAA") == "fd00::10"


async def test_imports_that_no_name_can_be_made_of_harm_nobody(kmock: kmock_library.RawHandler) -> None:
    odd = [
        imported("a.hello", "10.96.0.66", version=1),
        imported("x" * 64, "10.96.0.66", version=2),
        imported(".".join(["y" * 63] * 3), "10.96.0.66", version=3),
    ]
    first = page(*odd, imported("hello", "10.96.0.10", version=4), version=5)
    gone = watch(*(("DELETED", one) for one in odd), ("ADDED", imported("z", version=9)), hold=True)
    async with following(kmock, first, gone) as table:
        await until(lambda: said(table, "z.demo.svc") == NODATA)
        assert said(table, "hello.demo.svc") == "10.96.0.10"
        assert said(table, "a.hello.demo.svc") == NXDOMAIN


@pytest.mark.parametrize(
    "gone",
    [
        pytest.param(("DELETED", imported("hello", "10.96.0.10", version=7)), id="deleted"),
        pytest.param(("MODIFIED", imported("hello", version=7, type_="Headless")), id="headless now"),
        pytest.param(("MODIFIED", imported("hello", version=7, type_="Other")), id="of a type unknown to us"),
    ],
)
async def test_a_name_goes_with_its_import(
    kmock: kmock_library.RawHandler, gone: tuple[str, dict[str, Any]]
) -> None:
    first = page(imported("hello", "10.96.0.10", version=1), version=5)
    async with following(kmock, first, watch(gone, hold=True)) as table:
        await until(lambda: said(table, "hello.demo.svc") == NXDOMAIN)
        assert said(table, "demo.svc") == NXDOMAIN


async def test_the_last_good_names_stay_while_the_api_server_is_away(
    kmock: kmock_library.RawHandler,
) -> None:
    answers = (
        page(imported("hello", "10.96.0.10", version=1), version=5),
        refusal(410, "Expired"),
        refusal(503, "ServiceUnavailable"),
        page(imported("other", "10.96.0.11", version=8), version=9),
        watch(hold=True),
    )
    async with following(kmock, *answers) as table:
        await until(lambda: table.complete)
        assert said(table, "hello.demo.svc") == "10.96.0.10"
        await until(lambda: said(table, "other.demo.svc") == "10.96.0.11")
        assert said(table, "hello.demo.svc") == NXDOMAIN


async def test_the_name_server_has_the_addresses_of_our_own_service(
    kmock: kmock_library.RawHandler,
) -> None:
    services = (page(service("10.96.0.53", "fd00::53", version=1), version=2), watch(hold=True))
    async with following(kmock, page(version=5), watch(hold=True), services=services) as table:
        await until(lambda: table.complete and said(table, "ns.dns") == "10.96.0.53")
        assert said(table, "ns.dns", "AAAA") == "fd00::53"


async def test_without_leave_to_read_our_own_service_the_names_are_complete_all_the_same(
    kmock: kmock_library.RawHandler,
) -> None:
    services = (refusal(403, "Forbidden"),)
    async with following(kmock, page(version=5), watch(hold=True), services=services) as table:
        await until(lambda: table.complete)
        assert said(table, "ns.dns") == NODATA


async def test_the_pod_answers_from_the_start_is_ready_with_the_names_and_lingers_when_told_to_stop(
    kmock: kmock_library.RawHandler, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve_script(
        kmock, IMPORTS, [page(imported("hello", "10.96.0.10", version=1), version=5), watch(hold=True)]
    )
    serve_script(kmock, SERVICES, NOTHING)
    serve_script(kmock, SLICES, NOTHING)
    serve_script(kmock, NAMESPACES, ONE_NAMESPACE)
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig(tmp_path, server=str(kmock.url).rstrip("/") + API)))
    dns_port, health_port = free_port(), free_port()

    async with asyncio.timeout(LIMIT), aiohttp.ClientSession() as http:

        async def status() -> int:
            async with http.get(f"http://127.0.0.1:{health_port}/readyz") as response:
                return response.status

        pod = asyncio.create_task(serve(Settings(listen_port=dns_port, health_port=health_port, linger=0.5)))
        while await asked(dns_port) != "10.96.0.10" or await status() != 200:
            assert not pod.done()
        os.kill(os.getpid(), signal.SIGTERM)
        while await status() != 503:
            assert not pod.done()
        assert await asked(dns_port) == "10.96.0.10"
        await pod
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as again:
        again.bind(("127.0.0.1", dns_port))
