"""How cluster DNS of each kind comes to ask ours: edited where it is ours to edit, else told whole."""

import json
import shlex

import pytest

from mesh_cli.dns.address import named_addresses
from mesh_cli.dns.cluster_dns import Stub, StubState, dns_lines
from mesh_cli.dns.corefile import ZoneBlock, stub, with_stub
from mesh_cli.dns.set_ups import KubeDns, OpenShift, node_local_lines, other_lines
from mesh_cli.dns.zone import By, CoreDnsConfig, Served
from mesh_fakes.clusters import COREFILE
from mesh_fakes.commands import Meshctl, done, join
from mesh_fakes.object_server import ObjectServer

MULTICLUSTER = """.:53 {
    kubernetes cluster.local clusterset.local {
        multicluster clusterset.local
    }
    reload
}
"""
IMPORTING = COREFILE + "import /etc/coredns/custom/*.server\n"
OWN_BLOCK = "clusterset.local:53 {\n    forward . 10.96.0.53\n}\n"
NODE_LOCAL = """cluster.local:53 {
    cache {
            success 9984 30
            denial 9984 5
    }
    bind 169.254.20.10 10.96.0.10
    forward . __PILLAR__CLUSTER__DNS__ {
            force_tcp
    }
}
.:53 {
    forward . __PILLAR__UPSTREAM__SERVERS__
}
"""


def put_config(server: ObjectServer, name: str, **data: str) -> None:
    server.put("v1", "configmaps", {"metadata": {"name": name, "namespace": "kube-system"}, "data": data})


def corefile(server: ObjectServer) -> str:
    return str(server.get("configmaps", "coredns")["data"]["Corefile"])


def address(server: ObjectServer) -> str:
    return str(server.get("services", "meshctl-dns")["spec"]["clusterIP"])


def without_coredns(server: ObjectServer) -> None:
    server.remove("configmaps", "coredns")


def test_where_coredns_answers_the_zone_itself_nothing_is_added_unless_asked(
    meshctl: Meshctl, east: ObjectServer, trust: str
) -> None:
    put_config(east, "coredns", Corefile=MULTICLUSTER)
    output = done(join(meshctl, trust))
    assert "answers clusterset.local by its option multicluster" in output
    assert corefile(east) == MULTICLUSTER
    done(join(meshctl, trust, "--dns-stub"))
    assert corefile(east) == stub(address(east)) + MULTICLUSTER
    # What was asked for once is kept.
    assert "forwards to" in done(join(meshctl, trust))
    done(meshctl("uninstall", "--context", "e", "--force"))
    assert corefile(east) == MULTICLUSTER


def test_a_block_that_a_distribution_imports_gets_no_second_one_beside_it(
    meshctl: Meshctl, east: ObjectServer, trust: str
) -> None:
    put_config(east, "coredns", Corefile=IMPORTING)
    put_config(east, "coredns-custom", **{"mesh.server": OWN_BLOCK})
    assert "by ConfigMap kube-system/coredns-custom" in done(join(meshctl, trust))
    assert address(east) == "10.96.0.53", "the Service takes the address that the block names"
    other = {**east.get("services", "meshctl-dns"), "spec": {"clusterIPs": ["10.96.0.54"]}}
    east.put("v1", "services", other)
    output = done(join(meshctl, trust))
    assert "points to 10.96.0.53, and meshctl-dns has 10.96.0.54; make it forward to 10.96.0.54" in output
    assert corefile(east) == IMPORTING


def test_a_block_that_no_corefile_imports_is_nobodys(
    meshctl: Meshctl, east: ObjectServer, trust: str
) -> None:
    put_config(east, "coredns-custom", **{"mesh.server": OWN_BLOCK})
    done(join(meshctl, trust))
    assert corefile(east) == stub(address(east)) + COREFILE


def test_both_addresses_of_a_service_of_two_families_are_in_the_stub(
    meshctl: Meshctl, east: ObjectServer, trust: str
) -> None:
    spec = {"clusterIP": "10.96.0.53", "clusterIPs": ["10.96.0.53", "fd00:96::53"]}
    meta = {"name": "meshctl-dns", "namespace": "meshctl-system"}
    east.put("v1", "services", {"metadata": meta, "spec": spec})
    done(join(meshctl, trust))
    block = corefile(east)
    assert "    forward . 10.96.0.53 fd00:96::53 {\n        max_fails 0\n        policy sequential\n" in block
    assert named_addresses(CoreDnsConfig(block)) == ("10.96.0.53", "fd00:96::53")


