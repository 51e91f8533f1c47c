"""Taking everything out again, on API servers that keep objects."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from mesh_cli.main import command
from mesh_core.errors import MeshError
from mesh_core.names import MANAGER, shadow_service_name
from mesh_fakes.clusters import COREFILE, MESH, bare_cluster, with_controllers
from mesh_fakes.object_server import Object, ObjectServer, served, write_kubeconfig
from mesh_placement.names import AGENT_MANAGER

MCS = "multicluster.x-k8s.io/v1beta1"
SHADOW = shadow_service_name(namespace="demo", name="hello")
SLICE = {
    "endpointslice.kubernetes.io/managed-by": MANAGER,
    "multicluster.kubernetes.io/service-name": "hello",
}
OURS = {"app.kubernetes.io/managed-by": MANAGER}
Meshctl = Callable[..., Result]


@pytest.fixture
def east() -> ObjectServer:
    return with_controllers(bare_cluster("east"))


@pytest.fixture
def meshctl(tmp_path: Path, east: ObjectServer) -> Iterator[Meshctl]:
    with ExitStack() as stack:
        url = stack.enter_context(served(east)).url
        file = write_kubeconfig(tmp_path / "kubeconfig", servers={"e": url}, current="e")

        def run(*words: str) -> Result:
            return CliRunner().invoke(command, ["--kubeconfig", str(file), *words], standalone_mode=False)

        yield run


def done(result: Result) -> str:
    assert result.exception is None, result.exception
    return result.stdout


def complaint(result: Result) -> str:
    assert isinstance(result.exception, MeshError), result
    return str(result.exception)


def shape(server: ObjectServer) -> dict[str, Object]:
    """All objects without what any write changes."""
    passing = {"resourceVersion", "generation", "managedFields"}
    return {
        f"{at.version}/{at.plural}/{at.namespace}/{at.name}": {
            **item,
            "metadata": {key: value for key, value in item["metadata"].items() if key not in passing},
        }
        for at, item in server.objects.items()
    }


@pytest.fixture
def joined(meshctl: Meshctl, east: ObjectServer, tmp_path: Path) -> dict[str, Object]:
    """What the cluster was before it joined."""
    before = shape(east)
    folder = str(tmp_path / "trust")
    done(meshctl("trust", "init", "--dir", folder))
    words = ("--context", "e", "--cluster-id", "east", "--trust", folder, "--service-type", "nodeport")
    done(meshctl("join", *words))
    return before


def put(
    server: ObjectServer, version: str, plural: str, name: str, *, namespace: str = "", **body: object
) -> None:
    metadata = {"name": name, "namespace": namespace, **body.pop("metadata", {})}  # type: ignore[dict-item]  # JSON
    server.put(version, plural, {"metadata": metadata, **body})


def work(server: ObjectServer) -> None:
    """What a controller makes of an export of its own and a peer."""
    put(server, "v1", "services", "hello", namespace="demo")
    put(server, "v1", "services", SHADOW, namespace="demo", metadata={"labels": {**OURS, **_named("hello")}})
    put(server, MCS, "serviceimports", "hello", namespace="demo", metadata={"labels": OURS})
    put(
        server,
        "discovery.k8s.io/v1",
        "endpointslices",
        "hello-x",
        namespace="demo",
        metadata={"labels": SLICE},
    )
    put(server, MESH, "importedrecords", "west.demo.hello", namespace="meshctl-system")
    put(server, "coordination.k8s.io/v1", "leases", "peer-west", namespace="meshctl-system")
    put(server, "v1", "secrets", "meshctl-intermediate", namespace="meshctl-system")
    put(server, "v1", "configmaps", "meshctl-resting-ports", namespace="meshctl-system")


def _named(service: str) -> dict[str, str]:
    return {"multicluster.kubernetes.io/service-name": service}


def test_a_cluster_is_as_it_was_before_it_joined(
    meshctl: Meshctl, east: ObjectServer, joined: dict[str, Object]
) -> None:
    work(east)
    east.remove("services", "hello")
    output = done(meshctl("uninstall", "--context", "e"))
    assert "none is left" in output
    assert shape(east) == joined
    assert east.get("configmaps", "coredns")["data"]["Corefile"] == COREFILE


def test_a_second_run_finds_nothing_and_changes_nothing(
    meshctl: Meshctl, east: ObjectServer, joined: dict[str, Object]
) -> None:
    done(meshctl("uninstall"))
    before = east.versions()
    assert done(meshctl("uninstall")) == "nothing of ours is in context e\n"
    assert east.versions() == before


def test_a_dry_run_names_everything_and_changes_nothing(
    meshctl: Meshctl, east: ObjectServer, joined: dict[str, Object]
) -> None:
    work(east)
    before = east.versions()
    output = done(meshctl("uninstall", "--dry-run"))
    assert east.versions() == before
    for line in (
        "the stub for clusterset.local in ConfigMap kube-system/coredns",
        "Deployment meshctl-system/meshctl-controller",
        f"Service demo/{SHADOW}",
        "ServiceImport demo/hello",
        "Secret meshctl-system/meshctl-intermediate",
        "CertificateSigningRequest meshctl-intermediate-test",
        "TrustBundle clusterset",
        "ClusterProperty cluster.clusterset.k8s.io",
        "CustomResourceDefinition meshpeers.meshctl.dev",
        "Namespace meshctl-system",
    ):
        assert f"  {line}\n" in output
    assert "Service demo/hello\n" not in output


@pytest.mark.parametrize(
    ("plural", "named"), [("meshpeers", "linked with west"), ("serviceexports", "exports demo/hello")]
)
def test_a_cluster_in_use_is_left_alone_unless_forced(
    meshctl: Meshctl, east: ObjectServer, joined: dict[str, Object], plural: str, named: str
) -> None:
    if plural == "meshpeers":
        put(east, MESH, plural, "west")
    else:
        put(east, MCS, plural, "hello", namespace="demo")
    before = east.versions()
    said = complaint(meshctl("uninstall"))
    assert named in said
    assert "leave --context e" in said
    assert east.versions() == before
    done(meshctl("uninstall", "--force"))
    assert east.find("trustbundles", "clusterset") is None


def test_an_export_stays_without_our_conditions_and_its_kind_with_it(
    meshctl: Meshctl, east: ObjectServer, joined: dict[str, Object]
) -> None:
    since = "2026-01-01T00:00:00Z"
    theirs = {"type": "Audited", "status": "True", "reason": "X", "message": "y", "lastTransitionTime": since}
    ours = [{"type": kind, "status": "True"} for kind in ("Valid", "Ready", "Conflict")]
    put(east, MCS, "serviceexports", "hello", namespace="demo", status={"conditions": [*ours, theirs]})
    put(east, MCS, "serviceexports", "other", namespace="demo", status={"conditions": ours})
    output = done(meshctl("uninstall", "--force"))
    assert east.get("serviceexports", "hello")["status"] == {"conditions": [theirs]}
    assert "status" not in east.get("serviceexports", "other")
    definition = "serviceexports.multicluster.x-k8s.io"
    assert (
        f"stays: CRD {definition}: not ours are ServiceExport demo/hello, ServiceExport demo/other" in output
    )
    assert east.find("customresourcedefinitions", definition) is not None
    assert east.find("customresourcedefinitions", "serviceimports.multicluster.x-k8s.io") is None
    east.remove("serviceexports", "hello")
    east.remove("serviceexports", "other")
    done(meshctl("uninstall"))
    assert shape(east) == joined


def test_what_others_made_under_our_labels_or_in_our_place_is_not_touched(
    meshctl: Meshctl, east: ObjectServer, joined: dict[str, Object]
) -> None:
    put(east, "v1", "services", "mine", namespace="demo", metadata={"labels": {**OURS, **_named("hello")}})
    put(east, "v1", "services", "bare", namespace="demo", metadata={"labels": OURS})
    put(east, MCS, "serviceimports", "theirs", namespace="demo")
    labels = {"endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io"}
    put(
        east, "discovery.k8s.io/v1", "endpointslices", "theirs", namespace="demo", metadata={"labels": labels}
    )
    part = {"app.kubernetes.io/part-of": "clusterset-mesh"}
    put(east, "rbac.authorization.k8s.io/v1", "clusterroles", "dashboards", metadata={"labels": part})
    put(
        east,
        "certificates.k8s.io/v1",
        "certificatesigningrequests",
        "node",
        spec={"signerName": "kubernetes.io/kubelet-serving"},
    )
    foreign = {"mine", "bare", "theirs", "dashboards", "node"}
    before = {key: item for key, item in shape(east).items() if key.rpartition("/")[2] in foreign}
    output = done(meshctl("uninstall"))
    after = shape(east)
    assert {key: after.get(key) for key in before} == before
    assert "stays: CRD serviceimports.multicluster.x-k8s.io: not ours are ServiceImport demo/theirs" in output


def test_a_member_of_a_hub_joins_the_mesh_and_leaves_it_with_its_own_word_for_the_set(
    meshctl: Meshctl, east: ObjectServer, tmp_path: Path
) -> None:
    folder = str(tmp_path / "trust")
    done(meshctl("trust", "init", "--dir", folder))
    put(
        east,
        "about.k8s.io/v1beta1",
        "clusterproperties",
        "clusterset.k8s.io",
        metadata={
            "labels": {"app.kubernetes.io/managed-by": AGENT_MANAGER},
            "managedFields": [{"manager": AGENT_MANAGER, "operation": "Update"}],
        },
        spec={"value": "prod"},
    )
    done(meshctl("join", "--cluster-id", "east", "--trust", folder, "--service-type", "nodeport"))
    joined = east.get("clusterproperties", "clusterset.k8s.io")
    assert joined["spec"] == {"value": "clusterset.internal"}
    assert joined["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "meshctl"
    done(meshctl("uninstall"))
    assert east.find("clusterproperties", "clusterset.k8s.io") is None


def test_kinds_and_properties_that_were_here_before_stay(
    meshctl: Meshctl, east: ObjectServer, tmp_path: Path
) -> None:
    folder = str(tmp_path / "trust")
    done(meshctl("trust", "init", "--dir", folder))
    author = {"managedFields": [{"manager": "somebody", "operation": "Update"}]}
    put(
        east,
        "about.k8s.io/v1beta1",
        "clusterproperties",
        "cluster.clusterset.k8s.io",
        metadata=author,
        spec={"value": "east"},
    )
    words = ("--cluster-id", "east", "--trust", folder, "--service-type", "nodeport")
    done(meshctl("join", *words))
    output = done(meshctl("uninstall"))
    assert east.get("clusterproperties", "cluster.clusterset.k8s.io")["spec"] == {"value": "east"}
    assert east.find("clusterproperties", "clusterset.k8s.io") is None
    assert "stays: ClusterProperty cluster.clusterset.k8s.io: somebody else has written it too" in output
    assert "stays: CRD clusterproperties.about.k8s.io: not ours are ClusterProperty cluster.cl" in output


def test_kinds_are_kept_when_asked(meshctl: Meshctl, east: ObjectServer, joined: dict[str, Object]) -> None:
    done(meshctl("uninstall", "--keep-crds"))
    assert east.find("customresourcedefinitions", "meshpeers.meshctl.dev") is not None
    assert east.find("trustbundles", "clusterset") is None
    assert east.find("namespaces", "meshctl-system") is None


def test_a_namespace_with_a_guest_stays_and_the_guest_is_named(
    meshctl: Meshctl, east: ObjectServer, joined: dict[str, Object]
) -> None:
    put(east, "v1", "secrets", "pull-secret", namespace="meshctl-system")
    output = done(meshctl("uninstall"))
    assert (
        "stays: Namespace meshctl-system: it has objects that are not ours: Secret meshctl-system/pull-"
        in output
    )
    left = {at.name for at in east.objects if at.namespace == "meshctl-system"}
    assert left == {"pull-secret"}


def test_what_hangs_is_named_with_its_finalizer_and_a_later_run_goes_on(
    meshctl: Meshctl, east: ObjectServer, joined: dict[str, Object]
) -> None:
    put(east, MESH, "meshpeers", "west", metadata={"finalizers": ["a.example/x"]})
    said = complaint(meshctl("uninstall", "--force", "--timeout", "1"))
    assert "MeshPeer west (finalizer a.example/x)" in said
    east.remove("meshpeers", "west")
    done(meshctl("uninstall"))
    assert shape(east) == joined


def test_a_pod_that_its_owner_gave_all_its_grace_is_not_waited_for_that_long(
    meshctl: Meshctl, east: ObjectServer, joined: dict[str, Object]
) -> None:
    """A defect: `leave` gave up on a gateway that was about to drain for 45 s."""
    ending = {"deletionTimestamp": "2026-01-01T00:00:00Z", "labels": OURS}
    put(east, "v1", "pods", "meshctl-gateway-x", namespace="meshctl-system", metadata=ending)
    done(meshctl("uninstall", "--timeout", "2"))
    assert shape(east) == joined


@pytest.mark.parametrize(
    "stuck", ["deployments", "services", "clusterproperties", "customresourcedefinitions"]
)
def test_a_run_that_broke_off_anywhere_is_gone_on_with(
    meshctl: Meshctl, east: ObjectServer, joined: dict[str, Object], stuck: str
) -> None:
    work(east)
    east.remove("services", "hello")
    east.refusals["DELETE", stuck] = (503, "ServiceUnavailable")
    assert "503" in complaint(meshctl("uninstall"))
    east.refusals.clear()
    done(meshctl("uninstall"))
    assert shape(east) == joined


def test_a_hub_that_has_ordered_clusters_names_them_and_is_left(meshctl: Meshctl, east: ObjectServer) -> None:
    spec = {"clusterSet": "prod", "provider": "local"}
    order = {"kind": "ClusterClaim", "metadata": {"name": "prod-1"}, "spec": spec}
    east.put("placement.meshctl.dev/v1alpha1", "clusterclaims", order)
    before = shape(east)
    refused = complaint(meshctl("uninstall", "--context", "e"))
    assert "it ordered prod-1; delete these ClusterClaims while their providers run" in refused
    assert shape(east) == before
