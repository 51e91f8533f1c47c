"""Where a gateway can be dialled."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh_cli.member.addresses import (
    BadAddress,
    NoGatewayAddress,
    format_address,
    gateway_addresses,
    parse_address,
)
from mesh_core.objects import Condition, Meta, Node, PeerGateway, Service, ServicePort
from mesh_core.objects.platform import NodeAddress, NodeStatus
from mesh_core.objects.service import (
    LoadBalancerIngress,
    LoadBalancerStatus,
    ServiceSpec,
    ServiceStatus,
)

PORT = ServicePort(port=15443, name="mesh", node_port=31000)


def service(kind: str, *ingress: LoadBalancerIngress, ports: tuple[ServicePort, ...] = (PORT,)) -> Service:
    return Service(
        metadata=Meta(name="meshctl-gateway"),
        spec=ServiceSpec(type=kind, ports=ports),
        status=ServiceStatus(load_balancer=LoadBalancerStatus(ingress=ingress)),
    )


def node(name: str, address: str, *, ready: str) -> Node:
    addresses = (
        NodeAddress(type="Hostname", address=name),
        NodeAddress(type="InternalIP", address=address),
    )
    conditions = (Condition(type="Ready", status=ready),)
    return Node(metadata=Meta(name=name), status=NodeStatus(addresses=addresses, conditions=conditions))


HOSTS = st.one_of(
    st.ip_addresses().map(str), st.sampled_from(["gw.example.com", "gateway", "a-b.c", "3com.example"])
)


@given(HOSTS, st.integers(min_value=1, max_value=65535))
def test_what_is_shown_is_read_back_as_the_same_address(host: str, port: int) -> None:
    gateway = PeerGateway(host=host, port=port)
    assert parse_address(format_address(gateway)) == gateway


@pytest.mark.parametrize(
    "text",
    [
        *("", "192.0.2.7", "192.0.2.7:", "192.0.2.7:0", "192.0.2.7:65536", "192.0.2.7:x", ":15443"),
        *("fd00::1:15443", "[192.0.2.7]:1", "[gw]:1", "gw_1:1", "-gw:1", "gw..x:1", "300.1.1.1:1", "a b:1"),
        *("https://gw:1", "gw:1/x", "gw:٣", f"{'a.' * 130}b:1"),
    ],
)
def test_what_is_no_address_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(BadAddress, match="write HOST:PORT, for example"):
        parse_address(text)


def test_a_load_balancer_is_dialled_at_its_own_addresses_and_port() -> None:
    found = gateway_addresses(
        service("LoadBalancer", LoadBalancerIngress(ip="192.0.2.1"), LoadBalancerIngress(hostname="lb.x")),
        nodes=[],
    )
    assert found == (PeerGateway(host="192.0.2.1", port=15443), PeerGateway(host="lb.x", port=15443))


def test_a_node_port_is_dialled_at_the_ready_nodes_in_the_order_of_their_names() -> None:
    nodes = [
        node("n3", "10.0.0.3", ready="True"),
        node("n1", "10.0.0.1", ready="True"),
        node("n2", "10.0.0.2", ready="False"),
    ]
    found = gateway_addresses(service("NodePort"), nodes=nodes)
    assert found == (PeerGateway(host="10.0.0.1", port=31000), PeerGateway(host="10.0.0.3", port=31000))


def test_without_a_ready_node_all_are_named_rather_than_none() -> None:
    found = gateway_addresses(service("NodePort"), nodes=[node("n", "10.0.0.2", ready="Unknown")])
    assert found == (PeerGateway(host="10.0.0.2", port=31000),)


def test_no_more_addresses_are_given_than_a_peer_may_have() -> None:
    nodes = [node(f"n{index}", f"10.0.0.{index}", ready="True") for index in range(1, 40)]
    assert len(gateway_addresses(service("NodePort"), nodes=nodes)) == 16


@pytest.mark.parametrize(
    ("found", "advice"),
    [
        (service("LoadBalancer"), "join again with --service-type nodeport"),
        (service("NodePort"), "meshctl peer add --address"),
        (service("ClusterIP"), "meshctl peer add --address"),
        (service("NodePort", ports=()), "run meshctl join again"),
    ],
)
def test_a_gateway_without_an_address_says_what_to_do(found: Service, advice: str) -> None:
    with pytest.raises(NoGatewayAddress, match=advice):
        gateway_addresses(found, nodes=[])
