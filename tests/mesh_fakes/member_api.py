"""The API server of a member cluster, in memory: what our loops meet there beside plain storage.

To `FakeApiServer` it adds what the API server does to Services (cluster IPs, defaults), namespaces that
must exist and not be terminating, generations, writes that change nothing, server-side apply that takes
back what its manager no longer says, and PUT. Faults are given as `refuse`.
"""

import json
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

import msgspec

from mesh_core.import_view import Left
from mesh_core.objects import KubernetesObject
from mesh_core.plan import Apply, Create, Delete, Kind, Patch, Plan, Rest, Step
from mesh_fakes.api_server import FakeApiServer, Item, _selected, _Target
from mesh_runtime.kube import (
    ENDPOINT_SLICES,
    IMPORTED_RECORDS,
    IMPORTED_SHARDS,
    MESH_PEERS,
    NAMESPACES,
    SERVICE_EXPORTS,
    SERVICE_IMPORTS,
    SERVICES,
    TRUST_BUNDLES,
    ApiError,
    Resource,
)
from mesh_runtime.kube.client import Body

T = TypeVar("T", bound=KubernetesObject)

# Any: resources of several types.
RESOURCES: Mapping[Kind, Resource[Any]] = {
    Kind.SERVICE_EXPORT: SERVICE_EXPORTS,
    Kind.SERVICE_IMPORT: SERVICE_IMPORTS,
    Kind.SERVICE: SERVICES,
    Kind.ENDPOINT_SLICE: ENDPOINT_SLICES,
    Kind.IMPORTED_RECORD: IMPORTED_RECORDS,
    Kind.IMPORTED_SHARD: IMPORTED_SHARDS,
    Kind.MESH_PEER: MESH_PEERS,
    Kind.TRUST_BUNDLE: TRUST_BUNDLES,
}


