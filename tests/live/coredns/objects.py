"""What both servers read: what our controllers make of exports, and what somebody else may have written.

The exports are as users have them; the ServiceImports and slices of `real` come from the controllers. The
namespace `odd` holds imports and slices written by hand, by the first version of the API: what other
implementations of it write, and what no controller should.
"""

from collections.abc import Sequence
from typing import Any

from mesh_core.names import LABEL_KUBERNETES_SERVICE, LABEL_SERVICE_NAME, LABEL_SOURCE_CLUSTER
from mesh_core.names import LABEL_SLICE_MANAGED_BY as MANAGED_BY

Manifest = dict[str, Any]  # JSON as it goes to the API server

REAL, ODD, VACANT, GONE = "real", "odd", "vacant", "gone"
MANY = 250
SQL: Manifest = {"name": "sql", "port": 5432, "protocol": "TCP"}
ADMIN: Manifest = {"name": "admin", "port": 8080, "protocol": "TCP"}
DNS: Manifest = {"name": "dns", "port": 53, "protocol": "UDP"}
DNS_TCP: Manifest = {"name": "dns-tcp", "port": 53, "protocol": "TCP"}
BARE: Manifest = {"port": 80, "protocol": "TCP"}


def end(*addresses: str, host: str = "", **conditions: bool) -> Manifest:
    """An endpoint; one that says nothing of being ready is."""
    named = {"hostname": host} if host else {}
    return {"addresses": list(addresses), "conditions": conditions, **named}


# Services that east and west export, by name: ports, and the endpoints of each cluster; None: no export.
HEADLESS: dict[str, tuple[Sequence[Manifest], Sequence[Manifest] | None, Sequence[Manifest] | None]] = {
    "db": (
        (SQL, ADMIN),
        (end("10.250.0.1", host="db-0"), end("10.250.0.2", host="db-1")),
        (end("10.250.0.1", host="db-0"), end("10.250.0.3", host="db-1", ready=False)),
    ),
    "bare": ((SQL,), (end("10.250.1.1"), end("10.250.1.2")), (end("10.250.1.3"),)),
    "asleep": ((SQL,), (end("10.250.2.1", ready=False),), None),
    "local": ((SQL,), None, (end("10.250.3.1"), end("10.250.3.2", host="named"))),
}
CLUSTER_SET_IP: dict[str, Sequence[Manifest]] = {"hello": (DNS, DNS_TCP, ADMIN), "plain": (BARE,)}


def exported(cluster: str) -> list[Manifest]:
    """Services, their slices and exports of a cluster."""
    made: list[Manifest] = []
    for name, (ports, east, west) in HEADLESS.items():
        endpoints = east if cluster == "east" else west
        if endpoints is not None:
            made += _export(name, ports, endpoints, spec={"clusterIP": "None"})
    for name, ports in CLUSTER_SET_IP.items():
        made += _export(name, ports, [end("10.250.9.1")], spec={})
    return made


def _export(
    name: str, ports: Sequence[Manifest], endpoints: Sequence[Manifest], *, spec: Manifest
) -> list[Manifest]:
    piece = _of("discovery.k8s.io/v1", "EndpointSlice", f"{name}-own", namespace=REAL)
    piece["metadata"]["labels"] = {LABEL_KUBERNETES_SERVICE: name}
    body = {"addressType": "IPv4", "ports": list(ports), "endpoints": list(endpoints)}
    service = _of("v1", "Service", name, namespace=REAL)
    export = _of("multicluster.x-k8s.io/v1beta1", "ServiceExport", name, namespace=REAL)
    return [{**service, "spec": {**spec, "ports": list(ports)}}, {**piece, **body}, export]


def by_hand() -> list[Manifest]:
    """Imports and slices that no controller of ours wrote."""
    two = {"hostname": "db-0", "addresses": ["10.0.5.1"]}
    return [
        _import("dual", "10.96.1.1", "fd00:96::1", ports=(SQL, ADMIN)),
        _import("six", "fd00:96::2", ports=(SQL,)),
        _import("no-ips", ports=(SQL,)),
        _import("no-ports", "10.96.1.3"),
        _import("unnamed", "10.96.1.4", ports=(BARE, {**SQL, "port": 81})),
        _import("with.dot", "10.96.1.5", ports=(SQL,)),
        # It has slices, as every ClusterSetIP import has; their endpoints have no names.
        _import("sliced", "10.96.1.6", ports=(SQL,)),
        _slice("sliced", "east", [end("10.0.1.1", host="pod")], ports=(SQL,)),
        _import("gone", "10.96.1.7", ports=(SQL,), namespace=GONE),
        *_headless(
            "pods", [("east", [end("10.0.2.1", host="a"), end("10.0.2.2", ready=True)], (SQL, ADMIN))]
        ),
        *_headless("portless", [("east", [end("10.0.3.1")], ())]),
        *_headless("nameless", [("east", [end("10.0.4.1")], (BARE,))]),
        *_headless("same-host", [("east", [two], (SQL,)), ("west", [two], (SQL,))]),
        *_headless("twice", [("east", [end("10.0.6.1")], (SQL,)), ("east", [end("10.0.6.1")], (ADMIN,))]),
        *_headless("six-pods", [("east", [end("fd00::1"), end("fd00::"), end("fd00::2", host="x")], (SQL,))]),
        *_headless("two-addresses", [("east", [end("10.0.7.1", "10.0.7.2", host="pair")], (SQL,))]),
        *_headless("terminating", [("east", [_leaving("10.0.8.1"), end("10.0.8.2")], (SQL,))]),
        *_headless("no-cluster", [("", [end("10.0.9.1", host="who")], (SQL,))]),
        *_headless("dotted-cluster", [("east.eu", [end("10.0.10.1", host="who")], (SQL,))]),
        *_headless("many", [("east", _crowd(), (SQL,))]),
    ]


def _leaving(address: str) -> Manifest:
    return end(address, ready=False, serving=True, terminating=True)


def _crowd() -> list[Manifest]:
    return [end(f"10.1.{number // 200}.{1 + number % 200}") for number in range(MANY)]


def _headless(
    name: str, slices: Sequence[tuple[str, Sequence[Manifest], Sequence[Manifest]]]
) -> list[Manifest]:
    made = [_import(name, ports=(SQL,), type_="Headless")]
    for number, (cluster, endpoints, ports) in enumerate(slices):
        made.append(_slice(name, cluster, endpoints, ports=ports, number=number))
    return made


def _import(
    name: str,
    *ips: str,
    ports: Sequence[Manifest] = (),
    type_: str = "ClusterSetIP",
    namespace: str = ODD,
) -> Manifest:
    made = _of("multicluster.x-k8s.io/v1alpha1", "ServiceImport", name, namespace=namespace)
    return {**made, "spec": {"type": type_, "ips": list(ips), "ports": list(ports)}}


def _slice(
    name: str, cluster: str, endpoints: Sequence[Manifest], *, ports: Sequence[Manifest], number: int = 0
) -> Manifest:
    made = _of("discovery.k8s.io/v1", "EndpointSlice", f"{name}-{number}", namespace=ODD)
    source = {LABEL_SOURCE_CLUSTER: cluster} if cluster else {}
    made["metadata"]["labels"] = {LABEL_SERVICE_NAME: name, MANAGED_BY: "somebody.example", **source}
    family = "IPv6" if ":" in endpoints[0]["addresses"][0] else "IPv4"
    return {**made, "addressType": family, "endpoints": list(endpoints), "ports": list(ports)}


def _of(version: str, kind: str, name: str, *, namespace: str) -> Manifest:
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name, "namespace": namespace}}
