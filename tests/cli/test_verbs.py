"""The verbs as a person uses them, on API servers that keep objects."""

import json
from pathlib import Path

import pytest

from mesh_fakes.clusters import MESH, REQUEST, make_member
from mesh_fakes.commands import Meshctl, complaint, done, join
from mesh_fakes.object_server import ObjectServer


def test_init_makes_a_root_and_names_the_next_command(meshctl: Meshctl, tmp_path: Path) -> None:
    folder = tmp_path / "a" / "trust"
    output = done(meshctl("trust", "init", "--dir", str(folder), "--domain", "mesh.example"))
    assert output.splitlines()[-1] == f"next: meshctl join --context CONTEXT --cluster-id ID --trust {folder}"
    assert "made the root of mesh.example" in output
    assert (folder / "root.key").stat().st_mode & 0o777 == 0o600


def test_a_second_init_in_the_same_folder_is_refused(meshctl: Meshctl, trust: str) -> None:
    before = (Path(trust) / "root.key").read_bytes()
    assert "a root is never overwritten" in complaint(meshctl("trust", "init", "--dir", trust))
    assert (Path(trust) / "root.key").read_bytes() == before


def test_a_folder_that_cannot_be_written_is_said_so(meshctl: Meshctl, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert "cannot be written" in complaint(meshctl("trust", "init", "--dir", str(tmp_path / "file" / "x")))


@pytest.mark.parametrize("domain", ["Upper.example", "a..b", "1.2.3.4", "clusterset.local", "x" * 200])
def test_a_domain_that_cannot_be_one_is_refused(meshctl: Meshctl, tmp_path: Path, domain: str) -> None:
    folder = tmp_path / "t"
    assert "use " in complaint(meshctl("trust", "init", "--dir", str(folder), "--domain", domain))
    assert not folder.exists()


def test_join_makes_a_member_and_says_what_it_did(meshctl: Meshctl, east: ObjectServer, trust: str) -> None:
    output = done(join(meshctl, trust, "--image", "registry.example/mesh:7"))
    assert east.get("clusterproperties", "cluster.clusterset.k8s.io")["spec"] == {"value": "east"}
    assert east.get("clusterproperties", "clusterset.k8s.io")["spec"] == {"value": "clusterset.internal"}
    assert east.get("trustbundles", "clusterset")["spec"]["generation"] == 1
    assert east.get("certificatesigningrequests", REQUEST)["status"]["certificate"]
    container = east.get("deployments", "meshctl-gateway")["spec"]["template"]["spec"]["containers"][0]
    assert container["image"] == "registry.example/mesh:7"
    dns = east.get("services", "meshctl-dns")["spec"]["clusterIP"]
    assert f"forward . {dns} {{\n" in east.get("configmaps", "coredns")["data"]["Corefile"]
    assert "east is a member of clusterset.internal (context e)" in output
    assert "  installed serviceimports.multicluster.x-k8s.io" in output
    assert "  signed its intermediate certificate" in output
    assert output.splitlines()[-1].endswith(
        f"join --context OTHER_CONTEXT --cluster-id OTHER_ID --trust {trust}"
    )


def test_joining_again_changes_nothing(meshctl: Meshctl, east: ObjectServer, trust: str) -> None:
    done(join(meshctl, trust))
    before = east.versions()
    output = done(join(meshctl, trust))
    assert east.versions() == before
    assert "installed" not in output
    assert "signed" not in output


def test_joining_again_without_a_service_type_keeps_the_one_that_is_there(
    meshctl: Meshctl, east: ObjectServer, trust: str
) -> None:
    done(join(meshctl, trust))
    done(meshctl("join", "--cluster-id", "east", "--trust", trust))
    assert east.get("services", "meshctl-gateway")["spec"]["type"] == "NodePort"


def test_a_newer_standard_kind_stays(meshctl: Meshctl, east: ObjectServer, trust: str) -> None:
    group = "multicluster.x-k8s.io"
    labels = {f"{group}/release-version": "v9.0.0", f"{group}/crd-schema-revision": "0"}
    served_version = {"name": "v1beta1", "served": True, "storage": True}
    newer = {
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"serviceimports.{group}", "labels": labels},
        "spec": {"group": group, "versions": [served_version]},
    }
    kept = east.put("apiextensions.k8s.io/v1", "customresourcedefinitions", newer)
    output = done(join(meshctl, trust))
    assert east.get("customresourcedefinitions", f"serviceimports.{group}")["spec"] == kept["spec"]
    assert "serviceimports" not in output


