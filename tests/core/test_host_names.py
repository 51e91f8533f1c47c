"""Business host names: what manifests ask for, and what is said of a certificate that was refused."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from mesh_cli.placement.hosts_verdict import Shown, Verdict, refused
from mesh_core.objects import ImportPort
from mesh_core.ranges import ranges_of
from mesh_fakes.route_objects import exported, imported, local, objects_of
from mesh_gateway.ground import Ground
from mesh_gateway.route import Address
from mesh_gateway.route_table import route_table
from mesh_placement.decide.host_names import HostName, host_names
from mesh_placement.objects import Override

HOST = "shop.example.com"
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
DAY = timedelta(days=1)


# Any: JSON.
def export(public: str | None, *, name: str = "checkout", **more: str) -> dict[str, Any]:
    annotations = {**({"meshctl.dev/public": public} if public is not None else {}), **more}
    return {
        "apiVersion": "multicluster.x-k8s.io/v1beta1",
        "kind": "ServiceExport",
        "metadata": {"name": name, "namespace": "shop", "annotations": annotations},
    }


def test_the_names_of_all_exports_are_those_of_the_placement() -> None:
    service = {**export("1=other.example.com"), "apiVersion": "v1", "kind": "Service"}
    found = host_names(
        [service, export(f"https={HOST}"), export("5432=db.example.com", name="db"), export(None, name="x")],
        overrides=(),
    )
    assert found.names == (
        HostName("db.example.com", "shop", "db", 5432),
        HostName(HOST, "shop", "checkout", "https"),
    )
    assert found.faults == ()


def test_what_counts_is_what_the_overrides_of_that_member_leave() -> None:
    path = "/metadata/annotations/meshctl.dev~1public"
    override = Override(patch=({"op": "replace", "path": path, "value": "https=eu.example.com"},))
    found = host_names([export(f"https={HOST}")], overrides=(override,))
    assert [one.host for one in found.names] == ["eu.example.com"]
    broken = Override(patch=({"op": "remove", "path": "/metadata/none"},), kind="ServiceExport")
    found = host_names([export(f"https={HOST}")], overrides=(broken,))
    assert found.names == ()
    assert "ServiceExport/shop/checkout" in found.faults[0]


@pytest.mark.parametrize(
    ("manifests", "why"),
    [
        ([export("https=Shop.example.com")], "the export shop/checkout is withheld: the annotation"),
        (
            [export(f"https={HOST}", **{"meshctl.dev/allow": "east"})],
            "contradicts that; remove one of the two",
        ),
        (
            [export(f"https={HOST}"), export(f"https={HOST}", name="other")],
            f"{HOST} is asked for by shop/checkout and shop/other, and one of them gets nothing",
        ),
    ],
)
def test_what_no_gateway_could_follow_is_said(manifests: list[dict[str, Any]], why: str) -> None:
    (fault,) = host_names(manifests, overrides=()).faults
    assert why in fault


def test_manifests_that_are_no_objects_have_no_names() -> None:
    odd: list[dict[str, Any]] = [
        {},
        {"kind": 1},
        {**export(None), "metadata": {"name": "x", "annotations": 7}},
    ]
    assert host_names(odd, overrides=()).names == ()


def test_a_gateway_in_front_leads_to_gateways_that_its_operator_lets_it_dial_and_to_no_others() -> None:
    """docs/placement.md, "Business host names": a Service without selector, its slice by hand."""
    objects = objects_of(
        local("192.0.2.7", "198.51.100.9", service="front", port=15443, name="https"),
        imports=[imported("front", ImportPort(port=443, name="https"))],
        exports=[exported("front", annotations={"meshctl.dev/public": f"https={HOST}"})],
    )
    table = route_table(replace(objects, ground=Ground(external=ranges_of(["192.0.2.0/24"]))))
    assert table.public[HOST].endpoints == (Address("192.0.2.7", 15443),)
    assert route_table(replace(objects, ground=Ground())).public == {}


@pytest.mark.parametrize(
    ("names", "start", "end", "verdict", "why"),
    [
        (("www.example.com",), -DAY, DAY, Verdict.WRONG_NAME, f"is for www.example.com, not for {HOST}; "),
        ((), -DAY, DAY, Verdict.WRONG_NAME, "is for no DNS name at all, not for"),
        (tuple("abcde"), -DAY, DAY, Verdict.WRONG_NAME, "is for a, b, c and 2 more, not for"),
        (("www.example.com",), -2 * DAY, -DAY, Verdict.WRONG_NAME, "not for"),
        ((HOST,), -2 * DAY, -DAY, Verdict.NOT_IN_TIME, "has ended at 2026-11-21T12:00:00Z; renew it"),
        ((HOST,), DAY, 2 * DAY, Verdict.NOT_IN_TIME, "is good from 2026-11-23T12:00:00Z on"),
        (("*.example.com",), -DAY, DAY, Verdict.NOT_BELIEVED, "is not believed: self-signed; name its CA"),
    ],
)
def test_of_what_is_wrong_with_a_certificate_the_name_comes_first(
    names: tuple[str, ...], start: timedelta, end: timedelta, verdict: Verdict, why: str
) -> None:
    found = refused(Shown(names, NOW + start, NOW + end), host=HOST, now=NOW, why="self-signed")
    assert found.verdict is verdict
    assert why in found.why


def test_what_stands_in_a_certificate_is_one_short_printable_line() -> None:
    names = ("\x1b[2Jgood\r\n", "x" * 10_000, "\u202eevil", *("y",) * 10_000)
    found = refused(Shown(names, NOW - DAY, NOW + DAY), host=HOST, now=NOW, why="")
    assert found.why.isprintable()
    assert len(found.why) < 400
