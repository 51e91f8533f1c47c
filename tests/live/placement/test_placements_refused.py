"""The kinds of placement on a real API server: what cannot be meant is refused, with what to do instead."""

from typing import Any

import msgspec
import pytest

from mesh_fakes.bed import Bed
from mesh_placement import objects
from mesh_placement.objects import placing
from mesh_placement.resources import PLACEMENT_DECISIONS, PLACEMENT_REPORTS, PLACEMENTS
from mesh_runtime.kube import ApiError

pytestmark = pytest.mark.asyncio

# A body is whatever JSON an API server may be given, hence Any.
Body = dict[str, Any]

CONFIG = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "shop"}}
SECRET = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a", "namespace": "shop"}}
GOOD: Body = {"clusterSets": ["prod"], "manifests": [CONFIG]}
TEMPLATE = {"apiVersion": "apps/v1", "kind": "Deployment"}


def require(kind: str, **fields: Any) -> Body:
    return {"require": {kind: [fields]}}


REFUSED: dict[str, tuple[str, Body, str]] = {
    "a name with a dot": ("a.b", {}, "one DNS label"),
    "a name of 64 characters": ("a" * 64, {}, "at most 63"),
    "no set": ("a", {"clusterSets": []}, "should have at least 1 items"),
    "nothing to place": ("a", {"manifests": []}, "give at least one object"),
    "a Secret": ("a", {"manifests": [SECRET]}, "would lie open here"),
    "a manifest of no kind": ("a", {"manifests": [{"metadata": {"name": "a"}}]}, "kind: Required value"),
    "a selector of nothing": ("a", {"resourceSelectors": [TEMPLATE]}, "either name or matchLabels"),
    "a selector of both": (
        *("a", {"resourceSelectors": [{**TEMPLATE, "name": "a", "matchLabels": {"b": "c"}}]}),
        "either name or matchLabels",
    ),
    "more at least than at most": ("a", {"clusters": {"count": 1, "min": 2}}, "clusters.min"),
    "none at most, one at least": ("a", {"clusters": {"count": 0}}, "clusters.min"),
    "an operator of nobody": (
        *("a", require("properties", name="site", operator="Like", values=["a"])),
        'supported values: "In", "NotIn", "Exists", "DoesNotExist", "Gt", "Ge", "Lt", "Le"',
    ),
    "in nothing": ("a", require("properties", name="site", operator="In"), "In and NotIn need values"),
    "exists with a value": (
        *("a", require("properties", name="site", operator="Exists", values=["a"])),
        "take no values",
    ),
    "greater than two": (
        *("a", require("properties", name="size", operator="Gt", values=["1", "2"])),
        "exactly one value",
    ),
    "seconds of a taint that moves nobody": (
        *("a", require("tolerations", key="a", effect="NoSchedule", seconds=5)),
        "seconds are for the effect NoExecute",
    ),
    "a skew of nothing": ("a", require("spread", property="site", maxSkew=0), "maxSkew"),
    "a round trip without a unit": ("a", require("services", name="cart", maxRTT="40"), "maxRTT"),
    "an unknown percentile": (
        "a",
        require("services", name="cart", percentile="p90"),
        '"ewma", "p50", "p99"',
    ),
    "an unknown way to be unknown": ("a", require("services", name="cart", unknown="Guess"), '"Hold"'),
    "a weight of 101": ("a", {"prefer": {"Latency": 101}}, "prefer.Latency"),
    "an unknown division": ("a", {"replicas": {"by": "Luck"}}, '"Nearest"'),
    "more replicas at least than at most": ("a", {"replicas": {"min": 2, "max": 1}}, "replicas.min"),
    "the same for one cluster": (
        *("a", {"replicas": {"perCluster": {"east": {"min": 2, "max": 1}}}}),
        "in perCluster",
    ),
    "a drift of two": ("a", {"replicas": {"rebalance": {"threshold": 2}}}, "threshold"),
    "an unknown purge": ("a", {"failover": {"purge": "Soon"}}, '"WhenReplacementVerified"'),
    "an override of nothing": ("a", {"overrides": [{"patch": []}]}, "should have at least 1 items"),
    "an override that adds no value": (
        *("a", {"overrides": [{"patch": [{"op": "add", "path": "/a"}]}]}),
        "value: Required value",
    ),
    "257 manifests": ("a", {"manifests": [CONFIG] * 257}, "must have at most 256 items"),
}


@pytest.mark.parametrize(("name", "spec", "words"), REFUSED.values(), ids=REFUSED)
async def test_a_placement_that_cannot_be_meant_is_refused(
    pair_of_light: Bed, name: str, spec: Body, words: str
) -> None:
    async with pair_of_light.client("hub") as kube:
        with pytest.raises(ApiError) as refused:
            meta = {"name": name, "namespace": "default"}
            await kube.create(PLACEMENTS, {"metadata": meta, "spec": {**GOOD, **spec}})
    assert refused.value.status == 422
    assert words in refused.value.message


