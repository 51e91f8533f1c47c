"""`meshctl export`, `unexport` and `services`, as a person uses them, and the table behind the last."""

import json

import pytest
import yaml

from mesh_cli.services.survey import Held, shared
from mesh_cli.table import one_line
from mesh_core.objects import (
    Condition,
    ExportStatus,
    ImportCluster,
    ImportPort,
    ImportSpec,
    ImportStatus,
    Meta,
    ServiceExport,
    ServiceImport,
)
from mesh_fakes.clusters import make_member
from mesh_fakes.commands import Meshctl, complaint, done
from mesh_fakes.object_server import Object, ObjectServer

MCS = "multicluster.x-k8s.io/v1beta1"
AT = "2026-01-01T01:00:00Z"


def with_hello(server: ObjectServer, *, cluster: str, ready: str = "True", message: str = "") -> None:
    """A member with a Service demo/hello, and a controller that says of its export what it is told to."""
    make_member(server, cluster=cluster)
    meta = {"name": "hello", "namespace": "demo"}
    server.put("v1", "services", {"metadata": meta, "spec": {"ports": [{"port": 80}]}})

    def look(at: ObjectServer, item: Object) -> None:
        if item.get("kind") == "ServiceExport" and "status" not in item:
            allow = item["metadata"].get("annotations", {}).get("meshctl.dev/allow", "every member")
            said = {"type": "Ready", "status": ready, "reason": "R", "observedGeneration": 1}
            said["message"] = message or f"exported to {allow}"
            at.put(MCS, "serviceexports", {"metadata": item["metadata"], "status": {"conditions": [said]}})

    server.reactions.append(look)


def imported(server: ObjectServer, *clusters: str) -> None:
    body = {
        "metadata": {"name": "hello", "namespace": "demo"},
        "spec": {"type": "ClusterSetIP", "ips": ["10.96.7.7"], "ports": [{"port": 80, "protocol": "TCP"}]},
        "status": {"clusters": [{"cluster": cluster} for cluster in clusters]},
    }
    server.put(MCS, "serviceimports", body)


def test_an_export_is_written_and_told_as_the_controller_sees_it(
    meshctl: Meshctl, east: ObjectServer
) -> None:
    with_hello(east, cluster="east")
    output = done(meshctl("export", "hello", "-n", "demo"))
    assert "demo/hello: exported to every member" in output
    assert "its name is hello.demo.svc.clusterset.local" in output
    assert "annotations" not in east.get("serviceexports", "hello")["metadata"]


def test_an_export_for_some_names_them(meshctl: Meshctl, east: ObjectServer) -> None:
    with_hello(east, cluster="east")
    done(meshctl("export", "hello", "-n", "demo", "--to", "west/shop", "--to", "south"))
    meta = east.get("serviceexports", "hello")["metadata"]
    assert meta["annotations"] == {"meshctl.dev/allow": "west/shop,south"}


def test_exporting_again_without_to_lets_nobody_in_who_was_kept_out(
    meshctl: Meshctl, east: ObjectServer
) -> None:
    with_hello(east, cluster="east")
    done(meshctl("export", "hello", "-n", "demo", "--to", "west"))
    before = east.versions()
    assert "exported to west" in done(meshctl("export", "hello", "-n", "demo"))
    assert east.versions() == before


def test_a_dry_run_prints_what_kubectl_applies_and_writes_nothing(
    meshctl: Meshctl, east: ObjectServer
) -> None:
    with_hello(east, cluster="east")
    output = done(meshctl("export", "hello", "-n", "demo", "--to", "west", "--dry-run", "-o", "yaml"))
    assert yaml.safe_load(output) == {
        "apiVersion": MCS,
        "kind": "ServiceExport",
        "metadata": {
            "name": "hello",
            "namespace": "demo",
            "annotations": {"meshctl.dev/allow": "west"},
        },
    }
    assert east.find("serviceexports", "hello") is None


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("hello", "-n", "other"), "has no Service other/hello; create it first"),
        (("hello", "-n", "demo", "--to", "West_1"), "--to cannot be followed"),
        (("hello", "-n", "demo", "-o", "yaml"), "give --dry-run too"),
    ],
)
def test_what_cannot_be_exported_is_said_before_anything_is_written(
    meshctl: Meshctl, east: ObjectServer, words: tuple[str, ...], expected: str
) -> None:
    with_hello(east, cluster="east")
    assert expected in complaint(meshctl("export", *words))
    assert east.find("serviceexports", "hello") is None


def test_a_withheld_export_ends_with_the_controllers_reason(meshctl: Meshctl, east: ObjectServer) -> None:
    with_hello(east, cluster="east", ready="False", message="SCTP is not carried; add a TCP port")
    refused = complaint(meshctl("export", "hello", "-n", "demo"))
    assert refused == "demo/hello is not exported (R): SCTP is not carried; add a TCP port"


def test_an_export_at_which_no_controller_looks_is_said_so(meshctl: Meshctl, east: ObjectServer) -> None:
    with_hello(east, cluster="east")
    east.reactions.pop()
    refused = complaint(meshctl("export", "hello", "-n", "demo", "--timeout", "0.3"))
    assert "no controller has looked at it within 0.3 s" in refused