@dataclass(slots=True)
class MemberApi(FakeApiServer):
    """An API server with namespaces of its own making and a Service range of 250 addresses."""

    service_range: str = "10.96.0"
    faults: list[Callable[[str, str], ApiError | None]] = field(default_factory=list)
    """Asked with method and path (collection/namespace/name) before every request."""
    _said: dict[tuple[object, str], Item] = field(default_factory=dict)
    _next_ip: int = 10
    _breaks: int = 0
    _manager: str = ""

    def answer(
        self, username: str, method: str, target: _Target, *, params: Mapping[str, str], body: Body | None
    ) -> Item:
        for fault in tuple(self.faults):
            error = fault(method, "/".join(part for part in target.key if part))
            if error is not None:
                raise error
        self._manager = params.get("fieldManager", "")
        if method == "PUT":
            self.requests.append((username, method, "/".join(part for part in target.key if part)))
            return self._replace(target, _copy(body or {}))
        return super(MemberApi, self).answer(username, method, target, params=params, body=body)

    def namespace(self, name: str, *, phase: str = "Active", uid: str = "") -> None:
        """A namespace, made or changed."""
        target = place(NAMESPACES, name)
        old = self._objects.get(target.key)
        if old is not None:
            self._store(target, {**old, "status": {"phase": phase}}, kind="MODIFIED")
            return
        made = self._create("admin", target, {"metadata": {"name": name}, "status": {"phase": phase}})
        made["metadata"]["uid"] = uid or made["metadata"]["uid"]

    def remove_namespace(self, name: str) -> None:
        """A namespace goes, and everything in it."""
        for key in [key for key in self._objects if key[1] == name]:
            self._delete(_Target(*key, ""), {})
        self.remove(NAMESPACES, name)

    def put(self, resource: Resource[T], body: Body) -> T:
        """Somebody else's object: made or merged, status and all; then what it became."""
        meta = body["metadata"]
        target = place(resource, str(meta["name"]), namespace=str(meta.get("namespace", "")))
        if target.key in self._objects:
            item = self._write(target, _merged(self._objects[target.key], _copy(body)))
        else:
            item = self._create("user", target, _copy(body))
        return msgspec.convert(item, resource.type)

    def remove(self, resource: Resource[T], name: str, *, namespace: str = "") -> None:
        """Somebody deletes an object."""
        self._delete(place(resource, name, namespace=namespace), {})

    def find(self, resource: Resource[T], name: str, *, namespace: str = "") -> T | None:
        """An object as it is."""
        item = self._objects.get(place(resource, name, namespace=namespace).key)
        return None if item is None else msgspec.convert(item, resource.type)

    def all(self, resource: Resource[T]) -> list[T]:
        """All objects of a resource, by namespace and name."""
        collection = resource.collection()
        return [
            msgspec.convert(item, resource.type)
            for (found, _, _), item in sorted(self._objects.items())
            if found == collection
        ]

    def versions(self, *, without: tuple[str, ...] = ("leases",)) -> dict[str, str]:
        """resourceVersion of every object, to see whether anything changed."""
        return {
            "/".join(key): str(item["metadata"]["resourceVersion"])
            for key, item in sorted(self._objects.items())
            if not key[0].endswith(without)
        }

    def write(self, plan: Plan) -> tuple[Left, ...]:
        """Apply a plan as the controller would; what it left. Ports to rest are nobody's business here."""
        return tuple(left for step in plan if (left := self._step(step)) is not None)

    def break_watches(self) -> None:
        """Every running watch ends as if the connection had broken."""
        self._breaks += 1
        self._wake()

    async def follow(self, target: _Target, *, params: Mapping[str, str]) -> AsyncIterator[bytes]:
        """The lines of a watch, until the server stops or watches are broken."""
        version, breaks = int(params.get("resourceVersion") or 0), self._breaks
        while not self.is_down and breaks == self._breaks:
            changed = self._changed
            for event in [event for event in self._events if event.version > version]:
                version = event.version
                if event.collection != target.collection:
                    continue
                kind = event.kind
                if not _selected(event.item, target, params):
                    if kind != "MODIFIED" or "fieldSelector" not in params:
                        continue
                    kind = "DELETED"  # it left what was selected, or was never in it
                yield json.dumps({"type": kind, "object": event.item}).encode() + b"\n"
            await changed.wait()

    def _step(self, step: Step) -> Left | None:
        match step:
            case Create(kind=kind, body=body):
                meta = body["metadata"]
                target = place(RESOURCES[kind], meta["name"], namespace=meta.get("namespace", ""))
                return _left(kind, self.answer("us", "POST", target, params={}, body=body))
            case Patch(kind=kind, namespace=namespace, name=name, body=body, version=version):
                guard = {"resourceVersion": version} if version else {}
                body = {**body, "metadata": {**body.get("metadata", {}), **guard}}
                target = place(RESOURCES[kind], name, namespace=namespace, subresource=step.subresource)
                return _left(kind, self.answer("us", "PATCH", target, params={}, body=body))
            case Apply(kind=kind, body=body, manager=manager):
                meta = body["metadata"]
                target = place(
                    RESOURCES[kind],
                    meta["name"],
                    namespace=meta.get("namespace", ""),
                    subresource=step.subresource,
                )
                params = {"fieldManager": manager}
                applied = self.answer("us", "PATCH", target, params=params, body={**body, "kind": kind.value})
                return _left(kind, applied)
            case Delete(kind=kind, namespace=namespace, name=name, uid=uid):
                target = place(RESOURCES[kind], name, namespace=namespace)
                self.answer("us", "DELETE", target, params={}, body={"preconditions": {"uid": uid}})
                return kind, namespace, name, None
            case Rest():
                return None

    def _create(self, username: str, target: _Target, item: Item) -> Item:
        said, namespace = _copy(item), item["metadata"].get("namespace", "")
        if namespace:
            home = self._objects.get(("/api/v1/namespaces", "", namespace))
            if home is None:
                raise ApiError(status=404, reason="NotFound", message=f"namespace {namespace} not found")
            if home["status"]["phase"] == "Terminating":
                raise ApiError(status=403, reason="Forbidden", message=f"{namespace} is being terminated")
        item["metadata"]["generation"] = 1
        if target.collection == "/api/v1/services":
            self._default_service(item)
        target = _Target(target.collection, namespace, "", "")
        created = super(MemberApi, self)._create(username, target, item)
        target = _Target(target.collection, namespace, created["metadata"]["name"], "")
        if self._manager:
            self._said[(*target.key, ""), self._manager] = said
        return created

    def _patch(self, username: str, target: _Target, body: Item, *, manager: str) -> Item:
        if target.key not in self._objects and body.get("kind") and not target.subresource:
            return self._create(username, target, _copy(body))
        old = self._get(target)
        wanted = body.get("metadata", {}).get("resourceVersion")
        if wanted is not None and wanted != old["metadata"]["resourceVersion"]:
            raise ApiError(status=409, reason="Conflict", message="the object has been modified")
        change = _copy({key: value for key, value in body.items() if key not in ("kind", "apiVersion")})
        if self._manager:
            key = ((*target.key, target.subresource), self._manager)
            before = self._said.get(key, {})
            self._said[key] = _copy(change)
            change = _with_entries_of_others(old, before=before, change=change)
            change = _merged(_leavings(before, change), change)
        if target.subresource:
            change = {"status": change.get("status", {})}
        else:
            change.pop("status", None)
        return self._write(target, _merged(old, change))

    def _replace(self, target: _Target, body: Item) -> Item:
        old = self._get(target)
        if body["metadata"].get("resourceVersion", "") not in ("", old["metadata"]["resourceVersion"]):
            raise ApiError(status=409, reason="Conflict", message="the object has been modified")
        return self._write(target, {**body, "metadata": {**old["metadata"], **body["metadata"]}})

    def _write(self, target: _Target, new: Item) -> Item:
        """Store `new` unless it is what is there."""
        old = self._objects[target.key]
        meta = {key: value for key, value in new["metadata"].items() if key != "resourceVersion"}
        new = {**new, "metadata": meta}
        if new.get("spec") != old.get("spec"):
            meta["generation"] = int(old["metadata"].get("generation", 0)) + 1
        if target.collection == "/api/v1/services":
            self._default_service(new)
        if {**new, "metadata": {**meta, "resourceVersion": old["metadata"]["resourceVersion"]}} == old:
            return old
        return self._store(target, new, kind="MODIFIED")

    def _default_service(self, item: Item) -> None:
        spec = item.setdefault("spec", {})
        spec.setdefault("type", "ClusterIP")
        spec.setdefault("sessionAffinity", "None")
        spec.setdefault("internalTrafficPolicy", "Cluster")
        for port in spec.get("ports", ()):
            port.setdefault("protocol", "TCP")
        if spec["type"] == "ExternalName":
            return
        taken = {ip for ip in self._cluster_ips(but=item["metadata"])}
        if spec.get("clusterIP") in taken - {"None"}:
            raise ApiError(status=422, reason="Invalid", message="the clusterIP is already allocated")
        if not spec.get("clusterIP"):
            while f"{self.service_range}.{self._next_ip}" in taken:
                self._next_ip += 1
            spec["clusterIP"] = f"{self.service_range}.{self._next_ip}"
            self._next_ip += 1
        spec.setdefault("clusterIPs", [spec["clusterIP"]])
        spec.setdefault("ipFamilies", ["IPv4"])

    def _cluster_ips(self, *, but: Mapping[str, Any]) -> Iterator[str]:
        for (collection, namespace, name), item in self._objects.items():
            if collection == "/api/v1/services" and (namespace, name) != (but.get("namespace"), but["name"]):
                yield from item["spec"].get("clusterIPs", ())


