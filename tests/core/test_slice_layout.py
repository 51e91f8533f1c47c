"""How endpoints stand in slices: filtered, mirrored one slice for one, and rewritten as little as may be."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mesh_core.layout import layout_of
from mesh_core.merge import merge
from mesh_core.names import LABEL_KUBERNETES_SERVICE, shard_name
from mesh_core.objects import Endpoint, EndpointConditions, EndpointPort, EndpointSlice
from mesh_core.plan import Create, Delete, Kind, Patch
from mesh_core.record import ExportRecord, RecordPort, ShardEndpoint, ShardPort
from mesh_core.slices import WantedSlice, mcs_labels, neighbour_slices, own_slices
from mesh_fakes.exports import endpoint, headless, record, shard, source_slice
from mesh_fakes.import_scene import SHADOW, ImportScene
from mesh_runtime.kube import ENDPOINT_SLICES

HTTP = (ShardPort(port=8080, name="http"),)


def wanted(*sources: EndpointSlice, exported: ExportRecord | None = None) -> list[WantedSlice]:
    """Our own slices, when east exports demo/hello with these slices behind it."""
    scene = ImportScene(records={"east": exported or record("east")})
    for source in sources:
        scene.api.put(ENDPOINT_SLICES, msgspec.to_builtins(source))
    merged = merge(scene.records.values())
    assert merged is not None
    view = scene.view()
    return own_slices(view, layout=layout_of(view, merged=merged))


def pods(*numbers: int) -> list[Endpoint]:
    return [endpoint(f"10.0.{n // 250}.{n % 250}") for n in numbers]


def addresses(piece: WantedSlice | EndpointSlice) -> list[str]:
    return [found.addresses[0] for found in piece.endpoints or ()]


def test_an_endpoint_is_mirrored_with_all_that_readers_look_at() -> None:
    found = Endpoint(
        addresses=("10.0.0.1",),
        conditions=EndpointConditions(ready=False, serving=True, terminating=True),
        hostname="hello-0",
        node_name="node-1",
        zone="a",
    )
    (piece,) = wanted(source_slice(found))
    assert piece.endpoints == (found,)
    assert piece.ports == (EndpointPort(name="http", port=8080),)
    assert piece.annotations == {}
    assert not piece.leads_to_gateways


def test_a_slice_is_named_after_its_source_and_never_carries_the_services_own_label() -> None:
    """With it, the endpoints of others would become those of the local Service (checklist f.6)."""
    (piece,) = wanted(source_slice(endpoint("10.0.0.1"), name="hello-abcde"))
    assert piece.name == f"hello.east.{shard_name(slice_name='hello-abcde', part=0)}"
    expected = {**mcs_labels(service="hello", cluster="east"), LABEL_KUBERNETES_SERVICE: SHADOW}
    assert piece.labels == expected


def test_a_headless_imports_slices_are_kube_proxys_of_no_service() -> None:
    exported = headless("east", RecordPort(port=80, name="http", ready=1))
    (piece,) = wanted(source_slice(endpoint("10.0.0.1", hostname="a")), exported=exported)
    assert piece.labels == mcs_labels(service="hello", cluster="east")
    (only,) = piece.endpoints
    assert only.hostname == "a"


def test_only_ports_that_the_import_has_from_us_are_listed() -> None:
    ports = (EndpointPort(name="http", port=8080), EndpointPort(name="metrics", port=9100))
    (piece,) = wanted(source_slice(endpoint("10.0.0.1"), ports=ports))
    assert [port.name for port in piece.ports] == ["http"]
    udp = (EndpointPort(name="http", port=8080, protocol="UDP"),)
    assert wanted(source_slice(endpoint("10.0.0.1"), ports=udp)) == []


def test_udp_is_listed_like_tcp_and_sctp_is_not() -> None:
    told = (
        RecordPort(port=53, name="dns", protocol="UDP", ready=1),
        RecordPort(port=9, name="signal", protocol="SCTP", ready=1),
    )
    ports = (
        EndpointPort(name="dns", port=5353, protocol="UDP"),
        EndpointPort(name="signal", port=9, protocol="SCTP"),
    )
    (piece,) = wanted(source_slice(endpoint("10.0.0.1"), ports=ports), exported=record("east", *told))
    assert [port.name for port in piece.ports] == ["dns"]


def test_a_headless_service_without_ports_is_listed_without_ports() -> None:
    exported = msgspec.structs.replace(headless("east"), ports=())
    (piece,) = wanted(source_slice(endpoint("10.0.0.1"), ports=()), exported=exported)
    assert piece.ports == ()
    assert addresses(piece) == ["10.0.0.1"]


def test_named_target_ports_that_differ_from_pod_to_pod_get_slices_of_their_own() -> None:
    other = (EndpointPort(name="http", port=9090),)
    found = wanted(
        source_slice(endpoint("10.0.0.1")), source_slice(endpoint("10.0.0.2"), name="b", ports=other)
    )
    assert {(piece.ports[0].port, *addresses(piece)) for piece in found} == {
        (8080, "10.0.0.1"),
        (9090, "10.0.0.2"),
    }
    assert len({piece.name for piece in found}) == 2


def test_families_never_share_a_slice() -> None:
    found = wanted(
        source_slice(endpoint("10.0.0.1")),
        source_slice(endpoint("fd00::1"), name="six", address_type="IPv6"),
        source_slice(endpoint("a.example"), name="title", address_type="FQDN"),
    )
    assert sorted((piece.address_type, *addresses(piece)) for piece in found) == [
        ("IPv4", "10.0.0.1"),
        ("IPv6", "fd00::1"),
    ]


@pytest.mark.parametrize(("number", "sizes"), [(0, []), (1, [1]), (100, [100]), (101, [1, 100])])
def test_a_slice_holds_a_hundred_and_is_not_split_before(number: int, sizes: list[int]) -> None:
    found = wanted(source_slice(*pods(*range(number))))
    assert sorted(len(piece.endpoints) for piece in found) == sizes


def test_a_neighbours_endpoints_are_listed_by_their_own_addresses_shard_by_shard() -> None:
    scene = ImportScene(records={"west": record("west")}, neighbours=frozenset({"west"}))
    one = ShardEndpoint(address="10.3.0.1", hostname="a", zone="z", ready=False, terminating=True)
    scene.shards = [
        shard("west", one, ports=HTTP),
        shard("west", ShardEndpoint(address="10.3.0.2"), name="bbbbbbbbbb", ports=HTTP),
    ]
    merged = merge(scene.records.values())
    assert merged is not None
    found = neighbour_slices(scene.view(), layout=layout_of(scene.view(), merged=merged))
    assert [piece.name for piece in found] == ["hello.west.aaaaaaaaaa", "hello.west.bbbbbbbbbb"]
    (first,) = found[0].endpoints
    assert (first.addresses, first.hostname, first.zone) == (("10.3.0.1",), "a", "z")
    assert (first.is_ready, first.conditions.serving, first.conditions.terminating) == (False, True, True)
    assert found[0].ports == (EndpointPort(name="http", port=8080),)
    assert not found[0].leads_to_gateways
    scene.settle()
    assert {piece.metadata.name for piece in scene.slices} == {piece.name for piece in found}


def test_one_pod_more_patches_one_slice() -> None:
    scene = ImportScene(records={"east": record("east")})
    for number in range(3):
        scene.has_pods(*pods(*range(number * 50, number * 50 + 40)), name=f"hello-{number}")
    scene.settle()
    scene.has_pods(*pods(*range(50, 91)), name="hello-1")
    (patch,) = scene.plan()
    assert isinstance(patch, Patch)
    assert patch.kind is Kind.ENDPOINT_SLICE
    assert patch.name == f"hello.east.{shard_name(slice_name='hello-1', part=0)}"
    assert patch.body.keys() == {"endpoints"}


def test_a_source_slice_that_comes_or_goes_costs_one_write() -> None:
    scene = ImportScene(records={"east": record("east")})
    scene.has_pods(*pods(1, 2))
    scene.settle()
    scene.has_pods(*pods(3), name="hello-fghij")
    (create,) = scene.plan()
    assert isinstance(create, Create)
    scene.settle()
    scene.api.remove(ENDPOINT_SLICES, "hello-fghij", namespace="demo")
    (delete,) = scene.plan()
    assert isinstance(delete, Delete)


sets = st.dictionaries(
    st.sampled_from(["a", "b", "c"]), st.sets(st.integers(0, 220), max_size=120), max_size=3
)


@settings(max_examples=25, deadline=None)
@given(steps=st.lists(sets, min_size=1, max_size=4))
def test_after_any_history_our_slices_mirror_the_sources_and_another_look_changes_nothing(
    steps: list[dict[str, set[int]]],
) -> None:
    scene = ImportScene(records={"east": record("east")})
    for numbers in steps:
        for name in ("a", "b", "c"):
            scene.has_pods(*pods(*sorted(numbers.get(name, ()))), name=f"hello-{name}")
        scene.settle()
        by_name = {piece.metadata.name: piece for piece in scene.slices}
        for name, of_slice in numbers.items():
            parts = [f"hello.east.{shard_name(slice_name=f'hello-{name}', part=part)}" for part in (0, 1)]
            listed = [a for part in parts if part in by_name for a in addresses(by_name[part])]
            assert listed == [one.addresses[0] for one in pods(*sorted(of_slice))]
        assert len(by_name) == sum(-(-len(of_slice) // 100) for of_slice in numbers.values())
        assert all(0 < len(piece.endpoints or ()) <= 100 for piece in by_name.values())
