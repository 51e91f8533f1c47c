"""The hub's half of registration, played by a test with an administrator's rights.

It gives an agent the rights that a hub gives (nothing of another cluster, no `create` but for requests and
its own token), so that whatever the agent does beyond them fails.
"""

import base64
import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from mesh_core.objects import CertificateSigningRequest, KubernetesObject
from mesh_placement.names import (
    ACCESS_SECRET,
    AGENT_ACCOUNT,
    CAPACITY,
    GROUP,
    HUB_MANAGER,
    LEASE,
    LINKS,
    TOKEN_GROUP_PREFIX,
    USER_PREFIX,
    cluster_namespace,
)
from mesh_placement.objects import ClusterRegistration
from mesh_placement.resources import CLUSTER_CAPACITIES, CLUSTER_LINKS, CLUSTER_REGISTRATIONS
from mesh_runtime.kube import CSRS, LEASES, NAMESPACES, SECRETS, KubeClient, Resource
from mesh_runtime.pki import new_key
from mesh_runtime.request_answer import approve, deny, give

_RBAC = "rbac.authorization.k8s.io"
_READ, _WRITE = ["get", "list", "watch"], ["get", "list", "watch", "patch", "update"]


def _rbac(plural: str, kind: str, *, namespaced: bool = True) -> Resource[KubernetesObject]:
    return Resource(_RBAC, "v1", plural, kind, KubernetesObject, namespaced=namespaced)


ROLES, BINDINGS = _rbac("roles", "Role"), _rbac("rolebindings", "RoleBinding")
CLUSTER_ROLES = _rbac("clusterroles", "ClusterRole", namespaced=False)
CLUSTER_BINDINGS = _rbac("clusterrolebindings", "ClusterRoleBinding", namespaced=False)
ACCOUNTS = Resource("", "v1", "serviceaccounts", "ServiceAccount", KubernetesObject)


