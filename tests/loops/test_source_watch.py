"""Who is behind an address, followed at an API server (ruling 17)."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from mesh_core.ranges import ranges_of
from mesh_fakes.exports import NOW
from mesh_fakes.http_member import Fault, HttpMember, http_client
from mesh_fakes.member_api import MemberApi
from mesh_fakes.waiting import until
from mesh_gateway.source_watch import SourceBook
from mesh_gateway.sources import FOREIGN, PENDING, UNKNOWN, Found, Looked
from mesh_runtime.kube import NAMESPACES, NODES, PODS

pytestmark = pytest.mark.asyncio


@dataclass
class Scene:
    """A cluster's API server, and the book that follows it."""

    member: HttpMember
    book: SourceBook
    changes: list[None] = field(default_factory=list)

    def pod(self, name: str, address: str = "", *, phase: str = "Running", **spec: Any) -> None:
        """A pod as it is now; `spec` is whatever its fields are, hence Any."""
        status = {"phase": phase, "podIP": address, "podIPs": [{"ip": address}] if address else None}
        meta = {"name": name, "namespace": "shop", "labels": {"app": name}, "finalizers": ["x/y"]}
        body = {"metadata": meta, "spec": {"serviceAccountName": "till", **spec}, "status": status}
        self.member.api.put(PODS, body)

    def node(self, name: str, address: str, *ranges: str) -> None:
        status = {"addresses": [{"type": "InternalIP", "address": address}]}
        body = {"metadata": {"name": name}, "spec": {"podCIDRs": list(ranges)}, "status": status}
        self.member.api.put(NODES, body)

    def who(self, address: str) -> str:
        return who(self.book.look(address))


def who(found: Looked) -> str:
    if isinstance(found, Found):
        return "node" if found.source.node else found.source.pod
    return type(found).__name__


@asynccontextmanager
async def scene(*faults: Fault, heard: bool = True) -> AsyncIterator[Scene]:
    """A cluster with a node and one pod, and a book under way; `heard` waits for its first lists."""
    member = HttpMember(MemberApi(clock=lambda: NOW), faults=list(faults))
    member.api.put(NAMESPACES, {"metadata": {"name": "shop"}, "status": {"phase": "Active"}})
    async with http_client(member) as client:
        found = Scene(member, SourceBook(client))
        found.node("a", "192.0.2.1", "10.1.0.0/24")
        found.pod("till-1", "10.1.0.7")
        running = asyncio.create_task(found.book.run(changed=lambda: found.changes.append(None)))
        try:
            if heard:
                await until(lambda: bool(found.changes))
            yield found
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


async def test_pods_and_nodes_are_known_once_they_were_listed_and_as_they_change() -> None:
    async with scene() as there:
        assert there.book.is_synced
        assert there.who("10.1.0.7") == "till-1"
        assert there.who("192.0.2.1") == "node"
        assert there.book.look("10.9.0.7") is FOREIGN
        there.node("b", "192.0.2.2", "10.9.0.0/24")
        await until(lambda: there.book.look("10.9.0.7") is PENDING)
        there.pod("till-1", "10.1.0.7", phase="Succeeded")
        await until(lambda: there.book.look("10.1.0.7") is PENDING)
        there.member.api.remove(NODES, "b")
        await until(lambda: there.book.look("10.9.0.7") is FOREIGN)


async def test_a_watch_leaves_out_pods_that_have_finished() -> None:
    async with scene() as there:
        there.pod("done", "10.1.0.9", phase="Succeeded")
        there.pod("after", "10.1.0.8")
        await until(lambda: there.who("10.1.0.8") == "after")
        assert there.book.look("10.1.0.9") is PENDING
        assert len(there.book._pods) == 2, "nor does the cache keep them"


async def test_the_first_connection_of_a_new_pod_waits_until_its_address_is_reported() -> None:
    async with scene() as there:
        there.pod("till-2")
        waiting = [asyncio.create_task(there.book.wait("10.1.0.8", limit=30)) for _ in range(3)]
        other = asyncio.create_task(there.book.wait("10.1.0.9", limit=30))
        await asyncio.sleep(0)
        there.pod("till-2", "10.1.0.8")
        async with asyncio.timeout(10):
            assert [who(found) for found in await asyncio.gather(*waiting)] == ["till-2"] * 3
        assert not other.done()
        other.cancel()
        await asyncio.gather(other, return_exceptions=True)
        assert there.book._waiting == {}


async def test_nobody_waits_for_what_is_known_and_nobody_longer_than_he_asked() -> None:
    async with scene() as there:
        async with asyncio.timeout(10):
            assert who(await there.book.wait("10.1.0.7", limit=600)) == "till-1"
            assert await there.book.wait("10.9.0.7", limit=600) is FOREIGN
            assert await there.book.wait("10.1.0.8", limit=0.01) is PENDING
        assert there.book._waiting == {}


