"""What the slices of a headless import let the zone say: names, addresses, ports, order and bounds."""

from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh_core.names import LABEL_SERVICE_NAME, LABEL_SOURCE_CLUSTER
from mesh_core.objects import Endpoint, EndpointConditions, EndpointPort, EndpointSlice, Meta
from mesh_dns.endpoints import MOST_TARGETS, headless_entry
from mesh_dns.entry import Entry, Host, PortName, Target
from mesh_dns.imports import MOST_ADDRESSES, MOST_PORTS
from mesh_dns.wire import MOST_RECORDS

HTTP = EndpointPort(name="http", port=8080)


def endpoint(*addresses: str, hostname: str | None = None, ready: bool | None = None) -> Endpoint:
    return Endpoint(addresses=addresses, hostname=hostname, conditions=EndpointConditions(ready=ready))


def piece(
    *endpoints: Endpoint, cluster: str | None = "east", ports: tuple[EndpointPort, ...] | None = (HTTP,)
) -> EndpointSlice:
    labels = {LABEL_SERVICE_NAME: "db"}
    if cluster is not None:
        labels[LABEL_SOURCE_CLUSTER] = cluster
    return EndpointSlice(
        metadata=Meta(name="s", namespace="demo", labels=labels), endpoints=endpoints, ports=ports
    )


def entry(*slices: EndpointSlice, namespace: str = "demo", service: str = "db") -> Entry | None:
    return headless_entry(slices, namespace=namespace, service=service)


def said(*slices: EndpointSlice) -> dict[str, str]:
    """The hosts with their addresses, and `""` for the service's own."""
    found = entry(*slices)
    if found is None:
        return {}
    hosts = {".".join(host): " ".join(map(str, own)) for host, own in found.hosts.items()}
    return {"": " ".join(map(str, found.addresses)), **hosts}


@pytest.mark.parametrize(
    ("slices", "expected"),
    [
        pytest.param([], {}, id="no slice"),
        pytest.param([piece()], {}, id="an empty slice"),
        pytest.param([piece(endpoint("10.0.0.1", ready=False))], {}, id="nobody ready"),
        pytest.param([piece(endpoint("no address"))], {}, id="no address"),
        pytest.param(
            [
                piece(
                    endpoint("10.0.0.1"), endpoint("10.0.0.2", ready=False), endpoint("10.0.0.3", ready=True)
                )
            ],
            {"": "10.0.0.1 10.0.0.3", "10-0-0-1.east": "10.0.0.1", "10-0-0-3.east": "10.0.0.3"},
            id="ready, or says nothing",
        ),
        pytest.param(
            [piece(endpoint("10.0.0.1", hostname="db-0"))],
            {"": "10.0.0.1", "db-0.east": "10.0.0.1"},
            id="hostname",
        ),
        pytest.param(
            [piece(endpoint("FD00::1"), endpoint("fd00::"))],
            {"": "fd00:: fd00::1", "fd00--0.east": "fd00::", "fd00--1.east": "fd00::1"},
            id="IPv6 with dashes",
        ),
        pytest.param(
            [piece(endpoint("10.0.0.1", hostname="db-0")), piece(endpoint("fd00::1", hostname="db-0"))],
            {"": "10.0.0.1 fd00::1", "db-0.east": "10.0.0.1 fd00::1"},
            id="one endpoint, two families",
        ),
        pytest.param(
            [piece(endpoint("10.0.0.1", ready=False)), piece(endpoint("10.0.0.1", ready=True))],
            {"": "10.0.0.1", "10-0-0-1.east": "10.0.0.1"},
            id="ready in one slice of two",
        ),
        pytest.param(
            [piece(endpoint("10.0.0.1")), piece(endpoint("10.0.0.1"), cluster="west")],
            {"": "10.0.0.1", "10-0-0-1.east": "10.0.0.1", "10-0-0-1.west": "10.0.0.1"},
            id="one address in two clusters",
        ),
        pytest.param(
            [piece(endpoint("10.0.0.1"), cluster=None), piece(endpoint("10.0.0.2"), cluster="a.b")]
            + [piece(endpoint("10.0.0.3"), cluster=cluster) for cluster in ("", "East", "_tcp", "x" * 64)],
            {},
            id="clusters that no name can be made of",
        ),
        pytest.param(
            [
                piece(
                    endpoint("10.0.0.1", hostname="a.b"),
                    endpoint("10.0.0.2", hostname="_http"),
                    endpoint("10.0.0.3", hostname=""),
                )
            ],
            {
                "": "10.0.0.1 10.0.0.2 10.0.0.3",
                "10-0-0-1.east": "10.0.0.1",
                "10-0-0-2.east": "10.0.0.2",
                "10-0-0-3.east": "10.0.0.3",
            },
            id="hostnames that are no labels",
        ),
    ],
)
def test_slices_say_who_is_there(slices: list[EndpointSlice], expected: dict[str, str]) -> None:
    assert said(*slices) == expected


