"""Which other objects an object names, kind by kind.

Pods name what their template names (`decide.gates` reads that for the member, too), an Ingress or a route its
Services, an export its Service, a Service its pods by their labels, a custom resource its definition and what
a ResourceInterpreter of the hub says. What is marked `optional`, and what every namespace has by itself, is
no reference.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from mesh_placement.decide.gates import Need, needs_of, needs_of_pod
from mesh_placement.decide.pod_templates import Json, at, items, pod_spec, pod_template, text
from mesh_placement.schedule.demand import storage_classes_of
from mesh_placement.schedule.envelope import Identity, Item
from mesh_placement.schedule.ruled import NO_RULES, Rules

_GATEWAY_API = "gateway.networking.k8s.io"
_IN_EVERY_NAMESPACE = (("ConfigMap", "kube-root-ca.crt"), ("ServiceAccount", "default"))


@dataclass(frozen=True, slots=True, order=True)
class Reference:
    """An object that another one names; with `data_key` it must have that key. `must` False: it comes along
    where it is, and nobody waits for it."""

    kind: str
    name: str
    namespace: str = ""
    group: str = ""
    data_key: str = ""
    must: bool = True

    @property
    def identity(self) -> Identity:
        """Of the object."""
        return self.group, self.kind, self.namespace, self.name

    def __str__(self) -> str:
        key = f"[{self.data_key}]" if self.data_key else ""
        return "/".join(part for part in (self.kind, self.namespace, self.name) if part) + key


def references_of(item: Item, rules: Rules = NO_RULES) -> tuple[Reference, ...]:
    """All that the object names, without repetition."""
    found = dict.fromkeys((*_by_pods(item), *_by_kind(item), *_by_rule(item, rules)))
    return tuple(one for one in found if (one.kind, one.name) not in _IN_EVERY_NAMESPACE)


def selects(service: Item, workload: Item) -> bool:
    """Whether the Service's selector fits the pods that the workload starts."""
    selector = at(service.manifest, "spec", "selector")
    if not selector or service.namespace != workload.namespace:
        return False
    template = pod_template(workload.manifest, kind=workload.one.kind)
    labels = at(template, "metadata", "labels")
    return bool(at(template, "spec")) and all(labels.get(name) == value for name, value in selector.items())


def has_key(manifest: Json, key: str) -> bool:
    """Whether a ConfigMap or Secret has that key."""
    return any(key in at(manifest, place) for place in ("data", "stringData", "binaryData"))


def _by_pods(item: Item) -> Iterator[Reference]:
    for need in needs_of(item.manifest, one=item.one, namespace=item.namespace):
        yield _needed(need)
    for name in storage_classes_of(item.manifest, kind=item.one.kind):
        yield Reference("StorageClass", name, group="storage.k8s.io")
    yield from _beside(pod_spec(item.manifest, kind=item.one.kind), item.namespace)


def _by_rule(item: Item, rules: Rules) -> Iterator[Reference]:
    if not item.namespace:
        return
    for kind, name in rules.named_by(item.manifest):
        yield Reference(kind, name, item.namespace)
    for template in rules.templates_of(item.manifest):
        pod = at(template, "spec")
        yield from map(_needed, needs_of_pod(pod, namespace=item.namespace))
        yield from _beside(pod, item.namespace)


def _needed(need: Need) -> Reference:
    group, _, _, kind, _ = need.kind.value
    return Reference(kind, need.name, need.namespace, group, need.data_key)


def _beside(pod: Json, namespace: str) -> Iterator[Reference]:
    """What a PodSpec names and no member waits for."""
    yield from _named(items(pod, "imagePullSecrets"), "Secret", namespace)
    if name := text(pod, "priorityClassName"):
        yield Reference("PriorityClass", name, group="scheduling.k8s.io")
    if name := text(pod, "runtimeClassName"):
        yield Reference("RuntimeClass", name, group="node.k8s.io")


def _by_kind(item: Item) -> Iterator[Reference]:
    spec, namespace = at(item.manifest, "spec"), item.namespace
    match item.one.group, item.one.kind:
        case "networking.k8s.io", "Ingress":
            yield from _of_ingress(spec, namespace)
        case group, kind if group == _GATEWAY_API and kind.endswith("Route"):
            yield from _of_route(spec, namespace)
        case "multicluster.x-k8s.io", "ServiceExport":
            yield Reference("Service", item.one.name, namespace)
        case "apps", "StatefulSet":
            if name := text(spec, "serviceName"):
                yield Reference("Service", name, namespace, must=False)
        case "", "ServiceAccount":
            yield from _named(items(item.manifest, "imagePullSecrets"), "Secret", namespace)


def _of_ingress(spec: Json, namespace: str) -> Iterator[Reference]:
    backends = [at(spec, "defaultBackend")]
    for rule in items(spec, "rules"):
        backends += [at(path, "backend") for path in items(at(rule, "http"), "paths")]
    yield from _named((at(backend, "service") for backend in backends), "Service", namespace)
    for row in items(spec, "tls"):
        if name := text(row, "secretName"):
            yield Reference("Secret", name, namespace)
    if name := text(spec, "ingressClassName"):
        yield Reference("IngressClass", name, group="networking.k8s.io")


def _of_route(spec: Json, namespace: str) -> Iterator[Reference]:
    for rule in items(spec, "rules"):
        mirrors = [at(one, "requestMirror", "backendRef") for one in items(rule, "filters")]
        for backend in (*items(rule, "backendRefs"), *mirrors):
            if text(backend, "group") == "" and backend.get("kind", "Service") == "Service":
                yield from _named([backend], "Service", text(backend, "namespace") or namespace)


def _named(places: Iterator[Json] | list[Json], kind: str, namespace: str) -> Iterator[Reference]:
    for place in places:
        if name := text(place, "name"):
            yield Reference(kind, name, namespace)
