"""What a ServiceImport lets the zone say, and what changes of imports leave behind."""

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh_core.objects import ImportPort, ImportSpec, Meta, ServiceImport
from mesh_dns.entry import Entry, Host, PortName, Target
from mesh_dns.imports import (
    MOST_ADDRESSES,
    MOST_PORTS,
    addresses,
    clusterset_ip_entry,
    is_clusterset_ip,
    is_headless,
    is_spellable,
)
from mesh_dns.question import Question
from mesh_dns.table import ZONE, Answer, Table
from mesh_dns.wire import CLASS_INTERNET, Rcode, Type, labels

LABELS = st.sampled_from(["a", "b", "c-1"])


def imported(*, type_: str = "ClusterSetIP", ports: tuple[ImportPort, ...] = ()) -> ServiceImport:
    return ServiceImport(
        metadata=Meta(name="hello", namespace="demo"),
        spec=ImportSpec(type=type_, ports=ports, ips=("10.0.0.1",)),
    )


def find(table: Table, *below_zone: str, type_: Type = Type.A) -> Answer | None:
    name = labels(*below_zone) + ZONE
    starts, at = [], 0
    while name[at]:
        starts.append(at)
        at += 1 + name[at]
    return table.find(Question(name, tuple(starts), type_, CLASS_INTERNET, 12 + len(name) + 4, None))


@pytest.mark.parametrize(
    ("name", "namespace", "spellable"),
    [
        ("hello", "demo", True),
        ("1st", "demo", True),
        ("x" * 63, "demo", True),
        ("a.b", "demo", False),
        ("x" * 64, "demo", False),
        ("-a", "demo", False),
        ("a-", "demo", False),
        ("Hello", "demo", False),
        ("_http", "demo", False),
        ("a\n", "demo", False),
        ("", "demo", False),
        ("hello", "", False),
        ("hello", "a.b", False),
    ],
)
def test_only_an_import_whose_names_are_labels_can_have_a_name(
    name: str, namespace: str, spellable: bool
) -> None:
    assert is_spellable(namespace=namespace, name=name) is spellable


@pytest.mark.parametrize(
    ("type_", "clusterset_ip", "headless"),
    [("ClusterSetIP", True, False), ("Headless", False, True), ("", False, False), ("Other", False, False)],
)
def test_the_type_of_an_import_says_where_its_addresses_come_from(
    type_: str, clusterset_ip: bool, headless: bool
) -> None:
    one = imported(type_=type_)
    assert (is_clusterset_ip(one), is_headless(one)) == (clusterset_ip, headless)


HTTP, DNS = ImportPort(name="http", port=80), ImportPort(name="dns", port=53, protocol="UDP")


@pytest.mark.parametrize(
    ("ports", "said"),
    [
        ((), {}),
        ((ImportPort(port=80),), {}),
        ((HTTP, DNS), {PortName("http", "tcp"): [80], PortName("dns", "udp"): [53]}),
        ((ImportPort(name="sip", port=5060, protocol="SCTP"),), {PortName("sip", "sctp"): [5060]}),
        ((HTTP, HTTP), {PortName("http", "tcp"): [80]}),
        ((ImportPort(name="x" * 62, port=1),), {PortName("x" * 62, "tcp"): [1]}),
        ((ImportPort(name="x" * 63, port=1),), {}),
        ((ImportPort(name="a.b", port=1), ImportPort(name="Http", port=1)), {}),
        ((ImportPort(name="http", port=80, protocol="tcp"),), {}),
        ((ImportPort(name="low", port=0), ImportPort(name="high", port=65536)), {}),
    ],
)
def test_the_named_ports_of_an_import_point_to_its_own_name(
    ports: tuple[ImportPort, ...], said: dict[PortName, list[int]]
) -> None:
    entry = clusterset_ip_entry(imported(ports=ports))
    assert entry.ports == {
        name: tuple(Target(None, number) for number in numbers) for name, numbers in said.items()
    }
    assert entry.addresses == (ip_address("10.0.0.1"),)
    assert entry.hosts == {}


