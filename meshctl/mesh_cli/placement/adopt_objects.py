"""A workload that runs in a member, as a Placement that changes nothing of it. Pure.

The template is the object as it is, with all that the API server filled in: what is left out would be filled
in again, but perhaps differently by another version.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from mesh_core.errors import UserError
from mesh_placement.decide.manifests import Named, named
from mesh_placement.decide.overrides import without_replicas
from mesh_placement.decide.pod_templates import at, items, text
from mesh_placement.decide.templates import template_of
from mesh_placement.names import LABEL_DISTRIBUTED
from mesh_placement.objects import ClusterRegistration, ClusterSet, Manifest, Placement, TakeOver

# A JSON object, hence Any.
Json = Mapping[str, Any]

_MOST_SHOWN: Final = 3
_PLURALS: Final = {"Deployment": "deployments", "StatefulSet": "statefulsets", "DaemonSet": "daemonsets"}
_WORDS: Final = {"deploy": "Deployment", "sts": "StatefulSet", "ds": "DaemonSet"} | {
    word: kind for kind, plural in _PLURALS.items() for word in (kind.lower(), plural)
}


class NotAdopted(UserError):
    """A workload that is not, or cannot be, taken over as it is; nothing of it was changed."""


class NoWorkload(UserError):
    """What was given names no workload."""

    def __init__(self, given: str) -> None:
        super().__init__(
            f"{given[:80]!r} is no workload that can be adopted",
            next_step="write deployment/NAME, statefulset/NAME or daemonset/NAME",
        )


@dataclass(frozen=True, slots=True)
class Workload:
    """What is to be adopted."""

    kind: str
    name: str
    namespace: str

    @property
    def path(self) -> str:
        """At its API server."""
        return f"/apis/apps/v1/namespaces/{self.namespace}/{_PLURALS[self.kind]}/{self.name}"

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}"


def parse_workload(given: str, *, namespace: str) -> Workload:
    """ "deployment/web"; raises NoWorkload."""
    word, _, name = given.partition("/")
    kind = _WORDS.get(word.lower())
    meta = {"name": name, "namespace": namespace}
    one = named({"apiVersion": "apps/v1", "kind": kind, "metadata": meta}) if kind is not None else None
    if kind is None or not isinstance(one, Named):
        raise NoWorkload(given)
    return Workload(kind, name, namespace)


def check_free(found: Json, *, workload: Workload) -> None:
    """Raises NotAdopted for one that is somebody's: who made it would undo what a Placement says."""
    meta = at(found, "metadata")
    if meta.get("deletionTimestamp"):
        raise NotAdopted(f"{workload} is being deleted", next_step="wait for it, and place a new one")
    for owner in items(meta, "ownerReferences"):
        if owner.get("controller") is True:
            who = f"{text(owner, 'kind')} {text(owner, 'name')}"
            raise NotAdopted(f"{workload} is made by {who}", next_step="place that one instead")


def is_distributed(found: Json) -> bool:
    """Whether a Work brought it."""
    return LABEL_DISTRIBUTED in at(found, "metadata", "labels")


def is_scaled(found: Json) -> bool:
    """Whether somebody scales it, as an autoscaler does: then the count stays his."""
    return any(
        text(one, "subresource") == "scale" and "f:replicas" in at(one, "fieldsV1", "f:spec")
        for one in items(at(found, "metadata"), "managedFields")
    )


def manifest_of(found: Json) -> Manifest:
    """The template of what runs."""
    manifest = template_of(dict(found))
    return without_replicas(manifest) if is_scaled(found) else manifest


def membership(
    registrations: Sequence[ClusterRegistration], *, uid: str, context: str
) -> ClusterRegistration:
    """The registration of the cluster whose kube-system has that UID; raises NotAdopted."""
    for one in registrations:
        if uid and one.status.id.uid == uid and one.metadata.deletion_timestamp is None:
            return one
    raise NotAdopted(
        f"the hub has no registration of the cluster behind context {context}",
        next_step="register it with meshctl register, or give the hub's context with --hub-context",
    )


def check_granted(
    cluster_set: ClusterSet | None, labels: Mapping[str, str] | None, *, namespace: str
) -> None:
    """Raises NotAdopted where that namespace of the hub may not place there; `labels` None: there is none."""
    if labels is None:
        raise NotAdopted(
            f"the hub has no namespace {namespace}, where the Placement would be",
            next_step="create it there, with the labels that its ClusterSet asks for",
        )
    wanted = cluster_set.spec.namespaces if cluster_set is not None else None
    if cluster_set is None or (wanted is not None and not wanted.match_labels.items() <= labels.items()):
        raise NotAdopted(
            f"namespace {namespace} of the hub may not place into the ClusterSet of that cluster",
            next_step="see spec.namespaces of the ClusterSet (kubectl get clustersets -o yaml)",
        )


def placement_body(
    name: str,
    manifest: Manifest,
    *,
    registration: ClusterRegistration,
    account: str,
    take_over: TakeOver,
) -> dict[str, Any]:
    """The Placement of what runs there: in that cluster, as it is."""
    spec: dict[str, Any] = {
        "clusterSets": [registration.spec.cluster_set],
        "manifests": [manifest],
        "clusters": {"names": [registration.metadata.name]},
        "takeOver": take_over,
    }
    if account:
        spec["serviceAccount"] = account
    return {"metadata": {"name": name, "namespace": manifest["metadata"]["namespace"]}, "spec": spec}


def is_of(placement: Placement, manifest: Manifest, *, cluster: str) -> bool:
    """Whether that Placement was made to adopt this very workload."""
    there = [named(one) for one in placement.spec.manifests]
    return there == [named(manifest)] and placement.spec.clusters.names == (cluster,)


def check_same(now: Json, then: Json, *, workload: Workload) -> None:
    """Raises NotAdopted where an apply would change what `differences` finds."""
    changed = list(differences(now, then))
    if changed:
        more = f" and {len(changed) - _MOST_SHOWN} more" if len(changed) > _MOST_SHOWN else ""
        raise NotAdopted(
            f"{workload} would be changed at {', '.join(changed[:_MOST_SHOWN])}{more}",
            next_step="see who changes it on its way in (an admission webhook), or place it by hand",
        )


def differences(now: object, then: object, *, path: str = "") -> Iterator[str]:
    """Where two JSON values differ, as field paths, in order."""
    if isinstance(now, Mapping) and isinstance(then, Mapping):
        for key in sorted({*now, *then}):
            yield from differences(now.get(key), then.get(key), path=f"{path}.{key}")
    elif isinstance(now, list) and isinstance(then, list) and len(now) == len(then):
        for number, (one, other) in enumerate(zip(now, then, strict=True)):
            yield from differences(one, other, path=f"{path}[{number}]")
    elif now != then:
        yield path or "."
