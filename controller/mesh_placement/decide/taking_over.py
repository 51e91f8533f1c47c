"""A hub out of the copy that its last leader left: what the next one writes before it decides anything. Pure.

1. The copy is right, whatever this cluster has of the time when it led itself; what the copy does not know,
   and does not call deleted, is somebody's who wrote it here meanwhile, and stays.
2. A registration is made without acceptance; then comes its pin, then acceptance: at no time could another
   key claim the name. It says by which UIDs it was known before, so its agent takes it for its own.
3. What the leader before deleted is deleted here without its finalizers: members were asked then.
4. What the hub's loops will apply is applied as theirs, so that what they leave out later goes; finalizers
   are not, since nobody else would keep them.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

from mesh_core.plan import Json
from mesh_placement.decide.hub_copy import COPIED, Key, copied_of, key_of
from mesh_placement.names import (
    AGENT_MANAGER,
    ANNOTATION_FORMERLY,
    HUB_MANAGER,
    ORIGIN_MANAGER,
    STANDING_MANAGER,
    WORK_MANAGER,
)

_OF_PEOPLE: Final = frozenset(("ClusterSet", "ResourceInterpreter", "ClusterRegistration", "Placement"))
_KNOWN_UIDS: Final = 20


class Act(Enum):
    """How one step is written."""

    CREATE = "create"
    REPLACE = "replace"
    """The whole object, over the one that was seen."""
    APPLY = "apply"
    """Under the hub's manager."""
    MERGE = "merge"
    TELL = "tell"
    """Its status, under a manager."""
    DELETE = "delete"


@dataclass(frozen=True, slots=True)
class Step:
    """One write; `body` has kind and metadata.name at least."""

    act: Act
    body: Json
    manager: str = ""


Steps = tuple[Step, ...]
"""Of one object, in their order."""


def taking_over(
    copied: Sequence[Json], *, gone: Collection[str], there: Mapping[Key, Json]
) -> list[list[Steps]]:
    """Groups of steps, one group after the other; within one the objects do not wait for each other."""
    kinds = list(COPIED)
    named = {key_of(one) for one in copied}
    ended = [
        one
        for key, one in there.items()
        if "/".join(key) in gone and key not in named and key[0] != "ConfigMap"
    ]
    groups = [
        [_ended(one) for one in ended if one["kind"] == kind] for kind in reversed(kinds) if kind in COPIED
    ]
    for kind in kinds:
        ours = [one for one in copied if one["kind"] == kind]
        groups.append([tuple(_written(one, there=there.get(key_of(one)))) for one in ours])
    return [kept for group in groups if (kept := [steps for steps in group if steps])]


def status_there(body: Json, *, generation: int) -> Json:
    """The status of a Placement by the generation that it has here: what was decided for the newest spec
    still is."""
    status, was = dict(body.get("status", {})), int(body["metadata"].get("generation", 0))
    for name in ("decidedGeneration", "observedGeneration"):
        if name in status:
            status[name] = generation if status[name] == was else max(0, generation - 1)
    return status


def _written(one: Json, *, there: Json | None) -> Iterable[Step]:
    kind = str(one["kind"])
    if there is not None and _is_ending(there) and not _is_ending(one):
        # It was deleted here, and is there all the same by what the last leader knew: made anew.
        yield from _ended({**there, "kind": kind, "apiVersion": one["apiVersion"]})
        there = None
    if kind not in _OF_PEOPLE:
        yield from _ours(one, there=there)
    elif kind == "ClusterRegistration":
        yield from _registered(one, there=there)
    else:
        yield from _of_people(one, there=there)
    if _is_ending(one) and (there is None or not _is_ending(there)):
        yield Step(Act.DELETE, _named(one))


def _ours(one: Json, *, there: Json | None) -> Iterable[Step]:
    kind, body = one["kind"], _bare(one)
    finalizers = body["metadata"].pop("finalizers", [])
    if kind in ("Namespace", "ConfigMap"):
        # Others have their labels there, and what is noted in a ConfigMap stays beside what was noted here.
        if there is None or not _has(there, body):
            yield Step(Act.CREATE if there is None else Act.MERGE, body)
    elif there is None or _says(one) != _says(copied_of(kind, there)):
        yield Step(Act.APPLY, body, manager=HUB_MANAGER)
    if finalizers and (there is None or there["metadata"].get("finalizers") != finalizers):
        yield Step(Act.MERGE, {**_named(one), "metadata": {**_place(one), "finalizers": finalizers}})
    if one.get("status"):
        manager = WORK_MANAGER if kind == "Assignment" else AGENT_MANAGER
        yield Step(Act.TELL, {**_named(one), "status": one["status"]}, manager=manager)