def test_the_ports_of_the_bare_name_are_each_one_target_whatever_their_protocols() -> None:
    both = (ImportPort(name="tcp", port=42), ImportPort(name="udp", port=42, protocol="UDP"), HTTP)
    assert clusterset_ip_entry(imported(ports=both)).targets == (Target(None, 42), Target(None, 80))


def test_an_import_with_very_many_ports_answers_for_the_first_of_them() -> None:
    many = tuple(ImportPort(name=f"p{number}", port=number) for number in range(1, 1000))
    assert list(clusterset_ip_entry(imported(ports=many)).ports) == [
        PortName(f"p{number}", "tcp") for number in range(1, MOST_PORTS + 1)
    ]


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

    table.put(Entry(addresses=()), namespace="demo", service="a")
    table.put(Entry(addresses=()), namespace="demo", service="b")
    table.put(Entry(addresses=()), namespace="demo", service="a")  # a change of an import is no second name
    table.drop(namespace="demo", service="a")
    there = find(table, "demo", "svc")
    assert there is not None and there.rcode is Rcode.NOERROR and there.answers == 0

    table.drop(namespace="demo", service="b")
    table.drop(namespace="demo", service="b")
    assert find(table, "demo", "svc") == missing


HOSTS = [Host("a", "east"), Host("a", "west"), Host("b", "east")]
PORTS = [PortName("http", "tcp"), PortName("dns", "tcp"), PortName("dns", "udp")]


@st.composite
def entries(draw: st.DrawFn) -> Entry:
    hosts = draw(st.lists(st.sampled_from(HOSTS), unique=True))
    target = st.builds(Target, st.sampled_from([None, *hosts]), st.integers(1, 3))
    targets = draw(st.lists(target, unique=True, min_size=1))
    port = st.lists(st.sampled_from(targets), unique=True).map(tuple)
    return Entry(
        addresses=(ip_address("10.0.0.1"),),
        hosts={host: (ip_address("10.0.0.1"), ip_address("fd00::1")) for host in hosts},
        ports=draw(st.dictionaries(st.sampled_from(PORTS), port)),
        targets=tuple(targets),
    )


@given(st.lists(st.tuples(st.none() | entries(), LABELS, LABELS), max_size=30))
def test_after_any_history_the_table_answers_like_a_new_one(
    history: list[tuple[Entry | None, str, str]],
) -> None:
    lived, existing = Table(), {}
    for entry, namespace, service in history:
        if entry is not None:
            lived.put(entry, namespace=namespace, service=service)
            existing[namespace, service] = entry
        else:
            lived.drop(namespace=namespace, service=service)
            existing.pop((namespace, service), None)
    fresh = Table()
    for (namespace, service), entry in sorted(existing.items(), key=lambda item: item[0]):
        fresh.put(entry, namespace=namespace, service=service)
    below = [
        (),
        *((host.label, host.cluster) for host in HOSTS),
        *((f"_{port.name}", f"_{port.protocol}") for port in PORTS),
        ("_tcp",),
        ("_udp",),
        ("east",),
    ]
    for namespace in ("a", "b", "c-1"):
        assert find(lived, namespace, "svc") == find(fresh, namespace, "svc")
        for service in ("a", "b", "c-1"):
            for host in below:
                for type_ in (Type.A, Type.SRV):
                    name = (*host, service, namespace, "svc")
                    assert find(lived, *name, type_=type_) == find(fresh, *name, type_=type_)


def test_the_records_of_a_name_are_replaced_whole() -> None:
    table = Table()
    table.put(Entry(addresses=(ip_address("10.0.0.1"),)), namespace="demo", service="hello")
    table.put(Entry(addresses=(ip_address("fd00::1"),)), namespace="demo", service="hello")
    four, six = find(table, "hello", "demo", "svc"), find(table, "hello", "demo", "svc", type_=Type.AAAA)
    assert four is not None and four.answers == 0
    assert six is not None and six.answers == 1


@pytest.mark.parametrize("label", ["", "x" * 64, "ü"])
def test_what_is_no_label_is_never_written_into_a_name(label: str) -> None:
    with pytest.raises(ValueError):
        Table().put(Entry(addresses=()), namespace="demo", service=label)
