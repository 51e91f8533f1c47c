"""The hub on a real API server, as its own ServiceAccount, with the rights and policies of manifests.

A light cluster signs nothing, so the driver csr goes as far as the approval; the driver token all the way.
"""

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
import pytest_asyncio
import yaml

from mesh_core.names import SYSTEM_NAMESPACE
from mesh_fakes.bed import Bed
from mesh_fakes.fake_agent import FakeAgent, answers, states
from mesh_fakes.waiting import until_found
from mesh_placement.decide.bootstrap_token import BootstrapToken, token_secret
from mesh_placement.hub.hub import Hub
from mesh_placement.names import (
    AGENT_ACCOUNT,
    AGENT_MANIFESTS,
    AGENT_SETTINGS,
    HUB,
    HUB_INFO,
    LEASE,
    LINKS,
    cluster_namespace,
)
from mesh_placement.objects import ClusterRegistration, ClusterRegistrationStatus, Driver
from mesh_placement.resources import (
    CLUSTER_LINKS,
    CLUSTER_PROFILES,
    CLUSTER_REGISTRATIONS,
    CLUSTER_SETS,
    WORKS,
)
from mesh_runtime.kube import (
    CONFIG_MAPS,
    CSRS,
    LEASES,
    NAMESPACES,
    SECRETS,
    ApiError,
    KubeClient,
    connect_to,
)

pytestmark = pytest.mark.asyncio

MANIFESTS = Path(__file__).parents[3] / "manifests"
TOKEN_SECRET = "0123456789abcdef"


class _Token(msgspec.Struct):
    token: str


class _TokenRequest(msgspec.Struct):
    status: _Token


async def account_token(kube: KubeClient, account: str, *, namespace: str) -> str:
    """A token of a ServiceAccount, as whoever may make one, from now on or in a moment."""
    made = ""

    async def is_made() -> bool:
        nonlocal made
        try:
            made = await _account_token(kube, account, namespace=namespace)
        except ApiError as error:
            if error.status not in (403, 404):
                raise
        return bool(made)

    await until_found(is_made)
    return made


async def _account_token(kube: KubeClient, account: str, *, namespace: str) -> str:
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token"
    raw = await kube.request("POST", path, body=body)
    return msgspec.json.decode(raw, type=_TokenRequest).status.token


@dataclass(slots=True)
class Scene:
    """A running hub, an administrator of it, and how others reach it."""

    admin: KubeClient
    ca: str
    stack: AsyncExitStack

    async def showing(self, token: str) -> KubeClient:
        """A client that shows `token`."""
        client = connect_to(self.admin.server, ca=self.ca, token=lambda: token)
        return await self.stack.enter_async_context(client)

    async def bootstrap(self, name: str, *, auto_accept: bool = False, cluster: str = "") -> KubeClient:
        """Make a token, for `cluster` alone or for any; a client of who shows it."""
        token = BootstrapToken(id=name, secret=TOKEN_SECRET)
        expires = datetime.now(UTC) + timedelta(hours=1)
        made = token_secret(
            token, cluster_set="prod", expires=expires, auto_accept=auto_accept, cluster=cluster
        )
        await self.admin.create(SECRETS, made)
        return await self.showing(token.text)

    async def registration(self, cluster: str) -> ClusterRegistration:
        return await self.admin.get(CLUSTER_REGISTRATIONS, cluster)

    async def until_phase(self, cluster: str, phase: str) -> ClusterRegistration:
        """The registration as soon as it shows `phase`."""

        async def shows() -> bool:
            found = await self.admin.find(CLUSTER_REGISTRATIONS, cluster)
            return found is not None and found.status.phase == phase

        await until_found(shows)
        return await self.registration(cluster)

    async def answered(self, name: str) -> dict[str, str]:
        """What stands in a request, as soon as anything does."""

        async def is_answered() -> bool:
            return bool((await self.admin.get(CSRS, name)).status.conditions)

        await until_found(is_answered)
        return answers(await self.admin.get(CSRS, name))


def ca_of(bed: Bed, cluster: str) -> str:
    """The CA of a cluster's API server, in PEM."""
    config = yaml.safe_load(bed.kubeconfig.read_text())
    (found,) = [one["cluster"] for one in config["clusters"] if one["name"] == cluster]
    return base64.b64decode(found["certificate-authority-data"]).decode()


