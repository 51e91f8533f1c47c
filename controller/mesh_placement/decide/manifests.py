"""What a manifest of a Work says of itself, which ones are refused, and what of them the member gets."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from mesh_placement.decide.reasons import Reason
from mesh_placement.names import LABEL_DISTRIBUTED
from mesh_placement.objects import Manifest

# Belong to the cluster that they were read in; owners of another cluster would let its collector delete.
_OF_ANOTHER_CLUSTER = (
    "creationTimestamp",
    "deletionTimestamp",
    "generation",
    "managedFields",
    "ownerReferences",
    "resourceVersion",
    "selfLink",
    "uid",
)


# Each becomes a part of a path at the member's API server, and none may lead to another one.
_API_VERSION = re.compile(r"([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?[a-z0-9]{1,63}")
_KIND = re.compile(r"[A-Za-z][-A-Za-z0-9]{0,62}")
_NAMESPACE = re.compile(r"([a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)?")
# Of some kinds a name is any part of a path (roles have colons).
_NAME = re.compile(r"(?!\.{1,2}$)[^/%?#\\\x00-\x20\x7f]{1,253}")


@dataclass(frozen=True, slots=True, order=True)
class Named:
    """The identity of a manifest; `namespace` "" where it names none."""

    group: str
    version: str
    kind: str
    namespace: str
    name: str

    @property
    def api_version(self) -> str:
        """As it stands in the manifest."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def identity(self) -> tuple[str, str, str, str]:
        """The same object in whatever version."""
        return self.group, self.kind, self.namespace, self.name

    def __str__(self) -> str:
        return "/".join(part for part in (self.kind, self.namespace, self.name) if part)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why something is not applied, and what to do about it."""

    reason: Reason
    message: str


def named(manifest: Manifest) -> Named | Refusal:
    """Who a manifest is."""
    version, kind, meta = manifest.get("apiVersion"), manifest.get("kind"), manifest.get("metadata")
    if not isinstance(version, str) or not isinstance(kind, str) or not isinstance(meta, dict):
        return Refusal(Reason.INVALID, "it lacks apiVersion, kind or metadata: write it as for kubectl apply")
    name, namespace = meta.get("name"), meta.get("namespace", "")
    if not isinstance(name, str) or not name or not isinstance(namespace, str):
        return Refusal(
            Reason.INVALID, f"a {kind} has no metadata.name: give it one, generateName is not taken"
        )
    fits = _API_VERSION.fullmatch(version) and _KIND.fullmatch(kind) and _NAMESPACE.fullmatch(namespace)
    if not fits or not _NAME.fullmatch(name):
        return Refusal(
            Reason.INVALID,
            f"apiVersion, kind, namespace or name of {kind[:63]!r} {name[:63]!r} cannot be one: correct it",
        )
    group, _, short = version.rpartition("/")
    return Named(group=group, version=short, kind=kind, namespace=namespace, name=name)


def refusal_of(one: Named) -> Refusal | None:
    """Why a Work must not bring it, or None."""
    if one.group == "" and one.kind == "Secret":
        return Refusal(
            Reason.SECRET_IN_WORK,
            f"{one} lies open in a Work: put it beside the Works, listed in the Assignment's spec.secrets",
        )
    if one.group == "" and one.kind == "List":
        return Refusal(Reason.INVALID, "a List is not taken: put its items into the Work one by one")
    return None


def without_cluster(meta: Mapping[str, Any]) -> dict[str, Any]:
    """Metadata without what belongs to the cluster that it was read in. JSON, hence Any."""
    return {key: value for key, value in meta.items() if key not in _OF_ANOTHER_CLUSTER}


def cleaned(manifest: Manifest, *, namespace: str) -> Manifest:
    """What is applied: nothing of another cluster, with our label, in `namespace` ("": cluster-scoped)."""
    meta = without_cluster(manifest["metadata"])
    labels = meta.get("labels")
    meta["labels"] = {**(labels if isinstance(labels, Mapping) else {}), LABEL_DISTRIBUTED: "true"}
    meta.pop("namespace", None)
    if namespace:
        meta["namespace"] = namespace
    return {**{key: value for key, value in manifest.items() if key != "status"}, "metadata": meta}


def digest(manifest: Manifest) -> str:
    """The same for equal manifests, whatever the order of their keys."""
    return hashlib.sha256(msgspec.json.encode(manifest, order="deterministic")).hexdigest()
