"""What users do to their objects, and to ours, in one simulated cluster.

Each deed finds the world as it is and rolls `dice` for the rest; what the API server forbids raises ApiError.
"""

import random
from collections.abc import Callable, Mapping
from typing import Any

from mesh_core.import_view import is_ours
from mesh_core.names import (
    GATEWAY,
    LABEL_KUBERNETES_SERVICE,
    PROPERTY_NETWORK,
    RESTING_PORTS_CONFIG_MAP,
    SYSTEM_NAMESPACE,
    shadow_service_name,
)
from mesh_core.plan import Json
from mesh_core.slices import is_ours as is_our_slice
from mesh_fakes.sim_member import CLUSTERS, SimMember
from mesh_runtime.kube import (
    CLUSTER_PROPERTIES,
    CONFIG_MAPS,
    ENDPOINT_SLICES,
    IMPORTED_RECORDS,
    IMPORTED_SHARDS,
    MESH_PEERS,
    NAMESPACES,
    SERVICE_EXPORTS,
    SERVICE_IMPORTS,
    SERVICES,
)

NAMESPACES_USED = ("demo", "shop")
_KEYS = (("demo", "db"), ("demo", "hello"), ("shop", "hello"))


def _key(dice: random.Random) -> tuple[str, str]:
    return dice.choice(_KEYS)


def _meta(dice: random.Random) -> Json:
    namespace, name = _key(dice)
    return {"namespace": namespace, "name": name}


def populate(member: SimMember, dice: random.Random) -> None:
    """What users have before a history begins: some of the Services, most of them exported."""
    for namespace, name in _KEYS:
        meta = {"namespace": namespace, "name": name}
        if dice.random() < 0.7:
            _make_service(member, meta, dice=dice, kind="headless" if name == "db" else "plain")
            _have_endpoints(member, namespace, name, dice=dice)
        if dice.random() < 0.7:
            _export(member, meta, dice=dice)


PORTS: tuple[list[Json], ...] = (
    *([{"name": "http", "port": 80, "protocol": "TCP"}],) * 4,
    [{"name": "http", "port": 80, "protocol": "TCP"}, {"name": "dns", "port": 53, "protocol": "UDP"}],
    [{"name": "http", "port": 81, "protocol": "TCP"}],
    [{"name": "web", "port": 80, "protocol": "TCP"}, {"name": "admin", "port": 90, "protocol": "TCP"}],
    [{"port": 80, "protocol": "TCP"}],
    [{"name": "sctp", "port": 7, "protocol": "SCTP"}],
)


def makes_service(member: SimMember, dice: random.Random) -> None:
    kind = dice.choice(("plain",) * 5 + ("headless",) * 4 + ("external",))
    _make_service(member, _meta(dice), dice=dice, kind=kind)


def _make_service(member: SimMember, meta: Json, *, dice: random.Random, kind: str) -> None:
    spec: Json = {"ports": dice.choice(PORTS)}
    if kind == "headless":
        spec["clusterIP"] = "None"
    elif kind == "external":
        spec = {"type": "ExternalName", "externalName": "example.test"}
    elif dice.random() < 0.3:
        spec["sessionAffinity"] = "ClientIP"
        spec["sessionAffinityConfig"] = {"clientIP": {"timeoutSeconds": dice.choice((60, 10800))}}
    elif dice.random() < 0.2:
        spec["internalTrafficPolicy"] = "Local"
    if kind != "external" and dice.random() < 0.2:
        spec["trafficDistribution"] = "PreferClose"
    # A Service does not turn headless: it is made anew.
    if member.api.find(SERVICES, meta["name"], namespace=meta["namespace"]) is not None:
        member.api.remove(SERVICES, meta["name"], namespace=meta["namespace"])
    member.api.put(SERVICES, {"metadata": meta, "spec": spec})


def changes_ports(member: SimMember, dice: random.Random) -> None:
    meta = _meta(dice)
    if member.api.find(SERVICES, meta["name"], namespace=meta["namespace"]) is not None:
        member.api.put(SERVICES, {"metadata": meta, "spec": {"ports": dice.choice(PORTS)}})


def deletes_service(member: SimMember, dice: random.Random) -> None:
    namespace, name = _key(dice)
    member.api.remove(SERVICES, name, namespace=namespace)


ANNOTATIONS: tuple[dict[str, str], ...] = (
    *({},) * 10,
    {"meshctl.dev/traffic": "local-first"},
    {"meshctl.dev/traffic": "local-first"},
    {"meshctl.dev/traffic": "balanced"},
    {"meshctl.dev/allow": "west"},
    {"meshctl.dev/allow": "east, north"},
    {"meshctl.dev/alow": "west"},
    {"meshctl.dev/allow": "not a name"},
)


def exports(member: SimMember, dice: random.Random) -> None:
    _export(member, _meta(dice), dice=dice)


