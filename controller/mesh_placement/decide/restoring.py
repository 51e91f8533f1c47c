"""A hub out of a file: what is to be written, in which order, so that no member makes or loses anything.

1. A member's namespace is filled before its registration lets its agent in. The registration is made without
   acceptance; then comes its pin, then acceptance: at no time could another key claim the name.
2. It says which UIDs it had (`ANNOTATION_FORMERLY`): by that an agent takes it for its own. So does a
   ClusterClaim, by which its registration and its provider know it.
3. What is there stays as it is, but for ClusterSets, which `hub init` makes anew, and tombstones, which are
   put beside those that are there. So a second run changes nothing, and one that was cut off goes on.
4. A name that belongs to another key by now is a conflict: nothing in the backup is that one's.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

from mesh_core.errors import UserError
from mesh_core.plan import Json
from mesh_placement.decide.backup import INSIDE, REMEMBERED, Backup, cluster_of, name_of
from mesh_placement.names import ANNOTATION_FORMERLY, cluster_namespace

Key = tuple[str, str, str]
"""(kind, namespace, name)."""

_KNOWN_UIDS: Final = 20


class OtherCluster(UserError):
    """Names of the backup belong to others on this hub."""

    def __init__(self, names: Iterable[str]) -> None:
        super().__init__(
            f"on this hub the name is another cluster's: {', '.join(sorted(names))}",
            next_step="have it leave first (meshctl clusters leave), or restore without: --skip-existing",
        )


class Act(Enum):
    """How one step is written."""

    CREATE = "create"
    """Where it is there by now, it stays as it is."""
    MERGE = "merge"
    PIN = "pin"
    """Apply its status, as the hub does."""
    DELETE = "delete"


@dataclass(frozen=True, slots=True)
class Step:
    """One write; `body` has kind and metadata.name at least."""

    act: Act
    body: Json


@dataclass(frozen=True, slots=True)
class Plan:
    """`skipped` are clusters whose names are others'; `kept` what is there and otherwise, "kind place"."""

    steps: tuple[Step, ...]
    skipped: tuple[str, ...]
    kept: tuple[str, ...]


def key_of(one: Json) -> Key:
    """Of an object of the backup."""
    return str(one["kind"]), str(one["metadata"].get("namespace", "")), name_of(one)


def restore_plan(backup: Backup, *, there: Mapping[Key, Json], skip_existing: bool) -> Plan:
    """What is left to write on a hub where `there` is; raises OtherCluster unless those are to be skipped."""
    others = frozenset(_conflicts(backup, there=there))
    if others and not skip_existing:
        raise OtherCluster(others)
    spaces = _spaces(backup, clusters=others)
    steps: list[Step] = []
    kept: list[str] = []
    for one in backup.objects:
        kind, space, name = key = key_of(one)
        if (name if kind == "Namespace" else space) in spaces and kind in {*INSIDE, "Namespace"}:
            continue
        if kind == "ClusterRegistration":
            if name not in others:
                steps += _registered(one, there=there.get(key))
            continue
        if kind == "ClusterClaim" and name in others:
            continue
        found = there.get(key)
        steps += _written(one, there=found)
        if (
            found is not None
            and kind in {*INSIDE, "ClusterClaim", "Placement"}
            and _says(one) != _says(found)
        ):
            kept.append(f"{kind} {space}/{name}")
    return Plan(tuple(steps), tuple(sorted(others)), tuple(kept))


def _conflicts(backup: Backup, *, there: Mapping[Key, Json]) -> Iterable[str]:
    for one in backup.objects:
        found = there.get(key_of(one))
        if one["kind"] == "ClusterRegistration":
            if found is not None and not _is_same(one, found):
                yield name_of(one)
        elif one["kind"] == "Namespace" and found is not None and cluster_of(one):
            if cluster_of(found) != cluster_of(one):
                yield cluster_of(one)


