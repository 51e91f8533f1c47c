"""How our own endpoints stand in slices: filtered, mirrored, and moved as little as may be."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mesh_core.merge import MergedImport, merge
from mesh_core.objects import Endpoint, EndpointConditions, EndpointPort, EndpointSlice, Meta
from mesh_core.record import RecordPort
from mesh_core.slices import WantedSlice, own_slices
from mesh_fakes.exports import endpoint, record, source_slice


def merged(*ports: RecordPort) -> MergedImport:
    found = merge([record("east", *ports)])
    assert found is not None
    return found


def wanted(*sources: EndpointSlice, existing: list[EndpointSlice] | None = None) -> list[WantedSlice]:
    return own_slices(
        merged(), service="hello", cluster="east", source_slices=sources, existing=existing or []
    )


def written(slices: list[WantedSlice]) -> list[EndpointSlice]:
    """As the API server would show them."""
    return [
        EndpointSlice(
            metadata=Meta(name=piece.name, namespace="demo"),
            address_type=piece.address_type,
            ports=piece.ports,
            endpoints=piece.endpoints,
        )
        for piece in slices
    ]


def pods(*numbers: int) -> EndpointSlice:
    return source_slice(*(endpoint(f"10.0.{n // 250}.{n % 250}") for n in numbers))


def addresses(piece: WantedSlice) -> list[str]:
    return [found.addresses[0] for found in piece.endpoints]


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
    assert piece.ready_endpoints is None


def test_only_ports_that_the_import_has_from_us_are_listed() -> None:
    ports = (EndpointPort(name="http", port=8080), EndpointPort(name="metrics", port=9100))
    (piece,) = wanted(source_slice(endpoint("10.0.0.1"), ports=ports))
    assert [port.name for port in piece.ports] == ["http"]
    udp = (EndpointPort(name="http", port=8080, protocol="UDP"),)
    assert wanted(source_slice(endpoint("10.0.0.1"), ports=udp)) == []


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
        source_slice(endpoint("a.example"), name="fqdn", address_type="FQDN"),
    )
    assert [(piece.address_type, addresses(piece)) for piece in found] == [
        ("IPv4", ["10.0.0.1"]),
        ("IPv6", ["fd00::1"]),
    ]


def test_of_two_sightings_of_an_endpoint_the_ready_one_counts() -> None:
    (piece,) = wanted(
        source_slice(endpoint("10.0.0.1", ready=False)), source_slice(endpoint("10.0.0.1"), name="b")
    )
    assert piece.endpoints == (endpoint("10.0.0.1"),)


def test_imported_slices_are_no_source() -> None:
    labels = {"multicluster.kubernetes.io/service-name": "hello"}
    meta = Meta(name="x", namespace="demo", labels=labels)
    imported = msgspec.structs.replace(source_slice(endpoint("10.0.0.1")), metadata=meta)
    assert wanted(imported) == []


@pytest.mark.parametrize(("number", "slices"), [(0, 0), (1, 1), (100, 1), (101, 2), (250, 3)])
def test_a_slice_holds_a_hundred_and_is_not_split_before(number: int, slices: int) -> None:
    found = wanted(pods(*range(number)))
    assert len(found) == slices
    assert sum(len(piece.endpoints) for piece in found) == number


def test_one_pod_more_changes_one_slice() -> None:
    before = wanted(pods(*range(150)))
    after = wanted(pods(*range(151)), existing=written(before))
    assert len([piece for piece in after if piece not in before]) == 1


def test_a_pod_that_goes_leaves_the_others_where_they_are() -> None:
    before = wanted(pods(*range(250)))
    after = wanted(pods(*range(1, 250)), existing=written(before))
    assert len([piece for piece in after if piece not in before]) == 1


def test_what_fits_into_one_slice_again_goes_into_one() -> None:
    before = wanted(pods(*range(150)))
    after = wanted(pods(*range(60)), existing=written(before))
    assert len(after) == 1


sets = st.sets(st.integers(0, 400), max_size=350)


@settings(max_examples=40, deadline=None)
@given(steps=st.lists(sets, min_size=1, max_size=6))
def test_after_any_history_every_endpoint_stands_once_and_another_look_changes_nothing(
    steps: list[set[int]],
) -> None:
    existing: list[EndpointSlice] = []
    for numbers in steps:
        found = wanted(pods(*sorted(numbers)), existing=existing)
        listed = [address for piece in found for address in addresses(piece)]
        assert len(listed) == len(set(listed)) == len(numbers)
        assert all(0 < len(piece.endpoints) <= 100 for piece in found)
        assert len(found) <= max(1, 2 * -(-len(numbers) // 100))
        existing = written(found)
        assert wanted(pods(*sorted(numbers)), existing=existing) == found
