"""The order of an answer is turned by the id of the query, so that every record comes first as often."""

from collections import Counter
from ipaddress import ip_address

import dns.message
import pytest

from mesh_dns.answer import Transport, respond
from mesh_dns.entry import Entry
from mesh_dns.table import Answer, Table
from mesh_dns.wire import Rcode, Type, labels

HELLO = "hello.demo.svc.clusterset.local."
NAME = labels(*HELLO.removesuffix(".").split(".")) + b"\0"


def table_with(count: int) -> Table:
    table = Table()
    addresses = tuple(ip_address(f"10.0.0.{number}") for number in range(count))
    table.put(Entry(addresses=addresses), namespace="demo", service="hello")
    table.complete = True
    return table


def asked(table: Table, *, query_id: int) -> list[str]:
    packet = dns.message.make_query(HELLO, "A", id=query_id, use_edns=False).to_wire()
    reply = respond(packet, table=table, transport=Transport.TCP)
    assert reply is not None
    return [str(one) for rrset in dns.message.from_wire(reply).answer for one in rrset]


@pytest.mark.parametrize("count", [1, 2, 3, 8, 9])
def test_every_record_comes_first_as_often_and_none_is_lost(count: int) -> None:
    table = table_with(count)
    firsts = Counter[str]()
    for query_id in range(3 * count):
        data = asked(table, query_id=query_id)
        assert sorted(data) == sorted(f"10.0.0.{number}" for number in range(count))
        firsts[data[0]] += 1
    assert set(firsts.values()) == {3}


@pytest.mark.parametrize("count", [50, 200])
def test_so_it_is_with_many_records(count: int) -> None:
    """By the bytes: somebody else's decoder would take seconds. Each record has the same size."""
    node = table_with(count).node(NAME)
    assert node is not None
    variants, size = node[Type.A].variants, len(node[Type.A].records) // count
    records = [[one[at : at + size] for at in range(0, len(one), size)] for one in variants]
    assert len({one[0] for one in records}) == len(records) == count
    assert {frozenset(one) for one in records} == {frozenset(records[0])}
    assert {len(one) for one in records} == {len(frozenset(records[0]))} == {count}


def test_the_same_id_gets_the_same_order() -> None:
    table = table_with(3)
    for query_id in (0, 1, 2, 3, 65535):
        assert asked(table, query_id=query_id) == asked(table, query_id=query_id)
    assert asked(table, query_id=1) == ["10.0.0.1", "10.0.0.2", "10.0.0.0"]
    assert asked(table, query_id=65535) == asked(table, query_id=0)


@pytest.mark.parametrize("count", [1, 2, 7])
def test_the_variants_are_what_queries_get(count: int) -> None:
    node = table_with(count).node(NAME)
    assert node is not None
    answer = node[Type.A]
    assert len(answer.variants) == answer.turns == count
    assert answer.variants[0] == answer.records
    assert {len(one) for one in answer.variants} == {len(answer.records)}
    for query_id in (0, 5, 65535):
        assert answer.variant(query_id) == answer.variants[query_id % answer.turns]


def test_an_answer_without_records_has_one_variant() -> None:
    assert Answer(Rcode.REFUSED, False).variants == (b"",)


def test_each_ring_is_turned_by_itself() -> None:
    answer = Answer(Rcode.NOERROR, True, answers=5, records=b"abcde", rings=((0, 1, 2), (2, 3, 4, 5)))
    assert answer.variants == (b"abcde", b"badec", b"abecd", b"bacde")
    assert Counter(one[:1] for one in answer.variants) == {b"a": 2, b"b": 2}


def test_a_node_is_the_same_object_until_its_name_changes() -> None:
    table = table_with(2)
    other = labels("other", "demo", "svc", "clusterset", "local") + b"\0"
    node = table.node(NAME)
    assert node is not None
    assert table.node(other) is None
    table.put(Entry(), namespace="demo", service="other")
    assert table.node(NAME) is node
    assert table.node(other) is not None
    table.put(Entry(addresses=(ip_address("10.0.0.9"),)), namespace="demo", service="hello")
    assert table.node(NAME) is not node
    table.drop(namespace="demo", service="hello")
    assert table.node(NAME) is None