def _spaces(backup: Backup, *, clusters: frozenset[str]) -> frozenset[str]:
    """Namespaces of those clusters, by whatever names them."""
    found = {cluster_namespace(one) for one in clusters}
    for one in backup.objects:
        if one["kind"] == "Namespace" and cluster_of(one) in clusters:
            found.add(name_of(one))
        if one["kind"] == "ClusterRegistration" and name_of(one) in clusters:
            found.add(one.get("status", {}).get("namespace", ""))
    return frozenset(found)


def _is_same(one: Json, there: Json) -> bool:
    """Whether the registration that is there is that of the backup: itself, restored, or of the same pin."""
    uid = one["metadata"].get("uid", "")
    if uid and (there["metadata"].get("uid") == uid or uid in _former(there)):
        return _pin(there) in ({}, _pin(one))
    return bool(_pin(one)) and _pin(there) == _pin(one)


def _written(one: Json, *, there: Json | None) -> Iterable[Step]:
    if there is None:
        body = _without(one, "uid", "deletionTimestamp")
        yield from _made(one, body=_remembering(body, one) if one["kind"] in REMEMBERED else body)
    elif one["kind"] == "ClusterSet" and one.get("spec") != there.get("spec"):
        yield Step(Act.MERGE, {**_named(one), "spec": one.get("spec", {})})
    elif one["kind"] == "ClusterLink" and not there.get("spec"):
        yield Step(Act.MERGE, {**_named(one), "spec": one["spec"]})
    elif one["kind"] == "ConfigMap":
        has = there.get("data") or {}
        new = {uid: text for uid, text in (one.get("data") or {}).items() if uid not in has}
        if new:
            yield Step(Act.MERGE, {**_named(one), "data": new})


def _registered(one: Json, *, there: Json | None) -> Iterable[Step]:
    if there is not None and there["metadata"].get("deletionTimestamp"):
        return
    body = _without(one, "uid", "deletionTimestamp")
    if there is None:
        body = _remembering(body, one)
        body["spec"] = {**body["spec"], "accepted": False}
        yield Step(Act.CREATE, {name: value for name, value in body.items() if name != "status"})
    if _pin(one) and (there is None or _pin(there) != _pin(one)):
        yield Step(Act.PIN, {**_named(one), "status": one["status"]})
    if one["spec"].get("accepted") and not (there or {}).get("spec", {}).get("accepted"):
        yield Step(Act.MERGE, {**_named(one), "spec": {"accepted": True}})
    if one["metadata"].get("deletionTimestamp"):
        yield Step(Act.DELETE, _named(one))


def _made(one: Json, *, body: Json) -> Iterable[Step]:
    yield Step(Act.CREATE, body)
    if one["metadata"].get("deletionTimestamp"):
        yield Step(Act.DELETE, _named(one))


def _remembering(body: Json, one: Json) -> Json:
    """Law 2."""
    annotations = {**body["metadata"].get("annotations", {}), ANNOTATION_FORMERLY: _formerly(one)}
    return {**body, "metadata": {**body["metadata"], "annotations": annotations}}


def _formerly(one: Json) -> str:
    """The UIDs that it had, the latest last; of many the latest."""
    uids = [*_former(one), str(one["metadata"].get("uid", ""))]
    return ",".join([uid for uid in dict.fromkeys(uids) if uid][-_KNOWN_UIDS:])


def _former(one: Json) -> list[str]:
    text = str(one["metadata"].get("annotations", {}).get(ANNOTATION_FORMERLY, ""))
    return [uid.strip() for uid in text.split(",") if uid.strip()]


def _pin(one: Json) -> Json:
    found = one.get("status", {}).get("id", {})
    return {name: value for name, value in found.items() if value}


def _named(one: Json) -> Json:
    meta = {name: one["metadata"][name] for name in ("name", "namespace") if name in one["metadata"]}
    return {"apiVersion": one["apiVersion"], "kind": one["kind"], "metadata": meta}


def _without(one: Json, *fields: str) -> Json:
    return {**one, "metadata": {name: value for name, value in one["metadata"].items() if name not in fields}}


def _says(one: Json) -> tuple[object, object]:
    return one.get("spec"), one.get("data")
