"""An API server that only keeps objects: for commands, which a test starts as a person would.

It stands in a thread of its own, because a command brings its own event loop. It knows no schema: an apply
merges maps and replaces lists, and a write that changes nothing changes no resourceVersion. What a
controller would do is given as reactions; faults are given as refusals.
"""

import asyncio
import copy
import dataclasses
import json
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from aiohttp import web

from mesh_fakes.pod_channels import PodServer

# An object of the API, as JSON: whatever fields its kind has.
Object = dict[str, Any]
Reaction = Callable[["ObjectServer", Object], None]

KINDS = {
    "v1": "namespaces nodes=false services configmaps serviceaccounts pods secrets",
    "apps/v1": "deployments replicasets",
    "discovery.k8s.io/v1": "endpointslices",
    "multicluster.x-k8s.io/v1beta1": "serviceexports serviceimports",
    "about.k8s.io/v1beta1": "clusterproperties",
    "meshctl.dev/v1alpha1": "meshpeers trustbundles importedrecords importedshards serviceprobes",
    "policy/v1": "poddisruptionbudgets",
    "networking.k8s.io/v1": "networkpolicies",
    "coordination.k8s.io/v1": "leases",
    "rbac.authorization.k8s.io/v1": "roles rolebindings clusterroles=false clusterrolebindings=false",
    "apiextensions.k8s.io/v1": "customresourcedefinitions=false",
    "certificates.k8s.io/v1": "certificatesigningrequests=false",
    "admissionregistration.k8s.io/v1": "validatingadmissionpolicies validatingadmissionpolicybindings",
    "apiregistration.k8s.io/v1": "apiservices",
    "placement.meshctl.dev/v1alpha1": (
        "clustersets clusterregistrations clusterclaims clustercapacities clusterlinks assignments"
    ),
    "multicluster.x-k8s.io/v1alpha1": "works",
}
SPELLING = {
    "replicasets": "ReplicaSet",
    "endpointslices": "EndpointSlice",
    "serviceexports": "ServiceExport",
    "serviceimports": "ServiceImport",
    "clusterproperties": "ClusterProperty",
    "meshpeers": "MeshPeer",
    "trustbundles": "TrustBundle",
    "importedrecords": "ImportedRecord",
    "importedshards": "ImportedShard",
    "serviceprobes": "ServiceProbe",
    "configmaps": "ConfigMap",
    "networkpolicies": "NetworkPolicy",
    "serviceaccounts": "ServiceAccount",
    "poddisruptionbudgets": "PodDisruptionBudget",
    "rolebindings": "RoleBinding",
    "clusterroles": "ClusterRole",
    "clusterrolebindings": "ClusterRoleBinding",
    "customresourcedefinitions": "CustomResourceDefinition",
    "certificatesigningrequests": "CertificateSigningRequest",
    "validatingadmissionpolicies": "ValidatingAdmissionPolicy",
    "validatingadmissionpolicybindings": "ValidatingAdmissionPolicyBinding",
    "apiservices": "APIService",
    "clustersets": "ClusterSet",
    "clusterregistrations": "ClusterRegistration",
    "clusterclaims": "ClusterClaim",
    "clustercapacities": "ClusterCapacity",
    "clusterlinks": "ClusterLink",
}
CLUSTER_WIDE = {"namespaces", "nodes", "clusterroles", "clusterrolebindings", "clusterproperties"} | {
    "customresourcedefinitions",
    "certificatesigningrequests",
    "meshpeers",
    "trustbundles",
    "validatingadmissionpolicies",
    "validatingadmissionpolicybindings",
    "apiservices",
    "clustersets",
    "clusterregistrations",
    "clusterclaims",
}


@dataclass(frozen=True, slots=True)
class Place:
    """Where an object lies: "v1", "services", namespace and name ("" where there is none)."""

    version: str
    plural: str
    namespace: str
    name: str


