"""The member's own part of leaving, without the hub: its traffic, its place in the mesh, the agent itself.

Each deed is one look that goes on from what is there, so it may be cut off anywhere.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from mesh_core.conditions import rfc3339
from mesh_core.errors import MeshError
from mesh_core.leaving import leaving_since
from mesh_core.names import (
    ANNOTATION_LEAVING,
    LABEL_MANAGED_BY,
    PROPERTY_CLUSTERSET,
    SYSTEM_NAMESPACE,
    TRUST_BUNDLE,
)
from mesh_core.objects import KubernetesObject, MeshPeer, TrustBundle
from mesh_placement.decide.parting import OWN_OBJECTS, OWN_RIGHTS, OWNERS, OwnKind, OwnObject
from mesh_placement.decide.withdrawal import Withdrawal, withdrawal
from mesh_placement.names import AGENT_MANAGER, AGENT_SETTINGS, ANNOTATION_LEFT
from mesh_runtime.clock import Clock
from mesh_runtime.kube import (
    CLUSTER_PROPERTIES,
    DEPLOYMENTS,
    MESH_PEERS,
    SECRETS,
    SERVICE_PROBES,
    TRUST_BUNDLES,
    AnyObject,
    ApiError,
    KubeClient,
    Resource,
)
from mesh_runtime.log import logger

_log = logger(__name__)
_RBAC: Final = "rbac.authorization.k8s.io"
# Any: resources of several types, which differ only in what answers are decoded into.
_RESOURCES: Final[Mapping[OwnKind, Resource[Any]]] = {
    OwnKind.SECRET: SECRETS,
    OwnKind.DEPLOYMENT: DEPLOYMENTS,
    OwnKind.SERVICE_ACCOUNT: Resource("", "v1", "serviceaccounts", "ServiceAccount", KubernetesObject),
    OwnKind.ROLE: Resource(_RBAC, "v1", "roles", "Role", KubernetesObject),
    OwnKind.ROLE_BINDING: Resource(_RBAC, "v1", "rolebindings", "RoleBinding", KubernetesObject),
    OwnKind.CLUSTER_ROLE: Resource(
        _RBAC, "v1", "clusterroles", "ClusterRole", KubernetesObject, namespaced=False
    ),
    OwnKind.CLUSTER_ROLE_BINDING: Resource(
        _RBAC, "v1", "clusterrolebindings", "ClusterRoleBinding", KubernetesObject, namespaced=False
    ),
}
_TRIES: Final = 3
_FORBIDDEN: Final = 403
_NOT_FOUND: Final = 404
_TOKEN: Final = "token"
"""Key of `AGENT_SETTINGS`: with a bootstrap token there, somebody has registered the member anew."""


async def withdraw(member: KubeClient, *, clock: Clock) -> Withdrawal:
    """Go on with withdrawing all exports; nothing to do without a mesh. Raises ApiError, Unreachable."""
    bundle, peers = await _mesh(member)
    found = withdrawal(bundle, peers, now=clock())
    if found.must_begin:
        body = {"metadata": {"annotations": {ANNOTATION_LEAVING: rfc3339(clock())}}}
        await member.merge_patch(TRUST_BUNDLES, TRUST_BUNDLE, body)
        _log.info("all exports are being withdrawn", peers=len(peers))
    return found


async def unlink(member: KubeClient) -> None:
    """Delete the peers, and the property that says that this cluster is in a clusterset, if nobody but the
    agent wrote it: what `meshctl join` took over is the mesh's."""
    _bundle, peers = await _mesh(member)
    for peer in peers:
        await member.delete(MESH_PEERS, peer.metadata.name, uid=peer.metadata.uid)
    try:
        raw = await member.request("GET", CLUSTER_PROPERTIES.path(PROPERTY_CLUSTERSET))
    except ApiError as error:
        if error.is_not_found:
            return
        raise
    meta = msgspec.json.decode(raw, type=AnyObject).metadata
    writers = {one.manager for one in meta.managed_fields if one.subresource != "status"}
    if writers == {AGENT_MANAGER}:
        await member.delete(CLUSTER_PROPERTIES, PROPERTY_CLUSTERSET, uid=meta.uid)


async def mesh_stays(member: KubeClient) -> bool:
    """Whether the member that has left the mesh still has it installed. Raises ApiError, Unreachable."""
    bundle, _peers = await _mesh(member)
    return bool(leaving_since(bundle))


async def note_left(member: KubeClient, *, uid: str) -> None:
    """Note on the member that the leaving of that registration is finished; from now on no hub is needed."""
    body = {"metadata": {"annotations": {ANNOTATION_LEFT: uid}}}
    try:
        await member.merge_patch(SECRETS, AGENT_SETTINGS, body, namespace=SYSTEM_NAMESPACE)
    except ApiError as error:
        if not error.is_not_found:
            raise