def test_where_dns_is_not_coredns_join_says_what_to_add_by_hand(
    meshctl: Meshctl, east: ObjectServer, trust: str
) -> None:
    east.objects = {at: item for at, item in east.objects.items() if at.plural != "configmaps"}
    output = done(join(meshctl, trust))
    assert "there is no ConfigMap kube-system/coredns to change" in output
    assert "    clusterset.local:53 {" in output


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("--cluster-id", "East_1"), "'East_1' cannot be a cluster id; use one DNS label"),
        (("--context", "nowhere"), "has no context 'nowhere'; use one of: dead, e, w"),
        (("--context", "dead"), "the API server at http://127.0.0.1:9 does not answer"),
        (("--trust", "/nowhere/trust"), "holds no clusterset's root; make one with meshctl trust init"),
    ],
)
def test_join_refuses_what_it_cannot_use_before_it_writes(
    meshctl: Meshctl, east: ObjectServer, trust: str, words: tuple[str, ...], expected: str
) -> None:
    before = east.versions()
    assert expected in complaint(join(meshctl, trust, *words))
    assert east.versions() == before


def test_a_trust_folder_that_cannot_keep_the_member_stops_the_join(
    meshctl: Meshctl, east: ObjectServer, trust: str
) -> None:
    # Tests may run as root, whom no permission stops: a folder in the place of the file does.
    (Path(trust) / ".clusterset.json.part").mkdir()
    assert f"{trust} cannot be written" in complaint(join(meshctl, trust))
    assert east.find("deployments", "meshctl-controller") is None


def test_one_id_for_two_clusters_is_refused(meshctl: Meshctl, west: ObjectServer, trust: str) -> None:
    done(join(meshctl, trust))
    before = west.versions()
    refused = complaint(join(meshctl, trust, "--context", "w"))
    assert "the cluster id east belongs to another cluster (kube-system UID uid-of-east)" in refused
    assert west.versions() == before


def test_a_member_gets_no_second_id(meshctl: Meshctl, trust: str) -> None:
    done(join(meshctl, trust))
    refused = complaint(join(meshctl, trust, "--cluster-id", "west"))
    assert "has the cluster id east already; use --cluster-id east" in refused


def test_a_missing_permission_is_named(meshctl: Meshctl, east: ObjectServer, trust: str) -> None:
    east.refusals[("PATCH", "customresourcedefinitions")] = 403, "Forbidden"
    refused = complaint(join(meshctl, trust))
    assert "(403 Forbidden)" in refused
    assert "ask for the missing permission, or use a context that has it" in refused


def test_programs_that_do_not_start_are_reported_with_what_their_pods_say(
    meshctl: Meshctl, east: ObjectServer, trust: str
) -> None:
    east.reactions = east.reactions[:2]
    meta = {"name": "meshctl-dns-x", "namespace": "meshctl-system"}
    state = {"waiting": {"reason": "ErrImagePull", "message": "no such image"}}
    status = {"phase": "Pending", "containerStatuses": [{"ready": False, "state": state}]}
    east.put("v1", "pods", {"metadata": meta, "status": status})
    refused = complaint(join(meshctl, trust, "--timeout", "0.3"))
    assert "not ready in time: meshctl-controller 0/2" in refused
    assert "meshctl-dns-x: ErrImagePull no such image" in refused
    assert "kubectl --context e -n meshctl-system describe pods" in refused


def test_link_makes_both_peers_of_each_other(
    meshctl: Meshctl, east: ObjectServer, west: ObjectServer
) -> None:
    make_member(east, cluster="east")
    make_member(west, cluster="the-west")
    output = done(meshctl("link", "e", "w"))
    assert east.get("meshpeers", "the-west")["spec"] == {"gateways": [{"host": "10.0.0.4", "port": 30008}]}
    assert west.get("meshpeers", "east")["spec"] == {"gateways": [{"host": "10.0.0.4", "port": 30004}]}
    assert "east and the-west are connected" in output
    before = east.versions(), west.versions()
    done(meshctl("link", "e", "w"))
    assert (east.versions(), west.versions()) == before


