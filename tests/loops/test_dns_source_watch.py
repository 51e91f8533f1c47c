"""Whom the DNS server takes for its cluster's own, followed at an API server (ruling 16)."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from mesh_dns.source_watch import SourceWatch
from mesh_dns.sources import Sources
from mesh_fakes.exports import NOW
from mesh_fakes.http_member import Fault, HttpMember, http_client
from mesh_fakes.member_api import MemberApi
from mesh_fakes.waiting import until
from mesh_runtime.kube import ENDPOINT_SLICES, NAMESPACES, NODES

pytestmark = pytest.mark.asyncio


@dataclass
class Scene:
    """A cluster's API server, and the sources that follow it."""

    member: HttpMember
    sources: Sources

    def node(self, name: str, address: str, *ranges: str) -> None:
        status = {"addresses": [{"type": "InternalIP", "address": address}]}
        body = {"metadata": {"name": name}, "spec": {"podCIDRs": list(ranges)}, "status": status}
        self.member.api.put(NODES, body)

    def piece(
        self,
        name: str,
        *addresses: str,
        service: str = "kube-dns",
        namespace: str = "kube-system",
        labels: Mapping[str, str] = {},
    ) -> None:
        labels = {"kubernetes.io/service-name": service, **labels}
        endpoints = [{"addresses": [one], "conditions": {"ready": False}} for one in addresses]
        meta = {"name": name, "namespace": namespace, "labels": labels}
        self.member.api.put(
            ENDPOINT_SLICES, {"metadata": meta, "addressType": "IPv4", "endpoints": endpoints}
        )


@asynccontextmanager
async def scene(*faults: Fault, has_dns: bool = True) -> AsyncIterator[Scene]:
    """A cluster with a node and cluster DNS outside its podCIDR, and a watch under way."""
    member = HttpMember(MemberApi(clock=lambda: NOW), faults=list(faults))
    for name in ("kube-system", "openshift-dns", "demo"):
        member.api.put(NAMESPACES, {"metadata": {"name": name}, "status": {"phase": "Active"}})
    async with http_client(member) as client:
        found = Scene(member, Sources())
        found.node("a", "192.0.2.1", "10.1.0.0/24")
        if has_dns:
            found.piece("kube-dns-a", "10.99.0.3", "10.99.0.4")
        found.piece("other", "10.99.0.9", service="other")
        found.piece("stray", "10.99.0.8", namespace="demo")
        running = asyncio.create_task(SourceWatch(client, sources=found.sources).run())
        try:
            yield found
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


async def test_nodes_and_all_endpoints_of_cluster_dns_are_local_and_nobody_elses() -> None:
    async with scene() as there:
        await until(lambda: there.sources.is_known)
        for address in ("192.0.2.1", "10.1.0.77", "10.99.0.3", "10.99.0.4"):
            assert there.sources.is_local(address), address
        for address in ("10.99.0.9", "10.99.0.8", "10.2.0.1"):
            assert not there.sources.is_local(address), address


async def test_what_changes_is_followed() -> None:
    async with scene() as there:
        await until(lambda: there.sources.is_known)
        there.node("b", "192.0.2.2", "10.2.0.0/24")
        await until(lambda: there.sources.is_local("10.2.0.1"))
        there.piece("kube-dns-a", "10.99.0.4")
        there.piece("kube-dns-b", "10.99.0.5")
        await until(lambda: not there.sources.is_local("10.99.0.3") and there.sources.is_local("10.99.0.5"))
        there.member.api.remove(ENDPOINT_SLICES, "kube-dns-b", namespace="kube-system")
        there.member.api.remove(NODES, "a")
        await until(
            lambda: not there.sources.is_local("10.99.0.5") and not there.sources.is_local("10.1.0.77")
        )
        assert there.sources.is_local("10.99.0.4")


@pytest.mark.parametrize("plural", ["nodes", "endpointslices"])
async def test_until_both_were_listed_nobody_is_limited(plural: str) -> None:
    async with scene(Fault("GET", plural, status=503, times=1_000_000)) as there:
        await until(lambda: ("GET", plural) in there.member.asked)
        assert not there.sources.is_known
        assert there.sources.is_local("203.0.113.7")
        there.member.faults.clear()
        await until(lambda: there.sources.is_known, limit=90)
        assert not there.sources.is_local("203.0.113.7")


@pytest.mark.parametrize(
    ("namespace", "service", "labels"),
    [
        ("kube-system", "rke2-coredns-rke2-coredns", {}),
        ("kube-system", "coredns", {}),
        ("kube-system", "some-name", {"k8s-app": "kube-dns"}),
        ("openshift-dns", "dns-default", {}),
    ],
)
async def test_until_an_endpoint_of_cluster_dns_was_seen_nobody_is_limited_whatever_its_name(
    namespace: str, service: str, labels: Mapping[str, str]
) -> None:
    async with scene(has_dns=False) as there:
        await until(lambda: there.sources.is_surely_local("192.0.2.1"))
        there.node("b", "192.0.2.2")
        await until(lambda: there.sources.is_surely_local("192.0.2.2"))
        there.piece("dns", service=service, namespace=namespace, labels=labels)
        there.node("c", "192.0.2.3")
        await until(lambda: there.sources.is_surely_local("192.0.2.3"))
        assert not there.sources.is_known and there.sources.is_local("203.0.113.7")
        there.piece("dns", "10.99.0.7", service=service, namespace=namespace, labels=labels)
        await until(lambda: there.sources.is_known)
        assert there.sources.is_local("10.99.0.7") and not there.sources.is_local("203.0.113.7")
        assert not there.sources.is_local("10.99.0.9")
