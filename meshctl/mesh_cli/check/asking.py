"""What `check` asks of rights: those of the person, and those that our programs' RBAC objects give.

A review of one's own access is answered and forgotten: it writes nothing.
"""

import asyncio
from collections.abc import Mapping
from typing import Final

import msgspec

from mesh_cli.check.findings import Right, Rules
from mesh_cli.check.rights import (
    CLUSTER_ROLE_BINDINGS,
    CLUSTER_ROLES,
    ROLE_BINDINGS,
    ROLES,
    Binding,
    Role,
    binds,
    given,
    shipped_rules,
)
from mesh_cli.install.kustomize import render
from mesh_cli.install.rollout import PROGRAMS
from mesh_cli.install.shipped import manifests_folder
from mesh_core.names import SIGNER_INTERMEDIATE, SIGNER_ISSUER, SYSTEM_NAMESPACE, TRUST_BUNDLE
from mesh_runtime.kube import KubeClient

_REVIEWS: Final = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
_MESH: Final = "meshctl.dev"
_CERTIFICATES: Final = "certificates.k8s.io"

_END: Final = "meshctl leave or uninstall"
# Of each kind of thing that a removal takes away one that others do not stand for.
_ENDS: Final[tuple[Mapping[str, str], ...]] = (
    {"group": _MESH, "resource": "meshpeers"},
    {"group": _MESH, "resource": "trustbundles", "name": TRUST_BUNDLE},
    {"group": "multicluster.x-k8s.io", "resource": "serviceimports"},
    {"resource": "services"},
    {"group": "discovery.k8s.io", "resource": "endpointslices"},
    {"resource": "secrets", "namespace": SYSTEM_NAMESPACE},
    {"group": "apps", "resource": "deployments", "namespace": SYSTEM_NAMESPACE},
    {"group": "networking.k8s.io", "resource": "networkpolicies", "namespace": SYSTEM_NAMESPACE},
    {"group": "rbac.authorization.k8s.io", "resource": "clusterroles"},
    {"group": "rbac.authorization.k8s.io", "resource": "clusterrolebindings"},
    {"resource": "namespaces", "name": SYSTEM_NAMESPACE},
    {"group": "apiextensions.k8s.io", "resource": "customresourcedefinitions"},
)

Wanted = tuple[tuple[str, Mapping[str, str]], ...]
"""A command, and a right that it needs."""

# What a person's commands do beside what `check` itself reads, and which command needs it.
WANTED: Final[Wanted] = (
    ("meshctl link", {"verb": "patch", "group": _MESH, "resource": "meshpeers"}),
    ("meshctl trust", {"verb": "patch", "group": _MESH, "resource": "trustbundles", "name": TRUST_BUNDLE}),
    (
        "meshctl join",
        {"verb": "patch", "group": "apiextensions.k8s.io", "resource": "customresourcedefinitions"},
    ),
    (
        "meshctl join",
        {
            "verb": "update",
            "group": _CERTIFICATES,
            "resource": "certificatesigningrequests",
            "subresource": "status",
        },
    ),
    (
        "meshctl join",
        {"verb": "sign", "group": _CERTIFICATES, "resource": "signers", "name": SIGNER_INTERMEDIATE},
    ),
    (
        "meshctl invite",
        {"verb": "sign", "group": _CERTIFICATES, "resource": "signers", "name": SIGNER_ISSUER},
    ),
    *(
        (
            "meshctl invite or accept",
            {"verb": verb, "resource": "secrets", "namespace": SYSTEM_NAMESPACE},
        )
        for verb in ("create", "patch")
    ),
    *((_END, {"verb": "delete", **resource}) for resource in _ENDS),
    # A WebSocket begins with a GET: older API servers ask for the one verb, newer ones for the other.
    *(
        (
            "meshctl check, trace or dns query",
            {"verb": verb, "resource": "pods", "subresource": sub, "namespace": SYSTEM_NAMESPACE},
        )
        for sub in ("exec", "portforward")
        for verb in ("get", "create")
    ),
    # Its pods are in a namespace of its own, whose name is made anew each time.
    *(("meshctl verify", {"verb": verb, "resource": "namespaces"}) for verb in ("create", "delete")),
    *(
        ("meshctl verify", {"verb": verb, "resource": "pods", "subresource": "exec"})
        for verb in ("get", "create")
    ),
    *(
        (
            "meshctl trace",
            {"verb": verb, "group": _MESH, "resource": "serviceprobes", "namespace": SYSTEM_NAMESPACE},
        )
        for verb in ("create", "delete")
    ),
    (
        "meshctl gateways",
        {"verb": "get", "resource": "pods", "subresource": "proxy", "namespace": SYSTEM_NAMESPACE},
    ),
)


