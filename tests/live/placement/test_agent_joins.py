"""A real agent and a real API server whose hub the test plays: joining, staying, telling, renewing."""

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta

import pytest

from mesh_core.names import PROPERTY_CLUSTER_ID, SYSTEM_NAMESPACE
from mesh_core.objects import KubernetesObject, Secret
from mesh_fakes.bed import Bed
from mesh_fakes.scripted_hub import ACCOUNTS, ScriptedHub, signer_in
from mesh_fakes.waiting import until_found
from mesh_placement.agent.agent import run_agent
from mesh_placement.agent.credential_book import CredentialBook
from mesh_placement.agent.keys import fingerprint_of
from mesh_placement.names import (
    ACCESS_SECRET,
    AGENT_CREDENTIAL,
    AGENT_SETTINGS,
    ANNOTATION_CLOCK,
    ANNOTATION_CLUSTER_UID,
    ANNOTATION_REFUSED,
    CAPACITY,
    HUB_ACCESS_ACCOUNT,
    LABEL_CLUSTER,
    LINKS,
    claim_name,
    renewal_name,
)
from mesh_placement.resources import ASSIGNMENTS, CLUSTER_CAPACITIES, CLUSTER_LINKS
from mesh_runtime.kube import (
    CLUSTER_PROPERTIES,
    CONFIG_MAPS,
    CSRS,
    MESH_PEERS,
    NAMESPACES,
    NODES,
    PODS,
    SECRETS,
    KubeClient,
    Resource,
    connect_to,
)

pytestmark = pytest.mark.asyncio

POOL = "addresses.pool.meshctl.dev"
STORAGE_CLASSES = Resource(
    "storage.k8s.io", "v1", "storageclasses", "StorageClass", KubernetesObject, namespaced=False
)


def ca_of(bed: Bed, cluster: str) -> str:
    return (bed.folder / cluster / "pki" / "ca.crt").read_text()


async def namespace(kube: KubeClient, name: str) -> None:
    if await kube.find(NAMESPACES, name) is None:
        await kube.create(NAMESPACES, {"metadata": {"name": name}})


@asynccontextmanager
async def told(bed: Bed, hub: ScriptedHub, *, driver: str, **more: str) -> AsyncIterator[KubeClient]:
    """The member, told of the hub as `meshctl register` tells it; afterwards as it was."""
    said = {
        "server": hub.kube.server,
        "ca.crt": ca_of(bed, "hub"),
        "cluster-id": hub.cluster,
        "cluster-set": "test",
        "driver": driver,
        "mode": "Manual",
        "token": hub.token,
        **more,
    }
    async with bed.client("member") as member:
        await namespace(member, SYSTEM_NAMESPACE)
        meta = {"name": AGENT_SETTINGS, "namespace": SYSTEM_NAMESPACE}
        await member.create(SECRETS, {"metadata": meta, "stringData": said})
        try:
            yield member
        finally:
            for name in (AGENT_SETTINGS, AGENT_CREDENTIAL):
                await member.delete(SECRETS, name, namespace=SYSTEM_NAMESPACE)
            for one in (await member.list(CLUSTER_PROPERTIES)).items:
                await member.delete(CLUSTER_PROPERTIES, one.metadata.name)


@asynccontextmanager
async def agent_of(member: KubeClient) -> AsyncIterator[asyncio.Task[None]]:
    """The agent while the block runs; stopped it leaves everything as it is."""
    task = asyncio.ensure_future(run_agent(member))
    try:
        yield task
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def name_of_claim(member: KubeClient, hub: ScriptedHub) -> str:
    """What the agent's claim is called, once it has made its key."""

    async def has_key() -> bool:
        return bool((await CredentialBook(member).kept()).key)

    await until_found(has_key)
    fingerprint = fingerprint_of(await CredentialBook(member).key())
    return claim_name(hub.cluster, fingerprint=fingerprint)


async def settings_of(member: KubeClient) -> Secret:
    return await member.get(SECRETS, AGENT_SETTINGS, namespace=SYSTEM_NAMESPACE)


