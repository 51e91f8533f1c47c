"""An object of a cluster as a template: without what only that cluster could say of it.

What the API server, a controller or kubelet fills in belongs to one cluster: an address, a volume, a node,
who wrote which field. What a person wrote stays as it is. Annotations that carry the object again go too.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from mesh_placement.decide.manifests import without_cluster
from mesh_placement.decide.pod_templates import at
from mesh_placement.names import LABEL_DISTRIBUTED
from mesh_placement.objects import Manifest

_ANNOTATIONS: Final = (
    "control-plane.alpha.kubernetes.io/leader",
    "deployment.kubernetes.io/",
    "deprecated.daemonset.template.generation",
    "kubectl.kubernetes.io/last-applied-configuration",
    "placement.meshctl.dev/",
    "pv.kubernetes.io/",
    "volume.beta.kubernetes.io/storage-provisioner",
    "volume.kubernetes.io/",
)
_JOB_LABELS: Final = ("batch.kubernetes.io/controller-uid", "batch.kubernetes.io/job-name", "controller-uid")

_SIGNS: Final = ("startTime", "lastScheduleTime", "active", "readyReplicas", "replicas")
"""What controllers of Jobs, CronJobs and of what has replicas say first; observedGeneration says the rest."""


def template_of(found: Manifest) -> Manifest:
    """`found`, as it was read, as a person would have written it."""
    meta = without_cluster(found["metadata"])
    meta.pop("finalizers", None)
    _keep(meta, "annotations", lambda name: not name.startswith(_ANNOTATIONS))
    _keep(meta, "labels", lambda name: name != LABEL_DISTRIBUTED)
    body = {key: value for key, value in found.items() if key != "status"}
    clean = _BY_KIND.get((str(found.get("apiVersion")), str(found.get("kind"))))
    return {**(clean(body) if clean is not None else body), "metadata": meta}


def runs_here(found: Manifest) -> bool:
    """Whether somebody in the cluster that it was read in acts on it: then it is no template there."""
    status = at(found, "status")
    if found.get("kind") == "Pod":
        return bool(at(found, "spec").get("nodeName"))
    seen = status.get("observedGeneration")
    return (isinstance(seen, int) and seen > 0) or any(status.get(key) for key in _SIGNS)


def _keep(place: dict[str, Any], key: str, wanted: Callable[[str], bool]) -> None:
    """Of the map at `key` what is wanted; an empty one goes. Any: JSON."""
    there = place.pop(key, None)
    kept = {name: value for name, value in there.items() if wanted(name)} if isinstance(there, dict) else {}
    if kept:
        place[key] = kept


def _without(place: Mapping[str, Any], *keys: str) -> dict[str, Any]:
    return {key: value for key, value in place.items() if key not in keys}


def _service(body: Manifest) -> Manifest:
    spec = _without(at(body, "spec"), "clusterIPs", "healthCheckNodePort", "ipFamilies")
    if spec.get("clusterIP") != "None":
        spec.pop("clusterIP", None)
    ports = spec.get("ports")
    if isinstance(ports, list):
        spec["ports"] = [_without(one, "nodePort") if isinstance(one, Mapping) else one for one in ports]
    return {**body, "spec": spec}


def _claim(body: Manifest) -> Manifest:
    return {**body, "spec": _without(at(body, "spec"), "volumeName")}


def _account(body: Manifest) -> Manifest:
    return _without(body, "secrets")


def _job(body: Manifest) -> Manifest:
    """A Job's selector is made by its controller, unless somebody says that it is his."""
    spec = dict(at(body, "spec"))
    if spec.get("manualSelector") is not True:
        spec.pop("selector", None)
        template, meta = dict(at(spec, "template")), dict(at(spec, "template", "metadata"))
        _keep(meta, "labels", lambda name: name not in (*_JOB_LABELS, "job-name"))
        spec["template"] = {**_without(template, "metadata"), **({"metadata": meta} if meta else {})}
    return {**body, "spec": spec}


def _pod(body: Manifest) -> Manifest:
    """Admission gives each pod a volume for its token, and the scheduler a node."""
    spec = _without(at(body, "spec"), "nodeName")
    for key in ("containers", "initContainers"):
        if isinstance(spec.get(key), list):
            spec[key] = [_without_token(one, "volumeMounts") for one in spec[key]]
    return {**body, "spec": _without_token(spec, "volumes")}


def _without_token(place: Mapping[str, Any], key: str) -> dict[str, Any]:
    found = dict(place)
    if isinstance(found.get(key), list):
        found[key] = [
            one for one in found[key] if not str(one.get("name", "")).startswith("kube-api-access-")
        ]
    return found


_BY_KIND: Final[Mapping[tuple[str, str], Callable[[Manifest], Manifest]]] = {
    ("v1", "Service"): _service,
    ("v1", "PersistentVolumeClaim"): _claim,
    ("v1", "ServiceAccount"): _account,
    ("v1", "Pod"): _pod,
    ("batch/v1", "Job"): _job,
}