FULL = placing.PlacementSpec(
    cluster_sets=("prod", "test"),
    manifests=({**CONFIG, "data": {"a": "b"}},),
    resource_selectors=(placing.ResourceSelector(api_version="v1", kind="ConfigMap", name="a"),),
    service_account="deployer",
    clusters=placing.ClusterChoice(count=2, min=2, names=("east",), exclude=("west",)),
    tiers=(placing.PropertyMatch(match_properties={"site": "onprem"}), placing.PropertyMatch()),
    require=placing.Require(
        properties=(
            placing.PropertyTerm(name="site", operator="In", values=("a", "b")),
            placing.PropertyTerm(name="size", operator="Gt", values=("1.5Gi",)),
            placing.PropertyTerm(name="gpu", operator="Exists"),
        ),
        tolerations=(
            placing.Toleration(key="a", effect="NoExecute", seconds=5),
            placing.Toleration(value="x"),
        ),
        workloads=(placing.WorkloadTerm(placement="cart", affinity="Away", namespace="shop"),),
        spread=(placing.SpreadTerm(property="site", when_unsatisfiable="ScheduleAnyway"),),
        services=(placing.ServiceNeed(name="cart", max_rtt="1.5s", min_exporters=2),),
        exposes=(placing.Exposure(service="web", max_rtt="80ms"),),
    ),
    prefer={"Latency": 3},
    replicas=placing.Replicas(
        policy="Divide", by="Nearest", count=5, max=9, per_cluster={"*": placing.ClusterShare(max=3)}
    ),
    priority=placing.PriorityRule(class_name="critical", preemption="LowerPriority"),
    failover=placing.Failover(purge="Never"),
    overrides=(
        placing.PlacementOverride(
            patch=({"op": "replace", "path": "/data", "value": None},), match_properties={"site": "a"}
        ),
    ),
    rollout=placing.Rollout(max_concurrent=1, soak_seconds=30, progress_deadline_seconds=90),
)


async def test_a_placement_of_defaults_and_one_that_uses_everything_are_stored_as_they_are(
    pair_of_light: Bed,
) -> None:
    least = placing.PlacementSpec(cluster_sets=("prod",), manifests=(CONFIG,))
    status = placing.PlacementStatus(
        observed_generation=1,
        revision=7,
        wanted=5,
        clusters=(
            placing.PlacedCluster(
                cluster="east",
                replicas=5,
                ready=2,
                since="2026-01-01T00:00:00Z",
                rollout=placing.RolloutMark(content="a" * 64, revision=7, given_at="2026-01-01T00:00:00Z"),
            ),
        ),
        history=(placing.Move(time="2026-01-01T00:00:00Z", target="east", replicas=5, cause="first"),),
        memory={"better": 1.5, "failures": {"east": 1}},
        origin=placing.Origin(uid="u", created="2026-01-01T00:00:00Z"),
    )
    async with pair_of_light.client("hub") as kube:
        meta = {"name": "whole", "namespace": "default"}
        for spec in (least, FULL):
            body = {"metadata": meta, "spec": msgspec.to_builtins(spec)}
            assert (await kube.apply(PLACEMENTS, body, field_manager="test")).spec == spec
        for said in (status, placing.PlacementStatus()):
            told = msgspec.to_builtins(said)
            if said.origin is None:
                del told["origin"]  # whoever has none says nothing of it
            body = {"metadata": meta, "status": told}
            seen = await kube.apply(PLACEMENTS, body, field_manager="test", subresource="status")
            assert seen.status == said
        await kube.delete(PLACEMENTS, "whole", namespace="default")


async def test_a_report_and_a_decision_are_stored_as_they_are(pair_of_light: Bed) -> None:
    verdicts = (
        placing.ClusterVerdict(cluster="east", verdict="Selected", score=1.5, parts={"Latency": 87.0}),
        placing.ClusterVerdict(cluster="west", verdict="Rejected", filter="Taint", code="UntoleratedTaint"),
    )
    meta = {"name": "whole-0", "namespace": "default"}
    report: Body = {
        "placementRef": {"name": "whole", "namespace": "default"},
        "revision": 3,
        "at": "2026-01-01T00:00:00Z",
        "clusters": msgspec.to_builtins(verdicts),
    }
    entry = objects.ClusterDecision(
        cluster_profile_ref=objects.ClusterProfileReference(name="east", namespace="clusterset-prod"),
        reason="Selected",
    )
    async with pair_of_light.client("hub") as kube:
        told = await kube.apply(PLACEMENT_REPORTS, {"metadata": meta, **report}, field_manager="test")
        assert (told.clusters, told.revision) == (verdicts, 3)
        decision = {"metadata": meta, "schedulerName": "us", "decisions": [msgspec.to_builtins(entry)]}
        chosen = await kube.apply(PLACEMENT_DECISIONS, decision, field_manager="test")
        assert (chosen.decisions, chosen.scheduler_name) == ((entry,), "us")
        await kube.delete(PLACEMENT_REPORTS, "whole-0", namespace="default")
        await kube.delete(PLACEMENT_DECISIONS, "whole-0", namespace="default")
