"""What an agent's credential may do on the hub: its own, by a table, and of another cluster nothing.

Asked of a real API server by SelfSubjectAccessReview, with the credential itself, for every verb. The objects
and rights are those that the hub makes; what the hub's installation gives to everybody counts as well.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from live.placement.test_hub_registers import account_token, ca_of
from mesh_core.names import SYSTEM_NAMESPACE
from mesh_core.objects import Meta
from mesh_fakes.access import Question, allowed_to, matrix, verbs_of
from mesh_fakes.access_scene import certificate_by
from mesh_fakes.bed import Bed
from mesh_fakes.placement_parts import install_hub
from mesh_placement.decide.rights import objects_of, rights_of
from mesh_placement.decide.set_rights import profile_namespace_of, set_objects_of
from mesh_placement.hub.writing import apply_all
from mesh_placement.names import (
    AGENT_ACCOUNT,
    USER_GROUP,
    USER_PREFIX,
    agent_role,
    claim_name,
    cluster_namespace,
    key_group,
    renewal_name,
)
from mesh_placement.objects import (
    ClusterIdentity,
    ClusterRegistration,
    ClusterRegistrationSpec,
    ClusterRegistrationStatus,
    ClusterSet,
    Driver,
)
from mesh_placement.resources import CLUSTER_REGISTRATIONS, CLUSTER_SETS
from mesh_runtime.kube import KubeClient, connect_to
from mesh_runtime.tls import Credentials

pytestmark = pytest.mark.asyncio

SET, OTHER_SET = "rights", "rights-of-others"
A: dict[Driver, str] = {"csr": "a-by-csr", "token": "a-by-token"}
B: dict[Driver, str] = {"csr": "b-by-csr", "token": "b-by-token"}
C = "c-of-another-set"
OURS, STANDARD = "placement.meshctl.dev", "multicluster.x-k8s.io"
RBAC, CERTIFICATES = "rbac.authorization.k8s.io", "certificates.k8s.io"

READ = ["get", "list", "watch"]
INSIDE = (
    # Of a cluster's namespace: group, resources, and the names that objects there have.
    (STANDARD, ("works", "works/status", "works/finalizers", "appliedworks"), ("checkout",)),
    (OURS, ("assignments", "assignments/status"), ("checkout",)),
    ("", ("secrets",), ("access", "pull")),
    ("coordination.k8s.io", ("leases",), ("agent",)),
    (OURS, ("clustercapacities", "clustercapacities/status"), ("capacity",)),
    (OURS, ("clusterlinks", "clusterlinks/status"), ("links",)),
    ("", ("serviceaccounts", "serviceaccounts/token"), (AGENT_ACCOUNT,)),
    ("", ("configmaps", "events", "pods", "pods/exec", "pods/log"), ("any",)),
    (RBAC, ("roles", "rolebindings"), ("placement-profiles",)),
)
REQUESTS, OF_REQUEST = "certificatesigningrequests", ("", "/status", "/approval")
OF_ALL = ("clusterroles", "clusterrolebindings")
OF_REGISTRATION = ("", "/status", "/accept", "/finalizers")
PROFILES = ("clusterprofiles", "clusterprofiles/status")


def fingerprint(cluster: str) -> str:
    """Of the key of that cluster's agent: any, but each has another."""
    return "sha256:" + cluster.encode().hex().ljust(64, "0")[:64]


def registration(cluster: str, *, driver: Driver, cluster_set: str = SET) -> ClusterRegistration:
    pinned = ClusterIdentity(uid=f"uid-of-{cluster}", key_fingerprint=fingerprint(cluster))
    spec = ClusterRegistrationSpec(cluster_set=cluster_set, accepted=True, driver=driver)
    return ClusterRegistration(
        metadata=Meta(name=cluster), spec=spec, status=ClusterRegistrationStatus(id=pinned)
    )


def profiles_of(cluster_set: str) -> str:
    return profile_namespace_of(ClusterSet(metadata=Meta(name=cluster_set)))


