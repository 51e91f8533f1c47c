"""From the API server to the answer, for headless imports: endpoints, imports, namespaces come and go."""

import kmock as kmock_library
import pytest

from mesh_core.names import LABEL_SERVICE_NAME
from mesh_fakes.dns_scene import (
    NODATA,
    NOTHING,
    NXDOMAIN,
    SERVFAIL,
    ZONE,
    endpoint,
    imported,
    namespace,
    piece,
    said,
    scene,
    then,
)
from mesh_fakes.scripted_api import Answer, page, refusal, watch
from mesh_fakes.waiting import until

pytestmark = pytest.mark.asyncio

LIMIT = 60.0
HEADLESS = imported("db", version=1, type_="Headless")


@pytest.mark.parametrize("missing", ["imports", "slices", "namespaces"])
async def test_nothing_is_denied_before_imports_slices_and_namespaces_have_all_been_seen(
    kmock: kmock_library.RawHandler, missing: str
) -> None:
    lists = {
        "imports": page(imported("hello", "10.96.0.10", version=1), HEADLESS, version=5),
        "slices": page(piece("db-east", endpoint("10.0.0.1"), version=1), version=5),
        "namespaces": page(namespace(), version=5),
    }
    scripts: dict[str, tuple[Answer, ...]] = {kind: (one, watch(hold=True)) for kind, one in lists.items()}
    # The other two have been asked for and worked before the third is given.
    scripts[missing] = (*[refusal(503, "ServiceUnavailable")] * 2, *scripts[missing])
    imports, slices, namespaces = scripts["imports"], scripts["slices"], scripts["namespaces"]
    async with scene(kmock, imports=imports, slices=slices, namespaces=namespaces) as found:
        table = found.table

        def answers() -> bool:
            if table.complete:
                return True
            assert said(table, "db.demo.svc") == said(table, "no.demo.svc") == SERVFAIL
            return False

        await until(answers, limit=LIMIT)
        assert said(table, "hello.demo.svc") == "10.96.0.10"
        assert said(table, "db.demo.svc") == "10.0.0.1"
        assert said(table, "no.demo.svc") == NXDOMAIN


async def test_only_imported_slices_are_asked_for(kmock: kmock_library.RawHandler) -> None:
    async with scene(kmock, imports=NOTHING) as found:
        await until(lambda: len(found.slices.asked) == 2)
        assert [one["labelSelector"] for one in found.slices.asked] == [LABEL_SERVICE_NAME] * 2


async def test_a_headless_import_answers_as_its_endpoints_come_turn_and_go(
    kmock: kmock_library.RawHandler,
) -> None:
    waiting = piece("db-east", endpoint("10.0.0.1", hostname="db-0", ready=False), version=1)
    imports = page(HEADLESS, version=5), watch(hold=True)
    async with scene(kmock, imports=imports, slices=(page(waiting, version=5), watch())) as found:
        table = found.table
        await until(lambda: table.complete)
        assert said(table, "db.demo.svc") == said(table, "demo.svc") == NXDOMAIN

        ready = piece("db-east", endpoint("10.0.0.1", hostname="db-0"), version=6)
        then(found.slices, ("MODIFIED", ready))
        await until(lambda: said(table, "db.demo.svc") == "10.0.0.1")
        assert said(table, "db-0.east.db.demo.svc") == "10.0.0.1"
        assert said(table, "demo.svc") == said(table, "_tcp.db.demo.svc") == NODATA
        assert said(table, "_sql._tcp.db.demo.svc", "SRV") == f"0 100 5432 db-0.east.db.demo.svc.{ZONE}"

        then(found.slices, ("ADDED", piece("db-west", endpoint("10.1.0.1"), version=7, cluster="west")))
        await until(lambda: said(table, "db.demo.svc") == "10.0.0.1 10.1.0.1")

        then(found.slices, ("DELETED", piece("db-east", version=8)))
        await until(lambda: said(table, "db.demo.svc") == "10.1.0.1")
        assert said(table, "db-0.east.db.demo.svc") == NXDOMAIN

        gone = piece("db-west", endpoint("10.1.0.1", ready=False), version=9, cluster="west")
        then(found.slices, ("MODIFIED", gone))
        await until(lambda: said(table, "db.demo.svc") == NXDOMAIN)
        assert said(table, "10-1-0-1.west.db.demo.svc") == said(table, "demo.svc") == NXDOMAIN


