"""Which objects of a cluster are ours: what `join` installed and what the programs made of it. Pure.

1. Ours is what our own label, name, kind or signer says, and nothing by likeness: a label that anybody
   can write counts only with the name that we would have given or the namespace that is ours.
2. What a standard defines (its kinds, its ClusterProperties) is ours only when the API server has
   recorded nobody but `meshctl` as its author; a kind, only while no object in it is somebody else's.
3. In our namespace everything is ours or is somebody's guest. With a guest in it the namespace stays.
4. ServiceExports are their authors', whatever we have written into their status.
5. A hub's registrations are clusters that count on it: it is emptied by their leaving, and what lies in the
   clusters' own namespaces is no matter of this file. Bootstrap tokens run out by themselves.
6. What goes is ordered: first nobody may write again, then the programs, what they made, what they knew,
   our namespace, and the kinds, each only when nothing of its kind is left.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

import msgspec
from msgspec import Struct

from mesh_cli.session import FIELD_MANAGER
from mesh_core.names import (
    CLUSTERSET_ZONE,
    LABEL_KUBERNETES_SERVICE,
    LABEL_MANAGED_BY,
    LABEL_SERVICE,
    LABEL_SERVICE_NAME,
    LABEL_SLICE_MANAGED_BY,
    MANAGER,
    PROPERTY_CLUSTER_ID,
    PROPERTY_CLUSTERSET,
    SYSTEM_NAMESPACE,
    shadow_service_name,
)
from mesh_placement.names import ACCESS_GROUP, AGENT_MANAGER, HUB_INFO
from mesh_runtime.kube import AnyObject, ApiResource

OUR_DOMAIN: Final = "meshctl.dev"
PART_OF: Final = ("app.kubernetes.io/part-of", "clusterset-mesh")
_OUR_NAMES: Final = "meshctl-"
_PARTS: Final = (_OUR_NAMES, "placement-")
_MCS: Final = "multicluster.x-k8s.io"
_RBAC: Final = "rbac.authorization.k8s.io"
_ADMISSION: Final = "admissionregistration.k8s.io"
_PUBLIC: Final = frozenset({("kube-public", HUB_INFO), ("kube-public", "meshctl-tombstones")})
_STANDARD_PROPERTIES: Final = frozenset({PROPERTY_CLUSTER_ID, PROPERTY_CLUSTERSET})
STANDARD_KINDS: Final = frozenset(
    {
        *(f"{plural}.{_MCS}" for plural in ("serviceexports", "serviceimports")),
        *(
            f"{plural}.{_MCS}"
            for plural in ("clusterprofiles", "placementdecisions", "works", "appliedworks")
        ),
        "clusterproperties.about.k8s.io",
    }
)
"""Names of the definitions that we install where they are missing and that are not ours."""

Key = tuple[str, str]
"""(group, plural) of a resource."""
NAMESPACES: Final[Key] = ("", "namespaces")
DEFINITIONS: Final[Key] = ("apiextensions.k8s.io", "customresourcedefinitions")
SERVICE_EXPORTS: Final[Key] = (_MCS, "serviceexports")
_API_SERVICES: Final[Key] = ("apiregistration.k8s.io", "apiservices")
_PROPERTIES: Final[Key] = ("about.k8s.io", "clusterproperties")


class Stage(IntEnum):
    """When an object goes; the value is the order."""

    RIGHTS = 1
    PROGRAMS = 2
    REPLICA_SETS = 3
    PODS = 4
    IMPORTS = 5
    KNOWLEDGE = 6
    NAMESPACE = 7
    KINDS = 8


_STAGES: Final[Mapping[Key, Stage]] = {
    (_RBAC, "clusterrolebindings"): Stage.RIGHTS,
    (_RBAC, "rolebindings"): Stage.RIGHTS,
    # Before what answers for it: a group that nobody answers for spoils discovery.
    _API_SERVICES: Stage.RIGHTS,
    ("apps", "deployments"): Stage.PROGRAMS,
    ("policy", "poddisruptionbudgets"): Stage.PROGRAMS,
    ("apps", "replicasets"): Stage.REPLICA_SETS,
    ("", "pods"): Stage.PODS,
    (_MCS, "serviceimports"): Stage.IMPORTS,
    ("", "services"): Stage.IMPORTS,
    ("discovery.k8s.io", "endpointslices"): Stage.IMPORTS,
    NAMESPACES: Stage.NAMESPACE,
    DEFINITIONS: Stage.KINDS,
}


@dataclass(frozen=True, slots=True, order=True)
class Item:
    """One object of ours; `holders` are its finalizers, `is_going` whether it is being deleted."""

    stage: Stage
    resource: ApiResource
    namespace: str
    name: str
    uid: str = ""
    version: str = ""
    is_going: bool = False
    holders: tuple[str, ...] = ()

    def __str__(self) -> str:
        place = f"{self.namespace}/{self.name}" if self.namespace else self.name
        return f"{self.resource.kind} {place}"


@dataclass(frozen=True, slots=True, order=True)
class Kept:
    """One object that looks like ours and stays, and why."""

    what: str
    why: str


@dataclass(frozen=True, slots=True)
class Inventory:
    """What is ours, in the order in which it goes, and what stays of all that we have touched.

    `exports` are the ServiceExports (namespace, name) that there are, `noted` those in whose status we wrote.
    """

    items: tuple[Item, ...] = ()
    kept: tuple[Kept, ...] = ()
    exports: tuple[tuple[str, str], ...] = ()
    noted: tuple[tuple[str, str], ...] = ()
    has_stub: bool = False

    @property
    def is_empty(self) -> bool:
        """Whether nothing of ours is left."""
        return not (self.items or self.noted or self.has_stub)

    def named(self, plural: str, *, group: str = OUR_DOMAIN) -> tuple[str, ...]:
        """The names of our objects of one resource of ours."""
        return tuple(one.name for one in self.items if one.resource.key == (group, plural))


class _RequestSpec(Struct, rename="camel"):
    signer_name: str = ""


def _is_part(seen: AnyObject) -> bool:
    label, value = PART_OF
    return seen.metadata.labels.get(label) == value


def _is_named_part(seen: AnyObject) -> bool:
    """Cluster-wide, and in namespaces of others, the label alone is not enough."""
    return _is_part(seen) and seen.metadata.name.startswith(_PARTS)


def _is_public(seen: AnyObject) -> bool:
    return (seen.metadata.namespace, seen.metadata.name) in _PUBLIC


def _is_aggregation(seen: AnyObject) -> bool:
    return _is_part(seen) and seen.metadata.name.endswith(f".{ACCESS_GROUP}")


def _is_managed(seen: AnyObject) -> bool:
    return seen.metadata.labels.get(LABEL_MANAGED_BY) == MANAGER


def _is_shadow(seen: AnyObject) -> bool:
    """A Service beside the users' own counts only under the very name that we give."""
    meta = seen.metadata
    service = meta.labels.get(LABEL_SERVICE_NAME)
    return (
        service is not None
        and _is_managed(seen)
        and meta.name == shadow_service_name(namespace=meta.namespace, name=service)
    )