def _export(member: SimMember, meta: Json, *, dice: random.Random) -> None:
    spec = dice.choice(
        ({}, {"exportedLabels": {"tier": dice.choice("ab")}}, {"exportedAnnotations": {"a": "b"}})
    )
    member.api.put(
        SERVICE_EXPORTS, {"metadata": {**meta, "annotations": dict(dice.choice(ANNOTATIONS))}, "spec": spec}
    )


def unexports(member: SimMember, dice: random.Random) -> None:
    namespace, name = _key(dice)
    member.api.remove(SERVICE_EXPORTS, name, namespace=namespace)


def has_endpoints(member: SimMember, dice: random.Random) -> None:
    """What the EndpointSlice controller, or somebody's hand, writes for the Service's pods."""
    namespace, name = _key(dice)
    _have_endpoints(member, namespace, name, dice=dice)


def _have_endpoints(member: SimMember, namespace: str, name: str, *, dice: random.Random) -> None:
    service = member.api.find(SERVICES, name, namespace=namespace)
    ports = (
        [{**_port(p.name, p.protocol), "port": 8000 + p.port} for p in service.spec.ports] if service else []
    )
    number, base = dice.choice((0, 1, 1, 2, 2, 2, 3, 3, 3, 4, 5, 5, 6, 130)), 1 + CLUSTERS.index(member.name)
    piece = dice.choice(("aaaaa", "aaaaa", "bbbbb"))
    endpoints = [
        _endpoint(f"10.{base}.{ord(piece[0])}.{n}", dice=dice, number=n) for n in range(1, number + 1)
    ]
    labels = {LABEL_KUBERNETES_SERVICE: name}
    member.api.put(
        ENDPOINT_SLICES,
        {
            "metadata": {"namespace": namespace, "name": f"{name}-{piece}", "labels": labels},
            "addressType": "IPv4",
            "ports": ports,
            "endpoints": endpoints,
        },
    )


def _port(name: str | None, protocol: str) -> Json:
    return {"name": name or "", "protocol": protocol}


def _endpoint(address: str, *, dice: random.Random, number: int) -> Json:
    ready = dice.random() < 0.8
    return {
        "addresses": [address],
        "conditions": {"ready": ready, "serving": ready or dice.random() < 0.3, "terminating": not ready},
        **({"hostname": f"db-{number}"} if number < 4 and dice.random() < 0.6 else {}),
        **({"zone": "a"} if dice.random() < 0.5 else {}),
    }


def loses_endpoints(member: SimMember, dice: random.Random) -> None:
    namespace, name = _key(dice)
    member.api.remove(ENDPOINT_SLICES, f"{name}-{dice.choice(('aaaaa', 'bbbbb'))}", namespace=namespace)


def moves_namespace(member: SimMember, dice: random.Random) -> None:
    """A namespace goes one step on its way: made, terminating, gone with all that is in it."""
    away = [
        name
        for name in NAMESPACES_USED
        if (home := member.api.find(NAMESPACES, name)) is None or home.status.phase != "Active"
    ]
    namespace = dice.choice(away or NAMESPACES_USED)
    seen = member.api.find(NAMESPACES, namespace)
    if seen is None:
        member.api.namespace(namespace)
    elif seen.status.phase == "Active":
        member.api.namespace(namespace, phase="Terminating")
    else:
        member.end_namespaces()


def stands_in_the_way(member: SimMember, dice: random.Random) -> None:
    """Somebody makes, or removes, a ServiceImport or Service of his own with a name of ours."""
    namespace, name = _key(dice)
    resource: Any = SERVICE_IMPORTS  # Any: one of two kinds
    if dice.random() < 0.4:
        resource, name = SERVICES, shadow_service_name(namespace=namespace, name=name)
    seen = member.api.find(resource, name, namespace=namespace)
    if seen is None:
        spec = {"ports": [{"port": 1, "protocol": "TCP"}]}
        member.api.put(resource, {"metadata": {"namespace": namespace, "name": name}, "spec": spec})
    elif not is_ours(seen):
        member.api.remove(resource, name, namespace=namespace)


def our_objects(member: SimMember) -> list[tuple[Any, str, str]]:
    """(resource, namespace, name) of everything that controllers made; Any: resources of several types."""
    api = member.api
    found: list[tuple[Any, str, str]] = []
    found += [(ENDPOINT_SLICES, *one.key) for one in api.all(ENDPOINT_SLICES) if is_our_slice(one)]
    found += [(SERVICES, *one.key) for one in api.all(SERVICES) if is_ours(one)]
    found += [(SERVICE_IMPORTS, *one.key) for one in api.all(SERVICE_IMPORTS) if is_ours(one)]
    found += [(IMPORTED_RECORDS, *one.key) for one in api.all(IMPORTED_RECORDS)]
    found += [(IMPORTED_SHARDS, *one.key) for one in api.all(IMPORTED_SHARDS)]
    if api.find(CONFIG_MAPS, RESTING_PORTS_CONFIG_MAP, namespace=SYSTEM_NAMESPACE) is not None:
        found.append((CONFIG_MAPS, SYSTEM_NAMESPACE, RESTING_PORTS_CONFIG_MAP))
    return found