def test_the_api_writes_empty_lists_as_null() -> None:
    empty = EndpointSlice(metadata=Meta(labels={LABEL_SOURCE_CLUSTER: "east"}), endpoints=None, ports=None)
    assert entry(empty) is None
    found = entry(piece(endpoint("10.0.0.1"), ports=None))
    assert found is not None and (found.ports, found.targets) == ({}, ())


def test_a_port_has_one_target_for_each_endpoint_whose_slice_has_it_with_that_slices_number() -> None:
    dns = EndpointPort(name="dns", port=53, protocol="UDP")
    found = entry(
        piece(endpoint("10.0.0.1", hostname="db-0"), ports=(HTTP, dns)),
        piece(endpoint("10.0.0.2", hostname="db-1"), ports=(EndpointPort(name="http", port=9090),)),
        piece(endpoint("10.1.0.1"), cluster="west"),
        piece(endpoint("10.1.0.2", ready=False), cluster="west"),
    )
    assert found is not None
    zero, one, west = Host("db-0", "east"), Host("db-1", "east"), Host("10-1-0-1", "west")
    assert found.ports == {
        PortName("dns", "udp"): (Target(zero, 53),),
        PortName("http", "tcp"): (Target(zero, 8080), Target(west, 8080), Target(one, 9090)),
    }
    assert found.targets == (Target(zero, 53), Target(west, 8080), Target(one, 9090), Target(zero, 8080))


def test_a_host_has_one_record_for_a_port_however_many_numbers_its_slices_give_it() -> None:
    greedy = [
        piece(endpoint("10.0.0.1", hostname="a"), ports=(EndpointPort(name="http", port=number),))
        for number in range(300, 0, -1)
    ]
    found = entry(*greedy, piece(endpoint("10.0.0.2"), cluster="west"))
    assert found is not None
    assert found.targets == (Target(Host("a", "east"), 1), Target(Host("10-0-0-2", "west"), 8080))


def test_at_the_bare_name_no_endpoint_is_crowded_out_by_the_ports_of_another() -> None:
    many = tuple(EndpointPort(name=f"p{one:03}", port=one) for one in range(1, 60))
    found = entry(*(piece(endpoint(f"10.0.0.{one}"), ports=many) for one in range(100)))
    assert found is not None
    assert len({target.host for target in found.targets[:MOST_RECORDS]}) == 100


@pytest.mark.parametrize(
    "port",
    [
        EndpointPort(port=80),
        EndpointPort(name="http"),
        EndpointPort(name="http", port=0),
        EndpointPort(name="http", port=1 << 16),
        EndpointPort(name="a.b", port=80),
        EndpointPort(name="http", port=80, protocol="ICMP"),
    ],
)
def test_a_port_that_no_record_can_say_is_left_out(port: EndpointPort) -> None:
    found = entry(piece(endpoint("10.0.0.1"), ports=(port,)))
    assert found is not None and (found.ports, found.targets) == ({}, ())


def test_the_bare_name_has_a_target_for_each_endpoint_once_whatever_the_protocols() -> None:
    both = (EndpointPort(name="tcp", port=42), EndpointPort(name="udp", port=42, protocol="UDP"))
    found = entry(piece(endpoint("10.0.0.1"), endpoint("10.0.0.2"), ports=both))
    assert found is not None
    assert found.targets == (Target(Host("10-0-0-1", "east"), 42), Target(Host("10-0-0-2", "east"), 42))


def test_an_endpoint_whose_name_would_be_too_long_has_an_address_but_no_name() -> None:
    service, namespace, cluster = "s" * 63, "n" * 63, "c" * 63
    longest, too_long = "h" * 40, "h" * 41
    found = entry(
        piece(
            endpoint("10.0.0.1", hostname=longest), endpoint("10.0.0.2", hostname=too_long), cluster=cluster
        ),
        namespace=namespace,
        service=service,
    )
    assert found is not None
    name = f"{longest}.{cluster}.{service}.{namespace}.svc.clusterset.local"
    assert len(name) == 253
    assert list(found.hosts) == [Host(longest, cluster)]
    assert found.addresses == (ip_address("10.0.0.1"), ip_address("10.0.0.2"))
    assert found.targets == (Target(Host(longest, cluster), 8080),)


def crowd(count: int, *, cluster: str, families: str = "4", hostnames: bool = False) -> list[EndpointSlice]:
    texts = {"4": "10.0.{}.{}", "6": "fd00::{:x}:{:x}"}
    return [
        piece(
            *(
                endpoint(
                    texts[family].format(one >> 8, one & 255),
                    hostname=f"db-{one}" if hostnames else None,
                )
                for one in range(count)
            ),
            cluster=cluster,
        )
        for family in families
    ]


