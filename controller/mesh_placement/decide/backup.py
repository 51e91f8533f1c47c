"""A hub in a file: which of its objects are kept, and what of each.

1. Kept is what a person or a scheduler has said, and what pins a member to its name; what hub and agents find
   out by themselves (phases, capacity, links, rights) is made anew.
2. Objects come in the order in which they are restored: a member's registration, by which its agent is let
   in, comes after all that the agent is to have.
3. What is being deleted keeps its deletionTimestamp, and is deleted again once it is back.
4. Placements come last: a hub that saw one before the clusters it is in would place it anew. Of their
   namespaces the labels are kept, which ClusterSets ask for; what else lies there is its owners' business.
5. ClusterClaims come after registrations: a provider that found the cluster of one without a registration
   would write another.
6. Owners are left out: their UIDs are nobody's on another hub, and Kubernetes would collect the objects.
7. A Secret is in it only where that was asked for; bootstrap tokens and kubeconfigs never are.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from mesh_core.errors import UserError
from mesh_core.plan import Json
from mesh_placement.names import GROUP, LABEL_CLUSTER, TOMBSTONES

FORMAT: Final = f"backup.{GROUP}/v1"
HEAD_KIND: Final = "HubBackup"
PUBLIC: Final = "kube-public"

_OURS: Final = f"{GROUP}/v1alpha1"
KINDS: Final = {
    "ClusterSet": _OURS,
    "ResourceInterpreter": _OURS,
    "Namespace": "v1",
    "Secret": "v1",
    "Assignment": _OURS,
    "Work": "multicluster.x-k8s.io/v1alpha1",
    "ClusterLink": _OURS,
    "ConfigMap": "v1",
    "ClusterRegistration": _OURS,
    "ClusterClaim": _OURS,
    "Placement": _OURS,
}
"""Every kind that is kept, with its apiVersion, in the order of being restored."""
INSIDE: Final = frozenset(("Secret", "Assignment", "Work", "ClusterLink"))
"""Those that lie in a member's namespace."""
REMEMBERED: Final = frozenset(("ClusterRegistration", "ClusterClaim"))
"""Those whose UIDs others remember."""

_PAYLOAD: Final = {"Secret": ("type", "immutable", "data"), "ConfigMap": ("data",), "Namespace": ()}
_META: Final = ("name", "namespace", "labels", "annotations", "finalizers", "deletionTimestamp")
_NOT_OURS: Final = frozenset(
    ("kubectl.kubernetes.io/last-applied-configuration", "kubernetes.io/metadata.name")
)


class BadBackup(UserError):
    """A file is no backup of a hub, or not a whole one."""

    def __init__(self, why: str) -> None:
        super().__init__(f"this is no backup of a hub: {why}", next_step="use a file of meshctl backup")


