"""What names lead to when one endpoint is meant, and whom an export allows."""

from dataclasses import replace

import pytest

from mesh_core.allow import Allow, allow_of
from mesh_core.names import ANNOTATION_ALLOW, ANNOTATION_TRAFFIC
from mesh_core.objects import EndpointSlice, ServiceExport, ServiceImport
from mesh_fakes.route_objects import (
    HELLO,
    exported,
    headless,
    imported,
    local,
    member,
    own,
    table_of,
)
from mesh_gateway.route import Address, Ingress, ServicePort

POD = Address("10.244.0.5", 8080)


def of_db(
    *slices: EndpointSlice,
    imports: tuple[ServiceImport, ...] = (headless(),),
    exports: tuple[ServiceExport, ...] = (exported("db"),),
) -> dict[tuple[str, int], list[str]]:
    """Addresses of `demo/db` by endpoint and number."""
    table = table_of(*slices, imports=imports, exports=exports)
    assert all((target.namespace, target.service) == ("demo", "db") for target in table.ingress)
    return {
        (target.endpoint, target.port): [str(address) for address in route.endpoints]
        for target, route in table.ingress.items()
    }


def test_each_endpoint_of_a_headless_service_has_a_name_and_the_service_has_none() -> None:
    found = of_db(own(member("10.244.0.5", hostname="db-0"), member("10.244.0.6")))
    assert found == {("db-0", 5432): ["10.244.0.5:5432"], ("10-244-0-6", 5432): ["10.244.0.6:5432"]}


def test_numbers_may_differ_from_endpoint_to_endpoint_ruling_10() -> None:
    found = of_db(
        own(member("10.244.0.5", hostname="db-0"), port=15432),
        own(member("10.244.0.6", hostname="db-1"), port=25432),
    )
    assert found == {("db-0", 15432): ["10.244.0.5:15432"], ("db-1", 25432): ["10.244.0.6:25432"]}


def test_of_a_hostname_with_both_families_the_ipv4_address_is_dialled() -> None:
    four = own(member("10.244.0.5", hostname="db-0"))
    six = own(member("fd00::5", hostname="db-0"), member("fd00::6"), member("fd00::"), family="IPv6")
    assert of_db(six, four) == {
        ("db-0", 5432): ["10.244.0.5:5432"],
        ("fd00--6", 5432): ["[fd00::6]:5432"],
        ("fd00--0", 5432): ["[fd00::]:5432"],
    }
    assert of_db(six)["db-0", 5432] == ["[fd00::5]:5432"]


def test_a_hostname_that_looks_like_another_endpoints_address_is_the_hostname() -> None:
    clash = member("10.244.0.6", hostname="10-244-0-5")
    assert of_db(own(member("10.244.0.5"), clash)) == {("10-244-0-5", 5432): ["10.244.0.6:5432"]}
    waiting = member("10.244.0.6", hostname="10-244-0-5", ready=False)
    assert of_db(own(member("10.244.0.5"), waiting)) == {}, "not ready, and nobody else's name either"


@pytest.mark.parametrize(
    "piece",
    [
        pytest.param(own(member("10.244.0.5", hostname="db-0", ready=False)), id="not ready"),
        pytest.param(own(member("10.244.0.5", hostname="db-0"), protocol="SCTP"), id="SCTP"),
        pytest.param(own(member("10.244.0.5", hostname="db-0"), source="east"), id="another cluster's"),
        pytest.param(own(member("169.254.169.254", hostname="db-0")), id="no pod's address, ruling 28"),
        pytest.param(own(member("::1"), family="IPv6"), id="loopback"),
        pytest.param(own(member("db-0.example"), family="FQDN"), id="a name"),
        pytest.param(own(), id="no endpoint"),
    ],
)
def test_an_endpoint_that_cannot_be_reached_has_no_name(piece: EndpointSlice) -> None:
    assert of_db(piece) == {}


def test_an_endpoint_is_named_by_number_and_protocol() -> None:
    udp = own(member("10.244.0.5", hostname="db-0"), protocol="UDP")
    target = ServicePort("demo", "db", 5432, endpoint="db-0", protocol="UDP")
    pod = (Address("10.244.0.5", 5432),)
    ingress = table_of(udp, imports=[headless()], exports=[exported("db")]).ingress
    assert {found: route.endpoints for found, route in ingress.items()} == {target: pod}
    tcp = own(member("10.244.0.5", hostname="db-0"))
    ingress = table_of(udp, tcp, imports=[headless()], exports=[exported("db")]).ingress
    assert {found: route.endpoints for found, route in ingress.items()} == {
        replace(target, protocol="TCP"): pod,
        target: pod,
    }


def test_an_endpoint_of_what_is_not_exported_or_not_headless_has_no_name() -> None:
    piece = own(member("10.244.0.5", hostname="db-0"))
    assert of_db(piece, exports=()) == {}
    assert of_db(piece, exports=(exported("db", going=True),)) == {}
    assert of_db(piece, imports=()) == {}
    assert of_db(piece, imports=(imported("db"),)) == {}


@pytest.mark.parametrize(
    ("annotations", "allow"),
    [
        ({}, None),
        ({"example.com/team": "db"}, None),
        ({ANNOTATION_TRAFFIC: "local-first"}, None),
        ({ANNOTATION_ALLOW: "east"}, allow_of(["east"])),
        ({ANNOTATION_ALLOW: "east, north/shop"}, allow_of(["north/shop", "east"])),
    ],
)
def test_a_route_carries_whom_its_export_allows(annotations: dict[str, str], allow: Allow | None) -> None:
    table = table_of(local("10.244.0.5"), exports=[exported(annotations=annotations)])
    assert table.ingress == {HELLO: Ingress((POD,), allow)}
    of_one = table_of(
        own(member("10.244.0.5", hostname="db-0")),
        imports=[headless()],
        exports=[exported("db", annotations=annotations)],
    )
    db_0 = ServicePort("demo", "db", 5432, endpoint="db-0")
    assert of_one.ingress == {db_0: Ingress((Address("10.244.0.5", 5432),), allow)}


@pytest.mark.parametrize(
    "annotations",
    [
        {"meshctl.dev/alow": "west"},
        {ANNOTATION_ALLOW: ""},
        {ANNOTATION_ALLOW: "east,"},
        {ANNOTATION_ALLOW: '["east"]'},
        {ANNOTATION_ALLOW: "East"},
        {ANNOTATION_ALLOW: "east", ANNOTATION_TRAFFIC: "sideways"},
    ],
)
def test_an_export_whose_annotations_cannot_be_followed_is_withheld_ruling_26(
    annotations: dict[str, str],
) -> None:
    exports = [exported(annotations=annotations), exported("db", annotations=annotations)]
    pieces = [local("10.244.0.5"), own(member("10.244.0.6", hostname="db-0"))]
    assert table_of(*pieces, imports=[imported(), headless()], exports=exports).ingress == {}