def test_a_peer_with_very_many_endpoints_does_not_crowd_out_another() -> None:
    found = entry(*crowd(5000, cluster="loud"), *(piece(endpoint("10.9.9.9"), cluster="quiet"),))
    assert found is not None
    assert len(found.addresses) == MOST_RECORDS
    assert ip_address("10.9.9.9") in found.addresses
    assert Target(Host("10-9-9-9", "quiet"), 8080) in found.targets
    assert len(found.targets) == MOST_RECORDS
    assert len(found.hosts) == 5001, "each has its own name nevertheless"


def test_when_there_are_more_than_an_answer_holds_both_families_speak_of_the_same_ones() -> None:
    found = entry(*crowd(1000, cluster="east", families="46", hostnames=True))
    assert found is not None
    four = {int(one) & 0xFFFF for one in found.addresses if isinstance(one, IPv4Address)}
    six = {
        int(one) >> 8 & 0xFF00 | int(one) & 0xFF for one in found.addresses if isinstance(one, IPv6Address)
    }
    assert four == six
    assert len(four) == MOST_RECORDS
    assert {target.host for target in found.targets} == {Host(f"db-{one}", "east") for one in four}


def test_endpoints_without_a_hostname_of_both_families_get_equal_shares() -> None:
    # Nothing in a slice says which IPv4 and which IPv6 address are one endpoint.
    found = entry(*crowd(1000, cluster="east", families="46"))
    assert found is not None
    versions = [one.version for one in found.addresses]
    assert versions.count(4) == versions.count(6) == MOST_RECORDS // 2


def test_one_hostname_with_very_many_addresses_takes_no_more_than_its_share() -> None:
    greedy = piece(*(endpoint(f"10.1.{one >> 8}.{one & 255}", hostname="a") for one in range(1000)))
    found = entry(greedy, piece(endpoint("10.9.9.9"), cluster="quiet"))
    assert found is not None
    assert len(found.hosts[Host("a", "east")]) == MOST_ADDRESSES
    assert len(found.addresses) == MOST_ADDRESSES + 1


def test_a_peer_with_very_many_ports_does_not_crowd_out_anothers() -> None:
    many = tuple(EndpointPort(name=f"p{one}", port=one) for one in range(1, 1000))
    quiet = EndpointPort(name="quiet", port=80)
    found = entry(
        piece(endpoint("10.0.0.1"), ports=many), piece(endpoint("10.0.0.2"), cluster="west", ports=(quiet,))
    )
    assert found is not None
    assert len(found.ports) == MOST_PORTS
    assert PortName("quiet", "tcp") in found.ports


def test_of_very_many_targets_each_port_keeps_some_and_the_number_is_bounded() -> None:
    many = tuple(EndpointPort(name=f"p{one:03}", port=one) for one in range(1, MOST_PORTS))
    quiet = EndpointPort(name="quiet", port=80)
    found = entry(
        *(piece(endpoint(f"10.0.0.{one}"), ports=many) for one in range(100)),
        *(piece(endpoint(f"10.1.0.{one}"), cluster="west", ports=(quiet,)) for one in range(100)),
    )
    assert found is not None
    assert sum(map(len, found.ports.values())) == MOST_TARGETS
    assert min(map(len, found.ports.values())) >= (MOST_TARGETS - MOST_RECORDS) // MOST_PORTS
    assert {target.host for target in found.targets} == set(found.hosts)
    assert set(found.targets) == {target for targets in found.ports.values() for target in targets}


def test_with_ten_ports_two_hundred_endpoints_have_all_of_theirs() -> None:
    ten = tuple(EndpointPort(name=f"p{one}", port=one) for one in range(1, 11))
    found = entry(*(piece(endpoint(f"10.0.0.{one}"), ports=ten) for one in range(MOST_RECORDS)))
    assert found is not None
    assert {len(targets) for targets in found.ports.values()} == {MOST_RECORDS}


ENDPOINTS = st.builds(
    endpoint,
    st.sampled_from(["10.0.0.1", "10.0.0.2", "fd00::1", "fd00::"]),
    hostname=st.sampled_from([None, "a", "10-0-0-1"]),
    ready=st.sampled_from([None, True, False]),
)


@given(st.lists(st.tuples(st.sampled_from(["east", "west"]), st.lists(ENDPOINTS)), max_size=6), st.randoms())
def test_how_slices_divide_the_endpoints_changes_nothing(
    clusters: list[tuple[str, list[Endpoint]]], random: object
) -> None:
    whole = [piece(*endpoints, cluster=cluster) for cluster, endpoints in clusters]
    single = [piece(one, cluster=cluster) for cluster, endpoints in reversed(clusters) for one in endpoints]
    first, second = entry(*whole), entry(*reversed(single))
    assert first == second
    assert entry(*single) == first
    if first is not None and second is not None:
        assert list(first.hosts) == list(second.hosts)
        assert list(first.ports) == list(second.ports)
