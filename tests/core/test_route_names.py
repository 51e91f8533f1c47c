"""The grammar of server names on the peers' port."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh_core.names import endpoint_label
from mesh_gateway.sni import (
    ApiServerTarget,
    GatewayTarget,
    NoTarget,
    PeerTarget,
    ServiceTarget,
    Target,
    endpoint_server_name,
    read_server_name,
    service_server_name,
)

DOMAIN = "clusterset.internal"
label = st.from_regex(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", fullmatch=True)


def read(name: str) -> Target:
    return read_server_name(name, domain=DOMAIN)


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("80.hello.demo.svc.clusterset.local", ServiceTarget("demo", "hello", 80)),
        ("65535.a.b.svc.clusterset.local", ServiceTarget("b", "a", 65535)),
        ("80.HELLO.Demo.SVC.ClusterSet.LOCAL", ServiceTarget("demo", "hello", 80)),
        ("80.east.hello.demo.svc.clusterset.local", ServiceTarget("demo", "hello", 80, "east")),
        ("5432.DB-0.East.db.demo.svc.clusterset.local", ServiceTarget("demo", "db", 5432, "east", "db-0")),
        (
            "80.fd00--5.east.hello.demo.svc.clusterset.local",
            ServiceTarget("demo", "hello", 80, "east", "fd00--5"),
        ),
        ("443.80.9.svc.clusterset.local", ServiceTarget("9", "80", 443)),
        ("peer.east.clusterset.internal", PeerTarget("east")),
        ("PEER.East.clusterset.Internal", PeerTarget("east")),
        ("gateway.east.clusterset.internal", GatewayTarget("east")),
        ("kube-apiserver.east.clusterset.internal", ApiServerTarget("east")),
        ("KUBE-apiserver.East.clusterset.internal", ApiServerTarget("east")),
        ("Gateway.EAST.clusterset.internal", GatewayTarget("east")),
    ],
)
def test_a_name_says_what_is_asked_for(name: str, target: Target) -> None:
    assert read(name) == target


@pytest.mark.parametrize(
    "name",
    [
        "",
        "hello.demo.svc.clusterset.local",
        "80.demo.svc.clusterset.local",
        "80.x.pod-0.east.hello.demo.svc.clusterset.local",
        "80.pod_0.east.hello.demo.svc.clusterset.local",
        "80..east.hello.demo.svc.clusterset.local",
        "80.-pod.east.hello.demo.svc.clusterset.local",
        "pod-0.80.east.hello.demo.svc.clusterset.local",
        "80.hello.demo.svc.clusterset.local.",
        "80.hello.demo.svc.cluster.local",
        "80.hello.demo.clusterset.local",
        "svc.clusterset.local",
        ".svc.clusterset.local",
        "80..demo.svc.clusterset.local",
        "0.hello.demo.svc.clusterset.local",
        "080.hello.demo.svc.clusterset.local",
        "65536.hello.demo.svc.clusterset.local",
        "+80.hello.demo.svc.clusterset.local",
        "8 0.hello.demo.svc.clusterset.local",
        "http.hello.demo.svc.clusterset.local",
        "80.-hello.demo.svc.clusterset.local",
        "80.hello-.demo.svc.clusterset.local",
        "80.he_llo.demo.svc.clusterset.local",
        "80.he\nllo.demo.svc.clusterset.local",
        f"80.{'a' * 64}.demo.svc.clusterset.local",
        f"80.{'a' * 63}.{'b' * 63}.{'c' * 63}.{'d' * 63}.svc.clusterset.local",
        "peer.clusterset.internal",
        "peer..clusterset.internal",
        "peer.east.west.clusterset.internal",
        "peer.east.clusterset.internal.",
        "peer.east.other.internal",
        "gateway.east.west.clusterset.internal",
        "gateway.clusterset.internal",
        "kube-apiserver.clusterset.internal",
        "kube-apiserver.east.west.clusterset.internal",
        "kube-apiserver.east.clusterset.internal.",
        "kube-apiserver.east.other.internal",
        "kube-apiserver2.east.clusterset.internal",
        "kubelet.east.clusterset.internal",
        "xgateway.east.clusterset.internal",
        "xpeer.east.clusterset.internal",
        "peer.-east.clusterset.internal",
        "east.clusterset.internal",
        "clusterset.internal",
        "10.0.0.1",
        "example.com",
    ],
)
def test_any_other_name_means_nothing(name: str) -> None:
    assert isinstance(read(name), NoTarget)


def test_a_name_below_the_services_zone_is_never_the_controllers() -> None:
    below = read_server_name("peer.east.svc.clusterset.local", domain="svc.clusterset.local")
    assert isinstance(below, NoTarget)


@given(namespace=label, service=label, port=st.integers(1, 65535))
def test_a_name_that_we_make_is_read_as_what_it_was_made_of(namespace: str, service: str, port: int) -> None:
    name = service_server_name(namespace=namespace, service=service, port=port)
    assert read(name) == ServiceTarget(namespace, service, port)
    assert len(name) <= 154


@given(
    namespace=label,
    service=label,
    port=st.integers(1, 65535),
    cluster=label,
    endpoint=label
    | st.ip_addresses().map(lambda address: endpoint_label(hostname=None, address=str(address))),
)
def test_a_name_of_one_endpoint_is_read_as_what_it_was_made_of_unless_it_is_too_long_ruling_4(
    namespace: str, service: str, port: int, cluster: str, endpoint: str
) -> None:
    name = endpoint_server_name(
        namespace=namespace, service=service, port=port, cluster=cluster, endpoint=endpoint
    )
    assert len(name) <= 282
    if len(name) > 253:
        assert isinstance(read(name), NoTarget)
    elif not endpoint.startswith("-"):  # "::1" and its like are no pods
        assert read(name) == ServiceTarget(namespace, service, port, cluster, endpoint)


@given(labels=st.lists(label, max_size=6), port=st.integers(0, 70000))
def test_the_number_of_labels_says_what_is_meant(labels: list[str], port: int) -> None:
    target = read(".".join([str(port), *labels, "svc.clusterset.local"]))
    if isinstance(target, ServiceTarget):
        parts = [target.endpoint, target.cluster, target.service, target.namespace]
        assert [part for part in parts if part] == labels
        assert target.port == port
        assert target.cluster or not target.endpoint


@given(name=st.text(max_size=300))
def test_any_text_is_answered(name: str) -> None:
    assert isinstance(read(name), ServiceTarget | PeerTarget | GatewayTarget | NoTarget)


@given(
    name=st.text(
        st.characters(categories=(), include_characters="\x00\n .-_*[]:/\\aZ09\u00e4\u0130\u212a"),
        max_size=12,
    )
)
def test_no_odd_character_finds_its_way_into_a_target(name: str) -> None:
    for text in (f"80.{name}.demo.svc.clusterset.local", f"gateway.{name}.clusterset.internal"):
        match read(text):
            case ServiceTarget(service=label) | GatewayTarget(cluster=label):
                assert label.isascii()
                assert label.replace("-", "").isalnum()
                assert label in (name.lower(), name.lower().partition(".")[2])