@pytest.fixture(scope="module")
def members(audited_pair: Bed) -> Bed:
    """A hub with its rights and policies, and what it makes."""

    async def made() -> None:
        async with audited_pair.client("hub") as kube:
            await made_by_the_hub(kube)

    install_hub(audited_pair)
    asyncio.run(made())
    return audited_pair


async def made_by_the_hub(kube: KubeClient) -> None:
    """Two sets, with a member of each driver called A and one called B in the one, and C in the other."""
    for name in (SET, OTHER_SET):
        await kube.apply(CLUSTER_SETS, {"metadata": {"name": name}, "spec": {}}, field_manager="test")
        await apply_all(kube, set_objects_of(ClusterSet(metadata=Meta(name=name))))
    members = [registration(names[driver], driver=driver) for names in (A, B) for driver in names]
    for one in (*members, registration(C, driver="token", cluster_set=OTHER_SET)):
        spec = {"clusterSet": one.spec.cluster_set, "driver": one.spec.driver}
        meta = {"name": one.metadata.name}
        await kube.apply(CLUSTER_REGISTRATIONS, {"metadata": meta, "spec": spec}, field_manager="test")
        namespace = profiles_of(one.spec.cluster_set)
        await apply_all(kube, (*objects_of(one), *rights_of(one, profile_namespace=namespace)))


@asynccontextmanager
async def as_agent(bed: Bed, admin: KubeClient, driver: Driver) -> AsyncIterator[KubeClient]:
    """A client that shows the credential of A."""
    cluster, ca = A[driver], ca_of(bed, "hub")
    if driver == "token":
        token = await account_token(admin, AGENT_ACCOUNT, namespace=cluster_namespace(cluster))
        async with connect_to(admin.server, ca=ca, token=lambda: token) as client:
            yield client
        return
    pki = bed.folder / "hub" / "pki"
    groups = (USER_GROUP, key_group(fingerprint(cluster)))
    shown = certificate_by(pki / "ca.crt", pki / "ca.key", user=USER_PREFIX + cluster, groups=groups)
    async with connect_to(admin.server, ca=ca, credentials=credentials_in(shown)) as client:
        yield client


def credentials_in(file: Path) -> Credentials:
    """A certificate with its key."""
    begin = b"-----BEGIN PRIVATE KEY"
    chain, _, key = file.read_bytes().partition(begin)
    return Credentials(chain_pem=chain, key_pem=begin + key)


Thing = tuple[str, str, str, str]
"""Group, resource, namespace and name; "" for all of them."""


def questions(things: Iterable[Thing]) -> list[Question]:
    """Every verb that means something there."""
    return [
        Question(group, resource, verb, namespace, name)
        for group, resource, namespace, name in things
        for verb in verbs_of(group, resource)
    ]


def about(cluster: str) -> list[Question]:
    """Of everything that the hub has of a cluster, by its name and, in its namespace, without one."""
    namespace, key = cluster_namespace(cluster), fingerprint(cluster)
    requests = [make(cluster, fingerprint=key) for make in (claim_name, renewal_name)]
    alone = [
        *((OURS, f"clusterregistrations{part}", cluster) for part in OF_REGISTRATION),
        *((RBAC, kind, agent_role(cluster)) for kind in OF_ALL),
        *((CERTIFICATES, f"{REQUESTS}{part}", one) for part in OF_REQUEST for one in requests),
        ("", "namespaces", namespace),
        ("", "namespaces/finalize", namespace),
        ("", "users", USER_PREFIX + cluster),
        ("", "groups", key_group(key)),
    ]
    inside = [
        (group, resource, namespace, name)
        for group, resources, names in INSIDE
        for resource in resources
        for name in ("", *names)
    ]
    return questions([*inside, *((group, resource, "", name) for group, resource, name in alone)])