async def test_a_node_that_comes_ends_the_wait_for_an_address_of_its() -> None:
    async with scene() as there:
        waiting = asyncio.create_task(there.book.wait("10.1.0.8", limit=30))
        await asyncio.sleep(0)
        there.node("c", "10.1.0.8")
        async with asyncio.timeout(10):
            assert who(await waiting) == "node"


async def test_while_the_api_server_is_away_nobody_waits_and_what_was_known_stays() -> None:
    async with scene(Fault("GET", "pods", status=503, times=10_000), heard=False) as there:
        await until(lambda: there.book.look("10.1.0.8") is PENDING)
        async with asyncio.timeout(10):
            assert await there.book.wait("10.1.0.8", limit=600) is PENDING
        assert not there.book.is_synced
    async with scene(Fault("WATCH", "pods", status=503, times=10_000)) as there:
        await until(lambda: not there.book._pods.is_current(within=150))
        async with asyncio.timeout(10):
            assert await there.book.wait("10.1.0.8", limit=600) is PENDING
        assert there.who("10.1.0.7") == "till-1"


async def test_pods_change_the_ground_only_where_nodes_do_not_state_ranges() -> None:
    async with scene() as there:
        before = len(there.changes)
        there.pod("till-2", "10.1.0.8")
        await until(lambda: there.who("10.1.0.8") == "till-2")
        assert len(there.changes) == before
        there.node("a", "192.0.2.1")
        await until(lambda: len(there.changes) == before + 1)
        there.pod("till-3", "10.1.0.9")
        await until(lambda: len(there.changes) == before + 2)
        ground = there.book.ground(external=ranges_of([]), reserved=())
        assert ground.pods == dict.fromkeys(("10.1.0.7", "10.1.0.8", "10.1.0.9"), "shop")


async def test_a_pod_that_takes_an_address_of_an_endpoint_changes_the_ground_wherever_it_lies() -> None:
    """Else whoever keeps the address of a pod of his in a slice would get the pod that has it next."""
    async with scene() as there:
        there.book.judged(frozenset({"10.1.0.8"}))
        before = len(there.changes)
        there.pod("other", "10.1.0.9")
        there.pod("till-2", "10.1.0.8")
        await until(lambda: len(there.changes) == before + 1)
        assert there.who("10.1.0.9") == "other", "which changed nothing"
        assert there.book.ground(external=ranges_of([]), reserved=()).pods["10.1.0.8"] == "shop"


async def test_a_pod_that_came_while_a_table_was_computed_counts_for_the_next_one() -> None:
    async with scene() as there:
        there.pod("till-2", "10.1.0.8")
        await until(lambda: there.who("10.1.0.8") == "till-2")
        before = len(there.changes)
        there.book.judged(frozenset({"10.1.0.9"}))
        assert len(there.changes) == before
        there.book.judged(frozenset({"10.1.0.8"}))
        assert len(there.changes) == before + 1
        there.book.judged(frozenset({"10.1.0.8"}))
        assert len(there.changes) == before + 1, "and does not go on for ever"


async def test_an_address_in_no_stated_range_is_waited_for_even_while_the_pods_were_not_heard_of() -> None:
    async with scene(Fault("GET", "pods", status=503, times=3), heard=False) as there:
        async with asyncio.timeout(20):
            found = await there.book.wait("10.1.0.7", limit=600)
        assert who(found) in ("till-1", "Pending"), "the nodes state the range, or the pod was heard of"
        assert await there.book.wait("203.0.113.9", limit=0.01) in (UNKNOWN, FOREIGN)


async def test_where_nodes_state_no_ranges_a_stranger_stays_unknown_and_a_new_pod_is_found() -> None:
    async with scene() as there:
        there.node("a", "192.0.2.1")
        await until(lambda: there.book.look("10.1.0.8") is UNKNOWN)
        assert await there.book.wait("203.0.113.9", limit=0.01) is UNKNOWN
        waiting = asyncio.create_task(there.book.wait("10.1.0.8", limit=30))
        await asyncio.sleep(0)
        there.pod("till-2", "10.1.0.8")
        async with asyncio.timeout(10):
            assert who(await waiting) == "till-2"


async def test_pods_of_neighbours_are_foreign_wherever_nodes_state_no_ranges() -> None:
    async with scene() as there:
        there.node("a", "192.0.2.1")
        await until(lambda: there.book.look("10.9.0.7") is UNKNOWN)
        there.book.neighbours_changed(ranges_of(["10.9.0.0/16"]))
        assert there.book.look("10.9.0.7") is FOREIGN
