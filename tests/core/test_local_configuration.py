"""What the servers and nodes of a local cluster are told."""

import datetime
import json
import subprocess
from dataclasses import replace
from ipaddress import IPv4Network
from pathlib import Path

import pytest

from mesh_local.binaries import Component
from mesh_local.cluster import expected_components
from mesh_local.cluster_dns import COREFILE, dns_manifests
from mesh_local.control_plane import audit_policy, control_plane
from mesh_local.layout import SetFiles
from mesh_local.logs import last_error
from mesh_local.names import COREDNS_IMAGE, names_of
from mesh_local.node_config import cni_network, kubelet_config, masquerade_rules
from mesh_local.node_start import Needs, start_script
from mesh_local.plan import Request, plan_set
from mesh_local.readiness import is_available, ready_nodes

FOLDER = Path("/srv/set")
FILES = SetFiles(FOLDER)
PLAN = plan_set(Request(clusters=("east", "west"), nodes=2), subnet=IPv4Network("172.31.0.0/24"))
EAST = PLAN.clusters[0]
EAST_FILES = FILES.cluster(EAST)


def test_a_light_cluster_is_etcd_and_an_api_server_alone() -> None:
    light = replace(EAST, light=True, nodes=EAST.nodes[:1])
    servers = control_plane(light, files=EAST_FILES)
    assert [component.value for component in servers] == ["etcd", "kube-apiserver"]
    assert expected_components(light, light.first) == ("etcd", "kube-apiserver")


def test_an_api_server_writes_down_who_asks_where_that_is_wanted_and_never_what_was_said() -> None:
    for wanted in (False, True):
        servers = control_plane(replace(EAST, audit=wanted), files=EAST_FILES)
        told = servers[Component.API_SERVER]
        assert (f"--audit-log-path={EAST_FILES.audit_log}" in told) is wanted
        assert (f"--audit-policy-file={EAST_FILES.audit_policy}" in told) is wanted
    assert [rule["level"] for rule in json.loads(audit_policy())["rules"]] == ["Metadata"]
    assert EAST_FILES.audit_log.parent == EAST_FILES.folder


def test_further_nodes_of_a_cluster_run_what_pods_need_alone() -> None:
    assert expected_components(EAST, EAST.nodes[1]) == ("containerd", "kubelet", "kube-proxy")
    assert set(expected_components(EAST, EAST.first)) == {
        *("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"),
        *("containerd", "kubelet", "kube-proxy"),
    }


def test_front_proxies_have_an_authority_of_their_own() -> None:
    (api_server,) = [a for c, a in control_plane(EAST, files=EAST_FILES).items() if "api" in c.value]
    flags = dict(flag.split("=", 1) for flag in api_server if "=" in flag)
    assert flags["--requestheader-client-ca-file"] != flags["--client-ca-file"]
    assert flags["--requestheader-allowed-names"] == "front-proxy-client"


def test_every_log_of_a_cluster_has_a_name_of_its_own() -> None:
    logs = [
        EAST_FILES.node(node).log(component)
        for node in EAST.nodes
        for component in expected_components(EAST, node)
    ]
    assert len(set(logs)) == len(logs)
    assert FOLDER / "east" / "kubelet.log" in logs
    assert FOLDER / "east" / "kubelet-2.log" in logs


def test_pods_leave_under_the_nodes_address_but_not_towards_reachable_pods() -> None:
    rules = masquerade_rules(EAST.first, plain=PLAN.reachable_pods(EAST))
    assert 'ip saddr 10.244.0.0/24 ip daddr != { 10.244.0.0/16 } oifname "eth0" masquerade' in rules


def test_the_pods_of_a_node_get_addresses_of_its_range() -> None:
    network = json.loads(cni_network(EAST.nodes[1]))
    assert network["plugins"][0]["ipam"]["ranges"] == [[{"subnet": "10.244.1.0/24"}]]


def test_kubelet_puts_pods_below_the_sets_cgroup_and_asks_the_clusters_dns() -> None:
    names = names_of(FOLDER)
    config = json.loads(kubelet_config(EAST, node=EAST.first, names=names, files=EAST_FILES))
    assert config["cgroupRoot"] == f"/meshctl-{names.id}/east"
    assert config["clusterDNS"] == ["10.96.0.10"]


def test_cluster_dns_has_the_form_that_editors_of_a_corefile_know() -> None:
    objects = {manifest["kind"]: manifest for manifest in dns_manifests(EAST)}
    assert objects["ConfigMap"]["metadata"]["name"] == "coredns"
    assert objects["ConfigMap"]["data"]["Corefile"] == COREFILE
    assert COREFILE.startswith(".:53 {\n")
    assert objects["Service"]["spec"]["clusterIP"] == "10.96.0.10"
    container = objects["Deployment"]["spec"]["template"]["spec"]["containers"][0]
    assert container["image"] == COREDNS_IMAGE