class _Answer(msgspec.Struct):
    allowed: bool = False


class _Review(msgspec.Struct):
    status: _Answer = msgspec.field(default_factory=_Answer)


async def own_rights(client: KubeClient, *, wanted: Wanted = WANTED) -> tuple[Right, ...]:
    """What the person may do of `wanted`; raises ApiError or Unreachable."""
    async with asyncio.TaskGroup() as group:
        asked = [group.create_task(_may(client, attributes)) for _, attributes in wanted]
    return tuple(
        Right(_told(attributes), command, task.result())
        for (command, attributes), task in zip(wanted, asked, strict=True)
    )


async def rules(client: KubeClient) -> Rules:
    """The rights of our accounts as the cluster's objects give them; raises ApiError or Unreachable."""
    async with asyncio.TaskGroup() as group:
        everywhere = group.create_task(client.list(CLUSTER_ROLE_BINDINGS))
        inside = group.create_task(client.list(ROLE_BINDINGS))
        found = [group.create_task(client.find(CLUSTER_ROLES, name)) for name in PROGRAMS]
        found += [
            group.create_task(client.find(ROLES, name, namespace=SYSTEM_NAMESPACE)) for name in PROGRAMS
        ]
    bindings: list[Binding] = [*everywhere.result().items, *inside.result().items]
    roles: list[Role] = [role for task in found if (role := task.result()) is not None]
    shipped = shipped_rules(
        render(manifests_folder() / "rbac"), accounts=PROGRAMS, namespace=SYSTEM_NAMESPACE
    )
    return Rules(
        given={
            name: given(name, namespace=SYSTEM_NAMESPACE, roles=roles, bindings=bindings) for name in PROGRAMS
        },
        shipped=shipped,
        strangers=tuple(sorted(_strange(one) for one in bindings if _is_strange(one))),
    )


def _is_strange(binding: Binding) -> bool:
    """Whether somebody else's binding names an account of ours."""
    name, where = binding.metadata.name, binding.metadata.namespace
    ours = name in PROGRAMS and where in ("", SYSTEM_NAMESPACE) and binding.role_ref.name == name
    return not ours and any(binds(binding, account=one, namespace=SYSTEM_NAMESPACE) for one in PROGRAMS)


def _strange(binding: Binding) -> str:
    name, where = binding.metadata.name, binding.metadata.namespace
    kind = f"RoleBinding {where}/{name}" if where else f"ClusterRoleBinding {name}"
    return f"{kind} to {binding.role_ref.kind} {binding.role_ref.name}"


async def _may(client: KubeClient, attributes: Mapping[str, str]) -> bool:
    body = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": attributes},
    }
    raw = await client.request("POST", _REVIEWS, body=body)
    return msgspec.json.decode(raw, type=_Review).status.allowed


def _told(attributes: Mapping[str, str]) -> str:
    resource = "/".join(filter(None, (attributes["resource"], attributes.get("subresource"))))
    where = f"in {attributes['namespace']}" if "namespace" in attributes else ""
    return " ".join(filter(None, (attributes["verb"], resource, attributes.get("name"), where)))