def _is_slice(seen: AnyObject) -> bool:
    labels = seen.metadata.labels
    if labels.get(LABEL_SLICE_MANAGED_BY) != MANAGER:
        return False
    return bool({LABEL_SERVICE_NAME, LABEL_SERVICE, LABEL_KUBERNETES_SERVICE} & labels.keys())


def _is_request(seen: AnyObject) -> bool:
    try:
        return msgspec.json.decode(seen.spec, type=_RequestSpec).signer_name.startswith(f"{OUR_DOMAIN}/")
    except msgspec.DecodeError:
        return False


def is_made_by_us(seen: AnyObject, *, beside: str = "") -> bool:
    """Whether the API server has recorded nobody but `meshctl` as author, `beside` left out; where records
    lack, it was not."""
    authors = {entry.manager for entry in seen.metadata.managed_fields if entry.subresource != "status"}
    return authors - {beside} == {FIELD_MANAGER}


def _is_property(seen: AnyObject) -> bool:
    name = seen.metadata.name
    if name == PROPERTY_CLUSTERSET and is_made_by_us(seen, beside=AGENT_MANAGER):
        return True  # a hub's agent has written it first; it writes its own again
    return name.endswith(f".{OUR_DOMAIN}") or (name in _STANDARD_PROPERTIES and is_made_by_us(seen))


def _is_ours_named(seen: AnyObject) -> bool:
    return _is_part(seen) and seen.metadata.name == SYSTEM_NAMESPACE


_OUTSIDE: Final[Mapping[Key, Callable[[AnyObject], bool]]] = {
    ("", "services"): _is_shadow,
    ("discovery.k8s.io", "endpointslices"): _is_slice,
    (_MCS, "serviceimports"): _is_managed,
    ("certificates.k8s.io", "certificatesigningrequests"): _is_request,
    _PROPERTIES: _is_property,
    (_RBAC, "clusterroles"): _is_named_part,
    (_RBAC, "clusterrolebindings"): _is_named_part,
    (_RBAC, "roles"): _is_named_part,
    (_RBAC, "rolebindings"): _is_named_part,
    ("", "configmaps"): _is_public,
    (_ADMISSION, "validatingadmissionpolicies"): _is_named_part,
    (_ADMISSION, "validatingadmissionpolicybindings"): _is_named_part,
    _API_SERVICES: _is_aggregation,
    NAMESPACES: _is_ours_named,
}


