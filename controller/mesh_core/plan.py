"""A plan: what to write to the API server, in order. Made by decisions, applied by the controller.

1. A plan is the difference between what is there and what should be, so the second one is empty.
2. A patch is a JSON merge patch (RFC 7396) with only what differs. With `version` it holds only for the
   object as it was seen; without, for the object as it is.
3. A deletion names the object's UID: a new object of the same name survives it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

import msgspec

from mesh_core.objects import KubernetesObject
from mesh_core.ports import PortTarget

# A JSON object: its values are whatever JSON has, hence Any.
Json = dict[str, Any]


class Kind(Enum):
    """The kinds of objects that plans write."""

    SERVICE_EXPORT = "ServiceExport"
    SERVICE_IMPORT = "ServiceImport"
    SERVICE = "Service"
    ENDPOINT_SLICE = "EndpointSlice"
    IMPORTED_RECORD = "ImportedRecord"
    IMPORTED_SHARD = "ImportedShard"
    MESH_PEER = "MeshPeer"
    TRUST_BUNDLE = "TrustBundle"


@dataclass(frozen=True, slots=True, kw_only=True)
class Create:
    """Make an object; it fails when the name is taken, whoever took it."""

    kind: Kind
    body: Json


@dataclass(frozen=True, slots=True, kw_only=True)
class Patch:
    """Change fields of an object, or of its `subresource` ("status")."""

    kind: Kind
    namespace: str
    name: str
    body: Json
    version: str = ""
    subresource: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delete:
    """Delete the very object that was seen."""

    kind: Kind
    namespace: str
    name: str
    uid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Rest:
    """Note that these egress ports go to rest; what follows in the plan frees them."""

    ports: Mapping[int, PortTarget]


@dataclass(frozen=True, slots=True, kw_only=True)
class Apply:
    """Server-side apply: make the fields of `body` so, and remove what `manager` applied before."""

    kind: Kind
    body: Json
    manager: str
    subresource: str = ""


Step = Create | Patch | Apply | Delete | Rest
Plan = tuple[Step, ...]


def deletion(kind: Kind, seen: KubernetesObject) -> Delete:
    """The step that deletes `seen`."""
    meta = seen.metadata
    return Delete(kind=kind, namespace=meta.namespace, name=meta.name, uid=meta.uid)


def patch(
    kind: Kind, seen: KubernetesObject, *, body: Json, subresource: str = "", guarded: bool = True
) -> Plan:
    """The step that makes `body` of `seen`, or nothing when `body` is empty.

    `guarded` makes it fail when somebody else wrote the object in between.
    """
    if not body:
        return ()
    meta = seen.metadata
    version = meta.resource_version if guarded else ""
    return (
        Patch(
            kind=kind,
            namespace=meta.namespace,
            name=meta.name,
            body=body,
            version=version,
            subresource=subresource,
        ),
    )


def as_json(value: object) -> Any:  # Any: JSON
    """A Struct, or a tuple of them, as JSON without its nulls: an absent field and null are one here."""
    return _without_nulls(msgspec.to_builtins(value))


def difference(*, before: Mapping[str, Any], after: Mapping[str, Any]) -> Json:
    """The merge patch that turns `before` into `after`; empty when they are equal."""
    changed: Json = {key: None for key in before if key not in after}
    for key, value in after.items():
        old = before.get(key)
        if isinstance(value, Mapping) and isinstance(old, Mapping):
            inner = difference(before=old, after=value)
            if inner:
                changed[key] = inner
        elif key not in before or value != old:
            changed[key] = value
    return changed


def _without_nulls(value: Any) -> Any:  # Any: JSON in, JSON out
    match value:
        case dict():
            return {key: _without_nulls(inner) for key, inner in value.items() if inner is not None}
        case list() | tuple():
            return [_without_nulls(inner) for inner in value]
        case _:
            return value
