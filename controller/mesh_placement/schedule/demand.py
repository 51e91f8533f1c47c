"""What a placement brings and needs, out of its manifests.

1. Kinds with a count (Deployment, StatefulSet, ReplicaSet, and custom resources that say `spec.replicas`) are
   counted, their pods are those of `spec.template`. Delivery gives each of them the same count, so where
   replicas are divided one replica is a pod of each, and there are as many as the largest count says.
2. Duplicated as they are written, the largest of them is counted; the pods of the others come once, beside.
3. Pods of a Job (as many as run at a time) and single Pods come once. Those of a CronJob come and go, those
   of a DaemonSet are each node's own: neither is counted.
4. What is limited and not requested is requested as much, as the API server has it.
5. Pods beside of very many sizes are counted as of fewer, larger ones: never too little.
6. Where a rule or a plug-in knows the kind (`interpreting`), its pods are those that it says: as they are
   written, but for the one component that it has divided.

One replica of several pods is counted as if all of them were on one node: never too much.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from mesh_placement.decide.capacity import ask_of
from mesh_placement.decide.overrides import has_replicas
from mesh_placement.decide.pod_templates import Json, at, items, pod_spec, text
from mesh_placement.objects import Manifest
from mesh_placement.objects.member import PodUse
from mesh_placement.objects.placing import Replicas
from mesh_placement.schedule.envelope import DEFAULT_NAMESPACE, Item, definitions_of, items_of
from mesh_placement.schedule.interpreting import Interpreter, components_of
from mesh_placement.schedule.snapshot import Beside, Demand

_MCS = "multicluster.x-k8s.io"
_MOST_REPLICAS = 2**31 - 1
"""The API server takes no more; a custom resource may say what it likes."""
_MOST_AMOUNT = 2**60
"""Thousandths: more than any cluster has, and few enough for sums of them to be stored."""
MOST_SIZES = 16
"""Of pods beside. Each is compared with all that is reserved, in every cluster: a Placement may bring 256
Jobs, no two alike, and a hub has many Placements."""
_NEVER_COUNTED = (("apps", "DaemonSet"), ("batch", "CronJob"))


@dataclass(frozen=True, slots=True)
class _Pods:
    """What one object starts: `count` pods; `counted`: their number is the placement's to divide."""

    count: int
    request: dict[str, int]
    counted: bool


def demand_of(
    manifests: Iterable[Manifest],
    *,
    replicas: Replicas,
    namespace: str = DEFAULT_NAMESPACE,
    pinned: Sequence[str] = (),
    interpreters: Sequence[Interpreter] = (),
) -> Demand:
    """The demand of all manifests together; who has no name is left out, delivery tells of it.

    `namespace` is where those go that say none, `pinned` are the clusters that have its volumes.
    """
    objects = items_of(manifests, namespace=namespace)
    count, request, beside = _counted(objects, replicas=replicas, interpreters=interpreters)
    brings = {item.one.name for item in objects if (item.one.group, item.one.kind) == ("", "Namespace")}
    classes = {name for item in objects for name in storage_classes_of(item.manifest, kind=item.one.kind)}
    made = {item.one.name for item in objects if item.one.kind == "StorageClass"}
    exports = {f"{item.namespace}/{item.one.name}" for item in objects if _is_export(item)}
    return Demand(
        replicas=count,
        request=request,
        apis=_apis(objects),
        namespaces=tuple(sorted({item.namespace for item in objects if item.namespace} - brings)),
        brings_namespaces=tuple(sorted(brings)),
        storage_classes=tuple(sorted(classes - made)),
        pinned=tuple(sorted(pinned)),
        exports=tuple(sorted(exports)),
        beside=beside,
    )


def storage_classes_of(manifest: Json, *, kind: str) -> Iterable[str]:
    """StorageClasses that an object names: of a claim, of claims made of templates, of ephemeral volumes."""
    claims = [manifest] if kind == "PersistentVolumeClaim" else []
    claims += items(at(manifest, "spec"), "volumeClaimTemplates")
    for volume in items(pod_spec(manifest, kind=kind), "volumes"):
        claims.append(at(volume, "ephemeral", "volumeClaimTemplate"))
    for claim in claims:
        name = text(at(claim, "spec"), "storageClassName")
        if name:
            yield name


