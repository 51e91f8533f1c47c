"""A DNS table that follows a scripted API server: the objects it reads, and what an asker learns."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import dns.message
import dns.rcode
import kmock as kmock_library

from mesh_core.names import LABEL_SERVICE_NAME, LABEL_SOURCE_CLUSTER
from mesh_dns.answer import Transport, respond
from mesh_dns.names import Names
from mesh_dns.table import Table
from mesh_fakes.scripted_api import Answer, Script, client_of, page, serve, watch

API = "/api-server"
IMPORTS = f"{API}/apis/multicluster.x-k8s.io/v1beta1/serviceimports"
SLICES = f"{API}/apis/discovery.k8s.io/v1/endpointslices"
NAMESPACES = f"{API}/api/v1/namespaces"
SERVICES = f"{API}/api/v1/namespaces/meshctl-system/services"
PEERS = f"{API}/apis/meshctl.dev/v1alpha1/meshpeers"
ZONE = "clusterset.local."
SERVFAIL, NXDOMAIN, NODATA = "SERVFAIL", "NXDOMAIN", "NODATA"


def imported(
    name: str, *ips: str, version: int, type_: str = "ClusterSetIP", namespace: str = "demo"
) -> dict[str, Any]:
    meta = {"name": name, "namespace": namespace, "resourceVersion": str(version), "uid": f"u-{name}"}
    return {"metadata": meta, "spec": {"type": type_, "ips": list(ips), "ports": [{"port": 80}]}}


def service(*ips: str, version: int) -> dict[str, Any]:
    meta = {"name": "meshctl-dns", "namespace": "meshctl-system", "resourceVersion": str(version)}
    return {"metadata": meta, "spec": {"clusterIP": ips[0], "clusterIPs": list(ips)}}


def namespace(name: str = "demo", *, version: int = 1) -> dict[str, Any]:
    return {"metadata": {"name": name, "resourceVersion": str(version), "uid": f"u-{name}"}}


def piece(
    name: str, *endpoints: dict[str, Any], version: int, cluster: str = "east", service: str = "db"
) -> dict[str, Any]:
    labels = {LABEL_SERVICE_NAME: service, LABEL_SOURCE_CLUSTER: cluster}
    meta = {"name": name, "namespace": "demo", "resourceVersion": str(version), "labels": labels}
    ports = [{"name": "sql", "port": 5432, "protocol": "TCP"}]
    return {"metadata": meta, "addressType": "IPv4", "endpoints": list(endpoints), "ports": ports}


def peer(name: str, *rtts: int, version: int = 1) -> dict[str, Any]:
    """A MeshPeer of which so many gateways say how far it is, in microseconds."""
    said = [
        {"address": f"10.9.0.{place}", "reachable": True, "rttMicroseconds": rtt}
        for place, rtt in enumerate(rtts)
    ]
    meta = {"name": name, "resourceVersion": str(version), "uid": f"u-{name}"}
    return {"metadata": meta, "spec": {}, "status": {"gateways": said}}


def endpoint(address: str, *, hostname: str | None = None, ready: bool = True) -> dict[str, Any]:
    named = {"hostname": hostname} if hostname else {}
    return {"addresses": [address], "conditions": {"ready": ready}, **named}


def said(table: Table, name: str, type_: str = "A") -> str:
    """What an asker learns: the records' data in the order of the table, or the kind of denial."""
    packet = dns.message.make_query(f"{name}.{ZONE}", type_, id=0).to_wire()
    reply = respond(packet, table=table, transport=Transport.UDP)
    assert reply is not None
    decoded = dns.message.from_wire(reply)
    if decoded.rcode() != dns.rcode.NOERROR:
        return dns.rcode.to_text(decoded.rcode())
    return " ".join(str(one) for rrset in decoded.answer for one in rrset) or NODATA


NOTHING = (page(version=1), watch(hold=True))
ONE_NAMESPACE = (page(namespace(), version=1), watch(hold=True))


@dataclass(frozen=True, slots=True)
class Scene:
    """A table that follows a scripted API server, and the scripts, so that a test can go on with them."""

    table: Table
    names: Names
    imports: Script
    slices: Script
    namespaces: Script
    peers: Script


def then(script: Script, *events: tuple[str, dict[str, Any]]) -> None:
    """These events come next, then nothing."""
    script.answers[:] = [watch(*events), watch()]


@asynccontextmanager
async def scene(
    server: kmock_library.RawHandler,
    *,
    imports: tuple[Answer, ...],
    services: tuple[Answer, ...] = NOTHING,
    slices: tuple[Answer, ...] = NOTHING,
    namespaces: tuple[Answer, ...] = ONE_NAMESPACE,
    table: Table | None = None,
    changed: Callable[[], None] = lambda: None,
    peers: tuple[Answer, ...] = (),
) -> AsyncIterator[Scene]:
    """The table and its scripts while the block runs; without slices and in one namespace unless said.

    `changed` as `Names` has it; `table` is one that was begun with. With `peers` the nearest cluster is
    first.
    """
    serve(server, SERVICES, services)
    followed = serve(server, PEERS, peers or NOTHING)
    table = Table() if table is None else table
    async with client_of(server, path=API) as client:
        names = Names(client, table=table, changed=changed, nearest=bool(peers))
        found = Scene(
            table,
            names,
            imports=serve(server, IMPORTS, imports),
            slices=serve(server, SLICES, slices),
            namespaces=serve(server, NAMESPACES, namespaces),
            peers=followed,
        )
        task = asyncio.create_task(names.run())
        try:
            yield found
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
