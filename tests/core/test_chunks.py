"""A Service's endpoints in pieces: chunks of slices, and the shards that tell of them."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh_core.chunks import Chunk, chunk_of, chunks_of, ready_by_port, shard_of
from mesh_core.names import LABEL_KUBERNETES_SERVICE, LABEL_SERVICE_NAME
from mesh_core.objects import Endpoint, EndpointConditions, EndpointPort, EndpointSlice
from mesh_core.record import MOST_IN_SHARD, Shard
from mesh_core.shard_fault import shard_fault
from mesh_fakes.exports import endpoint, source_slice

FULL = Endpoint(
    addresses=("10.0.0.1",),
    conditions=EndpointConditions(ready=False, serving=True, terminating=True),
    hostname="hello-0",
    node_name="node-1",
    zone="a",
)


def told(chunk: Chunk) -> Shard:
    return shard_of(chunk, cluster="west", namespace="demo", name="hello")


def pods(number: int) -> list[Endpoint]:
    return [endpoint(f"10.0.{n // 200}.{n % 200 + 1}") for n in range(number)]


def test_a_chunk_has_all_that_readers_of_an_endpoint_look_at() -> None:
    (chunk,) = chunks_of(source_slice(FULL))
    assert chunk.endpoints == (FULL,)
    assert chunk.ports == (EndpointPort(name="http", port=8080),)
    assert chunk.address_type == "IPv4"


@pytest.mark.parametrize(("number", "sizes"), [(0, []), (1, [1]), (100, [100]), (250, [100, 100, 50])])
def test_a_slice_is_told_in_shards_of_a_hundred(number: int, sizes: list[int]) -> None:
    found = chunks_of(source_slice(*pods(number)))
    assert [len(chunk.endpoints) for chunk in found] == sizes
    assert len({chunk.shard for chunk in found}) == len(sizes)
    assert all(len(chunk.shard) == 10 for chunk in found)


def test_a_shard_keeps_its_name_as_long_as_its_slice_lives() -> None:
    before = chunks_of(source_slice(*pods(250)))
    after = chunks_of(source_slice(*pods(300)))
    assert [chunk.shard for chunk in before] == [chunk.shard for chunk in after]
    other = chunks_of(source_slice(*pods(250), name="hello-fghij"))
    assert {chunk.shard for chunk in other}.isdisjoint(chunk.shard for chunk in before)


@given(number=st.integers(1, 250), which=st.integers(0, 249))
def test_what_one_endpoint_becomes_changes_one_shard(number: int, which: int) -> None:
    before = pods(number)
    after = list(before)
    after[which % number] = endpoint(before[which % number].addresses[0], ready=False)
    old = [told(chunk) for chunk in chunks_of(source_slice(*before))]
    new = [told(chunk) for chunk in chunks_of(source_slice(*after))]
    assert [shard.shard for shard in old] == [shard.shard for shard in new]
    changed = [one for one, other in zip(old, new, strict=True) if one != other]
    assert len(changed) == 1


@pytest.mark.parametrize("label", [{LABEL_SERVICE_NAME: "hello"}, {}])
def test_imported_slices_and_names_are_no_source(label: dict[str, str]) -> None:
    piece = source_slice(FULL, address_type="IPv4" if label else "FQDN")
    labels = {LABEL_KUBERNETES_SERVICE: "hello", **label}
    meta = msgspec.structs.replace(piece.metadata, labels=labels)
    assert chunks_of(msgspec.structs.replace(piece, metadata=meta)) == ()


def test_ports_that_cannot_be_named_to_anybody_are_left_out() -> None:
    ports = (
        EndpointPort(name="zero", port=0),
        EndpointPort(name="all"),
        EndpointPort(name="odd", port=1, protocol="DCCP"),
        EndpointPort(port=80),
    )
    (chunk,) = chunks_of(source_slice(FULL, ports=ports))
    assert chunk.ports == (EndpointPort(name="", port=80),)


def test_the_lists_that_the_api_server_serves_as_null_are_empty() -> None:
    piece = source_slice()
    assert chunks_of(msgspec.structs.replace(piece, endpoints=None)) == ()
    (chunk,) = chunks_of(msgspec.structs.replace(source_slice(FULL), ports=None))
    assert chunk.ports == ()


def test_of_an_endpoint_a_shard_tells_all_but_the_name_of_its_node() -> None:
    (chunk,) = chunks_of(source_slice(FULL))
    (back,) = chunk_of(told(chunk)).endpoints
    assert back == msgspec.structs.replace(FULL, node_name=None)
    assert "node-1" not in str(told(chunk))


@pytest.mark.parametrize(
    ("ready", "serving", "terminating", "means"),
    [
        (None, None, None, (True, True, False)),
        (True, None, None, (True, True, False)),
        (False, None, None, (False, False, False)),
        (False, True, True, (False, True, True)),
        (None, False, None, (True, False, False)),
    ],
)
def test_conditions_that_are_not_stated_are_told_as_the_api_defines_them(
    ready: bool | None, serving: bool | None, terminating: bool | None, means: tuple[bool, bool, bool]
) -> None:
    conditions = EndpointConditions(ready=ready, serving=serving, terminating=terminating)
    (chunk,) = chunks_of(source_slice(msgspec.structs.replace(FULL, conditions=conditions)))
    (one,) = told(chunk).endpoints
    assert (one.ready, one.serving, one.terminating) == means


@pytest.mark.parametrize("protocol", ["TCP", "UDP", "SCTP"])
def test_a_port_of_any_protocol_goes_there_and_back(protocol: str) -> None:
    port = EndpointPort(name="x", port=9, protocol=protocol, app_protocol="h2c")
    (chunk,) = chunks_of(source_slice(FULL, ports=(port,)))
    assert chunk_of(told(chunk)).ports == (port,)


def addresses(family: str) -> st.SearchStrategy[str]:
    form = "10.0.0.{}" if family == "IPv4" else "fd00::{:x}"
    return st.integers(1, 250).map(form.format)


@st.composite
def slices(draw: st.DrawFn) -> EndpointSlice:
    family = draw(st.sampled_from(["IPv4", "IPv6"]))
    truth = st.sampled_from([None, True, False])
    found = draw(
        st.lists(
            st.builds(
                Endpoint,
                addresses=addresses(family).map(lambda address: (address,)),
                conditions=st.builds(EndpointConditions, ready=truth, serving=truth, terminating=truth),
                hostname=st.sampled_from([None, "", "db-0", "db-1"]),
                node_name=st.sampled_from([None, "node-1"]),
                zone=st.sampled_from([None, "", "a"]),
            ),
            max_size=120,
        )
    )
    return source_slice(*found, address_type=family)


@given(piece=slices())
def test_what_is_told_passes_the_door_and_comes_back_the_same_from_then_on(piece: EndpointSlice) -> None:
    for chunk in chunks_of(piece):
        shard = told(chunk)
        assert shard_fault(shard) == ""
        assert told(chunk_of(shard)) == shard
        assert msgspec.json.decode(msgspec.json.encode(shard), type=Shard) == shard
        assert len(shard.endpoints) <= MOST_IN_SHARD
        assert ready_by_port([chunk]) == ready_by_port([chunk_of(shard)])
        assert chunk_of(shard).has_ready == chunk.has_ready


def test_an_endpoint_in_two_slices_or_with_two_families_counts_once() -> None:
    found = [
        *chunks_of(source_slice(endpoint("10.0.0.1"), endpoint("10.0.0.2", ready=False))),
        *chunks_of(source_slice(endpoint("10.0.0.1"), endpoint("10.0.0.3"), name="b")),
        *chunks_of(source_slice(endpoint("fd00::1"), name="six", address_type="IPv6")),
    ]
    assert ready_by_port(found) == {"http": 2}