async def test_an_agent_joins_by_a_token_and_tells_what_the_member_is(pair_of_light: Bed) -> None:
    bed = pair_of_light
    async with bed.client("hub") as kube:
        hub = ScriptedHub(kube, "by-token", "aaaaaa")
        await hub.make_token()
        began = datetime.now(UTC) - timedelta(seconds=1)
        async with told(bed, hub, driver="token", access="true") as member, agent_of(member):
            await make_room(member)
            await publish_ca(bed, member)
            name = await name_of_claim(member, hub)
            await until_found(lambda: is_there(hub, name))
            claim = await kube.get(CSRS, name)
            assert claim.spec.username == f"system:bootstrap:{hub.token_id}"
            assert claim.metadata.labels == {LABEL_CLUSTER: "by-token"}
            uid = (await member.get(NAMESPACES, "kube-system")).metadata.uid
            assert claim.metadata.annotations[ANNOTATION_CLUSTER_UID] == uid
            clock = datetime.fromisoformat(claim.metadata.annotations[ANNOTATION_CLOCK])
            assert began <= clock <= datetime.now(UTC)
            await hub.accept(driver="token", requests=[])
            await hub.take(name)
            await until_found(lambda: has_reported(hub))
            await hub.drop_token()
            report = (await hub.registration()).status.agent
            assert report.kubernetes.startswith("v1.")
            assert {"v1", "apps/v1", "meshctl.dev/v1alpha1"} <= set(report.apis)
            assert report.network.pod_cidrs == ("10.7.0.0/24",)
            assert report.access
            assert (await member.get(CLUSTER_PROPERTIES, PROPERTY_CLUSTER_ID)).spec.value == "by-token"
            assert "token" not in (await settings_of(member)).data
            await count_a_pool(hub, member)
            await until_found(lambda: has_told_of_room(hub), limit=120)
            await until_found(lambda: has_told_of_what_is_there(hub))
            await until_found(lambda: has_told_of_links(hub, member))
            await the_hub_is_let_in(bed, hub)
            await it_follows_a_change_of_the_hubs_ca(bed, hub, member)


async def is_there(hub: ScriptedHub, name: str) -> bool:
    return await hub.claim(name) is not None


async def has_reported(hub: ScriptedHub) -> bool:
    return bool(await hub.renewed()) and bool((await hub.registration()).status.agent.properties)


async def make_room(member: KubeClient) -> None:
    """A node with a pod on it."""
    room = {"cpu": "4", "memory": "8Gi", "pods": "10"}
    await member.create(NODES, {"metadata": {"name": "n1"}, "spec": {"podCIDR": "10.7.0.0/24"}})
    status = {"status": {"allocatable": room, "capacity": room}}
    await member.merge_patch(NODES, "n1", status, subresource="status")
    # Kubernetes' own taint of a node that no controller has seen yet.
    await member.merge_patch(NODES, "n1", {"spec": {"taints": None}})
    await namespace(member, "shop")
    await member.create(ACCOUNTS, {"metadata": {"name": "default", "namespace": "shop"}})
    container = {"name": "a", "image": "a", "resources": {"requests": {"cpu": "1500m", "memory": "1Gi"}}}
    spec = {"nodeName": "n1", "containers": [container]}
    await member.create(PODS, {"metadata": {"name": "cart", "namespace": "shop"}, "spec": spec})
    await member.create(STORAGE_CLASSES, {"metadata": {"name": "fast"}, "provisioner": "example.com/disk"})


async def count_a_pool(hub: ScriptedHub, member: KubeClient) -> None:
    """Somebody counts addresses, and something was assigned whose pods are there, as who applies says."""
    await member.create(CLUSTER_PROPERTIES, {"metadata": {"name": POOL}, "spec": {"value": "12/127"}})
    spec = {"placementRef": {"namespace": "shop", "name": "cart"}, "revision": 7}
    meta = {"name": "shop.cart", "namespace": hub.namespace}
    await hub.kube.create(ASSIGNMENTS, {"metadata": meta, "spec": spec})
    said = {"status": {"applied": 7, "visible": 7}}
    await hub.kube.merge_patch(ASSIGNMENTS, "shop.cart", said, namespace=hub.namespace, subresource="status")


