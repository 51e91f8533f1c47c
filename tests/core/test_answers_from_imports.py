"""What a ServiceImport lets the zone say, and what changes of imports leave behind."""

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh_core.objects import ImportPort, ImportSpec, Meta, ServiceImport
from mesh_dns.imports import MOST_ADDRESSES, addresses, has_name
from mesh_dns.question import Question
from mesh_dns.table import ZONE, Answer, Table
from mesh_dns.wire import CLASS_INTERNET, Rcode, Type, labels

LABELS = st.sampled_from(["a", "b", "c-1"])


def imported(*, name: str = "hello", namespace: str = "demo", type_: str = "ClusterSetIP") -> ServiceImport:
    return ServiceImport(
        metadata=Meta(name=name, namespace=namespace),
        spec=ImportSpec(type=type_, ports=(ImportPort(port=80),), ips=("10.0.0.1",)),
    )


def find(table: Table, *below_zone: str, type_: Type = Type.A) -> Answer | None:
    name = labels(*below_zone) + ZONE
    starts, at = [], 0
    while name[at]:
        starts.append(at)
        at += 1 + name[at]
    return table.find(Question(name, tuple(starts), type_, CLASS_INTERNET, 12 + len(name) + 4, None))


@pytest.mark.parametrize(
    ("one", "named"),
    [
        (imported(), True),
        (imported(name="1st"), True),
        (imported(name="x" * 63), True),
        (imported(type_="Headless"), False),
        (imported(type_=""), False),
        (imported(name="a.b"), False),
        (imported(name="x" * 64), False),
        (imported(name="-a"), False),
        (imported(name="a-"), False),
        (imported(name="Hello"), False),
        (imported(name="_http"), False),
        (imported(name="a\n"), False),
        (imported(name=""), False),
        (imported(namespace=""), False),
        (imported(namespace="a.b"), False),
    ],
)
def test_only_a_clusterset_ip_import_whose_names_are_labels_has_a_name(
    one: ServiceImport, named: bool
) -> None:
    assert has_name(one) is named


@pytest.mark.parametrize(
    ("texts", "kept"),
    [
        ((), ()),
        (("10.0.0.1",), ("10.0.0.1",)),
        (("fd00::1", "10.0.0.1"), ("fd00::1", "10.0.0.1")),
        (("10.0.0.1", "10.0.0.1"), ("10.0.0.1",)),
        (("FD00::1", "fd00:0::1"), ("fd00::1",)),
        (("", "None", "10.0.0.300", "10.0.0.1\n", "010.0.0.1", "fe80::1%eth0", "10.0.0.2"), ("10.0.0.2",)),
    ],
)
def test_addresses_keep_their_order_and_what_is_none_is_left_out(
    texts: tuple[str, ...], kept: tuple[str, ...]
) -> None:
    assert addresses(texts) == tuple(ip_address(text) for text in kept)


def test_an_import_with_very_many_addresses_answers_with_the_first_of_them() -> None:
    texts = tuple(f"10.0.{high}.{low}" for high in range(4) for low in range(1, 101))
    assert addresses(texts) == tuple(ip_address(text) for text in texts[:MOST_ADDRESSES])


def test_a_namespace_exists_as_long_as_one_of_its_names_does() -> None:
    table = Table()
    missing = find(table, "demo", "svc")
    assert missing is not None and missing.rcode is Rcode.NXDOMAIN

    table.put(namespace="demo", service="a", addresses=())
    table.put(namespace="demo", service="b", addresses=())
    table.put(namespace="demo", service="a", addresses=())  # a change of an import is no second name
    table.drop(namespace="demo", service="a")
    there = find(table, "demo", "svc")
    assert there is not None and there.rcode is Rcode.NOERROR and there.answers == 0

    table.drop(namespace="demo", service="b")
    table.drop(namespace="demo", service="b")
    assert find(table, "demo", "svc") == missing


@given(st.lists(st.tuples(st.booleans(), LABELS, LABELS), max_size=30))
def test_after_any_history_the_table_answers_like_a_new_one(
    history: list[tuple[bool, str, str]],
) -> None:
    lived, existing = Table(), set()
    for puts, namespace, service in history:
        if puts:
            lived.put(namespace=namespace, service=service, addresses=(ip_address("10.0.0.1"),))
            existing.add((namespace, service))
        else:
            lived.drop(namespace=namespace, service=service)
            existing.discard((namespace, service))
    fresh = Table()
    for namespace, service in sorted(existing):
        fresh.put(namespace=namespace, service=service, addresses=(ip_address("10.0.0.1"),))
    for namespace in ("a", "b", "c-1"):
        assert find(lived, namespace, "svc") == find(fresh, namespace, "svc")
        for service in ("a", "b", "c-1"):
            assert find(lived, service, namespace, "svc") == find(fresh, service, namespace, "svc")


def test_the_records_of_a_name_are_replaced_whole() -> None:
    table = Table()
    table.put(namespace="demo", service="hello", addresses=(ip_address("10.0.0.1"),))
    table.put(namespace="demo", service="hello", addresses=(ip_address("fd00::1"),))
    four, six = find(table, "hello", "demo", "svc"), find(table, "hello", "demo", "svc", type_=Type.AAAA)
    assert four is not None and four.answers == 0
    assert six is not None and six.answers == 1


@pytest.mark.parametrize("label", ["", "x" * 64, "ü"])
def test_what_is_no_label_is_never_written_into_a_name(label: str) -> None:
    with pytest.raises(ValueError):
        Table().put(namespace="demo", service=label, addresses=())
