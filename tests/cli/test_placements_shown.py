"""What a person sees of Placements: where each is, and why not elsewhere."""

import json
import textwrap
from pathlib import Path

import pytest
from click.testing import CliRunner

from mesh_cli.main import command
from mesh_cli.placement.explain_placement import placement_key
from mesh_cli.placement.placements_render import (
    explained_as_json,
    explained_as_text,
    placements_as_json,
    placements_as_text,
)
from mesh_cli.placement.placements_survey import explained
from mesh_core.errors import UserError
from mesh_core.objects import Condition, Meta
from mesh_fakes.object_server import ObjectServer, served, write_kubeconfig
from mesh_placement.objects import (
    ClusterVerdict,
    Move,
    NamespacedName,
    PlacedCluster,
    Placement,
    PlacementReport,
    PlacementSpec,
    PlacementStatus,
)

AT = "2026-05-01T12:00:00Z"
GROUP = "placement.meshctl.dev/v1alpha1"


def condition(kind: str, status: str, reason: str, message: str = "") -> Condition:
    return Condition(type=kind, status=status, reason=reason, message=message)


APP = Placement(
    metadata=Meta(name="checkout", namespace="shop", creation_timestamp="2026-05-01T11:00:00Z"),
    spec=PlacementSpec(cluster_sets=("prod",)),
    status=PlacementStatus(
        revision=3,
        wanted=6,
        clusters=(
            PlacedCluster(cluster="east", replicas=4, ready=4),
            PlacedCluster(cluster="west", replicas=2),
        ),
        conditions=(
            condition("Scheduled", "True", "Scheduled", "in 2 of 3 clusters"),
            condition("Applied", "False", "Waiting", "west: waits for Secret/shop/db"),
        ),
        history=(
            Move(time="2026-05-01T11:00:00Z", target="east", replicas=6, cause="first decision"),
            Move(time="2026-05-01T11:50:00Z", source="east", target="west", replicas=2, cause="rebalanced"),
        ),
    ),
)
NEW = Placement(
    metadata=Meta(name="new", namespace="shop", creation_timestamp=AT),
    spec=PlacementSpec(cluster_sets=("prod",)),
)
REPORT = PlacementReport(
    metadata=Meta(name="checkout-0", namespace="shop"),
    placement_ref=NamespacedName(name="checkout", namespace="shop"),
    revision=3,
    at="2026-05-01T11:59:00Z",
    clusters=(
        ClusterVerdict(cluster="east", verdict="Selected", score=412.0, parts={"Latency": 87.0}, replicas=4),
        ClusterVerdict(
            cluster="south",
            verdict="Rejected",
            filter="ServiceReach",
            code="TooFar",
            observed="payments 63.0 ms",
            required="<= 40 ms",
            hint="east is near enough",
        ),
        ClusterVerdict(cluster="north", verdict="Outranked", score=380.5, margin=31.5),
        ClusterVerdict(cluster="west", verdict="Selected", score=400.0, replicas=2),
    ),
)


def shown(text: str) -> str:
    return textwrap.dedent(text).lstrip("\n")


def test_each_placement_is_a_line_and_below_it_what_is_not_fine() -> None:
    assert placements_as_text([APP, NEW], at=AT) == shown(
        """
        PLACEMENT       SCHEDULED   APPLIED   WANTED   READY   SHORT   CLUSTERS        REVISION   AGE
        shop/checkout   True        False     6        4       -       east=4,west=2   3          60m
        shop/new        -           -         -        0       -       -               -          0s

        shop/checkout: Applied=False: west: waits for Secret/shop/db
        shop/new: no hub has looked at it yet
        """
    )
    assert placements_as_text([], at=AT) == "no placements\n"


