"""`meshctl dns query` on a real cluster: it names who disagrees, and why, whichever part is broken."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import pytest

from live.nodes import ruled
from live.test_first_call import until
from mesh_cli.dns.corefile import stub, stub_addresses
from mesh_cli.dns.set_ups import CONFIG_MAP, KEY, NAMESPACE
from mesh_core.names import DNS, SYSTEM_NAMESPACE
from mesh_fakes.bed import Bed
from mesh_runtime.kube import (
    CONFIG_MAPS,
    DEPLOYMENTS,
    NAMESPACES,
    PODS,
    SERVICE_IMPORTS,
    SERVICES,
    KubeClient,
)

pytestmark = pytest.mark.asyncio

# A faulty answer, as JSON.
Seen = dict[str, Any]
NAME = "hello.dns-query.svc.clusterset.local"
OLD, NEW = "10.96.200.1", "10.96.200.2"
API_SERVER = "10.96.0.1"
API_PORTS = "{ 443, 6443 }"
LIMIT = 90.0
"""Seconds that CoreDNS, or kubelet before it, may take to show a changed Corefile; it is some 2 to 15."""


def asked(bed: Bed, name: str = NAME) -> tuple[int, Seen]:
    """The exit status and what was seen of the name."""
    words = ("dns", "query", name, "--context", "west", "-o", "json")
    done = bed.meshctl("--kubeconfig", str(bed.kubeconfig), *words)
    assert done.stdout, done.stderr
    seen: Seen = json.loads(done.stdout)
    return done.returncode, seen


def wrong(seen: Seen) -> list[Seen]:
    return [one for one in seen["steps"] if not one["agrees"]]


async def until_seen(bed: Bed, holds: Callable[[list[Seen]], bool], *, name: str = NAME) -> list[Seen]:
    """Who disagrees, as soon as that is as wanted."""
    last: list[Seen] = []

    async def look() -> bool:
        nonlocal last
        status, seen = await asyncio.to_thread(asked, bed, name)
        last = wrong(seen)
        assert status == bool(last)
        return holds(last)

    try:
        await until(look, limit=LIMIT)
    except TimeoutError:
        pytest.fail(f"not seen in time; at last {json.dumps(last, indent=2)}")
    return last


@asynccontextmanager
async def scene(bed: Bed) -> AsyncIterator[KubeClient]:
    """A ServiceImport in west that only this test writes, and everybody agrees on it."""
    async with bed.client("west") as kube:
        await kube.create(NAMESPACES, {"metadata": {"name": "dns-query"}})
        try:
            await import_at(kube, OLD)
            await until_seen(bed, lambda found: not found)
            yield kube
        finally:
            await kube.delete(NAMESPACES, "dns-query")


async def import_at(kube: KubeClient, address: str) -> None:
    spec = {"type": "ClusterSetIP", "ips": [address], "ports": [{"port": 80, "protocol": "TCP"}]}
    body = {"metadata": {"name": "hello", "namespace": "dns-query"}, "spec": spec}
    await kube.apply(SERVICE_IMPORTS, body, field_manager="live-test")


@asynccontextmanager
async def corefile(kube: KubeClient, change: Callable[[str], str]) -> AsyncIterator[None]:
    """CoreDNS is to go by a changed Corefile, and at the end by the one from before."""
    found = await kube.get(CONFIG_MAPS, CONFIG_MAP, namespace=NAMESPACE)
    before = found.data[KEY]
    try:
        await kube.merge_patch(CONFIG_MAPS, CONFIG_MAP, {"data": {KEY: change(before)}}, namespace=NAMESPACE)
        yield
    finally:
        await kube.merge_patch(CONFIG_MAPS, CONFIG_MAP, {"data": {KEY: before}}, namespace=NAMESPACE)


@contextmanager
def without_api_server(bed: Bed, address: str) -> Iterator[None]:
    """Nothing goes between the pod with that address and the API server, in either direction."""
    # Before kube-proxy turns the address into the server's; and where a reply has either of its ports.
    goes = f"ip saddr {address} ip daddr {API_SERVER} drop"
    comes = f"ip daddr {address} tcp sport {API_PORTS} drop"
    chains = (
        f"chain goes {{ type filter hook prerouting priority -400; {goes}; }}\n"
        f"chain comes {{ type filter hook postrouting priority 400; {comes}; }}"
    )
    with ruled(bed, "west", table="deaf", chains=chains):
        yield


def parts(found: list[Seen]) -> list[str]:
    return [one["part"] for one in found]


async def test_the_part_that_disagrees_is_named_with_the_cause(clusterset: Bed) -> None:
    """A fault before our server and one behind it; the other causes differ only in what the Corefile says."""
    async with scene(clusterset) as kube:
        await a_missing_stub(clusterset, kube)
        await a_pod_without_its_api_server(clusterset, kube)
        await until_seen(clusterset, lambda found: not found)


async def a_missing_stub(bed: Bed, kube: KubeClient) -> None:
    async with corefile(kube, lambda text: text.replace(stub(*stub_addresses(text)), "")):
        # While it loads the new file it may be silent for a moment.
        pod, service = await until_seen(
            bed,
            lambda found: (
                parts(found) == ["cluster DNS pod", "cluster DNS"] and found[0]["rcode"] == "NXDOMAIN"
            ),
        )
        assert "the stub is missing" in pod["why"]
        assert "meshctl join" in pod["nextStep"]
        assert "passes on what cluster DNS pod" in service["why"]


async def a_pod_without_its_api_server(bed: Bed, kube: KubeClient) -> None:
    labels = "app.kubernetes.io/component=dns"
    pods = (await kube.list(PODS, namespace=SYSTEM_NAMESPACE, labels=labels)).items
    # One that another test has ended may still be draining.
    pods = [one for one in pods if one.metadata.deletion_timestamp is None]
    [deaf] = [pod for pod in pods if pod.metadata.name == min(one.metadata.name for one in pods)]
    with without_api_server(bed, deaf.addresses[0]):
        await import_at(kube, NEW)

        def stale(found: list[Seen]) -> list[Seen]:
            return [one for one in found if one["part"] == "mesh-dns pod"]

        # The others may hear of it a moment later, too.
        found = await until_seen(
            bed, lambda found: [one["name"] for one in stale(found)] == [deaf.metadata.name]
        )
        assert found[0]["name"] == deaf.metadata.name
        assert "stale" in found[0]["why"]


async def test_a_service_of_mesh_dns_that_is_made_again_has_the_address_that_cluster_dns_knows(
    clusterset: Bed,
) -> None:
    name = "ns.dns.clusterset.local"
    async with clusterset.client("west") as kube:
        before = await kube.get(SERVICES, DNS, namespace=SYSTEM_NAMESPACE)
        text = (await kube.get(CONFIG_MAPS, CONFIG_MAP, namespace=NAMESPACE)).data[KEY]
        await kube.delete(SERVICES, DNS, namespace=SYSTEM_NAMESPACE)
        _status, seen = await asyncio.to_thread(asked, clusterset, name)
        assert any(one["part"] == "mesh-dns Service" and "not there" in one["why"] for one in wrong(seen))
        image = await image_of(kube)
        for _ in range(2):
            # The second time the address is no longer asked for, and stays all the same.
            await asyncio.to_thread(join_west, clusterset, image)
            after = await kube.get(SERVICES, DNS, namespace=SYSTEM_NAMESPACE)
            assert after.spec.cluster_ips == before.spec.cluster_ips
        assert after.metadata.uid != before.metadata.uid
        assert (await kube.get(CONFIG_MAPS, CONFIG_MAP, namespace=NAMESPACE)).data[KEY] == text
        await until_seen(clusterset, lambda found: not found, name=name)


async def image_of(kube: KubeClient) -> str:
    raw = await kube.request("GET", DEPLOYMENTS.path(DNS, namespace=SYSTEM_NAMESPACE))
    return str(json.loads(raw)["spec"]["template"]["spec"]["containers"][0]["image"])


def join_west(bed: Bed, image: str) -> None:
    bed.done(
        *("--kubeconfig", str(bed.kubeconfig), "join", "--context", "west", "--cluster-id", "west"),
        *("--trust", str(bed.trust), "--image", image, "--beside-others"),
    )