def place(resource: Resource[T], name: str, *, namespace: str = "", subresource: str = "") -> _Target:
    """Where an object lies in the fake."""
    return _Target(resource.collection(), namespace if resource.namespaced else "", name, subresource)


def _left(kind: Kind, item: Item) -> Left:
    meta = item["metadata"]
    return (
        kind,
        str(meta.get("namespace", "")),
        str(meta["name"]),
        msgspec.convert(item, RESOURCES[kind].type),
    )


def _copy(body: Body) -> Item:
    return cast(Item, json.loads(json.dumps(body)))


def _with_entries_of_others(old: Item, *, before: Item, change: Item) -> Item:
    """Lists by key in a status: the entries of other managers stay beside the ones applied."""
    for name, key in (("conditions", "type"), ("gateways", "address"), ("results", "gateway")):
        applied, said = (item.get("status", {}).get(name) for item in (change, before))
        if applied is None and said is None:
            continue
        given_up = {one[key] for one in said or ()}
        found = {one[key]: one for one in old.get("status", {}).get(name, ())}
        kept = {value: one for value, one in found.items() if value not in given_up}
        entries = list({**kept, **{one[key]: one for one in applied or ()}}.values())
        change = {**change, "status": {**change.get("status", {}), name: entries}}
    return change


def _leavings(before: Item, after: Item) -> Item:
    """A merge patch that takes back what `before` said and `after` does not."""
    taken: Item = {key: None for key in before if key not in after and key not in ("metadata", "kind")}
    for key, value in after.items():
        old = before.get(key)
        if isinstance(value, dict) and isinstance(old, dict):
            taken[key] = _leavings(old, value)
    return taken


def _merged(old: Item, change: Item) -> Item:
    """RFC 7396."""
    result = dict(old)
    for name, value in change.items():
        if value is None:
            result.pop(name, None)
        elif isinstance(value, dict):
            below = result.get(name)
            result[name] = _merged(below if isinstance(below, dict) else {}, value)
        else:
            result[name] = value
    return result