def test_a_placement_is_explained_with_the_best_clusters_first() -> None:
    found = explained(APP, [REPORT])
    assert explained_as_text(found, cluster="", why_moved=False, at=AT) == shown(
        """
        shop/checkout is in east=4, west=2 (revision 3)
        shop/checkout: Applied=False: west: waits for Secret/shop/db
        reported 60s ago

        CLUSTER   VERDICT     WHY                    FOUND              ASKED FOR   SCORE   REPLICAS
        east      Selected    -                      -                  -           412     4
        west      Selected    -                      -                  -           400     2
        north     Outranked   -                      -                  -           380.5   -
        south     Rejected    ServiceReach: TooFar   payments 63.0 ms   <= 40 ms    -       -

        south: east is near enough
        """
    )


def test_one_cluster_is_explained_in_full_with_its_moves() -> None:
    found = explained(APP, [REPORT])
    text = explained_as_text(found, cluster="north", why_moved=True, at=AT)
    assert "north: Outranked\n  score: 380.5, 31.5 too few\n\nit has not moved to or from north\n" in text
    text = explained_as_text(found, cluster="east", why_moved=True, at=AT)
    assert "east: Selected\n  replicas: 4\n  score: 412\n    Latency: 87\n" in text
    assert text.endswith(
        shown(
            """
            AGE   FROM   TO     REPLICAS   CAUSE
            60m   -      east   6          first decision
            10m   east   west   2          rebalanced
            """
        )
    )
    assert "says nothing of a cluster moon" in explained_as_text(
        found, cluster="moon", why_moved=False, at=AT
    )


def test_a_report_of_an_older_decision_is_told_as_that() -> None:
    older = explained(
        APP,
        [
            PlacementReport(
                metadata=REPORT.metadata, placement_ref=REPORT.placement_ref, revision=2, at=REPORT.at
            )
        ],
    )
    assert "reported 60s ago, of revision 2" in explained_as_text(older, cluster="", why_moved=False, at=AT)


def test_pages_of_other_placements_are_not_taken() -> None:
    other = PlacementReport(
        metadata=Meta(name="checkout-0-0", namespace="shop"),
        placement_ref=NamespacedName(name="checkout-0", namespace="shop"),
        clusters=(ClusterVerdict(cluster="moon", verdict="Selected"),),
    )
    assert [one.cluster for one in explained(APP, [REPORT, other]).verdicts] == [
        "east",
        "north",
        "south",
        "west",
    ]


def test_programs_get_the_same_as_json() -> None:
    (one,) = json.loads(placements_as_json([APP], at=AT))["placements"]
    assert (one["namespace"], one["name"], one["revision"]) == ("shop", "checkout", 3)
    body = json.loads(explained_as_json(explained(APP, [REPORT]), cluster="south", at=AT))
    assert [each["code"] for each in body["report"]["clusters"]] == ["TooFar"]
    assert body["history"][1]["from"] == "east"


@pytest.mark.parametrize("text", ["app", "/app", "shop/", "a/b/c", ""])
def test_a_placement_is_named_with_its_namespace(text: str) -> None:
    with pytest.raises(UserError, match="namespace/name"):
        placement_key(text)


def test_both_verbs_read_a_hub(tmp_path: Path) -> None:
    server = ObjectServer()
    meta = {"name": "checkout", "namespace": "shop", "creationTimestamp": AT}
    server.put(GROUP, "placements", {"metadata": meta, "spec": {"clusterSets": ["prod"]}})
    with served(server):
        config = write_kubeconfig(tmp_path / "config", servers={"hub": server.url}, current="hub")
        words = ["--kubeconfig", str(config)]
        table = CliRunner().invoke(command, [*words, "placements"])
        why = CliRunner().invoke(command, [*words, "explain", "placement", "shop/checkout"])
        gone = CliRunner().invoke(command, [*words, "explain", "placement", "shop/other"])
    assert "shop/checkout: no hub has looked at it yet" in table.output
    assert "shop/checkout is in no cluster (revision 0)" in why.output
    assert "has no Placement shop/other" in str(gone.exception)