def test_cluster_dns_forwards_nothing_and_answers_for_every_name() -> None:
    assert "forward" not in COREFILE
    assert "file /etc/coredns/root.zone ." in COREFILE


@pytest.mark.parametrize(
    ("folder", "programs", "hidden"),
    [
        ("/srv/set", ["/usr/bin"], []),
        ("/var/lib/set", ["/usr/bin"], ["/var/lib/set"]),
        ("/srv/set", ["/var/lib/me/bin", "/run/x"], ["/run/x", "/var/lib/me/bin"]),
        ("/var/lib/me", ["/var/lib/me/bin"], ["/var/lib/me"]),
        ("/var/libre", [], []),
    ],
)
def test_what_a_nodes_private_file_systems_would_hide_stays_visible(
    folder: str, programs: list[str], hidden: list[str]
) -> None:
    needs = Needs(folder=Path(folder), programs=[Path(program) for program in programs])
    assert needs.hidden() == [Path(path) for path in hidden]


@pytest.mark.parametrize("light", [True, False])
def test_the_start_script_is_bash_also_where_paths_hold_spaces(light: bool) -> None:
    files = SetFiles(Path("/var/lib/my 'sets'")).cluster(EAST).node(EAST.first)
    needs = Needs(folder=Path("/var/lib/my 'sets'"), programs=[])
    script = start_script(files, needs=needs, light=light)
    subprocess.run(["bash", "-n"], input=script, text=True, check=True, timeout=10)
    assert ("nft -f" in script) is not light


def test_a_start_script_that_gives_up_says_so_also_where_paths_hold_spaces(tmp_path: Path) -> None:
    files = SetFiles(tmp_path / "my 'sets'").cluster(EAST).node(EAST.first)
    files.folder.mkdir(parents=True)
    script = start_script(files, needs=Needs(folder=tmp_path, programs=[]), light=True)
    # What follows these lines mounts, and is for fresh namespaces alone.
    head = script.splitlines()[:2]
    subprocess.run(["bash"], input="\n".join([*head, "false", "exit 0"]), text=True, timeout=10)
    assert files.started.read_text() == "failed\n"


def test_a_node_is_ready_from_when_it_says_so() -> None:
    def node(name: str, status: str) -> dict[str, object]:
        heard = {"type": "Ready", "status": status, "lastHeartbeatTime": "2026-01-01T00:00:05Z"}
        other = {"type": "DiskPressure", "status": "False"}
        return {"metadata": {"name": name}, "status": {"conditions": [other, heard]}}

    raw = json.dumps(
        {"items": [node("a", "True"), node("b", "Unknown"), {"metadata": {"name": "c"}, "status": {}}]}
    )
    assert ready_nodes(raw.encode()) == {"a": datetime.datetime(2026, 1, 1, 0, 0, 5, tzinfo=datetime.UTC)}


@pytest.mark.parametrize(
    ("conditions", "available"),
    [
        ([], False),
        ([{"type": "Available", "status": "False"}], False),
        ([{"type": "Progressing", "status": "True"}], False),
        ([{"type": "Available", "status": "True"}], True),
    ],
)
def test_a_deployment_is_available_when_it_says_so(conditions: list[dict[str, str]], available: bool) -> None:
    raw = json.dumps({"metadata": {"name": "coredns"}, "status": {"conditions": conditions}})
    assert is_available(raw.encode()) is available


KLOG = 'E1121 10:48:14.339849      56 run.go:72] "command failed" err="bad flag"'
ZAP = '{"level":"fatal","ts":"2026-11-21","caller":"etcd.go:2","msg":"cannot listen","error":"in use"}'
LOGRUS = 'time="2026-11-21" level=fatal msg="failed to dial \\"x\\"" error="refused"'


@pytest.mark.parametrize(
    ("log", "said"),
    [
        ("", ""),
        ("\n\n", ""),
        ("I1121 1 2 a.go:1] fine\nlast words\n", "last words"),
        (f'{KLOG}\nI1121 10:48:15 56 a.go:1] "stopping"\n', '"command failed" err="bad flag"'),
        (f"{ZAP}\n", "cannot listen: in use"),
        (f"{ZAP[:-1]}\n", ZAP[:-1]),
        (f"{LOGRUS}\n", '"failed to dial \\"x\\"" error="refused"'),
        ("Error: unknown flag: --x\nUsage:\n  kubelet [flags]\n", "Error: unknown flag: --x"),
        ("panic: no\n\ngoroutine 1 [running]:\n", "panic: no"),
    ],
)
def test_the_last_error_of_a_log_is_what_it_says_of_one(log: str, said: str) -> None:
    assert last_error(log) == said
