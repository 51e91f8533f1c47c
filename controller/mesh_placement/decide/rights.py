"""What the hub makes for a member: its namespace, the objects that its agent fills, and the agent's rights.

1. Everything that the agent writes is there before it comes, so it never needs the verb `create`, but for
   requests of certificates (which the hub judges) and for tokens of its own ServiceAccount.
2. No wildcard, and nothing of another cluster: what has no namespace is granted by name.
3. With the driver `csr` rights belong to the key that is pinned, by its group. A certificate of an earlier
   key has the same user name and cannot be taken back; it gives nothing once another key is pinned.
4. `patch` on Works and Assignments is for their finalizer: whoever knows that nothing is left in the member
   takes it off.
   A Work of this namespace is applied in this member alone.
5. The order is the order of writing: what lets the agent in comes last.
6. With the driver `token` rights belong to the ServiceAccount, which is one key's: for another key it is made
   anew (`is_another_keys`), so that the tokens of the one before end.

The hub can give only what it has itself (Kubernetes' escalation check), so its own roles cover these rules.
"""

from collections.abc import Sequence
from typing import Final

from mesh_core.objects import Meta
from mesh_core.plan import Json
from mesh_placement.decide.bootstrap_token import USER_PREFIX as BOOTSTRAP_USER
from mesh_placement.names import (
    ACCESS_SECRET,
    AGENT_ACCOUNT,
    ANNOTATION_KEY,
    CAPACITY,
    GROUP,
    LABEL_CLUSTER,
    LABEL_CLUSTERSET,
    LEASE,
    LINKS,
    PROFILES_ROLE,
    TOKEN_ROLE,
    agent_role,
    claim_name,
    cluster_namespace,
    key_group,
    renewal_name,
)
from mesh_placement.objects import ClusterRegistration

_READ: Final = ("get", "list", "watch")
_WRITE: Final = ("patch",)
_RBAC: Final = "rbac.authorization.k8s.io"
_RBAC_V1: Final = f"{_RBAC}/v1"
_OURS: Final = f"{GROUP}/v1alpha1"
_STANDARD: Final = "multicluster.x-k8s.io"

_OWN_TOKEN: Final[Json] = {
    "apiGroups": [""],
    "resources": ["serviceaccounts/token"],
    "resourceNames": [AGENT_ACCOUNT],
    "verbs": ["create"],
}


def objects_of(registration: ClusterRegistration) -> tuple[Json, ...]:
    """The member's namespace and what its agent fills, without the fields that it fills."""
    namespace = namespace_of(registration)
    inside = [
        _object("coordination.k8s.io/v1", "Lease", LEASE, registration, namespace=namespace),
        _object("v1", "Secret", ACCESS_SECRET, registration, namespace=namespace),
        _object(_OURS, "ClusterCapacity", CAPACITY, registration, namespace=namespace),
        _object(_OURS, "ClusterLink", LINKS, registration, namespace=namespace),
    ]
    if registration.spec.driver == "token":
        inside.append(_account(registration, namespace=namespace))
    return _object("v1", "Namespace", namespace, registration), *inside


def is_another_keys(account: Meta, *, registration: ClusterRegistration) -> bool:
    """Whether the ServiceAccount was made for another key than the one that is pinned; "" is nobody's yet."""
    made_for = account.annotations.get(ANNOTATION_KEY, "")
    return made_for not in ("", registration.status.id.key_fingerprint)


def rights_of(registration: ClusterRegistration, *, profile_namespace: str) -> tuple[Json, ...]:
    """The agent's roles and their bindings; `profile_namespace` is that of its ClusterSet."""
    name, namespace = agent_role(registration.metadata.name), namespace_of(registration)
    subjects = _agents(registration)
    return (
        _role(name, _namespace_rules(), registration, namespace=namespace),
        _role(name, _cluster_rules(registration), registration),
        _binding(name, subjects, registration, namespace=profile_namespace, role=PROFILES_ROLE),
        _binding(name, subjects, registration),
        _binding(name, subjects, registration, namespace=namespace),
    )


def token_rights_of(registration: ClusterRegistration, *, token: str) -> tuple[Json, ...]:
    """Driver `token`: who shows the bootstrap token `token` may have the ServiceAccount's first token."""
    namespace = namespace_of(registration)
    holder = {"apiGroup": _RBAC, "kind": "User", "name": BOOTSTRAP_USER + token}
    return (
        _role(TOKEN_ROLE, [_OWN_TOKEN], registration, namespace=namespace),
        _binding(TOKEN_ROLE, [holder], registration, namespace=namespace),
    )