@dataclass(slots=True)
class ObjectServer:
    """The objects, what happened to them in order, and how to misbehave."""

    objects: dict[Place, Object] = field(default_factory=dict)
    reactions: list[Reaction] = field(default_factory=list)
    farewells: list[Callable[[str], None]] = field(default_factory=list)
    """Told the plural of each object that was deleted."""
    refusals: dict[tuple[str, str], tuple[int, str]] = field(default_factory=dict)
    """(method, plural) to (HTTP status, reason)."""
    proxied: dict[str, bytes] = field(default_factory=dict)
    """Path to what a pod answers there, through the API server, or to its log; else it does not answer."""
    taken_addresses: set[str] = field(default_factory=set)
    """ClusterIPs that nobody is given."""
    pods: PodServer = field(default_factory=PodServer)
    """What pods do whom somebody comes into by exec or port-forward."""
    url: str = ""
    listed: list[str] = field(default_factory=list)
    """The plural of each LIST, in order."""
    _events: list[tuple[int, str, Place, Object]] = field(default_factory=list)
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def put(self, version: str, plural: str, body: Mapping[str, Any]) -> Object:
        """Create or merge, as an apply does, and let the reactions follow."""
        meta = body["metadata"]
        namespace = "" if plural in CLUSTER_WIDE else str(meta.get("namespace", ""))
        place = Place(version, plural, namespace, str(meta["name"]))
        with self._lock:
            return self._store(place, dict(body))

    def find(self, plural: str, name: str) -> Object | None:
        """The one object of that kind and name, in whatever namespace."""
        found = [item for at, item in self.objects.items() if (at.plural, at.name) == (plural, name)]
        assert len(found) <= 1, f"{plural}/{name} in several namespaces"
        return found[0] if found else None

    def get(self, plural: str, name: str) -> Object:
        """The object, which must be there."""
        found = self.find(plural, name)
        assert found is not None, f"no {plural}/{name}"
        return found

    def remove(self, plural: str, name: str) -> None:
        """Delete an object; a namespace with all that is in it."""
        with self._lock:
            for at in [at for at in self.objects if (at.plural, at.name) == (plural, name)]:
                self._drop(at)

    def _drop(self, at: Place) -> None:
        item = self.objects.pop(at)
        self._events.append((len(self._events) + 1, "DELETED", at, item))
        for tell in self.farewells:
            tell(at.plural)
        if at.plural == "namespaces":
            for inside in [one for one in self.objects if one.namespace == at.name]:
                self._drop(inside)

    def versions(self) -> dict[str, str]:
        """resourceVersion of each object, to see whether anything changed."""
        return {
            f"{at.plural}/{at.namespace}/{at.name}": item["metadata"]["resourceVersion"]
            for at, item in self.objects.items()
        }

    def _store(self, place: Place, body: Object) -> Object:
        old = self.objects.get(place)
        new = _merged(old or {}, body)
        meta = new["metadata"]
        meta.setdefault("uid", f"uid-{place.plural}-{place.name}")
        meta.setdefault("creationTimestamp", "2026-01-01T00:00:00Z")
        if old is not None and new == old:
            return old
        if old is None or old.get("spec") != new.get("spec"):
            meta["generation"] = int(meta.get("generation", 0)) + 1
        version = len(self._events) + 1
        meta["resourceVersion"] = str(version)
        if place.namespace:
            meta["namespace"] = place.namespace
        self.objects[place] = new
        self._events.append((version, "ADDED" if old is None else "MODIFIED", place, copy.deepcopy(new)))
        for react in self.reactions:
            react(self, new)
        return self.objects[place]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Any request."""
        parts = request.path.strip("/").split("/")
        if parts == ["version"]:
            return web.json_response({"gitVersion": "v1.99.0"})
        if "proxy" in parts or (parts[-1] == "log" and parts[-3] == "pods"):
            page = self.proxied.get(request.path)
            return web.Response(body=page) if page is not None else _status(503, "ServiceUnavailable")
        if parts[-1] in {"exec", "portforward"}:
            return await self.pods.handle(request)
        if parts == ["apis"]:
            return web.json_response({"groups": [_group(one) for one in sorted(KINDS) if "/" in one]})
        version = parts[1] if parts[0] == "api" else "/".join(parts[1:3])
        rest = parts[2:] if parts[0] == "api" else parts[3:]
        if not rest:
            return web.json_response({"resources": self._kinds(version)})
        namespace = ""
        if rest[0] == "namespaces" and len(rest) > 2 and rest[2] != "status":
            namespace, rest = rest[1], rest[2:]
        place = Place(version, rest[0], namespace, rest[1] if len(rest) > 1 else "")
        refused = self.refusals.get((request.method, place.plural))
        if refused is not None:
            return _status(*refused)
        if not place.name and request.method == "GET":
            return await self._collection(request, place)
        if request.method == "POST":
            return await self._create(request, place)
        return await self._object(request, place)

    async def _create(self, request: web.Request, place: Place) -> web.StreamResponse:
        body = await request.json()
        place = dataclasses.replace(place, name=body["metadata"]["name"])
        with self._lock:
            if place in self.objects:
                return _status(409, "AlreadyExists")
            return web.json_response(self._store(place, body), status=201)

    async def _collection(self, request: web.Request, place: Place) -> web.StreamResponse:
        wanted = dict(part.split("=") for part in request.query.get("fieldSelector", "").split(",") if part)
        if "watch" in request.query:
            return await self._watch(request, place, wanted)
        self.listed.append(place.plural)
        with self._lock:
            if place.version not in {at.version for at in self.objects} and place.version not in KINDS:
                return _status(404, "NotFound")
            found = [item for at, item in self.objects.items() if _selected(at, item, place, wanted)]
            wished = [part for part in request.query.get("labelSelector", "").split(",") if part]
            items = [item for item in found if all(_is_labelled(item, part) for part in wished)]
            page = {"metadata": {"resourceVersion": str(len(self._events))}, "items": items}
            return web.json_response(page)

    async def _watch(
        self, request: web.Request, place: Place, wanted: Mapping[str, str]
    ) -> web.StreamResponse:
        response = web.StreamResponse()
        sent = int(request.query["resourceVersion"])
        with suppress(ConnectionError):
            await response.prepare(request)
            while request.transport is not None and not request.transport.is_closing():
                sent = await self._send_events(response, place, wanted, since=sent)
                # The events come from other threads, so this one looks; no test waits on it for long.
                await asyncio.sleep(0.01)
        return response

    async def _send_events(
        self, response: web.StreamResponse, place: Place, wanted: Mapping[str, str], *, since: int
    ) -> int:
        for version, kind, at, item in self._events[since:]:
            since = version
            if _selected(at, item, place, wanted):
                await response.write(json.dumps({"type": kind, "object": item}).encode() + b"\n")
        return since

    async def _object(self, request: web.Request, place: Place) -> web.StreamResponse:
        with self._lock:
            old = self.objects.get(place)
            if request.method == "GET":
                return web.json_response(old) if old else _status(404, "NotFound")
        body = await request.json()
        if request.method == "DELETE":
            return self._delete(place, body.get("preconditions", {}))
        is_apply = "apply-patch" in request.content_type
        if old is None and not is_apply:
            return _status(404, "NotFound")
        version = body["metadata"].pop("resourceVersion", None) if "metadata" in body else None
        with self._lock:
            if old is not None and version not in (None, old["metadata"]["resourceVersion"]):
                return _status(409, "Conflict")
            if body.get("spec", {}).get("clusterIP") in self.taken_addresses:
                return _status(422, "Invalid")
            if is_apply:
                _note_author(old, body, manager=request.query["fieldManager"])
            return web.json_response(self._store(place, body))

    def _delete(self, place: Place, wanted: Mapping[str, str]) -> web.Response:
        with self._lock:
            old = self.objects.get(place)
            if old is None:
                return _status(404, "NotFound")
            meta = old["metadata"]
            if any(meta[name] != value for name, value in wanted.items()):
                return _status(409, "Conflict")
            if meta.get("finalizers"):
                self._store(place, {"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}})
            else:
                self._drop(place)
        return web.json_response({"kind": "Status", "status": "Success"})

    def _kinds(self, version: str) -> list[Mapping[str, Any]]:
        listed = [word.partition("=") for word in KINDS.get(version, "").split()]
        return [
            {
                "name": plural,
                "kind": SPELLING.get(plural, plural.removesuffix("s").capitalize()),
                "namespaced": plural not in CLUSTER_WIDE,
                "verbs": ["delete", "get", "list"],
            }
            for plural, _, _ in listed
        ]


@contextmanager
def served(server: ObjectServer, *, tls: ssl.SSLContext | None = None) -> Iterator[ObjectServer]:
    """`server`, reachable at its `url` while the block runs; with `tls` by HTTPS."""
    loop = asyncio.new_event_loop()
    runner = web.AppRunner(_application(server), access_log=None, shutdown_timeout=1.0)
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        asyncio.run_coroutine_threadsafe(runner.setup(), loop).result(10)
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
        asyncio.run_coroutine_threadsafe(site.start(), loop).result(10)
        host, port = runner.addresses[0][:2]
        server.url = f"{'https' if tls is not None else 'http'}://{host}:{port}"
        yield server
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


def write_kubeconfig(path: Path, *, servers: Mapping[str, str], current: str = "") -> Path:
    """A kubeconfig with a context for each server (context name to URL)."""
    named = [(name, {"server": url}) for name, url in servers.items()]
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": current,
        "clusters": [{"name": name, "cluster": cluster} for name, cluster in named],
        "users": [{"name": name, "user": {"token": "x"}} for name, _ in named],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}} for name, _ in named],
    }
    path.write_text(yaml.safe_dump(config))
    return path


def _application(server: ObjectServer) -> web.Application:
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", server.handle)
    return application


def _merged(old: Object, new: Object) -> Object:
    """RFC 7396, which is an apply too as far as our manifests go."""
    merged = copy.deepcopy(old)
    for key, value in new.items():
        if isinstance(value, dict):
            below = merged.get(key)
            merged[key] = _merged(below if isinstance(below, dict) else {}, value)
        elif value is None:
            merged.pop(key, None)
        else:
            merged[key] = copy.deepcopy(value)
    return merged


def _note_author(old: Object | None, body: Object, *, manager: str) -> None:
    """Who has applied an object, as the API server keeps it."""
    before = old["metadata"].get("managedFields", []) if old is not None else []
    kept = [one for one in before if one["manager"] != manager]
    body["metadata"]["managedFields"] = [*kept, {"manager": manager, "operation": "Apply"}]


def _group(version: str) -> Mapping[str, Any]:
    name, _, number = version.partition("/")
    return {"name": name, "preferredVersion": {"groupVersion": version, "version": number}}


def _selected(at: Place, item: Object, place: Place, wanted: Mapping[str, str]) -> bool:
    if (at.version, at.plural) != (place.version, place.plural):
        return False
    if place.namespace and at.namespace != place.namespace:
        return False
    return all(_value(item, path.split(".")) == value for path, value in wanted.items())


def _is_labelled(item: Object, wished: str) -> bool:
    """`wished` is "key=value", or "key" for any value."""
    key, _, value = wished.partition("=")
    labels = item["metadata"].get("labels", {})
    return key in labels and value in ("", labels[key])


def _value(item: Object, path: list[str]) -> object:
    place: Any = item  # any JSON value on the way down
    for part in path:
        place = place.get(part, {})
    return place


def _status(code: int, reason: str) -> web.Response:
    body = {"kind": "Status", "code": code, "reason": reason, "message": f"the fake says {reason}"}
    return web.json_response(body, status=code)