async def has_told_of_room(hub: ScriptedHub) -> bool:
    status = (await hub.kube.get(CLUSTER_CAPACITIES, CAPACITY, namespace=hub.namespace)).status
    free = {"cpu": "2500m", "memory": "7Gi", "pods": "9"}
    return status.available == {**free, POOL: "12"} and [shape.free for shape in status.shapes] == [free]


async def has_told_of_what_is_there(hub: ScriptedHub) -> bool:
    status = (await hub.kube.get(CLUSTER_CAPACITIES, CAPACITY, namespace=hub.namespace)).status
    return (
        status.total.get(POOL) == "127"
        and POOL not in status.continuous
        and {"kube-system", "meshctl-system", "shop"} <= set(status.namespaces or ())
        and status.storage_classes == ("fast",)
        and status.observed_assignments == {"shop/cart": 7}
    )


async def has_told_of_links(hub: ScriptedHub, member: KubeClient) -> bool:
    if await member.find(MESH_PEERS, "west") is None:
        gateways = [{"host": "gw.example", "port": 15443}]
        await member.create(MESH_PEERS, {"metadata": {"name": "west"}, "spec": {"gateways": gateways}})
        seen = {"address": "10.7.0.8", "reachable": True, "pods": "Unknown", "rttMicroseconds": 31200}
        seen |= {"headroomPercent": 83, "certNotAfter": "2027-01-01T00:00:00Z"}
        status = {"status": {"gateways": [{**seen, "since": "2026-01-01T00:00:00Z"}]}}
        await member.merge_patch(MESH_PEERS, "west", status, subresource="status")
    links = (await hub.kube.get(CLUSTER_LINKS, LINKS, namespace=hub.namespace)).status.peers
    # It may be told of before its gateways have said anything.
    return [(one.cluster, one.state, one.rtt_ms.p50, one.headroom, one.cert_not_after) for one in links] == [
        ("west", "Up", 31.2, 0.83, "2027-01-01T00:00:00Z")
    ]


async def publish_ca(bed: Bed, member: KubeClient) -> None:
    """What kube-controller-manager does in every namespace, and the account that lets the hub in."""
    await member.create(ACCOUNTS, {"metadata": {"name": HUB_ACCESS_ACCOUNT, "namespace": SYSTEM_NAMESPACE}})
    meta = {"name": "kube-root-ca.crt", "namespace": SYSTEM_NAMESPACE}
    await member.create(CONFIG_MAPS, {"metadata": meta, "data": {"ca.crt": ca_of(bed, "member")}})


async def the_hub_is_let_in(bed: Bed, hub: ScriptedHub) -> None:
    async def is_written() -> bool:
        return "token" in (await hub.kube.get(SECRETS, ACCESS_SECRET, namespace=hub.namespace)).data

    await until_found(is_written)
    found = (await hub.kube.get(SECRETS, ACCESS_SECRET, namespace=hub.namespace)).data
    said = {name: base64.b64decode(value).decode() for name, value in found.items()}
    assert said["server"] == ""
    assert datetime.fromisoformat(said["expires"]) > datetime.now(UTC)
    async with bed.client("member") as there:
        server = there.server
    async with connect_to(server, ca=said["ca.crt"], token=lambda: said["token"]) as as_hub:
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
        answer = await as_hub.request("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", body=body)
    assert f"system:serviceaccount:{SYSTEM_NAMESPACE}:{HUB_ACCESS_ACCOUNT}".encode() in answer


async def it_follows_a_change_of_the_hubs_ca(bed: Bed, hub: ScriptedHub, member: KubeClient) -> None:
    both = ca_of(bed, "hub") + ca_of(bed, "member")
    await hub.say({"namespace": hub.namespace, "hubCABundle": both})

    async def is_taken_over() -> bool:
        data = (await settings_of(member)).data
        return base64.b64decode(data["ca.crt"]).decode() == both

    await until_found(is_taken_over)
    before = await hub.renewed()

    async def is_renewed() -> bool:
        return await hub.renewed() > before

    await until_found(is_renewed)