def on_network(server: ObjectServer, name: str, *cidrs: str) -> None:
    """The cluster says that it is on that network, and its node which pod addresses are its own."""
    body = {"metadata": {"name": "network.meshctl.dev"}, "spec": {"value": name}}
    server.put("about.k8s.io/v1beta1", "clusterproperties", body)
    (node,) = [at.name for at in server.objects if at.plural == "nodes"]
    server.put("v1", "nodes", {"metadata": {"name": node}, "spec": {"podCIDRs": list(cidrs)}})


def test_join_says_the_network_where_it_is_told_one(meshctl: Meshctl, east: ObjectServer, trust: str) -> None:
    done(join(meshctl, trust))
    assert east.find("clusterproperties", "network.meshctl.dev") is None
    done(join(meshctl, trust, "--network", "blue"))
    assert east.get("clusterproperties", "network.meshctl.dev")["spec"] == {"value": "blue"}
    done(join(meshctl, trust))
    assert east.get("clusterproperties", "network.meshctl.dev")["spec"] == {"value": "blue"}
    assert "use one DNS label" in complaint(join(meshctl, trust, "--network", "Blue.1"))


def test_link_on_one_network_says_which_addresses_are_the_other_ones(
    meshctl: Meshctl, east: ObjectServer, west: ObjectServer
) -> None:
    make_member(east, cluster="east")
    make_member(west, cluster="west")
    on_network(east, "blue", "10.1.0.0/24", "10.1.1.0/24", "fd00:1::/64")
    on_network(west, "blue", "10.2.0.0/16")
    output = done(meshctl("link", "e", "w"))
    assert "both are on network blue" in output
    spec = west.get("meshpeers", "east")["spec"]
    assert spec["network"] == "blue"
    assert spec["import"] == {"podCIDRs": ["10.1.0.0/23", "fd00:1::/64"]}
    assert east.get("meshpeers", "west")["spec"]["import"] == {"podCIDRs": ["10.2.0.0/16"]}


def test_link_on_two_networks_says_their_names_alone(
    meshctl: Meshctl, east: ObjectServer, west: ObjectServer
) -> None:
    make_member(east, cluster="east")
    make_member(west, cluster="west")
    on_network(west, "green", "10.2.0.0/16")
    assert "both are on" not in done(meshctl("link", "e", "w"))
    spec = east.get("meshpeers", "west")["spec"]
    assert spec["network"] == "green"
    assert "import" not in spec
    assert "network" not in west.get("meshpeers", "east")["spec"]


def test_link_keeps_the_ranges_that_were_given_by_hand_where_the_nodes_state_none(
    meshctl: Meshctl, east: ObjectServer, west: ObjectServer
) -> None:
    make_member(east, cluster="east")
    make_member(west, cluster="west")
    on_network(east, "blue")
    on_network(west, "blue", "10.2.0.0/16")
    words = ("--context", "w", "--peer", "east", "--address", "a:1", "--pod-cidr", "10.9.0.0/16")
    done(meshctl("peer", "add", *words, "--network", "blue"))
    output = done(meshctl("link", "e", "w"))
    assert "the nodes of east state no podCIDRs" in output
    assert "the nodes of west" not in output
    assert west.get("meshpeers", "east")["spec"]["import"] == {"podCIDRs": ["10.9.0.0/16"]}
    done(meshctl("peer", "add", "--context", "w", "--peer", "east", "--address", "b:1"))
    spec = west.get("meshpeers", "east")["spec"]
    assert (spec["network"], spec["import"]) == ("blue", {"podCIDRs": ["10.9.0.0/16"]})


def test_link_says_what_is_missing_when_a_side_does_not_connect(
    meshctl: Meshctl, east: ObjectServer, west: ObjectServer
) -> None:
    make_member(east, cluster="east")
    make_member(west, cluster="west")
    west.reactions = west.reactions[:2]
    refused = complaint(meshctl("link", "e", "w", "--timeout", "0.3"))
    assert refused.startswith("west: no controller has looked at peer east; see with meshctl status")