class Head(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """First document of the file: of which hub (`server`), when (RFC 3339), and how many documents follow.

    `left_out` are Secrets ("namespace/name") that Assignments list and that are not in it.
    """

    api_version: str = FORMAT
    kind: str = HEAD_KIND
    server: str
    at: str
    objects: int
    left_out: tuple[str, ...] = ()


class Backup(msgspec.Struct, frozen=True, kw_only=True):
    """The documents of a file, `objects` in the order in which they are restored."""

    head: Head
    objects: tuple[Json, ...]


def backup_of(seen: Mapping[str, Sequence[Json]], *, server: str, at: str, with_secrets: bool) -> Backup:
    """What is kept of a hub of which `seen` are the objects, as JSON by kind; others may be among them.

    Without `with_secrets` the names of Secrets are enough.
    """
    spaces = {
        one["metadata"]["name"]
        for one in seen.get("Namespace", ())
        if LABEL_CLUSTER in one["metadata"].get("labels", {}) and not _is_ending(one)
    }
    homes = {one["metadata"]["namespace"] for one in seen.get("Placement", ())} - spaces
    listed = {
        (one["metadata"]["namespace"], name)
        for one in seen.get("Assignment", ())
        for name in one.get("spec", {}).get("secrets", ())
    }
    kept: list[Json] = []
    left_out: list[str] = []
    for kind in KINDS:
        for one in sorted(seen.get(kind, ()), key=_place):
            place = _place(one)
            if not _is_kept(kind, one, spaces=spaces, homes=homes, listed=listed):
                continue
            if kind == "Secret" and not with_secrets:
                left_out.append("/".join(place))
            else:
                kept.append(kept_of(kind, one))
    head = Head(server=server, at=at, objects=len(kept), left_out=tuple(left_out))
    return Backup(head=head, objects=tuple(kept))


def kept_of(kind: str, seen: Json) -> Json:
    """What is kept of one object."""
    meta = {name: seen["metadata"][name] for name in _META if seen["metadata"].get(name)}
    for name in ("labels", "annotations"):
        words = {key: value for key, value in meta.pop(name, {}).items() if key not in _NOT_OURS}
        if words:
            meta[name] = words
    if kind == "Namespace":
        meta.pop("finalizers", None)
    body: Json = {"apiVersion": KINDS[kind], "kind": kind, "metadata": meta}
    body.update({name: seen[name] for name in _PAYLOAD.get(kind, ("spec",)) if name in seen})
    if kind in REMEMBERED:
        # By it an agent, or a provider, knows it again: see `restoring`.
        meta["uid"] = seen["metadata"].get("uid", "")
    if kind == "ClusterRegistration":
        status = seen.get("status", {})
        if status.get("id"):
            body["status"] = {name: status[name] for name in ("id", "namespace") if status.get(name)}
    return body


def text_of(backup: Backup) -> str:
    """The file: JSON documents, each after a line `---`, which is YAML too."""
    documents = (msgspec.json.format(msgspec.json.encode(one)) for one in (backup.head, *backup.objects))
    return "".join(f"---\n{document.decode()}\n" for document in documents)


def read_backup(text: str) -> Backup:
    """The backup in a file; raises BadBackup for anything that `text_of` would not have written."""
    documents = text.removeprefix("---\n").split("\n---\n")
    try:
        head = msgspec.json.decode(documents[0], type=Head)
        objects = tuple(msgspec.json.decode(one, type=dict[str, Any]) for one in documents[1:])
    except msgspec.DecodeError as error:
        raise BadBackup(str(error)) from error
    if (head.api_version, head.kind) != (FORMAT, HEAD_KIND):
        raise BadBackup(f"it is {head.kind} of {head.api_version}, not {HEAD_KIND} of {FORMAT}")
    if len(objects) != head.objects:
        raise BadBackup(f"{len(objects)} of its {head.objects} objects are there")
    named = [one for one in objects if one.get("kind") == "Namespace" and name_of(one)]
    spaces = {name_of(one) for one in named if cluster_of(one)}
    homes = {
        str(one["metadata"].get("namespace", ""))
        for one in objects
        if one.get("kind") == "Placement" and name_of(one)
    }
    for one in objects:
        _check(one, spaces=spaces, homes=homes - spaces)
    return Backup(head=head, objects=objects)


def name_of(one: Json) -> str:
    """metadata.name, "" without one."""
    meta = one.get("metadata")
    return str(meta.get("name", "")) if isinstance(meta, dict) else ""


def cluster_of(namespace: Json) -> str:
    """The member whose namespace it is, "" for one of people."""
    return str(namespace["metadata"].get("labels", {}).get(LABEL_CLUSTER, ""))


def _check(one: Json, *, spaces: set[str], homes: set[str]) -> None:
    """A backup brings only kinds that are kept, to where they are kept."""
    kind, name = str(one.get("kind")), name_of(one)
    if not name or KINDS.get(kind) != one.get("apiVersion"):
        raise BadBackup(f"{kind} {name} of {one.get('apiVersion')} is never in one")
    space = one["metadata"].get("namespace", "")
    if kind in INSIDE:
        is_well = space in spaces
    elif kind == "ConfigMap":
        is_well = (space, name) == (PUBLIC, TOMBSTONES)
    elif kind == "Namespace":
        is_well = name in spaces or name in homes
    elif kind == "Placement":
        is_well = space in homes
    else:
        is_well = not space
    if not is_well:
        raise BadBackup(f"{kind} {name} does not belong where it is to be")


def _is_kept(
    kind: str, one: Json, *, spaces: set[str], homes: set[str], listed: set[tuple[str, str]]
) -> bool:
    namespace, name = _place(one)
    match kind:
        case "Namespace":
            return name in spaces or (name in homes and not _is_ending(one))
        case "Placement":
            return namespace in homes
        case "Secret":
            return namespace in spaces and (namespace, name) in listed and not _is_ending(one)
        case "ClusterLink":
            return namespace in spaces and bool(one.get("spec")) and not _is_ending(one)
        case "ConfigMap":
            return (namespace, name) == (PUBLIC, TOMBSTONES)
        case "ClusterSet" | "ResourceInterpreter" | "ClusterRegistration" | "ClusterClaim":
            return True
        case _:
            return namespace in spaces


def _is_ending(one: Json) -> bool:
    return bool(one["metadata"].get("deletionTimestamp"))


def _place(one: Json) -> tuple[str, str]:
    return one["metadata"].get("namespace", ""), one["metadata"]["name"]