def is_ours_outside(resource: ApiResource, *, seen: AnyObject) -> bool:
    """Whether an object outside of our namespace is ours; definitions are judged by `definitions_of`."""
    if is_our_group(resource.group):
        return True
    rule = _OUTSIDE.get(resource.key)
    return rule is not None and rule(seen)


def is_our_group(group: str) -> bool:
    """Whether kinds of this group are ours."""
    return group == OUR_DOMAIN or group.endswith(f".{OUR_DOMAIN}")


def is_read_outside(resource: ApiResource) -> bool:
    """Whether objects of this resource say what is ours outside of our namespace."""
    judged = {*_OUTSIDE, DEFINITIONS, SERVICE_EXPORTS}
    return is_our_group(resource.group) or resource.key in judged


def is_ours_inside(resource: ApiResource, *, seen: AnyObject) -> bool:
    """Whether an object in our namespace is ours to delete by itself."""
    name = seen.metadata.name
    if is_our_group(resource.group) or _is_part(seen) or _is_slice(seen) or _is_managed(seen):
        return True
    if resource.key in {("", "secrets"), ("", "configmaps")}:
        return name.startswith(_PARTS)
    if resource.key == ("coordination.k8s.io", "leases"):
        return name.startswith((*_PARTS, "peer-", "gateway-"))
    return False


def is_guest(resource: ApiResource, *, seen: AnyObject) -> bool:
    """Whether an object in our namespace is somebody else's: not ours, and not made for what is ours."""
    if is_ours_inside(resource, seen=seen) or seen.metadata.owner_references:
        return False
    automatic = {("", "configmaps"): "kube-root-ca.crt", ("", "serviceaccounts"): "default"}
    if automatic.get(resource.key) == seen.metadata.name:
        return False
    passing = {"events", "endpoints"}  # the latter go with their Services and have no owner
    return resource.plural not in passing


def item_of(resource: ApiResource, *, seen: AnyObject) -> Item:
    """The object as it is kept in the list."""
    meta = seen.metadata
    return Item(
        stage=_STAGES.get(resource.key, Stage.KNOWLEDGE),
        resource=resource,
        namespace=meta.namespace,
        name=meta.name,
        uid=meta.uid,
        version=meta.resource_version,
        is_going=meta.deletion_timestamp is not None,
        holders=meta.finalizers,
    )


def definitions_of(
    resource: ApiResource,
    *,
    definitions: Iterable[AnyObject],
    others: Mapping[str, tuple[str, ...]],
    keep: bool,
) -> tuple[list[Item], list[Kept]]:
    """The kinds that go, and those that stay with the reason.

    `others` maps names of definitions to objects of them that are not ours; `keep` keeps them all.
    """
    items: list[Item] = []
    kept: list[Kept] = []
    for seen in definitions:
        name = seen.metadata.name
        ours = is_our_group(name.partition(".")[2])
        if not ours and name not in STANDARD_KINDS:
            continue
        used = others.get(name, ())
        if keep:
            kept.append(Kept(f"CRD {name}", "as was asked"))
        elif not ours and not is_made_by_us(seen):
            kept.append(Kept(f"CRD {name}", "it was here before, or somebody else has written it too"))
        elif not ours and used:
            more = f" and {len(used) - 3} more" if len(used) > 3 else ""
            kept.append(Kept(f"CRD {name}", f"not ours are {', '.join(used[:3])}{more}"))
        else:
            items.append(item_of(resource, seen=seen))
    return items, kept


def kept_property(seen: AnyObject) -> Kept | None:
    """Why a ClusterProperty that says who this cluster is stays; None where that is no question."""
    if seen.metadata.name not in _STANDARD_PROPERTIES or is_made_by_us(seen):
        return None
    return Kept(f"ClusterProperty {seen.metadata.name}", "somebody else has written it too")


def lines_of(inventory: Inventory) -> list[str]:
    """What would go and what stays, a line each, in order."""
    lines = (
        [f"  the stub for {CLUSTERSET_ZONE} in ConfigMap kube-system/coredns"] if inventory.has_stub else []
    )
    lines += [f"  {item}" for item in inventory.items]
    lines += [f"  our conditions of ServiceExport {'/'.join(key)}" for key in inventory.noted]
    return lines


def kept_lines(inventory: Inventory) -> list[str]:
    """What stays and why, a line each."""
    return [f"  stays: {one.what}: {one.why}" for one in inventory.kept]