async def has_left(member: KubeClient) -> bool:
    """Whether the member is done with its registration: the hub is to be told, then the agent goes.

    Ask before joining: where the credential has gone too, `remove_agent` is all that is left to do. A note
    beside a bootstrap token is of the time before: somebody has registered the member again.
    """
    settings = await member.find(SECRETS, AGENT_SETTINGS, namespace=SYSTEM_NAMESPACE)
    if settings is None or ANNOTATION_LEFT not in settings.metadata.annotations:
        return False
    if not settings.data.get(_TOKEN):
        return True
    body = {"metadata": {"annotations": {ANNOTATION_LEFT: None}}}
    await member.merge_patch(SECRETS, AGENT_SETTINGS, body, namespace=SYSTEM_NAMESPACE)
    return False


async def remove_agent(member: KubeClient) -> None:
    """Take everything of the agent away, its rights at the end.

    A role of nobody may stay where nobody collects garbage, which `meshctl uninstall` takes away
    (`decide.parting`); a process that dies when its Deployment has gone already leaves an account of nobody
    too. Raises ApiError, Unreachable for what comes before the rights.
    """
    for one in OWN_OBJECTS:
        await _delete(member, one)
    left: list[OwnObject] = []
    for number, group in enumerate(OWN_RIGHTS):
        if number == 1:
            # By now nobody writes them again: without settings the agent's other work has ended.
            await _drop_properties(member)
            await _drop_probes(member)
        await _bequeath(member, group)
        # One after the other: a role that went before its binding would leave the binding, a right, for good.
        left += [one for one in group if not await _went(member, one)]
    _log.info(
        "the agent has taken itself away",
        left=", ".join(f"{one.kind.value} {one.name}" for one in left),
    )


async def _bequeath(member: KubeClient, group: Sequence[OwnObject]) -> None:
    """Make the binding of a group the owner of its role, so that a garbage collector ends what a lost race
    leaves; where there is none, or we may not, nothing is lost by it."""
    roles = [one for one in group if one.kind in OWNERS]
    for role in roles:
        binding = OwnObject(OWNERS[role.kind], role.name, role.namespace)
        try:
            owner = await member.find_metadata(
                _RESOURCES[binding.kind], binding.name, namespace=binding.namespace
            )
            if owner is None:
                continue
            refers = {
                "apiVersion": f"{_RBAC}/v1",
                "kind": binding.kind.value,
                "name": owner.name,
                "uid": owner.uid,
            }
            body = {"metadata": {"ownerReferences": [refers]}}
            await member.merge_patch(_RESOURCES[role.kind], role.name, body, namespace=role.namespace)
        except MeshError as error:
            _log.info("a role is left to no garbage collector", role=role.name, because=error.what)


async def _drop_properties(member: KubeClient) -> None:
    """The ClusterProperties that the agent has written, where nobody else had."""
    try:
        ours = await member.list(CLUSTER_PROPERTIES, labels=f"{LABEL_MANAGED_BY}={AGENT_MANAGER}")
    except ApiError as error:
        if error.is_not_found:
            return
        raise
    for one in ours.items:
        await member.delete(CLUSTER_PROPERTIES, one.metadata.name, uid=one.metadata.uid)


async def _drop_probes(member: KubeClient) -> None:
    """What the agent had gateways try; they end by themselves where we may not any more."""
    try:
        ours = await member.list(
            SERVICE_PROBES, namespace=SYSTEM_NAMESPACE, labels=f"{LABEL_MANAGED_BY}={AGENT_MANAGER}"
        )
        for one in ours.items:
            meta = one.metadata
            await member.delete(SERVICE_PROBES, meta.name, namespace=meta.namespace, uid=meta.uid)
    except ApiError as error:
        if error.status not in (_FORBIDDEN, _NOT_FOUND):
            raise


async def _mesh(member: KubeClient) -> tuple[TrustBundle | None, list[MeshPeer]]:
    try:
        bundle = await member.find(TRUST_BUNDLES, TRUST_BUNDLE)
        return bundle, (await member.list(MESH_PEERS)).items if bundle is not None else []
    except ApiError as error:
        if error.is_not_found:
            return None, []
        raise


async def _went(member: KubeClient, one: OwnObject) -> bool:
    for _ in range(_TRIES):
        try:
            await _delete(member, one)
        except MeshError as error:
            _log.info("not taken away", kind=one.kind.value, name=one.name, because=error.what)
        else:
            return True
    return False


async def _delete(member: KubeClient, one: OwnObject) -> None:
    await member.delete(_RESOURCES[one.kind], one.name, namespace=one.namespace)
