"""The kinds of registration on a real API server: ours is stored as it is, and what cannot be is refused.

One bad object for each rule; the words of the refusal tell what to do instead.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest

from mesh_core.objects import Condition
from mesh_fakes.bed import Bed
from mesh_placement import objects
from mesh_placement.objects.standings import NotedStanding
from mesh_placement.resources import (
    APPLIED_WORKS,
    ASSIGNMENTS,
    CLUSTER_CAPACITIES,
    CLUSTER_CLAIMS,
    CLUSTER_LINKS,
    CLUSTER_PROFILES,
    CLUSTER_REGISTRATIONS,
    CLUSTER_SETS,
    RESOURCE_INTERPRETERS,
    WORKS,
)
from mesh_runtime.kube import ApiError, KubeClient, Resource

pytestmark = pytest.mark.asyncio

# A body is whatever JSON an API server may be given, hence Any.
Body = dict[str, Any]
# Kinds of many Structs in one table, hence Any.
AnyResource = Resource[Any]

NOW = "2026-01-01T00:00:00Z"
TAINT = {"key": "maintenance", "effect": "NoSchedule"}
EAST: Body = {"clusterSet": "prod"}
ORDERED: Body = {"clusterSet": "prod", "provider": "local"}
CAME: Body = {"provider": "local", "claim": "a", "claimUID": "u"}


def body(resource: AnyResource, name: str, **fields: Any) -> Body:
    place = {"namespace": "default"} if resource.namespaced else {}
    return {"metadata": {"name": name, **place}, **fields}


def rule(**spec: Any) -> Body:
    return {"target": {"apiVersion": "example.com/v1", "kind": "Training"}, **spec}


def component(name: str, **more: Any) -> Body:
    return {"name": name, "template": ".spec.template", **more}


def gate(condition: str) -> Body:
    return {**EAST, "readinessGates": [{"conditionType": condition}]}


def override(**operation: Any) -> Body:
    return {"overrides": [{"patch": [operation]}]}


BORN_WRONG: dict[str, tuple[AnyResource, str, Body, str]] = {
    "set with a dot": (CLUSTER_SETS, "a.b", {}, "one DNS label"),
    "profiles in kube-system": (
        *(CLUSTER_SETS, "a", {"profileNamespace": "kube-system"}),
        "namespace of their own",
    ),
    "profiles with a cluster": (CLUSTER_SETS, "a", {"profileNamespace": "cluster-b"}, "no cluster-<id>"),
    "unknown connectivity": (CLUSTER_SETS, "a", {"connectivity": "Star"}, "Unsupported value"),
    "cluster with a dot": (CLUSTER_REGISTRATIONS, "a.b", EAST, "one DNS label"),
    "cluster of 64 characters": (CLUSTER_REGISTRATIONS, "a" * 64, EAST, "at most 63"),
    "cluster without a set": (CLUSTER_REGISTRATIONS, "a", {}, "Required value"),
    "gate on ourselves": (CLUSTER_REGISTRATIONS, "a", gate("Ready"), "condition of somebody else"),
    "two gates on one condition": (
        *(CLUSTER_REGISTRATIONS, "a", {**EAST, "readinessGates": [{"conditionType": "B"}] * 2}),
        "Duplicate value",
    ),
    "the hub's own taint": (
        CLUSTER_REGISTRATIONS,
        "a",
        {**EAST, "taints": [{"key": "meshctl.dev/unreachable", "effect": "NoSchedule"}]},
        "sets and lifts this taint by itself",
    ),
    "a taint twice": (CLUSTER_REGISTRATIONS, "a", {**EAST, "taints": [TAINT, TAINT]}, "Duplicate value"),
    "unreachable at once": (
        CLUSTER_REGISTRATIONS,
        "a",
        {**EAST, "lease": {"missed": 1}},
        "should be greater",
    ),
    "an order with a dot": (CLUSTER_CLAIMS, "a.b", ORDERED, "will be a cluster id"),
    "an order of nobody": (CLUSTER_CLAIMS, "a", EAST, "provider: Required value"),
    "a second capacity": (CLUSTER_CAPACITIES, "b", {}, "named capacity"),
    "a second link": (CLUSTER_LINKS, "b", {}, "named links"),
    "waiting for itself": (ASSIGNMENTS, "a", {"dependsOn": ["a"]}, "does not wait for itself"),
    "half an account": (ASSIGNMENTS, "a", {"serviceAccount": {"name": "b"}}, "a name and a namespace"),
    "adding nothing": (ASSIGNMENTS, "a", override(op="add", path="/a"), "value: Required value"),
    "moving from nowhere": (ASSIGNMENTS, "a", override(op="move", path="/a"), "must validate"),
    "no pointer": (ASSIGNMENTS, "a", override(op="remove", path="a"), "should match"),
    "feedback by a search": (
        *(ASSIGNMENTS, "a", {"feedback": [{"name": "a", "path": ".status.conditions[?(@.x)]"}]}),
        "should match",
    ),
    "a rule of what Kubernetes brings": (
        *(RESOURCE_INTERPRETERS, "a", {**rule(), "target": {"apiVersion": "apps/v1", "kind": "Deployment"}}),
        "should match",
    ),
    "a rule of nothing": (RESOURCE_INTERPRETERS, "a", rule(), "it says nothing"),
    "health by both": (
        *(RESOURCE_INTERPRETERS, "a", rule(health={"path": ".a", "condition": "Ready", "healthy": ["b"]})),
        "give one of both",
    ),
    "health by neither": (RESOURCE_INTERPRETERS, "a", rule(health={"healthy": ["b"]}), "give one of both"),
    "pods by a search": (
        *(
            RESOURCE_INTERPRETERS,
            "a",
            rule(components=[{"name": "a", "template": ".spec.workers[*].template"}]),
        ),
        "should match",
    ),
    "a count beside the spec": (
        *(RESOURCE_INTERPRETERS, "a", rule(components=[component("a", replicas=".metadata.name")])),
        "should match",
    ),
    "dividing without a count": (
        *(RESOURCE_INTERPRETERS, "a", rule(components=[component("a", divided=True)])),
        "says where its number stands",
    ),
    "dividing two": (
        RESOURCE_INTERPRETERS,
        "a",
        rule(components=[component(name, replicas=".spec.count", divided=True) for name in "ab"]),
        "of one component are divided",
    ),
    "a profile of nobody": (CLUSTER_PROFILES, "a", {}, "Required value"),
    "a Work of what is no object": (WORKS, "a", {"workload": {"manifests": [{"kind": "Pod"}]}}, "apiVersion"),
    "an inventory of nothing": (APPLIED_WORKS, "a", {"workName": "a"}, "workNamespace: Required value"),
}


@pytest.mark.parametrize(("resource", "name", "spec", "words"), BORN_WRONG.values(), ids=BORN_WRONG)
async def test_an_object_that_cannot_be_is_not_born(
    pair_of_light: Bed, resource: AnyResource, name: str, spec: Body, words: str
) -> None:
    async with pair_of_light.client("hub") as kube:
        with pytest.raises(ApiError) as refused:
            await kube.create(resource, body(resource, name, spec=spec))
    assert refused.value.status == 422
    assert words in refused.value.message


MEMBER: Body = {"namespace": "cluster-a"}
CHANGED_WRONG: dict[str, tuple[AnyResource, str, Body, Body, Body, Body, str]] = {
    "another profile namespace": (
        *(CLUSTER_SETS, "a", {"profileNamespace": "b"}, {}),
        *({"profileNamespace": "c"}, {}, "known to their readers"),
    ),
    "another trust domain": (
        *(CLUSTER_SETS, "a", {"trustDomain": "b.example"}, {}),
        *({"trustDomain": None}, {}, "in every certificate"),
    ),
    "another set, once accepted": (
        *(CLUSTER_REGISTRATIONS, "a", {**EAST, "accepted": True}, {}),
        *({"clusterSet": "dev"}, {}, "does not change its set"),
    ),
    "another set, as a member": (
        *(CLUSTER_REGISTRATIONS, "a", EAST, MEMBER),
        *({"clusterSet": "dev"}, {}, "does not change its set"),
    ),
    "no longer accepted": (
        *(CLUSTER_REGISTRATIONS, "a", {**EAST, "accepted": True}, {}),
        *({"accepted": False}, {}, "sent away by deleting"),
    ),
    "another kind of credential": (
        *(CLUSTER_REGISTRATIONS, "a", EAST, MEMBER),
        *({"driver": "token"}, {}, "the kind of its credential"),
    ),
    "an order of another set": (
        *(CLUSTER_CLAIMS, "a", ORDERED, {}),
        *({"clusterSet": "dev"}, {}, "keeps its set and its provider"),
    ),
    "ordered only afterwards": (
        *(CLUSTER_REGISTRATIONS, "a", EAST, {}),
        *({"provision": CAME}, {}, "said when it is registered"),
    ),
    "ordered by another": (
        *(CLUSTER_REGISTRATIONS, "a", {**EAST, "provision": CAME}, {}),
        *({"provision": {**CAME, "claimUID": "v"}}, {}, "said when it is registered"),
    ),
    "another namespace": (
        *(CLUSTER_REGISTRATIONS, "a", EAST, MEMBER),
        *({}, {"namespace": "cluster-b"}, "stays what it is"),
    ),
    "no namespace any more": (
        *(CLUSTER_REGISTRATIONS, "a", EAST, MEMBER),
        *({}, {"namespace": None}, "stays what it is"),
    ),
    "an unknown phase": (CLUSTER_REGISTRATIONS, "a", EAST, {}, {}, {"phase": "Odd"}, "Unsupported value"),
    "no fingerprint": (
        *(CLUSTER_REGISTRATIONS, "a", EAST, {}),
        *({}, {"id": {"keyFingerprint": "md5:00"}}, "should match"),
    ),
    "no quantity": (CLUSTER_CAPACITIES, "capacity", {}, {}, {}, {"total": {"cpu": "many"}}, "should match"),
    "129 shapes": (
        *(CLUSTER_CAPACITIES, "capacity", {}, {}, {}),
        *({"shapes": [{"count": 1, "free": {}}] * 129}, "Too many"),
    ),
    "a peer twice": (
        *(CLUSTER_LINKS, "links", {}, {}, {}),
        *({"peers": [{"cluster": "b"}, {"cluster": "b"}]}, "Duplicate value"),
    ),
    "an older revision": (ASSIGNMENTS, "a", {"revision": 2}, {}, {"revision": 1}, {}, "never goes back"),
    "another manager": (
        *(CLUSTER_PROFILES, "a", {"clusterManager": {"name": "us"}}, {}),
        *({"clusterManager": {"name": "them"}}, {}, "keeps its manager"),
    ),
    "a property of 1,025 characters": (
        *(CLUSTER_PROFILES, "a", {"clusterManager": {"name": "us"}}, {}, {}),
        *({"properties": [{"name": "a", "value": "x" * 1025}]}, "Too long"),
    ),
}


@asynccontextmanager
async def existing(
    bed: Bed, resource: AnyResource, name: str, *, spec: Body, status: Body
) -> AsyncIterator[KubeClient]:
    """A client, and an object with that spec and status for as long as the block runs."""
    namespace = "default" if resource.namespaced else ""
    async with bed.client("hub") as kube:
        await kube.create(resource, body(resource, name, spec=spec))
        try:
            if status:
                await patched(kube, resource, name, spec={}, status=status)
            yield kube
        finally:
            await kube.delete(resource, name, namespace=namespace)


async def patched(kube: KubeClient, resource: AnyResource, name: str, *, spec: Body, status: Body) -> Any:
    """The object after a merge patch of its spec, or else of its status."""
    namespace = "default" if resource.namespaced else ""
    change, part = ({"spec": spec}, "") if spec else ({"status": status}, "status")
    return await kube.merge_patch(resource, name, change, namespace=namespace, subresource=part)


@pytest.mark.parametrize(
    ("resource", "name", "spec", "status", "change", "news", "words"),
    CHANGED_WRONG.values(),
    ids=CHANGED_WRONG,
)
async def test_what_must_stay_stays(
    pair_of_light: Bed,
    resource: AnyResource,
    name: str,
    spec: Body,
    status: Body,
    change: Body,
    news: Body,
    words: str,
) -> None:
    async with existing(pair_of_light, resource, name, spec=spec, status=status) as kube:
        with pytest.raises(ApiError) as refused:
            await patched(kube, resource, name, spec=change, status=news)
    assert refused.value.status == 422
    assert words in refused.value.message


async def test_who_is_not_in_yet_may_still_choose(pair_of_light: Bed) -> None:
    never: Body = {**EAST, "leave": {"forceAfterSeconds": None}}
    status: Body = {"phase": "Pending"}
    async with existing(pair_of_light, CLUSTER_REGISTRATIONS, "a", spec=never, status=status) as kube:
        change: Body = {"clusterSet": "dev", "driver": "token"}
        seen = await patched(kube, CLUSTER_REGISTRATIONS, "a", spec=change, status={})
        assert seen.spec == objects.ClusterRegistrationSpec(
            cluster_set="dev", driver="token", leave=objects.Leave(force_after_seconds=None)
        )


CONDITION = Condition(
    type="example.com/Backup", status="True", reason="Done", message="ü", last_transition_time=NOW
)
FULL: dict[AnyResource, tuple[str, Any]] = {
    CLUSTER_REGISTRATIONS: (
        "a",
        objects.ClusterRegistrationStatus(
            phase="Leaving",
            conditions=(CONDITION,),
            namespace="cluster-a",
            id=objects.ClusterIdentity(uid="u", key_fingerprint=f"sha256:{'0' * 64}"),
            token="abc123",
            hub_ca_bundle="pem",
            taints=(objects.Taint(key="meshctl.dev/leaving", effect="NoSchedule"),),
            lost_since=NOW,
            standing=NotedStanding(verdict="Dead", since=NOW),
            leaving_since=NOW,
            stage=8,
            agent=objects.AgentReport(
                apis=("v1", "apps/v1"),
                network=objects.ClusterNetwork(
                    pod_cidrs=("10.0.0.0/8", "fd00::/64"),
                    gateways=(objects.GatewayAddress(host="gw.example", port=15443),),
                    network="blue",
                ),
                properties=(objects.NamedValue(name="site.meshctl.dev", value="x" * 2000),),
                clock=NOW,
                conditions=(CONDITION,),
            ),
        ),
    ),
    CLUSTER_CAPACITIES: (
        "capacity",
        objects.ClusterCapacityStatus(
            total={"cpu": "20", "memory": "100Gi", "nvidia.com/gpu": "1e3"},
            available={"cpu": "-3500m", "memory": "1.5Gi"},
            shapes=tuple(objects.Shape(count=1, free={"cpu": "2", "pods": "40"}) for _ in range(128)),
            observed_assignments={"shop/checkout": 7},
            namespaces=("kube-system", "shop"),
            storage_classes=(),
            warnings=("memory: 1200m",),
        ),
    ),
    CLUSTER_LINKS: (
        "links",
        objects.ClusterLinkStatus(
            peers=(
                objects.LinkToPeer(cluster="b", rtt_ms=objects.RoundTrip(ewma=31.25), headroom=0.5),
                objects.LinkToPeer(cluster="c", state="Down", cert_not_after=NOW),
            ),
            exports=(
                objects.ExportState(service="shop/cart"),
                objects.ExportState(service="shop/till", allowed=("west",), local_first=True),
            ),
            handshakes=(objects.Handshake(service="shop/cart", via="b", result="OK"),),
        ),
    ),
    CLUSTER_CLAIMS: (
        "a",
        objects.ClusterClaimStatus(
            phase="Ready",
            registration="r",
            idle_since=NOW,
            used=True,
            conditions=(CONDITION,),
            provider=objects.ProviderReport(phase="Running", nodes=3, uid="u"),
        ),
    ),
    ASSIGNMENTS: (
        "a",
        objects.AssignmentStatus(
            applied=7,
            visible=6,
            feedback=(objects.Feedback(name="ready", value="3"),),
            drifted=("Deployment/shop/cart",),
            conditions=(CONDITION,),
        ),
    ),
}


@pytest.mark.parametrize("resource", FULL, ids=lambda one: one.plural)
async def test_a_status_with_and_without_its_defaults_is_stored_as_it_is(
    pair_of_light: Bed, resource: AnyResource
) -> None:
    name, full = FULL[resource]
    spec = {CLUSTER_REGISTRATIONS: EAST, CLUSTER_CLAIMS: ORDERED}.get(resource, {})
    async with existing(pair_of_light, resource, name, spec=spec, status={}) as kube:
        stays = {"namespace": full.namespace} if resource is CLUSTER_REGISTRATIONS else {}
        for status in (full, type(full)(**stays)):
            wanted = body(resource, name, status=msgspec.to_builtins(status))
            seen = await kube.apply(resource, wanted, field_manager="test", subresource="status")
            assert seen.status == status


async def test_an_assignment_of_defaults_and_one_that_uses_everything_are_stored_as_they_are(
    pair_of_light: Bed,
) -> None:
    full = objects.AssignmentSpec(
        placement_ref=objects.NamespacedName(name="checkout", namespace="shop"),
        revision=7,
        replicas=6,
        works=("checkout", "checkout.2"),
        secrets=("pull",),
        depends_on=("cart",),
        service_account=objects.ServiceAccountRef(name="tenant", namespace="shop"),
        feedback=(objects.FeedbackPath(name="ip", path=".status.loadBalancer.ingress[0].ip"),),
        interpretations=(
            objects.Interpretation(api_version="example.com/v1", kind="Farm"),
            objects.Interpretation(
                api_version="example.com/v1",
                kind="Training",
                health=objects.HealthRule(path=".status.list[0].state", healthy=("a",), degraded=("b",)),
                replicas=".spec.roles[0].count",
            ),
            objects.Interpretation(
                api_version="example.com/v2",
                kind="Farm",
                health=objects.HealthRule(condition="Ready", healthy=("True",)),
                replicas="",
            ),
        ),
        overrides=(
            objects.Override(
                kind="Deployment",
                patch=(
                    {"op": "add", "path": "/spec/a~1b", "value": {"any": [1, None, "x"]}},
                    {"op": "replace", "path": "/spec", "value": None},
                    {"op": "move", "path": "/a", "from": "/b"},
                ),
            ),
        ),
        take_over="IfNoDiff",
        purge="Never",
        fence_after_seconds=60,
    )
    async with pair_of_light.client("hub") as kube:
        for spec in (objects.AssignmentSpec(), full):
            wanted = body(ASSIGNMENTS, "whole", spec=msgspec.to_builtins(spec))
            seen = await kube.apply(ASSIGNMENTS, wanted, field_manager="test")
            assert seen.spec == spec
        await kube.delete(ASSIGNMENTS, "whole", namespace="default")


async def test_a_work_and_its_inventory_are_stored_as_the_standard_has_them(pair_of_light: Bed) -> None:
    manifest = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"b": "c"}}
    entry = objects.AppliedResource(ordinal=0, version="v1", resource="configmaps", name="a", uid="u")
    async with pair_of_light.client("hub") as kube:
        work = body(WORKS, "w", spec={"workload": {"manifests": [manifest]}})
        seen = await kube.create(WORKS, work)
        assert seen.spec.workload.manifests == (manifest,)
        spec = {"workName": "w", "workNamespace": "default"}
        await kube.create(APPLIED_WORKS, body(APPLIED_WORKS, "w", spec=spec))
        status = msgspec.to_builtins(objects.AppliedWorkStatus(applied_resources=(entry,)))
        held = await kube.apply(
            APPLIED_WORKS,
            {"metadata": {"name": "w"}, "status": status},
            field_manager="test",
            subresource="status",
        )
        assert held.status.applied_resources == (entry,)
        await kube.delete(APPLIED_WORKS, "w")
        await kube.delete(WORKS, "w", namespace="default")
