"""Rights as RBAC objects give them, one by one, so that two sets of rules can be compared. Pure.

A rule multiplies: groups times resources times verbs (times names). Two sets of rules that give the same
rights are equal here, however they are written.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from msgspec import Struct

from mesh_core.objects import KubernetesObject
from mesh_runtime.kube import Resource

GROUP = "rbac.authorization.k8s.io"


class PolicyRule(Struct, frozen=True, rename="camel", kw_only=True):
    """rbac/v1 PolicyRule."""

    api_groups: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()
    resource_names: tuple[str, ...] = ()
    non_resource_urls: tuple[str, ...] = msgspec.field(default=(), name="nonResourceURLs")
    verbs: tuple[str, ...] = ()


class Role(KubernetesObject, frozen=True, rename="camel", kw_only=True):
    """rbac/v1 Role or ClusterRole."""

    rules: tuple[PolicyRule, ...] | None = ()


class RoleRef(Struct, frozen=True, rename="camel", kw_only=True):
    """rbac/v1 RoleRef."""

    kind: str = ""
    name: str = ""


class Subject(Struct, frozen=True, rename="camel", kw_only=True):
    """rbac/v1 Subject."""

    kind: str = ""
    name: str = ""
    namespace: str = ""


class Binding(KubernetesObject, frozen=True, rename="camel", kw_only=True):
    """rbac/v1 RoleBinding or ClusterRoleBinding."""

    role_ref: RoleRef = RoleRef()
    subjects: tuple[Subject, ...] | None = ()


ROLES = Resource(GROUP, "v1", "roles", "Role", Role)
CLUSTER_ROLES = Resource(GROUP, "v1", "clusterroles", "ClusterRole", Role, namespaced=False)
ROLE_BINDINGS = Resource(GROUP, "v1", "rolebindings", "RoleBinding", Binding)
CLUSTER_ROLE_BINDINGS = Resource(
    GROUP, "v1", "clusterrolebindings", "ClusterRoleBinding", Binding, namespaced=False
)


@dataclass(frozen=True, slots=True, order=True)
class Grant:
    """One right: `verb` on `resource` of `group`, only on `name` if it is not "", only in `namespace` if it
    is not ""."""

    group: str
    resource: str
    verb: str
    name: str = ""
    namespace: str = ""

    def __str__(self) -> str:
        what = f"{self.resource}.{self.group}" if self.group else self.resource
        named = f" {self.name}" if self.name else ""
        where = f" in {self.namespace}" if self.namespace else ""
        return f"{self.verb} {what}{named}{where}"


def grants_of(role: Role, *, namespace: str = "") -> frozenset[Grant]:
    """What the rules of `role` give, bound in `namespace`, or everywhere when it is ""."""
    return frozenset(grant for rule in role.rules or () for grant in _multiplied(rule, namespace=namespace))


def given(
    account: str, *, namespace: str, roles: Iterable[Role], bindings: Iterable[Binding]
) -> frozenset[Grant]:
    """What `bindings` give to the ServiceAccount `account` of `namespace` through those of `roles` they name.

    A role with a namespace is a Role, one without a ClusterRole.
    """
    known = {
        (
            "Role" if role.metadata.namespace else "ClusterRole",
            role.metadata.namespace,
            role.metadata.name,
        ): role
        for role in roles
    }
    found: set[Grant] = set()
    for binding in bindings:
        if not binds(binding, account=account, namespace=namespace):
            continue
        where, ref = binding.metadata.namespace, binding.role_ref
        role = known.get((ref.kind, where if ref.kind == "Role" else "", ref.name))
        if role is not None:
            found |= grants_of(role, namespace=where)
    return frozenset(found)


def binds(binding: Binding, *, account: str, namespace: str) -> bool:
    """Whether the binding names the ServiceAccount itself; groups of accounts are not looked at."""
    wanted = ("ServiceAccount", account, namespace)
    return any((one.kind, one.name, one.namespace) == wanted for one in binding.subjects or ())


def shipped_rules(
    manifests: Iterable[Mapping[str, Any]],  # Any: manifests are JSON of many kinds
    *,
    accounts: Iterable[str],
    namespace: str,
) -> dict[str, frozenset[Grant]]:
    """What the manifests give to each of `accounts`."""
    listed = list(manifests)
    roles = [msgspec.convert(one, Role) for one in listed if one["kind"] in ("Role", "ClusterRole")]
    bindings = [
        msgspec.convert(one, Binding)
        for one in listed
        if one["kind"] in ("RoleBinding", "ClusterRoleBinding")
    ]
    return {name: given(name, namespace=namespace, roles=roles, bindings=bindings) for name in accounts}


def _multiplied(rule: PolicyRule, *, namespace: str) -> Iterator[Grant]:
    for verb in rule.verbs:
        for url in rule.non_resource_urls:
            yield Grant("", url, verb)
        for group in rule.api_groups:
            for resource in rule.resources:
                for name in rule.resource_names or ("",):
                    yield Grant(group, resource, verb, name, namespace)
