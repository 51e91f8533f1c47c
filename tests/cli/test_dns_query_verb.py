"""`meshctl dns query` as a person uses it, on an API server that leads into pods."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from mesh_cli.dns.corefile import stub
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


def put_pod(
    server: ObjectServer,
    namespace: str,
    name: str,
    *,
    labels: dict[str, str],
    address: str = "",
    phase: str = "Running",
    port: int = 0,
    **meta: str,
) -> None:
    ports = [{"name": "dns", "containerPort": port, "protocol": "UDP"}] if port else []
    pod = {
        "metadata": {"name": name, "namespace": namespace, "labels": labels, **meta},
        "spec": {"containers": [{"name": "dns", "ports": ports}]},
        "status": {"phase": phase, "podIP": address},
    }
    server.put("v1", "pods", pod)


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


def seen(meshctl: Meshctl, *words: str, name: str = NAME) -> tuple[int, dict[str, Any]]:  # Any: JSON
    result = meshctl("dns", "query", name, "--context", "w", "-o", "json", "--settle", "0", *words)
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


@pytest.mark.parametrize(
    ("may", "asked", "closed", "right"),
    [
        ("get pods", {"API server"}, "mesh-dns pod", "list pods"),
        ("get services", {"API server", "mesh-dns pod"}, "mesh-dns Service", "read Services"),
    ],
)
def test_what_may_not_be_read_is_not_asked_and_nobody_is_told_to_join(
    meshctl: Meshctl, west: ObjectServer, may: str, asked: set[str], closed: str, right: str
) -> None:
    verb, plural = may.split()
    west.refusals[verb.upper(), plural] = (403, "Forbidden")
    status, found = seen(meshctl)
    assert status == 1
    assert asked <= {one["part"] for one in found["steps"] if one["agrees"]}
    first = next(one for one in found["steps"] if one["part"] == closed)
    assert "403 Forbidden" in first["why"]
    assert right in first["nextStep"]
    assert not any("join" in (one["nextStep"] or "") for one in found["steps"])


def test_a_pod_that_may_not_be_asked_is_not_asked_and_its_service_is_not_blamed_on_it(
    meshctl: Meshctl, west: ObjectServer
) -> None:
    west.pods.refused = 403
    result = meshctl("dns", "query", NAME, "--context", "w")
    rows = [line.split("  ") for line in result.stdout.splitlines() if line.startswith("?")]
    assert len(rows) == 5 and all("not asked" in row for row in map("  ".join, rows))
    assert "pods behind it do not answer" not in result.stdout
    assert "next: ask with a context that may exec in that pod" in result.stdout


def test_pods_that_go_or_come_beside_one_that_runs_are_no_fault(meshctl: Meshctl, west: ObjectServer) -> None:
    going = "2026-01-01T00:00:00Z"
    put_pod(west, "meshctl-system", "dns-0", labels=LABELS, address="10.0.0.3", deletionTimestamp=going)
    put_pod(west, "meshctl-system", "dns-c", labels=LABELS, phase="Pending")
    put_pod(west, "kube-system", "coredns-b", labels={"k8s-app": "kube-dns"}, phase="Pending")
    status, found = seen(meshctl)
    names = [one["name"] for one in found["steps"]]
    assert (status, found["agree"]) == (0, True)
    assert not {"dns-0", "dns-c", "coredns-b"} & set(names)
    assert found["notes"] == [
        "mesh-dns pod dns-c is Pending and was not asked",
        "cluster DNS pod coredns-b is Pending and was not asked",
    ]


def test_a_pod_that_is_pending_alone_is_a_fault(meshctl: Meshctl, west: ObjectServer) -> None:
    for name in ("dns-a", "dns-b"):
        put_pod(west, "meshctl-system", name, labels=LABELS, phase="Pending")
    status, found = seen(meshctl)
    told = {one["name"]: one["why"] for one in found["steps"]}
    assert (status, told["dns-a"], told["dns-b"]) == (1, "it is Pending", "it is Pending")


def test_a_service_of_cluster_dns_without_an_address_is_noted(meshctl: Meshctl, west: ObjectServer) -> None:
    none = {"clusterIP": "None", "clusterIPs": ["None"], "selector": {"k8s-app": "kube-dns"}}
    put_service(west, "kube-system", "kube-dns", **none)
    status, found = seen(meshctl)
    assert (status, found["agree"], found["steps"][-1]["name"]) == (0, True, "coredns-a")
    assert "kube-system/kube-dns of cluster DNS has no address" in found["notes"][0]


def test_a_pod_is_asked_at_the_port_that_its_container_names(meshctl: Meshctl, west: ObjectServer) -> None:
    put_pod(west, "meshctl-system", "dns-b", labels=LABELS, address="10.0.0.2", port=1053)
    west.pods.ports["dns-b", 1053] = west.pods.ports.pop(("dns-b", 5353))
    status, found = seen(meshctl)
    assert (status, found["steps"][2]["where"]) == (0, "10.0.0.2:1053")


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


@pytest.mark.parametrize("name", ["demo.svc.clusterset.local", "svc.clusterset.local"])
def test_a_name_above_services_exists_by_any_of_them(meshctl: Meshctl, west: ObjectServer, name: str) -> None:
    """It was compared with a zone that has no services, so all who were right were blamed."""
    spec = {"type": "Headless", "ips": [], "ports": []}
    west.put(MCS, "serviceimports", {"metadata": {"name": "asleep", "namespace": "demo"}, "spec": spec})
    status, found = seen(meshctl, name=name)
    assert (status, found["agree"]) == (0, True)
    assert {(one["rcode"], *one["records"]) for one in found["steps"]} == {("NOERROR",)}


def test_a_namespace_without_a_name_in_it_has_none(meshctl: Meshctl, west: ObjectServer) -> None:
    status, found = seen(meshctl, name="other.svc.clusterset.local")
    assert (status, {one["rcode"] for one in found["steps"]}) == (0, {"NXDOMAIN"})


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