async def test_a_slice_that_changes_hands_leaves_nothing_behind(kmock: kmock_library.RawHandler) -> None:
    imports = page(HEADLESS, imported("other", version=2, type_="Headless"), version=5), watch(hold=True)
    first = piece("db-east", endpoint("10.0.0.1"), version=1)
    async with scene(kmock, imports=imports, slices=(page(first, version=5), watch())) as found:
        await until(lambda: said(found.table, "db.demo.svc") == "10.0.0.1")
        other = piece("db-east", endpoint("10.0.0.1"), version=6, service="other")
        then(found.slices, ("MODIFIED", other))
        await until(lambda: said(found.table, "other.demo.svc") == "10.0.0.1")
        await until(lambda: said(found.table, "db.demo.svc") == NXDOMAIN)


async def test_an_import_that_turns_headless_and_back_has_the_names_of_its_type(
    kmock: kmock_library.RawHandler,
) -> None:
    slices = (page(piece("db-east", endpoint("10.0.0.1"), version=1), version=5), watch(hold=True))
    imports = page(imported("db", "10.96.0.10", version=1), version=5), watch()
    async with scene(kmock, imports=imports, slices=slices) as found:
        table = found.table
        await until(lambda: said(table, "db.demo.svc") == "10.96.0.10")
        assert said(table, "10-0-0-1.east.db.demo.svc") == NXDOMAIN
        then(found.imports, ("MODIFIED", imported("db", version=6, type_="Headless")))
        await until(lambda: said(table, "db.demo.svc") == "10.0.0.1")
        assert said(table, "10-0-0-1.east.db.demo.svc") == "10.0.0.1"
        then(found.imports, ("MODIFIED", imported("db", "10.96.0.10", version=7)))
        await until(lambda: said(table, "db.demo.svc") == "10.96.0.10")
        assert said(table, "10-0-0-1.east.db.demo.svc") == NXDOMAIN


@pytest.mark.parametrize("type_", ["ClusterSetIP", "Headless"])
async def test_names_come_and_go_with_the_namespace_object(
    kmock: kmock_library.RawHandler, type_: str
) -> None:
    imports = page(imported("db", "10.0.0.1", version=1, type_=type_), version=5), watch(hold=True)
    slices = page(piece("db-east", endpoint("10.0.0.1"), version=1), version=5), watch(hold=True)
    namespaces = page(namespace("other"), version=1), watch()
    async with scene(kmock, imports=imports, slices=slices, namespaces=namespaces) as found:
        table = found.table
        await until(lambda: table.complete)
        assert said(table, "db.demo.svc") == said(table, "demo.svc") == NXDOMAIN
        then(found.namespaces, ("ADDED", namespace(version=2)))
        await until(lambda: said(table, "db.demo.svc") == "10.0.0.1")
        then(found.namespaces, ("MODIFIED", namespace(version=3)), ("DELETED", namespace(version=5)))
        await until(lambda: said(table, "db.demo.svc") == NXDOMAIN)
        assert said(table, "demo.svc") == NXDOMAIN


async def test_slices_of_an_import_that_is_not_there_make_no_name(kmock: kmock_library.RawHandler) -> None:
    odd = [
        piece("no-import", endpoint("10.0.0.1"), version=1, service="no"),
        piece("odd", endpoint("10.0.0.1"), version=2, service="A.b_c"),
        piece("empty", endpoint("10.0.0.1"), version=3, service=""),
    ]
    async with scene(kmock, imports=NOTHING, slices=(page(*odd, version=5), watch(hold=True))) as found:
        await until(lambda: found.table.complete)
        assert said(found.table, "no.demo.svc") == said(found.table, "demo.svc") == NXDOMAIN
