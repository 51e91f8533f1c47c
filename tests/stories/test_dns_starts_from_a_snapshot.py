"""A DNS server that starts while the API server is away says what it said last, and then what is so."""

import asyncio
import os
import signal
from ipaddress import ip_address
from pathlib import Path

import aiohttp
import kmock as kmock_library
import pytest

from mesh_dns.entry import Entry
from mesh_dns.main import serve
from mesh_dns.settings import Settings
from mesh_dns.snapshot import Zone, read_snapshot, write_snapshot
from mesh_dns.table import Table
from mesh_fakes.dns_process import asked
from mesh_fakes.dns_scene import (
    API,
    IMPORTS,
    NAMESPACES,
    NOTHING,
    NXDOMAIN,
    ONE_NAMESPACE,
    SERVFAIL,
    SERVICES,
    SLICES,
    endpoint,
    imported,
    piece,
    said,
    scene,
)
from mesh_fakes.gateways import free_port
from mesh_fakes.kubeconfigs import kubeconfig
from mesh_fakes.scripted_api import page, refusal, watch
from mesh_fakes.scripted_api import serve as serve_script
from mesh_fakes.waiting import until

pytestmark = pytest.mark.asyncio

HELLO = Entry(addresses=(ip_address("10.96.0.10"),))
GONE = Entry(addresses=(ip_address("10.96.0.66"),))
KEPT = {("demo", "hello"): HELLO, ("demo", "gone"): GONE, ("lost", "hello"): HELLO}
HEARD = 1_700_000_000.0
LIMIT = 60.0
AWAY = refusal(503, "ServiceUnavailable")


def begun() -> Table:
    table = Table()
    table.restore(KEPT, name_server=[ip_address("10.96.0.53")], heard=HEARD)
    return table


async def test_while_the_api_server_is_away_the_last_names_are_answered_and_their_age_is_known(
    kmock: kmock_library.RawHandler,
) -> None:
    async with scene(kmock, imports=(AWAY,), slices=(AWAY,), namespaces=(AWAY,), table=begun()) as found:
        await until(lambda: len(found.imports.asked) > 1)
        assert said(found.table, "hello.demo.svc") == "10.96.0.10"
        assert said(found.table, "no.demo.svc") == NXDOMAIN
        assert said(found.table, "ns.dns") == "10.96.0.53"
        assert (found.names.heard_ago() or 0) > 1_000_000


async def test_without_a_snapshot_nothing_is_known_meanwhile(kmock: kmock_library.RawHandler) -> None:
    async with scene(kmock, imports=(AWAY,), slices=(AWAY,), namespaces=(AWAY,)) as found:
        await until(lambda: len(found.imports.asked) > 1)
        assert said(found.table, "hello.demo.svc") == SERVFAIL
        assert found.names.heard_ago() is None


async def test_no_name_goes_before_all_lists_are_there_and_then_what_they_lack_goes(
    kmock: kmock_library.RawHandler,
) -> None:
    first = page(
        imported("hello", "10.96.0.11", version=1), imported("db", version=2, type_="Headless"), version=5
    )
    pieces = page(piece("db-1", endpoint("10.0.0.1"), version=1), version=5)
    held = watch(hold=True)
    async with scene(
        kmock, imports=(first, held), slices=(pieces, held), namespaces=(AWAY,), table=begun()
    ) as found:
        await until(lambda: len(found.imports.asked) > 1 and len(found.namespaces.asked) > 1)
        assert said(found.table, "hello.demo.svc") == "10.96.0.10"
        assert said(found.table, "gone.demo.svc") == "10.96.0.66"
        found.namespaces.answers[:] = ONE_NAMESPACE
        await until(lambda: found.table.snapshot_of is None)
        assert said(found.table, "hello.demo.svc") == "10.96.0.11"
        assert said(found.table, "db.demo.svc") == "10.0.0.1"
        assert said(found.table, "gone.demo.svc") == NXDOMAIN
        assert said(found.table, "hello.lost.svc") == said(found.table, "lost.svc") == NXDOMAIN
        assert (found.names.heard_ago() or 0) < 1_000


async def test_only_what_the_api_server_said_is_kept(kmock: kmock_library.RawHandler) -> None:
    kept: list[dict[tuple[str, str], Entry]] = []
    table = begun()
    first = page(imported("hello", "10.96.0.11", version=1), imported("new", version=2), version=5)
    later = watch(("DELETED", imported("new", version=7)), hold=True)
    async with scene(
        kmock,
        imports=(first, AWAY, later),
        table=table,
        changed=lambda: kept.append(dict(table.entries)),
    ) as found:
        await until(lambda: said(found.table, "new.demo.svc") == NXDOMAIN and not found.table.snapshot_of)
        await until(lambda: bool(kept) and kept[-1].keys() == {("demo", "hello")})
        assert kept[0].keys() <= {("demo", "hello"), ("demo", "new")}


async def test_a_pod_without_an_api_server_is_ready_with_its_snapshot_and_keeps_the_next_one(
    kmock: kmock_library.RawHandler, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_snapshot(Zone(HEARD, KEPT), folder=tmp_path)
    imports = serve_script(kmock, IMPORTS, [AWAY])
    serve_script(kmock, SERVICES, NOTHING)
    serve_script(kmock, SLICES, NOTHING)
    serve_script(kmock, NAMESPACES, ONE_NAMESPACE)
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig(tmp_path, server=str(kmock.url).rstrip("/") + API)))
    dns_port, health_port = free_port(), free_port()

    async with asyncio.timeout(LIMIT), aiohttp.ClientSession() as http:

        async def is_ready() -> bool:
            async with http.get(f"http://127.0.0.1:{health_port}/readyz") as response:
                return response.status == 200

        pod = asyncio.create_task(
            serve(Settings(snapshot=tmp_path, listen_port=dns_port, health_port=health_port, linger=0.5))
        )
        while await asked(dns_port) != "10.96.0.10" or not await is_ready():
            assert not pod.done()
        before = read_snapshot(tmp_path)
        assert before is not None and before.heard == HEARD, "what was not seen replaces nothing"
        hello = imported("hello", "10.96.0.11", version=1)
        imports.answers[:] = [page(hello, version=5), watch(hold=True)]
        while await asked(dns_port) != "10.96.0.11":
            assert not pod.done()
        while (now := read_snapshot(tmp_path)) is None or now.heard == HEARD:
            assert not pod.done()
            await asyncio.sleep(0)
        assert now.entries.keys() == {("demo", "hello")}
        os.kill(os.getpid(), signal.SIGTERM)
        await pod