async def until_open(holder: KubeClient) -> None:
    """Return when who shows a token may claim: the hub has given that right, and the API server knows."""

    async def is_open() -> bool:
        try:
            await holder.list(CSRS)
        except ApiError as error:
            if error.status not in (401, 403):
                raise
            return False
        return True

    await until_found(is_open)


async def until_let_in(client: KubeClient, *, cluster: str) -> None:
    """Return when the API server knows the rights that it was given a moment ago, in its namespace too."""
    namespace = cluster_namespace(cluster)

    async def is_let_in() -> bool:
        try:
            await client.get(CLUSTER_REGISTRATIONS, cluster)
            await client.list(WORKS, namespace=namespace)
            await client.get(LEASES, LEASE, namespace=namespace)
            await client.get(CLUSTER_LINKS, LINKS, namespace=namespace)
        except ApiError as error:
            if error.status not in (403, 404):
                raise
            return False
        return True

    await until_found(is_let_in)


@pytest.fixture(scope="module")
def a_hub(pair_of_light: Bed) -> Bed:
    """The pair, whose cluster `hub` has the manifests of one."""
    for part in ("namespace", "placement/hub", "placement/policy"):
        pair_of_light.kubectl("hub", "apply", "-k", str(MANIFESTS / part))
    return pair_of_light


@pytest_asyncio.fixture
async def scene(a_hub: Bed) -> AsyncIterator[Scene]:
    """The hub at work, its objects gone afterwards."""
    bed = a_hub
    async with bed.client("hub") as admin, AsyncExitStack() as stack:
        one = Scene(admin, ca_of(bed, "hub"), stack)
        await admin.apply(CLUSTER_SETS, {"metadata": {"name": "prod"}, "spec": {}}, field_manager="test")
        info = {"server": admin.server, "ca.crt": one.ca}
        meta = {"name": HUB_INFO, "namespace": "kube-public"}
        await admin.apply(CONFIG_MAPS, {"metadata": meta, "data": info}, field_manager="test")
        own = await one.showing(await account_token(admin, HUB, namespace=SYSTEM_NAMESPACE))
        hub = asyncio.create_task(Hub(own, name="test").run())
        try:
            await until_open(await one.bootstrap("zzzzzz"))
            yield one
        finally:
            hub.cancel()
            await asyncio.gather(hub, return_exceptions=True)
            await cleared(admin)


async def cleared(admin: KubeClient) -> None:
    """No registration, token or request of a test is there for the next one."""
    for registration in (await admin.list(CLUSTER_REGISTRATIONS)).items:
        name = registration.metadata.name
        await admin.merge_patch(CLUSTER_REGISTRATIONS, name, {"metadata": {"finalizers": None}})
        await admin.delete(CLUSTER_REGISTRATIONS, name)
    for secret in (await admin.list(SECRETS, namespace="kube-system")).items:
        await admin.delete(SECRETS, secret.metadata.name, namespace="kube-system")
    for request in (await admin.list(CSRS)).items:
        await admin.delete(CSRS, request.metadata.name)


async def came(scene: Scene, agent: FakeAgent, holder: KubeClient) -> KubeClient:
    """The agent's own client, from its claim to the first renewal, by the driver token."""
    await agent.claim(holder, now=datetime.now(UTC))
    assert await scene.answered(agent.claim_name) == {"Approved": "ApprovedByMeshctl"}
    namespace = cluster_namespace(agent.cluster)
    own = await scene.showing(await account_token(holder, AGENT_ACCOUNT, namespace=namespace))
    await until_let_in(own, cluster=agent.cluster)
    await agent.beat(own, now=datetime.now(UTC))
    await agent.report(own)
    return own


def end_state(registration: ClusterRegistration) -> ClusterRegistrationStatus:
    """What must be the same whoever came first: all but names, keys and times."""
    conditions = tuple(
        msgspec.structs.replace(one, last_transition_time="", observed_generation=0)
        for one in registration.status.conditions
    )
    return msgspec.structs.replace(
        registration.status,
        conditions=tuple(sorted(conditions, key=lambda one: one.type)),
        namespace="",
        id=msgspec.structs.replace(registration.status.id, uid="", key_fingerprint=""),
        token="",
    )