def namespace_of(registration: ClusterRegistration) -> str:
    """The member's namespace: the one that it has, else the one that it gets."""
    return registration.status.namespace or cluster_namespace(registration.metadata.name)


def _account(registration: ClusterRegistration, *, namespace: str) -> Json:
    body = _object("v1", "ServiceAccount", AGENT_ACCOUNT, registration, namespace=namespace)
    if fingerprint := registration.status.id.key_fingerprint:
        body["metadata"]["annotations"] = {ANNOTATION_KEY: fingerprint}
    return body


def _namespace_rules() -> list[Json]:
    return [
        _rule(_STANDARD, "works", (*_READ, "patch")),
        _rule(_STANDARD, "works/status", _WRITE),
        _rule(GROUP, "assignments", (*_READ, "patch")),
        _rule(GROUP, "assignments/status", _WRITE),
        _rule(GROUP, "clustercapacities", _READ, name=CAPACITY),
        _rule(GROUP, "clustercapacities/status", _WRITE, name=CAPACITY),
        _rule(GROUP, "clusterlinks", _READ, name=LINKS),
        _rule(GROUP, "clusterlinks/status", _WRITE, name=LINKS),
        _rule("coordination.k8s.io", "leases", (*_READ, *_WRITE), name=LEASE),
        # What an Assignment lists travels as Secrets of this namespace.
        _rule("", "secrets", _READ),
        _rule("", "secrets", _WRITE, name=ACCESS_SECRET),
        _OWN_TOKEN,
    ]


def _cluster_rules(registration: ClusterRegistration) -> list[Json]:
    cluster = registration.metadata.name
    rules = [
        _rule(GROUP, "clusterregistrations", _READ, name=cluster),
        _rule(GROUP, "clusterregistrations/status", _WRITE, name=cluster),
    ]
    fingerprint = registration.status.id.key_fingerprint
    if registration.spec.driver == "csr" and fingerprint:
        names = [make(cluster, fingerprint=fingerprint) for make in (claim_name, renewal_name)]
        requests = "certificatesigningrequests"
        rules += [
            # RBAC cannot say for which name one may create; the hub judges what comes.
            _rule("certificates.k8s.io", requests, ("create",)),
            {**_rule("certificates.k8s.io", requests, _READ), "resourceNames": names},
        ]
    return rules


def _agents(registration: ClusterRegistration) -> list[Json]:
    if registration.spec.driver == "token":
        account = {"kind": "ServiceAccount", "name": AGENT_ACCOUNT, "namespace": namespace_of(registration)}
        return [account]
    fingerprint = registration.status.id.key_fingerprint
    if not fingerprint:
        return []  # nobody has come yet
    return [{"apiGroup": _RBAC, "kind": "Group", "name": key_group(fingerprint)}]


def _rule(group: str, resource: str, verbs: Sequence[str], *, name: str = "") -> Json:
    rule: Json = {"apiGroups": [group], "resources": [resource], "verbs": list(verbs)}
    return {**rule, "resourceNames": [name]} if name else rule


def _role(name: str, rules: list[Json], registration: ClusterRegistration, *, namespace: str = "") -> Json:
    kind = "Role" if namespace else "ClusterRole"
    return {**_object(_RBAC_V1, kind, name, registration, namespace=namespace), "rules": rules}


def _binding(
    name: str, subjects: list[Json], registration: ClusterRegistration, *, namespace: str = "", role: str = ""
) -> Json:
    """In `namespace` to a Role of it, without one to a ClusterRole; `role` is its name, "" the same one."""
    kind = "Role" if namespace else "ClusterRole"
    return {
        **_object(_RBAC_V1, f"{kind}Binding", name, registration, namespace=namespace),
        "roleRef": {"apiGroup": _RBAC, "kind": kind, "name": role or name},
        "subjects": subjects,
    }


def _object(
    api_version: str, kind: str, name: str, registration: ClusterRegistration, *, namespace: str = ""
) -> Json:
    labels = {
        LABEL_CLUSTER: registration.metadata.name,
        LABEL_CLUSTERSET: registration.spec.cluster_set,
    }
    place = {"namespace": namespace} if namespace else {}
    return {
        "apiVersion": api_version,
        "kind": kind,
        "metadata": {"name": name, **place, "labels": labels},
    }