def everywhere() -> list[Question]:
    """Of each kind in all namespaces, in the system's, and in the profiles' of both sets; and who else is."""
    kinds = [(group, resource) for group, resources, _ in INSIDE for resource in resources]
    kinds += [(STANDARD, profile) for profile in PROFILES]
    places = ("", "kube-system", "kube-public", SYSTEM_NAMESPACE, profiles_of(SET), profiles_of(OTHER_SET))
    alone = [
        *((OURS, f"clusterregistrations{part}") for part in OF_REGISTRATION),
        *((RBAC, kind) for kind in OF_ALL),
        *((OURS, "clustersets"), (CERTIFICATES, "signers"), (CERTIFICATES, REQUESTS)),
        *(("", kind) for kind in ("nodes", "users", "groups", "namespaces")),
    ]
    names = (*A.values(), *B.values())
    return questions(
        [
            *((group, resource, place, "") for group, resource in kinds for place in places),
            *((group, resource, "", "") for group, resource in alone),
            *((STANDARD, profile, profiles_of(SET), name) for profile in PROFILES for name in names),
        ]
    )


# What is allowed beside one's own, whoever asks: the set's profiles, and with the driver `csr` a request for
# a certificate, of which RBAC cannot say for which name (the hub refuses one for another's).
SHARED: dict[Driver, dict[str, dict[str, list[str]]]] = {
    "csr": {
        "everywhere": {f"{REQUESTS}.{CERTIFICATES}": ["create"]},
        f"clusterset-{SET}": {f"clusterprofiles.{STANDARD}": READ},
    },
    "token": {f"clusterset-{SET}": {f"clusterprofiles.{STANDARD}": READ}},
}


@pytest.mark.parametrize("driver", A)
async def test_a_credential_reads_and_writes_nothing_of_another_cluster(members: Bed, driver: Driver) -> None:
    async with members.client("hub") as admin:
        async with as_agent(members, admin, driver) as agent:
            others = [question for one in (*B.values(), C) for question in about(one)]
            assert len(others) > 1000
            assert matrix(await allowed_to(agent, asked=[*others, *everywhere()])) == SHARED[driver]


def own(driver: Driver) -> dict[str, dict[str, list[str]]]:
    """What an agent may in its own namespace and of itself."""
    cluster = A[driver]
    requests = [make(cluster, fingerprint=fingerprint(cluster)) for make in (renewal_name, claim_name)]
    certificates = {f"{REQUESTS}.{CERTIFICATES} {one}": [*READ, "create"] for one in requests}
    return {
        cluster_namespace(cluster): {
            f"assignments.{OURS}": [*READ, "patch"],
            f"assignments/status.{OURS}": ["patch"],
            f"clustercapacities.{OURS} capacity": READ,
            f"clustercapacities/status.{OURS} capacity": ["patch"],
            f"clusterlinks.{OURS} links": READ,
            f"clusterlinks/status.{OURS} links": ["patch"],
            "leases.coordination.k8s.io agent": [*READ, "patch"],
            "secrets": READ,
            "secrets access": ["patch"],
            f"serviceaccounts/token {AGENT_ACCOUNT}": ["create"],
            f"works.{STANDARD}": [*READ, "patch"],
            f"works/status.{STANDARD}": ["patch"],
        },
        "everywhere": {
            f"clusterregistrations.{OURS} {cluster}": READ,
            f"clusterregistrations/status.{OURS} {cluster}": ["patch"],
            **(certificates if driver == "csr" else {}),
        },
    }


@pytest.mark.parametrize("driver", A)
async def test_a_credential_may_exactly_its_own(members: Bed, driver: Driver) -> None:
    async with members.client("hub") as admin:
        async with as_agent(members, admin, driver) as agent:
            found = matrix(await allowed_to(agent, asked=about(A[driver])))
    assert in_order(found) == in_order(own(driver))


def in_order(table: dict[str, dict[str, list[str]]]) -> dict[str, dict[str, list[str]]]:
    return {place: {what: sorted(verbs) for what, verbs in of.items()} for place, of in table.items()}
