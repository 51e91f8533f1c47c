"""Which addresses the ingress dials for others, and what it says of those it does not (ruling 28)."""

import pytest
from msgspec import structs

from mesh_core.errors import UserError
from mesh_core.names import ANNOTATION_PROXY_PROTOCOL
from mesh_core.objects import EndpointPort, EndpointSlice, Meta
from mesh_core.ranges import Ranges, number_of, ranges_of, read_ranges
from mesh_fakes.route_objects import HELLO, exported, headless, imported, local, member, objects_of, own, peer
from mesh_gateway.ground import Ground, may_be_dialled
from mesh_gateway.route import Address, RouteTable, ServicePort
from mesh_gateway.route_table import Objects, neighbours, route_table

GROUND = Ground(
    pods=dict.fromkeys(("10.244.0.5", "10.244.0.6", "172.20.0.9", "fd00:7::9"), "demo"),
    nodes=frozenset(filter(None, map(number_of, ("192.0.2.1", "10.244.0.1", "fd00:9::1")))),
    ranges=ranges_of(["10.244.0.0/24", "fd00:1::/64"]),
    reserved=frozenset(filter(None, map(number_of, ("10.96.0.1", "203.0.113.6")))),
)
OPEN = Ground(
    pods=GROUND.pods,
    nodes=GROUND.nodes,
    ranges=GROUND.ranges,
    external=ranges_of(["0.0.0.0/0", "::/0"]),
    reserved=GROUND.reserved,
)


@pytest.mark.parametrize("host", ["10.244.0.5", "172.20.0.9", "10.244.0.77", "fd00:1::5"])
def test_pods_of_this_cluster_are_dialled(host: str) -> None:
    assert may_be_dialled(host, namespace="demo", ground=GROUND)


@pytest.mark.parametrize("host", ["10.244.0.5", "172.20.0.9", "fd00:7::9", "FD00:7:0::9"])
def test_a_pod_of_another_namespace_is_dialled_only_where_the_operator_names_it(host: str) -> None:
    """Whoever may write slices in one namespace would reach the pods of all others past their policies."""
    assert not may_be_dialled(host, namespace="shop", ground=GROUND)
    assert may_be_dialled(host, namespace="shop", ground=OPEN)
    assert may_be_dialled(host, namespace="demo", ground=GROUND)


def test_an_export_whose_endpoints_are_pods_of_another_namespace_is_told_apart_and_all_are_judged() -> None:
    strange = Ground(pods={"10.244.0.5": "kube-system", "10.244.0.6": "demo"}, ranges=GROUND.ranges)
    table = on(strange, objects_of(local("10.244.0.5")))
    assert table.ingress == {}
    assert table.external == {HELLO}
    table = on(strange, objects_of(local("10.244.0.5", "10.244.0.6")))
    assert table.ingress[HELLO].endpoints == (Address("10.244.0.6", 8080),)
    assert table.refused == {"10.244.0.5"}
    assert table.judged == {"10.244.0.5", "10.244.0.6"}


@pytest.mark.parametrize("host", ["10.244.1.5", "198.51.100.7", "fd00:2::5", "172.20.0.10", "10.0.0.1"])
def test_anything_else_is_dialled_only_where_the_operator_names_it(host: str) -> None:
    assert not may_be_dialled(host, namespace="demo", ground=GROUND)
    assert may_be_dialled(host, namespace="demo", ground=OPEN)


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.8.8.8",
        "::1",
        "0.0.0.0",
        "::",
        "169.254.169.254",
        "fe80::1",
        "fe80::1%eth0",
        "224.0.0.1",
        "ff02::1",
        "240.0.0.1",
        "255.255.255.255",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "::ffff:10.96.0.1",
        "168.63.129.16",
        "100.100.100.200",
        "fd00:ec2::254",
        "FD00:EC2:0::254",
        "192.0.2.1",
        "10.244.0.1",
        "fd00:9::1",
        "FD00:9:0::1",
        "10.96.0.1",
        "203.0.113.6",
        "010.244.0.5",
        "10.244.5",
        "node.example",
        "",
    ],
)
def test_some_are_never_dialled_whatever_the_operator_names_ruling_28(host: str) -> None:
    assert not may_be_dialled(host, namespace="demo", ground=OPEN)


def test_a_range_that_a_person_gives_reads_or_is_refused_with_what_to_do() -> None:
    assert read_ranges(["198.51.100.0/24", "fd00::/8", "203.0.113.9"], setting="x").families == {4, 6}
    for wrong in ("198.51.100.1/24", "198.51.100.0/33", "example.com", ""):
        with pytest.raises(UserError, match="--allow-external"):
            read_ranges(["10.0.0.0/8", wrong], setting="--allow-external")