def test_a_cluster_that_is_no_member_exports_nothing(meshctl: Meshctl, east: ObjectServer) -> None:
    assert "context e:" in complaint(meshctl("export", "hello"))
    assert east.find("serviceexports", "hello") is None


def test_unexport_says_who_still_exports_the_name(meshctl: Meshctl, east: ObjectServer) -> None:
    with_hello(east, cluster="east")
    done(meshctl("export", "hello", "-n", "demo"))
    imported(east, "east", "west")
    would = done(meshctl("unexport", "hello", "-n", "demo", "--dry-run"))
    assert "would no longer be exported by east" in would
    assert east.find("serviceexports", "hello") is not None
    east.farewells.append(lambda _plural: imported(east, "west"))
    output = done(meshctl("unexport", "hello", "-n", "demo"))
    assert "still exported by west" in output
    assert east.find("serviceexports", "hello") is None
    assert "nothing was changed" in done(meshctl("unexport", "hello", "-n", "demo"))


def test_an_import_that_does_not_follow_is_said_so(meshctl: Meshctl, east: ObjectServer) -> None:
    with_hello(east, cluster="east")
    done(meshctl("export", "hello", "-n", "demo"))
    imported(east, "east")
    refused = complaint(meshctl("unexport", "hello", "-n", "demo", "--timeout", "0.3"))
    assert "east still serves it after 0.3 s" in refused


def test_services_shows_all_clusters_as_one_table(
    meshctl: Meshctl, east: ObjectServer, west: ObjectServer
) -> None:
    with_hello(east, cluster="east")
    with_hello(west, cluster="west", ready="False")
    done(meshctl("export", "hello", "-n", "demo"))
    meshctl("export", "hello", "-n", "demo", "--context", "w")
    imported(east, "east")
    result = meshctl("services", "--context", "e", "--context", "w", "--context", "dead")
    assert result.return_value == 1
    assert "demo hello ClusterSetIP 80/TCP east east" in " ".join(result.stdout.split())
    assert "west: demo/hello is not exported: R" in result.stdout
    assert "west: demo/hello is not imported" in result.stdout
    assert "dead: the API server at http://127.0.0.1:9 does not answer" in result.stdout
    wide = meshctl("services", "-o", "wide").stdout
    assert "east=10.96.7.7" in wide
    (seen,) = json.loads(meshctl("services", "-o", "json").stdout)["services"]
    assert (seen["exporters"], seen["withheld"]) == (["east"], [])
    assert "nothing is exported" in done(meshctl("services", "-n", "nowhere"))


def condition(kind: str, status: str, reason: str) -> Condition:
    return Condition(type=kind, status=status, reason=reason)


def export(*conditions: Condition, since: str = "2026-01-01T00:00:00Z") -> ServiceExport:
    meta = Meta(name="hello", namespace="demo", creation_timestamp=since)
    return ServiceExport(metadata=meta, status=ExportStatus(conditions=conditions))


def import_(*clusters: str, kind: str = "ClusterSetIP") -> ServiceImport:
    meta = Meta(name="hello", namespace="demo", creation_timestamp="2026-01-01T00:30:00Z")
    status = ImportStatus(clusters=tuple(ImportCluster(cluster=one) for one in clusters))
    spec = ImportSpec(type=kind, ports=(ImportPort(port=80),))
    return ServiceImport(metadata=meta, spec=spec, status=status)


def test_an_exporter_that_nobody_was_asked_for_is_known_by_the_imports_of_others() -> None:
    (seen,) = shared([Held("w", "west", (), (import_("east", "south"),))], at=AT).services
    assert (seen.exporters, seen.importers, seen.missing) == (("east", "south"), ("west",), ())
    assert seen.since == "2026-01-01T00:30:00Z"


def test_the_oldest_export_gives_the_age_and_conflicts_are_told_by_cluster() -> None:
    ready = condition("Ready", "True", "Exported")
    clash = condition("Conflict", "True", "PortConflict")
    held = [
        Held("e", "east", (export(ready, clash, since="2026-01-01T00:10:00Z"),), ()),
        Held("w", "west", (export(ready, clash),), (import_("east", "west"),)),
    ]
    (seen,) = shared(held, at=AT).services
    assert seen.since == "2026-01-01T00:00:00Z"
    assert seen.conflicts == (("east", "PortConflict"), ("west", "PortConflict"))
    assert seen.missing == ("east",)


def test_an_export_that_nobody_has_looked_at_is_withheld_and_no_export_yet() -> None:
    (seen,) = shared([Held("e", "east", (export(),), ())], at=AT).services
    assert seen.withheld == (("east", "not looked at yet"),)
    assert (seen.exporters, seen.missing) == ((), ())


def test_clusters_that_disagree_about_a_type_are_both_shown() -> None:
    held = [Held("e", "east", (), (import_("x"),)), Held("w", "west", (), (import_("x", kind="Headless"),))]
    assert shared(held, at=AT).services[0].type == "ClusterSetIP/Headless"


def test_what_a_tenant_writes_moves_no_cursor(meshctl: Meshctl, east: ObjectServer) -> None:
    with_hello(east, cluster="east", ready="False", message="\x1b[2Jcleared; do this")
    assert "\x1b" not in complaint(meshctl("export", "hello", "-n", "demo"))
    assert "\x1b" not in one_line("\x1b[2J")
