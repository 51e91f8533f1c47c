"""Unlinking, evicting and leaving, on API servers that keep objects and do what a controller would."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from mesh_cli.main import command
from mesh_cli.member.leave import removal_limit
from mesh_core.errors import MeshError
from mesh_core.names import ANNOTATION_LEAVING, MANAGER
from mesh_fakes.clusters import COREFILE, MESH, bare_cluster, make_member, with_controllers
from mesh_fakes.object_server import Object, ObjectServer, served, write_kubeconfig

MCS = "multicluster.x-k8s.io/v1beta1"
Meshctl = Callable[..., Result]


@pytest.fixture
def east() -> ObjectServer:
    server = bare_cluster("east")
    make_member(server, cluster="east")
    imported(server, "sole", sources=("west",))
    imported(server, "both", sources=("north", "west"))
    server.put("coordination.k8s.io/v1", "leases", named("peer-west", "meshctl-system"))
    server.put(MESH, "meshpeers", {**named("west"), "spec": {"gateways": [{"host": "w", "port": 1}]}})
    return server


@pytest.fixture
def west() -> ObjectServer:
    server = bare_cluster("west")
    make_member(server, cluster="west")
    return server


@pytest.fixture
def meshctl(tmp_path: Path, east: ObjectServer, west: ObjectServer) -> Iterator[Meshctl]:
    with ExitStack() as stack:
        urls = {"e": stack.enter_context(served(east)).url, "w": stack.enter_context(served(west)).url}
        file = write_kubeconfig(tmp_path / "kubeconfig", servers=urls, current="e")

        def run(*words: str) -> Result:
            return CliRunner().invoke(command, ["--kubeconfig", str(file), *words], standalone_mode=False)

        yield run


def done(result: Result) -> str:
    assert result.exception is None, result.exception
    return result.stdout


def complaint(result: Result) -> str:
    assert isinstance(result.exception, MeshError), result
    return str(result.exception)


def named(name: str, namespace: str = "", **labels: str) -> Object:
    return {"metadata": {"name": name, "namespace": namespace, "labels": labels}}


def imported(server: ObjectServer, name: str, *, sources: tuple[str, ...]) -> None:
    """What a controller makes of the records of `name`."""
    for source in sources:
        record = named(f"{source}.demo.{name}", "meshctl-system")
        spec = {"cluster": source, "namespace": "demo", "name": name, "type": "ClusterSetIP", "ports": []}
        spec |= {"created": "2026-01-01T00:00:00Z"}
        server.put(MESH, "importedrecords", {**record, "spec": spec})
        labels = {
            "endpointslice.kubernetes.io/managed-by": MANAGER,
            "multicluster.kubernetes.io/service-name": name,
            "multicluster.kubernetes.io/source-cluster": source,
        }
        piece = {**named(f"{name}-{source}", "demo", **labels), "addressType": "IPv4", "endpoints": []}
        server.put("discovery.k8s.io/v1", "endpointslices", piece)
    status = {"clusters": [{"cluster": source} for source in sources]}
    meta = named(name, "demo", **{"app.kubernetes.io/managed-by": MANAGER})
    server.put(MCS, "serviceimports", {**meta, "spec": {"type": "ClusterSetIP"}, "status": status})


def forgetting(server: ObjectServer) -> None:
    """What the controller of east does when its MeshPeer for west is gone."""

    def forget(name: str) -> None:
        if name != "meshpeers":
            return
        for plural, gone in (
            ("importedrecords", ("west.demo.sole", "west.demo.both")),
            ("endpointslices", ("sole-west", "both-west")),
            ("serviceimports", ("sole",)),
            ("leases", ("peer-west",)),
        ):
            for one in gone:
                server.remove(plural, one)
        server.put(
            MCS, "serviceimports", {**named("both", "demo"), "status": {"clusters": [{"cluster": "north"}]}}
        )

    server.farewells.append(forget)


def test_a_removed_peer_goes_with_all_that_came_from_it_and_others_stay(
    meshctl: Meshctl, east: ObjectServer
) -> None:
    forgetting(east)
    output = done(meshctl("peer", "remove", "west", "--context", "e"))
    assert output.splitlines() == [
        "west is no peer any more of east",
        "  removed: its MeshPeer, 2 records, 2 slices, 2 imports, its Lease",
        "  demo/both: stays, exported by north",
        "  demo/sole: gone, nobody else exports it",
    ]
    assert east.find("serviceimports", "both") is not None
    assert "refusedHere" not in east.get("trustbundles", "clusterset")["spec"]
    assert done(meshctl("peer", "remove", "west")) == "west is not a peer of east\n"


def test_an_evicted_peer_is_refused_from_then_on_until_it_is_readmitted(
    meshctl: Meshctl, east: ObjectServer
) -> None:
    forgetting(east)
    output = done(meshctl("peer", "evict", "west", "--why", "its keys leaked"))
    assert "west is evicted from east and refused from now on" in output
    assert "demo/sole: gone" in output
    (refused,) = east.get("trustbundles", "clusterset")["spec"]["refusedHere"]
    assert (refused["cluster"], refused["why"]) == ("west", "its keys leaked")
    assert "keys" not in refused, "nobody has signed a roster: any key of that id"
    again = done(meshctl("peer", "evict", "west"))
    assert "refused from now on" in again
    assert east.get("trustbundles", "clusterset")["spec"]["refusedHere"] == [refused]
    for words in (("link", "e", "w"), ("peer", "add", "--peer", "west", "--address", "10.0.0.1:15443")):
        said = complaint(meshctl(*words))
        assert "west was evicted from east on" in said
        assert (
            "(its keys leaked); to let it in again, run meshctl peer evict --readmit west --context e" in said
        )
    assert "west may be a peer of east again" in done(meshctl("peer", "evict", "--readmit", "west"))
    assert east.get("trustbundles", "clusterset")["spec"]["refusedHere"] == []
    assert "west is not evicted from east" in done(meshctl("peer", "evict", "--readmit", "west"))


def test_who_was_evicted_once_is_still_refused_after_the_next_eviction(
    meshctl: Meshctl, east: ObjectServer
) -> None:
    forgetting(east)
    for name in ("west", "north"):
        east.remove("importedrecords", "north.demo.both")
        east.remove("endpointslices", "both-north")
        east.remove("serviceimports", "both")
        done(meshctl("peer", "evict", name))
    found = east.get("trustbundles", "clusterset")["spec"]["refusedHere"]
    assert [one["cluster"] for one in found] == ["north", "west"]


def test_what_does_not_go_is_named_with_the_next_step(meshctl: Meshctl) -> None:
    said = complaint(meshctl("peer", "remove", "west", "--timeout", "0.5"))
    assert "still there of west: 2 records, 2 slices, 2 imports, its Lease" in said
    assert "get deployment meshctl-controller" in said


def test_nobody_evicts_the_cluster_itself(meshctl: Meshctl) -> None:
    assert "is the cluster id of context e itself" in complaint(meshctl("peer", "evict", "east"))


def test_a_name_that_is_no_cluster_id_is_refused(meshctl: Meshctl) -> None:
    assert complaint(meshctl("peer", "evict", "no.such"))


def acknowledging(server: ObjectServer) -> None:
    """Peers of a member that leaves know it at once."""

    def acknowledge(fake: ObjectServer, item: Object) -> None:
        since = item["metadata"].get("annotations", {}).get(ANNOTATION_LEAVING)
        if since and fake.find("meshpeers", "west") is not None:
            shown = {
                "type": "Withdrawn",
                "status": "True",
                "message": f"this cluster leaves since {since}; x",
            }
            fake.put(MESH, "meshpeers", {**named("west"), "status": {"conditions": [shown]}})

    server.reactions.append(acknowledge)


def run_controller(server: ObjectServer) -> None:
    counts = dict.fromkeys(("replicas", "updatedReplicas", "availableReplicas"), 2)
    meta = {"name": "meshctl-controller", "namespace": "meshctl-system"}
    label = {"app.kubernetes.io/part-of": "clusterset-mesh"}
    server.put(
        "apps/v1",
        "deployments",
        {"metadata": {**meta, "labels": label}, "spec": {"replicas": 2}, "status": counts},
    )


def own_namespace(server: ObjectServer) -> None:
    server.put(
        "v1", "namespaces", named("meshctl-system", **{"app.kubernetes.io/part-of": "clusterset-mesh"})
    )
    server.remove("services", "meshctl-gateway")


def test_a_member_leaves_in_order_and_nothing_of_ours_is_left(meshctl: Meshctl, east: ObjectServer) -> None:
    own_namespace(east)
    run_controller(east)
    acknowledging(east)
    forgetting(east)
    output = done(meshctl("leave", "--context", "e"))
    lines = output.splitlines()
    assert lines[:2] == ["east has left the clusterset", "  acknowledged by west"]
    assert lines[-1].endswith("peer remove east --context CONTEXT_OF_THE_PEER")
    left = {f"{at.plural}/{at.name}" for at in east.objects}
    assert left == {
        "namespaces/kube-system",
        "nodes/east-1",
        "configmaps/coredns",
        # Nobody is on record as their author, so they are not ours to take.
        "clusterproperties/cluster.clusterset.k8s.io",
    }
    assert east.get("configmaps", "coredns")["data"]["Corefile"] == COREFILE
    again = done(meshctl("leave", "--context", "e"))
    assert again.splitlines()[0] == "nothing of ours is in context e"


def test_a_peer_that_does_not_answer_is_named_and_not_waited_for_longer_than_asked(
    meshctl: Meshctl, east: ObjectServer
) -> None:
    own_namespace(east)
    run_controller(east)
    forgetting(east)
    output = done(meshctl("leave", "--context", "e", "--timeout", "0.5"))
    assert "west did not acknowledge in time: what it has of east goes with its MeshPeer" in output
    assert east.find("trustbundles", "clusterset") is None


@pytest.mark.parametrize(("spent", "limit"), [(0, 30), (12, 18), (20, 10), (45, 10)])
def test_removing_has_what_is_left_of_thirty_seconds_and_at_least_ten(spent: float, limit: float) -> None:
    assert removal_limit(spent) == limit


def test_without_a_controller_nobody_is_waited_for(meshctl: Meshctl, east: ObjectServer) -> None:
    own_namespace(east)
    for name in ("west.demo.sole", "west.demo.both", "north.demo.both"):
        east.remove("importedrecords", name)
    output = done(meshctl("leave", "--context", "e", "--timeout", "100"))
    assert "west did not acknowledge" in output


def test_joining_again_takes_back_that_a_cluster_leaves(
    meshctl: Meshctl, tmp_path: Path, west: ObjectServer
) -> None:
    with_controllers(west)
    west.remove("trustbundles", "clusterset")
    folder = str(tmp_path / "trust")
    done(meshctl("trust", "init", "--dir", folder))
    words = ("--context", "w", "--cluster-id", "west", "--trust", folder, "--service-type", "nodeport")
    done(meshctl("join", *words))
    leaving = {
        "metadata": {"name": "clusterset", "annotations": {ANNOTATION_LEAVING: "2026-01-01T00:00:00Z"}}
    }
    west.put(MESH, "trustbundles", leaving)
    done(meshctl("join", *words))
    assert not west.get("trustbundles", "clusterset")["metadata"]["annotations"]


def test_who_left_is_said_to_be_on_the_roster_still(
    meshctl: Meshctl, tmp_path: Path, west: ObjectServer
) -> None:
    own_namespace(with_controllers(west))
    west.remove("trustbundles", "clusterset")
    folder = str(tmp_path / "trust")
    done(meshctl("trust", "init", "--dir", folder))
    words = ("--context", "w", "--cluster-id", "west", "--trust", folder, "--service-type", "nodeport")
    done(meshctl("join", *words))
    output = done(meshctl("leave", "--context", "w", "--timeout", "0.5"))
    evict = "meshctl trust evict west --trust DIR --context PEER"
    assert f"  its key stays on the roster: {evict}" in output.splitlines()