@pytest.mark.parametrize(
    ("ranges", "inside", "outside"),
    [
        (["10.1.0.0/16"], ["10.1.0.0", "10.1.255.255"], ["10.0.255.255", "10.2.0.0", "::a01:0"]),
        (["10.1.2.3/32", "0.0.0.0/0"], ["10.1.2.3", "255.255.255.255"], ["::"]),
        (["fd00:1::/64", "10.0.0.0/9"], ["fd00:1::ffff", "10.127.0.1"], ["fd00:1:0:1::", "10.128.0.0"]),
        (["nonsense"], [], ["10.0.0.1", "::"]),
        ([], [], ["10.0.0.1", "::"]),
    ],
)
def test_an_address_lies_in_a_range_or_not(ranges: list[str], inside: list[str], outside: list[str]) -> None:
    found = ranges_of(ranges)
    assert [host for host in inside if not found.hold(number_of(host))] == []
    assert [host for host in outside if found.hold(number_of(host))] == []
    assert not found.hold(None)


def on(ground: Ground | None, objects: Objects) -> RouteTable:
    """The table of a cluster with this ground."""
    return route_table(
        Objects(
            cluster=objects.cluster,
            domain=objects.domain,
            slices=objects.slices,
            imports=objects.imports,
            exports=objects.exports,
            peers=objects.peers,
            controllers=objects.controllers,
            ground=ground,
            network="lan",
        )
    )


def test_an_export_of_outside_addresses_is_told_apart_from_one_that_does_not_exist() -> None:
    piece = local("198.51.100.7", "192.0.2.1")
    table = on(GROUND, objects_of(piece))
    assert table.ingress == {}
    assert table.external == {HELLO}
    assert table.refused == {"198.51.100.7", "192.0.2.1"}
    assert table.exported == {("demo", "hello")}
    opened = on(OPEN, objects_of(piece))
    assert opened.ingress[HELLO].endpoints == (Address("198.51.100.7", 8080),)
    assert opened.external == set()
    assert opened.refused == {"192.0.2.1"}


def test_of_an_export_with_pods_and_outside_addresses_the_pods_are_dialled() -> None:
    table = on(GROUND, objects_of(local("198.51.100.7", "10.244.0.5")))
    assert table.ingress[HELLO].endpoints == (Address("10.244.0.5", 8080),)
    assert table.external == set()
    assert table.refused == {"198.51.100.7"}


def test_an_endpoint_of_a_headless_service_is_dialled_by_the_same_rule() -> None:
    pieces = own(member("10.244.0.5", hostname="db-0"), member("198.51.100.7", hostname="db-1"))
    table = on(GROUND, objects_of(pieces, imports=[headless()], exports=[exported("db")]))
    assert set(table.ingress) == {ServicePort("demo", "db", 5432, endpoint="db-0")}
    assert table.external == {ServicePort("demo", "db", 5432, endpoint="db-1")}


def test_an_export_without_ready_endpoints_or_slices_is_exported_all_the_same() -> None:
    table = on(GROUND, objects_of(local("10.244.0.5", ready=False)))
    assert table.ingress == {}
    assert table.external == set()
    assert table.exported == {("demo", "hello")}
    assert on(GROUND, objects_of()).exported == {("demo", "hello")}
    assert on(GROUND, objects_of(exports=[])).exported == set()
    withheld = exported(annotations={"meshctl.dev/alow": "west"})
    assert on(GROUND, objects_of(local("10.244.0.5"), exports=[withheld])).exported == set()


def test_the_endpoints_of_an_export_are_told_who_calls_if_it_says_so_and_never_over_udp_ruling_23() -> None:
    told = exported(annotations={ANNOTATION_PROXY_PROTOCOL: "v2"})
    both = EndpointSlice(
        metadata=Meta(name="x", namespace="demo", labels=local().metadata.labels),
        endpoints=local("10.244.0.5").endpoints,
        ports=(EndpointPort(name="http", port=8080), EndpointPort(name="dns", port=53, protocol="UDP")),
    )
    ports = tuple(
        structs.replace(imported().spec.ports[0], name=port.name, port=port.port, protocol=port.protocol)
        for port in both.ports or ()
        if port.port and port.name
    )
    table = on(GROUND, objects_of(both, imports=[imported("hello", *ports)], exports=[told]))
    asked = {target.protocol: route.proxy_protocol for target, route in table.ingress.items()}
    assert asked == {"TCP": True, "UDP": False}
    plain = on(GROUND, objects_of(local("10.244.0.5")))
    assert not plain.ingress[HELLO].proxy_protocol


def test_neighbours_are_those_on_our_network_with_the_ranges_of_their_meshpeers() -> None:
    far, near, odd = peer("east"), peer("north"), peer("Not-An-Id")
    spec = structs.replace(
        near.spec, network="lan", imports=structs.replace(near.spec.imports, pod_cidrs=("10.9.0.0/16",))
    )
    near, odd = structs.replace(near, spec=spec), structs.replace(odd, spec=spec)
    table = on(GROUND, objects_of(peers=[far, near, odd]))
    assert table.neighbours == {"north": ranges_of(["10.9.0.0/16"])}
    assert neighbours([near], network="") == {}
    assert neighbours([structs.replace(near, spec=structs.replace(spec, network="wan"))], network="lan") == {}
    assert not Ranges()
