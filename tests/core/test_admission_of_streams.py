"""What a member is given of what it asks for, and whom it must name for it (rulings 17, 26, 28)."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh_core.allow import allow_of
from mesh_core.identity import cluster_id, domain
from mesh_gateway.admission import Denied, admit, admit_probe, client_key, partly
from mesh_gateway.opening import Answer, Reason, Source, read_answer, write_message
from mesh_gateway.route import Address, Ingress, RouteTable, ServicePort

HELLO, DB = ServicePort("demo", "hello", 80), ServicePort("demo", "db", 5432)
GONE, OUTSIDE = ServicePort("demo", "gone", 80), ServicePort("demo", "outside", 80)
POD = Address("10.244.0.5", 8080)
TABLE = RouteTable(
    cluster=cluster_id("east"),
    domain=domain("clusterset.internal"),
    egress={},
    ingress={HELLO: Ingress((POD,))},
    controllers=(),
    gateways={},
    contested=(),
    exported=frozenset({("demo", "hello"), ("demo", "gone"), ("demo", "outside")}),
    external=frozenset({OUTSIDE}),
)

TILL = Source(address="10.1.0.7", port=40000, namespace="shop", account="till", pod="till-1")
OTHER = Source(address="10.1.0.8", namespace="other", account="till", pod="x")
NODE = Source(address="192.0.2.1", node=True)
NOBODY = Source(address="10.1.0.9")


def decided(
    allow: list[str] | None, source: Source | None, *, caller: str = "west", passed: bool = True
) -> Ingress | Reason:
    route = Ingress((POD,), None if allow is None else allow_of(allow))
    table = replace(TABLE, ingress={HELLO: route})
    found = admit(HELLO, caller=caller, source=source, table=table, passed=passed)
    if isinstance(found, Denied):
        return found.reason
    assert found is route
    return found


@pytest.mark.parametrize("source", [None, TILL, NODE, NOBODY])
@pytest.mark.parametrize("passed", [True, False])
@pytest.mark.parametrize("allow", [None, ["west"], ["*"], ["north", "west", "west/shop"]])
def test_where_a_whole_cluster_is_allowed_nobody_asks_for_the_source(
    allow: list[str] | None, source: Source | None, passed: bool
) -> None:
    assert isinstance(decided(allow, source, passed=passed), Ingress)


@pytest.mark.parametrize(
    ("allow", "source", "outcome"),
    [
        (["west/shop"], TILL, None),
        (["west/shop"], OTHER, Reason.NOT_ALLOWED),
        (["west/shop"], NODE, Reason.NOT_ALLOWED),
        (["west/shop"], NOBODY, Reason.SOURCE_UNKNOWN),
        (["west/shop"], None, Reason.SOURCE_UNKNOWN),
        (["west/shop/till"], TILL, None),
        (["west/shop/clerk"], TILL, Reason.NOT_ALLOWED),
        (["*/shop/till"], TILL, None),
        (["west/@node"], NODE, None),
        (["west/@node"], TILL, Reason.NOT_ALLOWED),
        (["west/@node"], NOBODY, Reason.SOURCE_UNKNOWN),
        (["north"], TILL, Reason.NOT_ALLOWED),
        (["north/shop"], TILL, Reason.NOT_ALLOWED),
        (["north/shop"], None, Reason.NOT_ALLOWED),
        ([], TILL, Reason.NOT_ALLOWED),
        (["west/shop/till/and/more"], TILL, Reason.NOT_ALLOWED),
    ],
)
def test_where_a_part_is_allowed_the_source_must_be_it(
    allow: list[str], source: Source | None, outcome: Reason | None
) -> None:
    found = decided(allow, source)
    assert found is outcome if outcome else isinstance(found, Ingress)


@pytest.mark.parametrize("allow", [["west/shop"], ["*/shop/till"], ["west/@node"]])
def test_a_source_that_no_gateway_vouches_for_counts_for_nothing(allow: list[str]) -> None:
    for source in (TILL, NODE, None):
        assert decided(allow, source, passed=False) is Reason.SOURCE_UNKNOWN


def test_a_gateway_speaks_only_for_its_own_cluster() -> None:
    assert isinstance(decided(["west/shop"], TILL, caller="west"), Ingress)
    assert decided(["west/shop"], TILL, caller="north") is Reason.NOT_ALLOWED


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        (GONE, Reason.NO_ENDPOINT),
        (replace(HELLO, port=81), Reason.NO_ENDPOINT),
        (replace(HELLO, protocol="UDP"), Reason.NO_ENDPOINT),
        (replace(HELLO, endpoint="hello-0"), Reason.NO_ENDPOINT),
        (OUTSIDE, Reason.EXTERNAL_ADDRESS),
        (DB, Reason.NOT_EXPORTED),
        (replace(HELLO, namespace="other"), Reason.NOT_EXPORTED),
    ],
)
def test_what_is_not_in_the_table_is_refused_with_why(asked: ServicePort, reason: Reason) -> None:
    found = admit(asked, caller="west", source=TILL, table=TABLE, passed=True)
    assert isinstance(found, Denied)
    assert found.reason is reason
    assert f"{asked.namespace}/{asked.service}" in found.why


@given(
    namespace=st.text(max_size=63),
    service=st.text(max_size=63),
    ours=st.text(max_size=63),
    account=st.text(max_size=253),
    known=st.booleans(),
)
def test_a_refusal_fits_into_an_answer_whatever_the_names(
    namespace: str, service: str, ours: str, account: str, known: bool
) -> None:
    asked = ServicePort(namespace, service, 80)
    table = replace(TABLE, ingress={asked: Ingress((POD,), allow_of(["west/shop"]))} if known else {})
    source = Source(namespace=ours, account=account)
    found = admit(asked, caller="w" * 63, source=source, table=table, passed=True)
    assert isinstance(found, Denied)
    assert found.why.isascii()
    assert found.why.isprintable()
    sent = write_message(Answer(reason=found.reason.value, why=found.why))
    assert read_answer(sent[2:]).why == found.why


def test_a_client_of_affinity_is_an_address_in_a_cluster_ruling_14() -> None:
    assert client_key("west", source=TILL, address="192.0.2.9") == "west/10.1.0.7"
    assert client_key("west", source=None, address="192.0.2.9") == "west/192.0.2.9"
    assert client_key("west", source=Source(), address="192.0.2.9") == "west/192.0.2.9"


@pytest.mark.parametrize(
    ("allow", "outcome", "in_part"),
    [
        (None, None, False),
        (["west"], None, False),
        (["*"], None, False),
        (["west/shop"], None, True),
        (["*/shop/till"], None, True),
        (["west/@node"], None, True),
        (["north"], Reason.NOT_ALLOWED, True),
        (["north/shop"], Reason.NOT_ALLOWED, True),
        ([], Reason.NOT_ALLOWED, True),
    ],
)
def test_a_probe_is_let_through_where_anything_in_its_cluster_would_be(
    allow: list[str] | None, outcome: Reason | None, in_part: bool
) -> None:
    route = Ingress((POD,), None if allow is None else allow_of(allow))
    table = replace(TABLE, ingress={HELLO: route})
    found = admit_probe(HELLO, caller="west", table=table)
    assert (found.reason if isinstance(found, Denied) else None) is outcome
    assert partly(route, caller="west") is in_part


@pytest.mark.parametrize(
    ("asked", "outcome"),
    [
        (replace(HELLO, port=0), None),
        (replace(HELLO, port=0, service="dns"), Reason.UNSUPPORTED),
        (replace(HELLO, service="dns", protocol="UDP"), Reason.UNSUPPORTED),
        (replace(GONE, port=0), Reason.NO_ENDPOINT),
        (replace(DB, port=0), Reason.NOT_EXPORTED),
        (DB, Reason.NOT_EXPORTED),
        (OUTSIDE, Reason.EXTERNAL_ADDRESS),
    ],
)
def test_a_probe_without_a_port_means_the_services_first(asked: ServicePort, outcome: Reason | None) -> None:
    dns = ServicePort("demo", "dns", 53, protocol="UDP")
    table = replace(
        TABLE,
        ingress={HELLO: Ingress((POD,)), dns: Ingress((POD,))},
        first={("demo", "hello"): HELLO, ("demo", "dns"): dns},
    )
    found = admit_probe(asked, caller="west", table=table)
    assert (found.reason if isinstance(found, Denied) else None) is outcome