@pytest.mark.parametrize(
    ("contexts", "expected"),
    [
        (("e", "e"), "both contexts are members under the cluster id east"),
        (("e", "w"), "context w: there is no ClusterProperty cluster.clusterset.k8s.io; run meshctl join"),
        (("e", "x"), "has no context 'x'; use one of: dead, e, w"),
        (("e", "dead"), "does not answer"),
    ],
)
def test_link_refuses_a_pair_that_cannot_be(
    meshctl: Meshctl, east: ObjectServer, contexts: tuple[str, str], expected: str
) -> None:
    make_member(east, cluster="east")
    assert expected in complaint(meshctl("link", *contexts))
    assert not [at for at in east.objects if at.plural == "meshpeers"]


def test_peer_add_writes_each_address_once_and_in_order(meshctl: Meshctl, east: ObjectServer) -> None:
    make_member(east, cluster="east")
    addresses = ("gw.example:15443", "[2001:db8::7]:15443", "gw.example:15443")
    words = [word for address in addresses for word in ("--address", address)]
    output = done(meshctl("peer", "add", "--context", "e", "--peer", "west", *words))
    assert east.get("meshpeers", "west")["spec"]["gateways"] == [
        {"host": "gw.example", "port": 15443},
        {"host": "2001:db8::7", "port": 15443},
    ]
    assert output.startswith("east knows west at gw.example:15443, [2001:db8::7]:15443\n")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("--peer", "east", "--address", "a:1"), "east is the cluster id of context e itself"),
        (("--peer", "We st", "--address", "a:1"), "cannot be a cluster id"),
        (("--peer", "west", "--address", "a:1", "--network", "a.b"), "'a.b' cannot be the name of a network"),
        (("--peer", "west", "--address", "a:1", "--pod-cidr", "10.0.0.1/8"), "'10.0.0.1/8' is no range"),
        (("--peer", "west", "--address", "a"), "'a' is not a gateway's address; write HOST:PORT"),
        (("--peer", "west", *["--address", "a:1"] * 17), "17 addresses were given; give at most 16"),
    ],
)
def test_peer_add_refuses_what_cannot_be_a_peer(
    meshctl: Meshctl, east: ObjectServer, words: tuple[str, ...], expected: str
) -> None:
    make_member(east, cluster="east")
    assert expected in complaint(meshctl("peer", "add", "--context", "e", *words))
    assert not [at for at in east.objects if at.plural == "meshpeers"]


def test_status_asks_the_current_context_when_none_is_named(meshctl: Meshctl, east: ObjectServer) -> None:
    make_member(east, cluster="east")
    result = meshctl("status")
    assert done(result).splitlines()[3].split()[:2] == ["east", "e"]
    assert result.return_value == 0


def test_status_shows_the_age_of_what_it_knows_and_no_cluster_hides_another(
    meshctl: Meshctl, east: ObjectServer, west: ObjectServer
) -> None:
    make_member(east, cluster="east")
    gateways = [{"host": "192.0.2.7", "port": 15443}]
    east.put(MESH, "meshpeers", {"metadata": {"name": "west"}, "spec": {"gateways": gateways}})
    lease = {"metadata": {"name": "peer-west", "namespace": "meshctl-system"}}
    east.put("coordination.k8s.io/v1", "leases", {**lease, "spec": {"renewTime": "2026-01-01T00:00:00Z"}})
    west.refusals[("GET", "namespaces")] = 403, "Forbidden"
    contexts = ("--context", "e", "--context", "w", "--context", "dead")
    result = meshctl("status", *contexts, "-o", "json")
    seen, refused, dead = json.loads(result.stdout)["clusters"]
    assert seen["peers"][0]["lastWord"] == "2026-01-01T00:00:00Z"
    assert seen["peers"][0]["lastContact"] is None, "nothing was acknowledged"
    assert seen["peers"][0]["connected"]["reason"] == "Synced"
    assert "403" in refused["error"]
    assert "does not answer" in dead["error"]
    assert result.return_value == 1


def test_status_of_a_cluster_without_our_kinds_says_that_it_is_no_member(meshctl: Meshctl) -> None:
    assert "w: not a member: there is no ClusterProperty" in done(meshctl("status", "--context", "w"))
