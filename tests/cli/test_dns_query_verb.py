"""`meshctl dns query` as a person uses it, on an API server that leads into pods."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from mesh_cli.corefile import stub
from mesh_dns.answer import Transport, respond
from mesh_dns.entry import Entry
from mesh_dns.imports import addresses
from mesh_dns.table import Table
from mesh_fakes.commands import Meshctl, complaint
from mesh_fakes.object_server import ObjectServer

MCS = "multicluster.x-k8s.io/v1beta1"
LABELS = {"app.kubernetes.io/part-of": "clusterset-mesh", "app.kubernetes.io/component": "dns"}
MESH, CLUSTER = "10.96.0.53", "10.96.0.10"
NAME = "hello.demo.svc.clusterset.local"


def says(*texts: str) -> Callable[[bytes], bytes]:
    """A mesh-dns that knows demo/hello at these addresses, and nothing else."""
    table = Table()
    if texts:
        table.put(Entry(addresses(texts)), namespace="demo", service="hello")
    table.complete = True
    return lambda packet: respond(packet, table=table, transport=Transport.TCP) or b""


def put_pod(server: ObjectServer, namespace: str, name: str, *, labels: dict[str, str], address: str) -> None:
    meta = {"name": name, "namespace": namespace, "labels": labels}
    server.put("v1", "pods", {"metadata": meta, "status": {"phase": "Running", "podIP": address}})


def put_service(server: ObjectServer, namespace: str, name: str, **spec: object) -> None:
    server.put("v1", "services", {"metadata": {"name": name, "namespace": namespace}, "spec": spec})


@pytest.fixture
def west(west: ObjectServer) -> ObjectServer:
    """A cluster in which everybody says 10.96.1.1."""
    good = says("10.96.1.1")
    west.put("v1", "namespaces", {"metadata": {"name": "demo"}})
    spec = {"type": "ClusterSetIP", "ips": ["10.96.1.1"], "ports": []}
    west.put(MCS, "serviceimports", {"metadata": {"name": "hello", "namespace": "demo"}, "spec": spec})
    for at, name in enumerate(("dns-a", "dns-b")):
        put_pod(west, "meshctl-system", name, labels=LABELS, address=f"10.0.0.{at + 1}")
        west.pods.ports[name, 5353] = good
    put_pod(west, "kube-system", "coredns-a", labels={"k8s-app": "kube-dns"}, address="10.0.0.9")
    west.pods.ports["coredns-a", 53] = good
    put_service(west, "meshctl-system", "meshctl-dns", clusterIP=MESH)
    put_service(west, "kube-system", "kube-dns", clusterIP=CLUSTER, selector={"k8s-app": "kube-dns"})
    meta = {"name": "coredns", "namespace": "kube-system"}
    text = stub(MESH) + ".:53 {\n    reload\n}\n"
    west.put("v1", "configmaps", {"metadata": meta, "data": {"Corefile": text}})
    west.pods.commands["dns-a"] = inside({MESH: good, CLUSTER: good})
    return west


def inside(servers: dict[str, Callable[[bytes], bytes]]) -> Callable[[list[str]], tuple[bytes, bytes]]:
    """A pod with Python, from which these addresses answer."""

    def run(words: list[str]) -> tuple[bytes, bytes]:
        wish = json.loads(words[3])
        packet = bytes.fromhex(wish["packet"])
        told = [
            {"reply": servers[address](packet).hex(), "why": "", "ms": 1.0} for address, _ in wish["servers"]
        ]
        return json.dumps(told).encode(), b""

    return run


def seen(meshctl: Meshctl, *words: str) -> tuple[int, dict[str, Any]]:  # Any: JSON
    result = meshctl("dns", "query", NAME, "--context", "w", "-o", "json", "--settle", "0", *words)
    assert result.exception is None, result.exception
    found: dict[str, Any] = json.loads(result.stdout)
    return result.return_value, found


def test_all_are_asked_in_the_order_of_the_way(meshctl: Meshctl, west: ObjectServer) -> None:
    result = meshctl("dns", "query", NAME, "--context", "w")
    assert result.return_value == 0
    lines = [line.split() for line in result.stdout.splitlines()]
    rows = [line[1:] for line in lines if line[:1] == ["ok"]]
    assert [row[:2] for row in rows] == [
        ["API", "server"],
        ["mesh-dns", "pod"],
        ["mesh-dns", "pod"],
        ["mesh-dns", "Service"],
        ["cluster", "DNS"],
        ["cluster", "DNS"],
    ]
    assert all("10.96.1.1" in row[-2:] for row in rows)
    assert result.stdout.endswith("all say the same\n")


def test_the_pod_that_is_behind_is_named_and_the_status_is_1(meshctl: Meshctl, west: ObjectServer) -> None:
    west.pods.ports["dns-b", 5353] = says("10.96.9.9")
    status, found = seen(meshctl)
    [wrong] = [one for one in found["steps"] if not one["agrees"]]
    assert (status, wrong["name"], wrong["records"]) == (1, "dns-b", ["10.96.9.9"])
    assert wrong["where"] == "10.0.0.2:5353"
    assert "stale" in wrong["why"]


def test_a_change_that_is_under_way_is_no_fault(meshctl: Meshctl, west: ObjectServer) -> None:
    new, old = says("10.96.1.1"), says("10.96.9.9")
    times = []

    def late(packet: bytes) -> bytes:
        times.append(packet)
        return old(packet) if len(times) == 1 else new(packet)

    west.pods.ports["dns-b", 5353] = late
    status, found = seen(meshctl)
    assert (status, found["agree"]) == (0, True)
    assert len(times) > 2


def test_who_cannot_be_asked_hides_no_other(meshctl: Meshctl, west: ObjectServer) -> None:
    del west.pods.ports["dns-b", 5353]
    west.pods.commands["dns-a"] = lambda words: (b"", b'{"status":"Failure","message":"no python"}')
    status, found = seen(meshctl)
    told = {one["name"] or one["part"]: one["why"] for one in found["steps"]}
    assert (status, told["dns-a"], told["coredns-a"]) == (1, None, None)
    assert "connection refused" in told["dns-b"]
    assert "no python" in told["meshctl-dns"]
    assert "no python" in told["cluster DNS"]


def test_without_the_rights_it_is_said_which_way_is_closed(meshctl: Meshctl, west: ObjectServer) -> None:
    west.pods.refused = 403
    status, found = seen(meshctl)
    assert status == 1
    assert "403 Forbidden" in found["steps"][1]["why"]
    assert "portforward" in found["steps"][1]["why"]
    assert "/exec" in found["steps"][3]["why"]


def test_a_name_that_all_deny_is_status_0_with_the_reason(meshctl: Meshctl, west: ObjectServer) -> None:
    west.remove("serviceimports", "hello")
    none = says()
    west.pods.ports = dict.fromkeys(west.pods.ports, none)
    west.pods.commands["dns-a"] = inside({MESH: none, CLUSTER: none})
    status, found = seen(meshctl)
    assert (status, found["agree"]) == (0, True)
    assert {one["rcode"] for one in found["steps"]} == {"NXDOMAIN"}
    assert found["notes"] == [
        "there is no ServiceImport demo/hello in this cluster, so the name does not exist"
    ]


def test_a_cluster_without_any_of_ours_is_told_to_join(meshctl: Meshctl, east: ObjectServer) -> None:
    result = meshctl("dns", "query", NAME, "--context", "e", "--settle", "0")
    assert result.return_value == 1
    assert "Service meshctl-system/meshctl-dns is not there" in result.stdout
    assert "run meshctl join" in result.stdout
    assert "no pod of meshctl-dns is there\n  next: run meshctl join" in result.stdout


def test_a_pods_own_view_is_asked_too(meshctl: Meshctl, west: ObjectServer) -> None:
    west.pods.commands["web"] = lambda words: (b"nameserver 192.0.2.1\n===\n", b"")
    status, found = seen(meshctl, "--from", "demo/web")
    last = found["steps"][-1]
    assert (status, last["name"], last["where"], last["agrees"]) == (1, "demo/web", "192.0.2.1", False)
    assert "does not ask cluster DNS" in last["why"]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("hello.demo",), "it is not in clusterset.local"),
        ((NAME, "--from", "web"), "write --from NAMESPACE/POD"),
        ((NAME, "--from", "demo/web", "--type", "SRV"), "give --type A or AAAA with --from"),
        ((NAME, "--context", "dead"), "does not answer"),
    ],
)
def test_what_cannot_be_asked_is_refused_in_one_line(
    meshctl: Meshctl, words: tuple[str, ...], expected: str
) -> None:
    assert expected in complaint(meshctl("dns", "query", *words))