def _registered(one: Json, *, there: Json | None) -> Iterable[Step]:
    body = _bare(one)
    body["metadata"]["annotations"] = {
        **body["metadata"].get("annotations", {}),
        ANNOTATION_FORMERLY: _formerly(one, there=there),
    }
    if there is not None and _is_another_keys(one, there=there):
        # Acceptance is not taken back: it was another cluster's, by a key that the last leader did not know.
        yield from _ended({**there, "kind": one["kind"], "apiVersion": one["apiVersion"]})
        there = None
    if there is None:
        yield Step(Act.CREATE, {**body, "spec": {**body["spec"], "accepted": False}})
        yield from _told(one)
        if body["spec"].get("accepted"):
            yield Step(Act.MERGE, {**_named(one), "spec": {"accepted": True}})
        return
    if _says(body) != _says(copied_of("ClusterRegistration", there)):
        yield Step(Act.REPLACE, _over(body, there=there))
    # A copy of before it was pinned unpins nothing.
    pin = {"id": _pin(there)} if _pin(there) and not _pin(one) else {}
    yield from _told({**one, "status": {**one.get("status", {}), **pin}})


def _is_another_keys(one: Json, *, there: Json) -> bool:
    return bool(_pin(one)) and _pin(there) not in ({}, _pin(one))


def _told(one: Json) -> Iterable[Step]:
    """Its status in the parts of those who write it."""
    status = dict(one.get("status", {}))
    for field, manager in (("agent", AGENT_MANAGER), ("standing", STANDING_MANAGER)):
        if part := status.pop(field, None):
            yield Step(Act.TELL, {**_named(one), "status": {field: part}}, manager=manager)
    if status:
        yield Step(Act.TELL, {**_named(one), "status": status}, manager=HUB_MANAGER)


def _of_people(one: Json, *, there: Json | None) -> Iterable[Step]:
    body = _bare(one)
    if there is None:
        yield Step(Act.CREATE, body)
    elif _says(one) != _says(copied_of(str(one["kind"]), there)):
        yield Step(Act.REPLACE, _over(body, there=there))
    if one["kind"] == "Placement":
        status = dict(one["status"])
        origin = {**_named(one), "status": {"origin": status.pop("origin")}}
        yield Step(Act.TELL, origin, manager=ORIGIN_MANAGER)
        if status:
            # With its generation there, by which `status_there` knows what the numbers mean.
            place = {**_place(one), "generation": one["metadata"].get("generation", 0)}
            told = {**_named(one), "metadata": place, "status": status}
            yield Step(Act.TELL, told, manager=HUB_MANAGER)


def _ended(one: Json) -> Steps:
    free = {**_named(one), "metadata": {**_place(one), "finalizers": None}}
    steps = (Step(Act.MERGE, free),) if one["metadata"].get("finalizers") else ()
    return (*steps, Step(Act.DELETE, _named(one)))


def _formerly(one: Json, *, there: Json | None) -> str:
    """The UIDs that it had, here and elsewhere, the latest last."""
    known = [uid for each in (there, one) if each is not None for uid in _former(each)]
    return ",".join([uid for uid in dict.fromkeys(known) if uid][-_KNOWN_UIDS:])


def _former(one: Json) -> list[str]:
    text = str(one["metadata"].get("annotations", {}).get(ANNOTATION_FORMERLY, ""))
    return [*(uid.strip() for uid in text.split(",")), str(one["metadata"].get("uid", ""))]


def _has(there: Json, wanted: Json) -> bool:
    """Whether all data, labels and annotations that are wanted are there."""
    pairs = [(there.get("data"), wanted.get("data"))]
    for name in ("labels", "annotations"):
        pairs.append((there["metadata"].get(name), wanted["metadata"].get(name)))
    return all((want or {}).items() <= (has or {}).items() for has, want in pairs)


def _pin(one: Json) -> Json:
    found = one.get("status", {}).get("id", {})
    return {name: value for name, value in found.items() if value}


def _is_ending(one: Json) -> bool:
    return bool(one["metadata"].get("deletionTimestamp"))


def _place(one: Json) -> Json:
    return {name: one["metadata"][name] for name in ("name", "namespace") if name in one["metadata"]}


def _named(one: Json) -> Json:
    return {"apiVersion": one["apiVersion"], "kind": one["kind"], "metadata": _place(one)}


def _bare(one: Json) -> Json:
    """As it is made: without a status and without what an API server writes."""
    meta = {
        name: value
        for name, value in one["metadata"].items()
        if name not in ("uid", "deletionTimestamp", "generation")
    }
    return {**{name: value for name, value in one.items() if name != "status"}, "metadata": meta}


def _over(body: Json, *, there: Json) -> Json:
    seen = there["metadata"]
    meta = {**body["metadata"], "resourceVersion": seen["resourceVersion"], "uid": seen["uid"]}
    return {**body, "metadata": meta}


def _says(one: Json) -> Json:
    """What two of them are compared by."""
    return {**_bare(one), "metadata": {k: v for k, v in _bare(one)["metadata"].items() if k != "finalizers"}}