def _counted(
    objects: Iterable[Item], *, replicas: Replicas, interpreters: Sequence[Interpreter]
) -> tuple[int | None, dict[str, int], tuple[Beside, ...]]:
    """Replicas, what one of them asks for, and the pods beside."""
    every = [found for item in objects for found in _pods_of(item, interpreters)]
    counted = [one for one in every if one.counted]
    if replicas.policy == "Divide" or replicas.count is not None:
        if not counted:
            return None, {}, _beside(every)
        request: dict[str, int] = {}
        for one in counted:
            for name, amount in one.request.items():
                request[name] = min(_MOST_AMOUNT, request.get(name, 0) + amount)
        return max(one.count for one in counted), request, _beside(one for one in every if not one.counted)
    if not every:
        return None, {}, ()
    main = max(counted or every, key=lambda one: one.count)
    return main.count, main.request, _beside(one for one in every if one is not main)


def _beside(pods: Iterable[_Pods]) -> tuple[Beside, ...]:
    """Equal pods together; of more than `MOST_SIZES` sizes neighbours count as what covers them."""
    counts: dict[tuple[tuple[str, int], ...], int] = {}
    for one in pods:
        if one.request and one.count:
            size = tuple(one.request.items())
            counts[size] = counts.get(size, 0) + one.count
    sizes = list(counts)
    if len(sizes) > MOST_SIZES:
        sizes.sort()
    run = -(-len(sizes) // MOST_SIZES)
    return tuple(
        Beside(_covering(sizes[first : first + run]), sum(counts[one] for one in sizes[first : first + run]))
        for first in range(0, len(sizes), max(1, run))
    )


def _covering(sizes: Iterable[tuple[tuple[str, int], ...]]) -> dict[str, int]:
    """The most of each resource that one of them asks for."""
    most: dict[str, int] = {}
    for size in sizes:
        for name, amount in size:
            most[name] = max(most.get(name, 0), amount)
    return most


def _pods_of(item: Item, interpreters: Sequence[Interpreter]) -> tuple[_Pods, ...]:
    """What the object starts: by rule 6, else by the conventions."""
    told = components_of(item.manifest, interpreters)
    if told is None:
        found = _pods_by_convention(item)
        return () if found is None else (found,)
    return tuple(
        _Pods(min(_MOST_REPLICAS, max(0, one.count)), _request(pod), counted=one.divided)
        for one in told
        if items(pod := at(one.template, "spec"), "containers")
    )


def _pods_by_convention(item: Item) -> _Pods | None:
    """None where it starts nothing that is counted."""
    manifest, kind = item.manifest, item.one.kind
    if (item.one.group, kind) in _NEVER_COUNTED:
        return None
    pod = pod_spec(manifest, kind=kind)
    request = _request(pod) if items(pod, "containers") else {}
    spec = at(manifest, "spec")
    if has_replicas(manifest, one=item.one):
        return _Pods(_whole(spec, "replicas", 1), request, counted=True)
    if not request:
        return None
    if (item.one.group, kind) == ("batch", "Job"):
        at_a_time = _whole(spec, "parallelism", 1)
        count = 0 if spec.get("suspend") is True else min(at_a_time, _whole(spec, "completions", at_a_time))
        return _Pods(count, request, counted=False)
    return _Pods(1, request, counted=False)


def _request(pod: Json) -> dict[str, int]:
    """What one pod of the template asks for; a pod where nobody can read what."""
    body = dict(pod)
    for key in ("containers", "initContainers"):
        body[key] = [{**one, "resources": _requests(at(one, "resources"))} for one in items(pod, key)]
    if "resources" in pod:
        body["resources"] = _requests(at(pod, "resources"))
    try:
        use = msgspec.convert({"metadata": {}, "spec": body}, PodUse)
    except msgspec.ValidationError:
        use = msgspec.convert({"metadata": {}}, PodUse)
    amounts = ask_of(use).amounts
    return {name: min(_MOST_AMOUNT, amount) for name, amount in sorted(amounts.items()) if amount}


def _requests(resources: Json) -> Mapping[str, object]:
    """Rule 4. Numbers stand for their text, as in YAML."""
    asked = {**at(resources, "limits"), **at(resources, "requests")}
    return {"requests": {name: str(amount) for name, amount in asked.items()}}


def _whole(place: Json, key: str, default: int) -> int:
    found = place.get(key)
    return min(_MOST_REPLICAS, max(0, found)) if isinstance(found, int) else default


def _apis(objects: Sequence[Item]) -> tuple[str, ...]:
    """Group versions that a cluster must serve before anything is applied."""
    definitions = definitions_of([(item.one, item.manifest) for item in objects])
    needed: set[str] = set()
    for item in objects:
        definition = definitions.get((item.one.group, item.one.kind))
        if definition is None or item.one.version not in definition.versions:
            needed.add(item.one.api_version)
    return tuple(sorted(needed))


def _is_export(item: Item) -> bool:
    return (item.one.group, item.one.kind) == (_MCS, "ServiceExport")