def test_kube_dns_is_told_with_what_it_has_already(meshctl: Meshctl, east: ObjectServer, trust: str) -> None:
    without_coredns(east)
    put_config(east, "kube-dns", stubDomains='{"corp.example": ["10.1.1.1"]}')
    line = next(one for one in done(join(meshctl, trust)).splitlines() if "patch configmap" in one)
    patch = json.loads(shlex.split(line)[-1])
    assert json.loads(patch["data"]["stubDomains"]) == {
        "clusterset.local": [address(east)],
        "corp.example": ["10.1.1.1"],
    }


def test_a_kube_dns_that_forwards_already_is_told_so_and_one_without_settings_gets_some() -> None:
    right = KubeDns('{"clusterset.local": ["10.96.0.53"]}')
    assert other_lines(right, addresses=["10.96.0.53"], context="e") == [
        "  DNS: forwards to 10.96.0.53 by ConfigMap kube-system/kube-dns"
    ]
    none = other_lines(KubeDns(None), addresses=["10.96.0.53"], context="e")
    assert "create configmap kube-dns" in none[1]
    broken = other_lines(KubeDns("[1"), addresses=["10.96.0.53"], context="e")
    assert "is no JSON object" in broken[0]


@pytest.mark.parametrize(
    ("servers", "operation", "path"),
    [
        ((), "add", "/spec/servers"),
        (((("corp.example",), ("10.1.1.1",)),), "add", "/spec/servers/-"),
        (
            ((("corp.example",), ("10.1.1.1",)), (("clusterset.local",), ("10.9.9.9",))),
            "replace",
            "/spec/servers/1",
        ),
    ],
)
def test_the_operator_of_openshift_is_told_by_a_patch_that_leaves_other_servers_alone(
    servers: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...], operation: str, path: str
) -> None:
    lines = other_lines(OpenShift(servers), addresses=["10.96.0.53"], context="e")
    [change] = json.loads(shlex.split(lines[1])[-1])
    assert (change["op"], change["path"]) == (operation, path)
    value = change["value"][0] if isinstance(change["value"], list) else change["value"]
    assert value["zones"] == ["clusterset.local"]
    assert value["forwardPlugin"]["upstreams"] == ["10.96.0.53"]
    settled = OpenShift(((("clusterset.local",), ("10.96.0.53",)),))
    assert "forwards to" in other_lines(settled, addresses=["10.96.0.53"], context="e")[0]


def test_nodelocal_dnscache_is_told_the_block_that_it_lacks_with_its_own_addresses(
    meshctl: Meshctl, east: ObjectServer, trust: str
) -> None:
    put_config(east, "node-local-dns", Corefile=NODE_LOCAL)
    output = done(join(meshctl, trust))
    block = output[output.index("    clusterset.local:53 {") : output.index("next:")]
    assert "bind 169.254.20.10 10.96.0.10\n" in block
    assert "forward . __PILLAR__CLUSTER__DNS__ {\n" in block
    told = "\n".join(line.removeprefix("    ") for line in block.splitlines())
    assert node_local_lines(NODE_LOCAL + told + "\n", context="e") == []


def test_every_state_says_where_names_go() -> None:
    for state in StubState:
        imported = Served(By.CUSTOM, ZoneBlock((), ("10.96.0.53",)))
        found = Stub(state, ("10.96.0.53",), served=imported)
        assert any("10.96.0.53" in line for line in dns_lines(found, context="e"))


def test_a_service_that_is_made_again_asks_for_the_address_that_cluster_dns_has(
    meshctl: Meshctl, east: ObjectServer, trust: str
) -> None:
    put_config(east, "coredns", Corefile=with_stub(COREFILE, addresses=("10.96.0.77",)))
    done(join(meshctl, trust))
    assert east.get("services", "meshctl-dns")["spec"]["clusterIPs"] == ["10.96.0.77"]
    assert address(east) == "10.96.0.77"
    assert "forward . 10.96.0.77 {" in corefile(east)


def test_where_that_address_is_not_to_be_had_the_stub_gets_the_new_one(
    meshctl: Meshctl, east: ObjectServer, trust: str
) -> None:
    put_config(east, "coredns", Corefile=with_stub(COREFILE, addresses=("10.96.0.77",)))
    east.taken_addresses.add("10.96.0.77")
    done(join(meshctl, trust))
    assert address(east) != "10.96.0.77"
    assert f"forward . {address(east)} {{" in corefile(east)


@pytest.mark.parametrize(
    "targets", ["10.0.0.1 10.0.0.2", "10.0.0.1:5353", "/etc/resolv.conf", "tls://10.0.0.1", ""]
)
def test_what_could_be_no_service_is_not_asked_for(targets: str) -> None:
    assert named_addresses(CoreDnsConfig(f"clusterset.local {{\n    forward . {targets}\n}}\n")) == ()