async def test_object_first_and_agent_first_end_the_same_and_the_token_is_gone(scene: Scene) -> None:
    await scene.admin.create(
        CLUSTER_REGISTRATIONS,
        {"metadata": {"name": "first"}, "spec": {"clusterSet": "prod", "accepted": True}},
    )
    await scene.until_phase("first", "Accepted")
    object_first = FakeAgent("first")
    holder = await scene.bootstrap("aaaaaa", cluster="first")
    await came(scene, object_first, holder)
    one = await scene.until_phase("first", "Ready")

    agent_first = FakeAgent("second")
    other_holder = await scene.bootstrap("bbbbbb")
    await agent_first.claim(other_holder, now=datetime.now(UTC))
    waiting = await scene.until_phase("second", "Pending")
    assert waiting.status.id.key_fingerprint == agent_first.fingerprint
    assert states(waiting.status.conditions)["HubAccepted"] == "False"
    await scene.admin.merge_patch(CLUSTER_REGISTRATIONS, "second", {"spec": {"accepted": True}})
    assert await scene.answered(agent_first.claim_name) == {"Approved": "ApprovedByMeshctl"}
    token = await account_token(other_holder, AGENT_ACCOUNT, namespace=cluster_namespace("second"))
    own = await scene.showing(token)
    await until_let_in(own, cluster="second")
    await agent_first.beat(own, now=datetime.now(UTC))
    await agent_first.report(own)
    two = await scene.until_phase("second", "Ready")

    assert one.spec == two.spec
    assert end_state(one) == end_state(two)
    assert one.status.hub_ca_bundle == scene.ca
    for client in (holder, other_holder):

        async def is_shut(client: KubeClient = client) -> bool:
            try:
                await client.list(CSRS)
            except ApiError as error:
                return error.status == 401
            return False

        await until_found(is_shut)


async def test_a_token_that_accepts_makes_a_cluster_ready_by_itself_and_its_profile_tells_of_it(
    scene: Scene,
) -> None:
    agent = FakeAgent("auto")
    await came(scene, agent, await scene.bootstrap("cccccc", auto_accept=True))
    await scene.until_phase("auto", "Ready")

    async def has_profile() -> bool:
        found = await scene.admin.find(CLUSTER_PROFILES, "auto", namespace="clusterset-prod")
        return found is not None and found.status.version.kubernetes == "v1.37.0"

    await until_found(has_profile)
    profile = await scene.admin.get(CLUSTER_PROFILES, "auto", namespace="clusterset-prod")
    assert profile.metadata.labels["x-k8s.io/cluster-manager"] == "clusterset-mesh"
    assert profile.status.access_providers[0].cluster.server.startswith(scene.admin.server)


async def test_an_agent_reaches_its_own_objects_and_nobody_elses(scene: Scene) -> None:
    east, west = FakeAgent("east"), FakeAgent("west")
    await came(scene, west, await scene.bootstrap("dddddd", auto_accept=True))
    own = await came(scene, east, await scene.bootstrap("eeeeee", auto_accept=True))
    assert (await own.get(CLUSTER_LINKS, LINKS, namespace="cluster-east")).metadata.name == LINKS
    assert (await own.list(WORKS, namespace="cluster-east")).items == []
    assert (await own.list(CLUSTER_PROFILES, namespace="clusterset-prod")).items is not None
    refused = [
        own.list(CLUSTER_REGISTRATIONS),
        own.get(CLUSTER_REGISTRATIONS, "west"),
        own.get(CLUSTER_LINKS, LINKS, namespace="cluster-west"),
        own.list(SECRETS, namespace="cluster-west"),
        own.list(SECRETS, namespace="kube-system"),
        own.list(CSRS),
        own.get(NAMESPACES, "cluster-east"),
        west.beat(own, now=datetime.now(UTC)),
        west.report(own),
        own.merge_patch(CLUSTER_REGISTRATIONS, "east", {"spec": {"accepted": True}}),
        own.merge_patch(CLUSTER_REGISTRATIONS, "east", {"status": {"phase": "Left"}}, subresource="status"),
        own.delete(LEASES, "agent", namespace="cluster-east"),
        _account_token(own, AGENT_ACCOUNT, namespace="cluster-west"),
    ]
    for attempt in refused:
        with pytest.raises(ApiError) as error:
            await attempt
        assert error.value.status in (403, 422), error.value