@dataclass(frozen=True, slots=True)
class Signer:
    """The hub's CA, which its API server believes clients by."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    def signed(self, request: CertificateSigningRequest, *, life: float) -> bytes:
        """The chain (PEM) for a request's own subject, good for `life` seconds."""
        wanted = x509.load_pem_x509_csr(base64.b64decode(request.spec.request))
        now = datetime.datetime.now(datetime.UTC)
        made = (
            x509.CertificateBuilder()
            .subject_name(wanted.subject)
            .issuer_name(self.certificate.subject)
            .public_key(wanted.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(minutes=5))
            .not_valid_after(now + datetime.timedelta(seconds=life))
            .add_extension(x509.ExtendedKeyUsage([x509.oid.ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
            .sign(self.key, hashes.SHA256())
        )
        return made.public_bytes(Encoding.PEM)


def signer_in(pki: Path) -> Signer:
    """The CA of a local cluster, whose keys lie in `pki`."""
    key = load_pem_private_key((pki / "ca.key").read_bytes(), password=None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return Signer(x509.load_pem_x509_certificate((pki / "ca.crt").read_bytes()), key)


def new_signer() -> Signer:
    """A CA that nobody believes."""
    key, now = new_key(), datetime.datetime.now(datetime.UTC)
    name = x509.Name([x509.NameAttribute(x509.oid.NameOID.COMMON_NAME, "kubernetes")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    return Signer(made, key)


@dataclass(frozen=True, slots=True)
class ScriptedHub:
    """Does by hand, for the member `cluster`, what the hub's loops do."""

    kube: KubeClient
    cluster: str
    token_id: str

    @property
    def token(self) -> str:
        return f"{self.token_id}.0123456789abcdef"

    @property
    def namespace(self) -> str:
        return cluster_namespace(self.cluster)

    async def make_token(self) -> None:
        """A bootstrap token, with the right to claim."""
        ends = datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=1)
        name, group = f"bootstrap-token-{self.token_id}", f"{TOKEN_GROUP_PREFIX}test"
        data = {
            "token-id": self.token_id,
            "token-secret": self.token.partition(".")[2],
            "expiration": ends.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "usage-bootstrap-authentication": "true",
            "auth-extra-groups": group,
        }
        body = {
            "metadata": {"name": name, "namespace": "kube-system"},
            "type": "bootstrap.kubernetes.io/token",
            "stringData": data,
        }
        await self.kube.create(SECRETS, body)
        rules = [_rule("certificates.k8s.io", "certificatesigningrequests", ["create", *_READ])]
        await self._grant(f"claim-{self.token_id}", rules, _group(group))

    async def drop_token(self) -> None:
        await self.kube.delete(SECRETS, f"bootstrap-token-{self.token_id}", namespace="kube-system")

    async def claim(self, name: str) -> CertificateSigningRequest | None:
        return await self.kube.find(CSRS, name)

    async def refuse(self, name: str, *, reason: str, message: str) -> None:
        await deny(self.kube, await self.kube.get(CSRS, name), reason=reason, message=message)

    async def accept(self, *, driver: str, lease_seconds: int = 1, requests: list[str]) -> None:
        """Registration, namespace, what the agent fills, and its rights."""
        spec = {
            "clusterSet": "test",
            "accepted": True,
            "driver": driver,
            "lease": {"durationSeconds": lease_seconds, "missed": 3},
        }
        await self.kube.create(CLUSTER_REGISTRATIONS, {"metadata": {"name": self.cluster}, "spec": spec})
        await self.say({"namespace": self.namespace})
        await self.kube.create(NAMESPACES, {"metadata": {"name": self.namespace}})
        # Any: resources of several types, which differ only in what answers are decoded into.
        filled: list[tuple[Resource[Any], str]] = [
            (LEASES, LEASE),
            (SECRETS, ACCESS_SECRET),
            (CLUSTER_CAPACITIES, CAPACITY),
            (CLUSTER_LINKS, LINKS),
            (ACCOUNTS, AGENT_ACCOUNT),
        ]
        for resource, name in filled:
            body = {"metadata": {"name": name, "namespace": self.namespace}}
            await self.kube.create(resource, body)
        account = _account(self.namespace, AGENT_ACCOUNT)
        who = account if driver == "token" else _user(USER_PREFIX + self.cluster)
        await self._grant(f"{self.cluster}-agent", _own_rules(self.cluster, requests), who)
        await self._grant("agent", _namespace_rules(), who, namespace=self.namespace)
        await self.let_have_a_token()

    async def let_have_a_token(self) -> None:
        """Who shows the bootstrap token may have the first one of the agent's ServiceAccount."""
        rules = [_rule("", "serviceaccounts/token", ["create"], name=AGENT_ACCOUNT)]
        bootstrap = _user(f"system:bootstrap:{self.token_id}")
        await self._grant(f"join-{self.token_id}", rules, bootstrap, namespace=self.namespace)

    async def forget(self) -> None:
        """What the agent has works no more; its rights are for who comes next."""
        await self.kube.delete(ACCOUNTS, AGENT_ACCOUNT, namespace=self.namespace)
        body = {"metadata": {"name": AGENT_ACCOUNT, "namespace": self.namespace}}
        await self.kube.create(ACCOUNTS, body)

    async def say(self, status: Mapping[str, Any]) -> ClusterRegistration:
        """Apply the hub's half of the registration's status."""
        body = {"metadata": {"name": self.cluster}, "status": status}
        return await self.kube.apply(
            CLUSTER_REGISTRATIONS, body, field_manager=HUB_MANAGER, subresource="status"
        )

    async def take(self, name: str, *, signer: Signer | None = None, life: float = 600.0) -> None:
        """Approve the request; with `signer` also sign it."""
        request = await approve(self.kube, await self.kube.get(CSRS, name), message="accepted")
        if signer is not None:
            await give(self.kube, request, chain_pem=signer.signed(request, life=life))

    async def registration(self) -> ClusterRegistration:
        return await self.kube.get(CLUSTER_REGISTRATIONS, self.cluster)

    async def renewed(self) -> str:
        """When the Lease was renewed, "" before that."""
        lease = await self.kube.get(LEASES, LEASE, namespace=self.namespace)
        return lease.spec.renew_time or ""

    async def _grant(
        self, name: str, rules: list[dict[str, Any]], subject: dict[str, str], *, namespace: str = ""
    ) -> None:
        place = {"name": name, **({"namespace": namespace} if namespace else {})}
        roles, bindings = (ROLES, BINDINGS) if namespace else (CLUSTER_ROLES, CLUSTER_BINDINGS)
        await self.kube.create(roles, {"metadata": place, "rules": rules})
        ref = {"apiGroup": _RBAC, "kind": roles.kind, "name": name}
        await self.kube.create(bindings, {"metadata": place, "roleRef": ref, "subjects": [subject]})


def _own_rules(cluster: str, requests: list[str]) -> list[dict[str, Any]]:
    seen = _rule("certificates.k8s.io", "certificatesigningrequests", _READ)
    return [
        _rule(GROUP, "clusterregistrations", _READ, name=cluster),
        _rule(GROUP, "clusterregistrations/status", ["patch", "update"], name=cluster),
        _rule("certificates.k8s.io", "certificatesigningrequests", ["create"]),
        {**seen, "resourceNames": requests},
    ]


def _namespace_rules() -> list[dict[str, Any]]:
    return [
        _rule(GROUP, "assignments", _READ),
        _rule(GROUP, "clustercapacities", _READ, name=CAPACITY),
        _rule(GROUP, "clustercapacities/status", ["patch", "update"], name=CAPACITY),
        _rule(GROUP, "clusterlinks", _READ, name=LINKS),
        _rule(GROUP, "clusterlinks/status", ["patch", "update"], name=LINKS),
        _rule("coordination.k8s.io", "leases", _WRITE, name=LEASE),
        _rule("", "secrets", _READ),
        _rule("", "secrets", _WRITE, name=ACCESS_SECRET),
        _rule("", "serviceaccounts/token", ["create"], name=AGENT_ACCOUNT),
    ]


def _rule(group: str, resource: str, verbs: list[str], *, name: str = "") -> dict[str, Any]:
    rule: dict[str, Any] = {"apiGroups": [group], "resources": [resource], "verbs": verbs}
    return {**rule, "resourceNames": [name]} if name else rule


def _user(name: str) -> dict[str, str]:
    return {"apiGroup": _RBAC, "kind": "User", "name": name}


def _group(name: str) -> dict[str, str]:
    return {"apiGroup": _RBAC, "kind": "Group", "name": name}


def _account(namespace: str, name: str) -> dict[str, str]:
    return {"kind": "ServiceAccount", "namespace": namespace, "name": name}