def deletes_ours(member: SimMember, dice: random.Random) -> None:
    found = our_objects(member)
    if found:
        resource, namespace, name = dice.choice(found)
        member.api.remove(resource, name, namespace=namespace)


def tampers_with_ours(member: SimMember, dice: random.Random) -> None:
    """Somebody writes into an object of ours what does not belong there."""
    found = [one for one in our_objects(member) if one[0] is not CONFIG_MAPS]
    if not found:
        return
    resource, namespace, name = dice.choice(found)
    changes: Mapping[Any, Json] = {
        ENDPOINT_SLICES: {"endpoints": []},
        SERVICES: {"spec": {"ports": [{"name": "x", "port": 9, "protocol": "TCP"}]}},
        SERVICE_IMPORTS: {"spec": {"ports": [], "sessionAffinity": "ClientIP"}, "status": {"clusters": []}},
        IMPORTED_RECORDS: {"spec": {"sessionAffinity": "ClientIP", "ports": []}},
        IMPORTED_SHARDS: {"spec": {"endpoints": [{"address": "203.0.113.1", "ready": True}]}},
    }
    member.api.put(resource, {"metadata": {"namespace": namespace, "name": name}, **changes[resource]})


def has_gateways(member: SimMember, dice: random.Random) -> None:
    has_gateways_at(member, number=dice.choice((0, 1, 2, 2, 3)))


def has_gateways_at(member: SimMember, *, number: int) -> None:
    """`number` ready gateways."""
    base = 1 + CLUSTERS.index(member.name)
    labels = {LABEL_KUBERNETES_SERVICE: GATEWAY}
    member.api.put(
        ENDPOINT_SLICES,
        {
            "metadata": {"namespace": SYSTEM_NAMESPACE, "name": f"{GATEWAY}-ccccc", "labels": labels},
            "addressType": "IPv4",
            "ports": [{"name": "mesh", "port": 15443, "protocol": "TCP"}],
            "endpoints": [
                {"addresses": [f"10.{base}.0.{n}"], "conditions": {"ready": True}}
                for n in range(8, 8 + number)
            ],
        },
    )


def knows(member: SimMember, peer: str, **spec: Any) -> None:
    """A MeshPeer (Any: whatever else its spec shall say)."""
    gateways = [{"host": f"{member.name}.{peer}", "port": 15443}]
    member.api.put(MESH_PEERS, {"metadata": {"name": peer}, "spec": {"gateways": gateways, **spec}})


def neighbour(peer: str) -> Json:
    """What a MeshPeer says of a peer on the network "net", whose pods are believed."""
    return {"network": "net", "import": {"podCIDRs": [f"10.{1 + CLUSTERS.index(peer)}.0.0/16"]}}


def changes_peer(member: SimMember, dice: random.Random) -> None:
    """Somebody says anew what is taken of a peer, or that there is none."""
    peer = dice.choice([cluster for cluster in CLUSTERS if cluster != member.name])
    base = 1 + CLUSTERS.index(peer)
    if dice.random() < 0.25:
        member.api.remove(MESH_PEERS, peer)
        return
    taken: Json = dice.choice(
        (
            {},
            {"podCIDRs": [f"10.{base}.0.0/16"]},
            {"podCIDRs": [f"10.{base}.0.0/16"]},
            {"podCIDRs": [f"10.{base}.0.0/16"], "namespaces": ["demo"]},
            {"requireAllow": True},
        )
    )
    if member.api.find(MESH_PEERS, peer) is not None:
        nothing = dict.fromkeys(("podCIDRs", "namespaces", "requireAllow"))
        taken = {**nothing, **taken}
    knows(member, peer, network=dice.choice(("", "net", "net")), **{"import": taken})


def changes_network(member: SimMember, dice: random.Random) -> None:
    value = dice.choice(("net", "net", ""))
    if value:
        member.api.put(CLUSTER_PROPERTIES, {"metadata": {"name": PROPERTY_NETWORK}, "spec": {"value": value}})
    elif member.api.find(CLUSTER_PROPERTIES, PROPERTY_NETWORK) is not None:
        member.api.remove(CLUSTER_PROPERTIES, PROPERTY_NETWORK)


UserDeed = Callable[[SimMember, random.Random], None]

USER_DEEDS: dict[str, UserDeed] = {
    deed.__name__: deed
    for deed in (
        makes_service,
        changes_ports,
        deletes_service,
        exports,
        unexports,
        has_endpoints,
        loses_endpoints,
        moves_namespace,
        stands_in_the_way,
        deletes_ours,
        tampers_with_ours,
        has_gateways,
        changes_peer,
        changes_network,
    )
}
USER_WEIGHTS = {
    "makes_service": 8,
    "changes_ports": 3,
    "deletes_service": 1,
    "exports": 12,
    "unexports": 3,
    "has_endpoints": 12,
    "loses_endpoints": 2,
    "moves_namespace": 3,
    "stands_in_the_way": 2,
    "deletes_ours": 4,
    "tampers_with_ours": 3,
    "has_gateways": 3,
    "changes_peer": 4,
    "changes_network": 3,
}