@pytest.mark.parametrize("driver", ["csr", "token"])
async def test_claims_are_refused_with_reasons(scene: Scene, driver: Driver) -> None:
    # Each asks by the time of then: who is half a minute late would be refused for his clock.
    holder = await scene.bootstrap("ffffff")
    await until_open(holder)
    skewed = FakeAgent("skewed", driver=driver)
    now = datetime.now(UTC)
    await skewed.claim(holder, now=now, clock=now - timedelta(minutes=5))
    assert await scene.answered(skewed.claim_name) == {"Denied": "ClockSkew"}
    person = FakeAgent("person", driver=driver)
    await person.claim(scene.admin, now=datetime.now(UTC))
    assert await scene.answered(person.claim_name) == {"Denied": "RequesterNotAllowed"}
    first, second = FakeAgent("north", driver=driver), FakeAgent("north", driver=driver)
    await first.claim(holder, now=datetime.now(UTC))
    await scene.until_phase("north", "Pending")
    await second.claim(holder, now=datetime.now(UTC))
    assert await scene.answered(second.claim_name) == {"Denied": "TokenUsed"}
    third = FakeAgent("north", driver=driver)
    await third.claim(await scene.bootstrap("gggggg"), now=datetime.now(UTC))
    assert await scene.answered(third.claim_name) == {"Denied": "KeyMismatch"}
    twin = FakeAgent("twin", driver=driver, uid="uid-of-north")
    await twin.claim(await scene.bootstrap("hhhhhh"), now=datetime.now(UTC))
    assert await scene.answered(twin.claim_name) == {"Denied": "ClusterUIDInUse"}
    await scene.admin.merge_patch(CLUSTER_REGISTRATIONS, "north", {"spec": {"accepted": True}})
    assert await scene.answered(first.claim_name) == {"Approved": "ApprovedByMeshctl"}


async def test_the_hub_dials_in_sets_up_the_agent_and_forgets_the_kubeconfig(
    scene: Scene, pair_of_light: Bed
) -> None:
    account = {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": "placement-agent", "namespace": SYSTEM_NAMESPACE},
    }
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SYSTEM_NAMESPACE}}
    meta = {"name": AGENT_MANIFESTS, "namespace": SYSTEM_NAMESPACE}
    manifests = {"agent.yaml": yaml.safe_dump_all([account, namespace])}
    await scene.admin.apply(CONFIG_MAPS, {"metadata": meta, "data": manifests}, field_manager="test")
    config = yaml.safe_load(pair_of_light.kubeconfig.read_text())
    config["current-context"] = "member"
    secret = {
        "metadata": {
            "name": "placement-join-dialled",
            "namespace": SYSTEM_NAMESPACE,
            "labels": {"placement.meshctl.dev/cluster": "dialled"},
        },
        "stringData": {"kubeconfig": yaml.safe_dump(config), "access": "true"},
    }
    await scene.admin.create(SECRETS, secret)
    spec = {"clusterSet": "prod", "accepted": True, "mode": "Auto", "driver": "token"}
    await scene.admin.create(CLUSTER_REGISTRATIONS, {"metadata": {"name": "dialled"}, "spec": spec})

    async def is_forgotten() -> bool:
        found = await scene.admin.find(SECRETS, "placement-join-dialled", namespace=SYSTEM_NAMESPACE)
        return found is None

    await until_found(is_forgotten)
    async with pair_of_light.client("member") as member:
        settings = await member.get(SECRETS, AGENT_SETTINGS, namespace=SYSTEM_NAMESPACE)
        said = {name: base64.b64decode(value).decode() for name, value in settings.data.items()}
        assert (said["server"], said["mode"], said["access"]) == (scene.admin.server, "Auto", "true")
        assert said["advertise"] == member.server
        await member.delete(SECRETS, AGENT_SETTINGS, namespace=SYSTEM_NAMESPACE)
    agent = FakeAgent("dialled", mode="Auto")
    await came(scene, agent, await scene.showing(said["token"]))
    ready = await scene.until_phase("dialled", "Ready")
    assert ready.spec.mode == "Auto"