async def test_an_agent_has_its_certificate_renewed_as_itself_and_comes_back_with_it(
    pair_of_light: Bed,
) -> None:
    bed = pair_of_light
    signer = signer_in(bed.folder / "hub" / "pki")
    async with bed.client("hub") as kube:
        hub = ScriptedHub(kube, "by-certificate", "bbbbbb")
        await hub.make_token()
        async with told(bed, hub, driver="csr") as member:
            async with agent_of(member):
                name = await name_of_claim(member, hub)
                fingerprint = fingerprint_of(await CredentialBook(member).key())
                renewal = renewal_name(hub.cluster, fingerprint=fingerprint)
                await until_found(lambda: is_there(hub, name))
                await hub.accept(driver="csr", requests=[name, renewal])
                await hub.take(name, signer=signer, life=24.0)
                await until_found(lambda: is_there(hub, renewal))
                request = await kube.get(CSRS, renewal)
                assert request.spec.username == "meshctl:cluster:by-certificate"
                await hub.drop_token()
                await hub.take(renewal, signer=signer)

                async def is_renewed() -> bool:
                    credential = (await CredentialBook(member).kept()).credential
                    return credential is not None and (credential.expires - datetime.now(UTC)).seconds > 60

                await until_found(is_renewed)
            before = await hub.renewed()

            async def is_heard_again() -> bool:
                return await hub.renewed() > before

            async with agent_of(member):
                await until_found(is_heard_again)


async def test_a_refusal_is_shown_on_the_member_and_the_agent_asks_again(pair_of_light: Bed) -> None:
    bed = pair_of_light
    async with bed.client("hub") as kube:
        hub = ScriptedHub(kube, "refused", "cccccc")
        await hub.make_token()
        async with told(bed, hub, driver="token") as member, agent_of(member):
            name = await name_of_claim(member, hub)
            await until_found(lambda: is_there(hub, name))
            await hub.refuse(name, reason="ClusterUIDInUse", message="that cluster is registered as east")

            async def is_noted() -> bool:
                notes = (await settings_of(member)).metadata.annotations
                return "registered as east" in notes.get(ANNOTATION_REFUSED, "")

            await until_found(is_noted)
            await until_found(lambda: is_there(hub, f"{name}-1"))
            await hub.accept(driver="token", requests=[])
            await hub.take(f"{name}-1")

            async def is_forgotten() -> bool:
                return ANNOTATION_REFUSED not in (await settings_of(member)).metadata.annotations

            await until_found(is_forgotten)

            async def is_heard() -> bool:
                return bool(await hub.renewed())

            await until_found(is_heard)


async def test_an_agent_that_is_let_go_shows_it_and_joins_again_by_a_new_token(pair_of_light: Bed) -> None:
    bed = pair_of_light
    async with bed.client("hub") as kube:
        hub, again = ScriptedHub(kube, "again", "dddddd"), ScriptedHub(kube, "again", "eeeeee")
        await hub.make_token()
        async with told(bed, hub, driver="token") as member, agent_of(member):
            name = await name_of_claim(member, hub)
            await until_found(lambda: is_there(hub, name))
            await hub.accept(driver="token", requests=[])
            await hub.take(name)
            await until_found(lambda: has_reported(hub))
            await hub.drop_token()
            await hub.forget()

            async def is_noted() -> bool:
                notes = (await settings_of(member)).metadata.annotations
                return "register the cluster again" in notes.get(ANNOTATION_REFUSED, "")

            await until_found(is_noted)
            assert (await CredentialBook(member).kept()).credential is not None
            await again.make_token()
            await again.let_have_a_token()
            token = {"token": base64.b64encode(again.token.encode()).decode()}
            await member.merge_patch(SECRETS, AGENT_SETTINGS, {"data": token}, namespace=SYSTEM_NAMESPACE)
            await until_found(lambda: is_there(hub, f"{name}-1"), limit=120.0)
            before = await hub.renewed()
            await hub.take(f"{name}-1")

            async def is_heard_again() -> bool:
                return await hub.renewed() > before

            await until_found(is_heard_again)
